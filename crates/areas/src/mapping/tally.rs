//! Counts of what is mapped, kept by the mappings themselves: they alone know when they are
//! unmapped, and when they become larger or smaller.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::Mapping;

/// What was mapped and unmapped, for all threads.
///
/// Each change of `mapped` is one atomic addition, and the thread that adds raises `peak` to the
/// resulting sum: so `peak` is the largest value that `mapped` ever had, and no thread waits for
/// another.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    mapped: AtomicUsize,
    peak: AtomicUsize,
    maps: AtomicU64,
    unmaps: AtomicU64,
}

/// What [`Counters`] say at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) mapped: usize,
    pub(crate) peak: usize,
    pub(crate) maps: u64,
    pub(crate) unmaps: u64,
}

impl Counters {
    pub(crate) fn read(&self) -> Counts {
        // In this order no answer contradicts itself: what was unmapped had been mapped before, and
        // what is mapped now is a value that `peak` has or is about to get.
        let unmaps = self.unmaps.load(Ordering::SeqCst);
        let maps = self.maps.load(Ordering::SeqCst);
        let mapped = self.mapped.load(Ordering::SeqCst);
        let peak = self.peak.load(Ordering::SeqCst).max(mapped);
        Counts { mapped, peak, maps, unmaps }
    }

    fn add(&self, bytes: usize) {
        let sum = self.mapped.fetch_add(bytes, Ordering::SeqCst).wrapping_add(bytes);
        self.peak.fetch_max(sum, Ordering::SeqCst);
    }
}

/// Attached to a mapping that is counted. Dropped once its addresses are unmapped.
struct Tally {
    counters: Arc<Counters>,
    bytes: usize,
    /// Whether its end is an unmapping: not that of a part which was cut out of another mapping.
    is_whole: bool,
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.counters.mapped.fetch_sub(self.bytes, Ordering::SeqCst);
        if self.is_whole {
            self.counters.unmaps.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Mapping {
    /// Counts it from now on, until its addresses are unmapped.
    pub(crate) fn tally(&mut self, counters: &Arc<Counters>) {
        counters.maps.fetch_add(1, Ordering::SeqCst);
        counters.add(self.span);
        self.attach(Tally { counters: counters.clone(), bytes: self.span, is_whole: true });
    }

    /// Its span is another one now: so is what is counted.
    pub(super) fn tally_span(&mut self) {
        let span = self.span;
        for tally in self.tallies() {
            if let Some(more) = span.checked_sub(tally.bytes) {
                tally.counters.add(more);
            } else {
                tally.counters.mapped.fetch_sub(tally.bytes - span, Ordering::SeqCst);
            }
            tally.bytes = span;
        }
    }

    /// These were parts of it until now, and are counted where it is.
    pub(super) fn tally_parts(&mut self, parts: &mut [Mapping]) {
        if parts.is_empty() {
            return;
        }
        for tally in self.tallies() {
            for part in &mut *parts {
                tally.counters.add(part.span);
                part.attach(Tally { counters: tally.counters.clone(), bytes: part.span, is_whole: false });
            }
        }
    }

    fn tallies(&mut self) -> impl Iterator<Item = &mut Tally> {
        let attached = self.notes.iter_mut().flat_map(|notes| &mut notes.attached);
        attached.filter_map(|value| value.downcast_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::PageSize;
    use crate::provider::{Provider as _, Request, System};

    fn counted(pages: usize) -> (Mapping, Arc<Counters>) {
        let counters = Arc::default();
        let mut mapping = System::new().map(&Request::new(pages * PageSize::base().bytes())).unwrap();
        mapping.tally(&counters);
        (mapping, counters)
    }

    #[test]
    fn parts_that_are_kept_are_counted_each_for_itself() {
        let page = PageSize::base().bytes();
        let (mut mapping, counters) = counted(10);
        let counts = |mapped, unmaps| Counts { mapped: mapped * page, peak: 10 * page, maps: 1, unmaps };
        assert_eq!(counters.read(), counts(10, 0));
        // Page 3 and pages 6 and 7 belong to others now: they stay mapped, and this test leaves
        // them so.
        let mut others = mapping.keep(&[0..3 * page, 4 * page..6 * page, 8 * page..10 * page]);
        assert_eq!((mapping.span(), others.len()), (3 * page, 2));
        assert_eq!(counters.read(), counts(7, 0));
        drop(others.pop());
        assert_eq!(counters.read(), counts(5, 0));
        drop(mapping);
        assert_eq!(counters.read(), counts(2, 1));
        // A part of a part.
        let mut left = others.pop().unwrap();
        assert_eq!(left.keep(std::slice::from_ref(&(page..2 * page))).len(), 0);
        assert_eq!(counters.read(), counts(1, 1));
        drop(left);
        assert_eq!(counters.read(), counts(0, 1));
    }

    #[test]
    fn what_is_lost_whole_is_counted_no_more() {
        let page = PageSize::base().bytes();
        let (mut mapping, counters) = counted(2);
        assert_eq!(mapping.keep(&[]).len(), 0);
        assert_eq!(counters.read().mapped, 0);
        drop(mapping);
        assert_eq!(counters.read(), Counts { mapped: 0, peak: 2 * page, maps: 1, unmaps: 1 });
    }
}
