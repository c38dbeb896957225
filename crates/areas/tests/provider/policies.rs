//! Placements, asked of the kernel again (get_mempolicy) and measured (move_pages), on whatever
//! nodes there are.
//!
//! On a machine with one node that shows what the library asks for; that pages go to the right ones
//! of several is tested in guests.

use areas::{
    Area, ErrorKind, Node, NodeSet, Placed, Placement, Policy, Provider, Request, Shared, System,
    allowed_nodes,
};

use super::support::child::{Stage, test};
use super::support::held::Held;
use super::support::{kernel, skip};

fn first() -> Node {
    allowed_nodes().unwrap().first().unwrap()
}

/// Every policy over nodes that are there, and what the kernel then says.
fn policies() -> Vec<(Policy, Policy)> {
    let (node, all) = (NodeSet::single(first()), allowed_nodes().unwrap());
    vec![
        (Policy::Default, Policy::Default),
        (Policy::Local, Policy::Local),
        (Policy::Bind(node), Policy::Bind(node)),
        (Policy::Bind(NodeSet::ALL), Policy::Bind(all)),
        (Policy::Preferred(first()), Policy::Preferred(first())),
        (Policy::PreferredMany(node), Policy::PreferredMany(node)),
        (Policy::Interleave(NodeSet::ALL), Policy::Interleave(all)),
        (Policy::WeightedInterleave(NodeSet::ALL), Policy::WeightedInterleave(all)),
    ]
}

/// The policy that the kernel has for an area's memory.
fn policy_of(area: &Area<Shared>) -> Policy {
    let backing = areas::Backing::File { file: std::os::fd::AsFd::as_fd(area), offset: 0, shared: true };
    System::new().map(&Request::new(area.size()).backed_by(backing)).unwrap().policy().unwrap()
}

#[test]
fn the_kernel_has_the_policy_that_was_asked() {
    for (asked, expected) in policies() {
        let request = Request::new(1 << 20).placed(asked);
        let mapping = match System::new().map(&request) {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                skip(
                    "provider::policies::the_kernel_has_the_policy_that_was_asked",
                    &format!("this kernel has no {}", asked.name()),
                );
                continue;
            }
            other => other.unwrap(),
        };
        assert_eq!(mapping.policy().unwrap(), expected, "{asked}");
        // No page was taken before or by placing.
        assert!(kernel::in_core(mapping.as_ptr(), 1 << 20) == 0, "{asked}");
        let layer = Placed::new(System::new(), Placement::new(asked));
        assert_eq!(layer.map(&Request::new(1)).unwrap().policy().unwrap(), expected, "a layer's {asked}");
        assert_eq!(layer.placement().policy(), asked);
    }
}

#[test]
fn areas_are_where_they_were_asked_to_be() {
    for (asked, expected) in policies() {
        if matches!(asked, Policy::WeightedInterleave(_)) {
            continue;
        }
        let builder = areas::builder(1 << 20).place(asked);
        let (mut private, mut shared) = (builder.private().unwrap(), builder.shared().unwrap());
        private.populate().unwrap();
        shared.populate().unwrap();
        assert_eq!(
            (private.placement().policy(), shared.placement().policy()),
            (expected, expected),
            "what ALL stands for"
        );
        assert_eq!(policy_of(&shared), expected, "it lies on the object");
        let nodes = expected.nodes().unwrap_or(allowed_nodes().unwrap());
        for residency in [private.residency().unwrap(), shared.residency().unwrap()] {
            assert_eq!(residency.resident(), 1 << 20);
            let on: u64 = nodes.iter().map(|node| residency.on(node)).sum();
            assert_eq!(on, 1 << 20, "{asked}: {residency}");
        }
    }
}

#[test]
fn growth_has_the_policy_too() {
    let area = areas::builder(4096).growable(4 << 20).place(Policy::Bind(NodeSet::ALL)).shared().unwrap();
    area.grow(4 << 20).unwrap();
    let last = areas::Backing::File {
        file: std::os::fd::AsFd::as_fd(&area),
        offset: (4 << 20) - 4096,
        shared: true,
    };
    let mapping = System::new().map(&Request::new(4096).backed_by(last)).unwrap();
    assert_eq!(mapping.policy().unwrap().name(), "bind");
}

#[test]
fn a_home_node_goes_with_bind_and_preferred_many_only() {
    let nodes = NodeSet::single(first());
    for (policy, fine) in [
        (Policy::Bind(nodes), true),
        (Policy::PreferredMany(nodes), true),
        (Policy::Interleave(nodes), false),
        (Policy::Local, false),
        (Policy::Default, false),
    ] {
        let placement = Placement::new(policy).home(first());
        let result = System::new().map(&Request::new(4096).placed(placement));
        match result {
            Ok(mapping) => assert!(fine && mapping.policy().unwrap() == policy, "{policy}"),
            Err(error) if fine => {
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
                skip(
                    "provider::policies::a_home_node_goes_with_bind_and_preferred_many_only",
                    "this kernel has no home nodes",
                );
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}"),
        }
    }
    let layer = System::new().placed(Policy::Bind(nodes)).home(first());
    assert_eq!(layer.placement().home_node(), Some(first()));
}

#[test]
fn a_request_has_its_way_over_a_layer() {
    static BOUND: Placed<System> = System::new().placed(Policy::Interleave(NodeSet::ALL));
    let mapping = BOUND.map(&Request::new(1).placed(Policy::Local)).unwrap();
    assert_eq!(mapping.policy().unwrap(), Policy::Local);
    let area = areas::builder(1 << 20).provider(&BOUND).shared().unwrap();
    assert_eq!(policy_of(&area).name(), "interleave");
    assert_eq!(area.placement().policy(), policy_of(&area), "what was asked, by whomever");
    let area = areas::builder(1 << 20).provider(&BOUND).place(Policy::Local).shared().unwrap();
    assert_eq!(policy_of(&area), Policy::Local);
}

#[test]
fn a_node_that_is_not_there_is_an_error_before_any_memory() {
    test!("a_node_that_is_not_there_is_an_error_before_any_memory").alone(Stage::default(), || {
        let missing = Node::MAX;
        let partly = NodeSet::single(missing).with(first());
        let placements = [
            Placement::new(Policy::Bind(NodeSet::single(missing))),
            // The kernel itself would silently drop the one that is missing.
            Placement::new(Policy::Bind(partly)),
            Placement::new(Policy::Interleave(partly)),
            Placement::new(Policy::Preferred(missing)),
            Placement::new(Policy::PreferredMany(partly)),
            Placement::new(Policy::WeightedInterleave(partly)),
            Placement::new(Policy::Bind(NodeSet::ALL)).home(missing),
        ];
        let before = Held::now();
        for placement in placements {
            let layer = Placed::new(System::new(), placement);
            for error in [
                areas::builder(1 << 20).place(placement).private().unwrap_err(),
                areas::builder(1 << 20).place(placement).shared().unwrap_err(),
                areas::builder(1 << 20).provider(&layer).shared().unwrap_err(),
                layer.map(&Request::new(1 << 20)).unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::NodeNotAllowed, "{placement}");
                assert_eq!(error.system_call(), None, "no call was made for {placement}");
                assert!(error.to_string().contains("1023"), "{error}");
            }
            before.assert_no_more(&placement.to_string());
        }
        let empty = areas::builder(1).place(Policy::Bind(NodeSet::EMPTY)).private().unwrap_err();
        assert_eq!(empty.kind(), ErrorKind::InvalidInput);
        String::new()
    });
}
