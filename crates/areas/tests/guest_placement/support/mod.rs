//! What the tests of placement share: the machine and its settings, page by page measurements,
//! children.

pub(crate) mod child;
pub(crate) mod group;
pub(crate) mod machine;
pub(crate) mod memory;
pub(crate) mod pages;

use areas::{Node, NodeSet};

pub(crate) const PAGE: usize = 4096;
pub(crate) const MIB: usize = 1 << 20;
/// A hugetlb page.
pub(crate) const HUGE: usize = 2 * MIB;

/// The first line of every test here: goes on in a guest, and says aloud elsewhere that it does
/// not.
macro_rules! guest {
    () => {
        fn here() {}
        if !$crate::support::in_guest(std::any::type_name_of_val(&here)) {
            return;
        }
    };
}
pub(crate) use guest;

pub(crate) fn in_guest(test: &str) -> bool {
    let guest = std::env::var_os("AREAS_GUEST").is_some();
    if !guest {
        skipped(test, "it wants a machine with several nodes of its own: `cargo xtask test` boots one");
    }
    guest
}

/// Says aloud that something could not be tested here.
pub(crate) fn skipped(test: &str, why: &str) {
    areas_testing::skipped(test.trim_end_matches("::here"), why);
}

pub(crate) fn node(id: u32) -> Node {
    Node::new(id).unwrap()
}

pub(crate) fn nodes(ids: impl IntoIterator<Item = u32>) -> NodeSet {
    ids.into_iter().map(node).collect()
}

/// Every non-empty set of the nodes 0 to 3.
pub(crate) fn subsets() -> impl Iterator<Item = NodeSet> {
    (1..16_u32).map(|bits| nodes((0..4).filter(move |id| bits >> id & 1 == 1)))
}

pub(crate) fn ids(set: NodeSet) -> Vec<u32> {
    set.iter().map(Node::get).collect()
}

/// Fails unless pages go round `pattern`, wherever in it they begin: the kernel does not say where
/// that is.
#[track_caller]
pub(crate) fn assert_goes_round(found: &[u32], pattern: &[u32], what: &str) {
    let fits = |phase: usize| {
        found.iter().zip(pattern.iter().cycle().skip(phase)).all(|(found, expected)| found == expected)
    };
    assert!((0..pattern.len()).any(fits), "{what}: {found:?} does not go round {pattern:?}");
}
