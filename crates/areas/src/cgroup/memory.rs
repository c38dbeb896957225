//! The room that the memory limits of control groups leave: `memory.max` and `memory.high`, version
//! 1's `memory.limit_in_bytes` and `memory.memsw.limit_in_bytes`.
//!
//! It is estimated on the generous side: what the kernel can reclaim without swap is not in use.
//! Swap makes no room, as what is populated is to be in RAM; so `memory.swap.max` does not count.
//! Version 1's limit on memory and swap together does.

use std::path::Path;

use super::{Level, Location, Room, Version};

/// The tightest limit on this process; `None` where there is none. `root` is `/`, but for tests.
///
/// Where a limit leaves `plenty` without anything being reclaimed, it is not asked what could be:
/// that takes the kernel a while.
pub(crate) fn room(root: &Path, plenty: u64) -> Option<Room> {
    let location = Location::of(root, "memory")?;
    of_groups(&location, plenty).into_iter().min_by_key(|room| room.bytes)
}

/// All limits on a process (`self`, or a number), those of its own group first; `None` where its
/// groups cannot be seen. What could be reclaimed is not in use.
pub fn rooms(root: &Path, process: &str) -> Option<Vec<Room>> {
    Location::of_process(root, process, "memory").map(|location| of_groups(&location, u64::MAX))
}

fn of_groups(location: &Location, plenty: u64) -> Vec<Room> {
    let rooms = location.levels.iter().flat_map(|level| match location.version {
        Version::One => of_version_one(level, plenty),
        Version::Two => of_version_two(level, plenty),
    });
    let above = match (location.version, location.levels.last()) {
        (Version::One, Some(top)) if !location.whole => above(top),
        _ => None,
    };
    rooms.chain(above).collect()
}

fn of_version_two(level: &Level, plenty: u64) -> Vec<Room> {
    let limits = ["memory.max", "memory.high"].map(|file| Some((file, level.number(file)?)));
    let limits: Vec<_> = limits.into_iter().flatten().collect();
    if limits.is_empty() {
        return Vec::new();
    }
    let Some(current) = level.number("memory.current") else { return Vec::new() };
    let reclaimable = match limits.iter().any(|(_, limit)| limit.saturating_sub(current) < plenty) {
        true => reclaimable(level, ""),
        false => 0,
    };
    let used = current.saturating_sub(reclaimable);
    limits.into_iter().map(|(file, limit)| Room::of(limit, used, level, file)).collect()
}

const LIMIT: &str = "memory.limit_in_bytes";
const WITH_SWAP: &str = "memory.memsw.limit_in_bytes";

fn of_version_one(level: &Level, plenty: u64) -> Vec<Room> {
    let limit = |file, usage| Some((file, level.number(file)?, level.number(usage)?));
    let memory = limit(LIMIT, "memory.usage_in_bytes");
    let with_swap = limit(WITH_SWAP, "memory.memsw.usage_in_bytes");
    if memory.is_none() && with_swap.is_none() {
        return Vec::new();
    }
    let rooms = [memory, with_swap].into_iter().flatten();
    let reclaimable = match rooms.clone().any(|(_, limit, usage)| limit.saturating_sub(usage) < plenty) {
        true => reclaimable(level, "total_"),
        false => 0,
    };
    let rooms = rooms.map(|(file, limit, usage)| {
        let mut room = Room::of(limit, usage.saturating_sub(reclaimable), level, file);
        if file == LIMIT {
            room.above = with_swap.map(|(_, limit, _)| (level.folder.join(WITH_SWAP), limit));
        }
        room
    });
    rooms.collect()
}

/// The limit of a group above the topmost that can be seen, which version 1 reports; how much of it
/// others use, it does not.
fn above(top: &Level) -> Option<Room> {
    let stat = top.read("memory.stat")?;
    let limit = value(&stat, "hierarchical_memory_limit").filter(|limit| *limit < 1 << 61)?;
    if top.number(LIMIT).is_some_and(|own| own <= limit) {
        return None;
    }
    let used = top.number("memory.usage_in_bytes")?.saturating_sub(reclaimable(top, "total_"));
    let group = format!("above {}, which cannot be seen from here", top.group);
    Some(Room { group, ..Room::of(limit, used, top, LIMIT) })
}

