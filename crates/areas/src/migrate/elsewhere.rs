//! An object whose pages are moved without a mapping of our own being in the way.
//!
//! The kernel lets an ordinary user move pages that one process has mapped, and no other. A clone
//! of our own would be a second one. So the pages are moved through the processes that have them
//! mapped (`move_pages` takes a process), and only what no process has mapped (what was written by
//! `pwrite` or taken by `fallocate`, and collapsed huge pages that were never touched since) is
//! mapped here, piece by piece, with nothing beside it: the kernel would map neighbours along. The
//! holder that the area was found by comes first: most areas have no other, and to know of others
//! takes a look at every process. A process with `CAP_SYS_NICE` needs none of that, and moves all
//! through windows here.

use std::cell::OnceCell;
use std::ops::Range;

use super::Ground;
use crate::error::Result;
use crate::mapping::Mapping;
use crate::mover::{Mover, UnmovedReason, Wanted};
use crate::nodes::Placement;
use crate::object::Object;
use crate::page::PageSize;
use crate::registry::{Mapped, Source};
use crate::residency::{self, Residency};
use crate::sys;
use crate::turns::Origin;
use crate::verify::{self, Verification};

/// The most that one window shows.
const WINDOW: usize = 128 << 20;
/// How many windows are open at once, and how much they show together, but for the last one.
const MAX_WINDOWS: usize = 512;
const MAX_SHOWN: usize = 256 << 20;

/// An object, and the processes that have it mapped.
pub(crate) struct Elsewhere<'a> {
    object: &'a Object,
    /// All of its addresses, untouched: to place it by. `None` for hugetlb pages, whose policy lies
    /// on each mapping.
    whole: Option<Mapping>,
    source: &'a Source,
    /// Where those have it mapped that are not its holder, once that was looked for.
    others: OnceCell<Vec<Mapped>>,
    /// Whether pages may be moved that others have mapped.
    all: bool,
}

impl<'a> Elsewhere<'a> {
    /// The object of an area that was found.
    ///
    /// # Errors
    /// As mapping it: [`ErrorKind::Limit`](crate::ErrorKind::Limit) where there is no room for its
    /// addresses.
    pub(crate) fn new(object: &'a Object, source: &'a Source) -> Result<Self> {
        let whole = match object.page_size() == PageSize::base() {
            true => Some(residency::map_window(object, &(0..object.span().max(object.size_in_pages())))?),
            false => None,
        };
        Ok(Elsewhere { object, whole, source, others: OnceCell::new(), all: sys::pages::may_move_all() })
    }

    /// Through processes that have it mapped; `among` are the pages of `batch` to move. Those come
    /// back that none of them has in its page table.
    fn through(
        &self,
        mapped: &[Mapped],
        batch: &[Wanted],
        among: Vec<usize>,
        answers: &mut [Option<UnmovedReason>],
    ) -> Vec<usize> {
        let mut left = among;
        for mapped in mapped {
            let (there, others): (Vec<usize>, Vec<usize>) =
                left.iter().partition(|&&index| mapped.shows(&batch[index].range));
            if there.is_empty() {
                continue;
            }
            let pages: Vec<Wanted> = there.iter().map(|&index| batch[index].clone()).collect();
            let address = |at: usize| std::ptr::without_provenance(mapped.address_of(at));
            // A process that has gone, or may not be looked into, moves nothing for us; the result
            // is reported page by page.
            let Ok(reported) = Mover::through(mapped.pid).shift(&pages, address) else { continue };
            left = others;
            for (&index, why) in there.iter().zip(reported) {
                answers[index] = why;
                // That process has not touched it.
                if why == Some(UnmovedReason::Gone) {
                    left.push(index);
                }
            }
        }
        left
    }

