//! The few calls of an agent for which there is no safe function.

#![expect(
    unsafe_code,
    reason = "fork, the end of one thread, and memory that others read; each block has its proof"
)]

use std::io;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// An agent begins here, before `main`: libtest would run it on a second thread, and what agents are for (other users, a
/// leader that leaves, fork) needs a process whose only thread is its leader.
// SAFETY: `.init_array` holds pointers to functions that the C library calls, one after the other, before `main`; it is
// given one, of that type. What it uses of `std` (the environment, sockets, files) needs no set-up by `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

extern "C" fn begin() {
    super::serve::begin();
}

/// Forks; `None` in the child.
///
/// For agents only. The C library sees to its own state, and this library to its; an agent's other threads, if it has any,
/// hold nothing else.
pub(crate) fn fork() -> io::Result<Option<u32>> {
    // SAFETY: the child goes on with what is safe after a fork: the C library's own calls, and this library, whose state no
    // other thread is in the middle of changing (its handlers of fork see to that).
    match unsafe { libc::fork() } {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        child => Ok(Some(child.unsigned_abs())),
    }
}

/// Goes into a new user namespace.
pub(crate) fn new_user_namespace() -> io::Result<()> {
    // SAFETY: the descriptor table is not touched (no CLONE_FILES).
    Ok(unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }?)
}

/// Ends the calling thread, and no other: nothing of what is on its stack is dropped.
pub(crate) fn end_thread() -> ! {
    loop {
        // SAFETY: the call does not come back. Nobody joins this thread, and what its stack holds was moved elsewhere before
        // or is never used again.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
}

/// A shared, writable mapping of a file, for ever: what a hostile owner has of its own table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scratch {
    base: NonNull<u64>,
    words: usize,
}

// SAFETY: it is an address and a length; whoever uses it makes whole volatile stores, in any order, to memory that nobody
// has a reference to.
unsafe impl Send for Scratch {}

impl Scratch {
    pub(crate) fn new(file: impl AsFd, bytes: usize) -> io::Result<Self> {
        // SAFETY: the kernel chooses the addresses: nobody else's mapping is replaced.
        let base = unsafe {
            mmap(std::ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, 0)
        }?;
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped at 0"))?;
        Ok(Scratch { base, words: bytes / 8 })
    }

    pub(crate) fn words(self) -> usize {
        self.words
    }

    /// Stores one word; beyond the end nothing.
    pub(crate) fn put(self, index: usize, word: u64) {
        if index < self.words {
            // SAFETY: inside the mapping, as was just checked.
            let at = unsafe { self.base.add(index) };
            // SAFETY: mapped for writing for ever, aligned as mappings are, and the file behind it is sealed against
            // shrinking or never shrunk.
            unsafe { at.write_volatile(word) };
        }
    }
}
