//! A set of NUMA nodes: a value of fixed size that needs no heap and can be a constant.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::{BitAnd, BitOr, Sub};

use super::list;
use super::node::Node;

const WORDS: usize = 16;
/// `WORDS`, for counting without a cast.
const WORD_COUNT: u32 = 16;

/// A set of nodes, written `0-3,8`.
///
/// It has room for all 1024 nodes that Linux can have and nothing else in it, so that it is `Copy`
/// and everything but parsing and printing works in constants and statics. The words are the
/// kernel's own form of a nodemask (mbind(2)): node *n* is bit *n* mod 64 of word *n* / 64.
///
/// [`NodeSet::ALL`] stands for "every node that this process may use, asked when memory is mapped";
/// it prints as `all`, the empty set prints as `none`.
///
/// ```
/// use areas::{Node, NodeSet};
/// const PAIR: NodeSet = NodeSet::single(Node::of::<0>()).with(Node::of::<2>());
/// assert_eq!(PAIR.to_string(), "0,2");
/// let four: NodeSet = "0-3".parse()?;
/// assert_eq!((four - PAIR).to_string(), "1,3");
/// # Ok::<(), areas::Error>(())
/// ```
#[doc(alias = "nodemask")]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct NodeSet {
    words: [u64; WORDS],
}

impl NodeSet {
    /// No node.
    pub const EMPTY: NodeSet = NodeSet { words: [0; WORDS] };

    /// All 1024 numbers: it means the nodes that are allowed at the moment when memory is mapped.
    pub const ALL: NodeSet = NodeSet { words: [u64::MAX; WORDS] };

    /// The set of one node.
    #[must_use]
    pub const fn single(node: Node) -> Self {
        Self::EMPTY.with(node)
    }

    /// This set and one node more.
    #[must_use]
    pub const fn with(mut self, node: Node) -> Self {
        self.words[word(node)] |= bit(node);
        self
    }

    /// This set without that node.
    #[must_use]
    pub const fn without(mut self, node: Node) -> Self {
        self.words[word(node)] &= !bit(node);
        self
    }

    /// From the kernel's words: node *n* is bit *n* mod 64 of word *n* / 64.
    #[must_use]
    pub const fn from_words(words: [u64; WORDS]) -> Self {
        NodeSet { words }
    }

    /// The kernel's words: node *n* is bit *n* mod 64 of word *n* / 64.
    #[must_use]
    pub const fn words(&self) -> &[u64; WORDS] {
        &self.words
    }

