//! Free parts of a range, and which of them to hand out: the smallest that is large enough, at its
//! lowest place.
//!
//! A request looks at the parts in the order of their size, and so finds the best one at once; only
//! with an alignment of more than what all parts have it may have to look at more. What comes back
//! is merged with its free neighbours.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Free parts by offset.
///
/// # Invariants
/// Both sets have the same parts; none is empty, and no two touch or overlap.
#[derive(Debug, Default)]
pub(crate) struct Extents {
    /// Where each begins, and how long it is.
    by_place: BTreeMap<u64, u64>,
    /// How long each is, and where it begins.
    by_size: BTreeSet<(u64, u64)>,
}

impl Extents {
    /// One free part.
    pub(crate) fn of(range: Range<u64>) -> Self {
        let mut extents = Extents::default();
        extents.insert(range.start, range.end.saturating_sub(range.start));
        extents
    }

    /// Takes `len` bytes, which is not 0, such that `base` and where they begin make a multiple of
    /// `align`, a power of two.
    pub(crate) fn take(&mut self, len: u64, align: u64, base: u64) -> Option<u64> {
        debug_assert!(len > 0 && align.is_power_of_two());
        let before = |start: u64| base.wrapping_add(start).wrapping_neg() & (align - 1);
        let fits =
            |&&(size, start): &&(u64, u64)| before(start).checked_add(len).is_some_and(|all| all <= size);
        let &(size, start) = self.by_size.range((len, 0)..).find(fits)?;
        let (skipped, end) = (before(start), start + size);
        self.remove(start, size);
        let at = start + skipped;
        self.insert(start, skipped);
        self.insert(at + len, end - (at + len));
        Some(at)
    }

    /// Releases what was taken.
    pub(crate) fn give_back(&mut self, start: u64, len: u64) {
        let (mut from, mut to) = (start, start + len);
        let before = self.by_place.range(..start).next_back().map(|(&at, &size)| (at, size));
        if let Some((at, size)) = before.filter(|&(at, size)| at + size >= start) {
            debug_assert!(at + size == start, "it was taken");
            self.remove(at, size);
            from = at;
        }
        let behind = self.by_place.range(start..).next().map(|(&at, &size)| (at, size));
        if let Some((at, size)) = behind.filter(|&(at, _)| at <= to) {
            debug_assert!(at == to, "it was taken");
            self.remove(at, size);
            to = to.max(at + size);
        }
        self.insert(from, to - from);
    }

    /// All free bytes together, and the longest part.
    pub(crate) fn free(&self) -> (u64, u64) {
        let all = self.by_place.values().sum();
        (all, self.by_size.last().map_or(0, |&(size, _)| size))
    }

    fn insert(&mut self, start: u64, len: u64) {
        if len > 0 {
            self.by_place.insert(start, len);
            self.by_size.insert((len, start));
        }
    }

    fn remove(&mut self, start: u64, len: u64) {
        self.by_place.remove(&start);
        self.by_size.remove(&(len, start));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_best_fit_is_taken() {
        let mut extents = Extents::of(0..100);
        assert_eq!(extents.take(10, 1, 0), Some(0));
        assert_eq!(extents.take(30, 1, 0), Some(10));
        assert_eq!(extents.take(10, 1, 0), Some(40));
        extents.give_back(10, 30);
        // 30 free in a hole, 50 at the end: what fits into the hole goes there.
        assert_eq!(extents.free(), (80, 50));
        assert_eq!(extents.take(25, 1, 0), Some(10));
        assert_eq!(extents.take(51, 1, 0), None);
        assert_eq!(extents.take(50, 1, 0), Some(50));
        assert_eq!(extents.take(6, 1, 0), None);
        extents.give_back(0, 10);
        extents.give_back(40, 10);
        extents.give_back(10, 25);
        assert_eq!(extents.free(), (50, 50));
        // Alignment counts the base, too.
        assert_eq!(extents.take(8, 16, 4), Some(12));
        assert_eq!(Extents::of(7..7).take(1, 1, 0), None);
    }

    fn bytes(start: u64, len: u64) -> Range<usize> {
        let start = usize::try_from(start).unwrap();
        start..start + usize::try_from(len).unwrap()
    }

    proptest! {
        #[test]
        fn behave_like_bytes(
            base in 0..64_u64,
            steps in prop::collection::vec((1..40_u64, 0..4_u32, any::<bool>(), any::<prop::sample::Index>()), 0..60)
        ) {
            let (mut extents, mut model) = (Extents::of(0..200), [false; 200]);
            let mut held: Vec<(u64, u64)> = Vec::new();
            for (len, log, take, which) in steps {
                if take {
                    let align = 1 << log;
                    let fits = |start: u64| (base + start).is_multiple_of(align)
                        && model.get(bytes(start, len)).is_some_and(|bytes| !bytes.contains(&true));
                    match extents.take(len, align, base) {
                        Some(start) => {
                            prop_assert!(fits(start), "{start} {len} {align}");
                            model[bytes(start, len)].fill(true);
                            held.push((start, len));
                        }
                        None => prop_assert!(!(0..200).any(fits), "{len} {align} {extents:?}"),
                    }
                } else if !held.is_empty() {
                    let (start, len) = held.swap_remove(which.index(held.len()));
                    model[bytes(start, len)].fill(false);
                    extents.give_back(start, len);
                }
                let free = model.iter().filter(|&&taken| !taken).count() as u64;
                let longest = model.split(|&taken| taken).map(<[bool]>::len).max().unwrap_or(0) as u64;
                prop_assert_eq!(extents.free(), (free, longest));
            }
        }
    }
}
