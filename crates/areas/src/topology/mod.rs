//! The machine's memory nodes: what they have, how far they are from each other, how fast they are.
//!
//! Read from sysfs, whose root is an argument, so that a captured tree of another machine does as well.

mod cpuset;
mod file;
pub(crate) mod meminfo;
mod node_info;
mod read;

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::place::{Node, NodeSet};
pub use cpuset::CpuSet;
pub use node_info::{Access, HugePool, Memory, NodeInfo};

/// The memory nodes of a machine at the moment of reading.
///
/// It says what *is*, not what this process may use: a cpuset may allow fewer nodes. Numbers of nodes may have gaps, node
/// 0 may be offline, and nodes may have memory without CPUs or CPUs without memory. A kernel without NUMA is one node, 0.
///
/// ```
/// use areas::Topology;
/// let topology = Topology::read()?;
/// for info in topology.nodes() {
///     println!("node {}: CPUs {}, {:?}", info.node, info.cpus, info.memory.map(|memory| memory.free));
/// }
/// # Ok::<(), areas::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Topology {
    root: PathBuf,
    is_numa: bool,
    possible: NodeSet,
    cpus: CpuSet,
    /// Sorted by node.
    nodes: Vec<NodeInfo>,
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
    /// What is not there, or not readable for this user, is not known; what is there must make sense. Where there is no
    /// `devices/system/node`, the result is one node, 0, with all CPUs; how much memory it has is then asked of
    /// `/proc/meminfo`, if the root is `/sys`. If nodes come or go while they are read, it reads again.
    ///
    /// # Errors
    /// - [`Kind::Io`](crate::Kind::Io) if a file cannot be read, or does not hold what it should; the error names the
    ///   file and its content.
    /// - [`Kind::Unsupported`](crate::Kind::Unsupported) if the tree has neither nodes nor CPUs.
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

    /// The nodes that are online and have memory.
    #[must_use]
    pub fn with_memory(&self) -> NodeSet {
        self.those(|info| info.online && info.has_memory)
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

    /// The node of a CPU; `None` if the CPU is offline or does not exist.
    #[must_use]
    pub fn node_of_cpu(&self, cpu: u32) -> Option<Node> {
        self.nodes.iter().find(|info| info.cpus.contains(cpu)).map(|info| info.node)
    }

    /// How far the memory of `to` is, seen from `from`: 10 is local, 20 takes twice as long (the firmware's opinion:
    /// ACPI SLIT). `None` if the kernel does not say.
    #[must_use]
    pub fn distance(&self, from: Node, to: Node) -> Option<u32> {
        self.node(from)?.distance(to)
    }

    fn those(&self, which: impl Fn(&NodeInfo) -> bool) -> NodeSet {
        self.nodes.iter().filter(|&info| which(info)).map(|info| info.node).collect()
    }
}
