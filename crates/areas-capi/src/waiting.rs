//! Waits that end when their thread is cancelled (`pthread_cancel`).
//!
//! A cancelled thread unwinds from where it waits, and no frame of Rust that has something to drop
//! may be on the way. Inside a call cancellation is disabled ([`crate::edge`]); so a wait is made
//! of short calls, and between them the thread looks whether it is cancelled, with nothing in its
//! hands: no mutex, no mapping, no descriptor. The functions that wait are `extern "C-unwind"`.

#![expect(unsafe_code, reason = "cancellation points of the C library; each block has its proof")]

use std::ffi::{c_int, c_uint, c_void};
use std::time::{Duration, Instant};

unsafe extern "C-unwind" {
    fn pthread_testcancel();
    fn nanosleep(time: *const libc::timespec, left: *mut libc::timespec) -> c_int;
    fn waitpid(child: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn recv(socket: c_int, into: *mut c_void, size: usize, flags: c_int) -> isize;
}

/// The first steps are short, as most waits are; the longest are what a cancelled thread may still
/// wait.
const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(160);

/// A part of a wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// How long it may last; `None` waits forever.
    pub(crate) time: Option<Duration>,
    /// Whether the whole wait is over after it.
    pub(crate) last: bool,
}

/// Waits for `time`, in steps, until one of them has an answer, which the last one has to have.
/// Ends in the middle if the thread is cancelled: neither `step` nor the caller's frame may have
/// anything to drop.
pub(crate) fn in_steps<T>(time: Option<Duration>, mut step: impl FnMut(Step) -> Option<T>) -> T {
    const { assert!(!std::mem::needs_drop::<T>(), "it would be lost") };
    let begun = Instant::now();
    let cancellable = crate::edge::may_be_cancelled();
    let mut longest = FIRST;
    loop {
        // SAFETY: a cancelled thread unwinds from here through this frame and its callers', which
        // have nothing to drop.
        unsafe { pthread_testcancel() };
        let left = time.map(|time| time.saturating_sub(begun.elapsed()));
        let part = if cancellable { Some(left.map_or(longest, |left| left.min(longest))) } else { left };
        if let Some(answer) = step(Step { time: part, last: part == left }) {
            return answer;
        }
        longest = (longest * 2).min(LONGEST);
    }
}

/// Sleeps, or until a signal comes: then `false`. A cancellation point.
pub(crate) fn sleep(time: Duration) -> bool {
    let time = libc::timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    };
    // SAFETY: the time outlives the call. A cancelled thread unwinds from here through this frame
    // and its callers', which have nothing to drop.
    unsafe { nanosleep(&raw const time, std::ptr::null_mut()) == 0 }
}

/// Waits for a child to end: its wait status, or an error. A cancellation point.
pub(crate) fn wait_for_child(child: c_int) -> Result<c_int, rustix::io::Errno> {
    let mut status = 0;
    // SAFETY: there is room for the status. A cancelled thread unwinds from here through this frame
    // and its callers', which have nothing to drop.
    let waited = unsafe { waitpid(child, &raw mut status, 0) };
    if waited == child { Ok(status) } else { Err(last_errno()) }
}

/// Waits until something has come over a socket, as receiving it does: not where the socket does
/// not wait. A cancellation point.
pub(crate) fn wait_for_bytes(socket: c_int) {
    // One that waits for a time only is to wait for it once.
    if !waits_for_ever(socket) {
        return;
    }
    let mut byte = 0_u8;
    // SAFETY: there is room for one byte, which stays where it is. A cancelled thread unwinds from
    // here through this frame and its callers', which have nothing to drop. What is wrong with the
    // socket is reported by the receiving call.
    unsafe { recv(socket, (&raw mut byte).cast(), 1, libc::MSG_PEEK) };
}

/// Whether a socket has no time-out for receiving.
fn waits_for_ever(socket: c_int) -> bool {
    let mut time = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let mut size = c_uint::try_from(size_of_val(&time)).unwrap_or(0);
    // SAFETY: the kernel writes no more than `size` bytes into the structure, and the size;
    // whatever the number means, it changes nothing.
    let status = unsafe {
        libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, (&raw mut time).cast(), &raw mut size)
    };
    status == 0 && time.tv_sec == 0 && time.tv_usec == 0
}

fn last_errno() -> rustix::io::Errno {
    let error = std::io::Error::last_os_error();
    rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_become_longer_and_end_with_the_wait() {
        let (mut times, mut lasts) = (Vec::new(), Vec::new());
        let whole = Duration::from_millis(100);
        let begun = Instant::now();
        let answer = in_steps(Some(whole), |step| {
            times.push(step.time.unwrap());
            lasts.push(step.last);
            std::thread::sleep(step.time.unwrap());
            step.last.then_some(7)
        });
        assert_eq!(answer, 7);
        assert!(begun.elapsed() >= whole);
        assert!(times[0] == FIRST && times.iter().all(|&time| time <= LONGEST), "{times:?}");
        let last = lasts.pop();
        assert!(last == Some(true) && !lasts.contains(&true), "{lasts:?} {last:?}");
        // Who does not wait looks once.
        assert_eq!(in_steps(Some(Duration::ZERO), |step| step.last.then_some(1)), 1);
    }

    #[test]
    fn who_cannot_be_cancelled_waits_in_one_step() {
        let step = crate::edge::catch_panic(None, || Some(in_steps(None, Some)));
        assert!(step.is_some_and(|step| step.time.is_none() && step.last));
    }
}
