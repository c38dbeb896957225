//! The table of a team: a memory object in which one process lists its areas for all others to read.
//!
//! One writer, its owner; everybody else has it mapped for reading only, and the seals see to it that nobody can do
//! otherwise. Nothing in it is ever repaired: it goes with its owner.
//!
//! ```text
//! header | by sequence: 2^19 x u32, the record of each id | index: by hash of the name | records: 65,536 x 480 bytes
//! ```
//!
//! The object is sparse: a part that the owner never wrote takes no memory, and readers take care not to touch one,
//! because reading a hole of a memory object fills it.
//!
//! - **Records** do not change once they can be seen, but for one word (the protection). A generation guards each: odd, or 0,
//!   means absent. A reader copies the record out and looks at the generation before and after; it never waits.
//! - **The index** is open-addressed and holds each name once, with its oldest record; younger ones of the same name are
//!   chained behind it for the owner alone. It exists on two sides and in sizes that double: the owner fills
//!   the other side, then publishes it by one word, and a reader that found nothing looks whether that word is still the
//!   same.
//!
//! Whatever a reader finds here was written by another process, and is checked before it is believed.

use std::sync::atomic::{Ordering, fence};

use super::id::{AreaId, SEQUENCES, SLOTS};
use super::name::Name;
use crate::error::Result;
use crate::lock::Lock;
use crate::mapping::Mapping;
use crate::object::Extent;
use crate::page::PageSize;
use crate::place::{Node, NodeSet, Placement};
use crate::protection::Protection;
use crate::sys;
use crate::sys::file::Identity;

/// "AREAS" and the format version: another version is another format.
const MAGIC: u64 = u64::from_le_bytes(*b"AREAS\0\0\0");
/// The format that this library writes and reads.
pub(crate) const VERSION: u32 = 1;

/// How many areas a team can publish.
pub(crate) const RECORDS: u32 = 1 << 16;
const RECORD_BYTES: usize = 480;
const SMALLEST_INDEX: u32 = 6;
const LARGEST_INDEX: u32 = 17;

const HEADER_BYTES: usize = 4096;
const BY_SEQUENCE: usize = HEADER_BYTES;
const INDEX: usize = BY_SEQUENCE + SEQUENCES as usize * 4;
const RECORDS_AT: usize = INDEX + 2 * ((1 << (LARGEST_INDEX + 1)) - (1 << SMALLEST_INDEX)) * 4;
/// The size of a table, rounded up to the largest base page that Linux has.
pub(crate) const TABLE_BYTES: usize =
    (RECORDS_AT + RECORDS as usize * RECORD_BYTES).next_multiple_of(1 << 16);

/// Sequence numbers are leased in blocks of this many: one page of the part "by sequence".
pub(crate) const BLOCK: u32 = 1024;
pub(crate) const BLOCKS: u32 = SEQUENCES / BLOCK;

/// Offsets in the header.
mod header {
    pub(super) const MAGIC: usize = 0;
    pub(super) const VERSION: usize = 8;
    pub(super) const SLOT: usize = 12;
    pub(super) const PID: usize = 16;
    pub(super) const START_TIME: usize = 24;
    pub(super) const DEVICE: usize = 32;
    pub(super) const INODE: usize = 40;
    /// Side and size of the index in use, and how often that has changed.
    pub(super) const INDEX: usize = 64;
    /// Records below this one have been written.
    pub(super) const HIGH_WATER: usize = 72;
    /// A bit for each block of sequence numbers that has been written.
    pub(super) const BLOCKS: usize = 128;
}

/// Offsets in a record.
mod field {
    pub(super) const GENERATION: usize = 0;
    pub(super) const ID: usize = 8;
    pub(super) const DESCRIPTOR: usize = 12;
    pub(super) const HASH: usize = 16;
    pub(super) const CREATED: usize = 24;
    pub(super) const DEVICE: usize = 32;
    pub(super) const INODE: usize = 40;
    pub(super) const ADDRESS: usize = 48;
    pub(super) const SPAN: usize = 56;
    pub(super) const MAX: usize = 64;
    pub(super) const EXACT: usize = 72;
    /// The one byte that may change.
    pub(super) const PROTECTION: usize = 80;
    /// 0: fixed, 1: growable, 2: resizable.
    pub(super) const EXTENT: usize = 81;
    /// The home node + 1, or 0.
    pub(super) const HOME: usize = 82;
    pub(super) const LOCK: usize = 84;
    pub(super) const PAGE: usize = 85;
    pub(super) const POLICY: usize = 86;
    pub(super) const NAME_LEN: usize = 87;
    pub(super) const NEXT_OF_NAME: usize = 88;
    pub(super) const LAST_OF_NAME: usize = 92;
    pub(super) const NODES: usize = 96;
    pub(super) const NAME: usize = 224;
}

