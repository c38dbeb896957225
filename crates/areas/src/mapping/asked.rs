//! What was asked of the place of each part of a mapping: to compare a measurement with.

use std::ops::Range;

use crate::place::Placement;

/// Parts of a mapping and their placements, by their first bytes: a later one takes the place of an earlier one.
///
/// # Invariants
/// The parts do not overlap; neighbours with the same placement are one part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked(Vec<Part>);

type Part = (Range<usize>, Placement);

impl Asked {
    /// From now on this part is placed so.
    pub(super) fn place(&mut self, range: Range<usize>, placement: Placement) {
        if range.is_empty() {
            return;
        }
        if self.0.is_empty() {
            // Mostly there is one.
            self.0.reserve_exact(1);
            self.0.push((range, placement));
            return;
        }
        let Range { mut start, mut end } = range;
        // All that it touches: they begin before its end, and end behind its start.
        let from = self.0.partition_point(|(other, _)| other.end < start);
        let to = self.0.partition_point(|(other, _)| other.start <= end);
        let (mut before, mut after): (Option<Part>, Option<Part>) = (None, None);
        if let Some((other, its)) = self.0[from..to].first()
            && other.start < start
        {
            if *its == placement {
                start = other.start;
            } else {
                before = Some((other.start..start, *its));
            }
        }
        if let Some((other, its)) = self.0[from..to].last()
            && other.end > end
        {
            if *its == placement {
                end = other.end;
            } else {
                after = Some((end..other.end, *its));
            }
        }
        let parts = before.into_iter().chain([(start..end, placement)]).chain(after);
        self.0.splice(from..to, parts);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The placement of the first `len` bytes, if they have one and the same.
    pub(crate) fn of_all(&self, len: usize) -> Option<Placement> {
        let (range, placement) = self.0.first()?;
        (range.start == 0 && range.end >= len).then_some(*placement)
    }

    /// The parts in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        self.0.iter().cloned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::place::{Node, Policy};

    fn on(node: u32) -> Placement {
        Placement::new(Policy::Preferred(Node::new(node).unwrap()))
    }

    proptest! {
        #[test]
        fn behaves_like_a_list_of_bytes(steps in prop::collection::vec((0..50_usize, 0..20_usize, 0..3_u32), 0..40)) {
            let mut asked = Asked::default();
            let mut model = [None; 70];
            for (start, len, node) in steps {
                asked.place(start..start + len, on(node));
                model[start..start + len].fill(Some(on(node)));
            }
            let mut told = [None; 70];
            let mut end = None;
            for (range, placement) in asked.parts() {
                prop_assert!(!range.is_empty() && told[range.clone()].iter().all(Option::is_none));
                // One part where one will do.
                prop_assert!(end != Some((range.start, placement)));
                end = Some((range.end, placement));
                told[range].fill(Some(placement));
            }
            prop_assert_eq!(told, model);
        }
    }
}
