//! Memory spaces: sets of nodes, named by what they have in common.

use std::fmt;
use std::str::FromStr;

use super::target::{Keyed, Ranked, Targets, bandwidth, latency, sorted};
use crate::error::{Error, ErrorKind, Result};
use crate::nodes::{Node, NodeSet, list};
use crate::topology::MemoryPerformance;

/// A memory space by name: what its nodes have in common.
///
/// [`Targets::space`] returns which nodes they are, on a machine, among some nodes, seen from a CPU
/// or node. A ranking ([`Targets::highest_bandwidth`]) answers "which is best?" with one order; a
/// space answers with all nodes that are equally good, to place memory on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "umf_memspace_handle_t")]
pub enum Space {
    /// All nodes that are online and have memory.
    #[doc(alias = "umfMemspaceHostAllGet")]
    All,
    /// Those with the most memory. Up to a sixteenth less counts as equal: the kernel keeps a part
    /// of some nodes for itself, and does not count it.
    #[doc(alias = "umfMemspaceHighestCapacityGet")]
    HighestCapacity,
    /// Those with the highest read bandwidth; equals by write bandwidth.
    #[doc(alias = "umfMemspaceHighestBandwidthGet")]
    HighestBandwidth,
    /// Those with the lowest read latency; equals by write latency.
    #[doc(alias = "umfMemspaceLowestLatencyGet")]
    LowestLatency,
}

impl Space {
    /// All of them, in the order in which they are listed.
    pub const LIST: [Space; 4] =
        [Space::All, Space::HighestCapacity, Space::HighestBandwidth, Space::LowestLatency];

    /// Its name: `all`, `highest-capacity`, `highest-bandwidth`, `lowest-latency`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Space::All => "all",
            Space::HighestCapacity => "highest-capacity",
            Space::HighestBandwidth => "highest-bandwidth",
            Space::LowestLatency => "lowest-latency",
        }
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Space {
    type Err = Error;

    /// Reads a name.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for any other text.
    fn from_str(text: &str) -> Result<Self> {
        Space::LIST.into_iter().find(|space| space.name() == text).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("use memory space {}", list::excerpt(text)))
                .with_facts("no memory space has that name")
                .with_remedy(format!("the memory spaces are {}", Space::LIST.map(Space::name).join(", ")))
        })
    }
}

/// The nodes of a memory space on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemorySpace {
    space: Space,
    nodes: NodeSet,
    figures: Vec<Ranked>,
    unknown: NodeSet,
}

impl MemorySpace {
    /// Which one it is.
    #[must_use]
    pub fn space(&self) -> Space {
        self.space
    }

    /// Its nodes: never empty. `Policy::Interleave(space.nodes())` spreads memory over them.
    #[must_use]
    pub fn nodes(&self) -> NodeSet {
        self.nodes
    }

    /// What each node was chosen by, by ascending node; of several origins, the best. Empty for
    /// [`Space::All`], which asks for no figure.
    #[must_use]
    pub fn figures(&self) -> &[Ranked] {
        &self.figures
    }

    /// The nodes whose figure is not known, from where the question was asked: they may be as good
    /// or not, and are left out, unless [`or_distance`](Targets::or_distance) took them for want of
    /// better knowledge. (Of bandwidth and latency the firmware reports those only from a node's
    /// best initiators. As a rule those from elsewhere are slower.)
    #[must_use]
    pub fn unknown(&self) -> NodeSet {
        self.unknown
    }
}

/// So much less memory (a sixteenth) counts as equal.
const EQUAL: u64 = 16;

