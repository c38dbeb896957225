//! Buddies: blocks of powers of two, cut from pools and put together again, kept in tables of their own. The memory
//! itself is never looked at.
//!
//! Two halves of a block are buddies: a block's buddy is found by turning over one bit of its distance from the pool's
//! beginning. (The well-kept crates keep their lists inside of the free memory, which AML's contract forbids.)

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The smallest block: 64 bytes.
const SMALLEST: u32 = 6;
/// The largest: more than a process has addresses.
const ORDERS: usize = 64;

/// Blocks, free and used.
#[derive(Debug)]
pub(super) struct Blocks {
    /// Beginning and order of each pool.
    pools: BTreeMap<usize, u32>,
    /// Free blocks of each order, by address.
    free: [BTreeSet<usize>; ORDERS],
    /// The order of each block that is out.
    used: HashMap<usize, u32>,
}

impl Blocks {
    pub(super) fn new() -> Self {
        Blocks { pools: BTreeMap::new(), free: [const { BTreeSet::new() }; ORDERS], used: HashMap::new() }
    }

    /// The order of the block that a request takes: 2 to that power is enough. `None` for no bytes and for more than there
    /// can be.
    pub(super) fn order_of(size: usize) -> Option<u32> {
        let order = size.checked_next_power_of_two().filter(|_| size > 0)?.ilog2().max(SMALLEST);
        (order < usize::BITS - 1).then_some(order)
    }

    /// More memory, of a power of two; `false` if a part of it is here already.
    pub(super) fn add_pool(&mut self, base: usize, order: u32) -> bool {
        let Some(end) = base.checked_add(1 << order) else { return false };
        let overlaps =
            self.pools.range(..end).next_back().is_some_and(|(&other, &size)| other + (1 << size) > base);
        if !overlaps {
            self.pools.insert(base, order);
            self.free[order as usize].insert(base);
        }
        !overlaps
    }

    /// A free block of that order, cut from the smallest that is large enough, at the lowest address.
    pub(super) fn take(&mut self, order: u32) -> Option<usize> {
        let from = (order..)
            .take_while(|&order| (order as usize) < ORDERS)
            .find(|&order| !self.free[order as usize].is_empty())?;
        let start = self.free[from as usize].pop_first()?;
        // The upper halves of what is too large are free.
        for half in order..from {
            self.free[half as usize].insert(start + (1 << half));
        }
        self.used.insert(start, order);
        Some(start)
    }

    /// Takes a block back and puts it together with its buddies. Gives a pool that is to go, where that one and
    /// another are wholly free; `None` for an address that is not out.
    pub(super) fn give_back(&mut self, start: usize) -> Option<Option<(usize, u32)>> {
        let mut order = self.used.remove(&start)?;
        let (&base, &whole) = self.pools.range(..=start).next_back()?;
        let mut distance = start - base;
        while order < whole && self.free[order as usize].remove(&(base + (distance ^ 1 << order))) {
            distance &= !(1 << order);
            order += 1;
        }
        self.free[order as usize].insert(base + distance);
        let spare =
            || self.pools.iter().filter(|&(&base, &order)| self.is_free(base, order)).nth(1).is_some();
        Some((order == whole && spare()).then_some((base, whole)))
    }

    /// Forgets a pool that is wholly free.
    pub(super) fn remove_pool(&mut self, base: usize, order: u32) {
        self.free[order as usize].remove(&base);
        self.pools.remove(&base);
    }

    fn is_free(&self, base: usize, order: u32) -> bool {
        self.free[order as usize].contains(&base)
    }

    /// Whether anything is out.
    pub(super) fn is_in_use(&self) -> bool {
        !self.used.is_empty()
    }

    pub(super) fn pools(&self) -> Vec<(usize, u32)> {
        self.pools.iter().map(|(&base, &order)| (base, order)).collect()
    }

    pub(super) fn largest_pool(&self) -> Option<u32> {
        self.pools.values().copied().max()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_become_orders() {
        let cases =
            [(0, None), (1, Some(6)), (64, Some(6)), (65, Some(7)), (4096, Some(12)), (4097, Some(13))];
        for (size, order) in cases {
            assert_eq!(Blocks::order_of(size), order, "{size}");
        }
        assert_eq!(Blocks::order_of(1 << 62), Some(62));
        assert_eq!(Blocks::order_of((1 << 62) + 1), None);
        assert_eq!(Blocks::order_of(usize::MAX), None);
    }

    #[test]
    fn pools_do_not_overlap() {
        let mut blocks = Blocks::new();
        assert!(blocks.add_pool(0x10000, 12));
        for (base, order) in
            [(0x10000, 12), (0xf800, 12), (0x10800, 6), (0x8000, 16), (usize::MAX - 4095, 12)]
        {
            assert!(!blocks.add_pool(base, order), "{base:#x}");
        }
        assert!(blocks.add_pool(0x11000, 12) && blocks.add_pool(0xf000, 12));
    }

    #[test]
    fn the_second_pool_that_is_free_may_go() {
        let mut blocks = Blocks::new();
        assert!(blocks.add_pool(0x1000, 12) && blocks.add_pool(0x8000, 12));
        let (first, second) = (blocks.take(12).unwrap(), blocks.take(12).unwrap());
        assert_eq!(blocks.give_back(first), Some(None));
        assert_eq!(blocks.give_back(second), Some(Some((0x8000, 12))));
        blocks.remove_pool(0x8000, 12);
        assert_eq!(blocks.pools(), [(0x1000, 12)]);
        assert_eq!(blocks.give_back(second), None);
    }

    proptest! {
        /// A list of who has which bytes is the model.
        #[test]
        fn blocks_never_overlap_and_all_come_together_again(
            steps in prop::collection::vec((0_usize..5000, any::<prop::sample::Index>(), any::<bool>()), 1..200)
        ) {
            let mut blocks = Blocks::new();
            // Pools that do not begin at a multiple of their size.
            let pools = [(0x7040, 14), (0x20_0040, 13)];
            for (base, order) in pools {
                prop_assert!(blocks.add_pool(base, order));
            }
            let mut out: Vec<(usize, usize)> = Vec::new();
            for (size, which, free) in steps {
                if free && !out.is_empty() {
                    let (start, _) = out.swap_remove(which.index(out.len()));
                    prop_assert!(blocks.give_back(start).is_some());
                    prop_assert!(blocks.give_back(start).is_none());
                } else if let Some(start) = Blocks::order_of(size).and_then(|order| blocks.take(order)) {
                    let end = start + (1 << Blocks::order_of(size).unwrap());
                    prop_assert!(end - start >= size.max(64));
                    prop_assert!(pools.iter().any(|&(base, order)| base <= start && end <= base + (1 << order)));
                    prop_assert!(out.iter().all(|&(other, other_end)| end <= other || other_end <= start));
                    out.push((start, end));
                }
                prop_assert_eq!(blocks.is_in_use(), !out.is_empty());
            }
            for (start, _) in out {
                prop_assert!(blocks.give_back(start).is_some());
            }
            for (base, order) in pools {
                prop_assert!(blocks.is_free(base, order));
            }
            prop_assert_eq!(blocks.free.iter().map(BTreeSet::len).sum::<usize>(), 2);
        }
    }
}
