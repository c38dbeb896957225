//! A slab in the process that owns it: made, and blocks taken from it. What its process has of
//! them: `slice.rs`.

use std::alloc::Layout;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use areas::presence::{Presence, was_taken};
use areas::{Area, AreaId, Error, ErrorKind, Extent, Rejected, Result, Shared};

use crate::attachments;
use crate::books::{Block, Books, OWNER, Usage};
use crate::handle::Handle;
use crate::heir::Heir;
use crate::layout::{Geometry, MAX_READERS, MAX_SLOTS, Table};
use crate::owner::Owner;
use crate::slice::Slice;

/// How a slab is to be made.
#[derive(Clone, Copy, Debug)]
#[must_use = "a slab is made by `over`"]
pub struct SlabBuilder {
    slots: Option<u32>,
    readers: u32,
}

impl Default for SlabBuilder {
    fn default() -> Self {
        SlabBuilder::new()
    }
}

impl SlabBuilder {
    /// The defaults: a slot for each 4 KiB (256 at least, 65536 at most), and 56 readers.
    pub const fn new() -> Self {
        SlabBuilder { slots: None, readers: 56 }
    }

    /// How many blocks there can be at once: 1 to 2^24. Each takes 32 bytes of the area, and 4 for
    /// each reader.
    pub const fn slots(mut self, slots: u32) -> Self {
        self.slots = Some(slots);
        self
    }

    /// How many processes can read it at once: 1 to 1024.
    pub const fn readers(mut self, readers: u32) -> Self {
        self.readers = readers;
        self
    }

    /// The same with its number of slots settled, where that was not said, and the size of an area
    /// in which all blocks together can have `capacity` bytes: beside them it holds the table.
    pub fn sized(mut self, capacity: usize) -> (Self, usize) {
        let slots = *self.slots.get_or_insert_with(|| slots_for(capacity));
        // What is too much is refused where the slab is made.
        let geometry = Geometry { readers: self.readers.min(MAX_READERS), slots: slots.min(MAX_SLOTS) };
        (self, geometry.data().saturating_add(capacity))
    }

    /// Makes a slab in an area of any placement, pages and size; what was in the area is gone. A
    /// growable one grows as it fills.
    ///
    /// # Errors
    /// The area comes back.
    /// - [`ErrorKind::InvalidInput`] for numbers out of their range, and an area that has no room
    ///   for the table of the slots;
    /// - [`ErrorKind::Busy`] if it is in another slab's use: its owner, or a reader of it, lives;
    /// - [`ErrorKind::ReadOnly`] for an area that may not be written; [`ErrorKind::NotPermitted`],
    ///   [`ErrorKind::System`] where the memory cannot be reopened (`/proc` is not mounted).
    pub fn over(&self, area: Area<Shared>) -> Result<Slab, Rejected<Area<Shared>>> {
        self.make(area, false)
    }

    fn make(&self, area: Area<Shared>, fresh: bool) -> Result<Slab, Rejected<Area<Shared>>> {
        let ready = match self.prepare(&area, fresh) {
            Ok(ready) => ready,
            Err(error) => return Err(Rejected { error, value: area }),
        };
        let (geometry, nonce, presence) = ready;
        let table = Table { area, geometry, nonce };
        match Books::new(&table) {
            Ok(books) => {
                let owner = Arc::new(Owner::new(Arc::new(table), books, presence));
                attachments::own(nonce, &owner);
                Ok(Slab(owner))
            }
            Err(error) => Err(Rejected { error, value: table.area }),
        }
    }

    fn prepare(&self, area: &Area<Shared>, fresh: bool) -> Result<(Geometry, u64, Presence)> {
        let what = || format!("make a slab in {area}");
        let most = match area.object().extent() {
            Extent::Growable { max } => max,
            _ => area.size(),
        };
        let slots = self.slots.unwrap_or_else(|| slots_for(most));
        let geometry = Geometry { readers: self.readers, slots };
        if !(1..=MAX_READERS).contains(&geometry.readers) || !(1..=MAX_SLOTS).contains(&geometry.slots) {
            return Err(Error::new(ErrorKind::InvalidInput, what()).with_facts(format!(
                "{} slots and {} readers were asked for: 1 to {MAX_SLOTS} and 1 to {MAX_READERS} can be",
                geometry.slots, geometry.readers
            )));
        }
        let busy = |who: &str| {
            Error::new(ErrorKind::Busy, what())
                .with_facts(who.to_owned())
                .with_remedy("make an area of its own for each slab")
        };
        let presence = Presence::take(area.object(), OWNER..OWNER + 1)?
            .ok_or_else(|| was_taken(busy("another slab is in it, whose owner is alive")))?;
        if Presence::is_taken(area.object(), 1..MAX_READERS + 1)? {
            return Err(busy("a slab was in it, and others still read its slices"));
        }
        if geometry.data() > area.size() && geometry.data() < most {
            area.grow(geometry.data())?;
        }
        if geometry.data() >= most {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .with_facts(format!(
                    "the table of {} slots and {} readers has {} bytes, and the area {most}",
                    geometry.slots,
                    geometry.readers,
                    geometry.data()
                ))
                .with_remedy("make the area larger, or `slots` or `readers` fewer"));
        }
        let nonce = nonce();
        Table::begin(area, geometry, nonce, fresh)?;
        Ok((geometry, nonce, presence))
    }
}

