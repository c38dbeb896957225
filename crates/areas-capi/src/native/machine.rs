//! The machine: its nodes.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};

use areas::NodeSet;
use areas::closed::{ClosedCacheIndexing, ClosedCacheWrites};
use areas::topology::{MemorySideCache, NodeInfo, Oddity, Topology};

use super::errors::{invalid, number};
use super::nodes::node;

/// Where a line may lie in a cache: the kernel does not report it.
pub const AREAS_INDEXING_UNKNOWN: u32 = 0;
/// Each address has one place: two that are far apart may push each other out.
pub const AREAS_INDEXING_DIRECT: u32 = 1;
/// An address has several places.
pub const AREAS_INDEXING_INDEXED: u32 = 2;
/// Something that the firmware does not describe.
pub const AREAS_INDEXING_OTHER: u32 = 3;

/// When a cache writes to what lies behind it: the kernel does not report it.
pub const AREAS_WRITES_UNKNOWN: u32 = 0;
/// Later, when the line goes.
pub const AREAS_WRITES_BACK: u32 = 1;
/// At once.
pub const AREAS_WRITES_THROUGH: u32 = 2;
/// Something that the firmware does not describe.
pub const AREAS_WRITES_OTHER: u32 = 3;

/// A cache on a node's memory side, in front of its memory, for all who access it. What the kernel
/// does not report is 0.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct SideCache {
    /// Its level: 1 is next to the memory.
    pub level: u32,
    /// AREAS_INDEXING_UNKNOWN or another.
    pub indexing: u32,
    /// AREAS_WRITES_UNKNOWN or another.
    pub writes: u32,
    /// 0.
    pub reserved: u32,
    /// Bytes.
    pub size: u64,
    /// Bytes that a miss takes from what lies behind it.
    pub line_size: u64,
}

/// The kernel reports how much memory a node has: `total` is valid.
pub const AREAS_KNOWS_TOTAL: u32 = 1;
/// The same of `free`.
pub const AREAS_KNOWS_FREE: u32 = 2;
/// The same of `available`.
pub const AREAS_KNOWS_AVAILABLE: u32 = 4;
/// The kernel reports whether a node has memory: `has_memory` is valid.
pub const AREAS_KNOWS_HAS_MEMORY: u32 = 8;
/// The kernel reports a node's CPUs: `has_cpus` is valid.
pub const AREAS_KNOWS_CPUS: u32 = 16;
/// The kernel reports a node's memory tier: `tier` is valid.
pub const AREAS_KNOWS_TIER: u32 = 32;
/// The kernel reports a node's weight for weighted interleaving: `weight` is valid.
pub const AREAS_KNOWS_WEIGHT: u32 = 64;

/// A node of this machine.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct MachineNode {
    /// sizeof(areas_node).
    pub struct_size: usize,
    /// Its number.
    pub node: u32,
    /// Whether this process may take memory from it: 1 or 0.
    pub allowed: u32,
    /// Whether it has CPUs: 1 or 0.
    pub has_cpus: u32,
    /// 0.
    pub reserved: u32,
    /// Bytes of memory; 0 where the kernel does not report it.
    pub total: u64,
    /// Free bytes; 0 where the kernel does not report it.
    pub free: u64,
    /// Bytes that a new area can still get without swapping, about; 0 where the kernel does not
    /// report it.
    pub available: u64,
    /// A union of AREAS_KNOWS_TOTAL and others: what the kernel reports of it.
    pub known: u32,
    /// Whether it is online: 1 or 0.
    pub online: u32,
    /// Whether it has memory: 1 or 0.
    pub has_memory: u32,
    /// Its memory tier: a lower number is faster memory.
    pub tier: u32,
    /// Pages a turn in weighted interleaving.
    pub weight: u32,
    /// How many caches are in front of its memory; 0 for most nodes.
    pub cache_count: u32,
    /// They, by level, until the function returns; NULL for none.
    pub caches: *const SideCache,
}

impl SideCache {
    fn of(cache: &MemorySideCache) -> Self {
        SideCache {
            level: cache.level,
            indexing: match cache.indexing.map(ClosedCacheIndexing::from) {
                None => AREAS_INDEXING_UNKNOWN,
                Some(ClosedCacheIndexing::Direct) => AREAS_INDEXING_DIRECT,
                Some(ClosedCacheIndexing::Indexed) => AREAS_INDEXING_INDEXED,
                Some(ClosedCacheIndexing::Other) => AREAS_INDEXING_OTHER,
            },
            writes: match cache.write_policy.map(ClosedCacheWrites::from) {
                None => AREAS_WRITES_UNKNOWN,
                Some(ClosedCacheWrites::Back) => AREAS_WRITES_BACK,
                Some(ClosedCacheWrites::Through) => AREAS_WRITES_THROUGH,
                Some(ClosedCacheWrites::Other) => AREAS_WRITES_OTHER,
            },
            reserved: 0,
            size: cache.size.unwrap_or(0),
            line_size: cache.line_size.unwrap_or(0),
        }
    }
}

