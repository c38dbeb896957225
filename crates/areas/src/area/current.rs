//! The placement that the kernel has *now*. The policy of an object of base pages lies on the
//! object: any process that has it mapped may have changed its placement, or that of a part, since
//! it was asked for here.
//!
//! The policy of private memory and of hugetlb pages lies on our own mapping, where no other
//! process reaches it. There, what was asked counts: the kernel itself rewrites such a policy when
//! a cpuset shrinks, and that is to be seen.

use std::ops::Range;

use super::kind::MaybeObject;
use super::{Area, AreaKind};
use crate::nodes::Placement;
use crate::page::PageSize;
use crate::sys;

/// A part, in bytes, and its placement.
type Part = (Range<usize>, Placement);

/// At how many places a part is asked at least, if it has as many pages.
const PLACES: usize = 64;

impl<K: AreaKind> Area<K> {
    /// The placement of all of its pages, part by part, as the kernel has it; `None` where what was
    /// asked counts, or where the kernel does not report it.
    ///
    /// Each part that was asked for is looked at in its first page and its last, and at least once
    /// in 2 MiB; where two of these differ, the page is found at which they do.
    pub(super) fn placed_now(&self) -> Option<Vec<Part>> {
        let base = PageSize::base().bytes();
        let mut now: Vec<Part> = Vec::new();
        for (range, asked) in self.asked_now()? {
            let pages = range.start / base..range.end.div_ceil(base);
            let step = (pages.len() / PLACES).clamp(1, PageSize::transparent().bytes() / base);
            for (pages, placement) in cut(&pages, step, &mut |page| self.kernels(page * base, &asked))? {
                match now.last_mut() {
                    Some((last, its)) if *its == placement => last.end = pages.end * base,
                    _ => now.push((pages.start * base..pages.end * base, placement)),
                }
            }
        }
        Some(now)
    }

    /// The placement of the whole: what was asked, unless the kernel has another one for the first
    /// page than was asked for that.
    pub(super) fn placement_now(&self) -> Placement {
        let first = self.asked_now().and_then(|parts| parts.into_iter().next());
        let Some((_, asked)) = first else { return self.placement.whole() };
        match self.kernels(0, &asked) {
            Some(reported) if reported != asked => reported,
            _ => self.placement.whole(),
        }
    }

    /// What was asked of each part that pages can be in, without gaps; `None` where that counts and
    /// the kernel need not be asked.
    fn asked_now(&self) -> Option<Vec<Part>> {
        let object = self.object.get()?;
        let used = self.used();
        if object.page_size() != PageSize::base() || object.physical().is_some() || used == 0 {
            return None;
        }
        let asked = self.mapping.asked();
        if asked.is_empty() {
            return Some(vec![(0..used, self.placement.whole())]);
        }
        let (mut parts, mut at) = (Vec::new(), 0);
        for (range, placement) in asked.parts().take_while(|(range, _)| range.start < used) {
            if at < range.start {
                parts.push((at..range.start, Placement::default()));
            }
            at = range.end.min(used);
            parts.push((range.start..at, placement));
        }
        if at < used {
            parts.push((at..used, Placement::default()));
        }
        Some(parts)
    }

    /// What the kernel has for the page at a byte: what was asked, with its home node, which the
    /// kernel does not report, if that is the same.
    fn kernels(&self, at: usize, asked: &Placement) -> Option<Placement> {
        let address = self.mapping.check(at, 1, self.mapping.span()).ok()?;
        let reported = sys::policy::placement_at(address).ok()?;
        let same =
            reported.policy_ref() == asked.policy_ref() && reported.is_balanced() == asked.is_balanced();
        Some(if same { *asked } else { reported })
    }
}

