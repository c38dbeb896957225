//! Leases: the kernel's own word on whether anybody else has a file open.
//!
//! A write lease is given only where no other open file of that inode is there that was opened for
//! reading or writing, however it is kept: by a descriptor of any process in any namespace, by a
//! mapping alone, in the queue of a socket, by a ring of `io_uring`, by a loop device, as a program
//! that runs. What it does not count are descriptors that open nothing (`O_PATH`). While it is
//! held, a process that opens the file waits (or gets EWOULDBLOCK, if it would not wait) until the
//! lease is released, or `/proc/sys/fs/lease-break-time` has passed.

#![expect(unsafe_code, reason = "fcntl calls that no wrapper has; each block has its proof")]

use std::os::fd::{AsRawFd, BorrowedFd};

use super::Result;
use super::memory::last_errno;

/// The C library's crate has no name for it.
#[expect(clippy::cast_possible_wrap, reason = "a small number")]
const F_SETSIG: i32 = linux_raw_sys::general::F_SETSIG as i32;

/// Takes a write lease on an open file, which was opened for reading alone: EAGAIN if anybody else
/// has it open, EACCES for who neither owns the file nor has CAP_LEASE, EINVAL where its file
/// system has no leases.
pub(crate) fn take(file: BorrowedFd<'_>) -> Result<()> {
    // The process to be notified that another waits is this one: by a signal that does nothing to
    // it unless it asked for that, and not by SIGIO, which would end it.
    fcntl(file, F_SETSIG, libc::SIGURG)?;
    fcntl(file, libc::F_SETLEASE, libc::F_WRLCK).map(drop)
}

/// Whether the lease is held and no process waits for its end.
pub(crate) fn is_whole(file: BorrowedFd<'_>) -> Result<bool> {
    // Where a process waits, the kernel reports what the lease has to become.
    fcntl(file, libc::F_GETLEASE, 0).map(|lease| lease == libc::F_WRLCK)
}

/// Ends the lease: a process that waits for that goes on.
pub(crate) fn give_back(file: BorrowedFd<'_>) -> Result<()> {
    fcntl(file, libc::F_SETLEASE, libc::F_UNLCK).map(drop)
}

fn fcntl(file: BorrowedFd<'_>, command: i32, argument: i32) -> Result<i32> {
    // SAFETY: these three commands take a number, or nothing, and touch no memory of this process.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    if answer < 0 { Err(last_errno()) } else { Ok(answer) }
}
