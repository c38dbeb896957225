//! Ids of areas: a slot and a sequence number, together a positive 32-bit number.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// The id of a published area: one user's, one pid namespace's, and no other area's while it lives.
///
/// A positive `i32`, as BeOS has them: 12 bits say which team's slot, 19 bits count within it. The
/// last quarter of these is for areas that other teams have given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AreaId(u32);

/// Bits of the sequence number.
const SEQUENCE_BITS: u32 = 19;
/// How many sequence numbers a slot has; number 0 is never given out.
pub(crate) const SEQUENCES: u32 = 1 << SEQUENCE_BITS;
/// Sequence numbers from here on are for areas that other teams give to this one: their givers
/// choose among them.
pub(crate) const FIRST_GIVEN: u32 = SEQUENCES / 4 * 3;
/// How many slots there are: how many teams there can be at once.
pub(crate) const SLOTS: u32 = 1 << 12;

impl AreaId {
    pub(crate) fn from_parts(slot: u32, sequence: u32) -> Self {
        debug_assert!(slot < SLOTS && (1..SEQUENCES).contains(&sequence));
        AreaId(slot << SEQUENCE_BITS | sequence)
    }

    /// An id from its number.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a number that no area ever has: 0, negative ones, and some
    /// others.
    #[inline]
    pub fn new(number: i32) -> Result<Self> {
        match u32::try_from(number) {
            Ok(id) if id % SEQUENCES != 0 => Ok(AreaId(id)),
            _ => Err(no_id(number)),
        }
    }

    /// The number: positive.
    #[inline]
    #[must_use]
    pub fn get(self) -> i32 {
        self.0.cast_signed()
    }

    pub(crate) fn slot(self) -> u32 {
        self.0 >> SEQUENCE_BITS
    }

    pub(crate) fn sequence(self) -> u32 {
        self.0 % SEQUENCES
    }
}

#[cold]
fn no_id(number: i32) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("use {number} as the id of an area"))
        .with_facts("no area has that number")
        .with_remedy("`areas ls` lists the ids")
}

impl fmt::Display for AreaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_come_back(slot in 0..SLOTS, sequence in 1..SEQUENCES) {
            let id = AreaId::from_parts(slot, sequence);
            prop_assert!(id.get() > 0);
            prop_assert_eq!((id.slot(), id.sequence()), (slot, sequence));
            prop_assert_eq!(AreaId::new(id.get()).unwrap(), id);
        }
    }

    #[test]
    fn no_area_has_these() {
        for number in [0, -1, i32::MIN, 1 << 19] {
            assert_eq!(AreaId::new(number).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        assert_eq!(AreaId::new(i32::MAX).unwrap().get(), i32::MAX);
    }
}
