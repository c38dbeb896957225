//! The index of names in one's own table.

use std::sync::atomic::{Ordering, fence};

use super::super::layout::{
    Entry, LARGEST_INDEX, RECORD_BYTES, TABLE_BYTES, Which, header, of_short, record_at, rest_at,
};
use super::super::name::Name;
use super::super::record::{field, u32_of};
use super::Table;
use crate::error::Result;

impl Table {
    fn which(&self) -> Which {
        Which(self.view.u64_at(header::INDEX))
    }

    /// Finds the entry of a name: its offset and the record there; else the first free offset, and
    /// whether that one was never used.
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
        // `make_room` keeps a third of the entries empty, so that this is not reached; any entry
        // would do.
        Err((gone.unwrap_or(which.offset_of(hash)), false))
    }

    fn name_is(&self, number: u32, name: &[u8]) -> bool {
        let mut bytes = [0; Name::MAX];
        let found = &mut bytes[..name.len()];
        let at = record_at(number);
        let (first, rest) = found.split_at_mut(name.len().min(field::NAME_IN_FIRST));
        self.view
            .0
            .load::<u8>(at + field::NAME_LEN, TABLE_BYTES, Ordering::Relaxed)
            .is_ok_and(|len| usize::from(len) == name.len())
            && self.view.0.read(at + field::NAME, first, TABLE_BYTES).is_ok()
            && self.view.0.read(rest_at(number), rest, TABLE_BYTES).is_ok()
            && found == name
    }

    pub(super) fn index_insert(&mut self, number: u32, hash: u64, name: &[u8]) -> Result<()> {
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

    /// Takes a record out of its name's chain. The first one's "last" names the end, every other
    /// one's its predecessor.
    pub(super) fn index_remove(&mut self, number: u32, bytes: &[u8; RECORD_BYTES]) -> Result<()> {
        let hash = of_short(u32_of(bytes, field::HASH));
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
    pub(super) fn make_room(&mut self) -> Result<()> {
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
            let hash = of_short(self.word(record_at(entry.record()) + field::HASH));
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
