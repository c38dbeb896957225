//! An ordered list of nodes. (What spills where is measured in the guest, where there are several.)

use areas::{ErrorKind, Node, NodeSet, Policy, Provider, Request, System};

use crate::support::{Filling, node, page, policies, range, unknown_node};

const SYSTEM: System = System::new();

#[test]
fn lists_that_make_no_sense_are_refused() {
    let cases: [(Vec<Node>, ErrorKind, &str); 4] = [
        (vec![], ErrorKind::InvalidInput, "the list is empty, or names a node twice"),
        (vec![node(), node()], ErrorKind::InvalidInput, "the list is empty, or names a node twice"),
        (vec![unknown_node()], ErrorKind::NodeNotAllowed, "may not be used"),
        (vec![node(), unknown_node()], ErrorKind::NodeNotAllowed, "may not be used"),
    ];
    for (order, kind, text) in cases {
        let error = SYSTEM.spilled(order.clone()).map(&Request::new(page())).unwrap_err();
        assert_eq!(error.kind(), kind, "{order:?}: {error}");
        assert!(error.to_string().contains(text), "{order:?}: {error}");
    }
}

#[test]
fn a_placement_in_the_request_is_refused_not_overridden() {
    let provider = SYSTEM.spilled([node()]);
    let request = Request::new(page()).placed(Policy::Interleave(NodeSet::ALL));
    let error = provider.map(&request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("wants its pages placed as interleave:all"), "{error}");
    let error = areas::builder(1).place(Policy::Local).provider(&provider).private().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn one_node_gets_all_and_may_spill() {
    let provider = SYSTEM.spilled([node()]);
    let mapping = provider.map(&Request::new(100 * page() + 1)).unwrap();
    assert_eq!(mapping.policy().unwrap(), Policy::Preferred(node()));
    for (offset, policy) in policies(&range(&mapping)) {
        assert_eq!(policy, format!("prefer:{}", node()), "at {offset:#x}");
    }
    provider.unmap(mapping).unwrap();

    let mut area = areas::builder(100 * page()).provider(&provider).shared().unwrap();
    area.populate().unwrap();
    assert!(area.verify().unwrap().holds());
    assert_eq!(area.residency().unwrap().resident(), 100 * page() as u64);
}

#[test]
fn parts_are_placed_before_a_layer_below_writes() {
    let filling = Filling::default();
    drop((&filling).spilled([node()]).map(&Request::new(5 * page())).unwrap());
    assert_eq!(*filling.0.lock().unwrap(), [Policy::Preferred(node())]);
}
