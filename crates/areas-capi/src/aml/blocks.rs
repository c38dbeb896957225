//! Buddies: blocks of powers of two, cut from pools and put together again, kept in tables of their
//! own. The memory itself is never looked at.
//!
//! Two halves of a block are buddies: a block's buddy is found by turning over one bit of its
//! distance from the pool's beginning. (The well-kept crates keep their lists inside of the free
//! memory, which AML's contract forbids.)
//!
//! Each block has a record, in one cache line, that knows its neighbours in memory and, if it is
//! free, in the list of its order: so an allocation takes the first of a list, and only a block's
//! address is looked up, once, when it comes back. Which block of an order is taken is left open
//! business: the one that came back last, which the processor may still have at hand.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// The smallest block: 64 bytes.
const SMALLEST: u32 = 6;
/// The largest: more than a process has addresses.
const ORDERS: usize = 64;

/// A table by addresses.
pub(super) type ByAddress<T> = HashMap<usize, T, BuildHasherDefault<Addresses>>;

/// Hashes an address: one multiplication, whose halves are put together, as an address has its
/// zeros at the end. The addresses are the kernel's, and are not chosen so that they collide.
#[derive(Debug, Default)]
pub(super) struct Addresses(u64);

impl Hasher for Addresses {
    fn write_usize(&mut self, address: usize) {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let product = (self.0 ^ address as u64).wrapping_mul(ODD);
        self.0 = product ^ product >> 32;
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_usize(byte.into());
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Where a record is among the others.
type Index = usize;
/// No record.
const NONE: Index = Index::MAX;

/// What is known of one block.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Block {
    start: usize,
    /// Where its pool begins.
    base: usize,
    /// The blocks before and behind it in its pool, by address.
    lower: Index,
    upper: Index,
    /// Its neighbours in the list of free blocks of its order; of records that are not in use, the
    /// next one.
    previous: Index,
    next: Index,
    order: u32,
    /// The order of its pool.
    whole: u32,
    free: bool,
}

/// Blocks, free and used.
#[derive(Debug)]
pub(super) struct Blocks {
    /// Beginning and order of each pool.
    pools: BTreeMap<usize, u32>,
    blocks: Vec<Block>,
    /// The first record that is not in use.
    spare: Index,
    /// The record of each block.
    at: ByAddress<Index>,
    /// The first free block of each order.
    free: [Index; ORDERS],
    /// The orders that have one: bit n for order n.
    some: u64,
    /// How many are out.
    used: usize,
    /// How many pools are wholly free.
    whole: usize,
}

impl Blocks {
    pub(super) fn new() -> Self {
        Blocks {
            pools: BTreeMap::new(),
            blocks: Vec::new(),
            spare: NONE,
            at: ByAddress::default(),
            free: [NONE; ORDERS],
            some: 0,
            used: 0,
            whole: 0,
        }
    }