/// What a team publishes of an area: all that another process needs to know to describe and to map it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: AreaId,
    pub(crate) name: Name,
    /// The number of the object's descriptor in the owner.
    pub(crate) descriptor: i32,
    pub(crate) object: Identity,
    /// When it was created: nanoseconds since boot.
    pub(crate) created: u64,
    /// Where it is mapped in the owner, and how many bytes of addresses that takes.
    pub(crate) address: u64,
    pub(crate) span: u64,
    pub(crate) extent: Extent,
    /// The exact bytes asked, where the object's size is rounded to huge pages.
    pub(crate) exact: Option<u64>,
    pub(crate) protection: Protection,
    pub(crate) lock: Lock,
    pub(crate) page: PageSize,
    pub(crate) placement: Placement,
}

/// FNV-1a, folded so that the high bits (the tag) depend on all bytes.
fn hash_of(name: &[u8]) -> u64 {
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// An entry of the index: a tag of the hash (15 bits) and the record + 1 (17 bits).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry(u32);

impl Entry {
    const EMPTY: Entry = Entry(0);
    /// Something was here: keep looking.
    const GONE: Entry = Entry((1 << 17) - 1);

    fn new(hash: u64, record: u32) -> Self {
        Entry(tag_of(hash) | (record + 1))
    }

    fn record(self) -> u32 {
        (self.0 & 0x1_ffff).wrapping_sub(1)
    }

    fn may_be(self, hash: u64) -> bool {
        self.0 & !0x1_ffff == tag_of(hash) && self.record() < RECORDS
    }
}

fn tag_of(hash: u64) -> u32 {
    ((hash >> 32) as u32) & !0x1_ffff
}

/// Which index is in use: a count of changes, a side, and the logarithm of its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Which(u64);

impl Which {
    fn log2(self) -> u32 {
        u32::from(self.0.to_le_bytes()[0] & 0x7f)
    }

    fn side(self) -> usize {
        usize::from(self.0.to_le_bytes()[0] >> 7)
    }

    /// `None` for what no owner of ours writes.
    fn checked(self) -> Option<Self> {
        (SMALLEST_INDEX..=LARGEST_INDEX).contains(&self.log2()).then_some(self)
    }

    fn next(self, log2: u32) -> Self {
        let side = if log2 == self.log2() { 1 - self.side() as u64 } else { 0 };
        Which(((self.0 >> 8) + 1) << 8 | side << 7 | u64::from(log2))
    }

    fn slots(self) -> u64 {
        1 << self.log2()
    }

    #[expect(clippy::cast_possible_truncation, reason = "64-bit machines only")]
    fn offset_of(self, slot: u64) -> usize {
        let size = 1_usize << self.log2();
        let before = 2 * (size - (1 << SMALLEST_INDEX)) + self.side() * size;
        INDEX + (before + (slot % self.slots()) as usize) * 4
    }
}

fn record_at(record: u32) -> usize {
    RECORDS_AT + record as usize * RECORD_BYTES
}

/// Who a table says that its owner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) slot: u32,
    pub(crate) pid: u32,
    /// In clock ticks since boot, as `/proc/PID/stat` has it.
    pub(crate) start_time: u64,
    pub(crate) table: Identity,
}

/// A table, to read: one's own or another team's.
#[derive(Debug)]
pub(crate) struct View(Mapping);

impl View {
    /// # Invariants
    /// The mapping has `TABLE_BYTES` bytes, of an object that cannot shrink.
    pub(crate) fn new(mapping: Mapping) -> Self {
        assert!(mapping.span() >= TABLE_BYTES, "a table has a fixed size");
        View(mapping)
    }

    fn u64_at(&self, offset: usize) -> u64 {
        self.0.load(offset, TABLE_BYTES).unwrap_or(0)
    }