/// How many slots a slab of that size has by itself.
fn slots_for(bytes: usize) -> u32 {
    u32::try_from((bytes / 4096).clamp(256, 1 << 16)).unwrap_or(1 << 16)
}

/// A number that no other slab has: of the randomness that the standard library takes from the
/// kernel.
fn nonce() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    if let Ok(since) = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        hasher.write_u128(since.as_nanos());
    }
    hasher.finish()
}

/// Many small arrays in one area: one descriptor and one mapping for all of them, in each process.
///
/// The process that makes it owns it: it alone takes blocks ([`alloc`](Slab::alloc),
/// [`put`](Slab::put)), and keeps the books of them in its private memory. Others
/// [`open`](crate::open) slices by their handles. A block is reused when its owner has dropped it
/// and no process reads it any more: who reads says so in the area, and whose process is dead,
/// killed or not, reads nothing.
///
/// All its methods may be called by several threads at once. In a forked child they are errors.
#[derive(Clone)]
pub struct Slab(pub(crate) Arc<Owner>);

impl Slab {
    /// Makes one of `size` bytes, its table included, in an area of that name.
    ///
    /// # Errors
    /// As for new areas, and as [`SlabBuilder::over`].
    pub fn create(name: impl AsRef<[u8]>, size: usize) -> Result<Self> {
        let area = areas::builder(size).shared()?;
        let mut slab = SlabBuilder::new().make(area, true).map_err(|rejected| rejected.error)?;
        // Not before it is whole: who finds it opens it.
        slab.publish(name)?;
        Ok(slab)
    }

    /// Publishes its area under a name, as [`Area::publish`] does, before there are other handles
    /// of this slab.
    ///
    /// # Errors
    /// As there; [`ErrorKind::Busy`] if there are slices of it, or clones of this value.
    pub fn publish(&mut self, name: impl AsRef<[u8]>) -> Result<AreaId> {
        let what = format!("publish the slab in {}", self.0.table.area);
        let number = self.number();
        attachments::disown(number);
        let published = match Arc::get_mut(&mut self.0).and_then(|owner| Arc::get_mut(&mut owner.table)) {
            Some(table) => table.area.publish(name),
            None => Err(Error::new(ErrorKind::Busy, what)
                .with_facts("there are slices of it, or clones of this value")
                .with_remedy("publish it first, or publish the area before the slab is made")),
        };
        attachments::own(number, &self.0);
        published
    }

    /// Starts to make one otherwise: over an area of one's own, or with other numbers.
    pub fn builder() -> SlabBuilder {
        SlabBuilder::new()
    }

    /// The area that it is in. (Who writes there otherwise than by slices breaks the slab.)
    pub fn area(&self) -> &Area<Shared> {
        &self.0.table.area
    }

    /// Takes a block of that size, at a multiple of that alignment of its area (at least 64 bytes,
    /// at most a base page). It holds whatever its bytes held before.
    ///
    /// # Errors
    /// [`ErrorKind::NoMemory`] if no block is free that is so large, [`ErrorKind::Limit`] if no
    /// slot is; as [`Area::grow`]; [`ErrorKind::InvalidInput`] for a larger alignment;
    /// [`ErrorKind::NotPermitted`] in a forked child.
    pub fn alloc(&self, layout: Layout) -> Result<Slice> {
        const WHAT: &str = "take a block from a slab";
        if layout.align() > 4096 {
            return Err(Error::new(ErrorKind::InvalidInput, WHAT).with_facts(format!(
                "an alignment of {} bytes was asked for, and at most 4096 are possible",
                layout.align()
            )));
        }
        let block = self.0.books(WHAT)?.take(&self.0.table, layout)?;
        Ok(self.slice(block))
    }