    /// Whether it is [`NodeSet::ALL`], which means the nodes allowed at map time.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.is_superset(&Self::ALL)
    }

    /// Whether no node is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// How many nodes are in it; 1024 for [`NodeSet::ALL`].
    #[must_use]
    pub const fn len(&self) -> usize {
        let (mut at, mut count) = (0, 0);
        while at < WORDS {
            count += self.words[at].count_ones() as usize;
            at += 1;
        }
        count
    }

    /// Whether that node is in it.
    #[must_use]
    pub const fn contains(&self, node: Node) -> bool {
        self.words[word(node)] & bit(node) != 0
    }

    /// Puts a node in; `true` if it was not in it before.
    pub const fn insert(&mut self, node: Node) -> bool {
        let new = !self.contains(node);
        *self = self.with(node);
        new
    }

    /// Takes a node out; `true` if it was in it before.
    pub const fn remove(&mut self, node: Node) -> bool {
        let old = self.contains(node);
        *self = self.without(node);
        old
    }

    /// The nodes that are in either. Also written `a | b`.
    #[must_use]
    pub const fn union(mut self, other: NodeSet) -> Self {
        let mut at = 0;
        while at < WORDS {
            self.words[at] |= other.words[at];
            at += 1;
        }
        self
    }

    /// The nodes that are in both. Also written `a & b`.
    #[must_use]
    pub const fn intersection(mut self, other: NodeSet) -> Self {
        let mut at = 0;
        while at < WORDS {
            self.words[at] &= other.words[at];
            at += 1;
        }
        self
    }

    /// The nodes that are in this set and not in the other. Also written `a - b`.
    #[must_use]
    pub const fn difference(mut self, other: NodeSet) -> Self {
        let mut at = 0;
        while at < WORDS {
            self.words[at] &= !other.words[at];
            at += 1;
        }
        self
    }

    /// Whether the other set has every node of this one.
    #[must_use]
    pub const fn is_subset(&self, other: &NodeSet) -> bool {
        let mut at = 0;
        while at < WORDS {
            if self.words[at] & !other.words[at] != 0 {
                return false;
            }
            at += 1;
        }
        true
    }

    /// Whether one node is in it, and no other.
    #[inline]
    pub(crate) fn is_one(&self) -> bool {
        match self.first_word() {
            Some(word) => word.is_power_of_two(),
            None => self.first() == self.last(),
        }
    }

    /// Words up to the last one that is not 0, but at least one.
    #[inline]
    pub(crate) fn words_in_use(&self) -> usize {
        if self.first_word().is_some() {
            return 1;
        }
        self.words.iter().rposition(|&word| word != 0).map_or(1, |last| last + 1)
    }

    /// The first word, if no other has a node: nearly always, as no machine at hand has more
    /// than 64.
    #[inline]
    pub(crate) fn first_word(&self) -> Option<u64> {
        let [first, more @ ..] = self.words;
        let (mut at, mut all) = (0, 0);
        // All of them, without a branch for each.
        while at < more.len() {
            all |= more[at];
            at += 1;
        }
        (all == 0).then_some(first)
    }

    /// Whether this set has every node of the other one.
    #[must_use]
    pub const fn is_superset(&self, other: &NodeSet) -> bool {
        other.is_subset(self)
    }

    /// The lowest node.
    #[must_use]
    pub const fn first(&self) -> Option<Node> {
        let mut at = 0;
        while at < WORD_COUNT {
            let word = self.words[at as usize];
            if word != 0 {
                return Node::checked(at * u64::BITS + word.trailing_zeros());
            }
            at += 1;
        }
        None
    }

    /// The highest node.
    #[must_use]
    pub const fn last(&self) -> Option<Node> {
        let mut at = WORD_COUNT;
        while at > 0 {
            at -= 1;
            let word = self.words[at as usize];
            if word != 0 {
                return Node::checked(at * u64::BITS + u64::BITS - 1 - word.leading_zeros());
            }
        }
        None
    }

    /// The nodes in ascending order.
    #[must_use]
    pub const fn iter(&self) -> Nodes {
        Nodes { left: *self }
    }

    /// Reads the kernel's list syntax, or `all`; or why it is none that a program may ask for.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == "all" {
            return Ok(NodeSet::ALL);
        }
        let mut set = NodeSet::EMPTY;
        match list::parse(text, Node::MAX.get(), |first, last| set.insert_range(first, last)) {
            Err(_) if text.is_empty() => Err("it names no node".to_owned()),
            Err(why) => Err(why),
            // The set of all numbers stands for those that may be used, which no program asks for
            // in this way.
            Ok(()) if set.is_all() => {
                Err("it names each number that a node can have, and no machine has all of them".to_owned())
            }
            Ok(()) => Ok(set),
        }
    }

    /// What the kernel prints in files such as `/sys/devices/system/node/online`: a trailing
    /// newline is allowed and nothing is the empty set. The error says why not, as a phrase; the
    /// caller knows the file.
    pub(crate) fn from_kernel_list(text: &str) -> Result<Self, String> {
        let mut set = NodeSet::EMPTY;
        list::parse_kernel(text, Node::MAX.get(), |first, last| set.insert_range(first, last))?;
        Ok(set)
    }

    /// `node 3`, `nodes 0,4`.
    pub(crate) fn in_words(&self) -> String {
        format!("{} {self}", if self.len() == 1 { "node" } else { "nodes" })
    }

    fn insert_range(&mut self, first: u32, last: u32) {
        (first..=last).filter_map(Node::checked).for_each(|node| {
            self.insert(node);
        });
    }
}

