//! Comparing what was measured with what was asked.

use std::fmt;
use std::ops::Range;

use crate::place::{Node, NodeSet, Placement};
use crate::residency::{Residency, Where};
use crate::size::Bytes;

/// Pages that are on a node where they were not asked to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Misplaced {
    /// Bytes from the beginning of the area; whole pages.
    pub range: Range<usize>,
    /// Where they are.
    pub node: Node,
    /// Where they were asked to be.
    pub asked: NodeSet,
}

/// Whether the pages of an area are where they were asked to be: the answer of a measurement.
///
/// A page is in place on any node that its policy names. Policies that name none are always obeyed. What is not in RAM is
/// nowhere, and not out of place.
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

/// Compares. `parts` are in order and do not overlap; what they leave out may be anywhere.
pub(crate) fn verify(
    residency: &Residency,
    parts: impl Iterator<Item = (Range<usize>, Placement)>,
) -> Verification {
    let mut answer = Verification { in_place: 0, misplaced: Vec::new(), not_in_ram: 0 };
    let mut parts = parts.peekable();
    for run in residency.runs() {
        let Where::On { node, .. } = run.place else {
            answer.not_in_ram += run.range.len() as u64;
            continue;
        };
        let mut at = run.range.start;
        while at < run.range.end {
            while parts.next_if(|(part, _)| part.end <= at).is_some() {}
            let (end, asked) = match parts.peek() {
                Some((part, placement)) if part.start <= at => (part.end, placement.policy().nodes()),
                Some((part, _)) => (part.start, None),
                None => (usize::MAX, None),
            };
            let range = at..end.min(run.range.end);
            at = range.end;
            match asked {
                Some(asked) if !asked.contains(node) => match answer.misplaced.last_mut() {
                    Some(last)
                        if last.range.end == range.start && last.node == node && last.asked == asked =>
                    {
                        last.range.end = range.end;
                    }
                    _ => answer.misplaced.push(Misplaced { range, node, asked }),
                },
                _ => answer.in_place += range.len() as u64,
            }
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Policy;
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
        let all = |placement| verify(&residency, [(0..8 * page, placement)].into_iter());

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

        // Parts that begin inside a run, end inside another, and leave a gap in which everything is well.
        let parts = [(page..3 * page, bind(1)), (6 * page..7 * page, bind(0))];
        let answer = verify(&residency, parts.into_iter());
        let wrong: Vec<_> = answer.misplaced().iter().map(|part| part.range.clone()).collect();
        assert_eq!(wrong, [page..2 * page, 6 * page..7 * page]);
        assert_eq!(answer.elsewhere() + answer.in_place() + answer.not_in_ram(), residency.size());
    }

    #[test]
    fn nothing_in_ram_is_nothing_out_of_place() {
        let answer = verify(&made_up(&[(4, None)]), [(0..1 << 20, bind(3))].into_iter());
        assert!(answer.holds());
        assert_eq!(answer.to_string(), "all 0 B in RAM are in place");
        assert!((answer.share() - 1.0).abs() < f64::EPSILON);
    }
}
