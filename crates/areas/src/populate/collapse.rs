//! Collapsing base pages into transparent huge ones, each on the node that its policy means.
//!
//! The kernel collapses a block of 2 MiB onto the node that has most of its pages, and onto no
//! other (`MADV_COLLAPSE`; ties go to the lowest). Interleaved base pages are on all nodes alike,
//! so that every block would come to lie on the same one. So each block is *placed first*: on the
//! node that the kernel would choose for a huge page there. Then it is *filled at once*: a single
//! page of the block is brought in, the one that the policy puts on that node, and collapsed with
//! the holes around it; no page is zeroed only to be copied. Pages that were there before are moved
//! to the node first. Where a huge page cannot be had there, the block is filled with base pages,
//! each where the policy puts it, and that is reported.
//!
//! A block that reaches across parts that were placed apart (narrow stripes, the cut between two
//! nodes) does not become a huge page.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Job, Way};
use crate::error::{Errno, ErrorKind, Result};
use crate::mover::{Mover, Wanted};
use crate::nodes::{Node, NodeSet, Placement, Policy};
use crate::page::PageSize;
use crate::residency::{self, PageLocation, Residency};
use crate::sys;
use crate::sys::memory::Advice;
use crate::turns::{Origin, Turns};

/// How often a collapse is tried again where the kernel asks for that.
const ATTEMPTS: usize = 3;

/// Why some of the blocks are not huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The kernel would not.
    ByKernel(Errno),
    /// Pages of it would not come to the node that the block was to be on.
    Elsewhere,
    /// Its parts were placed apart.
    Apart,
    /// Where its pages are cannot be asked, or what the weights are.
    Unknown,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::ByKernel(errno) => write!(f, "the kernel said {errno}"),
            Refused::Elsewhere => f.write_str("pages of it would not move to the node that it belongs on"),
            Refused::Apart => f.write_str("parts of it were placed separately"),
            Refused::Unknown => {
                f.write_str("the node to collapse on is unknown: no move_pages here, or unreadable weights")
            }
        }
    }
}

/// Collapses the blocks of a job, and counts the outcomes.
#[derive(Debug)]
pub(super) struct Collapse<'a> {
    job: &'a Job<'a>,
    way: Way,
    /// The parts of the job that were placed each in its own way, in order.
    parts: Vec<(Range<usize>, Placement)>,
    /// Where nothing was asked: what the thread has that brings pages in.
    thread: Policy,
    /// The turns of policies that were met.
    turns: Mutex<Vec<(Policy, Option<Arc<Turns>>)>>,
    origin: Origin,
    bytes: AtomicUsize,
    /// What the kernel said first; 0 for nothing.
    failed: AtomicI32,
    elsewhere: AtomicBool,
    apart: AtomicBool,
    unknown: AtomicBool,
}

/// Where a block is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Goal {
    /// Where its first page comes to be.
    Anywhere,
    /// On one of these.
    Among(NodeSet),
    /// On one of these, as long as one of them has room.
    Rather(NodeSet),
    /// On this one: it is its turn.
    Turn(Node, Arc<Turns>),
}

impl Goal {
    fn allows(&self, node: Node) -> bool {
        match self {
            Goal::Anywhere => true,
            Goal::Among(nodes) | Goal::Rather(nodes) => nodes.contains(node),
            Goal::Turn(turn, _) => *turn == node,
        }
    }
}

impl<'a> Collapse<'a> {
    pub(super) fn new(job: &'a Job<'a>, way: Way, placement: Placement) -> Self {
        let mut parts: Vec<_> = job.mapping.asked().parts().collect();
        if parts.is_empty() {
            parts.push((0..job.mapping.span(), job.placement.unwrap_or(placement)));
        }
        // A kernel or a sandbox that does not report it leaves it at the default, which is what
        // most threads have.
        let thread = sys::policy::of_thread().unwrap_or_default();
        Collapse {
            job,
            way,
            parts,
            thread,
            turns: Mutex::default(),
            origin: Origin::of(job.object, job.mapping.as_ptr().addr(), job.mapping.page_size()),
            bytes: AtomicUsize::new(0),
            failed: AtomicI32::new(0),
            elsewhere: AtomicBool::new(false),
            apart: AtomicBool::new(false),
            unknown: AtomicBool::new(false),
        }
    }

