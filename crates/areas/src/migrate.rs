//! Moving pages to where they are asked to be.
//!
//! The kernel moves pages one by one to the nodes that it is told (`move_pages`), in large batches. Success is no proof: it
//! is measured again afterwards, and whatever stayed is reported with the kernel's reason.

use std::fmt;
use std::ops::Range;

use crate::error::{Error, Kind, Result};
use crate::mapping::Mapping;
use crate::place::{Node, Placement, Policy};
use crate::populate::Progress;
use crate::residency::{Residency, Where};
use crate::size::Bytes;
use crate::sys;
use crate::topology::Topology;
use crate::verify::Verification;

/// Why a page would not move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// Somebody holds on to it: a transfer has it pinned, or it is being written back.
    Busy,
    /// Other processes have it mapped too, and moving such pages takes `CAP_SYS_NICE`.
    MappedByOthers,
    /// The node that it was to move to has no room.
    NoRoom,
    /// It went while it was looked at.
    Gone,
    /// Something else: the kernel's error number.
    Other(crate::Errno),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Busy => f.write_str("held by somebody (pinned, or being written back)"),
            Why::MappedByOthers => f.write_str("mapped by other processes too, which takes CAP_SYS_NICE"),
            Why::NoRoom => f.write_str("the node has no room"),
            Why::Gone => f.write_str("gone meanwhile"),
            Why::Other(errno) => errno.fmt(f),
        }
    }
}

/// Pages that would not move.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stayed {
    /// Bytes from the beginning of the area; whole pages.
    pub range: Range<usize>,
    /// Where they were to move to.
    pub target: Node,
    /// Why they did not.
    pub why: Why,
}

/// What a migration came to: measured before and after.
#[derive(Clone, Debug)]
pub struct Migration {
    moved: u64,
    stayed: Vec<Stayed>,
    verification: Verification,
}

impl Migration {
    pub(crate) fn new(
        before: &Residency,
        after: &Residency,
        stayed: Vec<Stayed>,
        verification: Verification,
    ) -> Self {
        Migration { moved: changed(before, after), stayed, verification }
    }

    /// Bytes that are on another node than before.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// What would not move, in order.
    #[must_use]
    pub fn stayed(&self) -> &[Stayed] {
        &self.stayed
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
        let mut reasons: Vec<(Why, u64)> = Vec::new();
        for part in &self.stayed {
            match reasons.iter_mut().find(|(why, _)| *why == part.why) {
                Some((_, bytes)) => *bytes += part.range.len() as u64,
                None => reasons.push((part.why, part.range.len() as u64)),
            }
        }
        for (why, bytes) in reasons {
            write!(f, "; {:#} stayed: {why}", Bytes(bytes))?;
        }
        Ok(())
    }
}

/// Bytes that are on different nodes in two measurements.
fn changed(before: &Residency, after: &Residency) -> u64 {
    let mut later = after.runs().iter().peekable();
    let mut bytes = 0;
    for run in before.runs() {
        let Where::On { node, .. } = run.place else { continue };
        let mut at = run.range.start;
        while at < run.range.end {
            while later.next_if(|other| other.range.end <= at).is_some() {}
            let Some(other) = later.peek() else { return bytes };
            let end = other.range.end.min(run.range.end);
            if matches!(other.place, Where::On { node: now, .. } if now != node) {
                bytes += (end - at) as u64;
            }
            at = end;
        }
    }
    bytes
}

/// Where each page is to go.
struct Targets {
    placement: Placement,
    /// The nodes in turn, for interleaving: each as often as its weight.
    turns: Vec<Node>,
    /// At which turn the area begins.
    phase: usize,
    topology: Option<Topology>,
}

impl Targets {
    fn new(placement: Placement, residency: &Residency) -> Result<Self> {
        let nodes = placement.policy().nodes().unwrap_or_default();
        // Weights, and which of several is nearest: of a single node there is nothing to choose.
        let chooses = nodes.len() > 1 && !matches!(placement.policy(), Policy::Interleave(_));
        let topology = if chooses { Topology::read().ok() } else { None };
        let turns: Vec<Node> = match placement.policy() {
            Policy::Interleave(_) => nodes.iter().collect(),
            Policy::WeightedInterleave(_) => {
                let weight = |node| topology.as_ref()?.node(node)?.weight;
                nodes
                    .iter()
                    .flat_map(|node| std::iter::repeat_n(node, weight(node).unwrap_or(1).max(1).into()))
                    .collect()
            }
            _ => Vec::new(),
        };
        let phase = best_phase(&turns, residency);
        Ok(Targets { placement, turns, phase, topology })
    }

