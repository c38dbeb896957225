//! Writing a table: one's own.

mod index;

use std::sync::atomic::{Ordering, fence};

use super::id::{AreaId, SEQUENCES, SLOTS};
use super::layout::{
    BLOCK, BLOCKS, BY_SEQUENCE, Entry, FIRST_BYTES, MAGIC, RECORD_BYTES, RECORDS, SMALLEST_INDEX,
    TABLE_BYTES, VERSION, Which, hash_of, header, record_at, rest_at,
};
use super::note::Note;
use super::protocol;
use super::record::{Announcement, NOTE_AT, encode, field, has_rest, u32_of};
use super::view::{Owner, TransferSocketAt, View};
use crate::error::Result;
use crate::mapping::Mapping;
use crate::protection::Protection;
use crate::sys;

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
        // An index that was never written would be filled by its first reader.
        for slot in 0..1 << SMALLEST_INDEX {
            table.put(Which(u64::from(SMALLEST_INDEX)).offset_of(slot), Entry::EMPTY.0)?;
        }
        fence(Ordering::Release);
        table.put(header::MAGIC, MAGIC)?;
        Ok(table)
    }

    /// In a forked child, which has not got the mapping: it is not unmapped, and what is this
    /// process's own memory goes.
    pub(crate) fn leave_to_parent(self) {
        let Table { view, free, .. } = self;
        let _ = std::mem::ManuallyDrop::new(view);
        drop(free);
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    pub(crate) fn live(&self) -> u32 {
        self.live
    }

    /// Publishes which slot the team has: known only once it is claimed.
    pub(crate) fn set_slot(&self, slot: u32) -> Result<()> {
        debug_assert!(slot < SLOTS);
        self.put(header::SLOT, slot)
    }

    /// Publishes where areas can be offered to the team, and in which version of offers.
    pub(crate) fn set_transfer_socket(&self, at: TransferSocketAt, offers: u32) -> Result<()> {
        self.put(header::OFFERS, offers)?;
        self.put(header::QUEUE_DEVICE, at.socket.device)?;
        self.put(header::QUEUE_INODE, at.socket.inode)?;
        fence(Ordering::Release);
        self.put(header::QUEUE, at.descriptor.cast_unsigned() + 1)
    }

    /// Publishes where givers begin to look for an id.
    pub(crate) fn set_next_given(&self, next: u32) -> Result<()> {
        self.put(header::NEXT_GIVEN, next)
    }

    pub(super) fn put<T: sys::copy::Word>(&self, offset: usize, value: T) -> Result<()> {
        self.view.0.store(offset, value, TABLE_BYTES, Ordering::Relaxed)
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

    /// Publishes a record, visible to all at once; `None` if the table is full. The block of its
    /// sequence number is open.
    pub(crate) fn insert(&mut self, id: AreaId, created: u64, area: &Announcement) -> Result<Option<u32>> {
        if self.is_full() {
            return Ok(None);
        }
        self.make_room()?;
        let hash = hash_of(area.name.as_bytes());
        let mut bytes = encode(id, created, area, hash);
        let Some((number, fresh)) = self.place_for(&area.note, &mut bytes)? else { return Ok(None) };
        // The first word is the generation, and the protocol's alone.
        let from = field::GENERATION + size_of::<u64>();
        protocol::fill(&self.view.mark(number), || {
            self.view.0.write(record_at(number) + from, &bytes[from..FIRST_BYTES], TABLE_BYTES)?;
            self.put_rest(number, &bytes)?;
            if number == fresh { self.put(header::HIGH_WATER, fresh + 1) } else { Ok(()) }
        })?;
        self.put(BY_SEQUENCE + id.sequence() as usize * 4, number + 1)?;
        self.index_insert(number, hash, area.name.as_bytes())?;
        self.live += 1;
        self.count_change()?;
        Ok(Some(number))
    }

    /// The number that the next record will have, which is fresh where it is the second one given;
    /// its note is in its place. `None` if the table is full.
    fn place_for(&mut self, note: &Note, bytes: &mut [u8; RECORD_BYTES]) -> Result<Option<(u32, u32)>> {
        let apart = match !note.is_empty() && has_rest(bytes) {
            true => match self.place_apart()? {
                Some(place) => Some(place),
                None => return Ok(None),
            },
            false => None,
        };
        if let Some(place) = apart
            && self.is_full()
        {
            self.free.push(place);
            return Ok(None);
        }
        let fresh = self.view.high_water();
        let number = self.free.pop().unwrap_or(fresh);
        if !note.is_empty() {
            let place = apart.unwrap_or(number);
            self.put_note(place, note)?;
            bytes[field::NOTE..][..4].copy_from_slice(&(place + 1).to_le_bytes());
        }
        Ok(Some((number, fresh)))
    }

    /// A place for a note that cannot be in its record's own second part: that of a record which
    /// no reader takes for one at that time. `None` if the table is full.
    fn place_apart(&mut self) -> Result<Option<u32>> {
        if let Some(place) = self.free.pop() {
            return Ok(Some(place));
        }
        let fresh = self.view.high_water();
        if fresh == RECORDS {
            return Ok(None);
        }
        // Absent, and written: who looks there fills no hole.
        protocol::withdraw(&self.view.mark(fresh))?;
        self.put(header::HIGH_WATER, fresh + 1)?;
        Ok(Some(fresh))
    }

    fn put_note(&self, place: u32, note: &Note) -> Result<()> {
        let bytes = note.as_bytes();
        self.put(rest_at(place), u32::try_from(bytes.len()).unwrap_or(0))?;
        self.view.0.write(rest_at(place) + NOTE_AT, bytes, TABLE_BYTES)
    }

    /// Changes what is noted beside a record: in another place, to which one word leads, so that
    /// even an owner that is stopped half-way leaves the old one or the new one, whole. `false` if
    /// the table is full.
    pub(crate) fn set_note(&mut self, number: u32, note: &Note) -> Result<bool> {
        let mut has_rest = [0];
        self.view.0.read(record_at(number) + field::HAS_REST, &mut has_rest, TABLE_BYTES)?;
        self.move_note(number, note, has_rest[0] == 0)
    }

    /// Before an update after which the record has a second part of its own: ensures that its
    /// note is elsewhere, if there is room.
    pub(crate) fn make_way(&mut self, number: u32, area: &Announcement) -> Result<()> {
        let more_nodes =
            || area.placement.whole().policy().nodes().is_some_and(|nodes| nodes.first_word().is_none());
        if self.word(record_at(number) + field::NOTE) == number + 1
            && more_nodes()
            && let Some((_, record)) = self.view.record(number)
        {
            self.move_note(number, &record.area.note, false)?;
        }
        Ok(())
    }

    /// The same, to a place that may be the record's own second part, or may not.
    fn move_note(&mut self, number: u32, note: &Note, may_be_own: bool) -> Result<bool> {
        let at = record_at(number) + field::NOTE;
        let before = self.word(at).checked_sub(1);
        let place = match note.is_empty() {
            true => None,
            false if may_be_own && before != Some(number) => Some(number),
            false => match self.place_apart()? {
                None => return Ok(false),
                place => place,
            },
        };
        if let Some(place) = place {
            self.put_note(place, note)?;
        }
        protocol::change(&self.view.mark(number), || self.put(at, place.map_or(0, |place| place + 1)))?;
        self.free.extend(before.filter(|&before| before != number));
        Ok(true)
    }

    /// Withdraws a record: from now on no process finds it.
    pub(crate) fn remove(&mut self, number: u32) -> Result<()> {
        let mut bytes = [0; RECORD_BYTES];
        self.view.bytes(number, &mut bytes)?;
        self.index_remove(number, &bytes)?;
        let sequence = u32_of(&bytes, field::ID) % SEQUENCES;
        self.put(BY_SEQUENCE + sequence as usize * 4, 0_u32)?;
        protocol::withdraw(&self.view.mark(number))?;
        let note = u32_of(&bytes, field::NOTE).checked_sub(1).filter(|&place| place != number);
        self.free.extend(note);
        self.free.push(number);
        self.live -= 1;
        self.count_change()
    }

    /// Notifies those who keep an order of the addresses that it no longer holds.
    fn count_change(&self) -> Result<()> {
        protocol::count(&self.view.changes_mark())
    }

    /// Gives a record another id, where the team had to move to another slot. The block of its
    /// sequence number is open.
    pub(crate) fn set_id(&self, number: u32, id: AreaId) -> Result<()> {
        let at = record_at(number);
        let old = self.word(at + field::ID) % SEQUENCES;
        protocol::change(&self.view.mark(number), || {
            self.put(BY_SEQUENCE + old as usize * 4, 0_u32)?;
            self.put(at + field::ID, id.get())
        })?;
        self.put(BY_SEQUENCE + id.sequence() as usize * 4, number + 1)
    }

    /// Changes what is published of a record's place, extent and addresses, and of which part of
    /// its object it is. Who looked it up before looks again.
    pub(crate) fn update(&self, number: u32, area: &Announcement) -> Result<()> {
        let Some((_, mut record)) = self.view.record(number) else { return Ok(()) };
        let at = record_at(number);
        let moved = record.area.address != area.address;
        let Announcement { placement, address, span, extent, piece, exact, physical, .. } = area;
        record.area = Announcement {
            placement: placement.clone(),
            address: *address,
            span: *span,
            extent: *extent,
            piece: *piece,
            exact: *exact,
            physical: physical.clone(),
            ..record.area
        };
        let bytes = encode(record.id, record.created, &record.area, 0);
        if has_rest(&bytes) && self.word(at + field::NOTE) == number + 1 {
            // There was no room for both ([`make_way`](Table::make_way)): what is noted stays.
            return Ok(());
        }
        let changed = [
            (field::HOME, 2),
            (field::POLICY, 1),
            (field::NODES, 8),
            (field::HAS_REST, 1),
            (field::ADDRESS, 8),
            (field::SPAN, 8),
            (field::MAX, 8),
            (field::EXACT, 8),
            (field::EXTENT, 1),
        ];
        protocol::change(&self.view.mark(number), || {
            // Before the first part says that it is there.
            self.put_rest(number, &bytes)?;
            changed.into_iter().try_for_each(|(from, len)| {
                self.view.0.write(at + from, &bytes[from..from + len], TABLE_BYTES)
            })
        })?;
        // Who keeps an order of the addresses is notified.
        if moved { self.count_change() } else { Ok(()) }
    }

    /// Writes the second part of a record, where it has one.
    fn put_rest(&self, number: u32, bytes: &[u8; RECORD_BYTES]) -> Result<()> {
        if !has_rest(bytes) {
            return Ok(());
        }
        self.view.0.write(rest_at(number), &bytes[FIRST_BYTES..], TABLE_BYTES)
    }

    /// Makes an area of a record that was only claimed.
    pub(crate) fn confirm(&self, number: u32) -> Result<()> {
        let Some((_, record)) = self.view.record(number) else { return Ok(()) };
        protocol::change(&self.view.mark(number), || {
            self.put(record_at(number) + field::LOCK, record.lock.number())
        })
    }

    /// Changes the one word of a record that may change.
    pub(crate) fn set_protection(&self, number: u32, protection: Protection) -> Result<()> {
        self.put(record_at(number) + field::PROTECTION, protection.bits())
    }
}
