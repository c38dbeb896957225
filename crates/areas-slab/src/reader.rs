//! The other side: processes that read slices by their handles.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use areas::presence::{Presence, was_taken};
use areas::registry;
use areas::{Area, AreaId, Error, Kind, Protection, Rejected, Result, Shared};

use crate::books::OWNER;
use crate::handle::Handle;
use crate::layout::{Geometry, Table, View, no_slab};
use crate::protocol::{self, Slot, Word};

/// A slab as a process that reads it has it: one mapping and one descriptor, for all slices.
///
/// [`open`](crate::open) and [`take`](crate::take) make one for each slab as they need it; this is for areas that cannot be found by their id, because
/// they are not published or came over a socket.
#[derive(Clone)]
pub struct Reader(Arc<Attached>);

struct Attached {
    // In the order in which they go: what it reads no more before its mark.
    table: Table,
    held: Mutex<HashMap<u32, Held>>,
    presence: Presence,
}

/// What this process reads of one slot.
struct Held {
    generation: u32,
    takes: u16,
    /// How many leases there are of it here.
    leases: usize,
}

impl Reader {
    /// Attaches to the slab in an area, which must be writable: readers say there what they read.
    ///
    /// # Errors
    /// The area comes back.
    /// - [`Kind::InvalidInput`] if no slab is in it;
    /// - [`Kind::ReadOnly`] for a clone for reading only;
    /// - [`Kind::Limit`] if as many processes read it as may;
    /// - [`Kind::NotPermitted`], [`Kind::System`] where the memory cannot be opened anew (`/proc` is not mounted).
    pub fn attach(area: Area<Shared>) -> Result<Self, Rejected<Area<Shared>>> {
        match Reader::prepare(&area) {
            Ok((geometry, nonce, presence)) => {
                let table = Table { area, geometry, nonce };
                Ok(Reader(Arc::new(Attached { table, held: Mutex::default(), presence })))
            }
            Err(error) => Err(Rejected { error, value: area }),
        }
    }

    fn prepare(area: &Area<Shared>) -> Result<(Geometry, u64, Presence)> {
        let what = || format!("read the slab in {area}");
        if !area.protection().contains(Protection::READ_WRITE) {
            return Err(Error::new(Kind::ReadOnly, what())
                .detail(format!(
                    "its protection is {}, and readers say in it what they read",
                    area.protection()
                ))
                .help("open it for writing, too"));
        }
        let (geometry, nonce) = Table::read(area)?.ok_or_else(|| no_slab(area))?;
        let presence = Presence::take(area.object(), 1..geometry.readers + 1)?.ok_or_else(|| {
            was_taken(Error::new(Kind::Limit, what()))
                .detail(format!("{} processes read it, and no more may", geometry.readers))
                .help("have its owner make it with more: `SlabBuilder::readers`; or end one")
        })?;
        let attached = (geometry, nonce, presence);
        Reader::forget_predecessor(area, &attached)?;
        Ok(attached)
    }

    /// What a process read that had this place before and died, nobody reads any more. How often it took what, still counts.
    fn forget_predecessor(
        area: &Area<Shared>,
        (geometry, _, presence): &(Geometry, u64, Presence),
    ) -> Result<()> {
        let (view, reader) = (View { area, geometry: *geometry }, presence.number() - 1);
        for slot in 0..view.highest()? {
            let (slot, word) = (view.slot(slot), view.slot(slot).word(reader)?);
            if word.reads {
                protocol::finish(&slot, reader, word)?;
            }
        }
        Ok(())
    }

    /// Opens a slice whose handle came from its owner by [`Slice::handle`](crate::Slice::handle).
    ///
    /// # Errors
    /// - [`Kind::NoSuchArea`] if the slice is gone, or is another slab's;
    /// - [`Kind::InvalidInput`] if the handle is of no slice that there can be;
    /// - [`Kind::NotPermitted`] in a forked child of the process that attached.
    pub fn open(&self, handle: &Handle) -> Result<Lease> {
        self.lease(handle, false)
    }