    /// Bytes in transparent huge pages now, and why there are not more.
    pub(super) fn outcome(self) -> (usize, Option<Refused>) {
        let refused = match self.failed.into_inner() {
            0 if self.unknown.into_inner() => Some(Refused::Unknown),
            0 if self.elsewhere.into_inner() => Some(Refused::Elsewhere),
            0 => self.apart.into_inner().then_some(Refused::Apart),
            errno => Some(Refused::ByKernel(Errno::from_raw(errno))),
        };
        (self.bytes.into_inner(), refused)
    }

    /// Makes huge pages of whole, aligned blocks. What cannot be one is left for base pages.
    ///
    /// # Errors
    /// As populating.
    pub(super) fn collapse_range(&self, blocks: Range<usize>) -> Result<()> {
        let huge = PageSize::transparent().bytes();
        let mut goals = Vec::new();
        for start in blocks.step_by(huge) {
            match self.goal(start) {
                Ok(goal) => goals.push((start, goal)),
                Err(why) => why.store(true, Ordering::Relaxed),
            }
        }
        for (start, goal) in &goals {
            self.seed(*start, goal)?;
        }
        let mut ready = Vec::new();
        for near in goals.chunk_by(|(one, _), (next, _)| one + huge == *next) {
            let range = near[0].0..near[near.len() - 1].0 + huge;
            if near.iter().all(|(_, goal)| *goal == Goal::Anywhere) {
                ready.extend(range.step_by(huge).map(|start| Block { start, moved: Vec::new() }));
                continue;
            }
            match self.measure(range)? {
                Some(found) => self.place(near, &found, &mut ready)?,
                None => self.unknown.store(true, Ordering::Relaxed),
            }
        }
        for near in ready.chunk_by(|one, next| one.start + huge == next.start) {
            self.collapse(near);
        }
        Ok(())
    }

    /// Where pages are; `None` where a sandbox forbids the question: pages can be brought in all
    /// the same.
    fn measure(&self, range: Range<usize>) -> Result<Option<Residency>> {
        match residency::measure_range(self.job.mapping, self.job.object, range)
            .and_then(Residency::all_located)
        {
            Ok(found) => Ok(Some(found)),
            Err(error) if matches!(error.kind(), ErrorKind::NotPermitted | ErrorKind::Unsupported) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Where the block that begins there is to be; or what to note where it cannot be collapsed.
    ///
    /// The kernel is asked for the policy, as another holder of the object may have changed its
    /// placement: at both ends of the block.
    fn goal(&self, start: usize) -> Result<Goal, &AtomicBool> {
        let huge = PageSize::transparent().bytes();
        let end = start + huge;
        let asked = match self.parts.iter().find(|(part, _)| part.start < end && start < part.end) {
            Some((part, placement)) if part.start <= start && end <= part.end => *placement,
            Some(_) => return Err(&self.apart),
            None => Placement::default(),
        };
        let base = PageSize::base().bytes();
        let kernel =
            |at| self.job.mapping.check(at, base, self.job.mapping.span()).ok().map(sys::policy::policy_at);
        let policy = match (kernel(start), kernel(end - base)) {
            (Some(Ok(first)), Some(Ok(last))) if first != last => return Err(&self.apart),
            (Some(Ok(policy)), _) => policy,
            // A sandbox that does not report it.
            _ => asked.policy(),
        };
        let policy = if policy == Policy::Default { self.thread } else { policy };
        Ok(match (policy, policy.nodes()) {
            (Policy::Interleave(_) | Policy::WeightedInterleave(_), _) => {
                let turns = self.turns(policy).ok_or(&self.unknown)?;
                Goal::Turn(turns.at(self.origin.number(start, PageSize::transparent())), turns)
            }
            (_, Some(nodes)) if policy.is_strict() => Goal::Among(nodes),
            (_, Some(nodes)) => Goal::Rather(nodes),
            (_, None) => Goal::Anywhere,
        })
    }

    /// The turns of a policy that interleaves; `None` where its weights cannot be read. They are
    /// read once.
    fn turns(&self, policy: Policy) -> Option<Arc<Turns>> {
        let mut known = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, turns)) = known.iter().find(|(other, _)| *other == policy) {
            return turns.clone();
        }
        let turns = Turns::of(&policy).map(Arc::new);
        known.push((policy, turns.clone()));
        turns
    }

