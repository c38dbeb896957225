//! Nodes chosen by what they are good at: near, fast, empty.

use std::cmp::Reverse;
use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::nodes::{Node, NodeSet};
use crate::topology::{Memory, MemoryPerformance, NodeInfo, Topology};

/// A question to a [`Topology`]: which nodes are best, from where, among which?
///
/// Every answer is a list of nodes that are online and have memory, best first. Equals are ordered
/// by distance, then by number. With no origin given, the question is about the machine as a whole:
/// a node's distance is then that from the closest node with CPUs, and its speed is that for its
/// own best initiators.
///
/// ```
/// use areas::{NodeSet, Policy, Topology, place::Targets};
/// let topology = Topology::read()?;
/// let ranked = Targets::of(&topology).or_distance().highest_bandwidth()?;
/// let policy = Policy::Preferred(ranked[0].node);
/// # Ok::<(), areas::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Targets<'a> {
    pub(super) topology: &'a Topology,
    allowed: NodeSet,
    origin: Origin,
    pub(super) or_distance: bool,
}

#[derive(Clone, Copy, Debug)]
enum Origin {
    Anywhere,
    Cpu(u32),
    Node(Node),
}

/// A node in a ranking, and the value that put it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Ranked {
    /// The node.
    pub node: Node,
    /// What it was ranked by; the unit depends on the question and on `source`: MB/s or MiB/s for a
    /// bandwidth of the HMAT (see [`MemoryPerformance`]), nanoseconds for a latency of it, bytes
    /// for free memory and for capacity, and no unit for a distance.
    pub value: u64,
    /// Where the value comes from.
    pub source: RankedBy,
}

/// Where a value in a ranking comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RankedBy {
    /// The firmware's ACPI HMAT, as the kernel shows it in that access class.
    Hmat {
        /// 1: among nodes with CPUs. 0: among all initiators.
        class: u8,
    },
    /// The distance between nodes (ACPI SLIT). In an answer about bandwidth or latency it is the
    /// fallback for want of better knowledge.
    Distance,
    /// Free memory at the moment when the topology was read.
    Free,
    /// All memory that the kernel manages there (`MemTotal`).
    Capacity,
}

impl fmt::Display for RankedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RankedBy::Hmat { class } => write!(f, "HMAT access{class}"),
            RankedBy::Distance => f.write_str("distance"),
            RankedBy::Free => f.write_str("free memory"),
            RankedBy::Capacity => f.write_str("capacity"),
        }
    }
}

impl<'a> Targets<'a> {
    /// Among all nodes, from anywhere, and with no fallback.
    pub fn of(topology: &'a Topology) -> Self {
        Targets { topology, allowed: NodeSet::ALL, origin: Origin::Anywhere, or_distance: false }
    }

    /// Only among these nodes: those that the cpuset allows, for instance.
    pub fn within(mut self, allowed: NodeSet) -> Self {
        self.allowed = allowed;
        self
    }

    /// Seen from the node of that CPU.
    pub fn from_cpu(mut self, cpu: u32) -> Self {
        self.origin = Origin::Cpu(cpu);
        self
    }

    /// Seen from that node.
    pub fn from_node(mut self, node: Node) -> Self {
        self.origin = Origin::Node(node);
        self
    }

    /// Where bandwidth or latency is not known, nodes may be ranked by distance instead, behind
    /// those where it is. [`Ranked::source`] says which is which.
    pub fn or_distance(mut self) -> Self {
        self.or_distance = true;
        self
    }

    /// The nearest nodes first, by the distances of the firmware's ACPI SLIT; 10 is local.
    ///
    /// # Errors
    /// - [`ErrorKind::NodeNotAllowed`] if no node is left to choose from, or the origin does not
    ///   exist.
    /// - [`ErrorKind::InvalidInput`] if the CPU of the origin is not online.
    /// - [`ErrorKind::Unsupported`] if the kernel reports no distances.
    pub fn nearest(&self) -> Result<Vec<Ranked>> {
        let from = self.initiator()?;
        self.by_distance(self.candidates()?, from)
    }

