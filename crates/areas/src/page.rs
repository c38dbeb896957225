//! Page sizes, and what a caller may ask for.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::size::Bytes;
use crate::sys;

/// The size of a page: the base size that the kernel was built with, or a huge one. A power of two,
/// in bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageSize(u8);

impl PageSize {
    /// 2 MiB.
    pub const HUGE_2M: PageSize = PageSize(21);
    /// 1 GiB.
    pub const HUGE_1G: PageSize = PageSize(30);

    /// The base page size of this kernel: 4 KiB on `x86_64`, 4, 16 or 64 KiB elsewhere.
    #[must_use]
    #[inline]
    pub fn base() -> Self {
        /// Its logarithm; 0 is not known yet. (No mutex: a forked child could inherit it held.)
        static SIZE: AtomicU8 = AtomicU8::new(0);
        match SIZE.load(Ordering::Relaxed) {
            0 => {
                let size = PageSize::of(sys::page_size()).unwrap_or(PageSize(12));
                SIZE.store(size.0, Ordering::Relaxed);
                size
            }
            known => PageSize(known),
        }
    }

    /// The size of transparent huge pages here: 2 MiB where base pages are 4 KiB; what the kernel
    /// says in `/sys/kernel/mm/transparent_hugepage/hpage_pmd_size`.
    pub(crate) fn transparent() -> Self {
        /// Its logarithm; 0 is not known yet. (No lock: a forked child could inherit it held.)
        static SIZE: AtomicU8 = AtomicU8::new(0);
        let known = SIZE.load(Ordering::Relaxed);
        if known != 0 {
            return PageSize(known);
        }
        let size = sys::text::read_to_string("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
            .ok()
            .and_then(|text| PageSize::of(text.trim().parse().ok()?))
            // A page table of 8-byte entries fills one base page, and a huge page spans what it
            // maps.
            .or_else(|| PageSize::of(sys::page_size() / 8 * sys::page_size()))
            .unwrap_or(PageSize::HUGE_2M);
        SIZE.store(size.0, Ordering::Relaxed);
        size
    }

    /// A page size from its bytes: a power of two from 4 KiB to 16 GiB.
    #[must_use]
    pub fn of(bytes: usize) -> Option<Self> {
        let log2 = bytes.checked_ilog2()?;
        (bytes.is_power_of_two() && (12..=34).contains(&log2)).then_some(PageSize(u8::try_from(log2).ok()?))
    }

    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        1 << self.0
    }

    pub(crate) const fn log2(self) -> u8 {
        self.0
    }

    pub(crate) fn from_log2(log2: u8) -> Option<Self> {
        1_usize.checked_shl(u32::from(log2)).and_then(PageSize::of)
    }

    /// Rounds up to whole pages; `None` if that is more than `usize` holds.
    pub(crate) fn round_up(self, size: usize) -> Option<usize> {
        // A power of two, which a division would not know.
        let rest = self.bytes() - 1;
        Some(size.checked_add(rest)? & !rest)
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Bytes::from(self.bytes()).fmt(f)
    }
}

impl fmt::Debug for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageSize({self})")
    }
}

/// Which pages an area is to be made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pages {
    /// Base pages.
    #[default]
    Base,
    /// Pages of this size from the hugetlb pool: a promise or an error.
    ///
    /// Shared with others, they can be taken away by who may write them: see
    /// [`Shared`](crate::Shared). Private ones are reserved for the process that made the area.
    /// After a fork, who writes first needs another page; where the pool has none, the kernel takes
    /// the child's from it, which dies of SIGBUS at its next touch. Populate and use such an area
    /// in one process.
    Pool(PageSize),
    /// Pages of this size from the pool if it has them, else base pages; `granted()` says which.
    PreferPool(PageSize),
    /// The pool's 2 MiB pages if there are enough, else transparent huge pages, collapsed when the
    /// area is populated, else base pages; `granted()` says which.
    Auto,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_powers_of_two_that_machines_have() {
        assert_eq!(PageSize::of(2 << 20), Some(PageSize::HUGE_2M));
        assert_eq!(PageSize::of(1 << 30), Some(PageSize::HUGE_1G));
        for wrong in [0, 1, 2048, 4097, 3 << 20, 1 << 40] {
            assert_eq!(PageSize::of(wrong), None, "{wrong}");
        }
        assert_eq!(PageSize::HUGE_2M.to_string(), "2 MiB");
    }

    #[test]
    fn rounds_for_every_base_size() {
        for base in [4096, 16384, 65536] {
            let page = PageSize::of(base).unwrap();
            assert_eq!(page.round_up(1), Some(base));
            assert_eq!(page.round_up(base), Some(base));
            assert_eq!(page.round_up(base + 1), Some(2 * base));
            assert_eq!(page.round_up(usize::MAX), None);
        }
    }
}