    /// Brings one page of a block in: the one that its policy puts where the block is to be.
    fn seed(&self, start: usize, goal: &Goal) -> Result<()> {
        let (base, huge) = (PageSize::base().bytes(), PageSize::transparent().bytes());
        let at = match goal {
            Goal::Turn(node, turns) => (start..start + huge)
                .step_by(base)
                .find(|&at| turns.at(self.origin.number(at, PageSize::base())) == *node)
                .unwrap_or(start),
            _ => start,
        };
        self.way.populate(self.job, at..at + base)
    }

    /// Puts those blocks into `ready` whose pages are where the block is to be, after moving what
    /// has to be moved.
    fn place(&self, blocks: &[(usize, Goal)], found: &Residency, ready: &mut Vec<Block>) -> Result<()> {
        let mut doubtful = Vec::new();
        for (start, goal) in blocks {
            let start = *start;
            let Some(counts) = Counts::of(found, start) else {
                // It is a huge page already; and what is there stays where it is.
                ready.push(Block { start, moved: Vec::new() });
                continue;
            };
            match counts.wins(goal) {
                true => ready.push(Block { start, moved: Vec::new() }),
                false => doubtful.push((start, goal, counts)),
            }
        }
        let mut wanted = Vec::new();
        for (_, goal, counts) in &doubtful {
            let target = match goal {
                Goal::Turn(node, _) => Some(*node),
                _ => counts.most_of(goal),
            };
            if let Some(target) = target {
                let away = counts.pages.iter().filter(|(_, node)| !goal.allows(*node));
                wanted.extend(away.map(|(range, _)| Wanted { range: range.clone(), target }));
            }
        }
        if wanted.is_empty() {
            self.elsewhere.fetch_or(!doubtful.is_empty(), Ordering::Relaxed);
            return Ok(());
        }
        self.shift(&mut wanted);
        let range = blocks[0].0..blocks[blocks.len() - 1].0 + PageSize::transparent().bytes();
        let Some(now) = self.measure(range)? else {
            self.unknown.store(true, Ordering::Relaxed);
            return Ok(());
        };
        for (start, goal, before) in doubtful {
            let counts = Counts::of(&now, start);
            if counts.is_none_or(|counts| counts.wins(goal)) {
                ready.push(Block { start, moved: before.away_from(goal) });
            } else {
                self.put_back(before.away_from(goal));
                self.elsewhere.store(true, Ordering::Relaxed);
            }
        }
        ready.sort_by_key(|block| block.start);
        Ok(())
    }

    /// Moves pages. The result, where it is allowed, is measured by the caller that has to know.
    fn shift(&self, wanted: &mut [Wanted]) {
        wanted.sort_by_key(|page| (page.target, page.range.start));
        let base = self.job.mapping.as_ptr();
        let _ = Mover::here().shift(wanted, |at| base.wrapping_add(at).cast_const());
    }

    /// What was moved for the sake of a huge page that could not be had goes back to where it was.
    fn put_back(&self, mut moved: Vec<Wanted>) {
        if !moved.is_empty() {
            self.shift(&mut moved);
        }
    }

    /// Collapses neighbouring blocks, all in one call: the kernel waits once a call for what its
    /// processors have at hand. Only where it refuses one of them, each by itself.
    fn collapse(&self, blocks: &[Block]) {
        let huge = PageSize::transparent().bytes();
        let Some(first) = blocks.first() else { return };
        match collapse(self.job, first.start, blocks.len() * huge) {
            Ok(()) => _ = self.bytes.fetch_add(blocks.len() * huge, Ordering::Relaxed),
            Err(_) if blocks.len() > 1 => {
                blocks.iter().for_each(|block| self.collapse(std::slice::from_ref(block)));
            }
            Err(errno) => {
                let (errno, order) = (errno.raw_os_error(), Ordering::Relaxed);
                let _ = self.failed.compare_exchange(0, errno, order, order);
                self.put_back(first.moved.clone());
            }
        }
    }
}

/// A block whose pages are where it is to be; and where those were that have been moved there.
#[derive(Clone, Debug)]
struct Block {
    start: usize,
    moved: Vec<Wanted>,
}

/// Where the pages of a block are.
#[derive(Debug)]
struct Counts {
    pages: Vec<(Range<usize>, Node)>,
    nodes: BTreeMap<Node, usize>,
}

