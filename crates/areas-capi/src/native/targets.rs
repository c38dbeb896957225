//! Nodes chosen by what they are good at.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};

use areas::closed::ClosedRankedBy;
use areas::place::{Ranked, Space, Targets};
use areas::topology::Topology;
use areas::{Error, ErrorKind, Result};

use super::errors::{invalid, number};
use super::nodes::{Nodes, node};
use super::sized::{Versioned, read};

/// The nearest nodes first, by the distances that the firmware reports (SLIT; 10 is a node itself).
pub const AREAS_NEAREST: u32 = 0;
/// Those with the highest read bandwidth first, in MB/s or MiB/s as the firmware has it (HMAT).
pub const AREAS_HIGHEST_BANDWIDTH: u32 = 1;
/// Those with the lowest read latency first, in nanoseconds (HMAT).
pub const AREAS_LOWEST_LATENCY: u32 = 2;
/// Those with the most free memory first, in bytes.
pub const AREAS_MOST_FREE: u32 = 3;
/// Those with the most memory first, in bytes, used or not.
pub const AREAS_HIGHEST_CAPACITY: u32 = 4;
/// All nodes that have memory: for areas_space alone.
pub const AREAS_ALL_NODES: u32 = 5;

/// For the machine as a whole.
pub const AREAS_FROM_ANYWHERE: u32 = 0;
/// Seen from the node of a CPU.
pub const AREAS_FROM_CPU: u32 = 1;
/// Seen from a node.
pub const AREAS_FROM_NODE: u32 = 2;

/// Which nodes are best. Initialise with AREAS_TARGETS: the nearest of all, for the machine as a
/// whole.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Wanted {
    /// sizeof(areas_targets).
    pub struct_size: usize,
    /// AREAS_NEAREST or another question; for areas_space one that it knows.
    pub by: u32,
    /// AREAS_FROM_ANYWHERE or another.
    pub from: u32,
    /// The number of the CPU or node, where one is meant.
    pub origin: u32,
    /// 1: where bandwidth or latency is not known, by distance, behind those where it is. 0: those
    /// are left out, and none is an error.
    pub or_distance: u32,
    /// Among these nodes only; empty is all that have memory. (areas_nodes_allowed lists those that
    /// this process may use.)
    pub within: Nodes,
}

// SAFETY: numbers, the first a `usize`.
unsafe impl Versioned for Wanted {
    const NAME: &'static str = "areas_targets";
    const FIRST: usize = 152;
}
const _: () = assert!(size_of::<Wanted>() == 152);

/// Ranked by distance, or for want of better knowledge.
pub const AREAS_BY_DISTANCE: u32 = 0;
/// Ranked by what the firmware reports of bandwidth or latency.
pub const AREAS_BY_HMAT: u32 = 1;
/// Ranked by free memory.
pub const AREAS_BY_FREE: u32 = 2;
/// Ranked by all memory that a node has.
pub const AREAS_BY_CAPACITY: u32 = 3;

/// A node in a ranking, and the value that put it there.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Best {
    /// The node.
    pub node: u32,
    /// AREAS_BY_DISTANCE or another: what `value` is.
    pub source: u32,
    /// What it was ranked by.
    pub value: u64,
}

/// Called with each node, best first. A return value other than 0 ends the walk.
pub type OnRanked = Option<unsafe extern "C" fn(ranked: *const Best, context: *mut c_void) -> c_int>;

fn nonsense(what: &'static str, word: &str, it: u32) -> Error {
    Error::new(ErrorKind::InvalidInput, what).with_facts(format!("no {word} has number {it}"))
}

impl Wanted {
    /// The question, but for what is asked.
    fn question<'m>(&self, what: &'static str, machine: &'m Topology) -> Result<Targets<'m>> {
        let mut question = Targets::of(machine);
        if !self.within.set().is_empty() {
            question = question.within(self.within.set());
        }
        match self.or_distance {
            0 => {}
            1 => question = question.or_distance(),
            _ => return Err(invalid(what, "or_distance is neither 0 nor 1")),
        }
        Ok(match self.from {
            AREAS_FROM_ANYWHERE => question,
            AREAS_FROM_CPU => question.from_cpu(self.origin),
            AREAS_FROM_NODE => question.from_node(node(self.origin)?),
            other => return Err(nonsense(what, "origin", other)),
        })
    }
}

