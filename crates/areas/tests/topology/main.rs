//! Topologies of machines that we do not have: small trees written here, and captured ones.

mod captured;
mod hostile;
mod machines;
mod odd;
mod targets;
mod tree;

use areas::place::{Ranked, RankedBy};
use areas::topology::NodeInfo;
use areas::{Node, NodeSet, Topology};

fn set(text: &str) -> NodeSet {
    text.parse().unwrap()
}

fn node(id: u32) -> Node {
    Node::new(id).unwrap()
}

fn info(topology: &Topology, id: u32) -> &NodeInfo {
    topology.node(node(id)).unwrap()
}

/// "node:value" of each, for short tables.
fn ranking(ranked: areas::Result<Vec<Ranked>>) -> String {
    match ranked {
        Ok(ranked) => {
            let each = ranked.iter().map(|Ranked { node, value, source, .. }| match source {
                RankedBy::Hmat { class } => format!("{node}:{value}/access{class}"),
                RankedBy::Distance => format!("{node}:{value}/distance"),
                _ => format!("{node}:{value}"),
            });
            each.collect::<Vec<_>>().join(" ")
        }
        Err(error) => format!("{:?}", error.kind()),
    }
}
