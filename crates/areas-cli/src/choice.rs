//! Which nodes are meant: by number, or by what they are good at.

use std::str::FromStr;

use areas::closed::ClosedSource;
use areas::place::{Ranked, Targets};
use areas::{Bytes, NodeSet, Topology};

use crate::output;

/// What can be said of nodes on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    These(NodeSet),
    /// The highest bandwidth, seen from the CPU on which we run.
    Fastest,
    /// The smallest distance from that CPU.
    Nearest,
    /// The most free memory.
    Roomiest,
}

impl FromStr for Choice {
    type Err = areas::Error;

    fn from_str(text: &str) -> areas::Result<Self> {
        Ok(match text {
            "fastest" => Choice::Fastest,
            "nearest" => Choice::Nearest,
            "roomiest" => Choice::Roomiest,
            _ => Choice::These(text.parse()?),
        })
    }
}

impl Choice {
    /// The nodes. A choice by property is told on stderr, with what it was made by.
    pub(crate) fn resolve(self, quiet: bool) -> areas::Result<NodeSet> {
        if let Choice::These(nodes) = self {
            return Ok(nodes);
        }
        let topology = Topology::read()?;
        let mut targets = Targets::of(&topology).within(areas::allowed_nodes()?).or_distance();
        if let Ok(cpu) = u32::try_from(rustix::thread::sched_getcpu()) {
            targets = targets.from_cpu(cpu);
        }
        let (word, ranked) = match self {
            Choice::Fastest => ("fastest", targets.highest_bandwidth()?),
            Choice::Nearest => ("nearest", targets.nearest()?),
            _ => ("roomiest", targets.most_free()?),
        };
        // Without a node the ranking is an error.
        let Some(best) = ranked.first() else { return Ok(NodeSet::EMPTY) };
        if !quiet {
            output::complain(&format!("{word} is node {} ({})", best.node, by(word, best)));
        }
        Ok(NodeSet::single(best.node))
    }
}

/// What a node was chosen by.
fn by(word: &str, ranked: &Ranked) -> String {
    match ClosedSource::from(ranked.source) {
        ClosedSource::Hmat { class } => format!("{} MB/s, HMAT access{class}", ranked.value),
        ClosedSource::Free => format!("{:#} free", Bytes(ranked.value)),
        ClosedSource::Distance if word == "fastest" => {
            format!("distance {}: the firmware tells no bandwidth", ranked.value)
        }
        ClosedSource::Distance => format!("distance {}", ranked.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_number_or_by_word() {
        let cases = [
            ("fastest", Some(Choice::Fastest)),
            ("nearest", Some(Choice::Nearest)),
            ("roomiest", Some(Choice::Roomiest)),
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
        for choice in [Choice::Fastest, Choice::Nearest, Choice::Roomiest] {
            let nodes = choice.resolve(true).unwrap();
            assert_eq!(nodes.len(), 1);
            assert!(nodes.is_subset(&areas::allowed_nodes().unwrap()));
        }
    }
}
