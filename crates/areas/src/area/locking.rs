//! Locking an area in two steps: bringing in the pages, which takes long, can be watched and
//! cancelled.

use super::{Area, Shared};
use crate::error::Result;
use crate::lock::Lock;

impl Area<Shared> {
    /// Makes a lazy lock a full one: pages that are missing come in first. Where all of them were
    /// [populated](Area::populate_with) before, which reports its progress, that takes a moment. An
    /// area with another lock, or none, stays as it is.
    ///
    /// # Errors
    /// As [`populate`](Area::populate), and as for a builder with that
    /// [`lock`](crate::AreaBuilder::lock). It stays locked lazily.
    pub fn complete_lock(&mut self) -> Result<()> {
        match self.lock {
            Lock::Lazy => self.apply_lock(Lock::Full, &self.to_string()),
            _ => Ok(()),
        }
    }
}
