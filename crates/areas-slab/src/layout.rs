//! What lies where in a slab's area, and the words by which its owner and its readers agree.
//!
//! ```text
//! 0         header: magic, version, readers, slots, highest slot used, nonce
//! 64        slots, each: generation, offset, length; and one word for each reader
//! data      blocks
//! ```
//!
//! Each word has one writer: the header and a slot's first 32 bytes its owner, a reader's words
//! that reader. So plain atomic loads and stores do, and nothing that a process leaves half done by
//! dying has to be repaired.
//!
//! Nothing that is read here is believed by more than it can harm: offsets and lengths are held
//! against the area's size as the kernel reports it, and the owner's own books (which block is
//! where) are in its private memory alone.

use std::sync::atomic::Ordering::{Acquire, Release, SeqCst};
use std::sync::atomic::fence;

use areas::{Area, Error, ErrorKind, Result, Shared};

use crate::protocol::{Slot, Word};

/// `AREAslab`.
const MAGIC: u64 = u64::from_le_bytes(*b"AREAslab");
const VERSION: u32 = 1;

/// Bytes of the header.
const HEADER: usize = 64;
const AT_MAGIC: usize = 0;
const AT_VERSION: usize = 8;
const AT_READERS: usize = 12;
const AT_SLOTS: usize = 16;
const AT_HIGHEST: usize = 20;
const AT_NONCE: usize = 24;

/// Bytes of a slot before its readers' words.
const SLOT: usize = 32;
const AT_OFFSET: usize = 8;
const AT_LEN: usize = 16;

/// At most so many processes can read one slab at once.
pub(crate) const MAX_READERS: u32 = 1024;
/// At most so many blocks can be in one slab at once.
pub(crate) const MAX_SLOTS: u32 = 1 << 24;
/// What blocks are multiples of, and begin at: a cache line.
pub(crate) const GRANULE: usize = 64;

/// Where things lie, from two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) readers: u32,
    pub(crate) slots: u32,
}

impl Geometry {
    /// Bytes from one slot to the next.
    fn stride(self) -> usize {
        (SLOT + self.readers as usize * 4).next_multiple_of(GRANULE)
    }

    /// Where blocks begin.
    pub(crate) fn data(self) -> usize {
        (HEADER + self.slots as usize * self.stride()).next_multiple_of(4096)
    }

    fn slot(self, slot: u32) -> usize {
        HEADER + slot as usize * self.stride()
    }

    fn word(self, slot: u32, reader: u32) -> usize {
        self.slot(slot) + SLOT + reader as usize * 4
    }
}

/// A slab's area, as both sides see it.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) area: Area<Shared>,
    pub(crate) geometry: Geometry,
    pub(crate) nonce: u64,
}

impl Table {
    /// Begins a slab in an area: what others find before this is over is not a slab.
    pub(crate) fn begin(area: &Area<Shared>, geometry: Geometry, nonce: u64, fresh: bool) -> Result<()> {
        if !fresh {
            area.store(AT_MAGIC, 0_u64, SeqCst)?;
            fence(SeqCst);
            // What an earlier owner left, or anybody: no word of it may count.
            let zeros = [0; 4096];
            for at in (AT_VERSION..geometry.data()).step_by(zeros.len()) {
                area.write_at(at, &zeros[..zeros.len().min(geometry.data() - at)])?;
            }
        }
        area.store(AT_VERSION, VERSION, Release)?;
        area.store(AT_READERS, geometry.readers, Release)?;
        area.store(AT_SLOTS, geometry.slots, Release)?;
        area.store(AT_NONCE, nonce, Release)?;
        fence(SeqCst);
        area.store(AT_MAGIC, MAGIC, Release)
    }

    /// What the header of another's slab says, checked: `None` where it says nothing that could be.
    pub(crate) fn read(area: &Area<Shared>) -> Result<Option<(Geometry, u64)>> {
        if area.size() < HEADER || area.load::<u64>(AT_MAGIC, Acquire)? != MAGIC {
            return Ok(None);
        }
        let number = |at| area.load::<u32>(at, Acquire);
        let (version, readers, slots) = (number(AT_VERSION)?, number(AT_READERS)?, number(AT_SLOTS)?);
        let geometry = Geometry { readers, slots };
        let could_be = version == VERSION
            && (1..=MAX_READERS).contains(&readers)
            && (1..=MAX_SLOTS).contains(&slots)
            && geometry.data() <= area.size();
        Ok(if could_be { Some((geometry, area.load(AT_NONCE, Acquire)?)) } else { None })
    }

