//! Numbers of errors, and the words of the last one.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{CStr, c_char, c_int};

use areas::{Error, ErrorKind, Result};

use crate::edge::catch_panic;
use crate::error::{Words, in_words, keep, look};

/// The request makes no sense: size 0, a bad name, NULL, a number that means nothing.
pub const AREAS_ERROR_INVALID_INPUT: c_int = -1;
/// An offset or range lies outside the area.
pub const AREAS_ERROR_OUT_OF_RANGE: c_int = -2;
/// A NUMA node does not exist, or this process may not use it.
pub const AREAS_ERROR_NODE_NOT_ALLOWED: c_int = -3;
/// No area of that name or id.
pub const AREAS_ERROR_NO_SUCH_AREA: c_int = -4;
/// No live process of that number; or, where areas are to be handed over, none that holds any.
pub const AREAS_ERROR_NO_SUCH_TEAM: c_int = -5;
/// The machine, a node or a huge-page pool does not have that much memory.
pub const AREAS_ERROR_NO_MEMORY: c_int = -6;
/// The addresses asked for are taken or unusable.
pub const AREAS_ERROR_ADDRESS_IN_USE: c_int = -7;
/// A limit of this process (RLIMIT_*) or of the system is exceeded.
pub const AREAS_ERROR_LIMIT: c_int = -8;
/// The kernel does not permit it to this user.
pub const AREAS_ERROR_NOT_PERMITTED: c_int = -9;
/// The area lives in a process that this one may not read.
pub const AREAS_ERROR_UNREADABLE: c_int = -10;
/// The memory is still in use in a way that forbids it.
pub const AREAS_ERROR_BUSY: c_int = -11;
/// The area is frozen: no process can write it any more.
pub const AREAS_ERROR_FROZEN: c_int = -12;
/// The area was mapped without the protection that it takes.
pub const AREAS_ERROR_READ_ONLY: c_int = -13;
/// The registry's folder or tables are not as they must be.
pub const AREAS_ERROR_REGISTRY: c_int = -14;
/// This kernel, machine or kind of area cannot do it.
pub const AREAS_ERROR_UNSUPPORTED: c_int = -15;
/// A deadline has passed.
pub const AREAS_ERROR_TIMED_OUT: c_int = -16;
/// Reading or writing a file or a socket failed.
pub const AREAS_ERROR_IO: c_int = -17;
/// A system call failed in a way that has no number of its own: see areas_error_errno().
pub const AREAS_ERROR_SYSTEM: c_int = -18;

/// Another area has the name that was to be this one's alone.
pub const AREAS_ERROR_NAME_TAKEN: c_int = -19;
/// A process died while it had a lock, or in the middle of a write: what that guards may be half
/// changed.
pub const AREAS_ERROR_OWNER_DIED: c_int = -20;

/// The number of a kind.
pub(super) fn number_of(kind: ErrorKind) -> c_int {
    match kind {
        ErrorKind::InvalidInput => AREAS_ERROR_INVALID_INPUT,
        ErrorKind::OutOfRange => AREAS_ERROR_OUT_OF_RANGE,
        ErrorKind::NodeNotAllowed => AREAS_ERROR_NODE_NOT_ALLOWED,
        ErrorKind::NoSuchArea => AREAS_ERROR_NO_SUCH_AREA,
        ErrorKind::NoSuchTeam => AREAS_ERROR_NO_SUCH_TEAM,
        ErrorKind::NoMemory => AREAS_ERROR_NO_MEMORY,
        ErrorKind::AddressInUse => AREAS_ERROR_ADDRESS_IN_USE,
        ErrorKind::Limit => AREAS_ERROR_LIMIT,
        ErrorKind::NotPermitted => AREAS_ERROR_NOT_PERMITTED,
        ErrorKind::Unreadable => AREAS_ERROR_UNREADABLE,
        ErrorKind::Busy => AREAS_ERROR_BUSY,
        ErrorKind::Frozen => AREAS_ERROR_FROZEN,
        ErrorKind::ReadOnly => AREAS_ERROR_READ_ONLY,
        ErrorKind::Registry => AREAS_ERROR_REGISTRY,
        ErrorKind::Unsupported => AREAS_ERROR_UNSUPPORTED,
        ErrorKind::TimedOut => AREAS_ERROR_TIMED_OUT,
        ErrorKind::Io => AREAS_ERROR_IO,
        ErrorKind::NameTaken => AREAS_ERROR_NAME_TAKEN,
        ErrorKind::OwnerDied => AREAS_ERROR_OWNER_DIED,
        _ => AREAS_ERROR_SYSTEM,
    }
}

/// The kind of a number; what is none is an error of the system.
pub(super) fn kind_of(number: c_int) -> ErrorKind {
    ErrorKind::ALL.into_iter().find(|&kind| number_of(kind) == number).unwrap_or(ErrorKind::System)
}

/// An argument that makes no sense.
pub(super) fn invalid(what: &'static str, detail: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, what).with_facts(detail)
}

