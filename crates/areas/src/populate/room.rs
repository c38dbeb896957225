//! Whether memory plainly cannot fit: asked before the first page is taken.
//!
//! The kernel has no error for "these nodes are full": it reclaims, and then its out-of-memory killer comes. So the
//! room is estimated here, on the generous side: free memory and what is easily reclaimed, less what the kernel keeps for
//! itself. Swap is not counted: a populated area is one that is in RAM.

use std::ops::Range;
use std::path::Path;

use super::Job;
use crate::error::{Error, Kind, Result, remedy};
use crate::page::PageSize;
use crate::place::{Node, NodeSet, Placement, Policy};
use crate::residency::{self, Residency, Where};
use crate::size::Bytes;
use crate::sys;
use crate::topology::meminfo;

/// Below this the question costs more than it is worth: even a small machine has it.
const WORTH_ASKING: usize = 1 << 20;

/// Refuses what cannot fit: `missing` bytes that are not in RAM yet, placed like that.
pub(super) fn check(job: &Job<'_>, placement: Placement, missing: usize) -> Result<()> {
    // A pool says itself that it is empty, by an error.
    if missing < WORTH_ASKING || job.mapping.page_size() != PageSize::base() {
        return Ok(());
    }
    let nodes = match placement.policy() {
        Policy::Bind(nodes) => Some(nodes),
        // All other policies spill, but not out of the cpuset.
        _ => sys::policy::allowed_nodes().ok(),
    };
    let asked = if placement.is_default() { "it".to_owned() } else { placement.to_string() };
    for (room, whose) in [supply(nodes), in_group(Path::new("/"))].into_iter().flatten() {
        if missing as u64 > room {
            return Err(refusal(job, &asked, missing as u64, (room, whose)));
        }
    }
    super::mixed(job).map_or(Ok(()), |parts| check_parts(job, &parts))
}

fn refusal(job: &Job<'_>, asked: &str, missing: u64, (room, whose): (u64, String)) -> Error {
    Error::new(Kind::NoMemory, format!("populate {}", job.whose))
        .detail(format!("{asked} needs {:#}, {whose} can give {:#}", Bytes(missing), Bytes(room)))
        .help("ask for less, allow more nodes, or free some memory (swap does not count: what is populated is in RAM)")
}

/// The same for parts that are placed each in its own way: what is confined to some nodes has to fit there.
fn check_parts(job: &Job<'_>, parts: &[(Range<usize>, Placement)]) -> Result<()> {
    let confined = |placement: &Placement| match placement.policy() {
        Policy::Bind(nodes) => Some(nodes),
        _ => None,
    };
    let mut sets: Vec<NodeSet> = parts.iter().filter_map(|(_, placement)| confined(placement)).collect();
    sets.sort_unstable_by_key(|nodes| *nodes.words());
    sets.dedup();
    // Asked only where it matters, since it takes a look at every page.
    let mut measured = None;
    for nodes in sets {
        let inside = || {
            parts
                .iter()
                .filter(|(_, placement)| confined(placement).is_some_and(|part| part.is_subset(&nodes)))
        };
        let all: u64 = inside().map(|(range, _)| range.len() as u64).sum();
        let Some((room, whose)) = supply(Some(nodes)).filter(|(room, _)| all > *room) else { continue };
        let residency = match measured.take() {
            Some(residency) => residency,
            None => residency::measure(job.mapping, job.object, job.len)?,
        };
        let missing = all.saturating_sub(resident(&residency, inside().map(|(range, _)| range)));
        if missing > room {
            let asked = Placement::new(Policy::Bind(nodes)).to_string();
            return Err(refusal(job, &asked, missing, (room, whose)));
        }
        measured = Some(residency);
    }
    Ok(())
}

/// The bytes of some parts, in order, that are in RAM.
fn resident<'a>(residency: &Residency, parts: impl Iterator<Item = &'a Range<usize>>) -> u64 {
    let mut runs = residency.runs().iter().peekable();
    let mut bytes = 0;
    for part in parts {
        let mut at = part.start;
        while at < part.end {
            while runs.next_if(|run| run.range.end <= at).is_some() {}
            let Some(run) = runs.peek() else { return bytes };
            let end = run.range.end.min(part.end);
            if matches!(run.place, Where::On { .. }) {
                bytes += (end - at) as u64;
            }
            at = end;
        }
    }
    bytes
}