    /// Where a page that is on `node` shall be; `index` counts pages of its size.
    fn of(&self, index: usize, node: Node) -> Node {
        if !self.turns.is_empty() {
            return self.turns[(index + self.phase) % self.turns.len()];
        }
        let Some(nodes) = self.placement.policy().nodes().filter(|nodes| !nodes.contains(node)) else {
            return node;
        };
        let from = self.placement.home_node().unwrap_or(node);
        let distance =
            |to| self.topology.as_ref().and_then(|topology| topology.distance(from, to)).unwrap_or(u32::MAX);
        nodes.iter().min_by_key(|&to| (distance(to), to)).unwrap_or(node)
    }
}

/// The beginning that leaves most pages where they are.
fn best_phase(turns: &[Node], residency: &Residency) -> usize {
    if turns.is_empty() {
        return 0;
    }
    let mut votes = vec![0_usize; turns.len()];
    for (index, node, _) in pages(residency) {
        for (turn, _) in turns.iter().enumerate().filter(|(_, at)| **at == node) {
            votes[(turn + turns.len() - index % turns.len()) % turns.len()] += 1;
        }
    }
    (0..turns.len()).max_by_key(|&phase| (votes[phase], std::cmp::Reverse(phase))).unwrap_or(0)
}

/// The pages in RAM: their number among pages of their size, their node, their bytes.
fn pages(residency: &Residency) -> impl Iterator<Item = (usize, Node, Range<usize>)> + '_ {
    residency
        .runs()
        .iter()
        .filter_map(|run| match run.place {
            Where::On { node, page } => Some((run.range.clone(), node, page)),
            _ => None,
        })
        .flat_map(|(range, node, page)| {
            // A run can begin inside a huge page, where only a part of one lies in the range that was looked at.
            let size = page.bytes();
            let (start, end) = (range.start, range.end);
            (start / size..end.div_ceil(size))
                .map(move |index| (index, node, (index * size).max(start)..((index + 1) * size).min(end)))
        })
}

/// Pages for one call: large enough that the calls do not count.
const BATCH: usize = 32 * 1024;
/// What the kernel leaves in the answer of a page that it did not come to.
const NOT_REACHED: i32 = i32::MIN;

/// Moves what is elsewhere. What would not move is told.
pub(crate) fn run(
    mapping: &Mapping,
    residency: &Residency,
    placement: Placement,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Stayed>> {
    let targets = Targets::new(placement, residency)?;
    let mut wanted: Vec<(Range<usize>, Node)> = pages(residency)
        .map(|(index, node, range)| (range, node, targets.of(index, node)))
        .filter(|(_, node, target)| node != target)
        .map(|(range, _, target)| (range, target))
        .collect();
    let total = wanted.iter().map(|(range, _)| range.len()).sum();
    let mut mover = Mover { mapping, all: true, stayed: Vec::new() };
    let mut done = 0;
    for batch in wanted.chunks_mut(BATCH) {
        // The kernel moves those together that stand together and go to one node.
        batch.sort_by_key(|(_, target)| *target);
        mover.shift(batch)?;
        done += batch.iter().map(|(range, _)| range.len()).sum::<usize>();
        progress(Progress { done, total });
    }
    mover.stayed.sort_by_key(|part| part.range.start);
    Ok(mover.stayed)
}

struct Mover<'a> {
    mapping: &'a Mapping,
    /// Whether pages may be moved that others have mapped: until the kernel says no.
    all: bool,
    stayed: Vec<Stayed>,
}

impl Mover<'_> {
    fn shift(&mut self, batch: &[(Range<usize>, Node)]) -> Result<()> {
        let base = self.mapping.as_ptr();
        let addresses: Vec<*const u8> =
            batch.iter().map(|(range, _)| base.wrapping_add(range.start).cast_const()).collect();
        let nodes: Vec<i32> = batch.iter().map(|(_, node)| node.get().cast_signed()).collect();
        let mut status = vec![NOT_REACHED; batch.len()];
        let mut start = 0;
        while start < batch.len() {
            let answer =
                sys::pages::move_to(&addresses[start..], &nodes[start..], &mut status[start..], self.all);
            match answer {
                Ok(0) => break,
                Err(sys::Errno::PERM) if self.all => {
                    self.all = false;
                    continue;
                }
                // Some were not moved, or it gave up: at the first page that has no answer, if there is one.
                Ok(_) | Err(sys::Errno::NOMEM | sys::Errno::BUSY | sys::Errno::AGAIN) => {}
                Err(errno) => {
                    return Err(Error::new(
                        Kind::NotPermitted,
                        format!("move {} pages", batch.len() - start),
                    )
                    .call("move_pages", errno)
                    .help("containers need CAP_SYS_NICE or a seccomp profile that allows move_pages"));
                }
            }
            let Some(reached) = status[start..].iter().position(|&answer| answer == NOT_REACHED) else {
                break;
            };
            // The pages for one node that it failed at are not tried again; what comes behind them is. It does not tell why they
            // stayed, but for a lack of memory.
            let at = start + reached;
            let errno = answer.err().unwrap_or(sys::Errno::BUSY).raw_os_error();
            start = at;
            while start < batch.len() && nodes[start] == nodes[at] && status[start] == NOT_REACHED {
                status[start] = -errno;
                start += 1;
            }
        }
        ask_again(&addresses, &nodes, &mut status)?;
        for ((range, target), answer) in batch.iter().zip(status) {
            if let Some(why) = reason(answer, *target, self.all) {
                self.note(range.clone(), *target, why);
            }
        }
        Ok(())
    }

    fn note(&mut self, range: Range<usize>, target: Node, why: Why) {
        match self.stayed.last_mut() {
            Some(last) if last.range.end == range.start && last.target == target && last.why == why => {
                last.range.end = range.end;
            }
            _ => self.stayed.push(Stayed { range, target, why }),
        }
    }
}

