//! Which nodes are meant: by number, or by what they are good at.

use std::str::FromStr;

use areas::closed::ClosedRankedBy;
use areas::place::{MemorySpace, Ranked, Space, Targets};
use areas::{Bytes, Error, ErrorKind, Node, NodeSet, Topology};

use crate::output;

/// What can be said of nodes on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    These(NodeSet),
    /// The one node that is best, seen from the CPU on which we run, or from there.
    Best(Best, Option<Origin>),
    /// All nodes of a memory space, for the machine as a whole, or seen from there.
    Space(Space, Option<Origin>),
}

/// What one node is best at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Best {
    /// The highest bandwidth.
    Fastest,
    /// The smallest distance.
    Nearest,
    /// The most free memory.
    MostFree,
}

/// From where nodes are looked at: `cpu3`, `node1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Cpu(u32),
    Node(Node),
}

impl FromStr for Origin {
    type Err = Error;

    fn from_str(text: &str) -> areas::Result<Self> {
        let number = |prefix| text.strip_prefix(prefix)?.parse().ok();
        if let Some(cpu) = number("cpu") {
            return Ok(Origin::Cpu(cpu));
        }
        match number("node") {
            Some(node) => Node::new(node).map(Origin::Node),
            None => Err(Error::new(ErrorKind::InvalidInput, format!("look at nodes from {text:?}"))
                .with_facts("it names neither a CPU nor a node")
                .with_remedy("name one: `cpu3`, `node1`")),
        }
    }
}

