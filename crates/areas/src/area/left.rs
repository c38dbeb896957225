//! What is left of an area of which parts are gone.

#![cfg_attr(
    test,
    expect(clippy::single_range_in_vec_init, reason = "lists of ranges, of which one may be all")
)]

use std::ops::Range;

use crate::object::{Extent, Object, Piece};

/// How an area is divided: in bytes from its beginning.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// What is left of its bytes, each with the reserve behind it.
    pub(super) kept: Vec<Range<usize>>,
    /// What is left of its reserve alone, behind a gap.
    pub(super) remnants: Vec<Range<usize>>,
    pub(super) used: usize,
}

impl Left {
    /// Of `span` bytes of addresses, of which `used` hold bytes of the area, without those that are
    /// lost: in whole pages.
    pub(super) fn of(lost: &[Range<usize>], page: usize, span: usize, used: usize) -> Self {
        let mut left = Left { kept: Vec::new(), remnants: Vec::new(), used };
        let mut at = 0;
        let mut put = |part: Range<usize>| {
            if part.start < part.end {
                let is_reserve = part.start > 0 && part.start >= used;
                if is_reserve { &mut left.remnants } else { &mut left.kept }.push(part);
            }
        };
        for range in lost {
            let start = range.start / page * page;
            let end = range.end.checked_next_multiple_of(page).unwrap_or(span).min(span);
            if start < end {
                put(at..start.min(span));
                at = at.max(end);
            }
        }
        put(at..span);
        left
    }

    /// The bytes of the area that are gone.
    pub(super) fn gone(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let starts = std::iter::once(0).chain(self.kept.iter().map(|part| part.end));
        let ends = self.kept.iter().map(|part| part.start).chain([self.used]);
        starts.zip(ends).map(|(start, end)| start..end).filter(|gap| gap.start < gap.end)
    }

    /// Where a range of it ends in its file: with the file, if it is the area's end.
    pub(super) fn file_end(&self, part: &Range<usize>, before: Piece) -> u64 {
        match before.limit {
            None if part.end >= self.used => u64::MAX,
            _ => before.first + part.end as u64,
        }
    }

    /// Makes the object of the whole one of a part.
    pub(super) fn narrow(&self, part: &Range<usize>, before: Piece, object: &mut Object) {
        if *part == (0..part.end) && part.end >= self.used && before.limit.is_none() {
            // All of its bytes, and maybe less of a reserve.
            if let Extent::Resizable { .. } = object.extent() {
                object.widen(part.len());
            }
            return;
        }
        let to_the_end = part.end >= self.used && before.limit.is_none();
        let limit = if to_the_end { None } else { Some(part.len() as u64) };
        object.narrow(part.start as u64, limit, part.len());
    }
}

/// What of some ranges lies in none of others.
pub(super) fn outside(ranges: &[Range<u64>], others: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut left = ranges.to_vec();
    for other in others {
        left = left
            .into_iter()
            .flat_map(|range| {
                [range.start..range.end.min(other.start), range.start.max(other.end)..range.end]
            })
            .filter(|range| range.start < range.end)
            .collect();
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_area_is_divided_as_it_was_cut() {
        let of = |lost: &[Range<usize>]| Left::of(lost, 10, 100, 60);
        type Case<'a> = (&'a [Range<usize>], &'a [Range<usize>], &'a [Range<usize>], &'a [Range<usize>]);
        let table: &[Case<'_>] = &[
            (&[], &[0..100], &[], &[]),
            (&[0..20], &[20..100], &[], &[0..20]),
            (&[40..100], &[0..40], &[], &[40..60]),
            (&[40..60], &[0..40], &[60..100], &[40..60]),
            (&[20..30], &[0..20, 30..100], &[], &[20..30]),
            (&[20..30, 40..50], &[0..20, 30..40, 50..100], &[], &[20..30, 40..50]),
            // Nothing but reserve.
            (&[70..80], &[0..70], &[80..100], &[]),
            (&[60..100], &[0..60], &[], &[]),
            (&[0..100], &[], &[], &[0..60]),
            (&[0..60], &[], &[60..100], &[0..60]),
            // Not in whole pages, and beyond the end.
            (&[21..22, 95..usize::MAX], &[0..20, 30..90], &[], &[20..30]),
        ];
        for (lost, kept, remnants, gone) in table {
            let left = of(lost);
            assert_eq!((&left.kept[..], &left.remnants[..]), (*kept, *remnants), "{lost:?}");
            assert_eq!(left.gone().collect::<Vec<_>>(), *gone, "{lost:?}");
        }
    }

    #[test]
    fn what_others_have_is_left_out() {
        assert_eq!(outside(&[0..100], &[]), [0..100]);
        assert_eq!(outside(&[0..100], &[20..30, 90..u64::MAX]), [0..20, 30..90]);
        assert_eq!(outside(&[10..20, 30..u64::MAX], &[0..15, 40..50]), [15..20, 30..40, 50..u64::MAX]);
        assert_eq!(outside(&[10..20], &[0..u64::MAX]), []);
    }
}
