//! Addresses for mappings that shall not be merged with adjacent VMAs.
//!
//! Left to itself the kernel maps side by side, and merges private memory with an adjacent VMA that
//! is like it. A placement of its own then divides them again, which takes longer than to map: 1.2
//! µs of 6.4 (docs/benchmarks.md). So it is given an address hint: below a page of addresses that
//! is reserved for that, where nothing else maps, and a page from the next such mapping. That is
//! only a hint: the kernel takes it if nothing is mapped there, and chooses itself if something is,
//! so that nothing depends on what is written here. (And writing beyond the end of such a mapping
//! meets no other.) An object is never merged with an adjacent VMA, but an address hint is quicker
//! for the kernel than to look for one.
//!
//! Adjacent VMAs that are not merged are more mappings, of which a process may have 65,530
//! (`vm.max_map_count`). So only so many are kept unmerged at a time as leave room for others.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Mapping, Plan, reserved};
use crate::error::Result;
use crate::page::PageSize;
use crate::sys::memory::At;

/// How many mappings are kept unmerged at a time.
const MAX_UNMERGED: usize = 8192;

/// How far below the anchor addresses are hinted at, in bytes: far enough for much memory, and not
/// so far that it would come near to what grows upwards (the heap).
const REACH: usize = 64 << 30;

/// The bytes of addresses above the anchor that are left to others, who get the highest ones that
/// are free.
const OTHERS: usize = 16 << 30;

/// No anchor can be had.
const NONE: usize = 1;

/// What all threads know of the addresses. Each value is a hint, right or wrong by itself, so that
/// no order is needed.
#[derive(Debug)]
struct Room {
    /// A page of addresses without memory, kept forever, below which mappings are to lie: as it is
    /// like none of them, it is merged with none. 0 before it was asked for.
    anchor: AtomicUsize,
    /// The next one ends here.
    end: AtomicUsize,
    /// How many mappings are kept unmerged.
    unmerged: AtomicUsize,
}

static ROOM: Room = Room::new();

impl Room {
    const fn new() -> Self {
        Room { anchor: AtomicUsize::new(0), end: AtomicUsize::new(0), unmerged: AtomicUsize::new(0) }
    }

    /// Where mappings are to lie from now on.
    fn begin(&self, anchor: usize) {
        self.end.store(anchor, Ordering::Relaxed);
        self.anchor.store(anchor, Ordering::Relaxed);
    }

    /// Where `span` bytes would lie below all others, a page from the next: no two threads get the
    /// same. `None` where the kernel shall choose.
    fn hint(&self, span: usize) -> Option<usize> {
        if self.unmerged.load(Ordering::Relaxed) >= MAX_UNMERGED {
            return None;
        }
        let huge = PageSize::HUGE_2M.bytes();
        // Where huge page-table entries can be, if there is room for one.
        let align = if span >= huge { huge } else { gap() };
        let anchor = self.anchor.load(Ordering::Relaxed);
        let below = |end: usize| {
            let hint = end.checked_sub(span)? & !(align - 1);
            (anchor.checked_sub(hint)? <= REACH && hint > gap()).then_some(hint)
        };
        let end = self.end.load(Ordering::Relaxed);
        // At the end of the reach it begins again: what lay there first may be gone.
        let hint = below(end).or_else(|| below(anchor))?;
        // Who comes second leaves it to the kernel.
        let next = hint - gap();
        self.end.compare_exchange(end, next, Ordering::Relaxed, Ordering::Relaxed).is_ok().then_some(hint)
    }

    /// The result of a hint: whether the mapping is unmerged. (Where something else was in the way,
    /// the next hint is for addresses below it.)
    fn took(&self, hint: Option<usize>, got: usize) -> bool {
        let unmerged = hint == Some(got);
        if unmerged {
            self.unmerged.fetch_add(1, Ordering::Relaxed);
        }
        unmerged
    }

    /// A mapping that was kept unmerged is gone: the next may lie there, if it was the last.
    fn left(&self, base: usize, span: usize) {
        self.unmerged.fetch_sub(1, Ordering::Relaxed);
        let _ = self.end.compare_exchange(base - gap(), base + span, Ordering::Relaxed, Ordering::Relaxed);
    }
}

fn gap() -> usize {
    PageSize::base().bytes()
}

/// Takes a page of addresses for good, a long way below where the kernel maps, which has just
/// chosen `near`.
#[cold]
fn cast_anchor(near: usize) {
    // Once, whatever comes of it.
    if ROOM.anchor.compare_exchange(0, NONE, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return;
    }
    let Some(at) = near.checked_sub(OTHERS) else { return };
    if let Ok(anchor) = Mapping::new(&reserved(At::Exactly(at), gap())) {
        // From here on it has no owner.
        let anchor = std::mem::ManuallyDrop::new(anchor);
        ROOM.begin(anchor.base.addr().get());
    }
}