/// What the kernel gives up before it kills: the page cache of files, and caches of its own.
/// (Shared memory is not among the pages of files here.)
fn reclaimable(level: &Level, prefix: &str) -> u64 {
    let stat = level.read("memory.stat").unwrap_or_default();
    let names = ["active_file", "inactive_file", "slab_reclaimable"];
    names.iter().filter_map(|name| value(&stat, &format!("{prefix}{name}"))).fold(0, u64::saturating_add)
}

fn value(stat: &str, name: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::Tree;
    use super::*;

    const MIB: u64 = 1 << 20;
    const MOUNTS: &str =
        "5 4 0:32 / /cg rw - cgroup2 none rw\n6 4 0:33 / /one rw - cgroup none rw,memory,hugetlb\n";

    fn tree(name: &str, membership: &str) -> Tree {
        let tree = Tree::new(name);
        tree.put("proc/self/cgroup", membership);
        tree.put("proc/self/mountinfo", MOUNTS);
        tree
    }

    #[track_caller]
    fn check(tree: &Tree, bytes: u64, whose: &str) -> Room {
        let room = room(tree.root(), u64::MAX).expect("there is a limit");
        assert_eq!((room.bytes, room.whose().as_str()), (bytes, whose));
        room
    }

    #[test]
    fn the_tightest_group_of_version_two_counts() {
        let tree = tree("v2", "1:name=systemd:/x\n0::/outer/inner\n");
        assert_eq!(room(tree.root(), u64::MAX), None);
        tree.put("cg/outer/memory.max", format!("{}\n", 64 * MIB));
        tree.put("cg/outer/memory.high", "max\n");
        tree.put("cg/outer/memory.current", format!("{}\n", 40 * MIB));
        let stat = format!("anon 5\ninactive_file {}\nactive_file {MIB}\nslab_reclaimable {MIB}\n", 6 * MIB);
        tree.put("cg/outer/memory.stat", stat);
        tree.put("cg/outer/inner/memory.max", "max\n");
        tree.put("cg/outer/inner/memory.current", "5\n");
        let found = check(&tree, 32 * MIB, "control group /outer (memory.max is 64.0 MiB, 32.0 MiB in use)");
        assert_eq!(
            found.raise(64 * MIB).replace(tree.root().to_str().unwrap(), ""),
            "raise the limit: `echo 109051904 > /cg/outer/memory.max` as root (MemoryMax=109051904, \
             `--memory 109051904`)"
        );
        // What only slows down, seems to hang.
        tree.put("cg/outer/inner/memory.high", format!("{}\n", 8 * MIB));
        tree.put("cg/outer/inner/memory.current", format!("{MIB}\n"));
        check(&tree, 7 * MIB, "control group /outer/inner (memory.high is 8.00 MiB, 1.00 MiB in use)");
        // Over it already.
        tree.put("cg/outer/inner/memory.current", format!("{}\n", 9 * MIB));
        check(&tree, 0, "control group /outer/inner (memory.high is 8.00 MiB, 9.00 MiB in use)");
    }

    #[test]
    fn version_one_with_and_without_swap() {
        let tree = tree("v1", "4:memory,hugetlb:/box/in\n0::/elsewhere\n");
        const NONE: &str = "9223372036854771712\n";
        for group in ["one", "one/box", "one/box/in"] {
            tree.put(&format!("{group}/{LIMIT}"), NONE);
            tree.put(&format!("{group}/{WITH_SWAP}"), NONE);
            tree.put(&format!("{group}/memory.usage_in_bytes"), format!("{}\n", 30 * MIB));
            tree.put(&format!("{group}/memory.memsw.usage_in_bytes"), format!("{}\n", 50 * MIB));
            let file = format!("inactive_file 1\ntotal_inactive_file {}\ntotal_active_file 0\n", 10 * MIB);
            tree.put(
                &format!("{group}/memory.stat"),
                format!("hierarchical_memory_limit 9223372036854771712\n{file}"),
            );
        }
        // A limit of version 2 is none where the controller is not.
        tree.put("cg/elsewhere/memory.max", "4096\n");
        tree.put("cg/elsewhere/memory.current", "4096\n");
        assert_eq!(room(tree.root(), u64::MAX), None);
        tree.put(&format!("one/box/{LIMIT}"), format!("{}\n", 96 * MIB));
        let found =
            check(&tree, 76 * MIB, "control group /box (memory.limit_in_bytes is 96.0 MiB, 20.0 MiB in use)");
        assert!(!found.raise(MIB).contains("memsw"), "{}", found.raise(MIB));
        tree.put(&format!("one/box/{WITH_SWAP}"), format!("{}\n", 100 * MIB));
        let found = check(
            &tree,
            60 * MIB,
            "control group /box (memory.memsw.limit_in_bytes is 100 MiB, 40.0 MiB in use)",
        );
        assert!(found.raise(MIB).starts_with("raise the limit: `echo "), "{}", found.raise(MIB));
        // The limit on memory cannot be above that on both together, which has to be raised first.
        tree.put(&format!("one/box/{LIMIT}"), format!("{}\n", 64 * MIB));
        let raise = room(tree.root(), u64::MAX).unwrap().raise(MIB);
        assert!(!raise.contains("memsw"), "what is high enough is not lowered: {raise}");
        let raise =
            check(&tree, 44 * MIB, "control group /box (memory.limit_in_bytes is 64.0 MiB, 20.0 MiB in use)")
                .raise(81 * MIB);
        let (first, second) = raise.split_once(" && ").unwrap();
        assert!(first.ends_with(WITH_SWAP) && second.contains(LIMIT), "{raise}");
    }

    #[test]
    fn a_limit_above_what_can_be_seen() {
        let tree = Tree::new("above");
        tree.put("proc/self/cgroup", "4:memory:/box/in\n");
        tree.put("proc/self/mountinfo", "6 4 0:33 /box/in /one rw - cgroup none rw,memory\n");
        tree.put(&format!("one/{LIMIT}"), "9223372036854771712\n");
        tree.put("one/memory.usage_in_bytes", format!("{MIB}\n"));
        tree.put("one/memory.stat", format!("hierarchical_memory_limit {}\n", 5 * MIB));
        check(
            &tree,
            4 * MIB,
            "control group above /box/in, which cannot be seen from here (memory.limit_in_bytes is 5.00 MiB, 1.00 MiB in use)",
        );
        // Nothing is above the root of the hierarchy.
        tree.put("one/release_agent", "");
        assert_eq!(room(tree.root(), u64::MAX), None);
        std::fs::remove_file(tree.root().join("one/release_agent")).unwrap();
        // Its own limit is what the line means.
        tree.put(&format!("one/{LIMIT}"), format!("{}\n", 5 * MIB));
        check(&tree, 4 * MIB, "control group /box/in (memory.limit_in_bytes is 5.00 MiB, 1.00 MiB in use)");
    }

    #[test]
    fn what_could_be_reclaimed_is_asked_where_it_matters() {
        let tree = tree("plenty", "0::/a\n");
        tree.put("cg/a/memory.max", format!("{}\n", 64 * MIB));
        tree.put("cg/a/memory.current", format!("{}\n", 40 * MIB));
        tree.put("cg/a/memory.stat", format!("inactive_file {}\n", 30 * MIB));
        for (plenty, bytes) in [(24 * MIB, 24 * MIB), (24 * MIB + 1, 54 * MIB)] {
            assert_eq!(room(tree.root(), plenty).unwrap().bytes, bytes);
        }
    }

    #[test]
    fn numbers_that_are_none() {
        let tree = tree("odd", "0::/a\n");
        tree.put("cg/a/memory.current", "1\n");
        for text in ["", "\n", "x", "-1", "18446744073709551616", "18446744073709551615", "max", "1 2"] {
            tree.put("cg/a/memory.max", text);
            assert_eq!(room(tree.root(), u64::MAX), None, "{text:?}");
        }
        tree.put("cg/a/memory.max", "10");
        tree.put(
            "cg/a/memory.stat",
            "inactive_file 18446744073709551615\nactive_file 18446744073709551615\n",
        );
        assert_eq!(room(tree.root(), u64::MAX).unwrap().bytes, 10);
        tree.put("cg/a/memory.current", b"\xff");
        assert_eq!(room(tree.root(), u64::MAX), None);
    }
}
