//! Whether memory plainly cannot fit: asked before the first page is taken, and again along the way
//! where room is tight.
//!
//! The kernel has no error for "these nodes are full", nor for "this control group is": it
//! reclaims, and then its out-of-memory killer comes, or it slows the program down until it seems
//! to hang. So the room is estimated here, on the generous side: free memory and what is easily
//! reclaimed, less what the kernel keeps for itself. Swap is not counted: a populated area is one
//! that is in RAM.

use std::ops::Range;
use std::path::Path;

use super::Job;
use super::promise::Before;
use crate::cgroup;
use crate::error::{Error, ErrorKind, Result, remedy};
use crate::nodes::{Node, NodeSet};
use crate::residency::{PageLocation, Residency};
use crate::size::Bytes;
use crate::sys;
use crate::topology::meminfo;

/// What is asked for, for the question and for its answer.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// For messages: the placement, or `it`.
    pub(super) what: String,
    /// The nodes that its pages may come from, where that is known.
    pub(super) nodes: Option<NodeSet>,
}

/// What can be given, by each that has a limit.
#[derive(Debug)]
pub(super) struct Rooms {
    supply: Option<Supply>,
    group: Option<cgroup::Room>,
}

impl Rooms {
    /// Exact up to `plenty`; of more it is only known that it is that much.
    pub(super) fn measure(asked: &Asked, plenty: u64) -> Self {
        Rooms { supply: supply(asked.nodes), group: cgroup::memory_room(Path::new("/"), plenty) }
    }

    /// What is left over once all that was promised is taken, and `bytes` more.
    pub(super) fn over(&self, bytes: u64, moment: Moment, before: &Before<'_>) -> Result<u64, Short> {
        let mut over = u64::MAX;
        if let Some(supply) = &self.supply {
            let taken = before.take_of(supply.nodes);
            let room = supply.bytes.saturating_sub(taken);
            let needed = moment.of_a_node(bytes);
            match room.checked_sub(needed) {
                Some(more) => over = over.min(more),
                None => {
                    let whose = supply.to_string();
                    return Err(Short { needed, room, taken, whose, raise: None });
                }
            }
        }
        if let Some(group) = &self.group {
            let taken = before.take_of(None);
            let room = group.bytes.saturating_sub(taken.saturating_add(tables(taken)));
            let needed = moment.of_a_group(bytes);
            match room.checked_sub(needed) {
                Some(more) => over = over.min(more),
                None => {
                    let raise = Some(group.raise(needed.saturating_add(taken)));
                    return Err(Short { needed, room, taken, whose: group.whose(), raise });
                }
            }
        }
        Ok(over)
    }
}

/// When it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Before anything is taken.
    First,
    OnTheWay,
}

impl Moment {
    /// What has to be free of nodes, or the machine, for so many bytes. On the way the kernel's
    /// estimate moves by itself, and it keeps a reserve: the less is left, the more exact it is.
    fn of_a_node(self, bytes: u64) -> u64 {
        match self {
            Moment::First => bytes,
            Moment::OnTheWay => bytes - bytes / 16,
        }
    }

    /// What has to be free of a control group, which has no reserve: tables, and some for what
    /// threads take, and for a piece of another thread's that is not counted yet. On the way a part
    /// of that is in use.
    fn of_a_group(self, bytes: u64) -> u64 {
        let besides = match self {
            Moment::First => 2 << 20,
            Moment::OnTheWay => 1 << 20,
        };
        bytes.saturating_add(tables(bytes)).saturating_add(besides)
    }
}

/// What a control group pays besides for so many bytes: page tables (8 bytes a page, twice for what
/// is shared: the object's own tree of pages).
fn tables(bytes: u64) -> u64 {
    bytes / 128
}

/// What does not fit: the numbers.
#[derive(Debug)]
pub(super) struct Short {
    pub(super) needed: u64,
    pub(super) room: u64,
    /// By those who were admitted before, in this process.
    pub(super) taken: u64,
    pub(super) whose: String,
    pub(super) raise: Option<String>,
}

impl Short {
    /// Before anything was taken. `verb` is what was tried.
    pub(super) fn refuse(self, job: &Job<'_>, asked: &Asked, verb: &str) -> Error {
        self.error(format!("{verb} {}", job.whose), asked)
    }

    pub(super) fn error(self, what: String, asked: &Asked) -> Error {
        let Short { needed, room, taken, whose, raise } = self;
        let others = match taken {
            0 => String::new(),
            _ => format!(", after {:#} that this process is populating already", Bytes(taken)),
        };
        let detail =
            format!("{} needs {:#}, {whose} can give {:#}{others}", asked.what, Bytes(needed), Bytes(room));
        let elsewhere = raise.map_or_else(
            || "allow more nodes, or free some memory".to_owned(),
            |raise| format!("{raise}, or free some memory"),
        );
        Error::new(ErrorKind::NoMemory, what).with_facts(detail).with_remedy(format!(
            "ask for less, {elsewhere} (swap does not count: what is populated is in RAM)"
        ))
    }

