//! What is read from a tree: everything it has, and nothing that it has not.

use areas::place::Targets;
use areas::topology::MemoryPerformance;
use areas::{ErrorKind, Topology};

use crate::tree::{NODES, Tree};
use crate::{info, node, ranking, set};

#[test]
fn everything_that_a_tree_says() {
    let tree = Tree::small_machine();
    let topology = tree.read();
    assert!(topology.is_numa());
    assert_eq!(topology.root(), tree.0);
    assert_eq!(topology.online(), set("0,4,6"));
    assert_eq!(topology.possible(), set("0-7"));
    assert_eq!(topology.with_memory(), set("0,4,6"));
    assert_eq!(topology.with_cpus(), set("0,4"));
    assert_eq!(topology.cpus().to_string(), "0-2");
    assert_eq!(topology.node_of_cpu(2), Some(node(4)));
    assert_eq!(topology.node_of_cpu(3), None, "offline, although the node's list has it");
    assert_eq!(topology.distance(node(4), node(6)), Some(28));
    assert_eq!(topology.distance(node(4), node(5)), None);
    assert_eq!(topology.distance(node(5), node(4)), None);

    let (zero, four, six) = (info(&topology, 0), info(&topology, 4), info(&topology, 6));
    assert_eq!((zero.tier, four.tier, six.tier), (Some(4), Some(4), Some(22)));
    assert_eq!((zero.weight, four.weight, six.weight), (Some(5), None, Some(2)));
    assert_eq!((zero.has_generic_initiator, six.has_generic_initiator), (false, true));
    assert!(six.online && !six.has_cpus() && six.huge_pools.is_empty());
    let memory = six.memory.unwrap();
    let reported = (memory.total, memory.free, memory.reclaimable);
    assert_eq!(reported, (Some(8000 << 10), Some(2000 << 10), Some(1000 << 10)));
    assert_eq!(memory.available(), Some(3000 << 10));
    let pool = four.huge_pool(2 << 20).unwrap();
    assert_eq!((pool.total, pool.free, pool.surplus), (Some(12), Some(9), Some(2)));
    assert_eq!(topology.oddities(), []);
    assert_eq!(four.huge_pool(1 << 30), None);

    assert_eq!(six.access.iter().map(|access| access.class).collect::<Vec<_>>(), [1, 0]);
    let from_cpus = six.access_from(node(0)).unwrap();
    let MemoryPerformance {
        class,
        initiators,
        read_bandwidth,
        write_bandwidth,
        read_latency,
        write_latency,
        ..
    } = from_cpus;
    assert_eq!((*class, *initiators), (1, set("0")));
    assert_eq!((*read_bandwidth, *write_bandwidth), (Some(300), Some(200)));
    assert_eq!((*read_latency, *write_latency), (Some(120), None), "0 is what the kernel prints for unknown");
    assert_eq!(six.access_from(node(6)).unwrap().class, 0);
    assert_eq!(six.access_from(node(4)), None);
}

#[test]
fn kernel_without_numa_is_one_node() {
    let pool = "kernel/mm/hugepages/hugepages-2048kB";
    let tree = Tree::empty()
        .with("devices/system/cpu/online", "0-3\n")
        .with(&format!("{pool}/nr_hugepages"), "3\n")
        .with(&format!("{pool}/free_hugepages"), "1\n")
        .with(&format!("{pool}/surplus_hugepages"), "0\n");
    let topology = tree.read();
    assert!(!topology.is_numa());
    assert_eq!(
        (topology.online(), topology.possible(), topology.with_memory()),
        (set("0"), set("0"), set("0"))
    );
    let only = info(&topology, 0);
    assert_eq!((only.cpus.to_string().as_str(), only.memory), ("0-3", None));
    assert_eq!(only.huge_pool(2 << 20).and_then(|pool| pool.total), Some(3));
    assert_eq!(ranking(Targets::of(&topology).from_cpu(3).nearest()), "0:10/distance");
    assert_eq!(
        ranking(Targets::of(&topology).most_free()),
        "Unsupported",
        "the machine's memory is not this tree's"
    );
    assert_eq!(ranking(Targets::of(&topology).highest_bandwidth()), "Unsupported");
    assert_eq!(ranking(Targets::of(&topology).or_distance().highest_bandwidth()), "0:10/distance");
}

#[test]
fn unknown_is_unknown() {
    let bare = Tree::empty().with(&format!("{NODES}/online"), "2\n");
    let topology = bare.read();
    let two = info(&topology, 2);
    assert!(two.online && two.has_memory.is_none() && two.memory.is_none() && !two.has_cpus());
    assert_eq!((two.tier, two.weight, two.distances().len(), two.access.len()), (None, None, 0, 0));
    assert!(topology.cpus().is_empty());

    // No list of online nodes: the folders show them. No list of nodes with memory: their memory
    // shows them.
    let folders = Tree::empty().node(1, "0-1", 10, "10 20").node(9, "4", 0, "20 10");
    let topology = folders.read();
    assert_eq!((topology.online(), topology.with_memory()), (set("1,9"), set("1")));
    assert_eq!(topology.cpus().to_string(), "0-1,4");

    // An offline node of which the kernel still shows a folder.
    let offline = Tree::small_machine()
        .with(&format!("{NODES}/online"), "4,6\n")
        .with(&format!("{NODES}/possible"), "0,4,6\n");
    let topology = offline.read();
    assert!(!info(&topology, 0).online);
    assert_eq!((topology.nodes().len(), topology.with_memory()), (3, set("4,6")));
    assert_eq!(topology.distance(node(4), node(6)), Some(28), "its column is still there");

    let nothing = Tree::empty();
    let error = Topology::read_from(&nothing.0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("neither devices/system/node nor devices/system/cpu"), "{error}");
}

#[test]
fn this_machine() {
    let topology = Topology::read().unwrap();
    let total: u64 = topology.nodes().iter().filter_map(|info| info.memory?.total).sum();
    assert!(total > 0);
    assert!(!topology.with_memory().is_empty());
    assert!(topology.with_memory().is_subset(&topology.online()));
    assert!(topology.online().is_subset(&topology.possible()));
    assert_eq!(topology.oddities(), [], "of a machine that runs, all can be read");
    assert!(!topology.cpus().is_empty());
    assert!(!Targets::of(&topology).most_free().unwrap().is_empty());
}
