//! What a forked child has to find whole of the C edge: the areas that C holds by id, the tables of
//! its allocators, the nodesets that are known.
//!
//! A child has the forking thread alone: a mutex that another thread holds stays held there
//! forever. So who forks takes them all first, in one order, and releases them on both sides. What
//! the library holds itself, its own handlers take.

#![expect(unsafe_code, reason = "has functions called around fork; the block has its proof")]

use std::sync::atomic::{AtomicU64, Ordering};

use areas::registry;

use crate::{aml, held, interposer};

/// In the order in which a thread comes to hold them: an allocator's area is the program's own
/// code, which may make areas.
extern "C" fn before() {
    aml::tables::lock_for_fork();
    held::lock_for_fork();
    aml::nodes::lock_for_fork();
}

extern "C" fn after() {
    aml::nodes::unlock_after_fork();
    held::unlock_after_fork();
    aml::tables::unlock_after_fork();
}

extern "C" fn after_in_child() {
    aml::nodes::unlock_after_fork();
    held::unlock_after_fork_in_child();
    aml::tables::unlock_after_fork();
}

/// `DONE`, 0, or the process that is about it.
static BEGUN: AtomicU64 = AtomicU64::new(0);
const DONE: u64 = u64::MAX;

/// Has the two functions called around each fork, from the first call on; 0, or the number of the
/// error.
///
/// Nothing of it can be inherited in the middle: a child whose parent had just begun finds its
/// parent's number, and starts over. At worst the functions are called twice around its own forks:
/// so none of them waits for what its thread has already.
pub(crate) fn ready() -> i32 {
    loop {
        let begun = BEGUN.load(Ordering::Acquire);
        if begun == DONE {
            return 0;
        }
        let own = u64::from(std::process::id());
        if begun == own {
            // Another thread is about it.
            std::thread::yield_now();
        } else if BEGUN.compare_exchange(begun, own, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            // The registry's handlers come first, so that ours, run in the opposite order, take
            // what is ours before its mutex is taken.
            let _ = registry::at(0);
            // SAFETY: the functions are part of this library, which stays as long as its handlers
            // (glibc takes them off when the library is unloaded), and may be called in any thread
            // that forks.
            let status = unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after_in_child)) };
            interposer::register();
            BEGUN.store(if status == 0 { DONE } else { 0 }, Ordering::Release);
            return status;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;
    use crate::held::Entered;

    #[test]
    fn it_is_done_once() {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(ready(), 0));
            }
        });
        assert_eq!(BEGUN.load(Ordering::Relaxed), DONE);
    }

    #[test]
    fn who_forks_takes_all_once_and_nobody_gets_in() {
        before();
        before();
        thread::scope(|scope| {
            let (asked, asks) = channel();
            let (tells, told) = channel();
            scope.spawn(move || {
                asked.send(()).unwrap();
                drop(Entered::new().unwrap());
                tells.send(()).unwrap();
            });
            asks.recv().unwrap();
            assert!(told.try_recv().is_err(), "another thread got in");
            after();
            told.recv().unwrap();
        });
        after();
        drop(Entered::new().unwrap());
    }
}
