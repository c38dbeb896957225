//! Machines that are odd and no liars: each a small tree of our own, after what real ones showed.

use areas::Topology;
use areas::place::Targets;
use areas::topology::{CacheIndexing, CacheWrites};

use crate::tree::{NODES, Tree};
use crate::{info, node, ranking, set};

fn odd(topology: &Topology) -> Vec<String> {
    topology.oddities().iter().map(|oddity| oddity.why.clone()).collect()
}

/// Kernels up to 5.15 print the NUL that ends a list, some of them.
#[test]
fn text_that_ends_in_a_nul() {
    let plain = Tree::small_machine().read();
    let files = [
        (format!("{NODES}/online"), "0,4,6\n\0"),
        (format!("{NODES}/possible"), "0-7\n\0\0"),
        (format!("{NODES}/has_memory"), "0,4,6\0"),
        ("devices/system/cpu/online".to_owned(), "0-2\n\0"),
        (format!("{NODES}/node0/cpulist"), "0-1\n\0"),
        (format!("{NODES}/node4/distance"), "21 10 28\n\0"),
        (format!("{NODES}/node4/hugepages/hugepages-2048kB/nr_hugepages"), "12\n\0"),
        (format!("{NODES}/node4/memory_side_cache/index1/size"), "4096\n\0"),
    ];
    let tree = files.iter().fold(Tree::small_machine(), |tree, (path, text)| tree.with(path, text));
    let topology = tree.read();
    assert_eq!(topology.oddities(), []);
    assert_eq!(format!("{:?}", topology.nodes()), format!("{:?}", plain.nodes()));
    assert_eq!((topology.possible(), topology.cpus()), (plain.possible(), plain.cpus()));

    // A mask, as the only thing that a node has of its CPUs.
    let tree = Tree::empty().with(&format!("{NODES}/node0/cpumap"), "00000000,0000000f\n\0");
    let topology = tree.read();
    assert_eq!((info(&topology, 0).cpus.to_string().as_str(), topology.oddities()), ("0-3", &[][..]));
}

/// What is free of it is unknown; how much it has is not, nor is anything of the other nodes.
#[test]
fn a_node_without_memfree() {
    let tree = Tree::small_machine().with(&format!("{NODES}/node4/meminfo"), "Node 4 MemTotal: 1048576 kB\n");
    let topology = tree.read();
    let memory = info(&topology, 4).memory.unwrap();
    assert_eq!((memory.total, memory.free, memory.available()), (Some(1 << 30), None, None));
    assert_eq!(info(&topology, 4).has_memory, Some(true));
    assert_eq!(odd(&topology), ["it has no MemFree: \"Node 4 MemTotal: 1048576 kB\\n\""]);
    assert_eq!(topology.oddities()[0].node, Some(node(4)));
    let targets = Targets::of(&topology);
    assert_eq!(ranking(targets.most_free()), "6:2048000 0:1024000", "the others are ranked");
    assert_eq!(ranking(targets.within(set("4")).most_free()), "Unsupported");
    assert_eq!(ranking(targets.from_cpu(0).nearest()), "0:10/distance 6:17/distance 4:21/distance");
}

#[test]
fn cpus_that_are_offline_or_none_or_in_no_node() {
    // CPU 3 is offline, and node 4 lists it all the same; CPU 7 is in no node; node 6 has "none".
    let tree = Tree::small_machine()
        .with("devices/system/cpu/online", "0-2,7\n")
        .with("devices/system/cpu/present", "0-3,7-8\n")
        .with(&format!("{NODES}/node6/cpulist"), "none\n");
    let topology = tree.read();
    assert_eq!(topology.oddities(), []);
    assert_eq!(
        (topology.cpus().to_string(), topology.offline_cpus().to_string()),
        ("0-2,7".into(), "3,8".into())
    );
    assert_eq!(topology.cpus_without_node().to_string(), "7");
    let four = info(&topology, 4);
    assert_eq!((four.cpus.to_string(), four.offline_cpus.to_string()), ("2".into(), "3".into()));
    assert!(!info(&topology, 6).has_cpus());
    assert_eq!(topology.node_of_cpu(7), None);
    let from = |cpu| Targets::of(&topology).from_cpu(cpu).nearest();
    assert!(from(7).unwrap_err().to_string().contains("CPU 7 is on no node; CPUs 0-2,7 are online"));
    assert_eq!(ranking(from(2)), "4:10/distance 0:21/distance 6:28/distance");

    // New kernels list online CPUs alone, and have an entry for each that is there: node 4 with all
    // of its CPUs offline.
    let tree = Tree::small_machine()
        .with("devices/system/cpu/online", "0-1\n")
        .with(&format!("{NODES}/node4/cpulist"), "\n")
        .with(&format!("{NODES}/node4/cpu2/uevent"), "")
        .with(&format!("{NODES}/node4/cpu3/uevent"), "");
    let topology = tree.read();
    let four = info(&topology, 4);
    assert_eq!((four.cpus.to_string(), four.offline_cpus.to_string()), ("none".into(), "2-3".into()));
    assert_eq!((topology.with_cpus(), topology.offline_cpus().to_string()), (set("0"), "2-3".into()));

    // Old kernels have no list of those that are online: each CPU says it of itself, but for those
    // that cannot go.
    let tree = Tree::empty()
        .node(0, "0-3", 10, "10")
        .with("devices/system/cpu/cpu0/topology/core_id", "0\n")
        .with("devices/system/cpu/cpu1/online", "1\n")
        .with("devices/system/cpu/cpu2/online", "0\n")
        .with("devices/system/cpu/cpu3/online", "1\n");
    let topology = tree.read();
    assert_eq!(
        (topology.cpus().to_string(), topology.offline_cpus().to_string()),
        ("0-1,3".into(), "2".into())
    );
    assert_eq!(info(&topology, 0).offline_cpus.to_string(), "2");
}

