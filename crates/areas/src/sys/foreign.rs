//! Descriptors of files that are none of ours, which this process came to have by taking what
//! another process has under a number, or that came to its transfer socket unasked.
//!
//! To close such a descriptor is an act on that file: a file system is asked to flush it, and may
//! never answer (FUSE without a server, a network disk that is gone: the caller cannot even be
//! killed then), and all record locks (`fcntl`) that this process has on the file are dropped,
//! though it was another part of the program that took them. So it is kept open, and never used.
//! There is a limit to how many are kept: once it is reached, nothing is taken by its number any
//! more ([`may_take`]).

use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::OFlags;

use super::descriptor::{guard, is_low, moved};
use super::{Result, file, object, record_lock};

/// How many are kept before nothing is taken any more. (Threads that take at the same moment may
/// each add one, and a message more than one.)
pub(crate) const MAX_KEPT: usize = 8;

static KEPT: AtomicUsize = AtomicUsize::new(0);

/// A copy of another process's descriptor, under a number that is not low: it may be of any file,
/// so that its low number is not simply closed ([`leave_low`]).
#[inline]
pub(crate) fn own_foreign(take: impl FnOnce() -> Result<OwnedFd>) -> Result<OwnedFd> {
    let _taken = guard();
    let given = take()?;
    if is_low(&given) { moved_foreign(given) } else { Ok(given) }
}

#[cold]
fn moved_foreign(given: OwnedFd) -> Result<OwnedFd> {
    let moved = moved(&given);
    leave_low(given);
    moved
}

/// Keeps a descriptor open for as long as the process runs this program.
#[cold]
pub(crate) fn keep(descriptor: OwnedFd) {
    KEPT.fetch_add(1, Ordering::Relaxed);
    let _ = descriptor.into_raw_fd();
}

/// Closes what another process sent unasked, where that does not act on a file: a memory object, or
/// no regular file at all. The rest is kept.
pub(crate) fn dispose(descriptor: OwnedFd) {
    let is_harmless = || {
        // Open for nothing: closing it does nothing.
        if rustix::fs::fcntl_getfl(&descriptor)?.contains(OFlags::PATH) {
            return Ok(true);
        }
        let stat = file::look(descriptor.as_fd())?;
        Ok::<bool, super::Errno>(!stat.is_file() || is_memory(&descriptor, &stat))
    };
    if !is_harmless().unwrap_or(false) {
        keep(descriptor);
    }
}

/// Leaves a low number (0, 1 or 2) that the kernel gave to what was taken, and that has a copy
/// under another one by now.
///
/// It is closed where that does not act on a file. The rest is kept under it, as everywhere, but
/// for what can be written by it: what this program prints would go into another process's file.
/// That is worse than what closing can do.
#[cold]
pub(crate) fn leave_low(descriptor: OwnedFd) {
    match can_be_written(&descriptor) {
        true => drop(descriptor),
        false => {
            close_memory(descriptor);
        }
    }
}

/// Whether `write` may change what a descriptor is of.
fn can_be_written(descriptor: &OwnedFd) -> bool {
    let Ok(flags) = rustix::fs::fcntl_getfl(descriptor) else { return false };
    let writes = !flags.contains(OFlags::PATH) && flags.intersects(OFlags::WRONLY | OFlags::RDWR);
    // A table is open for writing, and sealed against it: closing one's own would drop the record
    // lock that is on it.
    let sealed = || {
        let seals = object::seals(descriptor.as_fd());
        seals.is_ok_and(|seals| seals.intersects(object::SealFlags::WRITE | object::SealFlags::FUTURE_WRITE))
    };
    writes && !sealed()
}

/// Closes what was taken by its number and is not what was wanted, if it is a memory object:
/// another area of that process, say, whose memory must not be kept. The rest is kept. Whether it
/// was closed.
pub(crate) fn close_memory(descriptor: OwnedFd) -> bool {
    let stat = file::look(descriptor.as_fd());
    let closes = stat.is_ok_and(|stat| stat.is_file() && is_memory(&descriptor, &stat));
    if !closes {
        keep(descriptor);
    }
    closes
}

/// Whether it is a memory object that can be closed: no process has a record lock on it, this
/// process least of all (it has one on its own table, which closing would drop).
fn is_memory(descriptor: &OwnedFd, stat: &file::Stat) -> bool {
    stat.links == 0
        && object::seals(descriptor.as_fd()).is_ok()
        && record_lock::is_unlocked(descriptor.as_fd()).unwrap_or(false)
}

/// Whether another one could still be kept.
#[inline]
pub(crate) fn may_take() -> bool {
    KEPT.load(Ordering::Relaxed) < MAX_KEPT
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::sys::checked_fd::open_under;
    use crate::sys::object::Pages;

    #[test]
    fn memory_is_closed_and_what_is_locked_is_kept_with_its_lock() {
        let memory = object::create(c"another area", Pages::Base).unwrap();
        let (number, identity) = (memory.as_raw_fd(), file::stat(memory.as_fd()).unwrap().identity);
        assert!(close_memory(memory));
        assert_ne!(open_under(number), Ok(identity));

        let table = object::create(c"a table", Pages::Base).unwrap();
        record_lock::take(table.as_fd()).unwrap();
        assert!(!record_lock::is_unlocked(table.as_fd()).unwrap());
        assert!(!close_memory(table.try_clone().unwrap()));
        dispose(table.try_clone().unwrap());
        assert!(!record_lock::is_unlocked(table.as_fd()).unwrap(), "closing one would have dropped the lock");
    }
}
