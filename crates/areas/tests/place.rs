//! Nodes, sets of them and policies, against a plain model and as tables.

use std::collections::BTreeSet;

use areas::{Error, ErrorKind, Node, NodeSet, Placement, Policy};
use proptest::prelude::*;

fn set(text: &str) -> NodeSet {
    text.parse().unwrap()
}

fn node(id: u32) -> Node {
    Node::new(id).unwrap()
}

#[test]
fn sets_are_read_and_printed() {
    let cases = [
        ("0", Some("0")),
        ("0-3,8", Some("0-3,8")),
        ("8,3,2,1,0", Some("0-3,8")),
        ("0-3,2-5,4", Some("0-5")),
        (" 7 ", Some("7")),
        ("63,64,127-128,1023", Some("63-64,127-128,1023")),
        ("00012", Some("12")),
        ("all", Some("all")),
        // 1,023 is the last number there is; that range would be all of them, and no machine has
        // it: it is no other word for `all`.
        ("0-1023", None),
        ("0-1022", Some("0-1022")),
        ("0-1022", Some("0-1022")),
        ("", None),
        (" ", None),
        ("none", None),
        ("ALL", None),
        ("all,1", None),
        (",", None),
        ("0,", None),
        (",0", None),
        ("0,,1", None),
        ("3-1", None),
        ("1-", None),
        ("-1", None),
        ("1--2", None),
        ("1-2-3", None),
        ("1024", None),
        ("0-1024", None),
        ("4294967296", None),
        ("99999999999999999999999", None),
        ("+1", None),
        ("0x1", None),
        ("1, 2", None),
        ("0-31:2/4", None),
        ("1\n2", None),
        ("1\0", None),
        ("٣", None),
    ];
    for (text, expected) in cases {
        let read = text.parse::<NodeSet>();
        assert_eq!(read.as_ref().ok().map(ToString::to_string).as_deref(), expected, "{text:?}");
        if let Err(error) = read {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().starts_with(&format!("cannot read {text:?} as nodes: ")), "{error}");
        }
    }
}

