//! Machines that were captured, from `../shared/fixtures/sysfs` beside the project; skipped aloud
//! without it.

use std::fs;
use std::path::Path;
use std::process::Command;

use areas::Topology;
use areas::place::Targets;
use areas_testing::skipped;

use crate::tree::Tree;
use crate::{info, node, ranking, set};

/// A captured machine, unpacked; or `None`, said aloud.
fn captured(machine: &str) -> Option<(Tree, Topology)> {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/fixtures/sysfs")
        .join(format!("{machine}.tar.bz2"));
    let unpacked = if archive.exists() {
        let tree = Tree::empty();
        match Command::new("tar").arg("-xjf").arg(&archive).arg("-C").arg(&tree.0).output() {
            Ok(output) if output.status.success() => Ok(tree),
            Ok(output) => Err(format!("tar: {}", String::from_utf8_lossy(&output.stderr).trim())),
            Err(error) => Err(format!("tar: {error}")),
        }
    } else {
        Err(format!("there is no {}", archive.display()))
    };
    match unpacked {
        Ok(tree) => {
            let topology = Topology::read_from(tree.0.join(machine).join("sys")).unwrap();
            Some((tree, topology))
        }
        Err(why) => {
            let why = why.replace('\n', "; ");
            skipped("topology on captured machines", &format!("{machine}: {why}"));
            None
        }
    }
}

/// Every machine that were captured, those of other tests and those that come.
#[test]
fn captured_all() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/sysfs");
    let Ok(entries) = fs::read_dir(&folder) else {
        let why = format!("there is no {}", folder.display());
        return skipped("topology on all captured machines", &why);
    };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let machines: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(".tar.bz2")?.to_owned())).collect();
    assert!(machines.len() >= 5, "{machines:?}");
    for machine in machines {
        let Some((_tree, topology)) = captured(&machine) else { return };
        assert!(!topology.nodes().is_empty() && !topology.with_memory().is_empty(), "{machine}");
        assert!(topology.nodes().iter().all(|info| info.memory.is_some_and(|memory| memory.total.is_some())));
        assert!(topology.nodes().iter().all(|info| info.offline_cpus.intersection(&info.cpus).is_empty()));
    }
}

#[test]
fn captured_generic_initiator() {
    let Some((_tree, topology)) = captured("fakememinitiators-1np2c+1npp+gi") else { return };
    assert_eq!(topology.online(), set("0-10"));
    assert_eq!(topology.with_memory(), set("5-10"));
    assert_eq!(topology.with_cpus(), set("0-3"), "this capture has masks of CPUs and no lists");
    assert_eq!(info(&topology, 3).cpus.to_string(), "6-7");
    assert!(info(&topology, 4).has_generic_initiator && !info(&topology, 5).has_generic_initiator);
    assert_eq!(topology.distance(node(10), node(1)), Some(17));
    assert_eq!(info(&topology, 10).huge_pools.len(), 2);

    let seven = info(&topology, 7);
    assert_eq!((seven.access[0].class, seven.access[0].initiators), (1, set("0,2")));
    assert_eq!((seven.access[0].read_bandwidth, seven.access[0].read_latency), (Some(78_644), Some(77)));
    assert_eq!((seven.access[1].class, seven.access[1].initiators), (0, set("4")));
    assert_eq!((seven.access[1].write_bandwidth, seven.access[1].write_latency), (Some(8_192), Some(8)));
    assert!(info(&topology, 0).access.is_empty(), "a node with targets and no initiators is no target");

    let all = Targets::of(&topology);
    let cases = [
        (all.from_cpu(0).highest_bandwidth(), "5:131072/access1 7:78644/access1"),
        (all.from_cpu(3).lowest_latency(), "8:26/access1 10:77/access1"),
        (all.from_node(node(4)).highest_bandwidth(), "5:419431/access0 6:419431/access0 7:8192/access0"),
        (all.within(set("6-7")).from_node(node(2)).nearest(), "6:11/distance 7:17/distance"),
        (all.within(set("0-4")).nearest(), "NodeNotAllowed"),
    ];
    for (answer, expected) in cases {
        assert_eq!(ranking(answer), expected);
    }
    let free: Vec<u32> = all.most_free().unwrap().iter().map(|ranked| ranked.node.get()).collect();
    assert_eq!(free[..2], [10, 7]);
    assert_eq!(seven.memory.unwrap().free, Some(778_043_392 << 10));
}