impl Origin {
    /// The question, seen from there.
    pub(crate) fn ask(self, targets: Targets<'_>) -> Targets<'_> {
        match self {
            Origin::Cpu(cpu) => targets.from_cpu(cpu),
            Origin::Node(node) => targets.from_node(node),
        }
    }
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(text: &str) -> areas::Result<Self> {
        let (word, from) = match text.split_once('@') {
            Some((word, from)) => (word, Some(from.parse()?)),
            None => (text, None),
        };
        let best = match word {
            "fastest" => Some(Best::Fastest),
            "nearest" => Some(Best::Nearest),
            // `roomiest` is the older word.
            "most-free" | "roomiest" => Some(Best::MostFree),
            _ => None,
        };
        // `all` is that of the moment in which memory is mapped.
        let space = word.parse().ok().filter(|space| *space != Space::All);
        match (best, space) {
            (Some(best), _) => Ok(Choice::Best(best, from)),
            (None, Some(space)) => Ok(Choice::Space(space, from)),
            (None, None) => Ok(Choice::These(text.parse()?)),
        }
    }
}

impl Choice {
    /// The nodes. A choice by property is reported on stderr, with what it was made by.
    pub(crate) fn resolve(self, quiet: bool) -> areas::Result<NodeSet> {
        if let Choice::These(nodes) = self {
            return Ok(nodes);
        }
        let topology = Topology::read()?;
        let targets = Targets::of(&topology).within(areas::allowed_nodes()?);
        let (nodes, remark) = match self {
            Choice::These(nodes) => return Ok(nodes),
            Choice::Best(best, from) => one(best, from, targets)?,
            Choice::Space(space, from) => {
                let targets = from.map_or(targets, |from| from.ask(targets));
                let found = targets.space(space)?;
                let noun = if found.nodes().len() == 1 { "node" } else { "nodes" };
                let unknown = match found.unknown() {
                    unknown if unknown.is_empty() => String::new(),
                    unknown => format!("; of node {unknown} it is not known"),
                };
                let figures = figures(&found);
                (found.nodes(), format!("{space} is {noun} {} ({figures}){unknown}", found.nodes()))
            }
        };
        if !quiet {
            output::complain(&remark);
        }
        Ok(nodes)
    }
}

/// The one node that is best, and why.
fn one(best: Best, from: Option<Origin>, targets: Targets<'_>) -> areas::Result<(NodeSet, String)> {
    let mut targets = targets.or_distance();
    if let Some(from) = from {
        targets = from.ask(targets);
    } else if let Ok(cpu) = u32::try_from(rustix::thread::sched_getcpu()) {
        targets = targets.from_cpu(cpu);
    }
    let (word, ranked) = match best {
        Best::Fastest => ("fastest", targets.highest_bandwidth()?),
        Best::Nearest => ("nearest", targets.nearest()?),
        Best::MostFree => ("most-free", targets.most_free()?),
    };
    // Without a node the ranking is an error.
    let Some(first) = ranked.first() else { return Ok((NodeSet::EMPTY, String::new())) };
    let why = match ClosedRankedBy::from(first.source) {
        ClosedRankedBy::Distance if best == Best::Fastest => {
            format!("distance {}: the firmware reports no bandwidth", first.value)
        }
        _ => figure(first, "MB/s"),
    };
    Ok((NodeSet::single(first.node), format!("{word} is node {} ({why})", first.node)))
}

/// What a node was chosen by; `unit` is that of the firmware's figure.
fn figure(ranked: &Ranked, unit: &str) -> String {
    match ClosedRankedBy::from(ranked.source) {
        ClosedRankedBy::Hmat { class } => format!("{} {unit}, HMAT access{class}", ranked.value),
        ClosedRankedBy::Free => format!("{:#} free", Bytes(ranked.value)),
        ClosedRankedBy::Capacity => format!("{:#}", Bytes(ranked.value)),
        ClosedRankedBy::Distance => format!("distance {}", ranked.value),
    }
}

/// What the nodes of a space were chosen by: once, where it is the same for all.
pub(crate) fn figures(space: &MemorySpace) -> String {
    let unit = if space.space() == Space::LowestLatency { "ns" } else { "MB/s" };
    let figures: Vec<_> = space.figures().iter().map(|ranked| (ranked.node, figure(ranked, unit))).collect();
    match figures.first() {
        Some((_, first)) if figures.iter().all(|(_, figure)| figure == first) => first.clone(),
        _ => {
            let each: Vec<_> =
                figures.iter().map(|(node, figure)| format!("node {node}: {figure}")).collect();
            each.join("; ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_number_or_by_word() {
        let cases = [
            ("fastest", Some(Choice::Best(Best::Fastest, None))),
            ("nearest", Some(Choice::Best(Best::Nearest, None))),
            ("most-free", Some(Choice::Best(Best::MostFree, None))),
            ("roomiest", Some(Choice::Best(Best::MostFree, None))),
            ("nearest@cpu12", Some(Choice::Best(Best::Nearest, Some(Origin::Cpu(12))))),
            ("highest-capacity", Some(Choice::Space(Space::HighestCapacity, None))),
            ("highest-bandwidth", Some(Choice::Space(Space::HighestBandwidth, None))),
            (
                "lowest-latency@node0",
                Some(Choice::Space(Space::LowestLatency, Node::new(0).ok().map(Origin::Node))),
            ),
            ("lowest-latency@", None),
            ("lowest-latency@0", None),
            ("lowest-latency@node1024", None),
            ("lowest-latency@cpu-1", None),
            ("all@cpu0", None),
            ("0@cpu0", None),
            ("0-3", "0-3".parse().ok().map(Choice::These)),
            ("all", Some(Choice::These(NodeSet::ALL))),
            ("slowest", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Choice>().ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn one_node_is_everything_at_once() {
        // Whatever the machine: the best node is one that may be used.
        for choice in ["fastest", "nearest", "most-free", "highest-capacity", "highest-capacity@cpu0"] {
            let choice: Choice = choice.parse().unwrap();
            let nodes = choice.resolve(true).unwrap();
            assert_eq!(nodes.len(), 1);
            assert!(nodes.is_subset(&areas::allowed_nodes().unwrap()));
        }
    }
}
