//! How one writer changes a record while others read it, none of whom waits: a generation that is
//! odd, or 0, means absent; one with the mark [`MOVING`] means that the record is there, and that
//! of what may change in it a part may be old and a part new.
//!
//! Nothing but the order of loads, stores and fences is here, over whatever memory there is, so
//! that it can be tried out in all the orders that a machine may choose: `models/` does that, with
//! this very file.

/// In a record's generation: its owner is in the middle of changing it. It is there all the same.
pub(super) const MOVING: u64 = 1 << 63;

/// A word that says what holds of the memory behind it, and how accesses are ordered around it.
pub(super) trait Mark {
    /// What a failed load or store says.
    type Error;

    fn load(&self) -> Result<u64, Self::Error>;
    fn store(&self, value: u64) -> Result<(), Self::Error>;
    /// Loads before stay before loads and stores behind.
    fn acquire(&self);
    /// Loads and stores before stay before stores behind.
    fn release(&self);
    /// Lets the owner get on, before another attempt.
    fn wait(&self, attempt: usize);
}

/// Whether a record of that generation is there. (The mark alone is no generation: what was never
/// there is not being changed.)
pub(super) fn is_there(generation: u64) -> bool {
    generation & !MOVING != 0 && generation.is_multiple_of(2)
}

/// What the word says now. What its writer stored before is seen behind this.
#[inline]
pub(super) fn look<M: Mark>(mark: &M) -> Result<u64, M::Error> {
    let value = mark.load()?;
    mark.acquire();
    Ok(value)
}

/// Copies a record out; `None` if it is absent, or does not stop changing.
///
/// The first `attempts` are for one that is whole. Then one does that has [`MOVING`] in
/// its generation, so that an owner who was stopped, or killed, in the middle of a change takes
/// nothing away from anybody.
#[inline]
pub(super) fn read<M: Mark, T>(
    mark: &M,
    attempts: usize,
    mut copy: impl FnMut() -> Result<T, M::Error>,
) -> Result<Option<(u64, T)>, M::Error> {
    // A change comes and goes once while we look: twice as many attempts see it through.
    for attempt in 1..=2 * attempts {
        let generation = look(mark)?;
        if !is_there(generation) {
            return Ok(None);
        }
        let copied = copy()?;
        mark.acquire();
        let whole = generation & MOVING == 0;
        if mark.load()? == generation && (whole || attempt >= attempts) {
            return Ok(Some((generation, copied)));
        }
        mark.wait(attempt);
    }
    Ok(None)
}

/// Fills a record that was absent: no reader takes a mixture for a record. It is there behind this,
/// and all that was stored before with it.
pub(super) fn fill<M: Mark>(mark: &M, write: impl FnOnce() -> Result<(), M::Error>) -> Result<(), M::Error> {
    // Of an absent one the generation is 0 or odd: the next odd one.
    let absent = mark.load()? | 1;
    mark.store(absent)?;
    mark.release();
    write()?;
    mark.release();
    mark.store(absent.wrapping_add(1))?;
    mark.release();
    Ok(())
}

/// Changes a record that is there, and stays there for all who look concurrently.
pub(super) fn change<M: Mark>(
    mark: &M,
    write: impl FnOnce() -> Result<(), M::Error>,
) -> Result<(), M::Error> {
    let before = mark.load()? & !MOVING;
    mark.store(before | MOVING)?;
    mark.release();
    write()?;
    mark.release();
    mark.store(before.wrapping_add(2))?;
    mark.release();
    Ok(())
}

/// Takes a record away.
pub(super) fn withdraw<M: Mark>(mark: &M) -> Result<(), M::Error> {
    mark.store((mark.load()? & !MOVING) | 1)?;
    mark.release();
    Ok(())
}

/// Counts a change that can be seen already, so that whoever looks at the count first never takes
/// what was there before the change for what is there now. It is never 0 behind this: that is the
/// count of an owner who does not count.
pub(super) fn count<M: Mark>(mark: &M) -> Result<(), M::Error> {
    mark.release();
    mark.store(mark.load()?.wrapping_add(1).max(1))
}