#[test]
fn captured_memory_tiers() {
    let Some((_tree, topology)) = captured("fakeheteromemtiers") else { return };
    assert_eq!(topology.online(), set("0-2,4,6,8-9"));
    assert_eq!((topology.nodes().len(), topology.possible()), (7, set("0-9")));
    assert_eq!((topology.with_cpus(), topology.with_memory()), (set("0-2"), topology.online()));
    assert_eq!(topology.distance(node(9), node(9)), Some(10), "columns are online nodes, not numbers");
    assert_eq!(info(&topology, 0).memory.unwrap().total, Some(3_005_392 << 10));
    assert!(topology.nodes().iter().all(|info| info.access.iter().all(|access| access.class == 1)));
    let all = Targets::of(&topology);
    assert_eq!(ranking(all.from_cpu(2).highest_bandwidth()), "4:10000/access1 1:1000/access1 6:100/access1");
    assert_eq!(ranking(all.from_cpu(2).lowest_latency()), "Unsupported", "all latencies are 0: not reported");
    let best: Vec<u32> = all.highest_bandwidth().unwrap().iter().map(|ranked| ranked.node.get()).collect();
    assert_eq!(best, [2, 4, 0, 1, 6, 8, 9]);
}

#[test]
fn captured_gpu_memory() {
    let Some((tree, topology)) = captured("nvidiagpunumanodes") else { return };
    assert_eq!(topology.online(), set("0,8,250-255"));
    assert_eq!((topology.with_cpus(), topology.cpus().len()), (set("0,8"), 32));
    assert_eq!(info(&topology, 8).cpus.to_string(), "88-103", "online ones only");
    assert_eq!(topology.distance(node(0), node(8)), Some(40));
    assert_eq!(topology.distance(node(255), node(255)), Some(10));
    let gpu = info(&topology, 250);
    assert!(gpu.has_memory == Some(true) && !gpu.has_cpus());
    assert_eq!(gpu.memory.unwrap().total, Some(15_728_640 << 10));
    assert_eq!(gpu.huge_pools.iter().map(|pool| pool.page_size).collect::<Vec<_>>(), [2 << 20, 1 << 30]);

    let all = Targets::of(&topology);
    let near: Vec<u32> = all.from_cpu(90).nearest().unwrap().iter().map(|ranked| ranked.node.get()).collect();
    assert_eq!(near, [8, 0, 250, 251, 252, 253, 254, 255]);
    let mems =
        fs::read_to_string(tree.0.join("nvidiagpunumanodes/sys/fs/cgroup/cpuset/jjh/cpuset.effective_mems"));
    let allowed = set(&mems.unwrap());
    assert_eq!(ranking(all.within(allowed).from_cpu(90).nearest()), "0:40/distance");
}

#[test]
fn captured_cpuset() {
    let Some((tree, topology)) = captured("16amd64-8n2c-cpusets") else { return };
    assert_eq!((topology.online(), topology.with_memory()), (set("0-7"), set("0-7")));
    assert_eq!(info(&topology, 2).cpus.to_string(), "5", "CPU 4 is offline, and this old kernel lists it");
    assert_eq!(info(&topology, 2).offline_cpus.to_string(), "4");
    assert_eq!(info(&topology, 0).memory.unwrap().reclaimable, Some(588_240 << 10));
    let mems = fs::read_to_string(tree.0.join("16amd64-8n2c-cpusets/dev/cpuset/dummy/mems")).unwrap();
    let all = Targets::of(&topology).within(set(&mems));
    assert_eq!(ranking(all.from_cpu(5).nearest()), "2:10/distance 1:20/distance 3:20/distance 4:20/distance");
    assert_eq!(ranking(all.from_cpu(0).highest_bandwidth()), "Unsupported");
    assert_eq!(ranking(all.from_cpu(4).nearest()), "InvalidInput");
}

#[test]
fn captured_offline_node_0() {
    let Some((_tree, topology)) = captured("offline-cpu0-node0") else { return };
    assert_eq!((topology.online(), topology.possible()), (set("1"), set("0-1")));
    assert_eq!((topology.nodes().len(), topology.with_memory()), (1, set("1")));
    assert!(topology.node(node(0)).is_none());
    assert_eq!(info(&topology, 1).cpus.to_string(), "5,7,9,11,13,15,17,19");
    assert_eq!(topology.distance(node(1), node(1)), Some(10), "node 0 still has its column");
    let beside = topology.cpus_without_node().to_string();
    assert_eq!(beside, "4,6,8,10,12,14,16,18,20", "CPUs of node 0 that are online, though it is not");
    let odd: Vec<_> = topology.oddities().iter().map(|oddity| oddity.why.as_str()).collect();
    assert_eq!(odd, ["it has node 0: not online"], "has_memory is stale");
    let all = Targets::of(&topology);
    assert_eq!(ranking(all.nearest()), "1:10/distance");
    assert_eq!(ranking(all.from_node(node(0)).nearest()), "NodeNotAllowed");
    assert_eq!(ranking(all.from_cpu(4).nearest()), "InvalidInput", "its node is offline");
}