fn described(ranked: &Ranked) -> Best {
    let source = match ClosedRankedBy::from(ranked.source) {
        ClosedRankedBy::Hmat { .. } => AREAS_BY_HMAT,
        ClosedRankedBy::Free => AREAS_BY_FREE,
        ClosedRankedBy::Capacity => AREAS_BY_CAPACITY,
        ClosedRankedBy::Distance => AREAS_BY_DISTANCE,
    };
    Best { node: ranked.node.get(), source, value: ranked.value }
}

/// Ranks nodes that have memory, best first. Returns how many there are: put the first one into a
/// placement.
///
/// AREAS_ERROR_NODE_NOT_ALLOWED where no node is left to choose from, or the origin does not exist;
/// AREAS_ERROR_UNSUPPORTED where the machine does not report it (and `or_distance` is 0);
/// AREAS_ERROR_INVALID_INPUT for NULL, words that mean nothing and a CPU that is not online;
/// AREAS_ERROR_IO where sysfs cannot be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_rank(
    targets: *const Wanted,
    on_ranked: OnRanked,
    context: *mut c_void,
) -> c_int {
    number(|| {
        const WHAT: &str = "rank nodes";
        // SAFETY: NULL, or as many bytes as it says (C's promise).
        let wanted = unsafe { read(targets) }?;
        let Some(call) = on_ranked else {
            return Err(invalid(WHAT, "the callback is NULL"));
        };
        let machine = Topology::read()?;
        let question = wanted.question(WHAT, &machine)?;
        let ranking = match wanted.by {
            AREAS_NEAREST => question.nearest(),
            AREAS_HIGHEST_BANDWIDTH => question.highest_bandwidth(),
            AREAS_LOWEST_LATENCY => question.lowest_latency(),
            AREAS_MOST_FREE => question.most_free(),
            AREAS_HIGHEST_CAPACITY => question.highest_capacity(),
            other => return Err(nonsense(WHAT, "question", other)),
        }?;
        let mut count = 0;
        for ranked in &ranking {
            let best = described(ranked);
            count += 1;
            // SAFETY: C's own function, with its context, and a structure that lives as long as the
            // call.
            if unsafe { call(&raw const best, context) } != 0 {
                break;
            }
        }
        Ok(count)
    })
}

/// Gets the nodes of a memory space: all that are equally good, to put into a placement.
/// `targets->by` is AREAS_ALL_NODES, AREAS_HIGHEST_CAPACITY (up to a sixteenth less counts as
/// equal), AREAS_HIGHEST_BANDWIDTH or AREAS_LOWEST_LATENCY. Bandwidth and latency are seen from the
/// origin; from anywhere, they are the best for each node with CPUs, together. `unknown`, which may
/// be NULL, becomes the nodes whose figure is not known from there: they are left out, unless
/// `or_distance` took them. Returns how many nodes there are.
///
/// AREAS_ERROR_UNSUPPORTED where nothing is known; otherwise as areas_rank. The sets are as they
/// were then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_space(
    targets: *const Wanted,
    nodes: *mut Nodes,
    unknown: *mut Nodes,
) -> c_int {
    number(|| {
        const WHAT: &str = "list the nodes of a memory space";
        // SAFETY: NULL, or as many bytes as it says (C's promise).
        let wanted = unsafe { read(targets) }?;
        if nodes.is_null() {
            return Err(invalid(WHAT, "the pointer to the set is NULL"));
        }
        let space = match wanted.by {
            AREAS_ALL_NODES => Space::All,
            AREAS_HIGHEST_CAPACITY => Space::HighestCapacity,
            AREAS_HIGHEST_BANDWIDTH => Space::HighestBandwidth,
            AREAS_LOWEST_LATENCY => Space::LowestLatency,
            other => return Err(nonsense(WHAT, "memory space", other)),
        };
        let machine = Topology::read()?;
        let found = wanted.question(WHAT, &machine)?.space(space)?;
        // SAFETY: not NULL (checked), and then room for a set (C's promise).
        unsafe { nodes.write_unaligned(Nodes::of(found.nodes())) };
        if !unknown.is_null() {
            // SAFETY: not NULL (checked), and then room for a set (areas.h).
            unsafe { unknown.write_unaligned(Nodes::of(found.unknown())) };
        }
        Ok(c_int::try_from(found.nodes().len()).unwrap_or(c_int::MAX))
    })
}