impl MachineNode {
    /// The description of a node; its caches live as long as `caches`.
    fn of(info: &NodeInfo, oddities: &[Oddity], allowed: NodeSet, caches: &[SideCache]) -> Self {
        let memory = info.memory.unwrap_or_default();
        let knows = [
            (memory.total.is_some(), AREAS_KNOWS_TOTAL),
            (memory.free.is_some(), AREAS_KNOWS_FREE),
            (memory.available().is_some(), AREAS_KNOWS_AVAILABLE),
            (info.has_memory.is_some(), AREAS_KNOWS_HAS_MEMORY),
            (info.knows_cpus(oddities), AREAS_KNOWS_CPUS),
            (info.tier.is_some(), AREAS_KNOWS_TIER),
            (info.weight.is_some(), AREAS_KNOWS_WEIGHT),
        ];
        MachineNode {
            struct_size: size_of::<MachineNode>(),
            node: info.node.get(),
            allowed: u32::from(allowed.contains(info.node)),
            has_cpus: u32::from(info.has_cpus()),
            reserved: 0,
            total: memory.total.unwrap_or(0),
            free: memory.free.unwrap_or(0),
            available: memory.available().unwrap_or(0),
            known: knows.iter().filter(|(known, _)| *known).map(|(_, flag)| flag).sum(),
            online: u32::from(info.online),
            has_memory: u32::from(info.has_memory == Some(true)),
            tier: info.tier.unwrap_or(0),
            weight: info.weight.map_or(0, u32::from),
            cache_count: u32::try_from(caches.len()).unwrap_or(u32::MAX),
            caches: if caches.is_empty() { std::ptr::null() } else { caches.as_ptr() },
        }
    }
}

/// Called with each node, in order. A return value other than 0 ends the walk.
pub type OnNode = Option<unsafe extern "C" fn(node: *const MachineNode, context: *mut c_void) -> c_int>;

/// Lists the nodes of this machine. Returns how many were listed.
///
/// AREAS_ERROR_INVALID_INPUT if the function is NULL, AREAS_ERROR_IO where sysfs cannot be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_nodes(on_node: OnNode, context: *mut c_void) -> c_int {
    number(|| {
        let Some(call) = on_node else {
            return Err(invalid("list the machine's nodes", "the callback is NULL"));
        };
        let machine = Topology::read()?;
        let allowed = areas::allowed_nodes()?;
        let mut count = 0;
        for info in machine.nodes() {
            let caches: Vec<SideCache> = info.memory_side_caches.iter().map(SideCache::of).collect();
            let described = MachineNode::of(info, machine.oddities(), allowed, &caches);
            count += 1;
            // SAFETY: C's own function, with its context, and a structure that lives as long as the
            // call.
            if unsafe { call(&raw const described, context) } != 0 {
                break;
            }
        }
        Ok(count)
    })
}

/// How far it is from one node to another, 10 being a node itself (SLIT).
///
/// AREAS_ERROR_NODE_NOT_ALLOWED if the machine does not have both, or does not report it.
#[unsafe(no_mangle)]
pub extern "C" fn areas_distance(from: u32, to: u32) -> c_int {
    number(|| {
        let (from, to) = (node(from)?, node(to)?);
        let distance = Topology::read()?.distance(from, to);
        distance.and_then(|distance| c_int::try_from(distance).ok()).ok_or_else(|| {
            areas::Error::new(
                areas::ErrorKind::NodeNotAllowed,
                format!("get the distance from node {from} to node {to}"),
            )
            .with_facts("the machine does not have both, or does not report it")
        })
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A cache that reports all, and one that reports its level alone; a node of which nothing can
    /// be read.
    #[test]
    fn what_is_not_known_is_distinguished_from_nothing() {
        let folder = std::env::temp_dir().join(format!("areas-machine-{}", std::process::id()));
        let node = |id: u32, file: &str| folder.join(format!("devices/system/node/node{id}/{file}"));
        for (path, text) in [
            (folder.join("devices/system/node/online"), "0-1\n"),
            (folder.join("devices/system/cpu/online"), "0\n"),
            (node(0, "cpulist"), "0\n"),
            (node(0, "meminfo"), "Node 0 MemTotal: 100 kB\nNode 0 MemFree: 0 kB\n"),
            (node(0, "memory_side_cache/index1/size"), "4096\n"),
            (node(0, "memory_side_cache/index1/line_size"), "64\n"),
            (node(0, "memory_side_cache/index1/indexing"), "0\n"),
            (node(0, "memory_side_cache/index1/write_policy"), "1\n"),
            (node(0, "memory_side_cache/index2/size"), "?\n"),
            (node(1, "cpulist"), "?\n"),
            (node(1, "meminfo"), "?\n"),
        ] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let machine = Topology::read_from(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let reported = |at: usize| {
            let info = &machine.nodes()[at];
            let caches: Vec<_> = info.memory_side_caches.iter().map(SideCache::of).collect();
            (MachineNode::of(info, machine.oddities(), NodeSet::EMPTY, &caches), caches)
        };
        let (node, caches) = reported(0);
        let known = AREAS_KNOWS_TOTAL | AREAS_KNOWS_FREE | AREAS_KNOWS_AVAILABLE;
        assert_eq!(node.known, known | AREAS_KNOWS_HAS_MEMORY | AREAS_KNOWS_CPUS);
        assert_eq!((node.total, node.free, node.has_memory, node.has_cpus), (100 << 10, 0, 1, 1));
        assert_eq!((node.cache_count, node.caches), (2, caches.as_ptr()));
        let SideCache { level, indexing, writes, reserved, size, line_size } = caches[0];
        assert_eq!((level, reserved, size, line_size), (1, 0, 4096, 64));
        assert_eq!((indexing, writes), (AREAS_INDEXING_DIRECT, AREAS_WRITES_THROUGH));
        let SideCache { level, indexing, writes, size, .. } = caches[1];
        assert_eq!((level, size, indexing, writes), (2, 0, AREAS_INDEXING_UNKNOWN, AREAS_WRITES_UNKNOWN));
        let (node, _) = reported(1);
        assert_eq!((node.known, node.online, node.cache_count), (0, 1, 0));
        assert!(node.caches.is_null());
    }
}