    fn u32_at(&self, offset: usize) -> u32 {
        self.0.load(offset, TABLE_BYTES).unwrap_or(0)
    }

    /// What the header says; the error is the format version where it is another one.
    pub(crate) fn owner(&self) -> Result<Owner, Option<u32>> {
        if self.u64_at(header::MAGIC) != MAGIC {
            return Err(None);
        }
        let version = self.u32_at(header::VERSION);
        if version != VERSION {
            return Err(Some(version));
        }
        Ok(Owner {
            slot: self.u32_at(header::SLOT),
            pid: self.u32_at(header::PID),
            start_time: self.u64_at(header::START_TIME),
            table: Identity { device: self.u64_at(header::DEVICE), inode: self.u64_at(header::INODE) },
        })
    }

    /// The generation of a record: even and not 0 while it is there.
    pub(crate) fn generation(&self, record: u32) -> u64 {
        let generation = self.u64_at(record_at(record) + field::GENERATION);
        fence(Ordering::Acquire);
        generation
    }

    /// Copies a record out; `None` if it is absent, changes under our eyes, or makes no sense.
    pub(crate) fn record(&self, record: u32) -> Option<(u64, Record)> {
        if record >= self.high_water() {
            return None;
        }
        let generation = self.generation(record);
        if generation == 0 || generation % 2 == 1 {
            return None;
        }
        let mut bytes = [0; RECORD_BYTES];
        self.0.read(record_at(record), &mut bytes, TABLE_BYTES).ok()?;
        fence(Ordering::Acquire);
        if self.generation(record) != generation {
            return None;
        }
        decode(&bytes).map(|decoded| (generation, decoded))
    }

    /// Records below this have been written; those above are holes.
    pub(crate) fn high_water(&self) -> u32 {
        self.u32_at(header::HIGH_WATER).min(RECORDS)
    }

    /// All records that are there, with their generations.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u32, u64, Record)> {
        (0..self.high_water()).filter_map(|record| {
            let (generation, decoded) = self.record(record)?;
            Some((record, generation, decoded))
        })
    }

    /// The oldest area of a name.
    pub(crate) fn find(&self, name: &[u8]) -> Option<(u32, u64, Record)> {
        let hash = hash_of(name);
        // A changed index sends us round again. A live owner changes it once in many publications, so that a few rounds
        // do; what keeps changing for longer is no table of ours, and every record is looked at instead.
        for _ in 0..16 {
            let which = Which(self.u64_at(header::INDEX)).checked()?;
            fence(Ordering::Acquire);
            let mut raced = false;
            for probe in 0..which.slots() {
                let entry = Entry(self.u32_at(which.offset_of(hash.wrapping_add(probe))));
                fence(Ordering::Acquire);
                if entry == Entry::EMPTY {
                    break;
                }
                if !entry.may_be(hash) {
                    continue;
                }
                match self.record(entry.record()) {
                    Some((generation, found)) if found.name.as_bytes() == name => {
                        return Some((entry.record(), generation, found));
                    }
                    Some(_) => {}
                    // It went while we looked; another of the same name may have taken its place in this very entry.
                    None => raced = true,
                }
            }
            if !raced && Which(self.u64_at(header::INDEX)) == which {
                return None;
            }
        }
        self.records()
            .filter(|(_, _, record)| record.name.as_bytes() == name)
            .min_by_key(|(_, _, record)| record.age())
    }

    /// The record of an id of this team.
    pub(crate) fn by_sequence(&self, sequence: u32) -> Option<(u32, u64, Record)> {
        if sequence >= SEQUENCES || !self.block_written(sequence / BLOCK) {
            return None;
        }
        let record = self.u32_at(BY_SEQUENCE + sequence as usize * 4).checked_sub(1)?;
        fence(Ordering::Acquire);
        let (generation, found) = self.record(record)?;
        (found.id.sequence() == sequence).then_some((record, generation, found))
    }

    fn block_written(&self, block: u32) -> bool {
        self.u64_at(header::BLOCKS + (block / 64) as usize * 8) >> (block % 64) & 1 == 1
    }
}

impl Record {
    /// What "oldest" means: the smallest.
    pub(crate) fn age(&self) -> (u64, AreaId) {
        (self.created, self.id)
    }
}

