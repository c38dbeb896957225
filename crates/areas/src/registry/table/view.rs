//! Reading a table: one's own, or another team's, of which nothing is believed unchecked.

use std::sync::atomic::{Ordering, fence};

use super::id::{AreaId, SEQUENCES};
use super::layout::{
    BLOCK, BY_SEQUENCE, Entry, FIRST_BYTES, MAGIC, RECORD_BYTES, RECORDS, TABLE_BYTES, VERSION, Which,
    hash_of, header, record_at, rest_at,
};
use super::note::Note;
use super::protocol::{self, MOVING, Mark};
use super::record::{NOTE_AT, Record, decode, field, has_rest, u32_of};
use crate::error::{Error, Result};
use crate::mapping::Mapping;
use crate::protection::Protection;
use crate::sys::file::Identity;

/// After how many looks a record is taken that its owner has not finished changing, and after how
/// many its owner is let run. (A fuzzer's records have no owner who could be getting on.)
const ATTEMPTS: usize = if cfg!(fuzzing) { 3 } else { 72 };
const SPINS: usize = 64;

/// Who a table says that its owner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) slot: u32,
    pub(crate) pid: u32,
    /// In clock ticks since boot, as `/proc/PID/stat` has it.
    pub(crate) start_time: u64,
    pub(crate) table: Identity,
}

/// Where a team says that areas can be offered to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TransferSocketAt {
    /// The number of a descriptor in the owner, which leads to its socket.
    pub(crate) descriptor: i32,
    /// The socket's file.
    pub(crate) socket: Identity,
}

/// A table, to read: one's own or another team's.
#[derive(Debug)]
pub(crate) struct View(pub(super) Mapping);

impl View {
    /// # Invariants
    /// The mapping has `TABLE_BYTES` bytes, of an object that cannot shrink.
    pub(crate) fn new(mapping: Mapping) -> Self {
        assert!(mapping.span() >= TABLE_BYTES, "a table has a fixed size");
        View(mapping)
    }

    #[inline]
    pub(super) fn u64_at(&self, offset: usize) -> u64 {
        self.0.load(offset, TABLE_BYTES, Ordering::Relaxed).unwrap_or(0)
    }

    #[inline]
    pub(super) fn u32_at(&self, offset: usize) -> u32 {
        self.0.load(offset, TABLE_BYTES, Ordering::Relaxed).unwrap_or(0)
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

    pub(super) fn mark(&self, record: u32) -> Word<'_> {
        Word { view: self, at: record_at(record) + field::GENERATION }
    }

