//! Nodes ranked by what they are good at.

use areas::place::{MemorySpace, Ranked, Space, Targets};
use areas::{ErrorKind, NodeSet};

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
    cannot choose a node among 0,6 for CPU 2 by bandwidth: the kernel does not report the bandwidth of nodes 0,6
      help: the firmware's ACPI HMAT would report it; choose by distance instead, or allow that fallback
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

/// "nodes by figures; ?unknown", for short tables.
fn space(answer: areas::Result<MemorySpace>) -> String {
    match answer {
        Ok(space) => {
            let nodes: NodeSet = space.figures().iter().map(|ranked| ranked.node).collect();
            assert!(space.figures().is_empty() || nodes == space.nodes());
            let unknown =
                if space.unknown().is_empty() { String::new() } else { format!(" ?{}", space.unknown()) };
            format!("{}: {}{unknown}", space.nodes(), ranking(Ok(space.figures().to_vec())))
        }
        Err(error) => format!("{:?}", error.kind()),
    }
}

#[test]
fn spaces_by_property() {
    use Space::{All, HighestBandwidth, HighestCapacity, LowestLatency};
    let tree = Tree::small_machine();
    let topology = tree.read();
    let all = Targets::of(&topology);
    let cases = [
        (all.space(All), "0,4,6: "),
        (all.within(set("4-9")).from_cpu(0).space(All), "4,6: "),
        (all.space(HighestCapacity), "4: 4:12288000"),
        (all.within(set("0,6")).space(HighestCapacity), "6: 6:8192000"),
        // From anywhere: the best for node 0, and the best for node 4.
        (all.space(HighestBandwidth), "4,6: 4:100/access1 6:300/access1"),
        (all.space(LowestLatency), "0,4: 0:80/access1 4:90/access1"),
        (all.from_cpu(0).space(HighestBandwidth), "6: 6:300/access1 ?4"),
        (all.from_node(node(0)).space(LowestLatency), "0: 0:80/access1 ?4"),
        (all.from_node(node(6)).space(LowestLatency), "6: 6:20/access0 ?0,4"),
        (all.within(set("0,4")).from_cpu(0).space(HighestBandwidth), "0: 0:100/access1 ?4"),
        // Nothing is known of 0 and 6 from node 4: no guess, unless it is allowed.
        (all.within(set("0,6")).from_cpu(2).space(HighestBandwidth), "Unsupported"),
        (all.within(set("0,6")).from_cpu(2).or_distance().space(HighestBandwidth), "0: 0:21/distance ?0,6"),
        // Of several origins one that knows nothing has its nearest: what is known comes first.
        (all.within(set("0,6")).space(HighestBandwidth), "6: 6:300/access1"),
        (all.within(set("0,6")).or_distance().space(HighestBandwidth), "0,6: 0:21/distance 6:300/access1"),
        (all.within(set("1")).space(All), "NodeNotAllowed"),
        (all.from_node(node(5)).space(All), "NodeNotAllowed"),
        (all.from_cpu(3).space(HighestCapacity), "InvalidInput"),
        (all.from_cpu(3).space(LowestLatency), "InvalidInput"),
    ];
    for (at, (answer, expected)) in cases.into_iter().enumerate() {
        assert_eq!(space(answer), expected, "case {at}");
    }
    insta::assert_snapshot!(format!("{:#}", all.within(set("0,6")).from_cpu(2).space(LowestLatency).unwrap_err()), @"
    cannot choose a node among 0,6 for CPU 2 by latency: the kernel does not report the latency of nodes 0,6
      help: the firmware's ACPI HMAT would report it; choose by distance instead, or allow that fallback
    ");
    insta::assert_snapshot!(format!("{:#}", "highest".parse::<Space>().unwrap_err()), @r#"
    cannot use memory space "highest": no memory space has that name
      help: the memory spaces are all, highest-capacity, highest-bandwidth, lowest-latency
    "#);
    for one in Space::LIST {
        assert_eq!(one.to_string().parse::<Space>().unwrap(), one);
    }
}

/// Equals are in it together: nearly equal sizes, equal speeds; and of what is not known nothing is
/// said.
#[test]
fn spaces_of_equal_nodes() {
    let mut tree =
        Tree::empty().with(&format!("{NODES}/online"), "0-3").with("devices/system/cpu/online", "0-1");
    for (id, cpus, free, distances) in [
        (0, "0", 1000, "10 20 15 25"),
        (1, "1", 1060, "20 10 25 15"),
        (2, "", 990, "15 25 10 30"),
        (3, "", 1064, "25 15 30 10"),
    ] {
        tree = tree.node(id, cpus, free, distances);
    }
    tree = tree.access(0, 1, 0, [50, 50, 9, 9]).access(1, 1, 1, [50, 50, 9, 9]);
    tree = tree.access(2, 1, 0, [90, 90, 20, 20]).access(3, 1, 1, [90, 80, 20, 20]);
    let topology = tree.read();
    let all = Targets::of(&topology);
    // 1000 is within a sixteenth of 1064, and 990 is not.
    assert_eq!(all.space(Space::HighestCapacity).unwrap().nodes(), set("0-1,3"));
    assert_eq!(all.space(Space::HighestBandwidth).unwrap().nodes(), set("2-3"));
    assert_eq!(all.space(Space::LowestLatency).unwrap().nodes(), set("0-1"));
    assert_eq!(all.from_cpu(1).space(Space::HighestBandwidth).unwrap().nodes(), set("3"));
    // A machine without an HMAT, whose node 1 does not report how much memory it has.
    let tree = Tree::empty()
        .with(&format!("{NODES}/online"), "0-1")
        .with(&format!("{NODES}/has_memory"), "0-1")
        .with("devices/system/cpu/online", "0")
        .node(0, "0", 100, "10 20")
        .node(1, "", 100, "20 10")
        .with(&format!("{NODES}/node1/meminfo"), "?");
    let topology = tree.read();
    let all = Targets::of(&topology);
    assert_eq!(space(all.space(Space::All)), "0-1: ");
    assert_eq!(space(all.space(Space::HighestCapacity)), "0: 0:409600 ?1");
    assert_eq!(all.space(Space::HighestBandwidth).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(space(all.or_distance().space(Space::LowestLatency)), "0: 0:10/distance ?0-1");
}