/// A table, to write: one's own.
#[derive(Debug)]
pub(crate) struct Table {
    view: View,
    /// Records that were used and are free again.
    free: Vec<u32>,
    /// Entries of the index that are not empty, those gone included.
    used: u64,
    /// Names in the index.
    names: u64,
    live: u32,
}

impl Table {
    /// Lays out an empty table in a fresh, zeroed, shared and writable mapping.
    pub(crate) fn create(mapping: Mapping, owner: &Owner) -> Result<Self> {
        let table = Table { view: View::new(mapping), free: Vec::new(), used: 0, names: 0, live: 0 };
        table.put(header::VERSION, VERSION)?;
        table.put(header::PID, owner.pid)?;
        table.put(header::START_TIME, owner.start_time)?;
        table.put(header::DEVICE, owner.table.device)?;
        table.put(header::INODE, owner.table.inode)?;
        table.put(header::INDEX, u64::from(SMALLEST_INDEX))?;
        // An index that nobody wrote would be filled by its first reader.
        for slot in 0..1 << SMALLEST_INDEX {
            table.put(Which(u64::from(SMALLEST_INDEX)).offset_of(slot), Entry::EMPTY.0)?;
        }
        fence(Ordering::Release);
        table.put(header::MAGIC, MAGIC)?;
        Ok(table)
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    pub(crate) fn live(&self) -> u32 {
        self.live
    }

    /// Tells which slot the team has: known only once it is claimed.
    pub(crate) fn set_slot(&self, slot: u32) -> Result<()> {
        debug_assert!(slot < SLOTS);
        self.put(header::SLOT, slot)
    }

    fn put<T: sys::copy::Word>(&self, offset: usize, value: T) -> Result<()> {
        self.view.0.store(offset, value, TABLE_BYTES)
    }

    fn word(&self, offset: usize) -> u32 {
        self.view.u32_at(offset)
    }

    /// Opens a block of sequence numbers: writes its page, so that readers may look there.
    pub(crate) fn open_block(&self, block: u32) -> Result<()> {
        debug_assert!(block < BLOCKS);
        if !self.view.block_written(block) {
            self.put(BY_SEQUENCE + (block * BLOCK) as usize * 4, 0_u32)?;
            fence(Ordering::Release);
            let word = header::BLOCKS + (block / 64) as usize * 8;
            self.put(word, self.view.u64_at(word) | 1 << (block % 64))?;
        }
        Ok(())
    }

    /// Whether a live area has this sequence number.
    pub(crate) fn sequence_is_live(&self, sequence: u32) -> bool {
        self.view.block_written(sequence / BLOCK) && self.word(BY_SEQUENCE + sequence as usize * 4) != 0
    }

    /// Whether no record is free.
    pub(crate) fn is_full(&self) -> bool {
        self.free.is_empty() && self.view.high_water() == RECORDS
    }

    /// Publishes a record, visible to all at once; `None` if the table is full. The block of its sequence number is open.
    pub(crate) fn insert(&mut self, record: &Record) -> Result<Option<u32>> {
        if self.is_full() {
            return Ok(None);
        }
        self.make_room()?;
        let fresh = self.view.high_water();
        let number = self.free.pop().unwrap_or(fresh);
        let at = record_at(number);
        let generation = self.view.u64_at(at + field::GENERATION) | 1;
        self.put(at + field::GENERATION, generation)?;
        fence(Ordering::Release);
        let hash = hash_of(record.name.as_bytes());
        let mut bytes = encode(record, hash);
        bytes[field::GENERATION..8].copy_from_slice(&generation.to_le_bytes());
        self.view.0.write(at, &bytes, TABLE_BYTES)?;
        if number == fresh {
            self.put(header::HIGH_WATER, fresh + 1)?;
        }
        fence(Ordering::Release);
        self.put(at + field::GENERATION, generation.wrapping_add(1))?;
        fence(Ordering::Release);
        self.put(BY_SEQUENCE + record.id.sequence() as usize * 4, number + 1)?;
        self.index_insert(number, hash, record.name.as_bytes())?;
        self.live += 1;
        Ok(Some(number))
    }

    /// Takes a record back: from now on nobody finds it.
    pub(crate) fn remove(&mut self, number: u32) -> Result<()> {
        let at = record_at(number);
        let generation = self.view.u64_at(at + field::GENERATION);
        let mut bytes = [0; RECORD_BYTES];
        self.view.0.read(at, &mut bytes, TABLE_BYTES)?;
        self.index_remove(number, &bytes)?;
        let sequence = u32_of(&bytes, field::ID) % SEQUENCES;
        self.put(BY_SEQUENCE + sequence as usize * 4, 0_u32)?;
        self.put(at + field::GENERATION, generation.wrapping_add(1) | 1)?;
        fence(Ordering::Release);
        self.free.push(number);
        self.live -= 1;
        Ok(())
    }

    /// Gives a record another id, where the team had to move to another slot. The block of its sequence number is open.
    pub(crate) fn set_id(&self, number: u32, id: AreaId) -> Result<()> {
        let at = record_at(number);
        let generation = self.view.u64_at(at + field::GENERATION);
        let old = self.word(at + field::ID) % SEQUENCES;
        self.put(at + field::GENERATION, generation.wrapping_add(1))?;
        fence(Ordering::Release);
        self.put(BY_SEQUENCE + old as usize * 4, 0_u32)?;
        self.put(at + field::ID, id.get())?;
        fence(Ordering::Release);
        self.put(at + field::GENERATION, generation.wrapping_add(2))?;
        fence(Ordering::Release);
        self.put(BY_SEQUENCE + id.sequence() as usize * 4, number + 1)
    }

    /// Changes what is told of a record's place and extent. Who looked it up before looks again.
    pub(crate) fn update(&self, number: u32, placement: Placement, span: u64, extent: Extent) -> Result<()> {
        let Some((generation, record)) = self.view.record(number) else { return Ok(()) };
        let at = record_at(number);
        let bytes = encode(&Record { placement, span, extent, ..record }, 0);
        self.put(at + field::GENERATION, generation.wrapping_add(1))?;
        fence(Ordering::Release);
        let changed = [
            (field::HOME, 2),
            (field::POLICY, 1),
            (field::NODES, 16 * 8),
            (field::SPAN, 8),
            (field::MAX, 8),
            (field::EXTENT, 1),
        ];
        for (from, len) in changed {
            self.view.0.write(at + from, &bytes[from..from + len], TABLE_BYTES)?;
        }
        fence(Ordering::Release);
        self.put(at + field::GENERATION, generation.wrapping_add(2))
    }

    /// Changes the one word of a record that may change.
    pub(crate) fn set_protection(&self, number: u32, protection: Protection) -> Result<()> {
        self.put(record_at(number) + field::PROTECTION, protection.bits())
    }

    fn which(&self) -> Which {
        Which(self.view.u64_at(header::INDEX))
    }

    /// Finds the entry of a name: its offset and the record there; else the first free offset, and whether that one
    /// was never used.
    fn entry_of(&self, hash: u64, name: &[u8]) -> Result<(usize, u32), (usize, bool)> {
        let which = self.which();
        let mut gone = None;
        for probe in 0..which.slots() {
            let offset = which.offset_of(hash.wrapping_add(probe));
            let entry = Entry(self.word(offset));
            if entry == Entry::EMPTY {
                return Err(gone.map_or((offset, true), |offset| (offset, false)));
            }
            if entry == Entry::GONE {
                gone.get_or_insert(offset);
            } else if entry.may_be(hash) && self.name_is(entry.record(), name) {
                return Ok((offset, entry.record()));
            }
        }
        // `make_room` keeps a third of the entries empty, so that this is not reached; any entry would do.
        Err((gone.unwrap_or(which.offset_of(hash)), false))
    }

    fn name_is(&self, number: u32, name: &[u8]) -> bool {
        let mut bytes = [0; Name::MAX];
        let found = &mut bytes[..name.len()];
        let at = record_at(number);
        self.view
            .0
            .load::<u8>(at + field::NAME_LEN, TABLE_BYTES)
            .is_ok_and(|len| usize::from(len) == name.len())
            && self.view.0.read(at + field::NAME, found, TABLE_BYTES).is_ok()
            && found == name
    }

    fn index_insert(&mut self, number: u32, hash: u64, name: &[u8]) -> Result<()> {
        let own = record_at(number);
        match self.entry_of(hash, name) {
            Ok((_, oldest)) => {
                // Younger than all of its name: to the end of the oldest one's chain.
                let first = record_at(oldest);
                let last = self.word(first + field::LAST_OF_NAME).checked_sub(1).unwrap_or(oldest);
                self.put(record_at(last) + field::NEXT_OF_NAME, number + 1)?;
                self.put(own + field::LAST_OF_NAME, last + 1)?;
                self.put(first + field::LAST_OF_NAME, number + 1)
            }
            Err((offset, fresh)) => {
                self.put(own + field::LAST_OF_NAME, number + 1)?;
                self.used += u64::from(fresh);
                self.names += 1;
                fence(Ordering::Release);
                self.put(offset, Entry::new(hash, number).0)
            }
        }
    }

    /// Takes a record out of its name's chain. The first one's "last" names the end, every other one's its predecessor.
    fn index_remove(&mut self, number: u32, bytes: &[u8; RECORD_BYTES]) -> Result<()> {
        let hash = u64_of(bytes, field::HASH);
        let len = usize::from(bytes[field::NAME_LEN]);
        let Ok((offset, first)) = self.entry_of(hash, &bytes[field::NAME..field::NAME + len]) else {
            return Ok(());
        };
        let next = u32_of(bytes, field::NEXT_OF_NAME).checked_sub(1);
        let last = u32_of(bytes, field::LAST_OF_NAME).checked_sub(1);
        match (first == number, next) {
            (true, None) => {
                self.names -= 1;
                self.put(offset, Entry::GONE.0)
            }
            (true, Some(next)) => {
                // The next one becomes the first: it has to know the end.
                let end = last.unwrap_or(next);
                self.put(record_at(next) + field::LAST_OF_NAME, end + 1)?;
                fence(Ordering::Release);
                self.put(offset, Entry::new(hash, next).0)
            }
            (false, next) => {
                let before = last.unwrap_or(first);
                self.put(record_at(before) + field::NEXT_OF_NAME, next.map_or(0, |next| next + 1))?;
                let behind = next.unwrap_or(first);
                self.put(record_at(behind) + field::LAST_OF_NAME, before + 1)
            }
        }
    }

    /// Makes sure that one more name fits: two thirds full is full.
    fn make_room(&mut self) -> Result<()> {
        let which = self.which();
        if (self.used + 1) * 3 <= which.slots() * 2 {
            return Ok(());
        }
        // Mostly names that are gone: the same size does, on the other side.
        let grow = self.names * 3 > which.slots() && which.log2() < LARGEST_INDEX;
        let next = which.next(which.log2() + u32::from(grow));
        for slot in 0..next.slots() {
            self.put(next.offset_of(slot), Entry::EMPTY.0)?;
        }
        for slot in 0..which.slots() {
            let entry = Entry(self.word(which.offset_of(slot)));
            if entry == Entry::EMPTY || entry == Entry::GONE {
                continue;
            }
            let hash = self.view.u64_at(record_at(entry.record()) + field::HASH);
            let free = (0..next.slots())
                .map(|probe| next.offset_of(hash.wrapping_add(probe)))
                .find(|&offset| self.word(offset) == Entry::EMPTY.0);
            if let Some(offset) = free {
                self.put(offset, entry.0)?;
            }
        }
        self.used = self.names;
        fence(Ordering::Release);
        self.put(header::INDEX, next.0)
    }
}

fn u32_of(bytes: &[u8; RECORD_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default())
}

fn u64_of(bytes: &[u8; RECORD_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default())
}

fn encode(record: &Record, hash: u64) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    let name = record.name.as_bytes();
    let (extent, max) = match record.extent {
        Extent::Fixed => (0, 0),
        Extent::Growable { max } => (1, max as u64),
        Extent::Resizable { max } => (2, max as u64),
    };
    put(field::ID, &record.id.get().to_le_bytes());
    put(field::DESCRIPTOR, &record.descriptor.to_le_bytes());
    put(field::HASH, &hash.to_le_bytes());
    put(field::CREATED, &record.created.to_le_bytes());
    put(field::DEVICE, &record.object.device.to_le_bytes());
    put(field::INODE, &record.object.inode.to_le_bytes());
    put(field::ADDRESS, &record.address.to_le_bytes());
    put(field::SPAN, &record.span.to_le_bytes());
    put(field::MAX, &max.to_le_bytes());
    put(field::EXACT, &record.exact.map_or(0, |exact| exact + 1).to_le_bytes());
    put(field::PROTECTION, &[record.protection.bits()]);
    put(field::EXTENT, &[extent]);
    let home = record.placement.home_node().map_or(0, |node| node.get() + 1);
    put(field::HOME, &home.to_le_bytes()[..2]);
    put(field::LOCK, &[record.lock.number()]);
    put(field::PAGE, &[record.page.log2()]);
    put(field::POLICY, &[sys::policy::number_of(&record.placement.policy())]);
    #[expect(clippy::cast_possible_truncation, reason = "a name has at most 255 bytes")]
    put(field::NAME_LEN, &[name.len() as u8]);
    for (i, word) in record.placement.policy().nodes().unwrap_or(NodeSet::EMPTY).words().iter().enumerate() {
        put(field::NODES + i * 8, &word.to_le_bytes());
    }
    put(field::NAME, name);
    bytes
}