/// What some nodes can give, or the machine if they are all that it has; and who that is, in words.
fn supply(nodes: Option<NodeSet>) -> Option<(u64, String)> {
    let with_memory = sys::text::read_to_string("/sys/devices/system/node/has_memory").unwrap_or_default();
    let with_memory = NodeSet::from_kernel_list(&with_memory).unwrap_or_default();
    match nodes {
        Some(nodes) if !nodes.is_superset(&with_memory) => {
            let zones = sys::text::read_to_string("/proc/zoneinfo").unwrap_or_default();
            let each = nodes.iter().map(|node| {
                let text =
                    sys::text::read_to_string(format!("/sys/devices/system/node/node{node}/meminfo")).ok()?;
                let room = meminfo::parse(&text).ok()?.available();
                Some(room.saturating_sub(kept_back(&zones, node)))
            });
            let noun = if nodes.len() == 1 { "node" } else { "nodes" };
            Some((each.sum::<Option<u64>>()?, format!("{noun} {nodes}")))
        }
        _ => Some((remedy::available_memory()?, "the machine".to_owned())),
    }
}

/// What the kernel keeps free of a node for itself: the `low` watermarks of its zones, from the text of `/proc/zoneinfo`.
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

/// What the control groups that this process is in can give (cgroup version 2), and whose limit it is; `None` where there is
/// none. A group over its limit is killed from, as a full machine is.
fn in_group(root: &Path) -> Option<(u64, String)> {
    let groups = sys::text::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let top = root.join("sys/fs/cgroup");
    let read = |group: &Path, file: &str| sys::text::read_to_string(top.join(group).join(file)).ok();
    let room = |group: &Path| {
        // "max" is no number: no limit.
        let limit: u64 = read(group, "memory.max")?.trim().parse().ok()?;
        let used: u64 = read(group, "memory.current")?.trim().parse().ok()?;
        let stat = read(group, "memory.stat").unwrap_or_default();
        let value = |name: &str| -> Option<u64> {
            stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.parse().ok()
        };
        let reclaimable =
            ["active_file", "inactive_file", "slab_reclaimable"].map(|name| value(name).unwrap_or(0));
        let reclaimable = reclaimable.into_iter().fold(0, u64::saturating_add);
        let room = limit.saturating_sub(used.saturating_sub(reclaimable));
        Some((room, format!("control group /{} (memory.max {:#})", group.display(), Bytes(limit))))
    };
    Path::new(path).ancestors().filter_map(room).min_by_key(|(room, _)| *room)
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
        let residency = residency::made_up(&[(2, Some(0)), (2, None), (4, Some(1))]);
        let page = sys::page_size();
        let parts = [page..3 * page, 3 * page..5 * page, 7 * page..20 * page];
        assert_eq!(resident(&residency, parts.iter()), 3 * page as u64);
        assert_eq!(resident(&residency, [].iter()), 0);
    }

    #[test]
    fn the_tightest_group_counts() {
        let root = std::env::temp_dir().join(format!("areas-room-{}", std::process::id()));
        let put = |path: &str, text: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("proc/self/cgroup", "4:memory:/x\n0::/outer/inner\n");
        put("sys/fs/cgroup/outer/memory.max", "1048576\n");
        put("sys/fs/cgroup/outer/memory.current", "1000000\n");
        put("sys/fs/cgroup/outer/memory.stat", "anon 5\ninactive_file 300000\nactive_file 100000\n");
        put("sys/fs/cgroup/outer/inner/memory.max", "max\n");
        put("sys/fs/cgroup/outer/inner/memory.current", "5\n");
        let (room, whose) = in_group(&root).unwrap();
        assert_eq!((room, whose.as_str()), (448_576, "control group /outer (memory.max 1.00 MiB)"));
        put("sys/fs/cgroup/outer/memory.max", "max\n");
        assert_eq!(in_group(&root), None);
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_machine_can_give_something() {
        let (room, whose) = supply(None).unwrap();
        assert!(room > 0);
        assert_eq!(whose, "the machine");
    }
}
