//! A cpuset that allows two of four nodes, as a container has it.

use areas::{ErrorKind, NodeSet, Placement, Policy, allowed_nodes};

use crate::support::child::{Child, Ended, in_child};
use crate::support::group::Group;
use crate::support::memory::{Sort, expand, placed};
use crate::support::{PAGE, assert_goes_round, guest, node, nodes, pages};

#[test]
fn nodes_outside_of_the_cpuset_are_refused_by_name() {
    guest!();
    let group = Group::new("cpuset", &[("cpuset.mems", "1,3")]);
    let ended = in_child(|| {
        group.enter();
        assert_eq!(allowed_nodes().unwrap(), nodes([1, 3]));
        // The kernel would bind to node 1 and say nothing.
        for policy in
            [Policy::Bind(nodes([1, 2])), Policy::Interleave(nodes([1, 2])), Policy::Preferred(node(2))]
        {
            for sort in Sort::BASE {
                let error = placed(sort, 1, policy).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NodeNotAllowed);
                let facts = error.facts().unwrap();
                assert_eq!(facts, "node 2 does not exist or may not be used; allowed nodes: 1,3", "{policy}");
                assert!(error.remedy().unwrap().contains("cpuset"));
            }
        }
        let home = Placement::new(Policy::Bind(nodes([1]))).home(node(0));
        assert_eq!(placed(Sort::Private, 1, home).unwrap_err().kind(), ErrorKind::NodeNotAllowed);
        // All means the two.
        let area = areas::builder(32 * PAGE).place(Policy::Interleave(NodeSet::ALL)).shared().unwrap();
        assert_eq!(area.placement().policy(), Policy::Interleave(nodes([1, 3])));
        for sort in Sort::BASE {
            let mut memory = placed(sort, 32, Policy::Interleave(NodeSet::ALL)).unwrap();
            memory.populate();
            assert_goes_round(&memory.nodes(), &[1, 3], "all that are allowed");
        }
        // Even memory that no process placed stays inside.
        let mut anywhere = areas::builder(8 * PAGE).private().unwrap();
        anywhere.fill(1);
        let found = pages::nodes_of(anywhere.as_ptr(), anywhere.mapped(), PAGE);
        assert!(found.iter().all(|on| [1, 3].contains(on)), "{found:?}");
        let mut anywhere = areas::builder(8 * PAGE).shared().unwrap();
        let error = anywhere.migrate(Policy::Bind(nodes([0]))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NodeNotAllowed);
    });
    assert_eq!(ended, Ended::Well);
}

/// A clone inside of a cpuset touches a page of an object that lies outside of it: the object's
/// policy, or the cpuset?
#[test]
fn an_object_keeps_its_policy_as_far_as_the_toucher_is_allowed() {
    guest!();
    let group = Group::new("cpuset", &[("cpuset.mems", "1,3")]);
    let area = areas::builder(16 * PAGE).place(Policy::Bind(nodes([1]))).shared().unwrap();
    let mut child = Child::start(|line| {
        group.enter();
        for at in (0..16 * PAGE).step_by(PAGE) {
            area.write_at(at, b"x").unwrap();
        }
        line.go();
        line.wait();
    });
    child.wait();
    assert_eq!(expand(&area.residency().unwrap(), PAGE), [1; 16]);
    child.go();
    assert_eq!(child.end(), Ended::Well);
}

/// The cpuset changes under a process: what it asks from then on is measured by the new one. What
/// was bound before, the kernel binds to other nodes, and verify says so.
#[test]
fn a_cpuset_that_shrinks_is_seen_at_once() {
    guest!();
    let group = Group::new("cpuset", &[("cpuset.mems", "0-3")]);
    let ended = in_child(|| {
        group.enter();
        let mut area = areas::builder(16 * PAGE).place(Policy::Bind(nodes([2, 3]))).private().unwrap();
        assert_eq!(allowed_nodes().unwrap(), nodes([0, 1, 2, 3]));
        group.set("cpuset.mems", "0,2");
        assert_eq!(allowed_nodes().unwrap(), nodes([0, 2]));
        assert_eq!(
            area.place(0..PAGE, Policy::Bind(nodes([3]))).unwrap_err().kind(),
            ErrorKind::NodeNotAllowed
        );
        // By their places in the set: 2 and 3 of 0-3 are 0 and 2 now.
        assert_eq!(pages::numa_maps(area.as_ptr(), area.mapped())[0].policy, "bind:0,2");
        area.populate().unwrap();
        let found = pages::nodes_of(area.as_ptr(), area.mapped(), PAGE);
        let outside = found.iter().filter(|&&on| on == 0).count() * PAGE;
        assert!(outside > 0, "{found:?}");
        assert_eq!(area.verify().unwrap().elsewhere(), outside as u64);
    });
    assert_eq!(ended, Ended::Well);
}