/// `None` for what no owner of ours writes.
fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Record> {
    let len = usize::from(bytes[field::NAME_LEN]);
    let mut words = [0; 16];
    for (i, word) in words.iter_mut().enumerate() {
        *word = u64_of(bytes, field::NODES + i * 8);
    }
    let policy = sys::policy::from_number(u32::from(bytes[field::POLICY]), NodeSet::from_words(words))?;
    let mut placement = Placement::new(policy);
    if let Some(home) =
        u32::from(u16::from_le_bytes([bytes[field::HOME], bytes[field::HOME + 1]])).checked_sub(1)
    {
        placement = placement.home(Node::new(home).ok()?);
    }
    let page = PageSize::from_log2(bytes[field::PAGE])?;
    let max = usize::try_from(u64_of(bytes, field::MAX)).ok()?;
    let extent = match bytes[field::EXTENT] {
        0 if max == 0 => Extent::Fixed,
        1 if max != 0 && max.is_multiple_of(page.bytes()) => Extent::Growable { max },
        2 if max != 0 && max.is_multiple_of(page.bytes()) => Extent::Resizable { max },
        _ => return None,
    };
    Some(Record {
        id: AreaId::new(u32_of(bytes, field::ID).cast_signed()).ok()?,
        name: Name::from_table(bytes.get(field::NAME..field::NAME + len)?)?,
        descriptor: u32_of(bytes, field::DESCRIPTOR).cast_signed(),
        object: Identity { device: u64_of(bytes, field::DEVICE), inode: u64_of(bytes, field::INODE) },
        created: u64_of(bytes, field::CREATED),
        address: u64_of(bytes, field::ADDRESS),
        span: u64_of(bytes, field::SPAN),
        extent,
        exact: u64_of(bytes, field::EXACT).checked_sub(1),
        protection: Protection::from_bits(bytes[field::PROTECTION])?,
        lock: Lock::from_number(bytes[field::LOCK])?,
        page,
        placement,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::provider::{Backing, Provider, Request, System};
    use crate::{Node, Policy};

    fn table() -> Table {
        let mapping = System::new().map(&Request::new(TABLE_BYTES).backed_by(Backing::Inherited)).unwrap();
        let owner = Owner { slot: 0, pid: 1, start_time: 2, table: Identity { device: 3, inode: 4 } };
        let table = Table::create(mapping, &owner).unwrap();
        for block in 0..BLOCKS {
            table.open_block(block).unwrap();
        }
        table
    }

    fn record(sequence: u32, name: &[u8]) -> Record {
        Record {
            id: AreaId::from_parts(7, sequence),
            name: Name::from_table(name).unwrap(),
            descriptor: 9,
            object: Identity { device: 1, inode: u64::from(sequence) },
            created: u64::from(sequence),
            address: 0x7000_0000_0000,
            span: 1 << 20,
            extent: Extent::Growable { max: 1 << 20 },
            exact: None,
            protection: Protection::READ_WRITE,
            lock: Lock::Lazy,
            page: PageSize::base(),
            placement: Placement::new(Policy::Bind(NodeSet::single(Node::MAX))).home(Node::MAX),
        }
    }

    #[test]
    fn a_record_comes_back_whole() {
        let mut table = table();
        for (sequence, name) in [(1, vec![]), (2, vec![b'x'; 255]), (3, vec![0xff; 3])] {
            let mut put = record(sequence, &name);
            put.exact = Some(u64::from(sequence));
            let number = table.insert(&put).unwrap().unwrap();
            assert_eq!(table.view().record(number).unwrap().1, put);
            assert_eq!(table.view().by_sequence(sequence).unwrap().2, put);
            assert_eq!(table.view().find(&name).unwrap().2, put);
        }
    }

    #[test]
    fn full_is_told_and_room_is_found_again() {
        let mut table = table();
        for sequence in 1..=RECORDS {
            assert!(
                table
                    .insert(&record(
                        sequence,
                        &sequence.to_le_bytes()[..3].iter().map(|b| b | 0x80).collect::<Vec<_>>()
                    ))
                    .unwrap()
                    .is_some()
            );
        }
        assert!(table.is_full());
        assert_eq!(table.insert(&record(RECORDS + 1, b"one more")).unwrap(), None);
        table.remove(17).unwrap();
        assert_eq!(table.insert(&record(RECORDS + 1, b"one more")).unwrap(), Some(17));
        assert_eq!(table.view().find(b"one more").unwrap().0, 17);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8),
        Remove(usize),
        Find(u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => any::<u8>().prop_map(Step::Insert),
            3 => any::<usize>().prop_map(Step::Remove),
            2 => any::<u8>().prop_map(Step::Find),
        ];
        prop::collection::vec(step, 1..600)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
        /// The table against a plain list of (record number, record).
        #[test]
        fn behaves_like_a_list(steps in steps(), names in 1..200_u8) {
            let mut table = table();
            let mut model: Vec<(u32, Record)> = Vec::new();
            let mut sequence = 0;
            let oldest = |model: &[(u32, Record)], name: &[u8]| {
                model.iter().filter(|(_, r)| r.name.as_bytes() == name).min_by_key(|(_, r)| r.age()).map(|(n, _)| *n)
            };
            for step in steps {
                match step {
                    Step::Insert(name) => {
                        sequence += 1;
                        let new = record(sequence, format!("area {}", name % names).as_bytes());
                        let number = table.insert(&new).unwrap().unwrap();
                        prop_assert!(model.iter().all(|(taken, _)| *taken != number));
                        model.push((number, new));
                    }
                    Step::Remove(_) if model.is_empty() => {}
                    Step::Remove(which) => {
                        let (number, gone) = model.remove(which % model.len());
                        table.remove(number).unwrap();
                        prop_assert!(table.view().record(number).is_none());
                        prop_assert!(table.view().by_sequence(gone.id.sequence()).is_none());
                    }
                    Step::Find(name) => {
                        let name = format!("area {}", name % names).into_bytes();
                        prop_assert_eq!(table.view().find(&name).map(|found| found.0), oldest(&model, &name));
                    }
                }
                prop_assert_eq!(table.live() as usize, model.len());
            }
            for (number, record) in &model {
                prop_assert_eq!(&table.view().record(*number).unwrap().1, record);
                let name = record.name.as_bytes();
                prop_assert_eq!(table.view().find(name).map(|found| found.0), oldest(&model, name));
            }
            prop_assert_eq!(table.view().records().count(), model.len());
        }

        /// Whatever bytes a record has, decoding gives a sane record or none.
        #[test]
        fn hostile_records_do_no_harm(noise in prop::collection::vec(any::<u8>(), RECORD_BYTES)) {
            let bytes: [u8; RECORD_BYTES] = noise.try_into().unwrap();
            if let Some(record) = decode(&bytes) {
                prop_assert!(record.name.as_bytes().len() <= Name::MAX);
                let again = encode(&record, u64_of(&bytes, field::HASH));
                prop_assert_eq!(decode(&again).unwrap(), record);
            }
        }

        /// Whatever a table's index and header say, looking there ends, inside the table.
        #[test]
        fn hostile_tables_do_no_harm(noise in prop::collection::vec((0..TABLE_BYTES - 8, any::<u64>()), 1..200), index in any::<u64>()) {
            let mut table = table();
            for sequence in 1..100 {
                table.insert(&record(sequence, format!("n{sequence}").as_bytes())).unwrap();
            }
            for (at, word) in noise {
                table.put(at & !7, word).unwrap();
                table.put((INDEX + at % 4096) & !7, word).unwrap();
            }
            table.put(header::INDEX, index).unwrap();
            let view = table.view();
            let _ = view.owner();
            for sequence in 1..100 {
                let _ = view.find(format!("n{sequence}").as_bytes());
                let _ = view.by_sequence(sequence);
            }
            let _ = view.records().count();
        }
    }
}
