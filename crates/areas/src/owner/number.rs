//! The numbers that owners of locks can have: what `models/` includes, too.

/// A word that names an owner has so many bits of its own below the number.
pub(crate) const SHIFT: u32 = 4;
/// Bits of an owner's number.
pub(crate) const OWNER_BITS: u32 = u64::BITS - SHIFT;
/// The part of it that is in the lower half of the word is never 0: a thread that sleeps on that
/// half notices when the mutex is free.
const LOWER: u64 = (1 << (32 - SHIFT)) - 1;

/// Whether an owner can have this number.
pub(crate) const fn is_number(number: u64) -> bool {
    number < 1 << OWNER_BITS && number & LOWER != 0
}
