//! A node that has a CPU and no memory: it is online, and nothing can be put there.

use areas::place::Targets;
use areas::{ErrorKind, NodeSet, Policy, Topology, allowed_nodes};

use crate::support::machine::OnCpu;
use crate::support::memory::{Sort, placed};
use crate::support::{guest, ids, node, nodes};

#[test]
fn a_node_without_memory_is_no_target() {
    guest!();
    let topology = Topology::read().unwrap();
    assert_eq!((ids(topology.online()), ids(topology.with_memory())), (vec![0, 1, 2], vec![0, 2]));
    assert_eq!(allowed_nodes().unwrap(), nodes([0, 2]));
    for policy in [Policy::Bind(nodes([1])), Policy::Bind(nodes([0, 1])), Policy::Preferred(node(1))] {
        let error = placed(Sort::Shared, 1, policy).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NodeNotAllowed);
        assert_eq!(error.facts().unwrap(), "node 1 does not exist or may not be used; allowed nodes: 0,2");
    }
    let nearest = Targets::of(&topology).from_node(node(1)).nearest().unwrap();
    assert!(nearest.iter().all(|ranked| ranked.node != node(1)), "{nearest:?}");
    assert_eq!(nearest.len(), 2);
}

/// Threads on that node have no memory of their own: local is what is nearest.
#[test]
fn local_pages_of_a_node_without_memory() {
    guest!();
    let _cpu = OnCpu::of_node(1);
    for policy in [Policy::Local, Policy::Default, Policy::Interleave(NodeSet::ALL)] {
        for sort in Sort::BASE {
            let mut memory = placed(sort, 16, policy).unwrap();
            memory.populate();
            let found = memory.nodes();
            match policy {
                Policy::Interleave(_) => assert!(found.contains(&0) && found.contains(&2), "{found:?}"),
                _ => assert!(found.iter().all(|&on| on == found[0] && on != 1), "{policy}: {found:?}"),
            }
        }
    }
}
