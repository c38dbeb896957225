//! A reader's place among a slab's readers: the words that it says there, and what its process
//! reads.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use areas::presence::{Presence, was_taken};
use areas::{Error, ErrorKind, Result};

use crate::books::OWNER;
use crate::layout::{Table, View};
use crate::protocol::{self, Begun, Slot, Word};

/// A reader's place, and what is read there: of the process that attached, and then of each forked
/// child in a row that was given one.
pub(crate) struct Seat {
    pub(crate) held: Mutex<HashMap<u32, Held>>,
    pub(crate) presence: Presence,
    pub(crate) next: OnceLock<Box<Seat>>,
}

/// What this process reads of one slot.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) generation: u32,
    pub(crate) takes: u16,
    /// How many leases there are of it here.
    pub(crate) leases: usize,
}

impl Held {
    pub(crate) fn new(generation: u32, leases: usize) -> Self {
        Held { generation, takes: 0, leases }
    }
}

/// How long is waited for an owner that decides on a block: it takes it microseconds, unless it is
/// stopped in the middle of them.
const DECISION: Duration = Duration::from_millis(200);

impl Seat {
    /// Takes a reader's place for this process, or for a child that it is about to fork.
    pub(crate) fn take(view: View<'_>) -> Result<Self> {
        let readers = view.geometry.readers;
        let presence = Presence::take(view.area.object(), 1..readers + 1)?.ok_or_else(|| {
            was_taken(Error::new(ErrorKind::Limit, format!("read the slab in {}", view.area)))
                .with_facts(format!("{readers} processes read it, and no more may"))
                .with_remedy("have its owner make it with more: `SlabBuilder::readers`; or end one")
        })?;
        let seat = Seat { held: Mutex::default(), presence, next: OnceLock::new() };
        seat.forget_predecessor(view)?;
        Ok(seat)
    }

    /// What a process read that had this place before and died, no process reads any more. How
    /// often it took what, still counts.
    fn forget_predecessor(&self, view: View<'_>) -> Result<()> {
        for slot in 0..view.highest()? {
            let (slot, word) = (view.slot(slot), view.slot(slot).word(self.reader())?);
            if word.reads {
                protocol::finish(&slot, self.reader(), word)?;
            }
        }
        Ok(())
    }

    /// One that a parent took for this process, in this process.
    pub(crate) fn adopted(mut self) -> Self {
        self.presence = self.presence.adopted();
        self
    }

    /// The number of its words.
    pub(crate) fn reader(&self) -> u32 {
        self.presence.number() - 1
    }

    /// Says that its process reads a block, whose generation cannot end in the meantime for good:
    /// who calls has it.
    pub(crate) fn read(&self, table: &Table, slot: u32, held: Held) -> Result<()> {
        let at = table.view().slot(slot);
        let before = at.word(self.reader())?.of(held.generation);
        let word = self.say(table, slot, held.generation, before, false)?;
        let word = word.ok_or_else(|| {
            Error::new(ErrorKind::Busy, "prepare a slab for a fork")
                .with_facts("another process has written over its table")
        })?;
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(slot, Held { takes: word.takes, ..held });
        Ok(())
    }

    /// Says that this reader reads a block, and waits for its owner where that is about to decide.
    /// `None`: the block is gone.
    pub(crate) fn say(
        &self,
        table: &Table,
        slot: u32,
        generation: u32,
        before: Word,
        takes: bool,
    ) -> Result<Option<Word>> {
        let (at, reader) = (table.view().slot(slot), self.reader());
        let mut begun = protocol::begin(&at, reader, generation, before, takes)?;
        let deadline = Instant::now() + DECISION;
        loop {
            let word = match begun {
                Begun::Reads(word) => return Ok(Some(word)),
                Begun::Gone => return Ok(None),
                Begun::Undecided(word) => word,
            };
            if !Presence::is_taken(table.area.object(), OWNER..OWNER + 1)? {
                // A dead owner reuses nothing.
                return Ok(Some(word));
            }
            if Instant::now() >= deadline {
                at.say(reader, Word { reads: false, ..before })?;
                return Err(Error::new(ErrorKind::Busy, "open a slice")
                    .with_facts("its owner was stopped in the middle of looking for readers")
                    .with_remedy("try again when it goes on"));
            }
            std::thread::sleep(Duration::from_micros(20));
            begun = protocol::decided(&at, reader, generation, word)?;
        }
    }
}
