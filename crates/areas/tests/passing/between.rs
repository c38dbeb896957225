//! A sender that changes the memory between any two of the receiver's system calls: stopped at each
//! of them by ptrace, the receiver gets an error or an area, and reads all of it without a signal.

#![expect(unsafe_code, reason = "forks, and stops the child at its system calls; each block has its proof")]

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering::Relaxed;

use areas::Received;
use rustix::fs::{MemfdFlags, SealFlags};

use super::support::skip;
use super::{FIXED, forge, growable_message, memfd, pair, plain_message};

/// Runs `does` in a forked child, with `change` before the child enters, or leaves, its system call
/// of that number. Whether the child came so far; `None` if it must not be traced here.
fn stopped_at(stop: usize, does: impl FnOnce(), change: impl Fn()) -> Option<bool> {
    // SAFETY: the child makes calls that are made for forked children, and ends.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: numbers only.
        let traced = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
        if traced != 0 {
            // SAFETY: ends this process, without the handlers of the parent's.
            unsafe { libc::_exit(77) };
        }
        // SAFETY: stops this process until its tracer has it go on.
        unsafe { libc::raise(libc::SIGSTOP) };
        does();
        // SAFETY: ends this process, without the handlers of the parent's.
        unsafe { libc::_exit(0) };
    }
    let wait = || {
        let mut status = 0;
        // SAFETY: there is room for a number.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        status
    };
    let mut status = wait();
    let mut stops = 0;
    while libc::WIFSTOPPED(status) {
        let signal = libc::WSTOPSIG(status);
        if signal == libc::SIGTRAP {
            if stops == stop {
                change();
            }
            stops += 1;
        }
        let passed_on = if [libc::SIGTRAP, libc::SIGSTOP].contains(&signal) { 0 } else { signal };
        // SAFETY: numbers only; the child is stopped, and ours.
        let going = unsafe { libc::ptrace(libc::PTRACE_SYSCALL, child, 0, passed_on) };
        assert_eq!(going, 0);
        status = wait();
    }
    if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 77 {
        return None;
    }
    assert!(!libc::WIFSIGNALED(status), "killed by signal {} at stop {stop}", libc::WTERMSIG(status));
    assert_eq!(libc::WEXITSTATUS(status), 0, "at stop {stop}");
    Some(stops > stop)
}

/// Receives and reads all of it.
fn receive_all(socket: BorrowedFd<'_>) {
    match areas::receive(socket) {
        Ok(Received::Shared(area)) => {
            let size = area.size();
            let mut bytes = vec![0; size];
            area.read_at(0, &mut bytes).unwrap();
            if let Some(last) = size.checked_sub(1) {
                assert_eq!(area.load::<u8>(last, Relaxed).unwrap(), 0);
            }
        }
        Ok(Received::Frozen(area)) => assert!(area.iter().all(|&byte| byte == 0)),
        Ok(other) => panic!("{other:?}"),
        Err(_) => {}
    }
}

/// Sealed against writers before any of the receiver's calls, it comes all the same: for reading,
/// if it was before it was mapped.
#[test]
fn who_seals_in_between_keeps_no_process_from_it() {
    let name = "passing::between::who_seals_in_between_keeps_no_process_from_it";
    for stop in 0.. {
        let (ours, theirs) = pair();
        let fd = memfd(1 << 20, MemfdFlags::empty(), FIXED);
        forge(&ours, &plain_message(), &[fd.as_fd()]);
        let receive = || drop(areas::receive(&theirs).unwrap());
        let seal = || rustix::fs::fcntl_add_seals(&fd, SealFlags::FUTURE_WRITE).unwrap();
        match stopped_at(stop, receive, seal) {
            Some(true) => {}
            Some(false) => return,
            None => return skip(name, "PTRACE_TRACEME is refused"),
        }
    }
}

fn at_every_call(name: &str, message: &[u8], seals: SealFlags) {
    const SIZE: u64 = 1 << 20;
    for stop in 0.. {
        let (ours, theirs) = pair();
        let fd = memfd(SIZE, MemfdFlags::empty(), SealFlags::empty());
        forge(&ours, message, &[fd.as_fd()]);
        let cut_and_seal = || {
            rustix::fs::ftruncate(&fd, 0).unwrap();
            // Refused while the receiver has it mapped for writing; the receiver has refused it
            // then, or knows the size.
            let _ = rustix::fs::fcntl_add_seals(&fd, seals);
        };
        match stopped_at(stop, || receive_all(theirs.as_fd()), cut_and_seal) {
            Some(true) => {}
            Some(false) => {
                assert!(stop > 10, "a receiver makes more calls than that");
                return;
            }
            None => return skip(name, "PTRACE_TRACEME is refused"),
        }
    }
}

#[test]
fn a_size_is_true_behind_the_seals() {
    let name = "passing::between::a_size_is_true_behind_the_seals";
    at_every_call(name, &plain_message(), FIXED);
    at_every_call(name, &growable_message(4 << 20), SealFlags::SHRINK);
    at_every_call(name, &plain_message(), FIXED | SealFlags::WRITE);
}