    /// The same, borrowed.
    pub(crate) fn view(&self) -> View<'_> {
        View { area: &self.area, geometry: self.geometry }
    }
}

/// A slab's area and its geometry: who loads and stores the words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) area: &'a Area<Shared>,
    pub(crate) geometry: Geometry,
}

impl<'a> View<'a> {
    /// Makes a block known: a generation that is live, last of all.
    pub(crate) fn show(self, slot: u32, generation: u32, offset: usize, len: usize) -> Result<()> {
        let at = self.geometry.slot(slot);
        self.area.store(at + AT_OFFSET, offset as u64, Release)?;
        self.area.store(at + AT_LEN, len as u64, Release)?;
        self.area.store(at, generation, Release)
    }

    /// One of its slots.
    pub(crate) fn slot(self, slot: u32) -> At<'a> {
        At { view: self, slot }
    }

    /// Where the owner says that a slot's block is, and how long.
    pub(crate) fn block(self, slot: u32) -> Result<(u64, u64)> {
        let at = self.geometry.slot(slot);
        Ok((self.area.load(at + AT_OFFSET, Acquire)?, self.area.load(at + AT_LEN, Acquire)?))
    }

    /// How many slots have ever been used: those behind have no word in them.
    pub(crate) fn highest(self) -> Result<u32> {
        Ok(self.area.load::<u32>(AT_HIGHEST, Acquire)?.min(self.geometry.slots))
    }

    pub(crate) fn set_highest(self, highest: u32) -> Result<()> {
        self.area.store(AT_HIGHEST, highest, Release)
    }
}

/// One slot of a slab's area.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    view: View<'a>,
    slot: u32,
}

impl Slot for At<'_> {
    type Error = Error;

    fn generation(&self) -> Result<u32> {
        self.view.area.load(self.view.geometry.slot(self.slot), Acquire)
    }

    fn set_generation(&self, generation: u32) -> Result<()> {
        self.view.area.store(self.view.geometry.slot(self.slot), generation, Release)
    }

    fn word(&self, reader: u32) -> Result<Word> {
        Ok(Word::unpack(self.view.area.load(self.view.geometry.word(self.slot, reader), Acquire)?))
    }

    fn say(&self, reader: u32, word: Word) -> Result<()> {
        self.view.area.store(self.view.geometry.word(self.slot, reader), word.pack(), Release)
    }

    fn readers(&self) -> u32 {
        self.view.geometry.readers
    }

    fn fence(&self) {
        fence(SeqCst);
    }
}

/// The error for an area that no slab is in.
pub(crate) fn no_slab(area: &Area<Shared>) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("read a slab in {area}"))
        .with_facts("there is none in it, or its owner has not finished making it")
        .with_remedy("make one: `Slab::create`, `SlabBuilder::over`")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_come_back(generation in any::<u32>(), takes in 0..=Word::MAX_TAKES, reads in any::<bool>()) {
            let word = Word::new(generation, takes, reads);
            prop_assert_eq!(Word::unpack(word.pack()), word);
            prop_assert_eq!(word.of(generation), word);
            let next = crate::protocol::next(generation);
            prop_assert_eq!(word.of(next), Word::new(next, 0, false));
        }

        #[test]
        fn any_number_is_a_word(number in any::<u32>()) {
            prop_assert_eq!(Word::unpack(number).pack(), number);
        }

        #[test]
        fn nothing_overlaps(readers in 1..=MAX_READERS, slots in 1..=MAX_SLOTS, slot in any::<u32>()) {
            let geometry = Geometry { readers, slots };
            let slot = slot % slots;
            let end = geometry.word(slot, readers - 1) + 4;
            prop_assert!(geometry.slot(0) >= AT_NONCE + 8);
            prop_assert!(end <= geometry.slot(slot + 1) && end <= geometry.data());
            prop_assert!(geometry.word(slot, 0) >= geometry.slot(slot) + AT_LEN + 8);
        }
    }
}
