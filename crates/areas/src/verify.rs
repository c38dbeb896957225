//! Comparing what was measured with what was asked.
//!
//! What a policy asks depends on the policy. Of most it is a set of nodes, and any of them will do.
//! Interleaving asks more: it is whose turn a page is. Pages of one size go round together, and
//! where they begin is the kernel's affair, so that the beginning is taken that fits most of them.
//! A block of 2 MiB that lies on one node as a whole is a huge page, whether the kernel reports it
//! or not (base pages that are interleaved never look like that). Where the kernel is set up to
//! bring in folios of several base pages (64 KiB, say), base pages may go round in such groups.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use crate::nodes::{Node, NodeSet, Placement};
use crate::page::PageSize;
use crate::provider::transparent;
use crate::residency::{PageLocation, Residency};
use crate::size::Bytes;
use crate::turns::Turns;

/// Pages that are on a node where they were not asked to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Misplaced {
    /// Bytes from the beginning of the area; whole pages.
    pub range: Range<usize>,
    /// Where they are.
    pub node: Node,
    /// Where they were asked to be: for interleaved pages the node whose turn it is.
    pub asked: NodeSet,
}

/// Whether the pages of an area are where they were asked to be: the answer of a measurement.
///
/// A page is in place on any node that its policy names. With interleaving it is in place on the
/// node whose turn it is, by weight where there are weights: huge pages go round as base pages do,
/// each by its own size, and where the round begins does not matter. Policies that name no node are
/// always obeyed. What is not in RAM is nowhere, and not out of place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    in_place: u64,
    misplaced: Vec<Misplaced>,
    not_in_ram: u64,
}

impl Verification {
    /// Whether nothing is out of place.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.misplaced.is_empty()
    }

    /// Bytes in RAM that are in place.
    #[must_use]
    pub fn in_place(&self) -> u64 {
        self.in_place
    }

    /// Bytes in RAM that are elsewhere.
    #[must_use]
    pub fn elsewhere(&self) -> u64 {
        self.misplaced.iter().map(|part| part.range.len() as u64).sum()
    }

    /// Bytes that are not in RAM.
    #[must_use]
    pub fn not_in_ram(&self) -> u64 {
        self.not_in_ram
    }

    /// The share of the bytes in RAM that is in place, 0 to 1; 1 where nothing is in RAM.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub fn share(&self) -> f64 {
        match self.in_place + self.elsewhere() {
            0 => 1.0,
            present => self.in_place as f64 / present as f64,
        }
    }

    /// The parts that are out of place, in order.
    #[must_use]
    pub fn misplaced(&self) -> &[Misplaced] {
        &self.misplaced
    }
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let present = self.in_place + self.elsewhere();
        match self.misplaced.first() {
            None => write!(f, "all {:#} in RAM are in place", Bytes(present)),
            Some(first) => write!(
                f,
                "{:#} of {:#} in RAM are in place ({:.1} %); {:#} elsewhere, the first at {:#x}: on node {}, not {}",
                Bytes(self.in_place),
                Bytes(present),
                self.share() * 100.0,
                Bytes(self.elsewhere()),
                first.range.start,
                first.node,
                first.asked
            ),
        }
    }
}

/// Compares. `parts` are in order and do not overlap; what they leave out may be anywhere. A huge
/// page begins at a byte that is `first` more than a multiple of its size.
pub(crate) fn verify(
    residency: &Residency,
    first: usize,
    parts: impl Iterator<Item = (Range<usize>, Placement)>,
) -> Verification {
    verify_where(residency, first, parts, &|| transparent::sizes_of_folios(Path::new("/")))
}

/// The same where the kernel brings base pages in by groups of so many bytes.
fn verify_where(
    residency: &Residency,
    first: usize,
    parts: impl Iterator<Item = (Range<usize>, Placement)>,
    groups: &dyn Fn() -> Vec<usize>,
) -> Verification {
    let mut answer = Verification { in_place: 0, misplaced: Vec::new(), not_in_ram: 0 };
    let mut at = 0;
    for (part, placement) in parts {
        answer.anywhere(residency, at..part.start);
        at = part.end;
        match Turns::of(placement.policy_ref()) {
            Some(turns) => answer.in_turn(residency, &part, &turns, first, groups),
            None => answer.on_nodes(residency, &part, placement.policy().nodes()),
        }
    }
    answer.anywhere(residency, at..usize::MAX);
    answer
}

impl Verification {
    /// A part of which nothing was asked.
    fn anywhere(&mut self, residency: &Residency, part: Range<usize>) {
        self.on_nodes(residency, &part, None);
    }

    /// A part that may be on any of some nodes.
    fn on_nodes(&mut self, residency: &Residency, part: &Range<usize>, asked: Option<NodeSet>) {
        for (range, place) in within(residency, part) {
            match place {
                PageLocation::On { node, .. } => match asked {
                    Some(asked) if !asked.contains(node) => self.misplace(range, node, asked),
                    _ => self.in_place += range.len() as u64,
                },
                _ => self.not_in_ram += range.len() as u64,
            }
        }
    }