    /// The nodes with the highest read bandwidth first; equals by write bandwidth.
    ///
    /// The firmware reports a node's bandwidth only for those that use it best, its initiators. A
    /// node of whose initiators the origin is none is left out, or stands behind the others if
    /// [`or_distance`](Targets::or_distance) allows it: as a rule it is not only farther away but
    /// also slower.
    ///
    /// # Errors
    /// - As [`nearest`](Targets::nearest).
    /// - [`ErrorKind::Unsupported`] if the bandwidth of no node is known from there and the
    ///   fallback is not allowed.
    pub fn highest_bandwidth(&self) -> Result<Vec<Ranked>> {
        self.by_speed("bandwidth", bandwidth)
    }

    /// The nodes with the lowest read latency first; equals by write latency. Nodes of which it is
    /// not known are treated as in [`highest_bandwidth`](Targets::highest_bandwidth).
    ///
    /// # Errors
    /// As [`highest_bandwidth`](Targets::highest_bandwidth).
    pub fn lowest_latency(&self) -> Result<Vec<Ranked>> {
        self.by_speed("latency", latency)
    }

    /// The nodes with the most free memory first, in bytes. What the kernel could reclaim does not
    /// count; see [`Memory::available`](crate::topology::Memory::available).
    ///
    /// # Errors
    /// - [`ErrorKind::NodeNotAllowed`] and [`ErrorKind::InvalidInput`] as
    ///   [`nearest`](Targets::nearest).
    /// - [`ErrorKind::Unsupported`] if the kernel reports for none of them how much memory is free.
    ///   Those of which it does not are left out.
    pub fn most_free(&self) -> Result<Vec<Ranked>> {
        self.by_size("free memory", RankedBy::Free, |memory| memory.free)
    }

    /// The nodes with the most memory first, in bytes: all that the kernel manages there, used or
    /// not.
    ///
    /// # Errors
    /// As [`most_free`](Targets::most_free).
    pub fn highest_capacity(&self) -> Result<Vec<Ranked>> {
        self.by_size("capacity", RankedBy::Capacity, |memory| memory.total)
    }

    fn by_size(
        &self,
        property: &str,
        source: RankedBy,
        of: impl Fn(&Memory) -> Option<u64>,
    ) -> Result<Vec<Ranked>> {
        let from = self.initiator()?;
        let candidates = self.candidates()?;
        let ranked = candidates.iter().filter_map(|info| {
            let value = of(info.memory.as_ref()?)?;
            let ranked = Ranked { node: info.node, value, source };
            Some((Reverse(value), self.tie(info.node, from), ranked))
        });
        let ranked: Vec<_> = ranked.collect();
        if ranked.is_empty() {
            return Err(self.unknown(property, candidates.iter().map(|info| info.node).collect()));
        }
        Ok(sorted(ranked))
    }

    fn by_speed<K: Ord>(
        &self,
        property: &str,
        key: impl Fn(&MemoryPerformance) -> Keyed<K>,
    ) -> Result<Vec<Ranked>> {
        let from = self.initiator()?;
        let (known, rest) = self.speeds(from, key)?;
        let mut ranked = sorted(known);
        if self.or_distance && !rest.is_empty() {
            ranked.extend(self.by_distance(rest, from)?);
        } else if ranked.is_empty() {
            return Err(self.unknown_speed(property, rest.iter().map(|info| info.node).collect()));
        }
        Ok(ranked)
    }