/// Cuts a range into parts of one answer each: it is asked for every `step`th, and between two that
/// differ for the first that does. `None` as soon as there is no answer.
fn cut<T: Copy + PartialEq>(
    range: &Range<usize>,
    step: usize,
    ask: &mut dyn FnMut(usize) -> Option<T>,
) -> Option<Vec<(Range<usize>, T)>> {
    let mut parts = Vec::new();
    if range.is_empty() {
        return Some(parts);
    }
    let (mut start, mut at, mut here) = (range.start, range.start, ask(range.start)?);
    while at + 1 < range.end {
        let next = (at + step).min(range.end - 1);
        let (mut same, mut other, mut there) = (at, next, ask(next)?);
        while there != here && other - same > 1 {
            let middle = same.midpoint(other);
            let reported = ask(middle)?;
            if reported == here {
                same = middle;
            } else {
                (other, there) = (middle, reported);
            }
        }
        if there != here {
            parts.push((start..other, here));
            (start, here) = (other, there);
        }
        at = other;
    }
    parts.push((start..range.end, here));
    Some(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nodes::{Node, NodeSet, Policy};

    proptest! {
        #[test]
        fn parts_that_are_wider_than_a_step_are_all_found(
            lengths in prop::collection::vec((1..30_usize, 0..4_u8), 1..12), step in 1..10_usize, first in 0..5_usize,
        ) {
            let list: Vec<u8> = lengths.iter().flat_map(|&(len, id)| std::iter::repeat_n(id, len + step)).collect();
            let mut asked = 0;
            let range = first..first + list.len();
            let parts = cut(&range, step, &mut |at| { asked += 1; Some(list[at - first]) }).unwrap();
            let reported: Vec<u8> = parts.iter().flat_map(|(range, id)| std::iter::repeat_n(*id, range.len())).collect();
            prop_assert_eq!(&reported, &list);
            prop_assert!(parts.windows(2).all(|two| two[0].0.end == two[1].0.start && two[0].1 != two[1].1));
            prop_assert_eq!((parts[0].0.start, parts[parts.len() - 1].0.end), (range.start, range.end));
            prop_assert!(asked <= list.len().div_ceil(step) + 1 + parts.len() * 5);
        }
    }

    #[test]
    fn no_answer_is_none_and_nothing_is_nothing() {
        assert_eq!(cut::<u8>(&(3..3), 1, &mut |_| None), Some(Vec::new()));
        assert_eq!(cut::<u8>(&(0..9), 2, &mut |at| (at < 6).then_some(0)), None);
        assert_eq!(cut(&(0..1), 7, &mut |_| Some(1)), Some(vec![(0..1, 1)]));
    }

    /// Node 0 is everywhere: what another holder of an object asks of a part, and of all, is
    /// reported here.
    #[test]
    fn what_others_ask_of_an_object_is_reported() {
        let page = PageSize::base().bytes();
        let on =
            |policy: fn(NodeSet) -> Policy| Placement::new(policy(NodeSet::single(Node::new(0).unwrap())));
        let (bind, interleave) = (on(Policy::Bind), on(Policy::Interleave));
        let area = crate::builder(100 * page).place(bind).shared().unwrap();
        let mut other = crate::residency::map_window(area.object(), &(0..100 * page)).unwrap();
        assert_eq!(area.placed_now().unwrap(), [(0..100 * page, bind)]);
        other.place(30 * page..60 * page, &interleave).unwrap();
        let parts = [(0..30 * page, bind), (30 * page..60 * page, interleave), (60 * page..100 * page, bind)];
        assert_eq!(area.placed_now().unwrap(), parts);
        assert_eq!(area.placement(), bind);
        other.place(0..100 * page, &interleave).unwrap();
        assert_eq!(area.placed_now().unwrap(), [(0..100 * page, interleave)]);
        assert_eq!(area.placement(), interleave);
        assert!(area.verify().unwrap().holds());
        let private = crate::builder(page).place(bind).private().unwrap();
        assert_eq!((private.placed_now(), private.placement()), (None, bind));
    }
}