/// A list that no process has changed since nodes went, came, or lost their memory.
#[test]
fn a_stale_has_memory() {
    let tree =
        Tree::small_machine().with(&format!("{NODES}/has_memory"), "0,5-6\n").node(6, "", 0, "17 28 10");
    let topology = tree.read();
    assert_eq!(topology.with_memory(), set("0,4"), "what a node says of itself is believed first");
    assert_eq!(
        odd(&topology),
        [
            "it has node 5: not online",
            "it does not have node 4: meminfo reports memory",
            "it has node 6: meminfo reports no memory"
        ]
    );
    // Where a node says nothing of itself, the list does.
    let tree = Tree::small_machine().with(&format!("{NODES}/node6/meminfo"), "?");
    let six = tree.read();
    assert_eq!((info(&six, 6).has_memory, six.with_memory()), (Some(true), set("0,4,6")));
    let tree =
        Tree::empty().with(&format!("{NODES}/online"), "0\n").with(&format!("{NODES}/node0/meminfo"), "?");
    assert_eq!(info(&tree.read(), 0).has_memory, None, "no file says it");
}

/// As the kernel shows what an ACPI HMAT says of fast memory in front of slower memory.
#[test]
fn memory_side_caches() {
    let tree = Tree::small_machine().cache(0, 1, [17_179_869_184, 64, 0, 0]).cache(6, 1, [0, 0, 2, 7]).cache(
        6,
        2,
        [1_073_741_824, 128, 1, 1],
    );
    let topology = tree.read();
    let [zero] = info(&topology, 0).memory_side_caches[..] else { panic!("one") };
    assert_eq!((zero.level, zero.size, zero.line_size), (1, Some(16 << 30), Some(64)));
    assert_eq!((zero.indexing, zero.write_policy), (Some(CacheIndexing::Direct), Some(CacheWrites::Back)));
    let [near, far] = info(&topology, 6).memory_side_caches[..] else { panic!("two") };
    assert_eq!((near.level, near.size, near.line_size), (1, None, None), "0 is what is not reported");
    assert_eq!((near.indexing, near.write_policy), (Some(CacheIndexing::Other), Some(CacheWrites::Other)));
    assert_eq!((far.level, far.size, far.line_size), (2, Some(1 << 30), Some(128)));
    assert_eq!((far.indexing, far.write_policy), (Some(CacheIndexing::Indexed), Some(CacheWrites::Through)));
    assert_eq!(topology.oddities(), []);

    // A cache of which only the size is reported.
    let tree = Tree::small_machine().with(&format!("{NODES}/node0/memory_side_cache/index1/size"), "8192\n");
    let [only] = info(&tree.read(), 0).memory_side_caches[..] else { panic!("one") };
    assert_eq!((only.size, only.line_size, only.indexing, only.write_policy), (Some(8192), None, None, None));
}

/// A pool of which one number is missing has the others.
#[test]
fn a_pool_that_says_half() {
    let pool = format!("{NODES}/node0/hugepages/hugepages-1048576kB");
    let tree = Tree::small_machine()
        .with(&format!("{pool}/nr_hugepages"), "3\n")
        .with(&format!("{pool}/free_hugepages"), "?\n");
    let topology = tree.read();
    let pool = info(&topology, 0).huge_pool(1 << 30).unwrap();
    assert_eq!((pool.total, pool.free, pool.surplus), (Some(3), None, None));
    assert_eq!(odd(&topology), ["\"?\\n\" is not a number"]);
}