fn panicked() -> Error {
    Error::new(ErrorKind::System, "do it")
        .with_facts("libareas panicked: a bug of its own, reported on stderr")
}

/// Keeps an error as this thread's last one, and gives its number.
pub(super) fn failed(error: Error) -> c_int {
    let number = number_of(error.kind());
    keep(error);
    number
}

/// The body of a function that gives a number: 0 or more, or that of an error.
pub(super) fn number(body: impl FnOnce() -> Result<c_int>) -> c_int {
    catch_panic(None, || Some(body())).unwrap_or_else(|| Err(panicked())).unwrap_or_else(failed)
}

/// The body of a function that succeeds or fails.
pub(super) fn status(body: impl FnOnce() -> Result<()>) -> c_int {
    number(|| body().map(|()| 0))
}

/// The body of a function that makes something: a pointer to it, or NULL.
pub(super) fn made<T>(body: impl FnOnce() -> Result<T>) -> *mut T {
    made_or_not_yet(|| body().map(Some)).unwrap_or(std::ptr::null_mut())
}

/// The same of a part of a wait: nothing where it goes on.
pub(super) fn made_or_not_yet<T>(body: impl FnOnce() -> Result<Option<T>>) -> Option<*mut T> {
    // In a box at once: a handle is some 500 bytes, which each step outwards would copy.
    let boxed = || Some(body().map(|value| value.map(|value| Box::into_raw(Box::new(value)))));
    match catch_panic(None, boxed).unwrap_or_else(|| Err(panicked())) {
        Ok(value) => value,
        Err(error) => {
            failed(error);
            Some(std::ptr::null_mut())
        }
    }
}

/// A string of C's.
///
/// # Safety
/// NULL or a string that outlives the answer.
pub(super) unsafe fn text<'a>(text: *const c_char, what: &'static str) -> Result<&'a CStr> {
    match text.is_null() {
        true => Err(invalid(what, "the string is NULL")),
        // SAFETY: a string (the caller's promise) that is not NULL (checked).
        false => Ok(unsafe { CStr::from_ptr(text) }),
    }
}

/// The error of this thread's last call that failed: one of the numbers above, 0 if none failed
/// yet. It is the same for BeOS's and AML's calls.
#[unsafe(no_mangle)]
pub extern "C" fn areas_error_number() -> c_int {
    look(|error| number_of(error.kind())).unwrap_or(0)
}

/// The kernel's own number (errno) behind the last failure of this thread; 0 if it was not the
/// kernel that refused.
#[unsafe(no_mangle)]
pub extern "C" fn areas_error_errno() -> c_int {
    look(|error| error.errno().map_or(0, areas::Errno::raw)).unwrap_or(0)
}

/// The last failure of this thread in one line: what was tried, with which values, what the kernel
/// said. An empty string if nothing failed yet. It is valid until the next call of this thread that
/// fails; so are the other two.
#[unsafe(no_mangle)]
pub extern "C" fn areas_error_text() -> *const c_char {
    catch_panic(c"".as_ptr(), || in_words(Words::Line))
}

/// The same, and on a second line what to do about it, where that is known.
#[unsafe(no_mangle)]
pub extern "C" fn areas_error_help() -> *const c_char {
    catch_panic(c"".as_ptr(), || in_words(Words::Help))
}

/// What to do about the last failure of this thread; an empty string where that is not known.
#[unsafe(no_mangle)]
pub extern "C" fn areas_error_remedy() -> *const c_char {
    catch_panic(c"".as_ptr(), || in_words(Words::Remedy))
}

/// Sets the last error of this thread: for providers of one's own, which then return the number.
/// `what` completes the sentence "cannot ..."; `help` says what to do, or is NULL. The number comes
/// back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_error_set(number: c_int, what: *const c_char, help: *const c_char) -> c_int {
    self::number(|| {
        // SAFETY: NULL or a string (C's promise).
        let what = unsafe { text(what, "set an error") }?;
        if !(AREAS_ERROR_SYSTEM..=AREAS_ERROR_INVALID_INPUT).contains(&number) {
            return Err(invalid(
                "set an error",
                "the number is none of AREAS_ERROR_INVALID_INPUT to AREAS_ERROR_SYSTEM",
            ));
        }
        let error = Error::new(kind_of(number), what.to_string_lossy().into_owned());
        // SAFETY: NULL or a string (C's promise).
        Err(match unsafe { text(help, "set an error") } {
            Ok(help) => error.with_remedy(help.to_string_lossy().into_owned()),
            Err(_) => error,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_kinds_belong_together() {
        for number in AREAS_ERROR_SYSTEM..=AREAS_ERROR_INVALID_INPUT {
            assert_eq!(number_of(kind_of(number)), number);
        }
        assert_eq!(kind_of(7), ErrorKind::System);
    }

    #[test]
    fn a_panic_is_an_error_with_words() {
        assert_eq!(number(|| panic!("as asked by a test")), AREAS_ERROR_SYSTEM);
        assert!(made::<u8>(|| panic!("as asked by a test")).is_null());
        assert!(look(ToString::to_string).unwrap().contains("panicked"));
    }
}
