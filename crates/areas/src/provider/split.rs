//! A layer that divides each mapping into contiguous parts, a node each, by weight.

use std::fmt;
use std::ops::Range;

use super::parts::map_placed_by;
use super::{Provider, Request, resolve};
use crate::error::{Errno, Error, ErrorKind, Rejected, Result};
use crate::mapping::{BackedBy, Mapping, out_of_range};
use crate::nodes::{Node, NodeSet, Placement, Policy};
use crate::page::PageSize;

/// Contiguous parts in the order given, each on its node, as large as its weight says: `[(node 0,
/// 1), (node 1, 3)]` puts the first quarter on node 0, and the rest on node 1.
///
/// Each part is bound to its node. Where each has room for a huge page, all begin between huge
/// pages, so that none is lost to the division; else they begin at the nearest page, and in a
/// mapping of fewer pages than parts some get none. Of an area that may grow, all its addresses are
/// divided, the reserve included.
#[derive(Clone)]
#[doc(alias = "UMF_NUMA_MODE_SPLIT")]
pub struct Split<P> {
    inner: P,
    parts: Vec<(Node, u32)>,
}

impl<P> Split<P> {
    /// These nodes, in this order, with these weights. A node may be named more than once.
    pub fn new(inner: P, parts: impl IntoIterator<Item = (Node, u32)>) -> Self {
        Split { inner, parts: parts.into_iter().collect() }
    }
}

/// The parts in words: "1 of node 0, 3 of node 1".
pub(crate) fn in_words(parts: &[(Node, u32)]) -> String {
    let words: Vec<_> = parts.iter().map(|(node, weight)| format!("{weight} of node {node}")).collect();
    if words.is_empty() { "no parts".to_owned() } else { words.join(", ") }
}

/// Refuses a list that divides nothing, and nodes that may not be used.
pub(crate) fn check(parts: &[(Node, u32)], what: impl Fn() -> String) -> Result<()> {
    if parts.is_empty() || parts.iter().any(|&(_, weight)| weight == 0) {
        return Err(
            Error::new(ErrorKind::InvalidInput, what()).with_facts("the list is empty, or a weight is 0")
        );
    }
    let nodes: NodeSet = parts.iter().map(|&(node, _)| node).collect();
    resolve(Placement::new(Policy::Bind(nodes))).map(drop)
}

/// What of a range of a mapping, which begins and ends at pages, belongs to which node. Neighbours
/// meet, and none is empty.
fn divided(mapping: &Mapping, range: Range<usize>, parts: &[(Node, u32)]) -> Vec<(Range<usize>, Node)> {
    let page = mapping.page_size();
    let huge = (page == PageSize::base()).then(|| {
        let huge = PageSize::transparent().bytes();
        // An object's huge pages begin at whole ones of its bytes, those of other memory at whole
        // ones of the addresses.
        match mapping.backed_by() {
            BackedBy::Object { .. } => (huge, 0),
            _ => (huge, mapping.as_ptr().addr().wrapping_neg() % huge),
        }
    });
    let weights: Vec<u32> = parts.iter().map(|&(_, weight)| weight).collect();
    let ranges = divide(range, &weights, page.bytes(), huge).into_iter();
    ranges
        .zip(parts)
        .map(|(range, &(node, _))| (range, node))
        .filter(|(range, _)| !range.is_empty())
        .collect()
}

/// A range in parts by weight, which begin at multiples of a page; or, where each is as large as a
/// huge page, between huge pages of this size, of which one begins at this offset.
fn divide(
    range: Range<usize>,
    weights: &[u32],
    page: usize,
    huge: Option<(usize, usize)>,
) -> Vec<Range<usize>> {
    let total: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    // At most the length of the range.
    let share = |weight: u128| (range.len() as u128 * weight / total) as usize;
    let fits = |size: usize| weights.iter().all(|&weight| share(weight.into()) >= size);
    let (unit, first) = huge.filter(|&(size, _)| fits(size)).unwrap_or((page, 0));
    let (mut start, mut sum) = (range.start, 0_u128);
    let mut parts = Vec::with_capacity(weights.len());
    for &weight in weights {
        sum += u128::from(weight);
        let exact = range.start + share(sum);
        // The nearest border; the last part ends where the range does.
        let behind = (exact + unit - first) % unit;
        let nearest = if behind >= unit.div_ceil(2) { exact - behind + unit } else { exact - behind };
        let end = if sum == total { range.end } else { nearest.clamp(start, range.end) };
        parts.push(start..end);
        start = end;
    }
    parts
}

