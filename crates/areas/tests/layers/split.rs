//! Contiguous parts by weight. (Which page is on which node is measured in the guest, where there are several.)

use areas::{Kind, Node, NodeSet, Policy, Provider, Request, System};

use crate::support::{Filling, node, page, policies, range, unknown_node};

const SYSTEM: System = System::new();

type Parts = Vec<(Node, u32)>;

#[test]
fn lists_that_make_no_sense_are_refused() {
    let cases: [(Parts, Kind, &str); 4] = [
        (vec![], Kind::InvalidInput, "the list is empty, or a weight is 0"),
        (vec![(node(), 1), (node(), 0)], Kind::InvalidInput, "the list is empty, or a weight is 0"),
        (vec![(unknown_node(), 1)], Kind::NodeNotAllowed, "may not be used"),
        (vec![(node(), 1), (unknown_node(), 1)], Kind::NodeNotAllowed, "may not be used"),
    ];
    for (parts, kind, text) in cases {
        let error = SYSTEM.split(parts.clone()).map(&Request::new(page())).unwrap_err();
        assert_eq!(error.kind(), kind, "{parts:?}: {error}");
        assert!(error.to_string().contains(text), "{parts:?}: {error}");
    }
    let provider = SYSTEM.split([(node(), 1)]);
    let request = Request::new(page()).placed(Policy::Interleave(NodeSet::ALL));
    let error = provider.map(&request).unwrap_err();
    assert!(error.to_string().contains("wants its pages placed as interleave:all"), "{error}");
    let error = provider.striped(NodeSet::ALL, 1).map(&Request::new(page())).unwrap_err();
    assert!(error.to_string().contains("a layer above places the parts already"), "{error}");
}

#[test]
fn all_parts_have_their_policy_before_a_layer_below_writes() {
    for size in [1, 7 * page() + 1, 9 << 20] {
        let provider = SYSTEM.split([(node(), 1), (node(), 3), (node(), 2)]);
        assert_eq!(format!("{provider:?}"), format!("System.split([({0}, 1), ({0}, 3), ({0}, 2)])", node()));
        let mapping = provider.map(&Request::new(size)).unwrap();
        assert_eq!(mapping.policy().unwrap(), Policy::Bind(node().into()));
        for (offset, policy) in policies(&range(&mapping)) {
            assert_eq!(policy, format!("bind:{}", node()), "at {offset:#x}");
        }
        let mut area = areas::builder(size).provider(&provider).shared().unwrap();
        area.populate().unwrap();
        let answer = area.verify().unwrap();
        assert!(answer.holds() && answer.in_place() == area.mapped() as u64, "{answer}");
    }
    let filling = Filling::default();
    drop((&filling).split([(node(), 1), (node(), 1)]).map(&Request::new(5 * page())).unwrap());
    assert_eq!(*filling.0.lock().unwrap(), [Policy::Bind(node().into())]);
}