impl Mapping {
    /// As [`Mapping::new`], at addresses that touch no other mapping's, where there are such.
    #[inline]
    pub(crate) fn unmerged(plan: &mut Plan<'_>) -> Result<Self> {
        debug_assert!(plan.at == At::Anywhere);
        let hint = ROOM.hint(plan.span);
        plan.at = hint.map_or(At::Anywhere, At::Near);
        let mut mapping = Mapping::new(plan)?;
        let got = mapping.base.addr().get();
        mapping.unmerged = ROOM.took(hint, got);
        if ROOM.anchor.load(Ordering::Relaxed) == 0 {
            cast_anchor(got);
        }
        Ok(mapping)
    }

    /// Takes note that the addresses are unmapped.
    pub(super) fn left(&self) {
        if self.unmerged {
            ROOM.left(self.base.addr().get(), self.span);
        }
        self.left_slot();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::{Node, NodeSet, Policy};
    use crate::provider::{Provider as _, Request, System};

    const TOP: usize = 1 << 46;

    fn room() -> Room {
        let room = Room::new();
        assert_eq!(room.hint(gap()), None, "there is no anchor yet");
        room.begin(TOP);
        room
    }

    #[test]
    fn each_lies_a_page_below_the_last() {
        let (page, room) = (gap(), room());
        let first = room.hint(16 * page).unwrap();
        assert_eq!(first, TOP - 16 * page, "the anchor itself is no neighbour to be merged with");
        assert!(room.took(Some(first), first));
        let second = room.hint(page).unwrap();
        assert_eq!(second, first - 2 * page);
        assert!(room.took(Some(second), second));
        // Only what is the last leaves its room to the next.
        room.left(first, 16 * page);
        assert_eq!(room.hint(page), Some(second - 2 * page));
    }

    #[test]
    fn the_last_leaves_its_room_to_the_next() {
        let room = room();
        for span in [gap(), 3 * gap(), 4 << 20, (2 << 20) + gap()] {
            let hint = room.hint(span).unwrap();
            room.took(Some(hint), hint);
            for _ in 0..3 {
                room.left(hint, span);
                assert_eq!(room.hint(span), Some(hint), "{span} bytes");
                room.took(Some(hint), hint);
            }
        }
    }

    #[test]
    fn large_ones_begin_where_huge_pages_can() {
        let huge = PageSize::HUGE_2M.bytes();
        let room = Room::new();
        room.begin(TOP + 5 * gap());
        let hint = room.hint(huge + gap()).unwrap();
        assert!(hint.is_multiple_of(huge) && hint + huge + gap() <= TOP + 5 * gap(), "{hint:#x}");
    }

    #[test]
    fn what_is_in_the_way_is_passed_and_the_reach_has_an_end() {
        let room = room();
        assert_eq!(room.hint(REACH + 1), None);
        assert_eq!(room.hint(usize::MAX), None);
        let hint = room.hint(gap());
        assert!(!room.took(hint, 1 << 40), "another mapping is there");
        assert_eq!(room.hint(gap()), Some(TOP - 3 * gap()));
        // All of it, and from the anchor on again.
        let half = REACH / 2;
        assert_eq!(room.hint(half), Some((TOP - 4 * gap() - half) & !(PageSize::HUGE_2M.bytes() - 1)));
        assert_eq!(room.hint(half), Some(TOP - half));
    }

    #[test]
    fn no_wish_is_near_to_address_0() {
        let room = Room::new();
        room.begin(4 * gap());
        assert_eq!(room.hint(gap()), Some(3 * gap()));
        assert_eq!(room.hint(gap()), Some(3 * gap()), "from the anchor on again, as there is nothing below");
        assert_eq!(room.hint(3 * gap()), None);
    }

    #[test]
    fn not_all_stand_apart() {
        let room = room();
        let mut last = 0;
        for _ in 0..MAX_UNMERGED {
            last = room.hint(gap()).unwrap();
            assert!(room.took(Some(last), last));
        }
        assert_eq!(room.hint(gap()), None);
        room.left(last, gap());
        assert_eq!(room.hint(gap()), Some(last));
    }

    #[test]
    fn the_kernel_merges_none_of_them() {
        let bind = Policy::Bind(NodeSet::from(Node::new(0).unwrap()));
        let mapped: Vec<_> =
            (0..9).map(|_| System::new().map(&Request::new(3 * gap()).placed(bind)).unwrap()).collect();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        // Another test may be at it at the same moment: then some are left to the kernel.
        let unmerged: Vec<_> = mapped.iter().filter(|mapping| mapping.unmerged).collect();
        assert!(!unmerged.is_empty());
        for mapping in unmerged {
            let start = mapping.as_ptr().addr();
            let line = format!("{start:x}-{:x} ", start + 3 * gap());
            assert!(maps.lines().any(|known| known.starts_with(&line)), "no {line}in\n{maps}");
        }
        // Below the anchor, behind which there is nothing.
        let anchor = ROOM.anchor.load(Ordering::Relaxed);
        let line = format!("{anchor:x}-");
        let found = maps.lines().find(|known| known.starts_with(&line));
        assert!(found.is_some_and(|found| found.contains(" ---p ")), "no {line} in\n{maps}");
    }
}