    /// A part that is interleaved.
    fn in_turn(
        &mut self,
        residency: &Residency,
        part: &Range<usize>,
        turns: &Turns,
        first: usize,
        groups: &dyn Fn() -> Vec<usize>,
    ) {
        let base = PageSize::base().bytes();
        // How pages of each size that there is go round.
        let mut rounds: Vec<(usize, Round)> = Vec::new();
        let mut sizes: Vec<usize> = Vec::new();
        for unit in units(residency, part, first) {
            if !sizes.contains(&unit.page) {
                sizes.push(unit.page);
            }
        }
        for page in sizes {
            let pages = || units(residency, part, first).filter(move |unit| unit.page == page);
            let fit = |group: usize| {
                let numbered = pages().map(|unit| (unit.number_in(group, first), unit.node));
                let (phase, hits) = turns.best_phase(numbered);
                (hits, Round { phase, group })
            };
            let mut best = fit(1);
            let count = pages().count();
            if page == base && best.0 < count {
                // Two rounds at least: a few pages would fit anything.
                let sizes = groups().into_iter().map(|bytes| bytes / base);
                for group in sizes.filter(|group| count >= 2 * turns.len() * group).map(fit) {
                    if group.0 > best.0 {
                        best = group;
                    }
                }
            }
            rounds.push((page, best.1));
        }
        for unit in units(residency, part, first) {
            let round = rounds.iter().find(|(page, _)| *page == unit.page).map(|(_, round)| *round);
            let Some(Round { phase, group }) = round else { continue };
            let wanted = turns.at(unit.number_in(group, first) + phase);
            if wanted == unit.node {
                self.in_place += unit.range.len() as u64;
            } else {
                self.misplace(unit.range, unit.node, NodeSet::single(wanted));
            }
        }
        self.not_in_ram += within(residency, part)
            .filter(|(_, place)| !matches!(place, PageLocation::On { .. }))
            .map(|(range, _)| range.len() as u64)
            .sum::<u64>();
    }

    fn misplace(&mut self, range: Range<usize>, node: Node, asked: NodeSet) {
        match self.misplaced.last_mut() {
            Some(last) if last.range.end == range.start && last.node == node && last.asked == asked => {
                last.range.end = range.end;
            }
            _ => self.misplaced.push(Misplaced { range, node, asked }),
        }
    }
}

/// How pages of one size go round: in groups of so many, from that turn on.
#[derive(Clone, Copy, Debug)]
struct Round {
    phase: usize,
    group: usize,
}

/// A page in RAM, or what is there of it: its number among pages of its size.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unit {
    range: Range<usize>,
    node: Node,
    page: usize,
    number: usize,
}

impl Unit {
    /// Its number, or that of the group of pages that it belongs to.
    fn number_in(&self, group: usize, first: usize) -> usize {
        let bytes = group * self.page;
        match group {
            1 => self.number,
            _ => (self.range.start + bytes - first % bytes) / bytes,
        }
    }
}

/// What was measured of a part.
fn within<'a>(
    residency: &'a Residency,
    part: &Range<usize>,
) -> impl Iterator<Item = (Range<usize>, PageLocation)> + 'a {
    let part = part.clone();
    let runs = residency.runs();
    let begin = runs.partition_point(|run| run.range.end <= part.start);
    runs[begin..].iter().take_while(move |run| run.range.start < part.end).filter_map(move |run| {
        let range = run.range.start.max(part.start)..run.range.end.min(part.end);
        (!range.is_empty()).then_some((range, run.place))
    })
}

