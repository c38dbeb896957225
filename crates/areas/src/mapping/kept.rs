//! What is left of a mapping of which the program has taken addresses away itself: by `munmap`,
//! `mmap` with `MAP_FIXED`, `mremap` or `shmat`.
//!
//! That is not reported to us. So what changes or ends a mapping that a program can get at by its
//! address asks the kernel first ([`Mapping::lost`]), and releases what is no longer its own
//! ([`Mapping::keep`]), without a call that could harm what is there now.

#![expect(unsafe_code, reason = "divides owned raw memory; each block has its proof")]

use std::ops::Range;

use super::{BackedBy, Mapping};
use crate::sys;
use crate::sys::maps::Region;

impl Mapping {
    /// Which of its addresses are no longer its own, in bytes from its beginning: in order, in
    /// whole pages, and nothing where all is well.
    ///
    /// Of an object's mapping it is proved: what is there maps that object (device and inode),
    /// shared, and the very byte of it that belongs there. (Another mapping of the same byte at the
    /// same address cannot be distinguished from it, and is the same memory.) Private memory has no
    /// number: there, only what is not mapped at all, or is shared, or a file's, is known to belong
    /// to others.
    ///
    /// Three system calls where all is well and the kernel answers questions (6.11).
    pub(crate) fn lost(&self) -> sys::Result<Vec<Range<usize>>> {
        missing(self.base.addr().get(), self.span, self.backed_by)
    }

    /// Releases all but some parts of it, which are in bytes from its beginning, in order, in whole
    /// pages, and do not touch each other: it becomes the first of them, and the others come back.
    /// Nothing is unmapped. With no part at all it is none any more.
    pub(crate) fn keep(&mut self, parts: &[Range<usize>]) -> Vec<Mapping> {
        debug_assert!(parts.iter().all(|part| part.start < part.end && part.end <= self.span));
        debug_assert!(parts.windows(2).all(|pair| pair[0].end < pair[1].start));
        if let Some(home) = &self.home {
            home.divide(self.base, self.span, parts);
        }
        // The room behind it stays the first part's.
        let slot = self.slot.take();
        self.left();
        (self.unmerged, self.slot) = (false, slot);
        let mut others: Vec<_> = parts.iter().skip(1).map(|part| self.part(part)).collect();
        match parts.first() {
            Some(first) => {
                // SAFETY: `start < span`, and `base..base+span` was one range of ours (invariant),
                // so that the sum does not overflow.
                self.base = unsafe { self.base.add(first.start) };
                self.size = self.size.saturating_sub(first.start).min(first.len());
                self.backed_by = behind(self.backed_by, first.start);
                self.asked = self.asked.within(first);
                self.span = first.len();
                self.guarded &= first.start == 0;
            }
            None => {
                self.left_slot();
                (self.size, self.span, self.slot) = (0, 0, None);
            }
        }
        // What is kept is counted less, and then each part for itself: never more than there is.
        self.tally_span();
        self.tally_parts(&mut others);
        others
    }

    /// Releases the end of it, from the first of some lost parts on: what is its own of that is
    /// unmapped.
    pub(crate) fn forget(&mut self, lost: &[Range<usize>]) {
        let Some(first) = lost.first() else { return };
        let own = lost.iter().zip(lost.iter().skip(1).map(|next| next.start).chain([self.span]));
        let behind = own.map(|(gap, next)| gap.end..next).filter(|part| part.start < part.end);
        let parts: Vec<_> =
            std::iter::once(0..first.start).filter(|part| part.end > 0).chain(behind).collect();
        drop(self.keep(&parts));
    }

    /// The owner of a part, which is not this one's any more behind the call that makes it.
    fn part(&self, part: &Range<usize>) -> Mapping {
        Mapping {
            // SAFETY: the part lies inside `base..base+span`, which is ours (invariant).
            base: unsafe { self.base.add(part.start) },
            size: self.size.saturating_sub(part.start).min(part.len()),
            span: part.len(),
            page: self.page,
            protection: self.protection,
            direct: self.direct,
            sharing: self.sharing,
            backed_by: behind(self.backed_by, part.start),
            beyond: self.beyond,
            notes: None,
            asked: self.asked.within(part),
            home: self.home.clone(),
            unmerged: false,
            // The lowest page is not in it.
            guarded: false,
            slot: None,
        }
    }
}

/// The same for whatever is said to be mapped there.
pub(crate) fn missing(base: usize, span: usize, backed_by: BackedBy) -> sys::Result<Vec<Range<usize>>> {
    let range = base..base.saturating_add(span);
    Ok(lost(&sys::maps::within(range.clone())?, range, backed_by))
}