impl Targets<'_> {
    /// The nodes of a memory space.
    ///
    /// Bandwidth and latency are seen from the origin ([`from_cpu`](Targets::from_cpu),
    /// [`from_node`](Targets::from_node)). Without one, it is the best for each node with CPUs,
    /// together: on a machine of two sockets, both sockets' fast memory. What is not known is not
    /// guessed: such nodes are [`unknown`](MemorySpace::unknown); with
    /// [`or_distance`](Targets::or_distance), an origin from which nothing is known has its nearest
    /// nodes instead, and [`Ranked::source`] says so.
    ///
    /// ```
    /// use areas::place::{Space, Targets};
    /// use areas::{Policy, Topology};
    /// let topology = Topology::read()?;
    /// let space = Targets::of(&topology).within(areas::allowed_nodes()?).space(Space::HighestCapacity)?;
    /// let area = areas::builder(1 << 20).place(Policy::Interleave(space.nodes())).private()?;
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// - [`ErrorKind::NodeNotAllowed`] if no node is left to choose from, or the origin does not
    ///   exist.
    /// - [`ErrorKind::InvalidInput`] if the CPU of the origin is not online.
    /// - [`ErrorKind::Unsupported`] if the figure is known of no node, or with `or_distance` no
    ///   distance either.
    pub fn space(&self, space: Space) -> Result<MemorySpace> {
        match space {
            Space::All => {
                self.initiator()?;
                let nodes = self.candidates()?.iter().map(|info| info.node).collect();
                Ok(MemorySpace { space, nodes, figures: Vec::new(), unknown: NodeSet::EMPTY })
            }
            Space::HighestCapacity => {
                let mut ranked = self.highest_capacity()?;
                let known: NodeSet = ranked.iter().map(|ranked| ranked.node).collect();
                let most = ranked.first().map_or(0, |best| best.value);
                ranked.retain(|ranked| ranked.value >= most - most / EQUAL);
                self.made_of(space, ranked, known)
            }
            Space::HighestBandwidth => self.fastest(space, "bandwidth", bandwidth),
            Space::LowestLatency => self.fastest(space, "latency", latency),
        }
    }

    /// Those with the best speed, for each origin.
    fn fastest<K: Ord>(
        &self,
        space: Space,
        property: &str,
        key: impl Fn(&MemoryPerformance) -> Keyed<K> + Copy,
    ) -> Result<MemorySpace> {
        let origins = match self.initiator()? {
            Some(origin) => NodeSet::single(origin),
            None => self.topology.with_cpus(),
        };
        let mut known = NodeSet::EMPTY;
        let mut best: Vec<(Option<K>, Ranked)> = Vec::new();
        for origin in origins.iter() {
            let (mut speeds, rest) = self.speeds(Some(origin), key)?;
            known = known | speeds.iter().map(|(_, _, ranked)| ranked.node).collect();
            speeds.sort_by(|(one, ..), (other, ..)| one.cmp(other));
            let equal = speeds.iter().take_while(|(key, ..)| *key == speeds[0].0).count();
            best.extend(speeds.into_iter().take(equal).map(|(key, _, ranked)| (Some(key), ranked)));
            if equal == 0 && self.or_distance {
                let near = self.by_distance(rest, Some(origin))?;
                let nearest = near.first().map(|first| first.value);
                let near = near.into_iter().take_while(|ranked| Some(ranked.value) == nearest);
                best.extend(near.map(|ranked| (None, ranked)));
            }
        }
        if best.is_empty() {
            let nodes = self.candidates()?.iter().map(|info| info.node).collect();
            return Err(self.unknown_speed(property, nodes));
        }
        // Of a node that is best for several, the best figure: one that is known before a distance.
        let by_node = |(key, ranked): (Option<K>, Ranked)| {
            let distance = if key.is_none() { ranked.value } else { 0 };
            (ranked.node, (key.is_none(), key, distance), ranked)
        };
        let mut ranked: Vec<Ranked> = sorted(best.into_iter().map(by_node).collect());
        ranked.dedup_by_key(|ranked| ranked.node);
        self.made_of(space, ranked, known)
    }

    /// A space of these nodes, where the figure is known of those.
    fn made_of(&self, space: Space, mut figures: Vec<Ranked>, known: NodeSet) -> Result<MemorySpace> {
        let all: NodeSet = self.candidates()?.iter().map(|info| info.node).collect();
        figures.sort_by_key(|ranked| ranked.node);
        let nodes: NodeSet = figures.iter().map(|ranked: &Ranked| -> Node { ranked.node }).collect();
        Ok(MemorySpace { space, nodes, figures, unknown: all - known })
    }
}
