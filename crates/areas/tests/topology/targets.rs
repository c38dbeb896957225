//! Nodes ranked by what they are good at.

use areas::NodeSet;
use areas::place::{Ranked, Targets};

use crate::tree::{NODES, Tree};
use crate::{node, ranking, set};

#[test]
fn targets_by_property() {
    let tree = Tree::small_machine();
    let topology = tree.read();
    let all = Targets::of(&topology);
    let cases = [
        (all.from_cpu(0).nearest(), "0:10/distance 6:17/distance 4:21/distance"),
        (all.from_node(node(4)).nearest(), "4:10/distance 0:21/distance 6:28/distance"),
        (all.nearest(), "0:10/distance 4:10/distance 6:17/distance"),
        (all.within(set("6-7")).from_cpu(2).nearest(), "6:28/distance"),
        (all.from_cpu(0).highest_bandwidth(), "6:300/access1 0:100/access1"),
        (all.from_cpu(0).or_distance().highest_bandwidth(), "6:300/access1 0:100/access1 4:21/distance"),
        (all.from_node(node(6)).highest_bandwidth(), "6:900/access0"),
        (all.highest_bandwidth(), "6:300/access1 0:100/access1 4:100/access1"),
        (all.from_cpu(0).lowest_latency(), "0:80/access1 6:120/access1"),
        (all.lowest_latency(), "0:80/access1 4:90/access1 6:120/access1"),
        (all.within(set("0,6")).from_cpu(2).highest_bandwidth(), "Unsupported"),
        (all.within(set("0,6")).from_cpu(2).or_distance().lowest_latency(), "0:21/distance 6:28/distance"),
        (all.most_free(), "4:3072000 6:2048000 0:1024000"),
        (all.within(set("1-3,5,7-9")).most_free(), "NodeNotAllowed"),
        (all.within(NodeSet::EMPTY).nearest(), "NodeNotAllowed"),
        (all.from_node(node(5)).nearest(), "NodeNotAllowed"),
        (all.from_cpu(3).most_free(), "InvalidInput"),
        (all.from_cpu(u32::MAX).nearest(), "InvalidInput"),
    ];
    for (at, (answer, expected)) in cases.into_iter().enumerate() {
        assert_eq!(ranking(answer), expected, "case {at}");
    }
    let report = |answer: areas::Result<Vec<Ranked>>| format!("{:#}", answer.unwrap_err());
    insta::assert_snapshot!(report(all.within(set("0,6")).from_cpu(2).highest_bandwidth()), @"
    cannot choose a node among 0,6 for CPU 2 by bandwidth: the kernel does not tell the bandwidth of nodes 0,6
      help: the firmware's ACPI HMAT would tell it; choose by distance instead, or allow that fallback
    ");
    insta::assert_snapshot!(report(all.from_cpu(3).nearest()), @"cannot choose a node among all for CPU 3: CPU 3 is on no node; CPUs 0-2 are online");
    insta::assert_snapshot!(report(all.within(set("2")).nearest()), @"
    cannot choose a node among 2: nodes with memory are 0,4,6
      help: `areas nodes` lists the nodes of this machine
    ");
}

#[test]
fn equal_nodes_are_ordered_by_distance_then_number() {
    let mut tree = Tree::empty().with(&format!("{NODES}/online"), "0-3");
    for (id, distances) in [(0, "10 20 15 15"), (1, "20 10 15 15"), (2, "15 15 10 15"), (3, "15 15 15 10")] {
        tree = tree.node(id, if id == 0 { "0" } else { "" }, 100, distances).access(id, 1, 0, [50, 50, 9, 9]);
    }
    let topology = tree.read();
    let targets = Targets::of(&topology).from_cpu(0);
    for ranked in
        [targets.highest_bandwidth(), targets.lowest_latency(), targets.most_free(), targets.nearest()]
    {
        let nodes: Vec<u32> = ranked.unwrap().iter().map(|ranked| ranked.node.get()).collect();
        assert_eq!(nodes, [0, 2, 3, 1]);
    }
}