    /// The nodes whose speed is known from there, with what they are ranked by; and those of which
    /// it is not.
    pub(super) fn speeds<K: Ord>(
        &self,
        from: Option<Node>,
        key: impl Fn(&MemoryPerformance) -> Keyed<K>,
    ) -> Result<Speeds<'a, K>> {
        let (mut known, mut rest) = (Vec::new(), Vec::new());
        for info in self.candidates()? {
            let mut classes =
                info.access.iter().filter(|access| from.is_none_or(|from| access.initiators.contains(from)));
            match classes.find_map(|access| Some((access.class, key(access)?))) {
                Some((class, (value, key))) => {
                    let ranked = Ranked { node: info.node, value, source: RankedBy::Hmat { class } };
                    known.push((key, self.tie(info.node, from), ranked));
                }
                None => rest.push(info),
            }
        }
        Ok((known, rest))
    }

    pub(super) fn by_distance(&self, candidates: Vec<&NodeInfo>, from: Option<Node>) -> Result<Vec<Ranked>> {
        let ranked = candidates.into_iter().map(|info| {
            let unknown = || self.unknown("distance", NodeSet::single(info.node));
            let value = u64::from(self.distance(info.node, from).ok_or_else(unknown)?);
            Ok((value, info.node, Ranked { node: info.node, value, source: RankedBy::Distance }))
        });
        Ok(sorted(ranked.collect::<Result<_>>()?))
    }

    /// The nodes to choose from.
    pub(super) fn candidates(&self) -> Result<Vec<&'a NodeInfo>> {
        let nodes = self.topology.with_memory() & self.allowed;
        if nodes.is_empty() {
            return Err(Error::new(ErrorKind::NodeNotAllowed, self.question())
                .with_facts(format!("nodes with memory are {}", self.topology.with_memory()))
                .with_remedy("`areas nodes` lists the nodes of this machine"));
        }
        Ok(nodes.iter().filter_map(|node| self.topology.node(node)).collect())
    }

    /// The node that the question is asked from, if it is asked from somewhere.
    pub(super) fn initiator(&self) -> Result<Option<Node>> {
        match self.origin {
            Origin::Anywhere => Ok(None),
            Origin::Node(node) => match self.topology.node(node) {
                Some(_) => Ok(Some(node)),
                None => Err(Error::new(ErrorKind::NodeNotAllowed, self.question())
                    .with_facts(format!(
                        "node {node} does not exist; nodes {} are online",
                        self.topology.online()
                    ))
                    .with_remedy("`areas nodes` lists the nodes of this machine")),
            },
            Origin::Cpu(cpu) => match self.topology.node_of_cpu(cpu) {
                Some(node) => Ok(Some(node)),
                None => Err(Error::new(ErrorKind::InvalidInput, self.question()).with_facts(format!(
                    "CPU {cpu} is on no node; CPUs {} are online",
                    self.topology.cpus()
                ))),
            },
        }
    }

    fn distance(&self, to: Node, from: Option<Node>) -> Option<u32> {
        match from {
            Some(from) => self.topology.distance(from, to),
            None => {
                let with_cpus = self.topology.with_cpus();
                with_cpus.iter().filter_map(|from| self.topology.distance(from, to)).min()
            }
        }
    }

    fn tie(&self, to: Node, from: Option<Node>) -> (u32, Node) {
        (self.distance(to, from).unwrap_or(u32::MAX), to)
    }

    /// The question, for an error.
    fn question(&self) -> String {
        let allowed = self.allowed;
        match self.origin {
            Origin::Anywhere => format!("choose a node among {allowed}"),
            Origin::Cpu(cpu) => format!("choose a node among {allowed} for CPU {cpu}"),
            Origin::Node(node) => format!("choose a node among {allowed} for node {node}"),
        }
    }

    pub(super) fn unknown_speed(&self, property: &str, nodes: NodeSet) -> Error {
        self.unknown(property, nodes).with_remedy(
            "the firmware's ACPI HMAT would report it; choose by distance instead, or allow that fallback",
        )
    }

    fn unknown(&self, property: &str, nodes: NodeSet) -> Error {
        let noun = if nodes.len() == 1 { "node" } else { "nodes" };
        Error::new(ErrorKind::Unsupported, format!("{} by {property}", self.question()))
            .with_facts(format!("the kernel does not report the {property} of {noun} {nodes}"))
    }
}

/// A value, and what to order by.
pub(super) type Keyed<K> = Option<(u64, K)>;

/// Nodes with what they are ordered by, and those of which that is not known.
pub(super) type Speeds<'a, K> = (Vec<(K, (u32, Node), Ranked)>, Vec<&'a NodeInfo>);

/// The highest read bandwidth first; equals by write bandwidth.
pub(super) fn bandwidth(access: &MemoryPerformance) -> Keyed<impl Ord + use<>> {
    let read = access.read_bandwidth?;
    Some((read, (Reverse(read), Reverse(access.write_bandwidth.unwrap_or(0)))))
}

/// The lowest read latency first; equals by write latency.
pub(super) fn latency(access: &MemoryPerformance) -> Keyed<impl Ord + use<>> {
    let read = access.read_latency?;
    Some((read, (read, access.write_latency.unwrap_or(u64::MAX))))
}

pub(super) fn sorted<K: Ord, T: Ord>(mut ranked: Vec<(K, T, Ranked)>) -> Vec<Ranked> {
    ranked.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    ranked.into_iter().map(|(_, _, ranked)| ranked).collect()
}
