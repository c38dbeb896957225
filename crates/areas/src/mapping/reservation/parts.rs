//! The parts of a reservation, by offset: in use, free, gone.

use std::ops::Range;

use crate::mapping::extents::Extents;
use crate::mapping::taken::Ranges;

/// The parts of a reservation, by offset.
#[derive(Debug, Default)]
pub(in crate::mapping) struct Parts {
    /// In use.
    pub(in crate::mapping) taken: Ranges,
    /// Of one with memory: what is free.
    pub(in crate::mapping) free: Extents,
    /// Not the reservation's any more, and in no use of it: released, or left to any mapping that
    /// comes first.
    pub(super) gone: Ranges,
    /// Of those, what a failed call or the program has left: reserved again as soon as nothing is
    /// mapped there and it is asked for.
    pub(super) lost: Ranges,
    /// In use, and gone as soon as they are not.
    pub(super) released: Ranges,
}

impl Parts {
    /// Of so many bytes of memory, none of them in use.
    pub(in crate::mapping) fn of_memory(span: usize) -> Self {
        Parts { free: Extents::of(0..span as u64), ..Parts::default() }
    }

    /// What is in the way of a mapping.
    pub(super) fn in_the_way(&self, range: &Range<usize>) -> Option<Range<usize>> {
        self.taken.overlapping(range).or_else(|| self.gone.overlapping(range))
    }

    /// Where the next part begins, behind `offset`, that is in use or gone.
    pub(super) fn next(&self, offset: usize) -> Option<usize> {
        let [taken, gone] =
            [&self.taken, &self.gone].map(|ranges| ranges.next(offset).map(|range| range.start));
        taken.into_iter().chain(gone).min()
    }

    pub(super) fn is_free(&self, offset: usize) -> bool {
        !self.taken.holds(offset) && !self.gone.holds(offset)
    }

    /// A range in use is left to any mapping that comes first, and taken back when it is asked for,
    /// but for what was released, or lies behind the end.
    pub(super) fn leave(&mut self, range: Range<usize>, span: usize) {
        for (part, released) in self.released.parts(range.clone()) {
            let part = part.start.min(span)..part.end.min(span);
            if !released {
                self.lost.cover(part.clone());
            }
            self.gone.cover(part);
        }
        self.released.carve(&range);
    }
}
