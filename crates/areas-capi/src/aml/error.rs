//! AML's error numbers, `aml_errno`, and what an error of the library is among them.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;
use std::io::Write as _;
use std::ptr::NonNull;

use areas::{Error, ErrorKind};

use crate::edge::catch_panic;

/// `AML_*` of `aml/utils/error.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Code {
    Failure = 1,
    NoMemory = 2,
    Invalid = 3,
    Domain = 4,
    Unsupported = 5,
    Busy = 6,
    NotPermitted = 7,
}

pub(super) const SUCCESS: c_int = 0;

/// Where the addresses of programs end, unless they ask for more by a hint: ranges that a call has
/// failed about are held against it, and sizes.
pub(super) const ADDRESSES: usize = if cfg!(target_arch = "x86_64") { 1 << 47 } else { 1 << 48 };

thread_local! {
    static ERRNO: Cell<c_int> = const { Cell::new(SUCCESS) };
}

/// Where this thread's `aml_errno` is. The macro of that name in `aml/utils/error.h` calls it.
#[unsafe(no_mangle)]
extern "C" fn aml_errno_location() -> *mut c_int {
    // A plain number: it has no destructor, and so is there until the thread is gone.
    ERRNO.with(Cell::as_ptr)
}

/// Which of AML's numbers an error is.
pub(super) fn code_of(error: &Error) -> Code {
    match error.kind() {
        ErrorKind::NodeNotAllowed => Code::Domain,
        ErrorKind::NoMemory | ErrorKind::Limit => Code::NoMemory,
        // More than there are addresses makes no sense to the library, and is ENOMEM to the kernel,
        // as it was to AML.
        ErrorKind::InvalidInput if error.errno() == Some(areas::Errno::from_raw(libc::ENOMEM)) => {
            Code::NoMemory
        }
        ErrorKind::InvalidInput | ErrorKind::OutOfRange => Code::Invalid,
        ErrorKind::AddressInUse | ErrorKind::Busy | ErrorKind::NameTaken => Code::Busy,
        ErrorKind::NotPermitted | ErrorKind::ReadOnly | ErrorKind::Frozen | ErrorKind::Unreadable => {
            Code::NotPermitted
        }
        ErrorKind::Unsupported => Code::Unsupported,
        _ => match error.errno().map(areas::Errno::raw) {
            Some(libc::ENOMEM | libc::ENFILE | libc::EMFILE | libc::EAGAIN | libc::ENOSPC) => Code::NoMemory,
            Some(libc::EINVAL | libc::EFAULT | libc::EBADF | libc::EOVERFLOW) => Code::Invalid,
            Some(libc::EPERM | libc::EACCES) => Code::NotPermitted,
            Some(libc::EBUSY | libc::EEXIST | libc::ETXTBSY) => Code::Busy,
            Some(libc::ENODEV | libc::ENOSYS | libc::EOPNOTSUPP) => Code::Unsupported,
            _ => Code::Failure,
        },
    }
}

/// A failure that the caller of a function that returns numbers gets: negative; `aml_errno`
/// and the last error are set.
pub(super) fn failed(error: Error) -> c_int {
    let code = code_of(&error);
    crate::error::keep(error);
    set(code);
    -(code as c_int)
}

/// The same of a call about a range: one that reaches beyond all addresses is out of memory, as
/// mmap(2) says of such a size, and not one of the many that are wrong in themselves.
pub(super) fn failed_at(error: Error, start: NonNull<u8>, size: usize) -> c_int {
    let beyond = start.addr().get().checked_add(size).is_none_or(|end| end > ADDRESSES);
    failed(if beyond { too_much(error, size) } else { error })
}

/// The same of a call that maps so many bytes.
pub(super) fn failed_for(error: Error, size: usize) -> c_int {
    failed(if size > ADDRESSES { too_much(error, size) } else { error })
}

fn too_much(error: Error, size: usize) -> Error {
    match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::OutOfRange => {
            Error::new(ErrorKind::NoMemory, format!("use {size} bytes"))
                .with_facts("that is more than there are addresses")
                .caused_by(error)
        }
        _ => error,
    }
}

/// The same for arguments that make no sense.
pub(super) fn invalid(what: &'static str, detail: &'static str) -> c_int {
    failed(Error::new(ErrorKind::InvalidInput, what).with_facts(detail))
}

/// The same where there is no memory left for what the call has to note.
pub(super) fn no_memory(what: &'static str) -> c_int {
    failed(Error::new(ErrorKind::NoMemory, what).with_facts("malloc has none left"))
}

/// The same for functions that give pointers.
pub(super) fn null<T>(failure: c_int) -> *mut T {
    debug_assert!(failure < 0, "the failure was reported to aml_errno already");
    std::ptr::null_mut()
}

fn set(code: Code) {
    ERRNO.with(|errno| errno.set(code as c_int));
}

/// What this thread's `aml_errno` is, negative, as functions give it: for calls that failed in
/// other code.
pub(super) fn reported_by_others() -> c_int {
    match ERRNO.with(Cell::get) {
        // Those who give numbers give them negative; some put them there as they are.
        code @ 1..=7 => -code,
        code @ -7..=-1 => code,
        _ => {
            set(Code::Failure);
            -(Code::Failure as c_int)
        }
    }
}

/// This thread's `aml_errno` and last error, put aside.
#[derive(Debug)]
pub(super) struct Before(c_int, Option<crate::error::Kept>);