/// An error may be about another page: the kernel gives one answer for pages that it moves together, and calls a part of a
/// transparent huge page busy that it is moving as a whole. So it is asked where those pages are.
fn ask_again(addresses: &[*const u8], nodes: &[i32], status: &mut [i32]) -> Result<()> {
    let failed: Vec<usize> = (0..status.len()).filter(|&index| status[index] < 0).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let asked: Vec<*const u8> = failed.iter().map(|&index| addresses[index]).collect();
    let mut now = vec![0; asked.len()];
    sys::pages::nodes_of(&asked, &mut now).map_err(|errno| {
        Error::new(Kind::System, "ask which node pages are on")
            .call(format!("move_pages(0, {}, {:p}, …)", asked.len(), asked[0]), errno)
    })?;
    for (&index, node) in failed.iter().zip(now) {
        if node == nodes[index] {
            status[index] = node;
        }
    }
    Ok(())
}

/// Why a page is not on its target, by the kernel's answer; `None` if it is.
fn reason(answer: i32, target: Node, all: bool) -> Option<Why> {
    match answer {
        node if node == target.get().cast_signed() => None,
        // It is on another node, and no error was told: somebody else moved it, or the kernel could not.
        0.. => Some(Why::Busy),
        error => Some(match -error {
            libc::EBUSY | libc::EAGAIN => Why::Busy,
            libc::EACCES if !all => Why::MappedByOthers,
            libc::ENOMEM => Why::NoRoom,
            libc::ENOENT | libc::EFAULT => Why::Gone,
            errno => Why::Other(crate::Errno::from_raw(errno)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::NodeSet;
    use crate::residency::made_up;

    fn node(id: u32) -> Node {
        Node::new(id).unwrap()
    }

    #[test]
    fn interleaving_begins_where_most_pages_may_stay() {
        let turns = [node(0), node(1), node(3)];
        let residency = made_up(&[(1, Some(1)), (1, Some(3)), (1, Some(0)), (1, Some(1)), (1, Some(1))]);
        let phase = best_phase(&turns, &residency);
        let targets: Vec<Node> = (0..5).map(|index| turns[(index + phase) % 3]).collect();
        assert_eq!(targets, [1, 3, 0, 1, 3].map(node));
        assert_eq!(best_phase(&[], &residency), 0);
        assert_eq!(best_phase(&turns, &made_up(&[])), 0);
    }

    #[test]
    fn what_changed_between_two_measurements() {
        let before = made_up(&[(4, Some(0)), (2, None), (2, Some(1))]);
        let after = made_up(&[(1, Some(0)), (2, Some(1)), (3, Some(0)), (2, Some(1))]);
        assert_eq!(changed(&before, &after), 2 * 4096);
        assert_eq!(changed(&before, &before), 0);
        assert_eq!(changed(&before, &made_up(&[])), 0);
    }

    #[test]
    fn pages_are_counted_in_their_own_size() {
        let residency = made_up(&[(1, None), (2, Some(5))]);
        let told: Vec<_> = pages(&residency).collect();
        assert_eq!(told, [(1, node(5), 4096..8192), (2, node(5), 8192..12288)]);
    }

    #[test]
    fn bound_pages_stay_on_any_of_their_nodes() {
        let nodes: NodeSet = [node(1), node(2)].into_iter().collect();
        let targets = Targets::new(Placement::new(Policy::Bind(nodes)), &made_up(&[])).unwrap();
        assert_eq!(targets.of(0, node(2)), node(2));
        assert!(nodes.contains(targets.of(0, node(0))));
    }

    #[test]
    fn reasons() {
        let cases = [
            (1, true, None),
            (0, true, Some(Why::Busy)),
            (-libc::EBUSY, true, Some(Why::Busy)),
            (-libc::EACCES, false, Some(Why::MappedByOthers)),
            (-libc::ENOMEM, true, Some(Why::NoRoom)),
            (-libc::ENOENT, true, Some(Why::Gone)),
            (-libc::EINVAL, true, Some(Why::Other(crate::Errno::from_raw(libc::EINVAL)))),
        ];
        for (answer, all, expected) in cases {
            assert_eq!(reason(answer, node(1), all), expected, "{answer}");
        }
    }
}
