//! When memory was last retired that its holders may still list: a word of the control file.
//!
//! Whoever retires memory marks the object itself, which is what all who open it go by. The word
//! only spares those who look for a name the look at each object: what was published since then was
//! not retired. All processes of the user can write the file, and one that retires memory may use
//! another registry: then a finder is led to it, refused as it opens it, and passes over it from
//! then on.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{Directory, Joined, anothers};
use crate::sys;
use crate::sys::file::OFlags;

/// Where in the control file the word is: nanoseconds since boot; 0 until something was retired.
const RETIRED: u64 = 16;

impl Directory {
    /// When something was last retired in this registry: nanoseconds since boot, 0 for never.
    pub(in crate::registry) fn last_retired(&self) -> u64 {
        let read = match &self.joined {
            // Its number may be another file's by now: what that says is asked again within a
            // second, and believed of nothing but whether to look.
            Some(Joined { control }) => word_of(control.as_fd()),
            None => self.open_control(OFlags::RDONLY).and_then(|control| word_of(control.as_fd())),
        };
        // Where it cannot be read, it may have been in this moment.
        read.unwrap_or(u64::MAX)
    }

    /// Says that something was retired up to now, and has the folder's time say that there is news.
    ///
    /// Where that cannot be done, who finds it is refused as it opens it.
    pub(in crate::registry) fn note_retired(&self) {
        if anothers::is_anothers() {
            return;
        }
        let now = sys::process::boot_time().to_le_bytes();
        let noted = self
            .open_control(OFlags::RDWR)
            .and_then(|control| sys::file::write_at(control.as_fd(), &now, RETIRED));
        if noted.is_ok() {
            // Behind the word: who sees this reads that.
            self.notify();
        }
    }

    fn open_control(&self, flags: OFlags) -> sys::Result<OwnedFd> {
        sys::file::open_at(self.space.checked()?, c"control", flags | OFlags::NOFOLLOW | OFlags::NONBLOCK, 0)
    }
}

fn word_of(control: BorrowedFd<'_>) -> sys::Result<u64> {
    let mut bytes = [0; 8];
    // The end of the file reads as zeros.
    sys::file::read_at(control, &mut bytes, RETIRED)?;
    Ok(u64::from_le_bytes(bytes))
}