/// Puts `aml_errno` and the last error aside, so that a failure of other code can be distinguished
/// from what was there before.
pub(super) fn save_errors() -> Before {
    Before(ERRNO.with(|errno| errno.replace(SUCCESS)), crate::error::take())
}

impl Before {
    /// After a call that succeeded, which leaves both as they were, the words that C may still have
    /// among them.
    pub(super) fn put_back(self) {
        ERRNO.with(|errno| errno.set(self.0));
        crate::error::put_back(self.1);
    }

    /// After one that failed: what it said stands; where it said nothing, so does what was said
    /// before.
    pub(super) fn give_way(self) {
        if crate::error::look(|_| ()).is_none() {
            crate::error::put_back(self.1);
        }
    }
}

/// What `catch_panic` gives where a function of ours panicked.
pub(super) fn broken() -> c_int {
    -(Code::Failure as c_int)
}

#[unsafe(no_mangle)]
extern "C" fn aml_strerror(code: c_int) -> *const c_char {
    text(code).as_ptr()
}

fn text(code: c_int) -> &'static CStr {
    match code {
        0 => c"Success",
        1 => c"Failure without a known cause",
        2 => c"Out of memory",
        3 => c"Invalid argument",
        4 => c"Value outside of what is allowed",
        5 => c"Not supported here",
        6 => c"Resource busy",
        7 => c"Not permitted",
        _ => c"Unknown error",
    }
}

unsafe extern "C" {
    /// libc's standard error stream. A program may put another one into it at any time.
    static mut stderr: *mut libc::FILE;
}

/// Prints `message: what aml_errno means` on stderr; without a message, the meaning alone.
///
/// # Safety
/// `message` is NULL or a string.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_perror(message: *const c_char) {
    catch_panic((), || {
        let meaning = text(ERRNO.with(Cell::get)).to_bytes();
        let before: [&[u8]; 2] = match message.is_null() {
            true => [b"", b""],
            // SAFETY: a string (the caller's promise) that is not null (checked).
            false => [unsafe { CStr::from_ptr(message) }.to_bytes(), b": "],
        };
        let line = [before[0], before[1], meaning, b"\n"].concat();
        // SAFETY: it is there as long as libc, which sets it up before `main`; who writes to it in
        // the meantime answers for the order, as in C.
        let stream = unsafe { stderr };
        // Where stderr is closed, it cannot be reported.
        let _ = print(stream, &line);
    });
}

/// Writes a line to a C stream, behind a prefix, in one piece; a failure as a number.
pub(super) fn print_line(stream: *mut libc::FILE, before: &[u8], line: fmt::Arguments<'_>) -> c_int {
    // Room for most lines at once.
    let mut text = Vec::with_capacity(before.len() + 128);
    text.extend_from_slice(before);
    // A vector takes it all.
    let _ = writeln!(text, "{line}");
    print(stream, &text)
}

/// Writes to a C stream, and gives a failure back as a number.
pub(super) fn print(stream: *mut libc::FILE, text: &[u8]) -> c_int {
    if stream.is_null() {
        return invalid("print", "the stream is NULL");
    }
    // SAFETY: the text has that many bytes; the stream is a C program's, who promised that it is
    // one (checked not to be null).
    let written = unsafe { libc::fwrite(text.as_ptr().cast::<c_void>(), 1, text.len(), stream) };
    if written == text.len() {
        return SUCCESS;
    }
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    failed(Error::new(ErrorKind::Io, "print").with_system_call(
        format!("fwrite(…, {}): {written} bytes written", text.len()),
        areas::Errno::from_raw(errno),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_become_numbers() {
        let plain = |kind| Error::new(kind, "test");
        let system = |errno| {
            Error::new(ErrorKind::System, "test").with_system_call("test()", areas::Errno::from_raw(errno))
        };
        let cases = [
            (plain(ErrorKind::NodeNotAllowed), Code::Domain),
            (plain(ErrorKind::NoMemory), Code::NoMemory),
            (plain(ErrorKind::Limit), Code::NoMemory),
            (plain(ErrorKind::InvalidInput), Code::Invalid),
            (
                plain(ErrorKind::InvalidInput)
                    .with_system_call("mmap()", areas::Errno::from_raw(libc::ENOMEM)),
                Code::NoMemory,
            ),
            (
                plain(ErrorKind::InvalidInput)
                    .with_system_call("mmap()", areas::Errno::from_raw(libc::EINVAL)),
                Code::Invalid,
            ),
            (plain(ErrorKind::OutOfRange), Code::Invalid),
            (plain(ErrorKind::AddressInUse), Code::Busy),
            (plain(ErrorKind::NotPermitted), Code::NotPermitted),
            (plain(ErrorKind::Unsupported), Code::Unsupported),
            (plain(ErrorKind::System), Code::Failure),
            (system(libc::ENFILE), Code::NoMemory),
            (system(libc::EFAULT), Code::Invalid),
            (system(libc::ENODEV), Code::Unsupported),
            (system(libc::ETXTBSY), Code::Busy),
            (system(libc::EIO), Code::Failure),
        ];
        for (error, code) in cases {
            assert_eq!(code_of(&error), code, "{error}");
            assert_eq!(failed(error), -(code as c_int));
            assert_eq!(reported_by_others(), -(code as c_int));
        }
    }
}
