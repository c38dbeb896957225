//! Mutexes, events and sequence locks in areas: among threads and processes, that are killed,
//! stopped, forked, and that write over everything.

#[expect(dead_code, reason = "the tests of areas use the rest")]
#[path = "../area_support/mod.rs"]
mod support;

mod deaths;
mod event;
mod family;
mod hostile;
mod many;
mod mutex;
mod seqlock;

use std::time::Duration;

use areas::sync::Mutex;
use areas::{Area, Shared, registry};

/// Longer than any test waits for what must come.
const LONG: Duration = Duration::from_secs(30);
/// For what must not come.
const SHORT: Duration = Duration::from_millis(60);

fn area() -> Area<Shared> {
    areas::builder(4096).shared().unwrap()
}

fn found(name: &str) -> Area<Shared> {
    registry::find(name).unwrap().open().unwrap()
}

/// Locks it, and never unlocks it.
fn leave_locked(mutex: &Mutex<'_>) {
    let _stays = std::mem::ManuallyDrop::new(lock(mutex));
}

/// Locks what must be consistent.
#[track_caller]
fn lock<'a>(mutex: &Mutex<'a>) -> areas::sync::Guard<'a> {
    let locked = mutex.lock(LONG).unwrap();
    assert!(!locked.owner_died());
    locked.into_guard()
}
