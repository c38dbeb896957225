//! The slices that a slab's own process has of it.

use std::sync::Arc;

use areas::{Area, AreaId, Result, Shared};

use crate::books::Block;
use crate::handle::Handle;
use crate::owner::Owner;

/// A block in the process that owns the slab. A clone is the same block, which is dropped with the
/// last of them.
///
/// Others may read it, and whoever may write the area may write it: so it lends no reference, as
/// [`Shared`] areas do not.
#[derive(Clone)]
pub struct Slice(Arc<Owned>);

struct Owned {
    owner: Arc<Owner>,
    slot: u32,
    generation: u32,
    offset: usize,
    len: usize,
}

impl Drop for Owned {
    fn drop(&mut self) {
        match self.owner.books("drop a slice") {
            Ok(mut books) => books.drop_owned(&self.owner.table, self.slot),
            // In a forked child the block is not its own: at most it reads it.
            Err(_) => self.owner.heir.get().into_iter().for_each(|reader| reader.end(self.slot)),
        }
    }
}

impl Slice {
    pub(crate) fn new(owner: Arc<Owner>, block: Block) -> Self {
        let Block { slot, generation, offset, len } = block;
        Slice(Arc::new(Owned { owner, slot, generation, offset, len }))
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// Where it begins in the slab's area, in bytes.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// The area that it is in.
    pub fn area(&self) -> &Area<Shared> {
        &self.0.owner.table.area
    }

    /// Where it begins. Valid as long as a clone of this slice is held; others may write there at
    /// any moment.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.0.owner.table.area.as_ptr().wrapping_add(self.0.offset)
    }

    /// Copies bytes out.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`](areas::ErrorKind::OutOfRange) beyond its length.
    pub fn read_at(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        self.0.owner.table.area.slice(self.0.offset, self.0.len)?.read_at(offset, into)
    }

    /// Copies bytes in.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`](areas::ErrorKind::OutOfRange) beyond its length.
    pub fn write_at(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.0.owner.table.area.slice(self.0.offset, self.0.len)?.write_at(offset, bytes)
    }

    /// A copy of all its bytes.
    ///
    /// # Errors
    /// [`ErrorKind::ReadOnly`](areas::ErrorKind::ReadOnly) where the area's protection forbids it.
    pub fn to_vec(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.len()];
        self.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    /// A handle that is good as long as a clone of this slice is held: others [`open`](crate::open)
    /// it, and what they have opened stays until they drop it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        let Owned { owner, slot, generation, offset, len } = &*self.0;
        let area = owner.table.area.id().map_or(0, AreaId::get);
        let (offset, len) = (*offset as u64, *len as u64);
        Handle { area, nonce: owner.table.nonce, slot: *slot, generation: *generation, offset, len }
    }

    /// A handle to give away: one process [takes](crate::take) it, once, and the block stays until
    /// it has, whatever becomes of this slice. Where no process takes it (the process that was to
    /// is dead), [`Slab::take_back`](crate::Slab::take_back) ends the wait.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`](areas::ErrorKind::Limit) after 32,767 times,
    /// [`ErrorKind::NotPermitted`](areas::ErrorKind::NotPermitted) in a forked child.
    pub fn give(&self) -> Result<Handle> {
        self.0.owner.books("give a slice away")?.give(self.0.slot)?;
        Ok(self.handle())
    }
}

impl std::fmt::Debug for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slice")
            .field("offset", &self.0.offset)
            .field("len", &self.0.len)
            .finish_non_exhaustive()
    }
}