    /// Takes a slice whose handle was [given](crate::Slice::give): its owner does not wait for that any more. Once a handle.
    ///
    /// # Errors
    /// As [`open`](Reader::open); [`Kind::Limit`] after 32,767 times of one block.
    pub fn take(&self, handle: &Handle) -> Result<Lease> {
        self.lease(handle, true)
    }

    /// Whether the slab's owner lives: only then is anything ever put into it.
    ///
    /// # Errors
    /// [`Kind::System`] if the program has closed the area's descriptor.
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

    fn lease(&self, handle: &Handle, takes: bool) -> Result<Lease> {
        let (offset, len) = self.check(handle)?;
        self.0.begin(handle, takes)?;
        let (attached, slot) = (self.0.clone(), handle.slot);
        // From here on a drop ends it.
        let lease = Lease { attached, slot, offset, len };
        match self.0.table.view().block(slot)? {
            block if block == (handle.offset, handle.len) => Ok(lease),
            _ => Err(wrong(handle, "its owner says that it is elsewhere, or of another length")),
        }
    }

    /// Where a handle leads to, by itself.
    fn check(&self, handle: &Handle) -> Result<(usize, usize)> {
        let table = &self.0.table;
        if handle.nonce != table.nonce {
            return Err(gone(handle, "it is of another slab"));
        }
        let range = usize::try_from(handle.offset).ok().zip(usize::try_from(handle.len).ok());
        let fits = |&(offset, len): &(usize, usize)| {
            let end = offset.checked_add(len);
            offset >= table.geometry.data() && end.is_some_and(|end| end <= table.area.size())
        };
        if handle.slot >= table.geometry.slots || handle.generation.is_multiple_of(2) {
            return Err(wrong(handle, "it names no slot"));
        }
        range.filter(fits).ok_or_else(|| wrong(handle, "it reaches beyond the area"))
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("area", &self.0.table.area).finish_non_exhaustive()
    }
}

fn wrong(handle: &Handle, why: &str) -> Error {
    Error::new(Kind::InvalidInput, format!("open {handle}")).detail(why.to_owned())
}

fn gone(handle: &Handle, why: &str) -> Error {
    Error::new(Kind::NoSuchArea, format!("open {handle}"))
        .detail(why.to_owned())
        .help("the owner has to hold it until it is opened, or give it: `Slice::give`, `take`")
}

