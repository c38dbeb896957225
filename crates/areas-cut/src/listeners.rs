//! Who is notified of addresses at which something may have gone: each copy of the areas library in
//! this process.

use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// What a library is notified of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum What {
    /// A call may be about to take it away. The answer: whether to be notified afterwards.
    Before = 0,
    /// The same, and its memory may be mapped elsewhere then.
    BeforeMoving = 1,
    /// It is done, or has failed: the library looks at what it still has there.
    After = 2,
}

/// May be called at any moment, and for ranges that no area has.
type Look = extern "C" fn(what: c_int, start: *mut c_void, length: usize) -> c_int;

/// One a copy of the library (a program may contain it, and load plugins that do); they stay for
/// ever, as the library does.
static LISTENERS: [AtomicPtr<c_void>; 16] = [const { AtomicPtr::new(null_mut()) }; 16];

/// Has the areas library notified from now on. The library calls it before its first area, by a
/// weak reference: where this object is not loaded, there is nothing to be called. 0, or -1 if
/// there are too many.
#[unsafe(no_mangle)]
extern "C" fn areas_cut_register(look: Look) -> c_int {
    let look: *mut c_void = (look as *const ()).cast_mut().cast();
    for place in &LISTENERS {
        match place.compare_exchange(null_mut(), look, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return 0,
            Err(known) if known == look => return 0,
            Err(_) => {}
        }
    }
    -1
}

/// A range at which something may go, and which of the libraries have areas there: one bit each.
#[derive(Debug)]
#[must_use]
pub(crate) struct Taken {
    start: usize,
    length: usize,
    concerned: u32,
}

/// Says that a call is about to be made. Without a library, or areas, that is a load for each
/// library.
pub(crate) fn before(what: What, start: usize, length: usize) -> Taken {
    let mut taken = Taken { start, length, concerned: 0 };
    if !LISTENERS[0].load(Ordering::Relaxed).is_null() && length > 0 {
        let errno = Errno::kept();
        for (i, place) in LISTENERS.iter().enumerate() {
            let Some(look) = look_of(place) else { break };
            if look(what as c_int, std::ptr::without_provenance_mut(start), length) != 0 {
                taken.concerned |= 1 << i;
            }
        }
        errno.restore();
    }
    taken
}

impl Taken {
    /// The call has been made: those concerned look at what is there.
    pub(crate) fn after(self) {
        if self.concerned == 0 {
            return;
        }
        let errno = Errno::kept();
        for (i, place) in LISTENERS.iter().enumerate() {
            if self.concerned & 1 << i != 0
                && let Some(look) = look_of(place)
            {
                let _ = look(What::After as c_int, std::ptr::without_provenance_mut(self.start), self.length);
            }
        }
        errno.restore();
    }
}

fn look_of(place: &AtomicPtr<c_void>) -> Option<Look> {
    let look = place.load(Ordering::Acquire);
    // SAFETY: not null, and so put there by `areas_cut_register`, which was given such a function;
    // the library that has it is never unloaded.
    (!look.is_null()).then(|| unsafe { std::mem::transmute::<*mut c_void, Look>(look) })
}

/// The error number of the thread, which is the program's.
struct Errno(c_int);

impl Errno {
    fn place() -> *mut c_int {
        // SAFETY: the C library gives each thread a place for its error number, which is there as
        // long as the thread.
        unsafe { libc::__errno_location() }
    }

    fn kept() -> Self {
        // SAFETY: the C library's place for this thread's error number, which no other thread uses.
        Errno(unsafe { Errno::place().read() })
    }

    fn restore(self) {
        // SAFETY: the C library's place for this thread's error number, which no other thread uses.
        unsafe { Errno::place().write(self.0) };
    }
}
