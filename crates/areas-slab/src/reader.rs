//! The other side: processes that read slices by their handles.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, MutexGuard, PoisonError};

use areas::presence::Presence;
use areas::{Area, Error, ErrorKind, Protection, Rejected, Result, Shared};

use crate::books::OWNER;
use crate::handle::Handle;
use crate::layout::{Geometry, Table, View, no_slab};
use crate::protocol::{self, Slot, Word};
use crate::seat::{Held, Seat};

/// A slab as a process that reads it has it: one mapping and one descriptor, for all slices.
///
/// [`open`](crate::open) and [`take`](crate::take) make one for each slab as they need it; this is
/// for areas that cannot be found by their id, because they are not published or came over a
/// socket.
#[derive(Clone)]
pub struct Reader(Arc<Attached>);

struct Attached {
    // In the order in which they go: what it reads no more before its mark.
    table: Arc<Table>,
    seat: Seat,
}

impl Reader {
    /// Attaches to the slab in an area, which must be writable: readers say there what they read.
    ///
    /// # Errors
    /// The area comes back.
    /// - [`ErrorKind::InvalidInput`] if no slab is in it;
    /// - [`ErrorKind::ReadOnly`] for a clone for reading only;
    /// - [`ErrorKind::Limit`] if as many processes read it as may;
    /// - [`ErrorKind::NotPermitted`], [`ErrorKind::System`] where the memory cannot be reopened
    ///   (`/proc` is not mounted).
    pub fn attach(area: Area<Shared>) -> Result<Self, Rejected<Area<Shared>>> {
        match Reader::prepare(&area) {
            Ok((geometry, nonce, seat)) => {
                let table = Arc::new(Table { area, geometry, nonce });
                Ok(Reader(Arc::new(Attached { table, seat })))
            }
            Err(error) => Err(Rejected { error, value: area }),
        }
    }

    fn prepare(area: &Area<Shared>) -> Result<(Geometry, u64, Seat)> {
        if !area.protection().contains(Protection::READ_WRITE) {
            return Err(Error::new(ErrorKind::ReadOnly, format!("read the slab in {area}"))
                .with_facts(format!(
                    "its protection is {}, and readers record in it what they read",
                    area.protection()
                ))
                .with_remedy("open it for writing, too"));
        }
        let (geometry, nonce) = Table::read(area)?.ok_or_else(|| no_slab(area))?;
        Ok((geometry, nonce, Seat::take(View { area, geometry })?))
    }

    /// One that reads in this process what its parent took a seat for.
    pub(crate) fn inherited(table: Arc<Table>, seat: Seat) -> Self {
        Reader(Arc::new(Attached { table, seat: seat.adopted() }))
    }

    /// The same for a reader that the parent had already, and this process has inherited.
    pub(crate) fn inherit(&self, seat: Seat) {
        let mut last = &self.0.seat;
        last.presence.leave();
        while let Some(next) = last.next.get() {
            last = next;
            last.presence.leave();
        }
        let _ = last.next.set(Box::new(seat.adopted()));
    }

    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.0.table
    }

    /// What this process reads.
    pub(crate) fn held(&self) -> Result<MutexGuard<'_, HashMap<u32, Held>>> {
        self.0.held()
    }

    /// Reads what this process reads now for as long as it lives: for a forked child that could not
    /// be given a part in it.
    ///
    /// # Errors
    /// [`ErrorKind::NotPermitted`] in a forked child that has no part in it.
    pub fn pin(&self) -> Result<()> {
        self.0.held()?.values_mut().for_each(|held| held.leases += 1);
        Ok(())
    }

    /// One lease less of a slot.
    pub(crate) fn end(&self, slot: u32) {
        self.0.end(slot);
    }

    /// Opens a slice whose handle came from its owner by [`Slice::handle`](crate::Slice::handle).
    ///
    /// # Errors
    /// - [`ErrorKind::NoSuchArea`] if the slice is gone, or is another slab's;
    /// - [`ErrorKind::InvalidInput`] if the handle is of no slice that there can be;
    /// - [`ErrorKind::NotPermitted`] in a forked child of the process that attached.
    pub fn open(&self, handle: &Handle) -> Result<Lease> {
        self.lease(handle, false)
    }

    /// Takes a slice whose handle was [given](crate::Slice::give): its owner does not wait for that
    /// any more. Once a handle.
    ///
    /// # Errors
    /// As [`open`](Reader::open); [`ErrorKind::Limit`] after 32,767 times of one block.
    pub fn take(&self, handle: &Handle) -> Result<Lease> {
        self.lease(handle, true)
    }

    /// Whether the slab's owner lives: only then is anything ever put into it.
    ///
    /// # Errors
    /// [`ErrorKind::System`] if the program has closed the area's descriptor.
    pub fn is_owner_alive(&self) -> Result<bool> {
        Presence::is_taken(self.0.table.area.object(), OWNER..OWNER + 1)
    }

    /// Which slab it is: as [`Handle::slab`] says.
    #[must_use]
    pub fn slab(&self) -> u64 {
        self.0.table.nonce
    }

    /// The area that it is in.
    pub fn area(&self) -> &Area<Shared> {
        &self.0.table.area
    }

    /// Whether there are leases of it, or other clones.
    pub(crate) fn is_used(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    fn lease(&self, handle: &Handle, takes: bool) -> Result<Lease> {
        let (offset, len) = self.check(handle)?;
        self.0.begin(handle, takes)?;
        let (attached, area) = (self.0.clone(), handle.area);
        // From here on a drop ends it.
        let lease = Lease { attached, area, slot: handle.slot, generation: handle.generation, offset, len };
        match self.0.table.view().block(handle.slot)? {
            block if block == (handle.offset, handle.len) => Ok(lease),
            _ => Err(handle.wrong("its owner says that it is elsewhere, or of another length")),
        }
    }

    /// Where a handle leads to, by itself.
    fn check(&self, handle: &Handle) -> Result<(usize, usize)> {
        let table = &self.0.table;
        if handle.nonce != table.nonce {
            return Err(handle.gone("it is of another slab"));
        }
        let range = usize::try_from(handle.offset).ok().zip(usize::try_from(handle.len).ok());
        let fits = |&(offset, len): &(usize, usize)| {
            let end = offset.checked_add(len);
            offset >= table.geometry.data() && end.is_some_and(|end| end <= table.area.size())
        };
        if handle.slot >= table.geometry.slots || !protocol::is_live(handle.generation) {
            return Err(handle.wrong("it names no slot"));
        }
        range.filter(fits).ok_or_else(|| handle.wrong("it reaches beyond the area"))
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("area", &self.0.table.area).finish_non_exhaustive()
    }
}