/// The pages of a part that are in RAM, in order.
fn units(residency: &Residency, part: &Range<usize>, first: usize) -> impl Iterator<Item = Unit> {
    let (base, huge) = (PageSize::base().bytes(), PageSize::transparent().bytes());
    within(residency, part).flat_map(move |(range, place)| {
        let (node, reported) = match place {
            PageLocation::On { node, page } => (Some(node), page.bytes()),
            _ => (None, base),
        };
        let mut at = range.start;
        std::iter::from_fn(move || {
            let node = node.filter(|_| at < range.end)?;
            // A block that lies on one node as a whole is a huge page, reported or not.
            let whole = reported == base && at % huge == first % huge && range.end - at >= huge;
            let page = if whole { huge } else { reported };
            let skew = if page == base { 0 } else { first % page };
            let number = (at + page - skew) / page;
            let end = (number * page + skew).min(range.end);
            let unit = Unit { range: at..end, node, page, number };
            at = end;
            Some(unit)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::Policy;
    use crate::residency::made_up;

    fn node(id: u32) -> Node {
        Node::new(id).unwrap()
    }

    fn bind(id: u32) -> Placement {
        Placement::new(Policy::Bind(NodeSet::single(node(id))))
    }

    #[test]
    fn each_page_is_held_against_its_own_part() {
        let residency = made_up(&[(2, Some(0)), (2, Some(1)), (1, None), (3, Some(1))]);
        let page = 4096;
        let all = |placement| verify(&residency, 0, [(0..8 * page, placement)].into_iter());

        let answer = all(Placement::default());
        assert!(answer.holds());
        assert_eq!((answer.in_place(), answer.not_in_ram()), (7 * 4096, 4096));

        let answer = all(bind(1));
        assert_eq!(
            answer.misplaced(),
            [Misplaced { range: 0..2 * page, node: node(0), asked: NodeSet::single(node(1)) }]
        );
        assert_eq!(
            answer.to_string(),
            "20.0 KiB of 28.0 KiB in RAM are in place (71.4 %); 8.00 KiB elsewhere, the first at 0x0: on node 0, not 1"
        );

        // Parts that begin inside a run, end inside another, and leave a gap in which everything is
        // well.
        let parts = [(page..3 * page, bind(1)), (6 * page..7 * page, bind(0))];
        let answer = verify(&residency, 0, parts.into_iter());
        let wrong: Vec<_> = answer.misplaced().iter().map(|part| part.range.clone()).collect();
        assert_eq!(wrong, [page..2 * page, 6 * page..7 * page]);
        assert_eq!(answer.elsewhere() + answer.in_place() + answer.not_in_ram(), residency.size());
    }

    #[test]
    fn nothing_in_ram_is_nothing_out_of_place() {
        let answer = verify(&made_up(&[(4, None)]), 0, [(0..1 << 20, bind(3))].into_iter());
        assert!(answer.holds());
        assert_eq!(answer.to_string(), "all 0 B in RAM are in place");
        assert!((answer.share() - 1.0).abs() < f64::EPSILON);
    }

    fn interleave(ids: &[u32]) -> Placement {
        Placement::new(Policy::Interleave(ids.iter().map(|&id| node(id)).collect()))
    }

    /// So many pages on each of these nodes in turn.
    fn dealt(list: impl IntoIterator<Item = u32>, pages: usize) -> Residency {
        made_up(&list.into_iter().map(|id| (pages, Some(id))).collect::<Vec<_>>())
    }

    fn check(residency: &Residency, placement: Placement) -> Verification {
        let size = usize::try_from(residency.size()).unwrap();
        let answer = verify(residency, 0, [(0..size, placement)].into_iter());
        assert_eq!(answer.elsewhere() + answer.in_place() + answer.not_in_ram(), residency.size());
        answer
    }

    #[test]
    fn interleaved_pages_are_held_against_whose_turn_it_is() {
        let policy = interleave(&[0, 1, 2]);
        for begin in 0..3 {
            assert!(check(&dealt((begin..begin + 30).map(|turn| turn % 3), 1), policy).holds());
        }
        // Two that changed places: both on nodes of the policy, and neither where its turn is.
        let answer = check(&dealt([0, 1, 2, 0, 2, 1, 0, 1, 2], 1), policy);
        let reported: Vec<_> = answer.misplaced().iter().map(|part| (part.node, part.asked)).collect();
        let single = |id| NodeSet::single(node(id));
        assert_eq!(reported, [(node(2), single(1)), (node(1), single(2))]);
        // All on one node: a third is in place, wherever the round begins.
        assert_eq!(check(&dealt([1; 30], 1), policy).elsewhere(), 20 * 4096);
        // Holes do not move the round on.
        let holes = made_up(&[(1, Some(0)), (2, None), (1, Some(0)), (1, Some(1)), (1, None), (1, Some(0))]);
        assert!(check(&holes, policy).holds());
    }

    #[test]
    fn huge_pages_and_groups_of_pages_go_round_by_themselves() {
        let policy = interleave(&[0, 2]);
        assert!(check(&dealt([0, 2, 0, 2], 512), policy).holds());
        assert!(check(&dealt([2, 0], 512), policy).holds());
        // What collapsing on the majority's node came to.
        assert_eq!(check(&dealt([0; 12], 512), policy).elsewhere(), 6 * (2 << 20));
        // A block of base pages between huge pages, with a beginning of its own, and the rest of a
        // block behind them.
        let blocks = [(512, Some(0)), (512, Some(2))];
        let single: Vec<_> = (0..512).map(|page| (1, Some(page % 2 * 2))).collect();
        let rest = [(512, Some(2)), (1, Some(0)), (1, Some(2))];
        let mixed = made_up(&[&blocks[..], &single, &rest].concat());
        assert!(check(&mixed, policy).holds(), "{}", check(&mixed, policy));
        // Folios of 64 KiB, where the kernel has such.
        let folios = dealt((0..40).map(|group| group % 2 * 2), 16);
        let all = || [(0..1 << 30, policy)].into_iter();
        assert!(verify_where(&folios, 0, all(), &|| vec![32 << 10, 64 << 10]).holds());
        assert!(!verify_where(&folios, 0, all(), &Vec::new).holds());
        let few = dealt([2; 3], 16);
        assert!(!verify_where(&few, 0, all(), &|| vec![64 << 10]).holds(), "too few to say");
        // Not aligned: 2 MiB that belong to no one huge page.
        let shifted = made_up(&[&[(1, Some(2))][..], &[(512, Some(0)), (511, Some(2))]].concat());
        assert!(!check(&shifted, policy).holds());
    }
}
