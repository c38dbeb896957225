//! Looking again at the room while pages are taken: another process may take what there was.
//!
//! The less is left over, the more often it is looked, and the smaller are the pieces in between; where there is plenty, never. So two processes that each
//! fit, but not both, end in an error of one (or of both), and not in the out-of-memory killer.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::promise::{Before, Promise};
use super::room::{Asked, Rooms, Short};
use super::{CHUNK, Job, missing};
use crate::error::Result;

/// What is taken between two looks where room is tight.
const SMALL: usize = 1 << 20;
/// Room is tight where not so much more is left over than this populate takes: some pieces of ours, and of somebody else's.
const TIGHT: u64 = 16 * CHUNK as u64;

/// What has to fit for certain, of so much that is left: threads and the kernel's own tables take something along the way as well, and its counts lag
/// behind. The less is left, the more exact it is.
fn less(left: u64) -> u64 {
    left - left / 16
}

/// With so much room it is not looked again: others could not use it up before so many bytes are taken.
fn plenty(left: u64, before: &Before<'_>) -> u64 {
    before.take_of(None).saturating_add(left.saturating_mul(6)).saturating_add(TIGHT)
}

/// A populate that was admitted.
#[derive(Debug)]
pub(super) struct Watch {
    asked: Option<(Asked, Promise)>,
    /// It is looked again when no more than so many bytes are left to take.
    next: AtomicU64,
    step: AtomicUsize,
}

impl Watch {
    /// For what is not worth a look.
    pub(super) fn none() -> Self {
        Watch { asked: None, next: AtomicU64::new(0), step: AtomicUsize::new(usize::MAX) }
    }

    /// Admits it where there is room for `bytes`, of `ahead`, besides those that were admitted before.
    pub(super) fn admit(asked: Asked, bytes: u64, ahead: u64) -> Result<Self, Short> {
        let mut over = 0;
        let promise = Promise::admit(asked.nodes, bytes, ahead, |before| {
            over = Rooms::measure(&asked, plenty(bytes, before)).over(bytes, before)?;
            Ok(())
        })?;
        let watch = Watch { asked: Some((asked, promise)), ..Watch::none() };
        watch.look_after(bytes, over);
        Ok(watch)
    }

    /// The most that may be taken before [`before`](Watch::before) is called again.
    pub(super) fn step(&self) -> usize {
        self.step.load(Ordering::Relaxed)
    }

    /// To be called before so many bytes are taken. Refuses where they do not fit any more.
    pub(super) fn before(&self, job: &Job<'_>, bytes: usize) -> Result<()> {
        let Some((asked, promise)) = &self.asked else { return Ok(()) };
        let left = promise.take(bytes as u64);
        if left > self.next.load(Ordering::Relaxed) || left == 0 {
            return Ok(());
        }
        promise.again(|before| {
            let rooms = Rooms::measure(asked, plenty(left, before));
            let over = match rooms.over(less(left), before) {
                Ok(over) => over,
                // What was there already may have been taken for what was to come: count again.
                Err(_) => {
                    let left = missing(job)? as u64;
                    promise.set(left.saturating_sub(bytes as u64));
                    rooms
                        .over(less(left), before)
                        .map_err(|short| short.refuse_on_the_way(job, asked, left))?
                }
            };
            self.look_after(promise.left(), over);
            Ok(())
        })
    }

    /// When to look again, where so much is left over beyond what is left to take. Others would have to be four times as fast to
    /// use it up until then.
    fn look_after(&self, left: u64, over: u64) {
        self.next.store(left.saturating_sub(over / 4), Ordering::Relaxed);
        let step = if over < TIGHT { SMALL } else { usize::MAX };
        self.step.store(step, Ordering::Relaxed);
    }
}
