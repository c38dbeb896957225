//! The steps of a sequence lock: what `models/` tries in all orders.
//!
//! A count is odd while its writer writes. A reader copies between two looks at it, and has all of
//! one write if both saw the same even count.

/// The count, in memory that several processes have.
pub(crate) trait Sequence {
    /// Why it cannot be had.
    type Error;

    fn load(&self) -> Result<u64, Self::Error>;
    fn store(&self, count: u64) -> Result<(), Self::Error>;
    /// What was loaded before is older than what is loaded behind it.
    fn acquire(&self);
    /// What was stored before is seen before what is stored behind it.
    fn release(&self);
    /// Between two attempts.
    fn pause(&self, attempt: u32);
}

/// What a reader comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// It copied all of one write: the count of that.
    Whole(u64),
    /// One write was under way all the time.
    Unfinished,
    /// There was another write at each attempt.
    Changing,
}

/// Writes, behind the count that the writer has left before. The new count.
pub(crate) fn write<S: Sequence>(
    sequence: &S,
    before: u64,
    put: impl FnOnce() -> Result<(), S::Error>,
) -> Result<u64, S::Error> {
    // A writer that died in the middle has left it odd.
    let odd = before | 1;
    sequence.store(odd)?;
    sequence.release();
    put()?;
    sequence.release();
    let count = odd.wrapping_add(1);
    sequence.store(count)?;
    Ok(count)
}

/// Reads, with so many attempts.
pub(crate) fn read<S: Sequence>(
    sequence: &S,
    attempts: u32,
    mut copy: impl FnMut() -> Result<(), S::Error>,
) -> Result<Read, S::Error> {
    let (mut first, mut unfinished) = (None, true);
    for attempt in 0..attempts {
        if attempt > 0 {
            sequence.pause(attempt);
        }
        let before = sequence.load()?;
        unfinished &= before % 2 == 1 && *first.get_or_insert(before) == before;
        if before % 2 == 1 {
            continue;
        }
        sequence.acquire();
        copy()?;
        sequence.acquire();
        if sequence.load()? == before {
            return Ok(Read::Whole(before));
        }
    }
    Ok(if unfinished { Read::Unfinished } else { Read::Changing })
}