impl Attached {
    /// This process's seat.
    fn seat(&self) -> Result<&Seat> {
        let mut seat = &self.seat;
        while seat.presence.is_inherited() {
            seat = seat.next.get().ok_or_else(|| {
                Error::new(ErrorKind::NotPermitted, "open a slice")
                    .with_facts("the parent has attached to the slab, and a forked child reads for itself")
                    .with_remedy("attach in the child: `Reader::attach`, `open`, `take`")
            })?;
        }
        Ok(seat)
    }

    fn held(&self) -> Result<MutexGuard<'_, HashMap<u32, Held>>> {
        // Before the mutex: another thread of the parent may have held it as this process was
        // forked.
        Ok(self.seat()?.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says that this process reads a block, and looks whether it was in time.
    fn begin(&self, handle: &Handle, takes: bool) -> Result<()> {
        let seat = self.seat()?;
        let mut held = self.held()?;
        let slot = handle.slot;
        let known = held.get(&slot).filter(|known| known.generation == handle.generation);
        let before = match known {
            Some(known) => Word::new(handle.generation, known.takes, known.leases > 0),
            None => self.table.view().slot(slot).word(seat.reader())?.of(handle.generation),
        };
        if held.get(&slot).is_some_and(|other| other.leases > 0 && other.generation != handle.generation) {
            // The slot's block is of a generation that this process reads.
            return Err(handle.gone("its block was freed"));
        }
        if takes && before.takes >= Word::MAX_TAKES {
            return Err(Error::new(ErrorKind::Limit, format!("take {handle}"))
                .with_facts(format!("this process has taken it {} times", before.takes)));
        }
        let Some(word) = seat.say(&self.table, slot, handle.generation, before, takes)? else {
            return Err(handle.gone("its block was freed"));
        };
        let leases = known.map_or(0, |known| known.leases) + 1;
        held.insert(slot, Held { generation: handle.generation, takes: word.takes, leases });
        Ok(())
    }

    fn again(&self, slot: u32) {
        if let Ok(mut held) = self.held()
            && let Some(held) = held.get_mut(&slot)
        {
            held.leases += 1;
        }
    }

    fn end(&self, slot: u32) {
        // In a forked child that has no part in it, it is the parent's.
        let (Ok(seat), Ok(mut held)) = (self.seat(), self.held()) else { return };
        let Entry::Occupied(mut entry) = held.entry(slot) else { return };
        entry.get_mut().leases -= 1;
        if entry.get().leases == 0 {
            let Held { generation, takes, .. } = entry.remove();
            // Only where the program has taken the rights away; then the end of the process ends
            // it.
            let word = Word::new(generation, takes, true);
            let _ = protocol::finish(&self.table.view().slot(slot), seat.reader(), word);
        }
    }
}

/// A slice in a process that reads it: its block stays as long as a lease of it is held, or its
/// process lives.
///
/// Others may write it (its owner, and whoever may write the area), so that it lends no reference.
pub struct Lease {
    attached: Arc<Attached>,
    /// The id of the area in its handle.
    area: i32,
    slot: u32,
    generation: u32,
    offset: usize,
    len: usize,
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        self.attached.again(self.slot);
        Lease { attached: self.attached.clone(), ..*self }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.attached.end(self.slot);
    }
}

impl Lease {
    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where it begins in the slab's area, in bytes.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Where it begins. Valid as long as this lease, or a clone of it, is held; others may write
    /// there at any moment.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.attached.table.area.as_ptr().wrapping_add(self.offset)
    }

    /// A handle to hand it on to another process, which [opens](crate::open) it: good as long as
    /// the block is held by anybody, so by this lease at least.
    #[must_use]
    pub fn handle(&self) -> Handle {
        let Lease { area, slot, generation, .. } = *self;
        let (offset, len) = (self.offset as u64, self.len as u64);
        Handle { area, nonce: self.attached.table.nonce, slot, generation, offset, len }
    }

    /// The area that it is in, as this process has it.
    pub fn area(&self) -> &Area<Shared> {
        &self.attached.table.area
    }

    /// Copies bytes out.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] beyond its length.
    pub fn read_at(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        self.attached.table.area.slice(self.offset, self.len)?.read_at(offset, into)
    }

    /// Copies bytes in.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] beyond its length.
    pub fn write_at(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.attached.table.area.slice(self.offset, self.len)?.write_at(offset, bytes)
    }

    /// A copy of all its bytes.
    ///
    /// # Errors
    /// [`ErrorKind::ReadOnly`] where the area's protection forbids it.
    pub fn to_vec(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.len];
        self.read_at(0, &mut bytes)?;
        Ok(bytes)
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("offset", &self.offset).field("len", &self.len).finish_non_exhaustive()
    }
}
