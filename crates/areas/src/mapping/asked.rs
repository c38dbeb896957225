//! What was asked of the place of each part of a mapping: to compare a measurement with.

use std::ops::Range;

use crate::nodes::{Placement, SmallPlacement};

/// Parts of a mapping and their placements, by their first bytes: a later one takes the place of an
/// earlier one.
#[derive(Clone, Debug, Default)]
pub(crate) enum Asked {
    #[default]
    Nothing,
    /// Mostly there is one, which then stands here, without memory of its own.
    One(Range<usize>, SmallPlacement),
    Several(Parts),
}

/// # Invariants
/// The parts do not overlap; neighbours with the same placement are one part.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts(Vec<Part>);

type Part = (Range<usize>, Placement);

impl Asked {
    /// From now on this part is placed so.
    #[inline]
    pub(super) fn place(&mut self, range: Range<usize>, placement: &Placement) {
        if let (Asked::Nothing, Some(small)) = (&self, SmallPlacement::new(placement)) {
            if !range.is_empty() {
                *self = Asked::One(range, small);
            }
            return;
        }
        self.several().place(range, *placement);
    }

    fn several(&mut self) -> &mut Parts {
        if !matches!(self, Asked::Several(_)) {
            *self = Asked::Several(Parts(self.parts().collect()));
        }
        match self {
            Asked::Several(parts) => parts,
            _ => unreachable!("made two lines above"),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts().next().is_none()
    }

    /// The placement of the first `len` bytes, if they have one and the same.
    pub(crate) fn of_all(&self, len: usize) -> Option<Placement> {
        let (range, placement) = self.parts().next()?;
        (range.start == 0 && range.end >= len).then_some(placement)
    }

    /// What was asked of a part of the mapping, for that part by itself.
    pub(super) fn within(&self, part: &Range<usize>) -> Self {
        let mut inside = Asked::Nothing;
        for (range, placement) in self.parts() {
            let (start, end) = (range.start.max(part.start), range.end.min(part.end));
            if start < end {
                inside.place(start - part.start..end - part.start, &placement);
            }
        }
        inside
    }

    /// The parts in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        let (one, several) = match self {
            Asked::Nothing => (None, None),
            Asked::One(range, placement) => (Some((range.clone(), placement.whole())), None),
            Asked::Several(parts) => (None, Some(parts.0.iter().cloned())),
        };
        one.into_iter().chain(several.into_iter().flatten())
    }
}

impl Parts {
    fn place(&mut self, range: Range<usize>, placement: Placement) {
        if range.is_empty() {
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
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nodes::{Node, Policy};

    fn on(node: u32) -> Placement {
        Placement::new(Policy::Preferred(Node::new(node).unwrap()))
    }

    #[test]
    fn one_placement_of_any_kind_comes_back() {
        for text in ["bind:0-3,63", "bind:64", "preferred:1023", "local", "bind:all"] {
            let placement = Placement::new(text.parse().unwrap());
            let mut asked = Asked::default();
            asked.place(0..4096, &placement);
            assert_eq!(asked.parts().collect::<Vec<_>>(), [(0..4096, placement)]);
            assert_eq!(asked.of_all(4096), Some(placement));
        }
    }

    proptest! {
        #[test]
        fn behaves_like_a_list_of_bytes(steps in prop::collection::vec((0..50_usize, 0..20_usize, 0..3_u32), 0..40)) {
            let mut asked = Asked::default();
            let mut model = [None; 70];
            for (start, len, node) in steps {
                asked.place(start..start + len, &on(node));
                model[start..start + len].fill(Some(on(node)));
            }
            let mut reported = [None; 70];
            let mut end = None;
            for (range, placement) in asked.parts() {
                prop_assert!(!range.is_empty() && reported[range.clone()].iter().all(Option::is_none));
                // One part where one will do.
                prop_assert!(end != Some((range.start, placement)));
                end = Some((range.end, placement));
                reported[range].fill(Some(placement));
            }
            prop_assert_eq!(reported, model);
        }
    }
}