    /// On the way, with so many bytes `left`: others took what there was.
    pub(super) fn refuse_on_the_way(self, job: &Job<'_>, asked: &Asked, left: u64) -> Error {
        let detail = format!(
            "there was room, and others have taken it since: {:#} are missing, {} can give {:#}",
            Bytes(left),
            self.whose,
            Bytes(self.room)
        );
        self.refuse(job, asked, "populate").with_facts(detail)
    }
}

/// The bytes of some parts, in order, that are in RAM.
pub(super) fn resident<'a>(residency: &Residency, parts: impl Iterator<Item = &'a Range<usize>>) -> u64 {
    let mut runs = residency.runs().iter().peekable();
    let mut bytes = 0;
    for part in parts {
        let mut at = part.start;
        while at < part.end {
            while runs.next_if(|run| run.range.end <= at).is_some() {}
            let Some(run) = runs.peek() else { return bytes };
            let end = run.range.end.min(part.end);
            if matches!(run.place, PageLocation::On { .. } | PageLocation::InRam { .. }) {
                bytes += (end - at) as u64;
            }
            at = end;
        }
    }
    bytes
}

/// What some nodes can give, or the machine.
#[derive(Debug)]
pub(super) struct Supply {
    pub(super) bytes: u64,
    /// `None` for the machine.
    nodes: Option<NodeSet>,
}

impl std::fmt::Display for Supply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.nodes {
            None => f.write_str("the machine"),
            Some(nodes) if nodes.len() == 1 => write!(f, "node {nodes}"),
            Some(nodes) => write!(f, "nodes {nodes}"),
        }
    }
}

/// What some nodes can give, or the machine if they are all that it has.
pub(super) fn supply(nodes: Option<NodeSet>) -> Option<Supply> {
    let with_memory = sys::text::read_to_string("/sys/devices/system/node/has_memory").unwrap_or_default();
    let with_memory = NodeSet::from_kernel_list(&with_memory).unwrap_or_default();
    match nodes {
        Some(nodes) if !nodes.is_superset(&with_memory) => {
            let zones = sys::text::read_to_string("/proc/zoneinfo").unwrap_or_default();
            let each = nodes.iter().map(|node| {
                let text =
                    sys::text::read_to_string(format!("/sys/devices/system/node/node{node}/meminfo")).ok()?;
                let room = meminfo::read(&text).0.available()?;
                Some(room.saturating_sub(kept_back(&zones, node)))
            });
            Some(Supply { bytes: each.sum::<Option<u64>>()?, nodes: Some(nodes) })
        }
        _ => Some(Supply { bytes: remedy::available_memory()?, nodes: None }),
    }
}

/// What the kernel keeps free of a node for itself: the `low` watermarks of its zones, from the
/// text of `/proc/zoneinfo`.
pub(crate) fn kept_back(zoneinfo: &str, node: Node) -> u64 {
    let mut ours = false;
    let mut pages = 0_u64;
    for line in zoneinfo.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("Node") => {
                ours = words.next().and_then(|id| id.trim_end_matches(',').parse().ok()) == Some(node.get())
            }
            Some("low") if ours => {
                let low = words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
                pages = pages.saturating_add(low);
            }
            _ => {}
        }
    }
    pages.saturating_mul(sys::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_keeps() {
        let zoneinfo = "Node 0, zone      DMA\n  pages free     3840\n        low      55\n\
                        Node 1, zone   Normal\n        min      5\n        low      7\n        high     9\n\
                        Node 1, zone  Movable\n        low      3\n\
                        Node 11, zone Normal\n        low      100\n\
                        Node 12, zone Normal\n        low      1\n        low      18446744073709551615\n";
        let page = sys::page_size() as u64;
        // Found by the fuzzer: more pages than there can be.
        assert_eq!(kept_back(zoneinfo, Node::new(12).unwrap()), u64::MAX);
        for (node, pages) in [(0, 55), (1, 10), (2, 0), (11, 100)] {
            assert_eq!(kept_back(zoneinfo, Node::new(node).unwrap()), pages * page, "node {node}");
        }
    }

    #[test]
    fn what_parts_have_already() {
        let residency = crate::residency::made_up(&[(2, Some(0)), (2, None), (4, Some(1))]);
        let page = sys::page_size();
        let parts = [page..3 * page, 3 * page..5 * page, 7 * page..20 * page];
        assert_eq!(resident(&residency, parts.iter()), 3 * page as u64);
        assert_eq!(resident(&residency, [].iter()), 0);
    }

    #[test]
    fn a_machine_can_give_something() {
        let supply = supply(None).unwrap();
        assert!(supply.bytes > 0);
        assert_eq!(supply.to_string(), "the machine");
    }
}