    fn slice(&self, block: Block) -> Slice {
        Slice::new(self.0.clone(), block)
    }

    /// A slice of a block of this slab that comes back to its owner by a handle. It does not count
    /// as [taking](crate::take) it.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchArea`] if the block is gone, or is another slab's;
    /// [`ErrorKind::NotPermitted`] in a forked child.
    pub fn again(&self, handle: &Handle) -> Result<Slice> {
        let mut books = self.0.books("open a slice of a slab of one's own")?;
        if handle.nonce != self.0.table.nonce {
            return Err(handle.gone("it is of another slab"));
        }
        let block = books.again(handle).ok_or_else(|| handle.gone("its block was freed"))?;
        drop(books);
        Ok(self.slice(block))
    }

    /// Which slab it is: as [`Handle::slab`] says.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0.table.nonce
    }

    /// To be called before this process forks: what the child will have of the slices that this
    /// process has. `None` if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] if as many processes read the slab as may: then [`pin`](Slab::pin)
    /// keeps the blocks for the child. [`ErrorKind::NotPermitted`] in a forked child;
    /// [`Reader::attach`](crate::Reader::attach).
    pub fn before_fork(&self) -> Result<Option<Heir>> {
        let books = self.0.books("prepare a slab for a fork")?;
        let owned: Vec<_> = books.owned().collect();
        let heir = Heir::of_owner(&self.0, &self.0.table, &owned);
        // As long as the books are held, no block changes.
        drop(books);
        heir
    }

    /// Keeps the blocks that this process has slices of from ever being reused: for a forked child
    /// that could not be given a part in them.
    ///
    /// # Errors
    /// [`ErrorKind::NotPermitted`] in a forked child.
    pub fn pin(&self) -> Result<()> {
        self.0.books("pin the blocks of a slab")?.pin();
        Ok(())
    }

    /// The same, and waits for so long until readers have released enough.
    ///
    /// # Errors
    /// As [`alloc`](Slab::alloc), after that time.
    pub fn alloc_within(&self, layout: Layout, timeout: Duration) -> Result<Slice> {
        const LONGEST_STEP: Duration = Duration::from_millis(5);
        let deadline = Instant::now().checked_add(timeout);
        let mut step = Duration::from_micros(20);
        loop {
            let error = match self.alloc(layout) {
                Err(error) if [ErrorKind::NoMemory, ErrorKind::Limit].contains(&error.kind()) => error,
                other => return other,
            };
            let left = deadline.map_or(LONGEST_STEP, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(error);
            }
            std::thread::sleep(step.min(left));
            step = (step * 2).min(LONGEST_STEP);
        }
    }

    /// Takes a block for bytes and copies them in.
    ///
    /// # Errors
    /// As [`alloc`](Slab::alloc).
    pub fn put(&self, bytes: &[u8]) -> Result<Slice> {
        let layout = Layout::from_size_align(bytes.len(), 1).map_err(|error| {
            Error::new(ErrorKind::InvalidInput, "put bytes into a slab").with_facts(error.to_string())
        })?;
        let slice = self.alloc(layout)?;
        slice.write_at(0, bytes)?;
        Ok(slice)
    }

    /// Looks at all blocks that were dropped here and that others may still read, and frees those
    /// that no process does. How many. (Taking blocks does so as it needs to.)
    ///
    /// # Errors
    /// [`ErrorKind::NotPermitted`] in a forked child.
    pub fn reclaim(&self) -> Result<usize> {
        Ok(self.0.books("reclaim blocks of a slab")?.settle(&self.0.table, usize::MAX, None))
    }

    /// Takes back what was [given](Slice::give) away so long ago or longer, and was not taken by
    /// all: because who was to take it is dead, say. Who comes to take it finds it gone; who reads
    /// it by now goes on. How many blocks are free by that.
    ///
    /// # Errors
    /// [`ErrorKind::NotPermitted`] in a forked child.
    pub fn take_back(&self, older: Duration) -> Result<usize> {
        Ok(self.0.books("take slices back")?.settle(&self.0.table, usize::MAX, Some(older)))
    }

    /// How full it is.
    ///
    /// # Errors
    /// [`ErrorKind::NotPermitted`] in a forked child.
    pub fn usage(&self) -> Result<Usage> {
        let mut usage = self.0.books("look at a slab")?.usage();
        usage.slots = self.0.table.geometry.slots as usize;
        Ok(usage)
    }
}

impl std::fmt::Debug for Slab {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slab")
            .field("area", &self.0.table.area)
            .field("geometry", &self.0.table.geometry)
            .finish()
    }
}
