//! What the standard library does not have: `fork` without exec, and dying in ways that run
//! nothing.

#![expect(unsafe_code, reason = "fork, _exit and abort have no safe wrapper; each block has its proof")]

use std::io;

/// Which of the two we are after a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forked {
    Child,
    Parent { child: i32 },
}

/// Forks by the C library, whose handlers keep its allocator, and the library under test, whole.
pub(crate) fn fork() -> io::Result<Forked> {
    // SAFETY: the C library's handlers keep the allocator usable in the child of a program with
    // several threads. The child uses no mutex of ours that another thread could have held: the
    // storm's threads share none.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        child => Ok(Forked::Parent { child }),
    }
}

/// Ends the process without a destructor or exit handler.
pub(crate) fn leave(status: i32) -> ! {
    // SAFETY: it takes a number and does not return.
    unsafe { libc::_exit(status) }
}

/// Ends the process by an access to no memory: for the test that such an end is noticed.
pub(crate) fn crash() -> ! {
    // SAFETY: raises a signal in this process, whose default action ends it.
    unsafe { libc::raise(libc::SIGSEGV) };
    leave(99)
}
