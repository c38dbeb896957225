//! Sleeping on a word of shared memory, and waking those who do.

#![expect(unsafe_code, reason = "system calls that take addresses; each block has its proof")]

use std::time::Duration;

use super::Result;
use super::memory::last_errno;

/// Sleeps while the word is `expected`, for no longer than `longest`. The kernel reads the word: where nothing is mapped, or
/// the file behind it is too short, that is an error (EFAULT), and no signal.
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

/// Wakes everybody who sleeps on the word, in all processes.
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
