//! Nodes chosen by what they are good at, on a machine whose firmware says it (HMAT).

use areas::place::Targets;
use areas::{NodeSet, Policy, Topology};

use crate::support::machine::crowd;
use crate::support::memory::{Sort, placed};
use crate::support::{MIB, guest, ids, node, nodes};

fn order(ranked: areas::Result<Vec<areas::place::Ranked>>) -> Vec<u32> {
    ranked.unwrap().iter().map(|ranked| ranked.node.get()).collect()
}

#[test]
fn the_machine_is_as_it_was_made() {
    guest!();
    let topology = Topology::read().unwrap();
    assert_eq!((ids(topology.online()), ids(topology.with_memory())), (vec![0, 1, 2, 3], vec![0, 1, 2, 3]));
    assert_eq!(ids(topology.with_cpus()), [0, 1]);
    assert_eq!(topology.distance(node(1), node(3)), Some(22));
    assert_eq!(topology.node_of_cpu(2), Some(node(1)));
    // The fast node is in a better tier than the slow one.
    let tier = |id| topology.node(node(id)).unwrap().tier.unwrap();
    assert!(tier(3) < tier(2), "{} {}", tier(3), tier(2));
}

/// Node 3 is fast and node 2 is slow, whatever the distances say.
#[test]
fn fastest_nearest_most_free() {
    guest!();
    let topology = Topology::read().unwrap();
    let targets = Targets::of(&topology);
    assert_eq!(order(targets.highest_bandwidth())[0], 3);
    assert_eq!(order(targets.highest_bandwidth()).last(), Some(&2));
    assert_eq!(order(targets.lowest_latency())[0], 3);
    assert_eq!(order(targets.lowest_latency()).last(), Some(&2));
    assert_eq!(order(targets.from_node(node(0)).nearest()), [0, 3, 1, 2]);
    assert_eq!(order(targets.from_cpu(2).nearest()), [1, 0, 3, 2]);
    assert_eq!(order(targets.most_free())[0], 2);
    let best = targets.highest_bandwidth().unwrap()[0];
    assert_eq!((best.value, best.source.to_string().as_str()), (400_000, "HMAT access1"));
    let quickest = targets.lowest_latency().unwrap()[0];
    assert_eq!(quickest.value, 60);
    // Within a set, and from a CPU: the best for that CPU.
    let some = targets.within(nodes([0, 2]));
    assert_eq!(order(some.from_cpu(0).highest_bandwidth()), [0, 2]);
}

#[test]
fn the_node_with_most_free_memory_changes() {
    guest!();
    let _crowded = crowd(2, 64 * MIB);
    let topology = Topology::read().unwrap();
    let ranked = Targets::of(&topology).most_free().unwrap();
    assert_ne!(ranked[0].node, node(2));
    assert!(ranked.windows(2).all(|pair| pair[0].value >= pair[1].value));
}

/// What was chosen is what pages are put on.
#[test]
fn pages_are_put_on_the_fastest_node() {
    guest!();
    let topology = Topology::read().unwrap();
    let best = Targets::of(&topology).highest_bandwidth().unwrap()[0].node;
    let mut memory = placed(Sort::Shared, 64, Policy::Bind(NodeSet::single(best))).unwrap();
    memory.populate();
    assert_eq!(memory.nodes(), [3; 64]);
}