    /// Through windows of our own; `among` are the pages of `batch` to move.
    fn by_windows(
        &self,
        batch: &[Wanted],
        mut among: Vec<usize>,
        answers: &mut [Option<UnmovedReason>],
    ) -> Result<()> {
        among.sort_unstable_by_key(|&index| batch[index].range.start);
        let mut mover = Mover::here();
        let mut rest = among.as_slice();
        while !rest.is_empty() {
            let mut windows: Vec<(Range<usize>, Mapping)> = Vec::new();
            let (mut taken, mut shown) = (0, 0);
            while taken < rest.len() && windows.len() < MAX_WINDOWS && shown < MAX_SHOWN {
                let count = self.in_one_window(batch, &rest[taken..]);
                let pages = &rest[taken..taken + count];
                let range = self.window(batch, pages);
                let mapping = residency::map_window(self.object, &range)?;
                for run in runs(batch, pages) {
                    residency::bring_in(&mapping, run.start - range.start..run.end - range.start)?;
                }
                shown += range.len();
                windows.push((range, mapping));
                taken += count;
            }
            let (now, later) = rest.split_at(taken);
            rest = later;
            // The kernel moves those together that go to one node.
            let mut order = now.to_vec();
            order.sort_by_key(|&index| (batch[index].target, batch[index].range.start));
            let pages: Vec<Wanted> = order.iter().map(|&index| batch[index].clone()).collect();
            let address = |at: usize| {
                let which = windows.partition_point(|(range, _)| range.end <= at);
                windows.get(which).map_or(std::ptr::null(), |(range, mapping)| {
                    mapping.as_ptr().wrapping_add(at.wrapping_sub(range.start)).cast_const()
                })
            };
            for (&index, why) in order.iter().zip(mover.shift(&pages, address)?) {
                answers[index] = why;
            }
        }
        Ok(())
    }

    /// How many of these pages, which are in order, one window shows: with the privilege, whatever
    /// is near; without, none that is not to be moved.
    fn in_one_window(&self, batch: &[Wanted], pages: &[usize]) -> usize {
        let huge = PageSize::transparent().bytes();
        let first = &batch[pages[0]].range;
        let mut end = first.end;
        let fits = |range: &Range<usize>, end: usize| match self.all {
            true => range.end - first.start <= WINDOW - huge,
            false => {
                range.start == end
                    && range.len() < huge
                    && first.len() < huge
                    && range.end - first.start <= WINDOW
            }
        };
        let more = pages[1..].iter().take_while(|&&index| {
            let range = &batch[index].range;
            let fits = fits(range, end);
            end = range.end;
            fits
        });
        1 + more.count()
    }

    /// What a window over these pages shows.
    fn window(&self, batch: &[Wanted], pages: &[usize]) -> Range<usize> {
        let (first, last) = (pages[0], pages[pages.len() - 1]);
        let range = batch[first].range.start..batch[last].range.end;
        match self.all {
            // Where huge pages are mapped as such.
            true => range.start - range.start % PageSize::transparent().bytes()..range.end,
            false => range,
        }
    }
}

/// The bytes of pages that are in order, in runs without gaps.
fn runs(batch: &[Wanted], pages: &[usize]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for &index in pages {
        let range = &batch[index].range;
        match runs.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => runs.push(range.clone()),
        }
    }
    runs
}

impl Ground for Elsewhere<'_> {
    fn measure(&mut self) -> Result<Residency> {
        residency::measure_object(self.object, self.object.size_in_pages())
    }

    fn first(&self) -> usize {
        0
    }

    fn origin(&self) -> Origin {
        Origin::of(Some(self.object), 0, self.object.page_size())
    }

    fn shift(&mut self, batch: &[Wanted]) -> Result<Vec<Option<UnmovedReason>>> {
        let mut answers = vec![Some(UnmovedReason::Gone); batch.len()];
        let mut left: Vec<usize> = (0..batch.len()).collect();
        if !self.all {
            left = self.through(&self.source.mapped_by_holder(), batch, left, &mut answers);
        }
        if !self.all && !left.is_empty() {
            let others = self.others.get_or_init(|| self.source.mapped_by_others());
            left = self.through(others, batch, left, &mut answers);
        }
        self.by_windows(batch, left, &mut answers)?;
        Ok(answers)
    }

    fn place(&mut self, placement: &Placement) -> Result<()> {
        match &mut self.whole {
            Some(whole) => whole.place(0..whole.span(), placement),
            None => Ok(()),
        }
    }

    fn verify(&self, residency: &Residency, placement: Placement) -> Verification {
        verify::verify(residency, 0, [(0..usize::MAX, placement)].into_iter())
    }
}