const fn word(node: Node) -> usize {
    (node.get() / u64::BITS) as usize
}

const fn bit(node: Node) -> u64 {
    1 << (node.get() % u64::BITS)
}

impl fmt::Display for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            f.write_str("all")
        } else if self.is_empty() {
            f.write_str("none")
        } else {
            list::write(f, self.iter().map(Node::get))
        }
    }
}

impl fmt::Debug for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeSet({self})")
    }
}

impl From<Node> for NodeSet {
    fn from(node: Node) -> Self {
        NodeSet::single(node)
    }
}

impl FromIterator<Node> for NodeSet {
    fn from_iter<I: IntoIterator<Item = Node>>(nodes: I) -> Self {
        nodes.into_iter().fold(NodeSet::EMPTY, NodeSet::with)
    }
}

impl Extend<Node> for NodeSet {
    fn extend<I: IntoIterator<Item = Node>>(&mut self, nodes: I) {
        *self = nodes.into_iter().fold(*self, NodeSet::with);
    }
}

impl IntoIterator for NodeSet {
    type Item = Node;
    type IntoIter = Nodes;

    fn into_iter(self) -> Nodes {
        self.iter()
    }
}

impl IntoIterator for &NodeSet {
    type Item = Node;
    type IntoIter = Nodes;

    fn into_iter(self) -> Nodes {
        self.iter()
    }
}

impl BitOr for NodeSet {
    type Output = NodeSet;

    fn bitor(self, other: NodeSet) -> NodeSet {
        self.union(other)
    }
}

impl BitAnd for NodeSet {
    type Output = NodeSet;

    fn bitand(self, other: NodeSet) -> NodeSet {
        self.intersection(other)
    }
}

impl Sub for NodeSet {
    type Output = NodeSet;

    fn sub(self, other: NodeSet) -> NodeSet {
        self.difference(other)
    }
}

/// The nodes of a [`NodeSet`] in ascending order, from either end.
#[derive(Clone, Debug)]
pub struct Nodes {
    left: NodeSet,
}

impl Iterator for Nodes {
    type Item = Node;

    fn next(&mut self) -> Option<Node> {
        let node = self.left.first()?;
        self.left.remove(node);
        Some(node)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.len(), Some(self.left.len()))
    }
}

impl DoubleEndedIterator for Nodes {
    fn next_back(&mut self) -> Option<Node> {
        let node = self.left.last()?;
        self.left.remove(node);
        Some(node)
    }
}

impl ExactSizeIterator for Nodes {}
impl FusedIterator for Nodes {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn the_set_of_all_numbers_is_all_and_is_never_named() {
        assert_eq!("all".parse::<NodeSet>().unwrap(), NodeSet::ALL);
        for text in ["0-1023", "0-511,512-1023", "0,1-1023", " 0-1023\n"] {
            let error = text.parse::<NodeSet>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let why = "it names each number that a node can have, and no machine has all of them";
            assert_eq!(error.facts().unwrap(), why, "{text:?}");
            assert!(error.remedy().unwrap().contains("`all` for those allowed"));
        }
        // One fewer, and it is a set as any: whether those are there is asked when memory is
        // placed.
        assert_eq!("0-1022".parse::<NodeSet>().unwrap().len(), 1023);
        // What the kernel says is possible is not a request.
        assert_eq!(NodeSet::from_kernel_list("0-1023\n"), Ok(NodeSet::ALL));
    }

    #[test]
    fn one_node_and_the_words_that_hold_it() {
        assert_eq!((NodeSet::EMPTY.is_one(), NodeSet::EMPTY.words_in_use()), (false, 1));
        for (list, one, words) in [
            ("0", true, 1),
            ("63", true, 1),
            ("0-1", false, 1),
            ("64", true, 2),
            ("0,64", false, 2),
            ("1023", true, 16),
            ("3,1023", false, 16),
            ("all", false, 16),
        ] {
            let set: NodeSet = list.parse().unwrap();
            assert_eq!((set.is_one(), set.words_in_use()), (one, words), "{list}");
        }
    }
}
