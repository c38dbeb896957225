//! How one writer changes a record while others read it, none of whom waits: a generation that is odd, or 0, means absent.
//!
//! Nothing but the order of loads, stores and fences is here, over whatever memory there is, so that it can be tried out in
//! all the orders that a machine may choose: `models/` does that, with this very file.

/// The memory of one record, as the order of accesses to it goes.
pub(super) trait Slot {
    /// What a failed store or copy says.
    type Error;

    fn generation(&self) -> Result<u64, Self::Error>;
    fn set_generation(&self, generation: u64) -> Result<(), Self::Error>;
    /// Loads before stay before loads and stores behind.
    fn acquire(&self);
    /// Loads and stores before stay before stores behind.
    fn release(&self);
}

/// Whether a record of that generation is there.
pub(super) fn is_there(generation: u64) -> bool {
    generation != 0 && generation.is_multiple_of(2)
}

/// Copies a record out; `None` if it is absent, or changed under our eyes.
pub(super) fn read<S: Slot, T>(
    slot: &S,
    copy: impl FnOnce() -> Result<T, S::Error>,
) -> Result<Option<(u64, T)>, S::Error> {
    let generation = slot.generation()?;
    if !is_there(generation) {
        return Ok(None);
    }
    slot.acquire();
    let copied = copy()?;
    slot.acquire();
    Ok((slot.generation()? == generation).then_some((generation, copied)))
}

/// Changes a record, or fills one that was absent: nobody takes a mixture for a record. It is there behind this, and all
/// that was stored before with it.
pub(super) fn write<S: Slot>(
    slot: &S,
    change: impl FnOnce() -> Result<(), S::Error>,
) -> Result<(), S::Error> {
    // Of an absent one the generation is 0 or odd, of one that is there it is even: the next odd one.
    let absent = slot.generation()? | 1;
    slot.set_generation(absent)?;
    slot.release();
    change()?;
    slot.release();
    slot.set_generation(absent.wrapping_add(1))?;
    slot.release();
    Ok(())
}

/// Takes a record away.
pub(super) fn withdraw<S: Slot>(slot: &S) -> Result<(), S::Error> {
    slot.set_generation(slot.generation()? | 1)?;
    slot.release();
    Ok(())
}
