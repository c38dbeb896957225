//! Seals: what can never happen to an object any more.

use super::{Object, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::sys;
use crate::sys::object::SealFlags;

/// What makes a frozen object: no byte and no length can change.
pub(crate) const FROZEN: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW);

/// Each of them forbids new mappings for writing.
pub(super) const NO_WRITERS: SealFlags = SealFlags::WRITE.union(SealFlags::FUTURE_WRITE);

impl Object {
    /// Whether it could not be written any more when it was opened here.
    pub(crate) fn was_frozen(&self) -> bool {
        self.was_frozen
    }

    /// Whether it could not be mapped for writing any more when it was opened here.
    pub(crate) fn refused_writers(&self) -> bool {
        self.refused_writers
    }

    /// Whether it cannot be mapped for writing any more.
    pub(crate) fn refuses_writers(&self) -> Result<bool> {
        Ok(self.physical.is_none() && self.seals()?.intersects(NO_WRITERS))
    }

    /// Whether it cannot be written any more.
    ///
    /// # Errors
    /// [`ErrorKind::System`] if the kernel does not answer.
    pub fn is_frozen(&self) -> Result<bool> {
        if self.physical.is_some() {
            return Ok(false);
        }
        let seals = self.seals()?;
        Ok(seals.contains(FROZEN))
    }

    pub(super) fn seals(&self) -> Result<SealFlags> {
        let fd = self.own_fd().map_err(|_| closed("read an object's seals".to_owned()))?;
        sys::object::seals(fd).map_err(|errno| {
            Error::new(ErrorKind::System, "read an object's seals")
                .with_system_call("fcntl(F_GET_SEALS)", errno)
        })
    }

    /// Seals it against every change, permanently. `Err(EBUSY)` while it can still be written.
    pub(crate) fn seal_frozen(&self) -> sys::Result<()> {
        sys::object::seal(self.own_fd()?, FROZEN | SealFlags::SEAL)
    }

    /// Seals it against future writers, permanently: existing writable mappings stay.
    pub(crate) fn seal_future_writers(&self, what: &dyn Fn() -> String) -> Result<()> {
        let fd = self.own_fd().map_err(|_| closed(what()))?;
        sys::object::seal(fd, SealFlags::FUTURE_WRITE).map_err(|errno| {
            let error = Error::new(ErrorKind::NotPermitted, what())
                .with_system_call("fcntl(F_ADD_SEALS, F_SEAL_FUTURE_WRITE)", errno);
            match errno {
                sys::Errno::INVAL => error.with_remedy("this needs Linux 5.1"),
                sys::Errno::PERM => error.with_remedy("its maker has sealed it against more seals"),
                _ => error,
            }
        })
    }
}
