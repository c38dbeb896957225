//! Parts of one object: areas of this process over ranges of the same file, each of which another
//! thread may be in the middle of something with.
//!
//! One gives up memory that no part has, another grows into memory that no part has: both look at
//! what the parts have, and act on it behind that look. So one thread at a time does.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::forking::{Held, Order, Part};

static PARTS: Mutex<()> = Mutex::new(());

thread_local! {
    static FORKING: Held<MutexGuard<'static, ()>> = const { Held::new() };
}

static PART: Part =
    Part::new(Order::Parts, || FORKING.with(|held| held.lock(lock)), || FORKING.with(Held::unlock));

fn lock() -> MutexGuard<'static, ()> {
    PARTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has this thread alone look at the parts of objects, and act on it, until it is dropped. `None`
/// where no handlers of forks can be registered.
pub(super) fn alone() -> Option<MutexGuard<'static, ()>> {
    PART.ready().ok()?;
    Some(lock())
}