    pub(super) fn changes_mark(&self) -> Word<'_> {
        Word { view: self, at: header::CHANGES }
    }

    /// Where areas can be offered to the team; `None` if nowhere, or not in the version of offers
    /// that this library makes.
    pub(crate) fn transfer_socket(&self, offers: u32) -> Option<TransferSocketAt> {
        let descriptor = self.u32_at(header::QUEUE).checked_sub(1)?;
        fence(Ordering::Acquire);
        if self.u32_at(header::OFFERS) != offers {
            return None;
        }
        Some(TransferSocketAt {
            descriptor: i32::try_from(descriptor).ok()?,
            socket: Identity {
                device: self.u64_at(header::QUEUE_DEVICE),
                inode: self.u64_at(header::QUEUE_INODE),
            },
        })
    }

    /// Where among the ids of what others give it a giver begins to look for a free one. Any
    /// number.
    pub(crate) fn next_given(&self) -> u32 {
        self.u32_at(header::NEXT_GIVEN)
    }

    /// The generation of a record: even and not 0 while it is there.
    pub(crate) fn generation(&self, record: u32) -> u64 {
        protocol::look(&self.mark(record)).unwrap_or(0)
    }

    /// Copies a record out; `None` if it is absent, does not stop changing, or makes no sense.
    ///
    /// One whose owner was stopped in the middle of a change is there: of what may change, a part
    /// can be old and a part new.
    pub(crate) fn record(&self, record: u32) -> Option<(u64, Record)> {
        if record >= self.high_water() {
            return None;
        }
        let mut bytes = [0; RECORD_BYTES];
        let copy = || {
            self.bytes(record, &mut bytes)?;
            match u32_of(&bytes, field::NOTE).checked_sub(1) {
                None => Ok(Some(Note::default())),
                Some(place) => self.note(place),
            }
        };
        let (generation, note) = protocol::read(&self.mark(record), ATTEMPTS, copy).ok()??;
        let mut decoded = decode(&bytes)?;
        decoded.area.note = note?;
        Some((generation & !MOVING, decoded))
    }

    /// Copies a note as it is now: whole, if the record that leads there is the same behind this.
    /// `None` for what no owner of ours writes.
    #[cold]
    fn note(&self, place: u32) -> Result<Option<Note>> {
        // Behind the load that led here, so that not even of a record that its owner has not
        // finished changing the note is half an old one.
        fence(Ordering::Acquire);
        if place >= RECORDS {
            return Ok(None);
        }
        let len = self.u32_at(rest_at(place)) as usize;
        let mut bytes = [0; Note::MAX];
        let Some(bytes) = bytes.get_mut(..len).filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
        self.0.read(rest_at(place) + NOTE_AT, bytes, TABLE_BYTES)?;
        Ok(Note::from_table(bytes))
    }

    /// Copies a record's bytes as they are now: the second part where there is one.
    pub(super) fn bytes(&self, record: u32, into: &mut [u8; RECORD_BYTES]) -> Result<()> {
        let (first, rest) = into.split_at_mut(FIRST_BYTES);
        self.0.read(record_at(record), first, TABLE_BYTES)?;
        if has_rest(first) { self.0.read(rest_at(record), rest, TABLE_BYTES) } else { Ok(()) }
    }

    /// The protection of a record whose generation is still that one: the rest of it is what it
    /// was.
    #[inline]
    pub(crate) fn unchanged(&self, record: u32, generation: u64) -> Option<Protection> {
        if record >= self.high_water() {
            return None;
        }
        let at = record_at(record) + field::PROTECTION;
        let copy = || self.0.load::<u8>(at, TABLE_BYTES, Ordering::Relaxed);
        let (now, protection) = protocol::read(&self.mark(record), ATTEMPTS, copy).ok()??;
        if now == generation { Protection::from_bits(protection) } else { None }
    }

    /// The id of a record that is there, without the rest of it.
    pub(crate) fn id(&self, record: u32) -> Option<AreaId> {
        if record >= self.high_water() {
            return None;
        }
        let copy = || Ok(self.u32_at(record_at(record) + field::ID));
        let (_, id) = protocol::read(&self.mark(record), ATTEMPTS, copy).ok()??;
        AreaId::new(id.cast_signed()).ok()
    }

    /// How often an area has come or gone; `None` where the owner does not count.
    pub(crate) fn changes(&self) -> Option<u64> {
        protocol::look(&self.changes_mark()).ok().filter(|&changes| changes != 0)
    }

    /// The first address of each area, and its record: not yet checked, and in no order.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (u64, u32)> {
        (0..self.high_water())
            .filter(|&record| protocol::is_there(self.generation(record)))
            .map(|record| (self.u64_at(record_at(record) + field::ADDRESS), record))
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

    /// Where a look for a name begins, as the table has it now. Nothing waits for this load: that
    /// of the next table may begin.
    fn begin(&self, hash: u64) -> (u64, Option<usize>) {
        let index = self.u64_at(header::INDEX);
        (index, Which(index).checked().map(|which| which.offset_of(hash)))
    }

    /// The oldest area of a name that is not only claimed.
    pub(crate) fn find(&self, name: &[u8]) -> Option<(u32, u64, Record)> {
        let found = self.find_oldest(name)?;
        if !found.2.claiming {
            return Some(found);
        }
        self.records()
            .filter(|(_, _, record)| record.name.as_bytes() == name && !record.claiming)
            .min_by_key(|(_, _, record)| record.age())
    }

    /// All areas of a name, and what is only claimed.
    pub(crate) fn all_of(&self, name: &[u8]) -> impl Iterator<Item = (u32, Record)> {
        let any = self.find_oldest(name).is_some();
        any.then(|| self.records())
            .into_iter()
            .flatten()
            .filter(move |(_, _, record)| record.name.as_bytes() == name)
            .map(|(number, _, record)| (number, record))
    }

    /// The oldest record of a name.
    fn find_oldest(&self, name: &[u8]) -> Option<(u32, u64, Record)> {
        let hash = hash_of(name);
        // A changed index sends us round again. A live owner changes it once in many publications,
        // so that a few rounds do; what keeps changing for longer is no table of ours, and every
        // record is looked at instead.
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
                    // It went while we looked; another of the same name may have taken its place in
                    // this very entry.
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

    /// Whether an id of this team is in use.
    pub(crate) fn lists(&self, id: AreaId) -> bool {
        let sequence = id.sequence();
        if sequence >= SEQUENCES || !self.block_written(sequence / BLOCK) {
            return false;
        }
        let record = self.u32_at(BY_SEQUENCE + sequence as usize * 4).checked_sub(1);
        fence(Ordering::Acquire);
        record.and_then(|record| self.id(record)) == Some(id)
    }

    pub(super) fn block_written(&self, block: u32) -> bool {
        self.u64_at(header::BLOCKS + (block / 64) as usize * 8) >> (block % 64) & 1 == 1
    }
}

