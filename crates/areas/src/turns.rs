//! What interleaving means: whose turn it is, page by page.
//!
//! The kernel deals pages out in turn: to each node of the policy, by ascending number, as many in
//! a row as its weight. The turn of a page follows from its number among pages of its size: in the
//! object that it belongs to, or in the address space (`mm/mempolicy.c`, `interleave_nid`,
//! `weighted_interleave_nid`). So huge pages are dealt out as base pages are, each by 2 MiB. Where
//! the kernel begins is its own affair: [`Origin`] says where that is today, and who compares looks
//! for the beginning that fits best ([`Turns::best_phase`]).

use crate::nodes::{Node, Policy};
use crate::object::Object;
use crate::page::PageSize;
use crate::topology::Topology;

/// The nodes in the order of their turns: each as often as its weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turns(Vec<Node>);

impl Turns {
    /// Those of a policy, with the weights that the machine has now. `None` for policies that do
    /// not interleave, and where the weights cannot be read.
    pub(crate) fn of(policy: &Policy) -> Option<Self> {
        match policy {
            Policy::Interleave(_) => Self::weighted(policy, |_| Some(1)),
            Policy::WeightedInterleave(_) => {
                let topology = Topology::read().ok()?;
                Self::weighted(policy, |node| topology.node(node)?.weight)
            }
            Policy::Default
            | Policy::Local
            | Policy::Bind(_)
            | Policy::Preferred(_)
            | Policy::PreferredMany(_) => None,
        }
    }

    /// Those of a policy, with these weights.
    pub(crate) fn weighted(policy: &Policy, weight: impl Fn(Node) -> Option<u8>) -> Option<Self> {
        let (Policy::Interleave(nodes) | Policy::WeightedInterleave(nodes)) = policy else { return None };
        if nodes.is_all() {
            return None;
        }
        let mut turns = Vec::new();
        for node in nodes.iter() {
            // The kernel takes a weight of 0 for 1.
            turns.extend(std::iter::repeat_n(node, weight(node)?.max(1).into()));
        }
        (!turns.is_empty()).then_some(Turns(turns))
    }

    /// How many turns a round has.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whose turn the page with that number is.
    pub(crate) fn at(&self, number: usize) -> Node {
        self.0[number % self.0.len()]
    }

    /// The beginning with which most of these pages (by number, and where they are) are where their
    /// turn is, and how many those are.
    pub(crate) fn best_phase(&self, pages: impl Iterator<Item = (usize, Node)>) -> (usize, usize) {
        let round = self.len();
        // By their number within a round, and by their place in the list of nodes: all that
        // matters.
        let mut nodes = self.0.clone();
        nodes.dedup();
        let mut counts = vec![0_usize; round * nodes.len()];
        for (number, node) in pages {
            if let Ok(which) = nodes.binary_search(&node) {
                counts[number % round * nodes.len() + which] += 1;
            }
        }
        let hits = |phase: usize| -> usize {
            let fits = |number: usize| {
                let which = nodes.binary_search(&self.at(number + phase)).unwrap_or(0);
                counts[number * nodes.len() + which]
            };
            (0..round).map(fits).sum()
        };
        let best = (0..round).max_by_key(|&phase| (hits(phase), std::cmp::Reverse(phase))).unwrap_or(0);
        (best, hits(best))
    }
}

/// Where the kernel begins to count pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An object of base pages: at its inode number.
    Object(usize),
    /// Private memory that begins at that address: at address 0.
    Address(usize),
    /// Hugetlb pages: at the beginning of the mapping.
    Pool,
}

impl Origin {
    /// That of a mapping which begins at an address, of an object if there is one.
    pub(crate) fn of(object: Option<&Object>, address: usize, page: PageSize) -> Self {
        match object {
            _ if page != PageSize::base() => Origin::Pool,
            Some(object) => Origin::Object(usize::try_from(object.identity().inode).unwrap_or(0)),
            None => Origin::Address(address),
        }
    }

    /// The number of the page of that size which begins at a byte of the area.
    pub(crate) fn number(self, at: usize, page: PageSize) -> usize {
        match self {
            Origin::Object(inode) => inode.wrapping_add(at / page.bytes()),
            Origin::Address(address) => (address + at) / page.bytes(),
            Origin::Pool => at / page.bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::NodeSet;

    fn node(id: u32) -> Node {
        Node::new(id).unwrap()
    }

    fn nodes(ids: &[u32]) -> NodeSet {
        ids.iter().map(|&id| node(id)).collect()
    }

    #[test]
    fn each_node_has_as_many_turns_as_its_weight() {
        let weights = [1, 3, 5];
        let weight = |node: Node| weights.get(node.get() as usize).copied();
        let turns = Turns::weighted(&Policy::WeightedInterleave(nodes(&[0, 1, 2])), weight).unwrap();
        let round: Vec<u32> = (0..9).map(|number| turns.at(number).get()).collect();
        assert_eq!(round, [0, 1, 1, 1, 2, 2, 2, 2, 2]);
        assert_eq!(turns.at(9 + 4), node(2));
        // A weight that is not known is not guessed.
        assert_eq!(Turns::weighted(&Policy::WeightedInterleave(nodes(&[0, 3])), weight), None);
        assert_eq!(Turns::of(&Policy::Bind(nodes(&[0]))), None);
        assert_eq!(Turns::of(&Policy::Interleave(NodeSet::ALL)), None, "not resolved yet");
        assert_eq!(Turns::of(&Policy::Interleave(nodes(&[2, 5]))).unwrap().len(), 2);
    }

    #[test]
    fn the_beginning_that_fits_most_pages() {
        let turns = Turns::of(&Policy::Interleave(nodes(&[0, 1, 3]))).unwrap();
        let pages = |list: &[u32]| list.iter().copied().map(node).enumerate().collect::<Vec<_>>();
        let best = |list: &[u32]| turns.best_phase(pages(list).into_iter());
        assert_eq!(best(&[1, 3, 0, 1, 1]), (1, 4));
        assert_eq!(best(&[3, 0, 1, 3]), (2, 4));
        assert_eq!(best(&[]), (0, 0));
        assert_eq!(best(&[0, 0, 0]), (0, 1), "one page in three is where its turn is");
        assert_eq!(best(&[7, 7]), (0, 0), "a node that has no turn");
    }

    #[test]
    fn pages_are_numbered_in_their_own_size() {
        let (base, huge) = (PageSize::base(), PageSize::HUGE_2M);
        let object = Origin::Object(7);
        assert_eq!((object.number(2 << 20, base), object.number(4 << 20, huge)), (7 + 512, 7 + 2));
        let private = Origin::Address(6 << 20);
        assert_eq!((private.number(4096, base), private.number(2 << 20, huge)), (3 * 512 + 1, 4));
        assert_eq!(Origin::Pool.number(6 << 20, huge), 3);
    }
}
