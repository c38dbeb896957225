//! Sleeping on a word of shared memory, and waking those who do.

#![expect(unsafe_code, reason = "system calls that take addresses; each block has its proof")]

use std::time::Duration;

use super::Result;
use super::memory::last_errno;

/// Sleeps while the word is `expected`, for no longer than `longest`. The kernel reads the word:
/// where nothing is mapped, or the file behind it is too short, that is an error (EFAULT), and no
/// signal.
pub(crate) fn wait(word: *mut u8, expected: u32, longest: Duration) -> Result<()> {
    let timeout = libc::timespec {
        tv_sec: i64::try_from(longest.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: longest.subsec_nanos().into(),
    };
    // SAFETY: the kernel checks the address, and only reads it; the time outlives the call.
    let status = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word,
            libc::FUTEX_WAIT,
            expected,
            &raw const timeout,
            std::ptr::null::<u32>(),
            0,
        )
    };
    if status == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Wakes all threads that sleep on the word, in all processes.
pub(crate) fn wake_all(word: *mut u8) -> Result<()> {
    // SAFETY: the kernel checks the address, and does not access it.
    let status = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word,
            libc::FUTEX_WAKE,
            i32::MAX,
            std::ptr::null::<u32>(),
            std::ptr::null::<u32>(),
            0,
        )
    };
    if status >= 0 { Ok(()) } else { Err(last_errno()) }
}

/// Wakes one who sleeps on the word.
pub(crate) fn wake_one(word: *mut u8) -> Result<()> {
    // SAFETY: the kernel checks the address, and does not access it.
    let status = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word,
            libc::FUTEX_WAKE,
            1,
            std::ptr::null::<u32>(),
            std::ptr::null::<u32>(),
            0,
        )
    };
    if status >= 0 { Ok(()) } else { Err(last_errno()) }
}

/// Adds 1 to the word and wakes all that sleep on it: one call, so that no thread can be killed
/// between the two. The kernel accesses the word: where it may not be written, or nothing is behind
/// it, that is an error (EFAULT), and no signal.
///
/// It is a full barrier, as every atomic operation of the kernel's on a futex that returns what was
/// there.
pub(crate) fn add_one_and_wake_all(word: *mut u8) -> Result<()> {
    // `FUTEX_OP(ADD, 1, EQ, 0)`: the operation in the bits 28 to 30, the comparison in 24 to 27,
    // the operand in 12 to 23. If the word was 0, those who sleep on the second address are woken
    // as well, at most none.
    const ADD: u32 = 1 << 28;
    const ONE: u32 = 1 << 12;
    const NONE: usize = 0;
    // SAFETY: the kernel checks the address; the word is shared memory of which no reference is
    // made, and changed atomically.
    let status =
        unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE_OP, i32::MAX, NONE, word, ADD | ONE) };
    if status >= 0 { Ok(()) } else { Err(last_errno()) }
}
