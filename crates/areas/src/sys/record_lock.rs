//! POSIX record locks on whole files: the kernel's own word on whether a process still lives.
//!
//! Such a record lock belongs to the process: fork does not pass it on, and exit, exec and kill
//! drop it. The trap: closing *any* descriptor of the file in the owner drops it too, so the owner
//! opens its own file once and never again.

#![expect(unsafe_code, reason = "the wrapper at hand stumbles over the owner -1 of OFD record locks")]

use std::os::fd::{AsRawFd, BorrowedFd};

use super::Result;
use super::memory::last_errno;

#[expect(clippy::cast_possible_truncation, reason = "the constants are 0 and 1")]
const fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Takes the record lock of the whole file for this process, or gives EAGAIN or EACCES if another
/// process has it.
pub(crate) fn take(file: BorrowedFd<'_>) -> Result<()> {
    let request = whole_file();
    // SAFETY: the structure outlives the call, which only reads it.
    let status =
        unsafe { libc::syscall(libc::SYS_fcntl, file.as_raw_fd(), libc::F_SETLK, &raw const request) };
    if status == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Which process has a record lock on the file: its number in our pid namespace, or 0 or -1 where
/// it has none.
///
/// Record locks of this process do not show: for them the answer is `None`.
pub(crate) fn owner(file: BorrowedFd<'_>) -> Result<Option<i32>> {
    let mut question = whole_file();
    // SAFETY: the structure outlives the call, which writes only into it.
    let status =
        unsafe { libc::syscall(libc::SYS_fcntl, file.as_raw_fd(), libc::F_GETLK, &raw mut question) };
    match status {
        0 if i32::from(question.l_type) == libc::F_UNLCK => Ok(None),
        0 => Ok(Some(question.l_pid)),
        _ => Err(last_errno()),
    }
}

/// Whether no process has a record lock on the file, this one included: then to close a descriptor
/// of it drops none.
pub(crate) fn is_unlocked(file: BorrowedFd<'_>) -> Result<bool> {
    // Asked as by an open file of its own, so that locks of this process show as well.
    let mut question = whole_file();
    // SAFETY: the structure outlives the call, which writes only into it.
    let status =
        unsafe { libc::syscall(libc::SYS_fcntl, file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut question) };
    if status == 0 { Ok(i32::from(question.l_type) == libc::F_UNLCK) } else { Err(last_errno()) }
}
