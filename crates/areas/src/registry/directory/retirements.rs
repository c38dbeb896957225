//! Whether memory was retired that its holders may still list: a word of the control file.
//!
//! Whoever retires memory marks the object itself, which is what all who open it go by. The word
//! only spares those who look for a name the look at each object: as long as none was retired,
//! there is nothing to pass over. All processes of the user can write the file, and one that
//! retires memory may use another registry: then a finder is led to it, refused as it opens it, and
//! passes over it from then on.

use std::os::fd::{AsFd, BorrowedFd};

use super::{Directory, Joined, anothers};
use crate::sys;
use crate::sys::file::OFlags;

/// Where in the control file the word is: 0 until something was retired.
const RETIRED: u64 = 16;

impl Directory {
    /// Whether something may have been retired in this registry since its folder was made.
    pub(in crate::registry) fn any_retired(&self) -> bool {
        let any = match &self.joined {
            // Its number may be another file's by now: what that says is asked again within a
            // second, and believed of nothing but whether to look.
            Some(Joined { control }) => word_of(control.as_fd()),
            None => self.open_control(OFlags::RDONLY).and_then(|control| word_of(control.as_fd())),
        };
        // Where it cannot be read, it may have been.
        any != Ok(0)
    }

    /// Says that something was retired, and has the folder's time say that there is news.
    ///
    /// Where that cannot be done, who finds it is refused as it opens it.
    pub(in crate::registry) fn note_retired(&self) {
        if anothers::is_anothers() {
            return;
        }
        let noted = self
            .open_control(OFlags::RDWR)
            .and_then(|control| sys::file::write_at(control.as_fd(), &1_u32.to_le_bytes(), RETIRED));
        if noted.is_ok() {
            // Behind the word: who sees this reads that.
            self.notify();
        }
    }

    fn open_control(&self, flags: OFlags) -> sys::Result<std::os::fd::OwnedFd> {
        sys::file::open_at(self.space.checked()?, c"control", flags | OFlags::NOFOLLOW | OFlags::NONBLOCK, 0)
    }
}

fn word_of(control: BorrowedFd<'_>) -> sys::Result<u32> {
    let mut bytes = [0; 4];
    // The end of the file reads as zeros.
    sys::file::read_at(control, &mut bytes, RETIRED)?;
    Ok(u32::from_le_bytes(bytes))
}
