//! The owner's books: which block is where, and what became of it. In private memory, where no
//! other process writes.

use std::alloc::Layout;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use areas::presence::Presence;
use areas::{Area, Bytes, Error, ErrorKind, Extent, Result, Shared};
use offset_allocator::{Allocation, Allocator};

use crate::handle::Handle;
use crate::layout::{GRANULE, Table};
use crate::protocol::{self, BEFORE_ALL, Word, next};

/// The number of the owner's mark; a reader's is its own and one.
pub(crate) const OWNER: u32 = 0;

/// What became of a slot's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// There is none.
    Empty,
    /// The owner has slices of it.
    Owned,
    /// The owner has none any more, and has given it to others, who have not all taken it.
    Given,
    /// The owner has none any more, and never waits to take it; others may still read it.
    Dropped,
}

struct Slot {
    /// That of its block while it lives.
    generation: u32,
    fate: Fate,
    /// How many slices the owner has of it, clones apart.
    owners: usize,
    /// Whether it is in the queue of those that wait.
    waits: bool,
    /// How often it was given away, and when the last time.
    gives: u32,
    given: Option<Instant>,
    block: Option<Allocation>,
    /// In granules.
    granules: u32,
    /// Where the block is in the area, and how many bytes were asked for.
    offset: usize,
    len: usize,
}

impl Slot {
    const NEW: Slot = Slot {
        generation: BEFORE_ALL,
        fate: Fate::Empty,
        owners: 0,
        waits: false,
        gives: 0,
        given: None,
        block: None,
        granules: 0,
        offset: 0,
        len: 0,
    };
}

/// How full a slab is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes that all blocks together can have, room to grow included.
    pub capacity: usize,
    /// Bytes of blocks that the owner has slices of.
    pub owned: usize,
    /// Bytes of blocks that were given away and that not all have taken.
    pub given: usize,
    /// Bytes of blocks that the owner has dropped and that others still read.
    pub read: usize,
    /// Bytes that no block has.
    pub free: usize,
    /// The largest block that is sure to be had now.
    pub largest: usize,
    /// How many blocks there are, of `slots` that there can be.
    pub blocks: usize,
    /// How many blocks there can be at once.
    pub slots: usize,
}

/// Where a new block is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

pub(crate) struct Books {
    allocator: Allocator,
    /// In granules.
    capacity: u32,
    /// Up to where the area is known to reach, in bytes.
    reach: usize,
    slots: Vec<Slot>,
    /// Slots without a block, below the highest one.
    empty: Vec<u32>,
    /// Blocks that wait for others.
    waiting: VecDeque<u32>,
}

impl Books {
    /// Of an area that holds a table, and blocks up to its end, or as far as it may grow.
    pub(crate) fn new(table: &Table) -> Result<Self> {
        let most = match table.area.object().extent() {
            Extent::Growable { max } => max,
            _ => table.area.size(),
        };
        let too_large = || {
            Error::new(ErrorKind::InvalidInput, format!("make a slab of {}", Bytes::from(most)))
                .with_facts(format!("a slab has at most {}", Bytes::from(MAX_GRANULES as usize * GRANULE)))
                .with_remedy("make several")
        };
        let granules = most.saturating_sub(table.geometry.data()) / GRANULE;
        let capacity =
            u32::try_from(granules).ok().filter(|&all| all <= MAX_GRANULES).ok_or_else(too_large)?;
        if capacity == 0 {
            let whole = table.geometry.data() + GRANULE;
            return Err(Error::new(ErrorKind::InvalidInput, format!("make a slab of {}", Bytes::from(most)))
                .with_facts(format!(
                    "the table of {} slots and {} readers leaves no room for blocks",
                    table.geometry.slots, table.geometry.readers
                ))
                .with_remedy(format!("make it larger than {}, or `slots` fewer", Bytes::from(whole))));
        }
        // Each block, each gap between two, and one more while a block is cut.
        let allocator = Allocator::with_max_allocs(capacity, table.geometry.slots * 2 + 8);
        let (slots, empty, waiting) = (Vec::new(), Vec::new(), VecDeque::new());
        Ok(Books { allocator, capacity, reach: table.area.size(), slots, empty, waiting })
    }