    /// The order of the block that a request takes: 2 to that power is enough. `None` for no bytes
    /// and for more than there can be.
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
            let whole = Block {
                start: base,
                base,
                lower: NONE,
                upper: NONE,
                previous: NONE,
                next: NONE,
                order,
                whole: order,
                free: false,
            };
            let index = self.add(whole);
            self.put(index);
        }
        !overlaps
    }

    /// A free block of that order, cut from the smallest that is large enough.
    pub(super) fn take(&mut self, order: u32) -> Option<usize> {
        let large_enough = self.some & u64::MAX.checked_shl(order)?;
        if large_enough == 0 {
            return None;
        }
        let index = self.free[large_enough.trailing_zeros() as usize];
        self.unlink(index);
        // The upper halves of what is too large are free.
        while self.blocks[index].order > order {
            self.halve(index);
        }
        self.used += 1;
        Some(self.blocks[index].start)
    }

    /// Takes a block back and puts it together with its buddies. Gives a pool that is to go, where
    /// that one and another are wholly free; `None` for an address that is not out.
    pub(super) fn give_back(&mut self, start: usize) -> Option<Option<(usize, u32)>> {
        let mut index = *self.at.get(&start)?;
        if self.blocks[index].free {
            return None;
        }
        self.used -= 1;
        while let Some((lower, upper)) = self.buddies(index) {
            self.unlink(if lower == index { upper } else { lower });
            self.join(lower, upper);
            index = lower;
        }
        self.put(index);
        let Block { start, order, whole, .. } = self.blocks[index];
        Some((order == whole && self.whole > 1).then_some((start, whole)))
    }

    /// Forgets a pool that is wholly free.
    pub(super) fn remove_pool(&mut self, base: usize, order: u32) {
        if let Some(&index) = self.at.get(&base)
            && self.is_free(base, order)
        {
            self.unlink(index);
            self.remove(index);
            self.pools.remove(&base);
        }
    }

    fn is_free(&self, base: usize, order: u32) -> bool {
        let block = self.at.get(&base).map(|&index| &self.blocks[index]);
        block.is_some_and(|block| block.free && block.order == order)
    }

    /// Whether anything is out.
    pub(super) fn is_in_use(&self) -> bool {
        self.used > 0
    }

    pub(super) fn pools(&self) -> Vec<(usize, u32)> {
        self.pools.iter().map(|(&base, &order)| (base, order)).collect()
    }

    pub(super) fn largest_pool(&self) -> Option<u32> {
        self.pools.values().copied().max()
    }

    /// A block and its buddy, the lower one first, if that is free as a whole.
    fn buddies(&self, index: Index) -> Option<(Index, Index)> {
        let block = &self.blocks[index];
        if block.order == block.whole {
            return None;
        }
        let is_lower = (block.start - block.base) >> block.order & 1 == 0;
        // What lies beside it, in whatever pieces, is its buddy.
        let beside = if is_lower { block.upper } else { block.lower };
        let buddy = self.blocks.get(beside).filter(|buddy| buddy.free && buddy.order == block.order);
        buddy.map(|_| if is_lower { (index, beside) } else { (beside, index) })
    }

    /// Cuts a block that is in no list: its upper half is a free block.
    fn halve(&mut self, index: Index) {
        let block = &mut self.blocks[index];
        block.order -= 1;
        let half = Block { start: block.start + (1 << block.order), lower: index, ..*block };
        let behind = half.upper;
        let half = self.add(half);
        self.blocks[index].upper = half;
        if let Some(behind) = self.blocks.get_mut(behind) {
            behind.lower = half;
        }
        self.put(half);
    }

    /// Puts two buddies that are in no list together: the lower one is both.
    fn join(&mut self, lower: Index, upper: Index) {
        let behind = self.blocks[upper].upper;
        self.remove(upper);
        let both = &mut self.blocks[lower];
        both.order += 1;
        both.upper = behind;
        if let Some(behind) = self.blocks.get_mut(behind) {
            behind.lower = lower;
        }
    }

    /// Puts a block into the list of its order.
    fn put(&mut self, index: Index) {
        let block = &mut self.blocks[index];
        let order = block.order as usize;
        block.free = true;
        block.previous = NONE;
        block.next = self.free[order];
        self.whole += usize::from(block.order == block.whole);
        let next = block.next;
        if let Some(next) = self.blocks.get_mut(next) {
            next.previous = index;
        }
        self.free[order] = index;
        self.some |= 1 << order;
    }

    /// Takes a block out of the list of its order.
    fn unlink(&mut self, index: Index) {
        let block = &mut self.blocks[index];
        block.free = false;
        let Block { previous, next, order, whole, .. } = *block;
        self.whole -= usize::from(order == whole);
        if let Some(next) = self.blocks.get_mut(next) {
            next.previous = previous;
        }
        match self.blocks.get_mut(previous) {
            Some(previous) => previous.next = next,
            None => {
                self.free[order as usize] = next;
                self.some &= !(u64::from(next == NONE) << order);
            }
        }
    }

    /// A record for a block, which is in no list.
    fn add(&mut self, block: Block) -> Index {
        let index = match self.blocks.get_mut(self.spare) {
            Some(record) => {
                let index = self.spare;
                self.spare = record.next;
                *record = block;
                index
            }
            None => {
                self.blocks.push(block);
                self.blocks.len() - 1
            }
        };
        self.at.insert(block.start, index);
        index
    }

    /// Forgets a block that is in no list.
    fn remove(&mut self, index: Index) {
        self.at.remove(&self.blocks[index].start);
        self.blocks[index].next = self.spare;
        self.spare = index;
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

    /// Each pool is its blocks, one after the other; the lists have the free ones, and no other.
    fn check(blocks: &Blocks, pools: &[(usize, u32)]) {
        let (mut seen, mut free) = (0, 0);
        for &(base, order) in pools {
            let (mut at, mut lower) = (base, NONE);
            while at < base + (1 << order) {
                let index = blocks.at[&at];
                let block = blocks.blocks[index];
                assert_eq!((block.start, block.base, block.lower), (at, base, lower));
                assert_eq!((at - base) % (1 << block.order), 0, "a block lies at a multiple of its size");
                // Two halves that are free are one.
                assert!(!block.free || blocks.buddies(index).is_none());
                at += 1 << block.order;
                assert_eq!(
                    block.upper,
                    blocks.at.get(&at).copied().filter(|_| at < base + (1 << order)).unwrap_or(NONE)
                );
                lower = index;
                seen += 1;
                free += usize::from(block.free);
            }
        }
        assert_eq!((seen, seen - free), (blocks.at.len(), blocks.used));
        for order in 0..ORDERS {
            assert_eq!(blocks.some >> order & 1 == 0, blocks.free[order] == NONE);
            let (mut index, mut previous) = (blocks.free[order], NONE);
            while let Some(block) = blocks.blocks.get(index) {
                assert!(block.free && block.order as usize == order && block.previous == previous);
                (previous, index) = (index, block.next);
                free -= 1;
            }
        }
        assert_eq!(free, 0);
    }

    #[test]
    fn records_are_used_again() {
        let mut blocks = Blocks::new();
        assert!(blocks.add_pool(0x1_0000, 16));
        for _ in 0..10 {
            let out: Vec<_> = std::iter::from_fn(|| blocks.take(SMALLEST)).collect();
            assert_eq!(out.len(), 1 << 10);
            check(&blocks, &[(0x1_0000, 16)]);
            assert!(out.iter().all(|&start| blocks.give_back(start).is_some()));
            check(&blocks, &[(0x1_0000, 16)]);
        }
        assert_eq!((blocks.blocks.len(), size_of::<Block>()), (1 << 10, 64));
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
        assert_eq!(first.min(second), 0x1000);
        assert_eq!(first.max(second), 0x8000);
        assert_eq!(blocks.give_back(first), Some(None));
        // One that is in use does not go.
        blocks.remove_pool(second, 12);
        assert_eq!(blocks.pools(), [(0x1000, 12), (0x8000, 12)]);
        assert_eq!(blocks.give_back(second), Some(Some((second, 12))));
        blocks.remove_pool(second, 12);
        assert_eq!(blocks.pools(), [(first, 12)]);
        assert_eq!(blocks.give_back(second), None);
        assert_eq!((blocks.take(12), blocks.take(12)), (Some(first), None));
    }

    proptest! {
        /// A list of the owners of bytes is the model.
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
                check(&blocks, &pools);
            }
            for (start, _) in out {
                prop_assert!(blocks.give_back(start).is_some());
            }
            for (base, order) in pools {
                prop_assert!(blocks.is_free(base, order));
            }
            check(&blocks, &pools);
            prop_assert_eq!((blocks.at.len(), blocks.whole), (2, 2));
        }
    }
}
