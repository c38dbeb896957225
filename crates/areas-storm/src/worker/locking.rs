//! A mutex in an area that many processes have: whoever is killed inside leaves it to the next one,
//! which gets the error.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use areas::sync::{Locked, Mutex};
use areas::{Area, ErrorKind, Shared, registry};

use super::Worker;
use crate::finding::Rule;
use crate::op::Op;
use crate::sabotage::Sabotage;

/// Where the mutex is; who is inside, by his life; and two counts that are the same when no process
/// is.
const MUTEX: usize = 0;
const INSIDE: usize = 64;
const ONE: usize = 72;
const OTHER: usize = 80;
/// Owners are stopped for a moment, and many wait: but no process for so long.
const TIMEOUT: Duration = Duration::from_secs(15);

impl Worker {
    /// Locks, looks whether it is alone, and unlocks.
    pub(super) fn lock_one(&mut self) {
        let area = match self.locks.take() {
            Some(area) => area,
            None => match self.tried(Op::Locks, Worker::find_locks) {
                Some(area) => area,
                None => return,
            },
        };
        if let Some(Some(wrong)) = self.tried(Op::Lock, |worker| worker.inside(&area)) {
            self.found(Rule::Lock, &wrong);
        }
        // Now and then another one is found, with a new mark.
        if self.random.u32(0..20) > 0 {
            self.locks = Some(area);
        }
    }

    /// The area with the mutex: another process's, or a new one. (Where the folder has gone there
    /// may be several of that name, each with its own.)
    fn find_locks(&mut self) -> areas::Result<Area<Shared>> {
        // Not by a name that begins as others do: whose bytes carry the pattern.
        let name = format!("locks-of-{}", self.options.tag);
        match registry::find(&name).and_then(|found| found.open()) {
            Err(error) if error.kind() == ErrorKind::NoSuchArea => {
                areas::builder(4096).name(&name).exclusive().shared()
            }
            found => found,
        }
    }

    /// What is wrong inside, if anything is.
    fn inside(&mut self, area: &Area<Shared>) -> areas::Result<Option<String>> {
        let word = |at: usize| area.load::<u64>(at, Relaxed);
        let add = |at: usize| area.store(at, word(at)?.wrapping_add(1), Relaxed);
        let me = self.slot.who.life + 1;
        let guard = match self.sabotage {
            Some(Sabotage::Lock) => None,
            _ => Some(match Mutex::new(area, MUTEX)?.lock(TIMEOUT)? {
                Locked::Clean(guard) => guard,
                Locked::OwnerDied(guard) => {
                    area.store(OTHER, word(ONE)?, Relaxed)?;
                    area.store(INSIDE, 0_u64, Relaxed)?;
                    guard.mark_consistent()?;
                    guard
                }
            }),
        };
        let before = word(INSIDE)?;
        area.store(INSIDE, me, Relaxed)?;
        add(ONE)?;
        // So that who is killed is killed here, too.
        std::thread::sleep(Duration::from_micros(self.random.u64(0..300)));
        add(OTHER)?;
        let (inside, counts) = (word(INSIDE)?, (word(ONE)?, word(OTHER)?));
        area.store(INSIDE, 0_u64, Relaxed)?;
        if let Some(guard) = guard {
            guard.unlock()?;
        }
        let wrong = before != 0 || inside != me || counts.0 != counts.1;
        Ok(wrong.then(|| {
            format!("life {} was inside before, {inside} behind, of {me}; the counts are {counts:?}", before)
        }))
    }
}
