//! Marks on an area's memory that the kernel takes back when their process dies: for protocols
//! between the holders of an area that must not wait for a dead one forever.
//!
//! A mark is a record lock (OFD, fcntl(2)) on one byte far behind the end of the memory object, by
//! an open file of the mark's own. A mapping of one page, which may not be accessed, keeps that
//! file: no descriptor does, so that neither a limit of descriptors nor a program that closes all
//! it does not know is in the way. A forked child inherits the mapping, and the mark stays until
//! it, too, has ended or called exec: its other mappings of the memory are there as long.

use std::fmt;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::mapping::{Mapping, Plan, Sharing};
use crate::object::Object;
use crate::page::PageSize;
use crate::protection::Protection;
use crate::sys;
use crate::sys::memory::{At, MapFlags};
use crate::sys::range_lock::{self, Hold};

/// Where the bytes are that are locked: behind the end of every object that there can be in memory.
const FIRST: u64 = 1 << 62;

/// A mark on an area's memory; dropping it takes it back, as the end of the process does.
pub struct Presence {
    number: u32,
    pid: u32,
    forks: AtomicU64,
    /// What keeps the open file; none where it was left.
    mapping: Mutex<Option<Mapping>>,
}

impl Presence {
    /// Takes the first of the marks `numbers` that no process has; `None` if all are taken.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] for want of a descriptor, for the length of the call, or of a mapping;
    /// [`ErrorKind::NotPermitted`] for memory that may not be opened for writing;
    /// [`ErrorKind::System`] where `/proc` is not mounted.
    pub fn take(object: &Object, numbers: Range<u32>) -> Result<Option<Presence>> {
        const WHAT: &str = "mark an area's memory as in use";
        object.refuse_physical(|| WHAT.to_owned())?;
        let failed = |call: &'static str| {
            move |errno| Error::new(ErrorKind::System, WHAT).with_system_call(call, errno)
        };
        // Forks are counted from here on.
        crate::forking::ready().map_err(failed("pthread_atfork"))?;
        let file = object.reopen(sys::file::OFlags::RDWR, WHAT)?;
        for number in numbers {
            if !lock_byte(&file, &byte(number), WHAT)? {
                continue;
            }
            let mapping = keep(&file, object.page_size())?;
            let forks = AtomicU64::new(crate::forking::forks());
            let mapping = Mutex::new(Some(mapping));
            return Ok(Some(Presence { number, pid: sys::process::pid(), forks, mapping }));
        }
        Ok(None)
    }

    /// Whether a process has one of the marks: by another open file than the object's own.
    ///
    /// # Errors
    /// [`ErrorKind::System`] if the program has closed the object's descriptor.
    pub fn is_taken(object: &Object, numbers: Range<u32>) -> Result<bool> {
        const WHAT: &str = "check whether a process still uses an area's memory";
        let file = object.own_fd().map_err(|_| crate::object::closed(WHAT.to_owned()))?;
        range_lock::in_the_way(file, &(FIRST + u64::from(numbers.start)..FIRST + u64::from(numbers.end)))
            .map(|found| found.is_some())
            .map_err(|errno| {
                Error::new(ErrorKind::System, WHAT).with_system_call("fcntl(F_OFD_GETLK)", errno)
            })
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whether it is another process's, which has forked this one.
    #[must_use]
    pub fn is_inherited(&self) -> bool {
        let forks = crate::forking::forks();
        if self.forks.load(Ordering::Relaxed) == forks {
            return false;
        }
        if sys::process::pid() != self.pid {
            return true;
        }
        // It is the one that forked.
        self.forks.store(forks, Ordering::Relaxed);
        false
    }

    /// In a forked child: makes a mark its own that its parent took for it before. (The parent
    /// drops it behind the fork: then the child has it alone.)
    #[must_use]
    pub fn adopted(mut self) -> Self {
        self.pid = sys::process::pid();
        self.forks = AtomicU64::new(crate::forking::forks());
        self
    }

    /// In a forked child: has no part any more in a mark of its parent's, which goes with the
    /// parent alone then. In the process whose mark it is it does nothing.
    pub fn leave(&self) {
        if self.is_inherited() {
            // (No thread holds the mutex while another thread forks: only children take it.)
            drop(self.mapping.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

/// What the kernel said where a mark was taken by another process, for an error that says so.
#[must_use]
pub fn was_taken(error: Error) -> Error {
    error.with_system_call("fcntl(F_OFD_SETLK, F_WRLCK)", sys::Errno::AGAIN)
}

/// Locks a byte for an open file; `false` if another one has it.
pub(crate) fn lock_byte(file: &OwnedFd, byte: &Range<u64>, what: &'static str) -> Result<bool> {
    match range_lock::take(file.as_fd(), Hold::Alone, byte) {
        Ok(()) => Ok(true),
        Err(sys::Errno::AGAIN | sys::Errno::ACCESS) => Ok(false),
        Err(errno) => {
            Err(Error::new(ErrorKind::System, what).with_system_call("fcntl(F_OFD_SETLK, F_WRLCK)", errno))
        }
    }
}

/// A mapping of one page that cannot be accessed: it keeps an open file, and so its record locks,
/// without a descriptor.
pub(crate) fn keep(file: &OwnedFd, page: PageSize) -> Result<Mapping> {
    Mapping::unlocked(&Plan {
        at: At::Anywhere,
        size: page.bytes(),
        span: page.bytes(),
        page,
        protection: Protection::empty(),
        sharing: Sharing::Shared,
        flags: MapFlags::SHARED | MapFlags::NORESERVE,
        file: Some((file.as_fd(), 0)),
        placement: None,
    })
}

fn byte(number: u32) -> Range<u64> {
    let at = FIRST + u64::from(number);
    at..at + 1
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").field("number", &self.number).finish_non_exhaustive()
    }
}
