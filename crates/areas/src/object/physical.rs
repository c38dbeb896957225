//! Objects that are a range of physical memory: of `/dev/mem`, where the descriptor is shared by
//! all and the range is ours.

use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;

use super::{Extent, Object};
use crate::error::{Error, ErrorKind, Result};
use crate::page::PageSize;
use crate::sys::checked_fd::CheckedFd;

impl Object {
    /// A range of `/dev/mem` on which the open file has a record lock.
    pub(crate) fn of_physical(memory: OwnedFd, start: u64, size: u64) -> Result<Self> {
        let fd = CheckedFd::new(memory).map_err(|errno| {
            Error::new(ErrorKind::System, "use physical memory").with_system_call("fstat", errno)
        })?;
        let object = Object::of(fd, PageSize::base(), Extent::Fixed);
        Ok(Object { physical: Some(start), seen: AtomicU64::new(size), ..object })
    }

    /// The physical address at which it begins, if it is a range of physical memory.
    ///
    /// Its descriptor is one of `/dev/mem` then, in which this is also the offset of its first
    /// byte. **All other bytes of that file are other people's memory.**
    #[must_use]
    pub fn physical(&self) -> Option<u64> {
        self.physical
    }

    /// Where its first byte is in its file: not 0 only of physical memory, and of what is left
    /// where an area's holder has unmapped its beginning.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.physical.unwrap_or(self.piece.first)
    }

    /// Refuses what needs a memory object of the kernel's.
    pub(crate) fn refuse_physical(&self, what: impl FnOnce() -> String) -> Result<()> {
        match self.physical {
            None => Ok(()),
            Some(start) => Err(Error::new(ErrorKind::Unsupported, what()).with_facts(format!(
                "it is physical memory at {start:#x}, reserved at boot, and not a memory object"
            ))),
        }
    }
}
