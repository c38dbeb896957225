//! Looking again at the room while pages are taken: another process may take what there was.
//!
//! The less is left over, the more often it is looked, the smaller are the pieces in between, and
//! the fewer are under way at once; where there is plenty, it is not looked at all. So two
//! processes that each fit, but not both, end in an error of one (or of both), and not in the
//! out-of-memory killer.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::promise::{Before, Promise};
use super::room::{Asked, Moment, Rooms, Short};
use super::{CHUNK, Job, missing};
use crate::error::Result;

/// What is taken between two looks where room is tight.
const SMALL: usize = 1 << 20;
/// Room is tight where not so much more is left over than this populate takes: some pieces of ours,
/// and of other threads'.
const TIGHT: u64 = 16 * CHUNK as u64;

/// With so much room it is not looked again: others could not use it up before so many bytes are
/// taken.
fn plenty(left: u64, before: &Before<'_>) -> u64 {
    before.take_of(None).saturating_add(left.saturating_mul(6)).saturating_add(TIGHT)
}

/// A populate that was admitted; or one that is not worth a look.
#[derive(Debug)]
pub(super) struct Watch(Option<Admitted>);

#[derive(Debug)]
struct Admitted {
    asked: Asked,
    promise: Promise,
    flight: Mutex<Flight>,
    /// A piece that was under way is there.
    landed: Condvar,
}

#[derive(Debug, Default)]
struct Flight {
    /// Bytes that threads are taking at this moment: they may be counted as used already, or not
    /// yet.
    bytes: u64,
    /// It is looked again when no more than so many bytes are left to begin with.
    next: u64,
    /// The most that is taken at once.
    step: usize,
}

impl Flight {
    /// When to look again, where so much is left over beyond what is `left` to take: others would
    /// have to be four times as fast to use it up until then.
    fn look_after(&mut self, left: u64, over: u64) {
        self.next = left.saturating_sub(over / 4);
        self.step = if over < TIGHT { SMALL } else { usize::MAX };
    }
}

impl Watch {
    pub(super) fn none() -> Self {
        Watch(None)
    }

    /// Admits it where there is room for `bytes`, of `ahead`, besides those that were admitted
    /// before.
    pub(super) fn admit(asked: Asked, bytes: u64, ahead: u64) -> Result<Self, Short> {
        let mut flight = Flight::default();
        let promise = Promise::admit(asked.nodes, bytes, ahead, |before| {
            let rooms = Rooms::measure(&asked, plenty(bytes, before));
            flight.look_after(bytes, rooms.over(bytes, Moment::First, before)?);
            Ok(())
        })?;
        Ok(Watch(Some(Admitted { asked, promise, flight: Mutex::new(flight), landed: Condvar::new() })))
    }

    /// The most that may be taken at once.
    pub(super) fn step(&self) -> usize {
        self.0.as_ref().map_or(usize::MAX, |admitted| admitted.flight().step)
    }

    /// To be called before so many bytes are taken, and what it gives kept until they are. Refuses
    /// where they do not fit any more.
    pub(super) fn take(&self, job: &Job<'_>, bytes: usize) -> Result<Option<Piece<'_>>> {
        self.0.as_ref().map(|admitted| admitted.take(job, bytes as u64)).transpose()
    }
}

impl Admitted {
    fn flight(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, job: &Job<'_>, bytes: u64) -> Result<Piece<'_>> {
        let mut flight = self.flight();
        let mut counted = false;
        loop {
            let left = self.promise.left();
            if left == 0 || left > flight.next {
                break;
            }
            let under_way = flight.bytes;
            match self.look(left.saturating_add(under_way)) {
                // With little left over, one piece after the other.
                Ok(over) if under_way == 0 || under_way.saturating_add(bytes) <= over / 4 => {
                    flight.look_after(left, over);
                    break;
                }
                // What is under way is counted twice, or not yet by the kernel: it is known once it
                // is there.
                _ if under_way > 0 => {
                    flight = self.landed.wait(flight).unwrap_or_else(PoisonError::into_inner);
                }
                // What was there from the beginning may have been taken for what is to come: count
                // again.
                Err(_) if !counted => {
                    counted = true;
                    self.promise.set(missing(job)? as u64);
                }
                Err(short) => return Err(short.refuse_on_the_way(job, &self.asked, left)),
                // With nothing under way, the first arm has it.
                Ok(_) => break,
            }
        }
        self.promise.take(bytes);
        flight.bytes = flight.bytes.saturating_add(bytes);
        Ok(Piece { admitted: self, bytes })
    }

    fn look(&self, needed: u64) -> Result<u64, Short> {
        self.promise.again(|before| {
            Rooms::measure(&self.asked, plenty(needed, before)).over(needed, Moment::OnTheWay, before)
        })
    }
}

/// Bytes that are being taken, as long as it lives.
#[derive(Debug)]
#[must_use = "what is being taken is known by it"]
pub(super) struct Piece<'a> {
    admitted: &'a Admitted,
    bytes: u64,
}

impl Drop for Piece<'_> {
    fn drop(&mut self) {
        let mut flight = self.admitted.flight();
        flight.bytes = flight.bytes.saturating_sub(self.bytes);
        drop(flight);
        self.admitted.landed.notify_all();
    }
}
