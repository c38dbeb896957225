//! Moving pages to where they are asked to be.
//!
//! The kernel moves pages one by one to the nodes that it is given (`move_pages`), in large
//! batches; a huge page is one page, and is named once. Success is not proof: it is measured again
//! afterwards, and whatever stayed is reported with the kernel's reason. Only then new pages come
//! from the new place: where nothing would move, the policy is as it was.
//!
//! Whose page tables the pages are in decides who may move them. [`here`] moves what this process
//! has mapped; [`elsewhere`] moves an object's pages through the processes that have them mapped,
//! without mapping them itself.

mod elsewhere;
mod here;
mod targets;

use std::fmt;
use std::ops::Range;

pub(crate) use elsewhere::Elsewhere;
pub(crate) use here::{Here, first_huge_page};

use self::targets::Targets;
use crate::error::Result;
use crate::mover::{BATCH, UnmovedReason, Wanted};
use crate::nodes::{Node, Placement};
use crate::page::PageSize;
use crate::populate::Progress;
use crate::provider::{Provider, Request, System};
use crate::residency::{PageLocation, Residency};
use crate::size::Bytes;
use crate::turns::Origin;
use crate::verify::Verification;

/// Pages that would not move.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnmovedRange {
    /// Bytes from the beginning of the area; whole pages.
    pub range: Range<usize>,
    /// Where they were to move to.
    pub target: Node,
    /// Why they did not.
    pub why: UnmovedReason,
}

/// What a migration came to: measured before and after.
#[derive(Clone, Debug)]
pub struct Migration {
    moved: u64,
    stayed: Vec<UnmovedRange>,
    placed: bool,
    verification: Verification,
}

impl Migration {
    /// Bytes that are on another node than before.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// What would not move, in order.
    #[must_use]
    pub fn stayed(&self) -> &[UnmovedRange] {
        &self.stayed
    }

    /// Whether new pages come from the new place now. Where there was something to move and nothing
    /// of it would, the policy is as it was.
    #[must_use]
    pub fn is_placed(&self) -> bool {
        self.placed
    }

    /// Whether everything is where it was asked to be now.
    #[must_use]
    pub fn verification(&self) -> &Verification {
        &self.verification
    }
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#} moved; {}", Bytes(self.moved), self.verification)?;
        let mut reasons: Vec<(UnmovedReason, u64)> = Vec::new();
        for part in &self.stayed {
            match reasons.iter_mut().find(|(why, _)| *why == part.why) {
                Some((_, bytes)) => *bytes += part.range.len() as u64,
                None => reasons.push((part.why, part.range.len() as u64)),
            }
        }
        for (why, bytes) in reasons {
            write!(f, "; {:#} stayed: {why}", Bytes(bytes))?;
        }
        if !self.placed {
            f.write_str("; its policy is as it was")?;
        }
        Ok(())
    }
}

/// Bytes that are on different nodes in two measurements.
fn changed(before: &Residency, after: &Residency) -> u64 {
    let mut later = after.runs().iter().peekable();
    let mut bytes = 0;
    for run in before.runs() {
        let PageLocation::On { node, .. } = run.place else { continue };
        let mut at = run.range.start;
        while at < run.range.end {
            while later.next_if(|other| other.range.end <= at).is_some() {}
            let Some(other) = later.peek() else { return bytes };
            let end = other.range.end.min(run.range.end);
            if matches!(other.place, PageLocation::On { node: now, .. } if now != node) {
                bytes += (end - at) as u64;
            }
            at = end;
        }
    }
    bytes
}

/// Memory whose pages are moved.
pub(crate) trait Ground {
    /// Where its pages are, and how large.
    fn measure(&mut self) -> Result<Residency>;

    /// Where the first huge page begins, less whole huge pages.
    fn first(&self) -> usize;

    /// Where the kernel begins to deal pages out.
    fn origin(&self) -> Origin;

    /// Moves pages. For each: why it is not on its target, if it is not.
    fn shift(&mut self, batch: &[Wanted]) -> Result<Vec<Option<UnmovedReason>>>;

    /// From now on, new pages come from there.
    fn place(&mut self, placement: &Placement) -> Result<()>;

    /// What has come of it.
    fn verify(&self, residency: &Residency, placement: Placement) -> Verification;
}

/// How often pages that came in while others were moved are moved after them.
const ROUNDS: usize = 3;

