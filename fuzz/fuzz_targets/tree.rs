//! Whole trees that look like `/sys`: what is odd in them is named, and what is read is consistent.
//!
//! The input is a list of files: each its path, the byte 0x1f, and what stands in it; the byte 0x1e
//! is between two of them. A path alone is a folder.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use areas::Topology;
use areas::place::Targets;

/// As many files as a tree is made of at most, and folders below each other.
const MAX: usize = 64;
const DEPTH: usize = 9;

/// In memory, and another one for each process.
static ROOT: LazyLock<PathBuf> =
    LazyLock::new(|| Path::new("/dev/shm").join(format!("areas-fuzz-tree-{}", std::process::id())));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = fs::remove_dir_all(&*ROOT);
    fs::create_dir_all(&*ROOT).unwrap();
    bytes.split(|&byte| byte == 0x1e).take(MAX).for_each(put);
    let read = Topology::read_from(&*ROOT);
    match &read {
        Ok(topology) => consistent(topology),
        Err(error) => assert!(format!("{error:#}").contains(&ROOT.display().to_string()), "{error:#}"),
    }
    // The same tree is the same machine.
    let again = Topology::read_from(&*ROOT);
    assert_eq!(format!("{read:?}"), format!("{again:?}"));
    fs::remove_dir_all(&*ROOT).unwrap();
});

/// Puts a file into the tree, if it can be one: never outside of it.
fn put(entry: &[u8]) {
    let end = entry.iter().position(|&byte| byte == 0x1f);
    let Ok(path) = std::str::from_utf8(&entry[..end.unwrap_or(entry.len())]) else { return };
    let mut parts: Vec<&str> = path.split('/').collect();
    let fits =
        |part: &&str| (1..100).contains(&part.len()) && ![".", ".."].contains(part) && !part.contains('\0');
    if parts.len() > DEPTH || !parts.iter().all(fits) {
        return;
    }
    let name = end.map(|_| parts.pop().unwrap_or_default());
    let folder = parts.iter().fold(ROOT.clone(), |folder, part| folder.join(part));
    // What is a file already is not a folder.
    if fs::create_dir_all(&folder).is_ok()
        && let (Some(name), Some(end)) = (name, end)
    {
        let _ = fs::write(folder.join(name), &entry[end + 1..]);
    }
}

fn consistent(topology: &Topology) {
    let nodes = topology.nodes();
    assert!(!nodes.is_empty() && nodes.windows(2).all(|pair| pair[0].node < pair[1].node));
    assert!(topology.online().is_subset(&topology.possible()));
    assert!(topology.with_memory().is_subset(&topology.online()));
    for info in nodes {
        assert!(info.offline_cpus.intersection(&info.cpus).is_empty());
        assert!(info.cpus.difference(topology.cpus()).is_empty());
        assert!(info.offline_cpus.difference(topology.offline_cpus()).is_empty());
        let _ = (info.memory.map(|memory| memory.available()), info.distance(info.node));
    }
    assert!(topology.offline_cpus().intersection(topology.cpus()).is_empty());
    assert!(topology.cpus_without_node().difference(topology.cpus()).is_empty());
    for oddity in topology.oddities() {
        let reported = oddity.to_string();
        assert!(!reported.chars().any(char::is_control) && reported.len() < 2000, "{reported:?}");
    }
    let targets = Targets::of(topology);
    for targets in [targets, targets.or_distance(), targets.from_cpu(0), targets.from_node(nodes[0].node)] {
        let ranked =
            [targets.nearest(), targets.most_free(), targets.highest_bandwidth(), targets.lowest_latency()];
        for ranked in ranked.into_iter().flatten() {
            assert!(ranked.iter().all(|ranked| topology.with_memory().contains(ranked.node)));
        }
    }
}