/// What a mapping is of, from one of its bytes on.
fn behind(backed_by: BackedBy, bytes: usize) -> BackedBy {
    let bytes = bytes as u64;
    match backed_by {
        BackedBy::Object { device, inode, offset } => {
            BackedBy::Object { device, inode, offset: offset + bytes }
        }
        BackedBy::File { offset, shared } => BackedBy::File { offset: offset + bytes, shared },
        BackedBy::Private | BackedBy::Inherited => backed_by,
    }
}

/// What of a range, in bytes from its beginning, is not what it is said to be of.
fn lost(regions: &[Region], range: Range<usize>, backed_by: BackedBy) -> Vec<Range<usize>> {
    let mut lost: Vec<Range<usize>> = Vec::new();
    let mut gone = |from: usize, to: usize| {
        let part = from - range.start..to - range.start;
        match lost.last_mut() {
            _ if part.is_empty() => {}
            Some(last) if last.end == part.start => last.end = part.end,
            _ => lost.push(part),
        }
    };
    let mut at = range.start;
    for region in regions {
        let (start, end) = (region.start.max(at), region.end.min(range.end));
        if start >= end {
            continue;
        }
        gone(at, start);
        if !is_its_own(region, range.start, backed_by) {
            gone(start, end);
        }
        at = end;
    }
    gone(at, range.end);
    lost
}

/// Whether what is mapped there can be a part of a mapping that begins at `base`.
fn is_its_own(region: &Region, base: usize, backed_by: BackedBy) -> bool {
    match backed_by {
        BackedBy::Object { device, inode, offset } => {
            // Both are counted from the same byte of the object, modulo 2^64.
            let wanted = offset.wrapping_add(region.start as u64).wrapping_sub(base as u64);
            region.shared
                && (region.file.device, region.file.inode) == (device, inode)
                && region.offset == wanted
        }
        // (Hugetlb pages are a file's of the kernel's own, which has a number for each mapping.)
        BackedBy::Private => !region.shared,
        BackedBy::Inherited => region.shared,
        BackedBy::File { shared, .. } => region.shared == shared,
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "lists of ranges, of which one may be all")]
mod tests {
    use super::*;
    use crate::sys::file::Identity;

    const OURS: Identity = Identity { device: 1, inode: 7 };

    fn region(start: usize, end: usize, shared: bool, file: Identity, offset: u64) -> Region {
        Region { start, end, readable: true, writable: true, executable: false, shared, offset, file }
    }

    fn ours(start: usize, end: usize) -> Region {
        region(start, end, true, OURS, (start - 0x10_000 + 0x2000) as u64)
    }

    #[test]
    fn what_is_lost_is_what_is_not_the_objects_very_bytes() {
        let object = BackedBy::Object { device: 1, inode: 7, offset: 0x2000 };
        let all = 0x10_000..0x18_000;
        let strange = Identity { device: 1, inode: 8 };
        let table: &[(&[Region], &[Range<usize>])] = &[
            (&[ours(0x10_000, 0x18_000)], &[]),
            // In several parts, and beyond on both sides.
            (&[region(0xf000, 0x11_000, true, OURS, 0x1000), ours(0x11_000, 0x1a_000)], &[]),
            (&[], &[0..0x8000]),
            (&[ours(0x12_000, 0x18_000)], &[0..0x2000]),
            (&[ours(0x10_000, 0x15_000)], &[0x5000..0x8000]),
            (&[ours(0x10_000, 0x11_000), ours(0x13_000, 0x18_000)], &[0x1000..0x3000]),
            // Others' in a hole, and next to it.
            (
                &[
                    ours(0x10_000, 0x11_000),
                    region(0x12_000, 0x13_000, true, strange, 0x4000),
                    ours(0x13_000, 0x18_000),
                ],
                &[0x1000..0x3000],
            ),
            // The same object, another byte of it; the same byte, privately.
            (&[ours(0x10_000, 0x11_000), region(0x11_000, 0x18_000, true, OURS, 0)], &[0x1000..0x8000]),
            (&[region(0x10_000, 0x18_000, false, OURS, 0x2000)], &[0..0x8000]),
        ];
        for (regions, expected) in table {
            assert_eq!(lost(regions, all.clone(), object), *expected, "{regions:x?}");
        }
        // Of private memory only what cannot be it is known.
        let anonymous = region(0x10_000, 0x12_000, false, Identity::default(), 0);
        let shared = region(0x14_000, 0x18_000, true, strange, 0);
        assert_eq!(lost(&[anonymous, shared], all, BackedBy::Private), vec![0x2000..0x8000]);
    }
}
