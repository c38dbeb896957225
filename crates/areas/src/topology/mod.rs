//! The machine's memory nodes: what they have, how far they are from each other, how fast they are.
//!
//! Read from sysfs, whose root is an argument, so that a captured tree of another machine does as
//! well.

mod cpuset;
mod file;
pub(crate) mod meminfo;
mod node_info;
mod oddity;
mod read;

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::nodes::{Node, NodeSet};
pub use cpuset::CpuSet;
pub use node_info::{
    CacheIndexing, CacheWrites, HugePool, Memory, MemoryPerformance, MemorySideCache, NodeInfo,
};
pub use oddity::Oddity;

/// The older name of [`MemoryPerformance`].
#[deprecated(since = "0.2.0", note = "use `MemoryPerformance`")]
pub type Access = MemoryPerformance;

/// The memory nodes of a machine at the moment of reading.
///
/// It says what *is*, not what this process may use: a cpuset may allow fewer nodes. Numbers of
/// nodes may have gaps, node 0 may be offline, and nodes may have memory without CPUs or CPUs
/// without memory. A kernel without NUMA is one node, 0.
///
/// ```
/// use areas::Topology;
/// let topology = Topology::read()?;
/// for info in topology.nodes() {
///     println!("node {}: CPUs {}, {:?}", info.node, info.cpus, info.memory.and_then(|memory| memory.free));
/// }
/// # Ok::<(), areas::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Topology {
    root: PathBuf,
    is_numa: bool,
    possible: NodeSet,
    cpus: CpuSet,
    offline_cpus: CpuSet,
    /// Sorted by node.
    nodes: Vec<NodeInfo>,
    oddities: Vec<Oddity>,
}

impl Topology {
    /// Of this machine: [`Topology::read_from`] `/sys`.
    ///
    /// # Errors
    /// As [`Topology::read_from`].
    pub fn read() -> Result<Self> {
        Self::read_from("/sys")
    }

    /// From a tree that looks like `/sys`: `devices/system/node`, `devices/system/cpu`,
    /// `devices/virtual/memory_tiering` and `kernel/mm`. See the kernel's
    /// [sysfs-devices-node](https://docs.kernel.org/admin-guide/abi-stable.html) and
    /// [numaperf](https://docs.kernel.org/admin-guide/mm/numaperf.html).
    ///
    /// What is not there is not known. What is there and cannot be read, makes no sense, or
    /// contradicts the rest is not known either, and [`oddities`](Topology::oddities) says so: all
    /// else stands. Where there is no `devices/system/node`, the result is one node, 0, with all
    /// CPUs; how much memory it has is then asked of `/proc/meminfo`, if the root is `/sys`. If
    /// nodes come or go while they are read, it reads again.
    ///
    /// # Errors
    /// - [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if the tree has neither nodes
    ///   nor CPUs.
    /// - [`ErrorKind::Io`](crate::ErrorKind::Io) if it has nodes, and no number of one can be read:
    ///   the error names the file and its content.
    pub fn read_from(root: impl AsRef<Path>) -> Result<Self> {
        read::topology(root.as_ref())
    }

    /// The root of the tree that it was read from.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the kernel knows nodes at all; if not, there is node 0 and no other.
    #[must_use]
    pub fn is_numa(&self) -> bool {
        self.is_numa
    }

    /// All nodes that are online or that the kernel shows a folder of, by ascending number.
    #[must_use]
    pub fn nodes(&self) -> &[NodeInfo] {
        &self.nodes
    }

    /// What is known of that node.
    #[must_use]
    pub fn node(&self, node: Node) -> Option<&NodeInfo> {
        let at = self.nodes.binary_search_by_key(&node, |info| info.node).ok()?;
        Some(&self.nodes[at])
    }

    /// The nodes that are online.
    #[must_use]
    pub fn online(&self) -> NodeSet {
        self.those(|info| info.online)
    }

    /// The nodes that could ever be online, if memory were added.
    #[must_use]
    pub fn possible(&self) -> NodeSet {
        self.possible
    }

    /// The nodes that are online and are known to have memory.
    #[must_use]
    pub fn with_memory(&self) -> NodeSet {
        self.those(|info| info.online && info.has_memory == Some(true))
    }

    /// The nodes that have CPUs which are online.
    #[must_use]
    pub fn with_cpus(&self) -> NodeSet {
        self.those(NodeInfo::has_cpus)
    }

    /// All CPUs that are online.
    #[must_use]
    pub fn cpus(&self) -> &CpuSet {
        &self.cpus
    }

    /// All CPUs that the machine has and that are offline, as far as the kernel reports
    /// (`/sys/devices/system/cpu/present`).
    #[must_use]
    pub fn offline_cpus(&self) -> &CpuSet {
        &self.offline_cpus
    }

    /// The CPUs that are online and in no node.
    #[must_use]
    pub fn cpus_without_node(&self) -> CpuSet {
        self.cpus.difference(&CpuSet::union(self.nodes.iter().map(|info| &info.cpus)))
    }

    /// What could not be read, made no sense, or contradicts the rest, in the order of reading:
    /// what it should have said is unknown. (Of a tree that is odd all over, some hundreds.)
    #[must_use]
    pub fn oddities(&self) -> &[Oddity] {
        &self.oddities
    }

    /// The node of a CPU; `None` if the CPU is offline, in no node, or does not exist.
    #[must_use]
    pub fn node_of_cpu(&self, cpu: u32) -> Option<Node> {
        self.nodes.iter().find(|info| info.cpus.contains(cpu)).map(|info| info.node)
    }

    /// How far the memory of `to` is, seen from `from`: 10 is local, 20 takes twice as long (the
    /// firmware's opinion: ACPI SLIT). `None` if the kernel does not say.
    #[must_use]
    pub fn distance(&self, from: Node, to: Node) -> Option<u32> {
        self.node(from)?.distance(to)
    }

    fn those(&self, which: impl Fn(&NodeInfo) -> bool) -> NodeSet {
        self.nodes.iter().filter(|&info| which(info)).map(|info| info.node).collect()
    }
}
