//! What a forked child has to find whole: the mutexes that one thread may hold in the moment in
//! which another one forks.
//!
//! A child has the forking thread alone: a mutex that another thread holds stays held there
//! forever. So who forks takes them all first, in one order, and releases them on both sides. It is
//! the one file that knows mutexes of several parts of the library.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::sync::RwLockWriteGuard;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::mapping::Reservation;
use crate::sync::owner;
use crate::{populate, registry, sys};

/// In the order in which they are taken: no thread that has the second waits for the first.
type All =
    (owner::Gate, registry::Whole, RwLockWriteGuard<'static, ()>, populate::promise::Whole, owner::Marks);

fn all_whole() -> All {
    let gate = owner::gate_whole();
    (gate, registry::whole(), Reservation::all_whole(), populate::promise::whole(), owner::marks_whole())
}

thread_local! {
    /// Held while this thread forks. It has no destructor, so that it is there for who forks in
    /// one.
    static HELD: Cell<ManuallyDrop<Option<All>>> = const { Cell::new(ManuallyDrop::new(None)) };
}

/// How often this process and those before it have forked, as far as the handlers were called.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// A number that is another one behind each fork, in the parent and in the child.
pub(crate) fn forks() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

extern "C" fn before() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    HELD.with(|held| {
        // Called twice, it must not wait for itself: `ready` says when that can be.
        let all = ManuallyDrop::into_inner(held.take());
        let all = all.unwrap_or_else(all_whole);
        held.set(ManuallyDrop::new(Some(all)));
    });
}

extern "C" fn after() {
    drop(ManuallyDrop::into_inner(HELD.with(Cell::take)));
}

/// `DONE`, 0, or the process that is about it.
static BEGUN: AtomicU64 = AtomicU64::new(0);
const DONE: u64 = u64::MAX;

/// Ensures that forks are careful: to be called before any of the mutexes is taken.
///
/// Nothing here can be inherited in the middle: a child whose parent had just begun finds its
/// parent's number, and begins again. At worst the functions are called twice around its own forks.
/// (While one thread forks, the C library lets no other register.)
pub(crate) fn ready() -> sys::Result<()> {
    loop {
        let begun = BEGUN.load(Ordering::Acquire);
        if begun == DONE {
            return Ok(());
        }
        let own = u64::from(sys::process::pid());
        if begun == own {
            // Another thread is about it.
            std::thread::yield_now();
        } else if BEGUN.compare_exchange(begun, own, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            let done = sys::process::at_fork(before, after);
            BEGUN.store(if done.is_ok() { DONE } else { 0 }, Ordering::Release);
            return done;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_forks_takes_them_once() {
        before();
        before();
        after();
        // Else this would wait forever.
        drop(all_whole());
        after();
    }

    #[test]
    fn it_is_done_once() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| ready().unwrap());
            }
        });
        assert_eq!(BEGUN.load(Ordering::Relaxed), DONE);
    }
}
