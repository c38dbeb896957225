//! Addresses for mappings that shall stand apart from their neighbours.
//!
//! Left to itself the kernel maps side by side, and joins private memory with a neighbour that is like it. A placement of its own then
//! divides them again, which takes longer than to map: 1.2 µs of 6.4 (docs/benchmarks.md). So it is told an address, a page below the
//! last one. That is a wish: the kernel takes it if nothing is mapped there, and chooses itself if something is, so that nothing depends
//! on what is written here. (And who writes beyond the end of such a mapping meets nobody.)
//!
//! Neighbours that are not joined are more mappings, of which a process may have 65,530 (`vm.max_map_count`). So only so many stand apart
//! at a time as leave room for others.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Mapping, Plan, Sharing};
use crate::error::Result;
use crate::page::PageSize;
use crate::sys::memory::At;

/// How many mappings stand apart at a time.
const MOST: usize = 8192;

/// How far below the kernel's own choice addresses are wished for, in bytes. Then it chooses again: above there is room that was left
/// meanwhile, and below, a long way off, what grows upwards (the heap).
const REACH: usize = 64 << 30;

/// What all threads know of the addresses. Each value is a hint, right or wrong by itself, so that no order is needed.
#[derive(Debug)]
struct Room {
    /// The lowest address that a mapping has taken; 0 before the first.
    lowest: AtomicUsize,
    /// The kernel's last own choice, from which the wishes go down.
    chosen: AtomicUsize,
    /// How many mappings stand apart.
    apart: AtomicUsize,
}

static ROOM: Room =
    Room { lowest: AtomicUsize::new(0), chosen: AtomicUsize::new(0), apart: AtomicUsize::new(0) };

impl Room {
    /// Where `span` bytes would lie below all others, a page from the next: no two threads are told the same. `None` where the kernel
    /// shall choose.
    fn wish(&self, span: usize) -> Option<usize> {
        if self.apart.load(Ordering::Relaxed) >= MOST {
            return None;
        }
        let huge = PageSize::HUGE_2M.bytes();
        // Where huge page-table entries can be, if there is room for one.
        let align = if span >= huge { huge } else { gap() };
        let chosen = self.chosen.load(Ordering::Relaxed);
        let lowest = self.lowest.load(Ordering::Relaxed);
        let wish = lowest.checked_sub(span)?.checked_sub(gap())? & !(align - 1);
        if chosen.checked_sub(wish)? > REACH {
            return None;
        }
        // Who comes second leaves it to the kernel.
        self.lowest
            .compare_exchange(lowest, wish, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
            .then_some(wish)
    }

    /// What came of a wish. Whether the mapping stands apart.
    fn took(&self, wish: Option<usize>, got: usize) -> bool {
        if wish == Some(got) {
            self.apart.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        self.chosen.store(got, Ordering::Relaxed);
        self.lowest.store(got, Ordering::Relaxed);
        false
    }

    /// A mapping that stood apart is gone: the next may lie there, if it was the lowest.
    fn left(&self, base: usize, span: usize) {
        self.apart.fetch_sub(1, Ordering::Relaxed);
        let above = base + span + gap();
        let _ = self.lowest.compare_exchange(base, above, Ordering::Relaxed, Ordering::Relaxed);
    }
}

fn gap() -> usize {
    PageSize::base().bytes()
}

impl Mapping {
    /// As [`Mapping::new`], at addresses that touch no other mapping's, where there are such.
    #[inline]
    pub(crate) fn apart(plan: &mut Plan<'_>) -> Result<Self> {
        debug_assert!(plan.at == At::Anywhere && plan.sharing == Sharing::Exclusive);
        let wish = ROOM.wish(plan.span);
        plan.at = wish.map_or(At::Anywhere, At::Near);
        let mut mapping = Mapping::new(plan)?;
        mapping.apart = ROOM.took(wish, mapping.base.addr().get());
        Ok(mapping)
    }

    /// Takes note that the addresses are unmapped.
    pub(super) fn left(&self) {
        if self.apart {
            ROOM.left(self.base.addr().get(), self.span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::{Node, NodeSet, Policy};
    use crate::provider::{Provider as _, Request, System};

    fn room(chosen: usize) -> Room {
        let room =
            Room { lowest: AtomicUsize::new(0), chosen: AtomicUsize::new(0), apart: AtomicUsize::new(0) };
        assert_eq!(room.wish(gap()), None, "nothing is known yet");
        assert!(!room.took(None, chosen));
        room
    }

    #[test]
    fn each_lies_a_page_below_the_last() {
        let (page, top) = (gap(), 1 << 46);
        let room = room(top);
        let first = room.wish(16 * page).unwrap();
        assert_eq!(first, top - 17 * page);
        assert!(room.took(Some(first), first));
        let second = room.wish(page).unwrap();
        assert_eq!(second, first - 2 * page);
        assert!(room.took(Some(second), second));
        // Only what is the lowest leaves its room to the next.
        room.left(first, 16 * page);
        assert_eq!(room.wish(page), Some(second - 2 * page));
    }

    #[test]
    fn the_lowest_leaves_its_room_to_the_next() {
        let room = room(1 << 46);
        for span in [gap(), 3 * gap(), 4 << 20, (2 << 20) + gap()] {
            let wish = room.wish(span).unwrap();
            room.took(Some(wish), wish);
            for _ in 0..3 {
                room.left(wish, span);
                assert_eq!(room.wish(span), Some(wish), "{span} bytes");
                room.took(Some(wish), wish);
            }
        }
    }

    #[test]
    fn large_ones_begin_where_huge_pages_can() {
        let huge = PageSize::HUGE_2M.bytes();
        let top = (1 << 46) + 5 * gap();
        let room = room(top);
        let wish = room.wish(huge + gap()).unwrap();
        assert!(wish.is_multiple_of(huge) && wish + huge + 2 * gap() <= top, "{wish:#x}");
    }

    #[test]
    fn the_kernel_chooses_where_there_is_no_wish() {
        let room = room(1 << 46);
        assert_eq!(room.wish(REACH), None, "too far down");
        assert_eq!(room.wish(usize::MAX), None);
        // Somebody else was there: from its own choice on it goes down again.
        let wish = room.wish(gap());
        assert!(!room.took(wish, 1 << 40));
        assert_eq!(room.wish(gap()), Some((1 << 40) - 2 * gap()));
        // And never below 0.
        room.took(None, gap());
        assert_eq!(room.wish(gap()), None);
    }

    #[test]
    fn not_all_stand_apart() {
        let room = room(1 << 46);
        let mut last = 0;
        for _ in 0..MOST {
            last = room.wish(gap()).unwrap();
            assert!(room.took(Some(last), last));
        }
        assert_eq!(room.wish(gap()), None);
        room.left(last, gap());
        assert_eq!(room.wish(gap()), Some(last));
    }

    #[test]
    fn the_kernel_joins_none_of_them() {
        let bind = Policy::Bind(NodeSet::from(Node::new(0).unwrap()));
        let mapped: Vec<_> =
            (0..9).map(|_| System::new().map(&Request::new(3 * gap()).placed(bind)).unwrap()).collect();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        // The first lies where the kernel likes.
        for mapping in &mapped[1..] {
            let start = mapping.as_ptr().addr();
            let line = format!("{start:x}-{:x} ", start + 3 * gap());
            assert!(maps.lines().any(|known| known.starts_with(&line)), "no {line}in\n{maps}");
        }
    }
}
