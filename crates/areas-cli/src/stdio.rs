//! Which of the standard input, output and error were closed when this process was started.
//!
//! Before `main`, Rust's runtime opens `/dev/null` under those of the three numbers that are
//! closed, so that no file that the program opens comes to have one of them. From then on nothing
//! distinguishes a closed output from one that goes to `/dev/null`: what is printed would be lost,
//! and the command would say that all went well. So it is looked before that, by a function that
//! the C library calls before `main`.

#![expect(unsafe_code, reason = "names a section of the program's file; the attribute has its proof")]

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::stdio::{stderr, stdin, stdout};

static CLOSED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

// SAFETY: the section is an array of functions which the C library calls before `main`, with three
// arguments that a function of C need not take (System V ABI, "Initialization and Termination
// Functions"). This is one; it makes system calls and stores to atomics, and uses nothing of the
// standard library that would have to be set up.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    for (descriptor, closed) in standard().into_iter().zip(&CLOSED) {
        closed.store(fcntl_getfd(descriptor) == Err(Errno::BADF), Ordering::Relaxed);
    }
}

fn standard() -> [BorrowedFd<'static>; 3] {
    [stdin(), stdout(), stderr()]
}

/// Commands that are started find closed what was closed for us, and not the runtime's `/dev/null`.
pub(crate) fn pass_on() {
    for (descriptor, closed) in standard().into_iter().zip(&CLOSED) {
        if closed.load(Ordering::Relaxed) {
            // Where it cannot be said, they find an open one.
            let _ = fcntl_setfd(descriptor, FdFlags::CLOEXEC);
        }
    }
}

/// Whether the standard input can be read: what the kernel would have said.
pub(crate) fn input() -> io::Result<()> {
    open(0)
}

/// Whether the standard output can be written: what the kernel would have said.
pub(crate) fn output() -> io::Result<()> {
    open(1)
}

fn open(number: usize) -> io::Result<()> {
    match CLOSED[number].load(Ordering::Relaxed) {
        true => Err(Errno::BADF.into()),
        false => Ok(()),
    }
}
