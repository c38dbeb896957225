//! Sets of ranges of offsets: which parts of a reservation are in use, and which are not its own
//! any more.

use std::collections::BTreeMap;
use std::ops::Range;

/// Ranges that do not overlap, by where they begin.
#[derive(Debug, Default)]
pub(super) struct Ranges(BTreeMap<usize, usize>);

impl Ranges {
    /// The first one that has a part of this range.
    pub(super) fn overlapping(&self, range: &Range<usize>) -> Option<Range<usize>> {
        let before = self.0.range(..=range.start).next_back().map(|(&start, &end)| start..end);
        let before = before.filter(|before| before.end > range.start && !range.is_empty());
        before.or_else(|| self.next(range.start).filter(|next| next.start < range.end))
    }

    /// The first one that begins at this offset or behind it.
    pub(super) fn next(&self, offset: usize) -> Option<Range<usize>> {
        self.0.range(offset..).next().map(|(&start, &end)| start..end)
    }

    pub(super) fn holds(&self, offset: usize) -> bool {
        self.overlapping(&(offset..offset.saturating_add(1))).is_some()
    }

    /// One more, which overlaps none.
    pub(super) fn insert(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            debug_assert!(self.overlapping(&range).is_none(), "{range:?} of {self:?}");
            self.0.insert(range.start, range.end);
        }
    }

    /// One of them, as it was inserted, is none any more. Whether there was one.
    pub(super) fn remove(&mut self, range: &Range<usize>) -> bool {
        let known = self.0.get(&range.start) == Some(&range.end);
        if known {
            self.0.remove(&range.start);
        }
        known
    }

    /// All of this range is in it from now on.
    pub(super) fn cover(&mut self, range: Range<usize>) {
        self.carve(&range);
        self.insert(range);
    }

    /// Nothing of this range is in it from now on.
    pub(super) fn carve(&mut self, range: &Range<usize>) {
        while let Some(found) = self.overlapping(range) {
            self.0.remove(&found.start);
            self.insert(found.start..range.start.max(found.start));
            self.insert(range.end.min(found.end)..found.end);
        }
    }

    /// A range in parts, in order: whether each is in it.
    pub(super) fn parts(&self, range: Range<usize>) -> Vec<(Range<usize>, bool)> {
        let mut parts = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let next = self.overlapping(&(at..range.end));
            let part = match &next {
                Some(found) if found.start <= at => (at..found.end.min(range.end), true),
                Some(found) => (at..found.start, false),
                None => (at..range.end, false),
            };
            at = part.0.end;
            parts.push(part);
        }
        parts
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.0.iter().map(|(&start, &end)| start..end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behave_like_a_set_of_offsets(steps in prop::collection::vec((0..60_usize, 0..20_usize, any::<bool>()), 0..40)) {
            let (mut ranges, mut model) = (Ranges::default(), [false; 80]);
            for (start, len, put) in steps {
                match put {
                    true => ranges.cover(start..start + len),
                    false => ranges.carve(&(start..start + len)),
                }
                model[start..start + len].fill(put);
            }
            for (offset, &expected) in model.iter().enumerate() {
                prop_assert_eq!(ranges.holds(offset), expected, "{} of {:?}", offset, ranges);
            }
            for (start, end) in [(0, 80), (13, 14), (20, 55), (7, 7)] {
                let mut at = start;
                for (part, held) in ranges.parts(start..end) {
                    prop_assert!(part.start == at && part.end > at);
                    prop_assert!(model[part.clone()].iter().all(|&model| model == held));
                    at = part.end;
                }
                prop_assert_eq!(at, end);
                let first = (start..end).find(|&offset| model[offset]);
                let found = ranges.overlapping(&(start..end));
                prop_assert_eq!(found.map(|found| found.start.max(start)), first);
            }
            prop_assert!(ranges.iter().all(|range| model[range].iter().all(|&held| held)));
        }
    }
}
