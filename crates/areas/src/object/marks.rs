//! What is marked on an object itself, in its file mode, for all that have it or open it: a process
//! that looks at its size reads it by the same call.
//!
//! The kernel changes a mode as a whole, so that who sets a bit could take away another one that
//! came concurrently. So who does takes a record lock on a byte far behind the object's end first:
//! of an open file of its own, dropped by the kernel whatever becomes of the process.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Object, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::sys;
use crate::sys::file::{OFlags, Stat};
use crate::sys::range_lock::{self, Hold};

/// Holders have different numbers of addresses for it (S_ISVTX, which means nothing to the kernel
/// here).
pub(super) const UNEVEN: u32 = 0o1000;
/// It is retired: it is not opened any more (S_IRGRP, and nothing else of what its group and others
/// may do: objects that other programs made come with more). Not one of the bits that the kernel
/// clears as a file is written; it lets members of its group who have a descriptor of it open it
/// for reading, which they could read by that one.
const RETIRED: u32 = 0o040;
/// It was offered to other users (S_IRGRP and S_IROTH): their processes may open it for reading, by
/// way of one that was given it. (To its file leads nothing but `/proc/PID/fd` of a process that
/// has it, where only that process's user and root get.) Of its group, too: in containers other
/// users are in group 0 by default, and the kernel does not look at what others may where the group
/// is theirs.
pub(crate) const OFFERED: u32 = 0o044;
/// Its group and others may open it for writing (S_IWGRP and S_IWOTH), as the kernel makes memory
/// objects. That says something once there is a descriptor that is for reading only: whoever has
/// one could open the file behind it again (`/proc/self/fd/N`). So it is taken away before there
/// is.
const WRITERS: u32 = 0o022;
/// What its group and others may do.
const FOR_OTHERS: u32 = 0o077;
/// What else of a mode means anything.
const PERMISSIONS: u32 = 0o7777;
/// The byte for the record lock.
const BYTE: std::ops::Range<u64> = 1 << 62..(1 << 62) + 1;

/// Whether what was looked at is retired.
pub(crate) fn is_retired(stat: &Stat) -> bool {
    says_retired(stat.mode)
}

fn says_retired(mode: u32) -> bool {
    mode & FOR_OTHERS == RETIRED
}

/// Whether other users that have a descriptor of it may open it again for writing, as far as its
/// mode says.
pub(crate) fn lets_others_write(stat: &Stat) -> bool {
    stat.mode & WRITERS != 0
}

/// Whether a mode is changed by one process at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alone {
    /// It is, or not changed at all.
    Only,
    /// By several at once if need be. Another holder may have the record lock for good, and whoever
    /// opens an area does not wait for it: what is lost at worst is a mark of the same moment. (All
    /// changes close a mode to writers, so that none opens it again.)
    OrNot,
}

/// A mode by which its owner alone may open it for writing, with what is marked in it.
fn closed_mode(mode: u32) -> u32 {
    match mode & WRITERS {
        0 => mode,
        _ => mode & UNEVEN | 0o600,
    }
}

/// A mode that gives these rights, with what is marked in it. (What was offered is never for
/// writing: a mode that lets others write says nothing of that.)
fn with_rights(mode: u32, rights: u32) -> u32 {
    let others = match mode & FOR_OTHERS {
        RETIRED => RETIRED,
        others if others & (OFFERED | WRITERS) == OFFERED => OFFERED,
        _ => rights & FOR_OTHERS,
    };
    mode & UNEVEN | rights & !FOR_OTHERS | others
}

