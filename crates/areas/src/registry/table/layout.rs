//! Where things are in a table, and how the index finds them.

use super::id::{FIRST_GIVEN, SEQUENCES};

/// "AREAS" and the format version: another version is another format.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"AREAS\0\0\0");
/// The format that this library writes and reads.
pub(crate) const VERSION: u32 = 4;

/// How many areas a team can publish.
pub(crate) const RECORDS: u32 = 1 << 16;
/// A record, both of its parts.
pub(crate) const RECORD_BYTES: usize = FIRST_BYTES + REST_BYTES;
/// Its first part, three cache lines: all that most areas have to say.
pub(super) const FIRST_BYTES: usize = 192;
/// Its second part, for the few with a long name or with nodes from 64 on: elsewhere, so that it
/// takes no memory where it is not needed.
pub(super) const REST_BYTES: usize = 288;
pub(super) const SMALLEST_INDEX: u32 = 6;
pub(super) const LARGEST_INDEX: u32 = 17;

/// The header and the index's smallest sizes share a page: what is looked at in each table of each
/// team.
const HEADER_BYTES: usize = 512;
pub(super) const INDEX: usize = HEADER_BYTES;
pub(super) const BY_SEQUENCE: usize = INDEX + 2 * ((1 << (LARGEST_INDEX + 1)) - (1 << SMALLEST_INDEX)) * 4;
pub(super) const RECORDS_AT: usize = BY_SEQUENCE + SEQUENCES as usize * 4;
const RESTS_AT: usize = RECORDS_AT + RECORDS as usize * FIRST_BYTES;
/// The size of a table, in every format: for a library of any of them, what has another size is no
/// table, and proves that the team whose link leads there is gone. A multiple of the largest base
/// page that Linux has.
pub(crate) const TABLE_BYTES: usize = 545 << 16;

// No part begins in the middle of a page, or a record's first part in the middle of a cache line.
const _: () = assert!(BY_SEQUENCE == 2 << 20 && RECORDS_AT == 4 << 20 && RESTS_AT.is_multiple_of(1 << 16));
const _: () = assert!(RESTS_AT + RECORDS as usize * REST_BYTES <= TABLE_BYTES);
const _: () = assert!(header::BLOCKS + (BLOCKS as usize).div_ceil(8) <= HEADER_BYTES);

/// Sequence numbers are leased in blocks of this many: one page of the part "by sequence".
pub(crate) const BLOCK: u32 = 1024;
pub(crate) const BLOCKS: u32 = SEQUENCES / BLOCK;
/// Those before this one are a team's own to lease.
pub(crate) const OWN_BLOCKS: u32 = FIRST_GIVEN / BLOCK;
const _: () = assert!(FIRST_GIVEN.is_multiple_of(BLOCK) && OWN_BLOCKS > RECORDS / BLOCK);

/// Offsets in the header.
pub(super) mod header {
    pub(in super::super) const MAGIC: usize = 0;
    pub(in super::super) const VERSION: usize = 8;
    pub(in super::super) const SLOT: usize = 12;
    pub(in super::super) const PID: usize = 16;
    /// The number of the descriptor that leads to the team's queue of offers, + 1; 0 if it has
    /// none.
    pub(in super::super) const QUEUE: usize = 20;
    pub(in super::super) const START_TIME: usize = 24;
    pub(in super::super) const DEVICE: usize = 32;
    pub(in super::super) const INODE: usize = 40;
    pub(in super::super) const QUEUE_DEVICE: usize = 48;
    pub(in super::super) const QUEUE_INODE: usize = 56;
    /// Side and size of the index in use, and how often that has changed.
    pub(in super::super) const INDEX: usize = 64;
    /// Records below this one have been written.
    pub(in super::super) const HIGH_WATER: usize = 72;
    /// How often a record has come or gone. (0 in a table whose owner does not count.)
    pub(in super::super) const CHANGES: usize = 80;
    /// Where among the ids of what others give a giver begins to look for a free one: behind the
    /// last that came.
    pub(in super::super) const NEXT_GIVEN: usize = 88;
    /// The version of the offers that the team takes.
    pub(in super::super) const OFFERS: usize = 92;
    /// A bit for each block of sequence numbers that has been written.
    pub(in super::super) const BLOCKS: usize = 128;
}

/// FNV-1a, folded so that the high bits (the tag) depend on all bytes.
pub(super) fn hash_of(name: &[u8]) -> u64 {
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What of a hash an index needs, its slot and its tag, in 32 bits.
pub(super) fn short(hash: u64) -> u32 {
    const { assert!(LARGEST_INDEX == 17, "the tag begins where the largest slot ends") }
    #[expect(clippy::cast_possible_truncation, reason = "the slot is in the lowest 17 bits")]
    let slot = hash as u32 & 0x1_ffff;
    tag_of(hash) | slot
}

/// A hash of that slot and that tag.
pub(super) fn of_short(short: u32) -> u64 {
    u64::from(short & 0x1_ffff) | u64::from(short & !0x1_ffff) << 32
}

/// An entry of the index: a tag of the hash (15 bits) and the record + 1 (17 bits).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry(pub(super) u32);

impl Entry {
    pub(super) const EMPTY: Entry = Entry(0);
    /// Something was here: keep looking.
    pub(super) const GONE: Entry = Entry((1 << 17) - 1);

    pub(super) fn new(hash: u64, record: u32) -> Self {
        Entry(tag_of(hash) | (record + 1))
    }

    pub(super) fn record(self) -> u32 {
        (self.0 & 0x1_ffff).wrapping_sub(1)
    }

    pub(super) fn may_be(self, hash: u64) -> bool {
        self.0 & !0x1_ffff == tag_of(hash) && self.record() < RECORDS
    }
}

fn tag_of(hash: u64) -> u32 {
    ((hash >> 32) as u32) & !0x1_ffff
}

/// Which index is in use: a count of changes, a side, and the logarithm of its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Which(pub(super) u64);

impl Which {
    pub(super) fn log2(self) -> u32 {
        u32::from(self.0.to_le_bytes()[0] & 0x7f)
    }

    pub(super) fn side(self) -> usize {
        usize::from(self.0.to_le_bytes()[0] >> 7)
    }

    /// `None` for what no owner of ours writes.
    pub(super) fn checked(self) -> Option<Self> {
        (SMALLEST_INDEX..=LARGEST_INDEX).contains(&self.log2()).then_some(self)
    }

    pub(super) fn next(self, log2: u32) -> Self {
        let side = if log2 == self.log2() { 1 - self.side() as u64 } else { 0 };
        Which(((self.0 >> 8) + 1) << 8 | side << 7 | u64::from(log2))
    }

    pub(super) fn slots(self) -> u64 {
        1 << self.log2()
    }

    #[expect(clippy::cast_possible_truncation, reason = "64-bit machines only")]
    pub(super) fn offset_of(self, slot: u64) -> usize {
        let size = 1_usize << self.log2();
        let before = 2 * (size - (1 << SMALLEST_INDEX)) + self.side() * size;
        INDEX + (before + (slot % self.slots()) as usize) * 4
    }
}

pub(super) fn record_at(record: u32) -> usize {
    RECORDS_AT + record as usize * FIRST_BYTES
}

/// Where the second part of a record is: its own, or the place of a note.
pub(super) fn rest_at(record: u32) -> usize {
    RESTS_AT + record as usize * REST_BYTES
}