    /// Takes a block, after a look at some of those that wait.
    pub(crate) fn take(&mut self, table: &Table, layout: Layout) -> Result<Block> {
        // Few at a time, so that none waits for long and no call takes long.
        self.settle(table, 2, None);
        if let Some(block) = self.try_take(table, layout)? {
            return Ok(block);
        }
        if self.settle(table, usize::MAX, None) > 0
            && let Some(block) = self.try_take(table, layout)?
        {
            return Ok(block);
        }
        Err(self.full(table, layout))
    }

    fn try_take(&mut self, table: &Table, layout: Layout) -> Result<Option<Block>> {
        let slots = table.geometry.slots as usize;
        if self.empty.is_empty() && self.slots.len() >= slots {
            return Ok(None);
        }
        let len = layout.size().max(1).div_ceil(GRANULE);
        // Blocks begin at granules: for more, some are left out before.
        let extra = layout.align().saturating_sub(GRANULE) / GRANULE;
        let Some(granules) = u32::try_from(len + extra).ok().filter(|&all| all <= self.capacity) else {
            return Ok(None);
        };
        let Some(allocation) = self.allocator.allocate(granules) else { return Ok(None) };
        let data = table.geometry.data();
        let offset = (data + allocation.offset as usize * GRANULE).next_multiple_of(layout.align());
        let end = data + (allocation.offset as usize + granules as usize) * GRANULE;
        if let Err(error) = self.reach(&table.area, end) {
            self.allocator.free(allocation);
            return Err(error);
        }
        let slot = match self.empty.pop() {
            Some(slot) => slot,
            None => {
                let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
                self.slots.push(Slot::NEW);
                slot
            }
        };
        let generation = next(self.slots[slot as usize].generation);
        let shown = table
            .view()
            .set_highest(u32::try_from(self.slots.len()).unwrap_or(u32::MAX))
            .and_then(|()| table.view().show(slot, generation, offset, layout.size()));
        if let Err(error) = shown {
            self.empty.push(slot);
            self.allocator.free(allocation);
            return Err(error);
        }
        let (len, waits) = (layout.size(), self.slots[slot as usize].waits);
        self.slots[slot as usize] = Slot {
            generation,
            fate: Fate::Owned,
            owners: 1,
            waits,
            block: Some(allocation),
            granules,
            offset,
            len,
            ..Slot::NEW
        };
        Ok(Some(Block { slot, generation, offset, len }))
    }

    /// One more slice of a block that is there, by a handle of it.
    pub(crate) fn again(&mut self, handle: &Handle) -> Option<Block> {
        let slot = self.slots.get_mut(handle.slot as usize)?;
        let is_it = (slot.generation, slot.offset as u64, slot.len as u64)
            == (handle.generation, handle.offset, handle.len);
        if slot.fate == Fate::Empty || !is_it {
            return None;
        }
        slot.owners += 1;
        slot.fate = Fate::Owned;
        let Slot { generation, offset, len, .. } = *slot;
        Some(Block { slot: handle.slot, generation, offset, len })
    }

    /// The blocks that the owner has slices of: slot, generation, how many slices.
    pub(crate) fn owned(&self) -> impl Iterator<Item = (u32, u32, usize)> {
        let all = (0_u32..).zip(&self.slots).filter(|(_, slot)| slot.fate == Fate::Owned);
        all.map(|(number, slot)| (number, slot.generation, slot.owners))
    }

