//! Contiguous parts by weight. (Which page is on which node is measured in the guest, where there
//! are several.)

use areas::{ErrorKind, Node, NodeSet, Policy, Provider, Request, System};

use crate::support::{Filling, node, page, policies, range, unknown_node};

const SYSTEM: System = System::new();

type Parts = Vec<(Node, u32)>;

#[test]
fn lists_that_make_no_sense_are_refused() {
    let cases: [(Parts, ErrorKind, &str); 4] = [
        (vec![], ErrorKind::InvalidInput, "the list is empty, or a weight is 0"),
        (vec![(node(), 1), (node(), 0)], ErrorKind::InvalidInput, "the list is empty, or a weight is 0"),
        (vec![(unknown_node(), 1)], ErrorKind::NodeNotAllowed, "may not be used"),
        (vec![(node(), 1), (unknown_node(), 1)], ErrorKind::NodeNotAllowed, "may not be used"),
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

#[test]
fn a_part_of_an_area_is_split_where_it_is() {
    let parts = [(node(), 1), (node(), 3)];
    let bound = format!("bind:{}", node());
    let mut private = areas::builder(8 * page()).private().unwrap();
    private.place_split(2 * page()..6 * page(), parts).unwrap();
    let at = private.as_ptr().addr();
    let reported = policies(&(at..at + private.mapped()));
    let expected = [(2 * page(), bound.clone()), (6 * page(), "default".to_owned())];
    assert_eq!(reported[reported.len() - 2..], expected, "{reported:?}");
    private.populate().unwrap();
    let answer = private.verify().unwrap();
    assert!(answer.holds() && answer.in_place() == 8 * page() as u64, "{answer}");
    // What is asked of the whole is no single placement; what was asked of it before stays
    // reported.
    private.place_split(0..8 * page(), parts).unwrap();
    assert_eq!(private.placement(), Policy::Default.into());
    // Nothing of a part is nothing to do; the reserve counts when the area has grown.
    private.place_split(3 * page()..3 * page(), parts).unwrap();
    let mut growing = areas::builder(page()).growable(8 * page()).shared().unwrap();
    growing.place_split(0..8 * page(), parts).unwrap();
    growing.grow(8 * page()).unwrap();
    growing.populate().unwrap();
    assert_eq!(growing.verify().unwrap().in_place(), 8 * page() as u64);
    for (range, parts, kind, text) in [
        (0..page(), vec![], ErrorKind::InvalidInput, "the list is empty, or a weight is 0"),
        (0..page(), vec![(node(), 0)], ErrorKind::InvalidInput, "the list is empty, or a weight is 0"),
        (0..page(), vec![(unknown_node(), 1)], ErrorKind::NodeNotAllowed, "may not be used"),
        (1..page(), vec![(node(), 1)], ErrorKind::InvalidInput, "begins at a multiple of the page size"),
        (page()..9 * page(), vec![(node(), 1)], ErrorKind::OutOfRange, "bytes"),
        (0..usize::MAX, vec![(node(), 1)], ErrorKind::OutOfRange, "bytes"),
        (9 * page()..9 * page(), vec![(node(), 1)], ErrorKind::OutOfRange, "bytes"),
    ] {
        let error = growing.place_split(range.clone(), parts).unwrap_err();
        assert_eq!(error.kind(), kind, "{range:?}: {error}");
        assert!(error.to_string().contains(text), "{range:?}: {error}");
    }
}
