//! What is known of one node: its memory, CPUs, huge pages, neighbours and speed.

use std::fmt;

use super::cpuset::CpuSet;
use super::oddity::Oddity;
use crate::nodes::{Node, NodeSet};

/// What the kernel reports of one node. A fact that it does not report is `None` or empty, never a
/// guess.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeInfo {
    /// Its number.
    pub node: Node,
    /// Whether it is online (`/sys/devices/system/node/online`).
    pub online: bool,
    /// Whether it has memory: by its own `meminfo`, and by `has_memory` (which old kernels call
    /// `has_normal_memory`) where that has no size. `None` if neither has.
    pub has_memory: Option<bool>,
    /// Whether devices on it, but no CPUs, start memory accesses (`has_generic_initiator`, Linux
    /// 5.10).
    pub has_generic_initiator: bool,
    /// Its online CPUs (`cpulist`, else `cpumap`, else its `cpuN` entries); empty for a node of
    /// memory alone.
    pub cpus: CpuSet,
    /// Its CPUs that are there and offline.
    pub offline_cpus: CpuSet,
    /// How much memory it has, at the moment of reading (`meminfo`).
    pub memory: Option<Memory>,
    /// Its pools of huge pages, small pages first (`hugepages/`).
    pub huge_pools: Vec<HugePool>,
    /// How fast its memory is, from where: what is about CPUs (class 1) first, then class 0. Empty
    /// unless the firmware has an ACPI HMAT (or CDAT, for CXL).
    pub access: Vec<MemoryPerformance>,
    /// The caches that its memory has on its own side (`memory_side_cache/`, Linux 5.2), by level.
    /// Empty for most nodes: such a cache is of fast memory in front of more, slower memory, and no
    /// node by itself.
    pub memory_side_caches: Vec<MemorySideCache>,
    /// Its memory tier: a lower number is faster memory (`/sys/devices/virtual/memory_tiering`,
    /// Linux 6.1).
    pub tier: Option<u32>,
    /// Its weight for weighted interleaving, 1 to 255 pages a turn
    /// (`/sys/kernel/mm/mempolicy/weighted_interleave`, Linux 6.9).
    pub weight: Option<u8>,
    /// Sorted by node.
    pub(super) distances: Vec<(Node, u32)>,
}

impl NodeInfo {
    /// Whether it has CPUs that are online.
    #[must_use]
    pub fn has_cpus(&self) -> bool {
        !self.cpus.is_empty()
    }

    /// Whether what sysfs says of its CPUs could be read, going by the
    /// [`Topology::oddities`](super::Topology::oddities) of the same reading: if not, `cpus` is
    /// empty for want of better knowledge.
    #[must_use]
    pub fn knows_cpus(&self, oddities: &[Oddity]) -> bool {
        !(self.cpus.is_empty() && self.is_odd(&["cpulist", "cpumap"], oddities))
    }

    /// Whether the distances from it could be read; as [`knows_cpus`](NodeInfo::knows_cpus).
    #[must_use]
    pub fn knows_distances(&self, oddities: &[Oddity]) -> bool {
        !(self.distances.is_empty() && self.is_odd(&["distance"], oddities))
    }

    /// Whether one of these files of it made no sense.
    fn is_odd(&self, files: &[&str], oddities: &[Oddity]) -> bool {
        oddities.iter().any(|oddity| {
            let name = oddity.file.file_name().and_then(|name| name.to_str());
            oddity.node == Some(self.node) && name.is_some_and(|name| files.contains(&name))
        })
    }

    /// How far another node's memory is, seen from this node: 10 is local, 20 takes twice as long
    /// (the firmware's opinion: ACPI SLIT). `None` if the kernel does not say.
    #[must_use]
    pub fn distance(&self, to: Node) -> Option<u32> {
        let at = self.distances.binary_search_by_key(&to, |&(node, _)| node).ok()?;
        Some(self.distances[at].1)
    }

    /// All distances from this node, by ascending node.
    pub fn distances(&self) -> impl ExactSizeIterator<Item = (Node, u32)> + '_ {
        self.distances.iter().copied()
    }

    /// The pool of huge pages of that size in bytes.
    #[must_use]
    pub fn huge_pool(&self, page_size: u64) -> Option<&HugePool> {
        self.huge_pools.iter().find(|pool| pool.page_size == page_size)
    }

    /// How fast this node's memory is for accesses that start at `initiator`: class 1 if
    /// `initiator` is one of its initiators, else class 0 likewise, else `None`.
    #[must_use]
    pub fn access_from(&self, initiator: Node) -> Option<&MemoryPerformance> {
        self.access.iter().find(|access| access.initiators.contains(initiator))
    }
}

