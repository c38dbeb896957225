//! The system calls, one typed function each. Nothing else in the library makes one.
//!
//! `sys` knows no areas, takes no decisions and builds no messages: a function here takes checked
//! values, makes its call and returns the kernel's error number. What the kernel demands of the
//! arguments is written at the function, and the quirks (mbind's count of bits,
//! `MAP_FIXED_NOREPLACE` on kernels that ignore it) are known here and nowhere else.
//!
//! Functions that could invalidate memory of other code are `unsafe`; those that only ask, place,
//! lock or fault in are not: the worst that a wrong address makes of them is an error number.

pub(crate) mod checked_fd;
pub(crate) mod copy;
pub(crate) mod descriptor;
pub(crate) mod file;
pub(crate) mod foreign;
pub(crate) mod futex;
pub(crate) mod lease;
pub(crate) mod limits;
pub(crate) mod listening;
pub(crate) mod maps;
pub(crate) mod memory;
pub(crate) mod mounts;
pub(crate) mod number_path;
pub(crate) mod object;
pub(crate) mod pages;
pub(crate) mod policy;
pub(crate) mod probe;
pub(crate) mod process;
pub(crate) mod range_lock;
pub(crate) mod record_lock;
mod region;
mod retry;
pub(crate) mod sandbox;
pub(crate) mod signals;
pub(crate) mod socket;
pub(crate) mod sysv;
pub(crate) mod text;

use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) use rustix::io::Errno;

/// What a system call returns.
pub(crate) type Result<T> = rustix::io::Result<T>;

/// The size of a base page, asked of the kernel: once, as it never changes.
pub(crate) fn page_size() -> usize {
    /// 0 is not known yet. (No mutex: a forked child could inherit it held.)
    static SIZE: AtomicUsize = AtomicUsize::new(0);
    match SIZE.load(Ordering::Relaxed) {
        0 => {
            let size = rustix::param::page_size();
            SIZE.store(size, Ordering::Relaxed);
            size
        }
        known => known,
    }
}
