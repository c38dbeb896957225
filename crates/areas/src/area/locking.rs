//! Locks of areas: applied, proven, and made full in two steps: bringing in the pages, which takes
//! long, can be watched and cancelled.

use super::{Area, AreaKind, Clonable, Shared};
use crate::error::{Error, ErrorKind, Result};
use crate::lock::Lock;

impl<K: AreaKind> Area<K> {
    /// Applies a lock to the bytes that are there, after bringing them in where that is what it
    /// means.
    pub(super) fn apply_lock(&mut self, lock: Lock, whose: &str) -> Result<()> {
        self.mapping.refuse_given(
            || format!("lock {whose} as {lock}"),
            "lock the whole memory before it is given to a provider",
        )?;
        let (base, len) = (self.mapping.base(), self.used());
        if len == 0 || self.is_physical() {
            // An empty area has a page of addresses and no byte that could stay in RAM; physical
            // memory cannot but stay.
            self.lock = lock;
            return Ok(());
        }
        if lock.is_full() {
            // First the allowance, which costs nothing, then the pages, in parallel and with an
            // error where one is missing.
            Lock::ask_allowance(base, len, whose)?;
            self.populate()?;
        }
        lock.apply(base, len, whose)?;
        self.lock = lock;
        Ok(())
    }
}

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
            Lock::None | Lock::Full | Lock::Contiguous | Lock::Low | Lock::Full32 | Lock::Contiguous32 => {
                Ok(())
            }
        }
    }
}

impl<K: Clonable> Area<K> {
    /// Locks a clone as its source is, and holds what that demands of page frames against where
    /// they are. Of a source that is this process's `own`, that was measured when it was made, by
    /// who might then.
    pub(super) fn lock_clone(
        &mut self,
        lock: Lock,
        own: bool,
        whose: impl FnOnce() -> String,
        what: impl FnOnce() -> String,
    ) -> Result<()> {
        if lock == Lock::None {
            return Ok(());
        }
        self.apply_lock(lock, &whose())?;
        match self.prove_lock(lock, what) {
            Err(error) if own && error.kind() == ErrorKind::NotPermitted => Ok(()),
            proved => proved,
        }
    }

    /// Holds what a lock demands of page frames, on another process's word, against where they are.
    pub(super) fn prove_lock(&mut self, lock: Lock, what: impl FnOnce() -> String) -> Result<()> {
        let Some(demand) = lock.demand() else { return Ok(()) };
        match self.object.physical() {
            // It is one range, and never moves.
            Some(start) => {
                let end = start.saturating_add(self.size() as u64);
                if demand.below.is_none_or(|below| end <= below) {
                    return Ok(());
                }
                Err(Error::new(ErrorKind::InvalidInput, what()).with_facts(format!(
                    "it is said to be locked as {lock}, and ends at physical address {end:#x}"
                )))
            }
            None => crate::physical::prove(&self.mapping, self.used(), lock, &what()),
        }
    }
}