/// How much memory a node has, in bytes, as its `meminfo` said at the moment of reading. What it
/// did not say is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// `MemTotal`: what the kernel manages, huge-page pools included.
    pub total: Option<u64>,
    /// `MemFree`: what is not in use. Free pages of huge-page pools do not count.
    pub free: Option<u64>,
    /// `Active(file)` + `Inactive(file)` + `SReclaimable`: what the kernel could give up without
    /// swapping. An upper bound: dirty pages must be written first, and some of it is in use again
    /// at once.
    pub reclaimable: Option<u64>,
    /// `AnonPages`: anonymous pages of processes.
    pub anonymous: Option<u64>,
    /// `Shmem`: pages of tmpfs, memfds and other shared memory.
    pub shared: Option<u64>,
    /// `Unevictable`: pages that cannot be reclaimed, locked ones above all.
    pub unevictable: Option<u64>,
}

impl Memory {
    /// Free and reclaimable together: about what a new area can still get without swapping. The
    /// kernel keeps some of it for itself (watermarks). What is not known to be reclaimable counts
    /// as not reclaimable; `None` if what is free is not known.
    #[must_use]
    pub const fn available(&self) -> Option<u64> {
        match (self.free, self.reclaimable) {
            (Some(free), Some(reclaimable)) => Some(free.saturating_add(reclaimable)),
            (free, _) => free,
        }
    }
}

/// A cache in front of a node's memory: on its side, for all who access it
/// (`memory_side_cache/indexN`, from the firmware's HMAT).
///
/// The kernel numbers them from the memory on: of several, the one with the higher number is nearer
/// to the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemorySideCache {
    /// Its level: 1 is next to the memory.
    pub level: u32,
    /// `size`, in bytes.
    pub size: Option<u64>,
    /// `line_size`: bytes that a miss takes from what lies behind it.
    pub line_size: Option<u64>,
    /// `indexing`: where a line may lie in it.
    pub indexing: Option<CacheIndexing>,
    /// `write_policy`: when what is written goes to what lies behind it.
    pub write_policy: Option<CacheWrites>,
}

/// Where a line may lie in a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheIndexing {
    /// Each address has one place: two that are far apart may push each other out.
    Direct,
    /// An address has several places.
    Indexed,
    /// Something else, which the firmware does not describe.
    Other,
}

impl fmt::Display for CacheIndexing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CacheIndexing::Direct => "direct",
            CacheIndexing::Indexed => "indexed",
            CacheIndexing::Other => "other",
        })
    }
}

/// When a cache writes to what lies behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheWrites {
    /// Later, when the line goes.
    Back,
    /// At once.
    Through,
    /// Something else, which the firmware does not describe.
    Other,
}

impl fmt::Display for CacheWrites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CacheWrites::Back => "write-back",
            CacheWrites::Through => "write-through",
            CacheWrites::Other => "other",
        })
    }
}

/// A node's pool of huge pages of one size. Counts are pages; what the kernel does not report is
/// `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HugePool {
    /// The size of a page in bytes.
    pub page_size: u64,
    /// `nr_hugepages`: pages in the pool, surplus ones included.
    pub total: Option<u64>,
    /// `free_hugepages`: pages that were never touched; some may be promised to mappings already.
    pub free: Option<u64>,
    /// `surplus_hugepages`: pages above what the administrator set, which go when they are freed.
    pub surplus: Option<u64>,
}

/// How fast a node's memory is for those who are best placed to use it (`nodeN/accessC/initiators`,
/// Linux 5.2).
///
/// These are the rated values of the firmware, not measurements. Bandwidths are in the unit in
/// which the kernel prints them: its numaperf page calls it MiB/s, its sysfs ABI page MB/s, and the
/// ACPI table that they come from counts MB/s; do not build on the 5 % between the two. Latencies
/// are nanoseconds. A value of 0 is what the kernel prints for "not reported", and is `None` here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryPerformance {
    /// 0: the best initiators of any kind, CPUs or devices. 1: the best among nodes with CPUs
    /// (Linux 5.10).
    pub class: u8,
    /// The nodes for which the values hold. From other nodes it is another, unknown speed: as a
    /// rule a slower one.
    pub initiators: NodeSet,
    /// `read_bandwidth`, in MB/s or MiB/s (see above).
    pub read_bandwidth: Option<u64>,
    /// `write_bandwidth`, in MB/s or MiB/s (see above).
    pub write_bandwidth: Option<u64>,
    /// `read_latency`, in nanoseconds.
    pub read_latency: Option<u64>,
    /// `write_latency`, in nanoseconds.
    pub write_latency: Option<u64>,
}
