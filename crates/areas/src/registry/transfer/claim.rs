//! The id that an area on its way will have where it goes: claimed by its giver, and returned at
//! once.
//!
//! Of a team's sequence numbers a quarter is for what others give it ([`FIRST_GIVEN`]), and its
//! givers choose among them. That no two choose the same is the kernel's doing: a giver takes a
//! record lock on the id's own byte of the control file, beyond its end, by an open file of its
//! own, and that open file goes with the offer. So the claim lasts as long as the offer does,
//! whichever side dies: it is held by the giver, then by the queue, then by the target until the
//! area is in its table, where all see that the id is taken.
//!
//! The target believes a claim only if the open file that came has that record lock: a giver that
//! claims no id gets none, and one that repeats another giver's gets a number that was not known
//! before.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::error::{Error, ErrorKind, Result, remedy};
use crate::registry::directory::Directory;
use crate::registry::process::OWN_DESCRIPTORS;
use crate::registry::table::{AreaId, FIRST_GIVEN, SEQUENCES, SLOTS};
use crate::sys;
use crate::sys::file::{Identity, OFlags};
use crate::sys::range_lock::{self, Hold};

/// Where in the control file the byte of id 0 is: behind all that is ever written there.
const BYTES_AT: u64 = 1 << 32;

/// An id that no other area gets as long as this is there, in this process or on its way to another
/// one.
#[derive(Debug)]
pub(in crate::registry) struct Claim {
    id: AreaId,
    /// The control file, opened for this claim alone.
    file: OwnedFd,
    control: Identity,
}

fn byte_of(id: AreaId) -> std::ops::Range<u64> {
    let at = BYTES_AT + u64::from(id.get().cast_unsigned());
    at..at + 1
}

impl Claim {
    /// Claims one of a slot's ids: the first that is free, from a sequence number on that its team
    /// names. `is_live` says whether an area has one.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where others have claimed so many that none was found;
    /// [`ErrorKind::Limit`], [`ErrorKind::Registry`] where the control file cannot be opened or
    /// locked.
    pub(in crate::registry) fn take(
        directory: &Directory,
        slot: u32,
        from: u32,
        what: &str,
        is_live: impl Fn(AreaId) -> bool,
    ) -> Result<Self> {
        /// As many as a queue can hold, and as many again.
        const MAX_CLAIMED: u32 = 1024;
        let failed = |call: &'static str, errno| {
            let error = |kind| Error::new(kind, what.to_owned()).with_system_call(call, errno);
            match errno {
                sys::Errno::MFILE | sys::Errno::NFILE => remedy::open_files(error(ErrorKind::Limit)),
                sys::Errno::NOLCK => error(ErrorKind::Limit)
                    .with_remedy("the registry's file system has no record locks left: set AREAS_DIR to a folder elsewhere"),
                _ => error(ErrorKind::Registry).with_remedy("no id could be claimed for it: set AREAS_DIR to a folder of your own, on another file system"),
            }
        };
        let control = directory.control_of_team().map_err(|errno| failed("fstat", errno))?;
        // By its number: another file may have its name by now.
        let path = CString::new(format!("{OWN_DESCRIPTORS}/{}", control.as_raw_fd())).unwrap_or_default();
        let file = sys::file::open_at(sys::file::CWD, &path, OFlags::RDWR | OFlags::NONBLOCK, 0)
            .map_err(|errno| failed("open", errno))?;
        let stat = sys::file::stat(file.as_fd()).map_err(|errno| failed("fstat", errno))?;
        if directory.control_identity() != Some(stat.identity) {
            return Err(failed("open", sys::Errno::BADF));
        }
        let mut claimed = 0;
        for id in ids_from(slot, from) {
            if is_live(id) {
                continue;
            }
            match range_lock::take(file.as_fd(), Hold::Alone, &byte_of(id)) {
                // What came with the former claim may be in the table by now.
                Ok(()) if !is_live(id) => return Ok(Claim { id, file, control: stat.identity }),
                // It goes with the open file, or at the latest with this process.
                Ok(()) | Err(sys::Errno::AGAIN | sys::Errno::ACCESS) => claimed += 1,
                Err(errno) => return Err(failed("fcntl(F_OFD_SETLK, F_WRLCK)", errno)),
            }
            if claimed > MAX_CLAIMED {
                break;
            }
        }
        Err(Error::new(ErrorKind::Busy, what.to_owned())
            .with_facts(format!("{claimed} of the ids that it could have there are claimed by other givers"))
            .with_remedy("try again when the target has accepted what waits for it"))
    }

    /// A claim that came with an offer, if the file that came is this process's own control file;
    /// else the file.
    pub(in crate::registry) fn received(
        id: AreaId,
        file: OwnedFd,
        control: Option<Identity>,
    ) -> Result<Self, OwnedFd> {
        match (sys::file::look(file.as_fd()), control) {
            (Ok(stat), Some(control)) if stat.identity == control => Ok(Claim { id, file, control }),
            _ => Err(file),
        }
    }

    pub(in crate::registry) fn id(&self) -> AreaId {
        self.id
    }

    /// To be sent with the offer.
    pub(in crate::registry) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Whether it is what it says, for the team of a slot: its record lock is there, on the control
    /// file that all use.
    ///
    /// The open file takes it once more: that works where it has it, and, if it came without, where
    /// no other has.
    pub(in crate::registry) fn holds(&self, directory: &Directory, slot: u32) -> bool {
        self.id.slot() == slot
            && self.id.sequence() >= FIRST_GIVEN
            && directory.control_identity() == Some(self.control)
            && range_lock::take(self.file.as_fd(), Hold::Alone, &byte_of(self.id)).is_ok()
    }
}

/// The ids of a slot that are for what is given to its team, from a sequence number on, all round.
fn ids_from(slot: u32, from: u32) -> impl Iterator<Item = AreaId> {
    const COUNT: u32 = SEQUENCES - FIRST_GIVEN;
    let slot = slot % SLOTS;
    // Whichever process wrote it: any number is a good one to begin with.
    let from = from % COUNT;
    (0..COUNT).map(move |step| AreaId::from_parts(slot, FIRST_GIVEN + (from + step) % COUNT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_round_among_those_that_are_given() {
        let ids: Vec<AreaId> = ids_from(7, SEQUENCES - FIRST_GIVEN - 1).collect();
        assert_eq!(ids.len(), (SEQUENCES - FIRST_GIVEN) as usize);
        assert_eq!((ids[0].sequence(), ids[1].sequence()), (SEQUENCES - 1, FIRST_GIVEN));
        assert!(ids.iter().all(|id| id.slot() == 7 && id.sequence() >= FIRST_GIVEN));
        let begun = ids_from(0, u32::MAX).next().unwrap().sequence();
        assert!((FIRST_GIVEN..SEQUENCES).contains(&begun));
    }

    #[test]
    fn each_id_has_a_byte_of_its_own_beyond_what_is_written() {
        let first = byte_of(AreaId::new(1).unwrap());
        let last = byte_of(AreaId::new(i32::MAX).unwrap());
        assert!(first.start > BYTES_AT && first.end <= last.start && i64::try_from(last.end).is_ok());
    }
}