    /// Has none of the blocks that the owner has now ever be reused.
    pub(crate) fn pin(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.fate == Fate::Owned) {
            slot.owners += 1;
        }
    }

    /// Grows the area to reach so far, by more than is needed where that is to be had.
    fn reach(&mut self, area: &Area<Shared>, end: usize) -> Result<()> {
        if end <= self.reach {
            return Ok(());
        }
        let ahead = end.max(self.reach + self.reach / 4).min(area.reserve());
        area.grow(ahead).or_else(|error| if ahead > end { area.grow(end) } else { Err(error) })?;
        self.reach = area.size();
        Ok(())
    }

    /// Notes that a block was given away once more.
    pub(crate) fn give(&mut self, slot: u32) -> Result<()> {
        let slot = &mut self.slots[slot as usize];
        if slot.gives >= u32::from(Word::MAX_TAKES) {
            return Err(Error::new(ErrorKind::Limit, "give a slice away")
                .with_facts(format!("it was given {} times, and no more are counted", slot.gives))
                .with_remedy("keep it, and send its handle: `Slice::handle`"));
        }
        slot.gives += 1;
        slot.given = Some(Instant::now());
        Ok(())
    }

    /// The owner has one slice less of a block.
    pub(crate) fn drop_owned(&mut self, table: &Table, number: u32) {
        let slot = &mut self.slots[number as usize];
        slot.owners = slot.owners.saturating_sub(1);
        if slot.owners > 0 {
            return;
        }
        slot.fate = Fate::Given;
        if !self.try_free(table, number, None) {
            self.queue(number);
        }
    }

    fn queue(&mut self, number: u32) {
        if !std::mem::replace(&mut self.slots[number as usize].waits, true) {
            self.waiting.push_back(number);
        }
    }

    /// Looks at so many of the blocks that wait for others, at each once: frees those that no
    /// process reads any more. How many.
    pub(crate) fn settle(&mut self, table: &Table, most: usize, older: Option<Duration>) -> usize {
        let mut freed = 0;
        for _ in 0..self.waiting.len().min(most) {
            let Some(number) = self.waiting.pop_front() else { break };
            let slot = &mut self.slots[number as usize];
            slot.waits = false;
            if matches!(slot.fate, Fate::Empty | Fate::Owned) {
                // It was freed at once, or has come back to its owner.
                continue;
            }
            match self.try_free(table, number, older) {
                true => freed += 1,
                false => self.queue(number),
            }
        }
        freed
    }

    /// Frees a block that the owner has dropped, if others let it: those it was given to have taken
    /// it (or had `older` for that), and no process reads it.
    fn try_free(&mut self, table: &Table, number: u32, older: Option<Duration>) -> bool {
        let (slot, at) = (&mut self.slots[number as usize], table.view().slot(number));
        if slot.fate == Fate::Given {
            let late = older.is_some_and(|older| slot.given.is_none_or(|given| given.elapsed() >= older));
            let taken = protocol::takes(&at, slot.generation).is_ok_and(|takes| takes >= slot.gives);
            if !late && !taken {
                return false;
            }
            slot.fate = Fate::Dropped;
        }
        // Of a process that cannot be looked for it is taken that it lives. (A process that has a
        // dead one's mark has not begun to read.)
        let lives =
            |reader: u32| Presence::is_taken(table.area.object(), reader + 1..reader + 2).unwrap_or(true);
        if !protocol::end(&at, slot.generation, lives).unwrap_or(false) {
            return false;
        }
        slot.fate = Fate::Empty;
        if let Some(block) = slot.block.take() {
            self.allocator.free(block);
        }
        self.empty.push(number);
        true
    }

    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage { capacity: self.capacity as usize * GRANULE, ..Usage::default() };
        for slot in &self.slots {
            let bytes = slot.granules as usize * GRANULE;
            match slot.fate {
                Fate::Empty => continue,
                Fate::Owned => usage.owned += bytes,
                Fate::Given => usage.given += bytes,
                Fate::Dropped => usage.read += bytes,
            }
            usage.blocks += 1;
        }
        let report = self.allocator.storage_report();
        usage.free = report.total_free_space as usize * GRANULE;
        usage.largest = report.largest_free_region as usize * GRANULE;
        usage
    }

    /// Why a block cannot be had.
    #[cold]
    fn full(&self, table: &Table, layout: Layout) -> Error {
        let usage = self.usage();
        let what = format!("take {} from the slab in {}", Bytes::from(layout.size()), table.area);
        let slots = table.geometry.slots as usize;
        if usage.blocks >= slots {
            return Error::new(ErrorKind::Limit, what)
                .with_facts(format!(
                    "it has {slots} slots, all in use: {} given away and not taken, {} that others read",
                    Bytes::from(usage.given),
                    Bytes::from(usage.read)
                ))
                .with_remedy("make it with more: `SlabBuilder::slots`; or drop slices");
        }
        Error::new(ErrorKind::NoMemory, what)
            .with_facts(format!(
                "{} in all: {} the owner's, {} given and not taken, {} read by others; largest free: {}",
                Bytes::from(usage.capacity),
                Bytes::from(usage.owned),
                Bytes::from(usage.given),
                Bytes::from(usage.read),
                Bytes::from(usage.largest)
            ))
            .with_remedy(
                "drop slices; wait for readers (`alloc_within`); `take_back`; or make it larger, or growable",
            )
    }
}

/// So many granules can be distinguished, and searched.
const MAX_GRANULES: u32 = 1 << 31;

impl std::fmt::Debug for Books {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Books").field("usage", &self.usage()).finish_non_exhaustive()
    }
}