impl Attached {
    fn held(&self) -> Result<MutexGuard<'_, HashMap<u32, Held>>> {
        // Before the mutex: another thread of the parent may have held it as this process was forked.
        if self.presence.is_inherited() {
            return Err(Error::new(Kind::NotPermitted, "open a slice")
                .detail("the parent has attached to the slab, and a forked child reads for itself")
                .help("attach in the child: `Reader::attach`, `open`, `take`"));
        }
        Ok(self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn reader(&self) -> u32 {
        self.presence.number() - 1
    }

    /// Says that this process reads a block, and looks whether it was in time.
    fn begin(&self, handle: &Handle, takes: bool) -> Result<()> {
        let mut held = self.held()?;
        let (at, reader, slot) = (self.table.view().slot(handle.slot), self.reader(), handle.slot);
        let known = held.get(&slot).filter(|known| known.generation == handle.generation);
        let before = match known {
            Some(known) => Word::new(handle.generation, known.takes, known.leases > 0),
            None => at.word(reader)?.of(handle.generation),
        };
        if held.get(&slot).is_some_and(|other| other.leases > 0 && other.generation != handle.generation) {
            // The slot's block is of a generation that this process reads.
            return Err(gone(handle, "its owner has dropped it"));
        }
        if takes && before.takes >= Word::MAX_TAKES {
            return Err(Error::new(Kind::Limit, format!("take {handle}"))
                .detail(format!("this process has taken it {} times", before.takes)));
        }
        let Some(word) = protocol::begin(&at, reader, handle.generation, before, takes)? else {
            return Err(gone(handle, "its owner has dropped it"));
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
        // In a forked child it is the parent's.
        let Ok(mut held) = self.held() else { return };
        let Entry::Occupied(mut entry) = held.entry(slot) else { return };
        entry.get_mut().leases -= 1;
        if entry.get().leases == 0 {
            let Held { generation, takes, .. } = entry.remove();
            // Only where the program has taken the rights away; then the end of the process ends it.
            let word = Word::new(generation, takes, true);
            let _ = protocol::finish(&self.table.view().slot(slot), self.reader(), word);
        }
    }
}

/// A slice in a process that reads it: its block stays as long as a lease of it is held, or its process lives.
///
/// Others may write it (its owner, and whoever may write the area), so that it lends no reference.
pub struct Lease {
    attached: Arc<Attached>,
    slot: u32,
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

    /// Where it begins. Valid as long as this lease, or a clone of it, is held; others may write there at any moment.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.attached.table.area.as_ptr().wrapping_add(self.offset)
    }

    /// Copies bytes out.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`] beyond its length.
    pub fn read_at(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        self.attached.table.area.slice(self.offset, self.len)?.read_at(offset, into)
    }

    /// Copies bytes in.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`] beyond its length.
    pub fn write_at(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.attached.table.area.slice(self.offset, self.len)?.write_at(offset, bytes)
    }

    /// A copy of all its bytes.
    ///
    /// # Errors
    /// [`Kind::ReadOnly`] where the area's protection forbids it.
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

/// The slabs that one process has attached to, by their number: of this process, and then of each forked child in a row.
struct Attachments {
    pid: u32,
    readers: Mutex<HashMap<u64, Reader>>,
    next: OnceLock<Box<Attachments>>,
}

/// Those of the process that first asked.
static FIRST: OnceLock<Attachments> = OnceLock::new();

impl Attachments {
    fn new(pid: u32) -> Self {
        Attachments { pid, readers: Mutex::default(), next: OnceLock::new() }
    }

    /// This process's own: those of its parent are not looked at, as a thread that this process has not may hold their mutex.
    fn own() -> &'static Self {
        let pid = std::process::id();
        let mut at = FIRST.get_or_init(|| Attachments::new(pid));
        while at.pid != pid {
            at = at.next.get_or_init(|| Box::new(Attachments::new(pid)));
        }
        at
    }

    fn reader(&self, handle: &Handle) -> Result<Reader> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reader) = readers.get(&handle.nonce) {
            return Ok(reader.clone());
        }
        // Slabs whose owner is dead, and of which nothing is read here, are let go of.
        readers
            .retain(|_, reader| Arc::strong_count(&reader.0) > 1 || reader.is_owner_alive().unwrap_or(false));
        let area = registry::get(AreaId::new(handle.area)?)?.open()?;
        let reader = Reader::attach(area).map_err(|rejected| rejected.error)?;
        if reader.slab() != handle.nonce {
            return Err(gone(handle, "the area of that id has another slab in it"));
        }
        readers.insert(handle.nonce, reader.clone());
        Ok(reader)
    }
}

/// Slabs whose owner is dead, and of which nothing is read here, are let go of. How many.
fn forget_dead(readers: &mut HashMap<u64, Reader>) -> usize {
    let before = readers.len();
    readers.retain(|_, reader| Arc::strong_count(&reader.0) > 1 || reader.is_owner_alive().unwrap_or(false));
    before - readers.len()
}

/// Lets go of the slabs that [`open`] and [`take`] have attached to, whose owner is dead and of which nothing is read here: their memory
/// goes with that. How many. ([`open`] and [`take`] do so when they attach to another one.)
pub fn detach_dead() -> usize {
    forget_dead(&mut Attachments::own().readers.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Opens a slice by its handle, in any process of the same user: the slab's area is mapped once, and stays until its owner is dead and
/// nothing of it is read here.
///
/// # Errors
/// As [`Reader::open`]; [`Kind::NoSuchArea`] if the slab's owner is gone; [`Kind::Unreadable`] if its area may not be opened.
pub fn open(handle: &Handle) -> Result<Lease> {
    Attachments::own().reader(handle)?.open(handle)
}

/// Takes a slice whose handle was [given](crate::Slice::give), as [`open`] opens one.
///
/// # Errors
/// As [`open`].
pub fn take(handle: &Handle) -> Result<Lease> {
    Attachments::own().reader(handle)?.take(handle)
}