impl Counts {
    /// Those of the block that begins at `start`; `None` if it is a huge page.
    fn of(found: &Residency, start: usize) -> Option<Self> {
        let (base, end) = (PageSize::base().bytes(), start + PageSize::transparent().bytes());
        let mut counts = Counts { pages: Vec::new(), nodes: BTreeMap::new() };
        for run in found.runs() {
            let part = run.range.start.max(start)..run.range.end.min(end);
            let PageLocation::On { node, page } = run.place else { continue };
            if part.is_empty() {
                continue;
            }
            if page != PageSize::base() {
                return None;
            }
            *counts.nodes.entry(node).or_default() += part.len() / base;
            counts.pages.extend(part.step_by(base).map(|at| (at..at + base, node)));
        }
        Some(counts)
    }

    /// Whether the kernel collapses them where the block is to be: it takes a node that has as many
    /// as any.
    fn wins(&self, goal: &Goal) -> bool {
        let Some(most) = self.nodes.values().max() else { return false };
        if matches!(goal, Goal::Rather(_)) && self.most_of(goal).is_none() {
            // It had to go elsewhere.
            return true;
        }
        self.nodes.iter().filter(|(_, count)| *count == most).all(|(node, _)| goal.allows(*node))
    }

    /// The node on which it may be that has the most of them.
    fn most_of(&self, goal: &Goal) -> Option<Node> {
        let allowed = self.nodes.iter().filter(|(node, _)| goal.allows(**node));
        allowed.max_by_key(|(node, count)| (**count, std::cmp::Reverse(**node))).map(|(node, _)| *node)
    }

    /// The pages that are not where the block is to be, and where they are.
    fn away_from(&self, goal: &Goal) -> Vec<Wanted> {
        let away = self.pages.iter().filter(|(_, node)| !goal.allows(*node));
        away.map(|(range, node)| Wanted { range: range.clone(), target: *node }).collect()
    }
}

fn collapse(job: &Job<'_>, start: usize, len: usize) -> sys::Result<()> {
    let address = job.mapping.check(start, len, job.mapping.span()).map_err(|_| sys::Errno::INVAL)?;
    let mut attempt = 1;
    loop {
        match sys::memory::advise(address, len, Advice::Collapse) {
            // Pages are isolated at this moment.
            Err(sys::Errno::AGAIN | sys::Errno::BUSY) if attempt < ATTEMPTS => attempt += 1,
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::residency::{made_up, made_up_of};

    const HUGE: usize = 2 << 20;

    fn node(id: u32) -> Node {
        Node::new(id).unwrap()
    }

    #[test]
    fn the_kernel_collapses_where_most_of_the_pages_are() {
        let turns =
            Turns::of(&Policy::Interleave([node(0), node(2)].into_iter().collect())).map(Arc::new).unwrap();
        let counts = |pages: &[(usize, Option<u32>)]| Counts::of(&made_up(pages), 0).unwrap();
        let turn = |id| Goal::Turn(node(id), turns.clone());
        let half = counts(&[(256, Some(0)), (256, Some(2))]);
        assert!(!half.wins(&turn(0)) && !half.wins(&turn(2)), "a tie is the kernel's to decide");
        assert!(half.wins(&Goal::Among([node(0), node(2)].into_iter().collect())));
        assert!(half.wins(&Goal::Anywhere));
        let rather = |id| Goal::Rather(NodeSet::single(node(id)));
        assert!(
            !half.wins(&rather(0)) && half.wins(&rather(1)),
            "where the node has room, it has to be there"
        );
        let one = counts(&[(5, None), (1, Some(2)), (506, None)]);
        assert!(one.wins(&turn(2)) && !one.wins(&turn(0)));
        assert_eq!((one.most_of(&turn(2)), one.most_of(&turn(0))), (Some(node(2)), None));
        let away = half.away_from(&turn(2));
        assert_eq!((away.len(), away[0].target, away[255].range.end), (256, node(0), 256 * 4096));
        assert!(!counts(&[(512, None)]).wins(&Goal::Anywhere), "there is nothing to collapse");
    }

    #[test]
    fn only_the_block_counts_and_huge_pages_are_left() {
        let found = made_up(&[(512, Some(1)), (2, Some(0)), (510, None), (3, Some(1))]);
        let counts = Counts::of(&found, HUGE).unwrap();
        assert_eq!((counts.nodes.len(), counts.pages.len()), (1, 2));
        assert_eq!(counts.pages[0], (HUGE..HUGE + 4096, node(0)));
        let huge = made_up_of(&[(HUGE, Some((0, PageSize::HUGE_2M)))]);
        assert!(Counts::of(&huge, 0).is_none());
    }
}
