//! What every function of the edge does: no panic goes on into C, and no thread is cancelled
//! inside.

#![expect(unsafe_code, reason = "the cancellation state of a thread; each block has its proof")]

use std::cell::Cell;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// `PTHREAD_CANCEL_ENABLE`, in all C libraries of Linux.
const ENABLED: c_int = 0;
/// `PTHREAD_CANCEL_DISABLE`.
const DISABLED: c_int = 1;

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}

/// As long as it lives, `pthread_cancel` does not end this thread: it would unwind out of the
/// middle of a call (files are opened and closed there, which are cancellation points), through
/// frames that own things, and through a mutex that is held.
///
/// No system call: the C library keeps the state in the thread.
struct NotCancelled {
    before: c_int,
}

thread_local! {
    /// How many calls of the edge this thread is in the middle of. It has no destructor, so that it
    /// is there to the end of the thread.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Counts a call of this thread's that is under way.
struct Inside;

impl Inside {
    fn new() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Inside
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Whether this thread is in the middle of a call of the edge: it may hold mutexes, and must not
/// wait for them.
pub(crate) fn is_inside() -> bool {
    DEPTH.get() > 0
}

impl NotCancelled {
    fn new() -> Self {
        let mut before = DISABLED;
        // SAFETY: a known state, and room for the one before.
        unsafe { pthread_setcancelstate(DISABLED, &raw mut before) };
        NotCancelled { before }
    }
}

impl Drop for NotCancelled {
    fn drop(&mut self) {
        let mut ours = DISABLED;
        // SAFETY: the state that the thread had, and room for ours. Being no cancellation point, it
        // does not end the thread.
        unsafe { pthread_setcancelstate(self.before, &raw mut ours) };
    }
}

/// Whether `pthread_cancel` could end this thread at its next cancellation point.
pub(crate) fn may_be_cancelled() -> bool {
    NotCancelled::new().before == ENABLED
}

/// Runs `body`; gives `broken` should it panic, which is a bug of ours and is reported on stderr by
/// the panic itself.
pub(crate) fn catch_panic<T>(broken: T, body: impl FnOnce() -> T) -> T {
    let _until_the_end = (NotCancelled::new(), Inside::new());
    // What a panic leaves half changed in the library is behind its own mutexes, which it treats as
    // poisoned or not.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(broken)
}

/// The same for a `body` without a cancellation point (pthreads(7)), but in the call itself:
/// allocating from tables takes a few nanoseconds, and the state of the thread as many. A deferred
/// `pthread_cancel` waits for such a point. It is not said that the thread is inside
/// ([`is_inside`]): what it may hold is an allocator's table, which no thread waits for that may be
/// called in there.
#[inline]
pub(crate) fn catch_panic_in_table<T>(broken: T, body: impl FnOnce() -> T) -> T {
    // As above.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(catch_panic(-1, || 7), 7);
        assert_eq!(catch_panic(-1, || panic!("as asked by a test")), -1);
        assert_eq!(catch_panic_in_table(-1, || 7), 7);
        assert_eq!(catch_panic_in_table(-1, || panic!("as asked by a test")), -1);
    }

    #[test]
    fn who_is_inside_knows_it() {
        assert!(!is_inside());
        assert!(catch_panic(false, || catch_panic(false, is_inside) && is_inside()));
        assert!(!catch_panic(true, || panic!("as asked by a test")) || !is_inside());
        assert!(!is_inside());
    }

    #[test]
    fn no_thread_is_cancelled_inside_and_afterwards_it_is_as_it_was() {
        assert!(may_be_cancelled());
        assert!(!catch_panic(true, || catch_panic(true, may_be_cancelled) || may_be_cancelled()));
        assert!(catch_panic(-1, || panic!("as asked by a test")) == -1 && may_be_cancelled());
        let outer = NotCancelled::new();
        assert_eq!(catch_panic(-1, || 7), 7);
        assert!(!may_be_cancelled());
        drop(outer);
        assert!(may_be_cancelled());
    }
}
