//! Huge pages: the pools of the machine and of its nodes, and transparent ones.

use std::path::Path;

use areas::machine::{self, Room};
use areas::topology::HugePool;
use areas::{Bytes, Topology};

use super::check::{Check, Group, State};
use super::facts::Facts;

const POOLS: &str = "/sys/kernel/mm/hugepages";
const TRANSPARENT: &str = "/sys/kernel/mm/transparent_hugepage";

pub(super) fn group(facts: &Facts) -> Group {
    let mut checks = pools(facts);
    checks.extend([transparent(facts), of_objects(facts)]);
    checks.extend(limits(facts, "self"));
    Group { title: "huge pages", checks }
}

fn pools(facts: &Facts) -> Vec<Check> {
    let (id, title) = ("huge.pool", "pool");
    let names = match facts.names(POOLS) {
        Ok(names) => names,
        Err(why) if facts.lacks(&why) => {
            return vec![
                Check::remark(id, title, "this kernel has no pools: `--huge 2M` is an error")
                    .words("boot a kernel with CONFIG_HUGETLBFS; `--huge auto` takes transparent ones"),
            ];
        }
        Err(why) => return vec![Check::unknown(id, title, why.to_string())],
    };
    let sizes = names.iter().filter_map(|name| Some((name, kilobytes(name)?)));
    let topology = Topology::read_from(facts.path("/sys")).ok();
    let checks: Vec<Check> = sizes
        .map(|(name, kilobytes)| pool(facts, topology.as_ref(), name, kilobytes.saturating_mul(1024)))
        .collect();
    if checks.is_empty() {
        return vec![Check::remark(id, title, "this kernel has pools of no size: `--huge 2M` is an error")];
    }
    checks
}

/// Of `hugepages-2048kB`.
fn kilobytes(name: &str) -> Option<u64> {
    name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()
}

/// As `--huge` has it.
fn in_words(bytes: u64) -> String {
    Bytes(bytes).to_string().replace(' ', "").replace("iB", "")
}

fn pool(facts: &Facts, topology: Option<&Topology>, name: &str, size: u64) -> Check {
    let (id, title) = ("huge.pool", format!("pool of {}", in_words(size)));
    let read = |file: &str| facts.number(format!("{POOLS}/{name}/{file}_hugepages"));
    let (total, free) = match (read("nr"), read("free")) {
        (Ok(total), Ok(free)) => (total, free),
        (Err(why), _) | (_, Err(why)) => return Check::unknown(id, title, why.to_string()),
    };
    let reserved = read("resv").unwrap_or(0);
    // Some 128 MiB, or a page.
    let fill = format!("echo {} > {POOLS}/{name}/nr_hugepages", ((128 << 20) / size.max(1)).max(1));
    if total == 0 {
        let finding =
            format!("it is empty: `--huge {}` is an error, `--huge auto` takes other pages", in_words(size));
        // That of other sizes is filled by who means it.
        let usual = facts.meminfo("Hugepagesize") == Ok(size);
        let check = if usual { Check::remark(id, title, finding) } else { Check::fine(id, title, finding) };
        return check.root(fill);
    }
    let nodes = of_nodes(topology, size);
    let each = match nodes.as_slice() {
        [] | [_] => String::new(),
        nodes => {
            let each = nodes.iter().map(|(node, pool)| format!("node {node}: {}", free_of(pool)));
            format!(" ({})", each.collect::<Vec<_>>().join(", "))
        }
    };
    let finding = format!("{free} of {total} pages are free, {reserved} of them reserved{each}");
    let usable = free.saturating_sub(reserved);
    let empty = nodes.iter().find(|(_, pool)| pool.total == Some(0));
    match (usable, empty) {
        (0, _) => Check::remark(id, title, format!("{finding}: none is left"))
            .root(format!("echo {} > {POOLS}/{name}/nr_hugepages", total.saturating_mul(2))),
        (_, Some((node, _))) if nodes.len() > 1 => {
            let per_node = total.div_ceil(nodes.len() as u64);
            Check::remark(
                id,
                title,
                format!("{finding}: node {node} has none, so that what is interleaved or placed there is elsewhere"),
            )
            .root(format!("echo {per_node} > /sys/devices/system/node/node{node}/hugepages/{name}/nr_hugepages"))
        }
        _ => Check::fine(id, title, finding).root(fill),
    }
}

