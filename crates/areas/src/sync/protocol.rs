//! The steps of a mutex that several processes have in memory which they all may write: what
//! `models/` tries in all orders.
//!
//! One word of 64 bits says all: which thread owns the mutex (0 is none), whether a thread may
//! sleep on it, and whether an owner died with it. An owner is there from the step that makes it
//! one, and gone with the step that ends that, so that there is no moment in which a kill leaves a
//! mutex that is owned by an unknown thread. Sleepers sleep on the lower half of the word, for a
//! while: then they look again whether the owner lives.

use super::number::{SHIFT, is_number};

/// A thread may sleep on the word.
pub(crate) const WAITERS: u64 = 0b0001;
/// An owner died, and none since has said that what the mutex guards is consistent.
pub(crate) const INCONSISTENT: u64 = 0b0010;
/// Bits that are never set.
const RESERVED: u64 = 0b1100;
/// The owner that a word names, 0 for none; `None` for a word that is not a mutex's.
pub(crate) const fn owner(word: u64) -> Option<u64> {
    let owner = word >> SHIFT;
    if word & RESERVED == 0 && (owner == 0 || is_number(owner)) { Some(owner) } else { None }
}

/// The word, and what a thread that wants it does between looks at it.
pub(crate) trait Word {
    /// Why it cannot be had.
    type Error;

    fn load(&self) -> Result<u64, Self::Error>;
    /// Acquires, if it replaces the word.
    fn compare_exchange(&self, current: u64, new: u64) -> Result<Result<u64, u64>, Self::Error>;
    /// Releases. The word that was there.
    fn fetch_and(&self, mask: u64) -> Result<u64, Self::Error>;
    /// Whether an owner lives: it is asked once its number was seen in the word.
    fn is_alive(&self, owner: u64) -> Result<bool, Self::Error>;
    /// Sleeps if the lower half of the word is that of `seen`, until it is woken, and for a while
    /// at most.
    fn sleep(&self, seen: u64) -> Result<(), Self::Error>;
    /// Wakes one who sleeps.
    fn wake_one(&self) -> Result<(), Self::Error>;
    /// Whether to look once more, having looked `looks` times.
    fn goes_on(&self, looks: u32) -> bool;
    /// Whether it is too early to ask who lives, and to sleep.
    fn spins(&self, looks: u32) -> bool;
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is ours.
    Locked { inconsistent: bool },
    /// It was ours before.
    Own,
    /// Another one's, as long as was waited; 0 where several wanted it at once, and another one was
    /// faster.
    Held { owner: u64 },
    /// The word is not a mutex's.
    Garbage(u64),
}

/// Makes the mutex `me`'s, waiting as long as the word says.
pub(crate) fn lock<W: Word>(word: &W, me: u64) -> Result<Outcome, W::Error> {
    let (mut looks, mut slept) = (0_u32, 0);
    loop {
        let seen = word.load()?;
        let Some(owner) = owner(seen) else { return Ok(Outcome::Garbage(seen)) };
        if owner == me {
            return Ok(Outcome::Own);
        }
        looks = looks.saturating_add(1);
        let last = !word.goes_on(looks);
        let early = !last && word.spins(looks);
        let dead = owner != 0 && !early && !word.is_alive(owner)?;
        if owner == 0 || dead {
            let inconsistent = if dead { INCONSISTENT } else { seen & INCONSISTENT };
            // One that has slept does not know whether others do.
            let ours = me << SHIFT | inconsistent | seen & WAITERS | slept;
            if word.compare_exchange(seen, ours)?.is_ok() {
                return Ok(Outcome::Locked { inconsistent: inconsistent != 0 });
            }
        }
        if last {
            return Ok(Outcome::Held { owner });
        }
        if owner != 0 && !dead && !early {
            let marked = seen | WAITERS;
            if seen == marked || word.compare_exchange(seen, marked)?.is_ok() {
                word.sleep(marked)?;
                slept = WAITERS;
            }
        }
    }
}

/// Ends that the mutex is `me`'s, and wakes one who waits for it. `false` if it is not: another
/// process has written the word.
pub(crate) fn unlock<W: Word>(word: &W, me: u64) -> Result<bool, W::Error> {
    if owner(word.load()?) != Some(me) {
        return Ok(false);
    }
    // No other thread changes it, but for the bit that one waits. A thread that is killed behind
    // this step leaves sleepers that look again by themselves.
    if word.fetch_and(INCONSISTENT)? & WAITERS != 0 {
        word.wake_one()?;
    }
    Ok(true)
}

/// What the mutex guards is consistent again. `false` if it is not `me`'s.
pub(crate) fn mark_consistent<W: Word>(word: &W, me: u64) -> Result<bool, W::Error> {
    if owner(word.load()?) != Some(me) {
        return Ok(false);
    }
    word.fetch_and(!INCONSISTENT)?;
    Ok(true)
}
