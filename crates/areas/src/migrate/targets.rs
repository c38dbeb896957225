//! Where each page is to go.

use std::ops::Range;

use crate::error::Result;
use crate::mover::Wanted;
use crate::nodes::{Node, Placement, Policy};
use crate::page::PageSize;
use crate::residency::{PageLocation, Residency};
use crate::topology::Topology;
use crate::turns::{Origin, Turns};

/// Where each page is to go.
pub(super) struct Targets {
    placement: Placement,
    /// Whose turn it is, for interleaving: as if the kernel had dealt the pages out, so that those
    /// that come later fit in.
    turns: Option<Turns>,
    origin: Origin,
    topology: Option<Topology>,
}

impl Targets {
    pub(super) fn new(placement: Placement, origin: Origin) -> Result<Self> {
        let nodes = placement.policy().nodes().unwrap_or_default();
        // Weights, and which of several is nearest: of a single node there is nothing to choose.
        let chooses = nodes.len() > 1 && !matches!(placement.policy(), Policy::Interleave(_));
        let topology = if chooses { Topology::read().ok() } else { None };
        // Where weights cannot be read, one each is what the kernel has without an administrator's.
        let weight = |node| Some(topology.as_ref()?.node(node)?.weight.unwrap_or(1));
        let turns = Turns::weighted(placement.policy_ref(), |node| weight(node).or(Some(1)));
        Ok(Targets { placement, turns, origin, topology })
    }

    /// Where a page that is on `node` shall be.
    fn of(&self, page: &Page) -> Node {
        if let Some(turns) = &self.turns {
            return turns.at(self.origin.number(page.begin, page.size));
        }
        let node = page.node;
        let Some(nodes) = self.placement.policy().nodes().filter(|nodes| !nodes.contains(node)) else {
            return node;
        };
        let from = self.placement.home_node().unwrap_or(node);
        let distance =
            |to| self.topology.as_ref().and_then(|topology| topology.distance(from, to)).unwrap_or(u32::MAX);
        nodes.iter().min_by_key(|&to| (distance(to), to)).unwrap_or(node)
    }

    /// The pages that are elsewhere, in order. `first` is where the first huge page begins, less
    /// whole huge pages.
    pub(super) fn wanted(&self, residency: &Residency, first: usize) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for page in pages(residency, first) {
            let target = self.of(&page);
            if target == page.node {
                continue;
            }
            match page.is_told {
                true => wanted.push(Wanted { range: page.range, target }),
                // The kernel moves all of a huge page, if it is one; if it is not, each of its
                // pages is named.
                false => {
                    let base = PageSize::base().bytes();
                    let parts = page.range.step_by(base).map(|at| Wanted { range: at..at + base, target });
                    wanted.extend(parts);
                }
            }
        }
        wanted
    }
}

/// A page in RAM.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Page {
    /// What of it was looked at: a range can begin inside a huge page.
    range: Range<usize>,
    /// Where all of it begins.
    begin: usize,
    size: PageSize,
    node: Node,
    /// Whether the kernel has reported its size; else it is a block that may be a huge page.
    is_told: bool,
}

/// The pages in RAM. Where the kernel has huge pages and does not report which they are, each block
/// that lies on one node as a whole may be one.
fn pages(residency: &Residency, first: usize) -> impl Iterator<Item = Page> + '_ {
    let unreported = residency.has_unreported_huge_pages();
    let huge = PageSize::transparent();
    let there = residency.runs().iter().filter_map(|run| match run.place {
        PageLocation::On { node, page } => Some((run.range.clone(), node, page)),
        _ => None,
    });
    there.flat_map(move |(range, node, reported)| {
        let mut at = range.start;
        std::iter::from_fn(move || {
            if at >= range.end {
                return None;
            }
            let block = unreported
                && reported == PageSize::base()
                && at % huge.bytes() == first % huge.bytes()
                && range.end - at >= huge.bytes();
            let size = if block { huge } else { reported };
            let skew = if size == PageSize::base() { 0 } else { first % size.bytes() };
            let end = (at + size.bytes() - skew) / size.bytes() * size.bytes() + skew;
            let begin = end.saturating_sub(size.bytes());
            let page = Page { range: at..end.min(range.end), begin, size, node, is_told: !block };
            at = page.range.end;
            Some(page)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::NodeSet;
    use crate::residency::made_up;

    const PAGE: usize = 4096;
    const HUGE: usize = 2 << 20;

    fn node(id: u32) -> Node {
        Node::new(id).unwrap()
    }

    fn targets(policy: Policy, origin: Origin) -> Targets {
        Targets::new(Placement::new(policy), origin).unwrap()
    }

    #[test]
    fn bound_pages_stay_on_any_of_their_nodes() {
        let nodes: NodeSet = [node(1), node(2)].into_iter().collect();
        let targets = targets(Policy::Bind(nodes), Origin::Address(0));
        let wanted = targets.wanted(&made_up(&[(2, Some(2)), (1, Some(0)), (1, None), (1, Some(1))]), 0);
        assert_eq!(wanted.len(), 1);
        assert_eq!(wanted[0].range, 2 * PAGE..3 * PAGE);
        assert!(nodes.contains(wanted[0].target));
    }

    #[test]
    fn interleaved_pages_go_where_the_kernel_would_have_put_them() {
        let nodes: NodeSet = [node(0), node(1), node(3)].into_iter().collect();
        let targets = targets(Policy::Interleave(nodes), Origin::Object(4));
        let reported = |pages: &[(usize, Option<u32>)]| -> Vec<(usize, u32)> {
            let wanted = targets.wanted(&made_up(pages), 0);
            wanted.iter().map(|page| (page.range.start / PAGE, page.target.get())).collect()
        };
        assert_eq!(
            reported(&[(5, Some(0)), (1, None), (1, Some(0))]),
            [(0, 1), (1, 3), (3, 1), (4, 3), (6, 1)]
        );
        assert_eq!(reported(&[(1, Some(1)), (1, Some(3)), (1, Some(0))]), []);
    }

    #[test]
    fn huge_pages_are_named_once_and_blocks_page_by_page() {
        let nodes: NodeSet = [node(0), node(1)].into_iter().collect();
        let targets = targets(Policy::Interleave(nodes), Origin::Object(0));
        let huge = crate::residency::made_up_of(&[(2 * HUGE, Some((0, PageSize::HUGE_2M)))]);
        let wanted = targets.wanted(&huge, 0);
        assert_eq!(wanted, [Wanted { range: HUGE..2 * HUGE, target: node(1) }]);
        // The kernel has huge pages there, and has not reported which they are.
        let mut unreported = made_up(&[(2 * 512, Some(0)), (2, Some(0))]);
        unreported.forget_page_sizes();
        let wanted = targets.wanted(&unreported, 0);
        assert_eq!(wanted.len(), 512 + 1);
        assert!(wanted[..512].iter().all(|page| page.target == node(1) && page.range.start >= HUGE));
        assert_eq!(wanted[512].range.start, 2 * HUGE + PAGE);
    }
}