/// The tables in which a name may be: all whose first entry for it is not empty.
///
/// Of a thousand teams mostly one has it. To ask a table means to touch two cache lines that the
/// processor has not at hand, which is all that it costs; so the words of several tables are loaded
/// side by side.
pub(crate) fn candidates<'a, T>(tables: &[(T, &'a View)], name: &[u8], mut found: impl FnMut(&T, &'a View)) {
    const SIDE_BY_SIDE: usize = 16;
    let hash = hash_of(name);
    for tables in tables.chunks(SIDE_BY_SIDE) {
        let mut begun = [(0, None); SIDE_BY_SIDE];
        for (begun, (_, table)) in begun.iter_mut().zip(tables) {
            *begun = table.begin(hash);
        }
        fence(Ordering::Acquire);
        let mut first = [Entry::EMPTY; SIDE_BY_SIDE];
        for ((first, (_, table)), (_, at)) in first.iter_mut().zip(tables).zip(begun) {
            *first = Entry(at.map_or(0, |at| table.u32_at(at)));
        }
        fence(Ordering::Acquire);
        for (((whose, table), first), (index, _)) in tables.iter().zip(first).zip(begun) {
            // As in `find`: an empty entry says that there is none, if the index is still the one
            // that was asked.
            if first != Entry::EMPTY || table.u64_at(header::INDEX) != index {
                found(whose, table);
            }
        }
    }
}

/// A word of a table that says what holds of the memory behind it, and the order of accesses around
/// it.
pub(super) struct Word<'a> {
    view: &'a View,
    at: usize,
}

impl Mark for Word<'_> {
    type Error = Error;

    #[inline]
    fn load(&self) -> Result<u64> {
        self.view.0.load(self.at, TABLE_BYTES, Ordering::Relaxed)
    }

    #[inline]
    fn store(&self, value: u64) -> Result<()> {
        self.view.0.store(self.at, value, TABLE_BYTES, Ordering::Relaxed)
    }

    #[inline]
    fn acquire(&self) {
        fence(Ordering::Acquire);
    }

    #[inline]
    fn release(&self) {
        fence(Ordering::Release);
    }

    fn wait(&self, attempt: usize) {
        if attempt < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
    }
}