/// Binds each part to its node.
fn place(mapping: &mut Mapping, range: Range<usize>, parts: &[(Node, u32)]) -> Result<()> {
    for (part, node) in divided(mapping, range, parts) {
        let placement = Placement::new(Policy::Bind(NodeSet::single(node)));
        mapping.place(part, &placement).map_err(|error| match error.errno() {
            Some(Errno::NOMEM) => error.with_remedy(
                "each part is a mapping of its own, and vm.max_map_count limits them: use fewer parts",
            ),
            _ => error,
        })?;
    }
    Ok(())
}

/// The same for a part of a mapping that is placed already: where a piece is refused, all of them
/// are placed as they were.
///
/// (What was asked before is known. Where nothing was, it is what the kernel has at the beginning
/// of that stretch; a home node that another process set does not show.)
pub(crate) fn place_or_undo(mapping: &mut Mapping, range: Range<usize>, parts: &[(Node, u32)]) -> Result<()> {
    if range.end > mapping.span() {
        return Err(out_of_range(range.start, range.len(), mapping.span()));
    }
    if range.is_empty() {
        return Ok(());
    }
    let before = mapping.placed_before(&range)?;
    place(mapping, range, parts).inspect_err(|_| {
        for (part, placement) in before {
            // What was placed so a moment ago; what is refused now is reported by the error that
            // led here.
            let _ = mapping.place(part, &placement);
        }
    })
}

impl<P: Provider> Provider for Split<P> {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        let what = || format!("split {} bytes into {}", request.size(), in_words(&self.parts));
        check(&self.parts, what)?;
        map_placed_by(&self.inner, request, what, |mapping| place(mapping, 0..mapping.span(), &self.parts))
    }

    fn unmap(&self, mapping: Mapping) -> Result<(), Rejected<Mapping>> {
        self.inner.unmap(mapping)
    }
}

impl<P: fmt::Debug> fmt::Debug for Split<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list: Vec<_> = self.parts.iter().map(|(node, weight)| format!("({node}, {weight})")).collect();
        write!(f, "{:?}.split([{}])", self.inner, list.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn by_weight_to_the_nearest_page() {
        assert_eq!(divide(0..100, &[1, 3], 1, None), [0..25, 25..100]);
        assert_eq!(divide(40..140, &[1, 1, 2], 20, None), [40..60, 60..100, 100..140]);
        assert_eq!(divide(0..10, &[u32::MAX; 3], 1, None), [0..3, 3..6, 6..10]);
        // Fewer pages than parts: who is nearest gets it.
        assert_eq!(divide(0..10, &[1, 1, 1], 10, None), [0..0, 0..10, 10..10]);
        // Between huge pages, where each part has room for one; they begin at 6, 16, 26.
        assert_eq!(divide(0..40, &[1, 3], 1, Some((10, 6))), [0..6, 6..40]);
        assert_eq!(divide(0..40, &[3, 1], 1, Some((10, 6))), [0..26, 26..40]);
        assert_eq!(divide(0..39, &[1, 3], 1, Some((10, 6))), [0..9, 9..39]);
    }

    proptest! {
        #[test]
        fn parts_meet_and_are_as_large_as_they_weigh(
            start in 0..100_usize, pages in 0..3000_usize, weights in prop::collection::vec(1..50_u32, 1..8), first in 0..64_usize
        ) {
            let (page, huge) = (8, 64 * 8);
            let range = start * page..(start + pages) * page;
            let parts = divide(range.clone(), &weights, page, Some((huge, first * page)));
            prop_assert_eq!(parts.len(), weights.len());
            let total: u32 = weights.iter().sum();
            let shares: Vec<_> =
                weights.iter().map(|&weight| range.len() as f64 * f64::from(weight) / f64::from(total)).collect();
            let roomy = shares.iter().all(|&share| share >= huge as f64);
            let unit = if roomy { huge } else { page };
            let mut at = range.start;
            for (part, share) in parts.iter().zip(&shares) {
                prop_assert_eq!(part.start, at);
                prop_assert!(part.end >= part.start && (part.len() as f64 - share).abs() <= unit as f64 + 1.0);
                prop_assert!(!roomy || !part.is_empty());
                let border = if roomy { part.end % huge == first * page % huge } else { part.end % page == 0 };
                prop_assert!(border || part.end == range.end, "{part:?}");
                at = part.end;
            }
            prop_assert_eq!(at, range.end);
        }
    }
}