/// Moves what is elsewhere, and places what is to come. What would not move is reported. The
/// placement is resolved.
pub(crate) fn run(
    ground: &mut dyn Ground,
    placement: Placement,
    progress: &mut dyn FnMut(Progress),
) -> Result<Migration> {
    // What this kernel does not know, or a sandbox forbids, is found out before anything is moved:
    // with a page of our own.
    if !placement.is_default() {
        let probe = Request::new(PageSize::base().bytes()).placed_as_resolved(placement);
        drop(System::new().map(&probe)?);
    }
    let targets = Targets::new(placement, ground.origin())?;
    let before = ground.measure()?.all_located()?;
    let mut stayed = Vec::new();
    let mut wanted = targets.wanted(&before, ground.first());
    let moved = shift_all(ground, &wanted, &mut stayed, progress)?;
    let placed = moved || wanted.is_empty();
    if placed {
        ground.place(&placement)?;
    }
    let mut after = ground.measure()?.all_located()?;
    // Until a moment ago pages came from where they did before.
    for _ in 1..ROUNDS {
        if !placed {
            break;
        }
        let known: Vec<Range<usize>> = stayed.iter().map(|part: &UnmovedRange| part.range.clone()).collect();
        wanted = targets.wanted(&after, ground.first());
        wanted.retain(|page| !overlaps(&known, &page.range));
        if wanted.is_empty() || !shift_all(ground, &wanted, &mut stayed, &mut |_| {})? {
            break;
        }
        after = ground.measure()?.all_located()?;
    }
    stayed.sort_by_key(|part| part.range.start);
    let verification = ground.verify(&after, placement);
    Ok(Migration { moved: changed(&before, &after), stayed, placed, verification })
}

/// Whether a range has bytes of one of those, which are in order.
fn overlaps(ranges: &[Range<usize>], range: &Range<usize>) -> bool {
    let at = ranges.partition_point(|known| known.end <= range.start);
    ranges.get(at).is_some_and(|known| known.start < range.end)
}

/// Adds to what stayed, in order; neighbours that stayed for the same reason are one.
fn note(stayed: &mut Vec<UnmovedRange>, page: &Wanted, why: UnmovedReason) {
    match stayed.last_mut() {
        Some(last) if last.range.end == page.range.start && last.target == page.target && last.why == why => {
            last.range.end = page.range.end;
        }
        _ => stayed.push(UnmovedRange { range: page.range.clone(), target: page.target, why }),
    }
}

/// Moves all of these; whether any of them moved.
fn shift_all(
    ground: &mut dyn Ground,
    wanted: &[Wanted],
    stayed: &mut Vec<UnmovedRange>,
    progress: &mut dyn FnMut(Progress),
) -> Result<bool> {
    let total = wanted.iter().map(|page| page.range.len()).sum();
    let (mut done, mut moved) = (0, false);
    let mut found = Vec::new();
    for batch in wanted.chunks(BATCH) {
        let mut batch = batch.to_vec();
        // The kernel moves those together that stand together and go to one node.
        batch.sort_by_key(|page| page.target);
        for (page, why) in batch.iter().zip(ground.shift(&batch)?) {
            match why {
                None => moved = true,
                Some(why) => note(&mut found, page, why),
            }
        }
        done += batch.iter().map(|page| page.range.len()).sum::<usize>();
        progress(Progress { done, total });
    }
    stayed.append(&mut found);
    stayed.sort_by_key(|part| part.range.start);
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::residency::made_up;

    #[test]
    fn what_changed_between_two_measurements() {
        let before = made_up(&[(4, Some(0)), (2, None), (2, Some(1))]);
        let after = made_up(&[(1, Some(0)), (2, Some(1)), (3, Some(0)), (2, Some(1))]);
        assert_eq!(changed(&before, &after), 2 * 4096);
        assert_eq!(changed(&before, &before), 0);
        assert_eq!(changed(&before, &made_up(&[])), 0);
    }

    #[test]
    fn ranges_that_overlap() {
        let known = [0..4, 8..12];
        for (range, expected) in [(0..1, true), (3..5, true), (4..8, false), (7..9, true), (12..20, false)] {
            assert_eq!(overlaps(&known, &range), expected, "{range:?}");
        }
        assert!(!overlaps(&[], &(0..9)));
    }

    #[test]
    fn neighbours_that_stayed_alike_are_one() {
        let node = |id| Node::new(id).unwrap();
        let page = |at: usize, id| Wanted { range: at * 4096..(at + 1) * 4096, target: node(id) };
        let mut stayed = Vec::new();
        for (at, id, why) in [
            (0, 1, UnmovedReason::Busy),
            (1, 1, UnmovedReason::Busy),
            (2, 2, UnmovedReason::Busy),
            (3, 2, UnmovedReason::NoRoom),
        ] {
            note(&mut stayed, &page(at, id), why);
        }
        let reported: Vec<_> = stayed.iter().map(|part| (part.range.end / 4096, part.why)).collect();
        assert_eq!(
            reported,
            [(2, UnmovedReason::Busy), (3, UnmovedReason::Busy), (4, UnmovedReason::NoRoom)]
        );
    }
}