#[test]
fn set_errors() {
    let report = |text: &str| format!("{:#}", text.parse::<NodeSet>().unwrap_err());
    insta::assert_snapshot!(report("0-x"), @r#"
    cannot read "0-x" as nodes: "x" is not a number
      help: write numbers from 0 to 1023 and ranges of them: `0-3,8`; or `all` for those allowed
    "#);
    assert!(report("").contains("it names no node"));
    assert!(report("7-5").contains("the range 7-5 runs backwards"));
    assert!(report("5,2000").contains("2000 is above 1023"));
    assert!(report(&"9".repeat(1 << 20)).len() < 400);
    assert!(report(&"x".repeat(1 << 20)).len() < 400);
}

#[test]
fn constants_work_in_statics() {
    static SOME: NodeSet = NodeSet::single(Node::of::<0>()).with(Node::of::<64>()).without(Node::of::<0>());
    static PLACED: Placement = Placement::new(Policy::Bind(SOME)).home(Node::of::<64>());
    const LEN: usize = SOME_TOO.union(NodeSet::single(Node::MAX)).len();
    const SOME_TOO: NodeSet = NodeSet::single(Node::of::<1>());
    assert_eq!((SOME.to_string().as_str(), LEN), ("64", 2));
    assert_eq!(PLACED.to_string(), "bind:64, home 64");
    assert_eq!(format!("{:?} {:?}", NodeSet::ALL, NodeSet::EMPTY), "NodeSet(all) NodeSet(none)");
    assert_eq!(NodeSet::ALL.len(), 1024);
    assert_eq!((NodeSet::ALL.first(), NodeSet::ALL.last()), (Some(node(0)), Some(Node::MAX)));
    assert_eq!(SOME.words()[1], 1);
}

fn ids() -> impl Strategy<Value = BTreeSet<u32>> {
    prop_oneof![
        prop::collection::btree_set(0u32..1024, 0..40),
        prop::collection::btree_set(prop_oneof![Just(0u32), Just(63), Just(64), Just(1023)], 0..5),
        (0u32..1024, 0u32..1024).prop_map(|(a, b)| (a.min(b)..=a.max(b)).collect()),
    ]
}

fn of(ids: &BTreeSet<u32>) -> NodeSet {
    ids.iter().map(|&id| node(id)).collect()
}

fn model(set: NodeSet) -> BTreeSet<u32> {
    set.iter().map(Node::get).collect()
}

proptest! {
    #[test]
    fn a_set_is_a_set(a in ids(), b in ids(), one in 0u32..1024) {
        let (x, y, n) = (of(&a), of(&b), node(one));
        prop_assert_eq!(model(x), a.clone());
        prop_assert_eq!(model(x | y), &a | &b);
        prop_assert_eq!(model(x & y), &a & &b);
        prop_assert_eq!(model(x - y), &a - &b);
        prop_assert_eq!(x.len(), a.len());
        prop_assert_eq!(x.iter().len(), a.len());
        prop_assert_eq!(x.is_empty(), a.is_empty());
        prop_assert_eq!(x.contains(n), a.contains(&one));
        prop_assert_eq!(x.is_subset(&y), a.is_subset(&b));
        prop_assert_eq!(x.is_superset(&y), a.is_superset(&b));
        prop_assert_eq!(x == y, a == b);
        prop_assert_eq!(x.first().map(Node::get), a.first().copied());
        prop_assert_eq!(x.last().map(Node::get), a.last().copied());
        prop_assert_eq!(NodeSet::from_words(*x.words()), x);
        let backwards: Vec<u32> = x.iter().rev().map(Node::get).collect();
        prop_assert_eq!(backwards, a.iter().rev().copied().collect::<Vec<_>>());
        let (mut put, mut taken, mut more, mut less) = (x, x, a.clone(), a);
        prop_assert_eq!((put.insert(n), taken.remove(n)), (more.insert(one), less.remove(&one)));
        prop_assert_eq!((model(put), model(taken)), (more, less));
    }

    #[test]
    fn both_ends_meet(a in ids(), turns in prop::collection::vec(any::<bool>(), 1100)) {
        let (mut nodes, mut plain) = (of(&a).iter(), a.into_iter());
        for back in turns {
            let (got, expected) = if back { (nodes.next_back(), plain.next_back()) } else { (nodes.next(), plain.next()) };
            prop_assert_eq!(got.map(Node::get), expected);
        }
        prop_assert_eq!(nodes.next(), None);
    }

    #[test]
    fn what_is_printed_is_read_back(a in ids()) {
        let x = of(&a);
        if !a.is_empty() {
            prop_assert_eq!(set(&x.to_string()), x);
            for policy in [Policy::Bind(x), Policy::PreferredMany(x), Policy::WeightedInterleave(x)] {
                prop_assert_eq!(policy.to_string().parse::<Policy>().unwrap(), policy);
            }
        }
    }

    #[test]
    fn any_text_is_nodes_or_an_error(text in "[-0-9, all\\n\u{0}é]{0,40}|\\PC{0,20}") {
        if let Ok(nodes) = text.parse::<NodeSet>() {
            prop_assert!(!nodes.is_empty());
        }
        let _ = text.parse::<Node>();
        let _ = text.parse::<Policy>();
    }
}

#[test]
fn policies_from_parts() {
    let cases: [(&str, Option<&str>, Result<Policy, &str>); 16] = [
        ("default", None, Ok(Policy::Default)),
        ("local", None, Ok(Policy::Local)),
        ("bind", Some("0-1"), Ok(Policy::Bind(set("0-1")))),
        ("bind", Some("all"), Ok(Policy::Bind(NodeSet::ALL))),
        ("preferred", Some("2"), Ok(Policy::Preferred(node(2)))),
        ("preferred-many", Some("2"), Ok(Policy::PreferredMany(set("2")))),
        ("interleave", Some("0-3,8"), Ok(Policy::Interleave(set("0-3,8")))),
        ("weighted-interleave", Some("0,1"), Ok(Policy::WeightedInterleave(set("0-1")))),
        ("default", Some("0"), Err("it takes no nodes, and nodes 0 are given")),
        ("local", Some("0-1"), Err("it takes no nodes, and nodes 0-1 are given")),
        ("bind", None, Err("it needs nodes, and none are given")),
        ("preferred", None, Err("it needs nodes, and none are given")),
        ("preferred", Some("0-1"), Err("it takes one node, and nodes 0-1 are given")),
        ("preferred", Some("all"), Err("it takes one node, and nodes all are given")),
        ("Bind", Some("0"), Err("no policy has that name")),
        ("", None, Err("no policy has that name")),
    ];
    for (name, nodes, expected) in cases {
        let made = Policy::from_parts(name, nodes.map(set));
        let facts = made.as_ref().map_err(|error| error.facts().unwrap_or_default());
        assert_eq!(facts.copied(), expected, "{name} {nodes:?}");
        if let Err(error) = &made {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.remedy().is_some());
        }
        if let Ok(policy) = made {
            assert_eq!(policy.name(), name);
            assert_eq!(policy.nodes(), nodes.map(set));
            assert_eq!(policy.to_string().parse::<Policy>().unwrap(), policy);
        }
    }
    for name in ["bind", "preferred", "preferred-many", "interleave", "weighted-interleave"] {
        let error = Policy::from_parts(name, Some(NodeSet::EMPTY)).unwrap_err();
        assert_eq!(error.facts(), Some("the set of nodes is empty"));
    }
    insta::assert_snapshot!(format!("{:#}", Policy::from_parts("preferred", Some(set("0-1"))).unwrap_err()), @r#"
    cannot use policy "preferred": it takes one node, and nodes 0-1 are given
      help: use `preferred-many` for several
    "#);
    insta::assert_snapshot!(format!("{:#}", Policy::from_parts("spread", None).unwrap_err()), @r#"
    cannot use policy "spread": no policy has that name
      help: the policies are default, local, bind, preferred, preferred-many, interleave, weighted-interleave
    "#);
}

#[test]
fn placements_are_resolved_against_the_allowed_nodes() {
    let allowed = set("0-3");
    let resolve = |policy: &str, home: Option<u32>| -> Result<String, Error> {
        let placement = Placement::new(policy.parse()?);
        let placement = home.map_or(placement, |home| placement.home(node(home)));
        Ok(placement.resolve(allowed)?.to_string())
    };
    let good = [
        ("default", None, "default"),
        ("local", None, "local"),
        ("bind:all", None, "bind:0-3"),
        ("bind:1", Some(2), "bind:1, home 2"),
        ("preferred:3", None, "preferred:3"),
        ("interleave:0,2", None, "interleave:0,2"),
        ("preferred-many:all", Some(0), "preferred-many:0-3, home 0"),
    ];
    for (policy, home, expected) in good {
        assert_eq!(resolve(policy, home).unwrap(), expected);
    }
    let bad = [
        ("bind:1,7", None, ErrorKind::NodeNotAllowed),
        ("preferred:4", None, ErrorKind::NodeNotAllowed),
        ("bind:1", Some(7), ErrorKind::NodeNotAllowed),
        ("interleave:0-1", Some(0), ErrorKind::InvalidInput),
        ("default", Some(0), ErrorKind::InvalidInput),
    ];
    for (policy, home, kind) in bad {
        assert_eq!(resolve(policy, home).unwrap_err().kind(), kind, "{policy} {home:?}");
    }
    let empty = Placement::new(Policy::Bind(NodeSet::EMPTY));
    assert_eq!(empty.resolve(allowed).unwrap_err().kind(), ErrorKind::InvalidInput);
    insta::assert_snapshot!(format!("{:#}", resolve("bind:1,7-8", None).unwrap_err()), @"
    cannot place memory as bind:1,7-8: nodes 7-8 do not exist or may not be used; allowed nodes: 0-3
      help: use the nodes that are allowed; the cpuset of the process or container sets them (cpuset(7))
    ");
}
