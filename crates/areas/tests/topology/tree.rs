//! A folder that looks like `/sys`, written by a test.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use areas::Topology;

pub(crate) const NODES: &str = "devices/system/node";

/// A folder that is gone when the test is over.
pub(crate) struct Tree(pub(crate) PathBuf);

impl Tree {
    pub(crate) fn empty() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("areas-topology-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Tree(path)
    }

    pub(crate) fn with(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// A node with CPUs (or none) and free memory in KiB; half as much is reclaimable.
    pub(crate) fn node(self, node: u32, cpus: &str, free: u64, distances: &str) -> Self {
        let (total, slab) = (4 * free, free / 2);
        let meminfo = format!(
            "Node {node} MemTotal: {total} kB\nNode {node} MemFree: {free} kB\nNode {node} SReclaimable: {slab} kB\n"
        );
        self.with(&format!("{NODES}/node{node}/cpulist"), format!("{cpus}\n"))
            .with(&format!("{NODES}/node{node}/meminfo"), meminfo)
            .with(&format!("{NODES}/node{node}/distance"), format!("{distances}\n"))
    }

    pub(crate) fn access(self, node: u32, class: u8, initiator: u32, speed: [u64; 4]) -> Self {
        let folder = format!("{NODES}/node{node}/access{class}/initiators");
        let names = ["read_bandwidth", "write_bandwidth", "read_latency", "write_latency"];
        fs::create_dir_all(self.0.join(&folder).join(format!("node{initiator}"))).unwrap();
        names
            .into_iter()
            .zip(speed)
            .fold(self, |tree, (name, value)| tree.with(&format!("{folder}/{name}"), format!("{value}\n")))
    }

    /// A cache on a node's memory side: size and line in bytes, how it is indexed, and when it
    /// writes.
    pub(crate) fn cache(self, node: u32, level: u32, cache: [u64; 4]) -> Self {
        let folder = format!("{NODES}/node{node}/memory_side_cache/index{level}");
        ["size", "line_size", "indexing", "write_policy"]
            .into_iter()
            .zip(cache)
            .fold(self, |tree, (name, value)| tree.with(&format!("{folder}/{name}"), format!("{value}\n")))
    }

    /// Nodes 0 and 4 with CPUs, node 6 with memory alone; tiers, weights, huge pages, a HMAT, a
    /// memory-side cache.
    pub(crate) fn small_machine() -> Self {
        Tree::empty()
            .with(&format!("{NODES}/online"), "0,4,6\n")
            .with(&format!("{NODES}/possible"), "0-7\n")
            .with(&format!("{NODES}/has_memory"), "0,4,6\n")
            .with(&format!("{NODES}/has_generic_initiator"), "6\n")
            .with("devices/system/cpu/online", "0-2\n")
            .node(0, "0-1", 1000, "10 21 17")
            .node(4, "2-3", 3000, "21 10 28")
            .node(6, "", 2000, "17 28 10")
            .access(0, 1, 0, [100, 100, 80, 80])
            .access(4, 1, 4, [100, 90, 90, 80])
            .access(6, 1, 0, [300, 200, 120, 0])
            .access(6, 0, 6, [900, 900, 20, 20])
            .cache(4, 1, [4096, 64, 1, 0])
            .with("devices/virtual/memory_tiering/memory_tier4/nodelist", "0,4\n")
            .with("devices/virtual/memory_tiering/memory_tier22/nodelist", "6\n")
            .with("kernel/mm/mempolicy/weighted_interleave/node0", "5\n")
            .with("kernel/mm/mempolicy/weighted_interleave/node6", "2\n")
            .with(&format!("{NODES}/node4/hugepages/hugepages-2048kB/nr_hugepages"), "12\n")
            .with(&format!("{NODES}/node4/hugepages/hugepages-2048kB/free_hugepages"), "9\n")
            .with(&format!("{NODES}/node4/hugepages/hugepages-2048kB/surplus_hugepages"), "2\n")
    }

    pub(crate) fn read(&self) -> Topology {
        Topology::read_from(&self.0).unwrap()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
