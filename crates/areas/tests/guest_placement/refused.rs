//! Nodes that are not there or not allowed: an error that names them, and nothing is bound to the
//! rest.

use areas::{ErrorKind, NodeSet, Placement, Policy, allowed_nodes};

use crate::support::machine::{OnCpu, pool};
use crate::support::memory::{Sort, placed};
use crate::support::{HUGE, PAGE, guest, node, nodes, pages};

#[test]
fn a_node_that_does_not_exist_is_named() {
    guest!();
    let _pool = pool(1, HUGE, 2);
    let missing = nodes([1, 7]);
    let policies = [
        Policy::Bind(missing),
        Policy::PreferredMany(missing),
        Policy::Interleave(missing),
        Policy::WeightedInterleave(missing),
        Policy::Preferred(node(7)),
    ];
    for policy in policies {
        for sort in Sort::ALL {
            let error = placed(sort, 1, policy).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NodeNotAllowed, "{policy}, {sort:?}");
            let facts = error.facts().unwrap();
            assert_eq!(
                facts, "node 7 does not exist or may not be used; allowed nodes: 0-3",
                "{policy}, {sort:?}"
            );
        }
    }
    let home = Placement::new(Policy::Bind(nodes([1]))).home(node(9));
    let error = placed(Sort::Private, 1, home).unwrap_err();
    assert_eq!((error.kind(), error.facts().unwrap().contains("node 9")), (ErrorKind::NodeNotAllowed, true));
}

/// Not intersected: what was there before stays, policy and pages.
#[test]
fn a_refused_placement_changes_nothing() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let mut area = areas::builder(16 * PAGE).place(Policy::Bind(nodes([2]))).shared().unwrap();
    let before = area.placement();
    for placement in [Policy::Bind(nodes([1, 7])), Policy::Interleave(nodes([0, 1, 2, 3, 4]))] {
        assert_eq!(area.place(0..16 * PAGE, placement).unwrap_err().kind(), ErrorKind::NodeNotAllowed);
        assert_eq!(area.place(0..PAGE, placement).unwrap_err().kind(), ErrorKind::NodeNotAllowed);
        assert_eq!(area.migrate(placement).unwrap_err().kind(), ErrorKind::NodeNotAllowed);
    }
    assert_eq!(area.placement(), before);
    area.populate().unwrap();
    assert_eq!(pages::nodes_of(area.as_ptr(), area.mapped(), PAGE), [2; 16]);
    assert_eq!(pages::numa_maps(area.as_ptr(), area.mapped())[0].policy, "bind:2");
}

#[test]
fn all_nodes_are_those_that_are_allowed() {
    guest!();
    assert_eq!(allowed_nodes().unwrap(), nodes([0, 1, 2, 3]));
    let area = areas::builder(16 * PAGE).place(Policy::Interleave(NodeSet::ALL)).shared().unwrap();
    assert_eq!(area.placement().policy().nodes(), Some(nodes([0, 1, 2, 3])));
}

#[test]
fn an_empty_set_is_refused() {
    guest!();
    for policy in [Policy::Bind(NodeSet::EMPTY), Policy::Interleave(NodeSet::EMPTY)] {
        let error = placed(Sort::Private, 1, policy).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

/// The page cache ignores policies: saying so is better than placing nothing.
#[test]
fn a_shared_file_cannot_be_placed() {
    guest!();
    use areas::{Backing, Provider as _, Request, System};
    use std::os::fd::AsFd as _;
    let path = "/tmp/shared-file";
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(path).unwrap();
    std::fs::remove_file(path).unwrap();
    file.set_len(PAGE as u64).unwrap();
    let backing = Backing::File { file: file.as_fd(), offset: 0, shared: true };
    let request = Request::new(PAGE).backed_by(backing);
    let error = System::new().map(&request.clone().placed(Policy::Bind(nodes([1])))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.facts().unwrap().contains("ignores memory policies"), "{error}");
    System::new().map(&request).unwrap();
}