impl Object {
    /// Marks permanently, for all holders, that one of them has another number of addresses for it
    /// than the others: before that is so.
    pub(crate) fn mark_uneven(&self) -> Result<()> {
        if !self.is_uneven() {
            let what = "note that an area has another reserve than its clones";
            self.change_mode(what, Alone::Only, |mode| closed_mode(mode) | UNEVEN)?;
            self.uneven.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Permanently forbids opening it, except to those that have it.
    pub(crate) fn mark_retired(&self) -> Result<()> {
        self.change_mode("retire an area", Alone::Only, |mode| mode & !FOR_OTHERS | RETIRED)
    }

    /// Whether it was marked so when it was opened here.
    pub(crate) fn was_retired(&self) -> bool {
        self.was_retired
    }

    /// Whether it is retired by now: it is not opened any more, and its holders keep it.
    ///
    /// # Errors
    /// [`ErrorKind::System`] where its descriptor was closed.
    pub fn is_retired(&self) -> Result<bool> {
        if self.physical.is_some() {
            return Ok(false);
        }
        match sys::file::stat(self.fd()) {
            Ok(stat) if stat.identity == self.identity() => Ok(is_retired(&stat)),
            _ => Err(closed("check whether an area is retired".to_owned())),
        }
    }

    /// Lets only its owner open it, and for these rights; what is marked on it stays: that it is
    /// retired, and that it was offered to users, who may read it. `rights` may say that it is.
    pub(crate) fn set_rights(&self, what: &str, rights: u32) -> Result<()> {
        self.change_mode(what, Alone::Only, |mode| with_rights(mode, rights))
    }

    /// Has other users not open it for writing by way of a descriptor that they have: before there
    /// is one that is for reading only, and before the program has one of its own.
    ///
    /// # Errors
    /// [`ErrorKind::Unreadable`] where it belongs to another user, so that this process may not: it
    /// would be for reading only in name alone.
    #[inline]
    pub(crate) fn close_to_others(&self, what: impl FnOnce() -> String) -> Result<()> {
        match self.open_to_others.load(Ordering::Relaxed) && self.physical.is_none() {
            true => self.close_open(&what()),
            false => Ok(()),
        }
    }

    #[cold]
    fn close_open(&self, what: &str) -> Result<()> {
        let stat = self.own_fd().and_then(sys::file::stat).map_err(|_| closed(what.to_owned()))?;
        let user = sys::process::user();
        if lets_others_write(&stat) {
            if user != stat.uid && user != 0 {
                return Err(Error::new(ErrorKind::Unreadable, what.to_owned())
                    .with_facts(format!(
                        "it is user {}'s, and we are user {user}; its mode {:04o} lets readers reopen it to write",
                        stat.uid,
                        stat.mode & PERMISSIONS
                    ))
                    .with_remedy("clone it for writing; or have its owner send it for reading only, or freeze it"));
            }
            self.change_mode(what, Alone::OrNot, closed_mode)?;
        }
        self.open_to_others.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn change_mode(&self, what: &str, alone: Alone, change: impl Fn(u32) -> u32) -> Result<()> {
        let mode_now = || {
            let stat = self.own_fd().and_then(sys::file::stat);
            stat.map(|stat| stat.mode & PERMISSIONS).map_err(|_| closed(what.to_owned()))
        };
        let before = mode_now()?;
        if change(before) == before {
            return Ok(());
        }
        let _alone = self.alone(what, alone)?;
        let wanted = change(mode_now()?);
        let fd = self.own_fd().map_err(|_| closed(what.to_owned()))?;
        sys::file::set_mode(fd, wanted).map_err(|errno| {
            Error::new(ErrorKind::System, what.to_owned())
                .with_system_call(format!("fchmod({wanted:04o})"), errno)
        })
    }

    /// No other process changes its mode while this is kept. `None` where it cannot be reopened for
    /// writing (frozen, or without `/proc`), and where it may be done without.
    fn alone(&self, what: &str, alone: Alone) -> Result<Option<OwnedFd>> {
        let attempts = match alone {
            Alone::Only => 500,
            Alone::OrNot => 20,
        };
        let path = format!("/proc/thread-self/fd/{}\0", self.fd().as_raw_fd());
        let Some(file) = std::ffi::CStr::from_bytes_with_nul(path.as_bytes())
            .ok()
            .and_then(|path| sys::file::open_at(sys::file::CWD, path, OFlags::RDWR, 0).ok())
        else {
            return Ok(None);
        };
        if !sys::file::stat(file.as_fd()).is_ok_and(|stat| stat.identity == self.identity()) {
            return Err(closed(what.to_owned()));
        }
        for _ in 0..attempts {
            match range_lock::take(file.as_fd(), Hold::Alone, &BYTE) {
                Ok(()) => return Ok(Some(file)),
                Err(sys::Errno::AGAIN | sys::Errno::ACCESS) => std::thread::sleep(Duration::from_millis(1)),
                // No record locks are to be had: the next best is to do without.
                Err(_) => return Ok(None),
            }
        }
        if alone == Alone::OrNot {
            return Ok(None);
        }
        Err(Error::new(ErrorKind::Busy, what.to_owned())
            .with_system_call("fcntl(F_OFD_SETLK)", sys::Errno::AGAIN)
            .with_facts("another holder is changing its file mode, and does not go on: it may be stopped")
            .with_remedy("continue it (SIGCONT) or end it, and try again"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_outlast_a_change_of_rights() {
        for (mode, rights, expected) in [
            (0o600, 0o600, 0o600),
            (0o600, 0o644, 0o644),
            // Offered, it stays so: sent, frozen, offered again.
            (0o644, 0o600, 0o644),
            (0o1644, 0o400, 0o1444),
            (0o444, 0o444, 0o444),
            // Retired, it is never offered.
            (0o640, 0o644, 0o640),
            (0o1640, 0o400, 0o1440),
            // As the kernel makes them, and other programs leave theirs: no other user is to write
            // it, and it is not retired by that.
            (0o777, 0o600, 0o600),
            (0o666, 0o600, 0o600),
            (0o666, 0o644, 0o644),
            (0o1666, 0o400, 0o1400),
            (0o660, 0o600, 0o600),
            (0o604, 0o600, 0o600),
        ] {
            let mode = with_rights(mode, rights);
            assert_eq!(mode, expected, "{mode:o}");
        }
    }
}