fn free_of(pool: &HugePool) -> String {
    let said = |count: Option<u64>| count.map_or("?".to_owned(), |count| count.to_string());
    format!("{} of {}", said(pool.free), said(pool.total))
}

/// The pools of nodes that have memory.
pub(super) fn of_nodes(topology: Option<&Topology>, size: u64) -> Vec<(u32, &HugePool)> {
    let nodes = topology.map(Topology::nodes).unwrap_or_default().iter();
    nodes
        .filter(|info| info.online && info.has_memory != Some(false))
        .filter_map(|info| Some((info.node.get(), info.huge_pool(size)?)))
        .collect()
}

/// What private memory gets.
fn transparent(facts: &Facts) -> Check {
    let (id, title) = ("huge.transparent", "transparent");
    let finding = machine::transparent_given(facts.root(), false);
    if machine::transparent_forbidden(facts.root(), false).is_some() {
        return Check::remark(id, title, format!("private areas have {finding}")).words(
            "boot a kernel with CONFIG_TRANSPARENT_HUGEPAGE, and start this without PR_SET_THP_DISABLE",
        );
    }
    match facts.chosen(format!("{TRANSPARENT}/enabled")) {
        Ok(word) if word == "never" => Check::remark(id, title, format!("private areas have {finding}"))
            .root(format!("echo madvise > {TRANSPARENT}/enabled")),
        Ok(word) => Check::fine(id, title, format!("enabled is {word}: private areas have {finding}")),
        Err(why) => Check::unknown(id, title, why.to_string()),
    }
}

/// What memory objects get.
fn of_objects(facts: &Facts) -> Check {
    let (id, title) = ("huge.shmem", "shared transparent");
    let finding = machine::transparent_given(facts.root(), true);
    match facts.chosen(format!("{TRANSPARENT}/shmem_enabled")) {
        Ok(word) => {
            let check =
                Check::fine(id, title, format!("shmem_enabled is {word}: shared areas have {finding}"));
            match word.as_str() {
                "deny" => {
                    check.in_state(State::Remark).root(format!("echo advise > {TRANSPARENT}/shmem_enabled"))
                }
                _ => check,
            }
        }
        Err(why) if facts.lacks(&why) => Check::remark(id, title, format!("shared areas have {finding}"))
            .words("boot a kernel with CONFIG_TRANSPARENT_HUGEPAGE"),
        Err(why) => Check::unknown(id, title, why.to_string()),
    }
}

/// Limits of control groups on hugetlb pages.
pub(super) fn limits(facts: &Facts, process: &str) -> Vec<Check> {
    let (id, title) = ("huge.limit", "limit of a group");
    let sizes = facts.names(POOLS).unwrap_or_default();
    let sizes = sizes.iter().filter_map(|name| usize::try_from(kilobytes(name)?.checked_mul(1024)?).ok());
    let rooms: Vec<(usize, Room)> = sizes
        .flat_map(|size| {
            let rooms = machine::hugetlb_rooms_of(facts.root(), process, size);
            rooms.into_iter().map(move |room| (size, room))
        })
        .collect();
    let check = |(size, room): &(usize, Room)| {
        let file = room.file.file_name().unwrap_or_default().display();
        let finding = format!(
            "control group {}: {file} is {:#}, {:#} in use",
            room.group,
            Bytes(room.limit),
            Bytes(room.used)
        );
        match room.bytes < *size as u64 {
            false => Check::fine(id, title, finding),
            true => lines(facts, Check::remark(id, title, format!("{finding}: no page is left")), room),
        }
    };
    rooms.iter().map(check).collect()
}

/// The lines that raise a limit by a half.
pub(super) fn lines(facts: &Facts, check: Check, room: &Room) -> Check {
    let wanted = room.limit.saturating_sub(room.used).saturating_add(room.limit / 2);
    let root = facts.root().to_string_lossy().into_owned();
    room.lines(wanted).into_iter().fold(check, |check, line| {
        // The files of another machine are where they are there.
        let line = if Path::new(&root) == Path::new("/") { line } else { line.replace(&root, "") };
        check.root(line)
    })
}
