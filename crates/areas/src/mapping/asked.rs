//! What was asked of the place of each part of a mapping: to compare a measurement with.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::place::Placement;

/// Parts of a mapping and their placements: a later one takes the place of an earlier one.
///
/// # Invariants
/// The parts do not overlap; neighbours with the same placement are one part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked(BTreeMap<usize, (usize, Placement)>);

impl Asked {
    /// From now on this part is placed so.
    pub(super) fn place(&mut self, range: Range<usize>, placement: Placement) {
        if range.is_empty() {
            return;
        }
        let Range { mut start, mut end } = range;
        // The part that reaches into ours from the left, and those that begin inside.
        let left = self.0.range(..start).next_back().map(|(&at, &part)| (at, part));
        if let Some((at, (to, other))) = left
            && to > start
        {
            self.0.insert(at, (start, other));
            if to > end {
                self.0.insert(end, (to, other));
            }
        }
        let inside: Vec<usize> = self.0.range(start..end).map(|(&at, _)| at).collect();
        for at in inside {
            if let Some((to, other)) = self.0.remove(&at)
                && to > end
            {
                self.0.insert(end, (to, other));
            }
        }
        if let Some((&at, &(to, other))) = self.0.range(..start).next_back()
            && to == start
            && other == placement
        {
            self.0.remove(&at);
            start = at;
        }
        if let Some(&(to, other)) = self.0.get(&end)
            && other == placement
        {
            self.0.remove(&end);
            end = to;
        }
        self.0.insert(start, (end, placement));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The placement of the first `len` bytes, if they have one and the same.
    pub(crate) fn of_all(&self, len: usize) -> Option<Placement> {
        let (&start, &(end, placement)) = self.0.first_key_value()?;
        (start == 0 && end >= len).then_some(placement)
    }

    /// The parts in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (Range<usize>, Placement)> + '_ {
        self.0.iter().map(|(&start, &(end, placement))| (start..end, placement))
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
