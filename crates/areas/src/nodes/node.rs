//! One NUMA node by its number.

use std::fmt;

use super::list;

/// The number of a NUMA memory node: 0 to 1023.
///
/// A number is only a number: whether such a node exists, and whether this process may use it, is
/// asked of the kernel when memory is mapped. 1024 nodes is the most that any Linux is built for
/// (`CONFIG_NODES_SHIFT` is at most 10).
///
/// ```
/// use areas::Node;
/// static FAST: Node = Node::of::<4>();
/// assert_eq!(FAST.to_string(), "4");
/// assert_eq!(Node::new(4)?, FAST);
/// assert!(Node::new(1024).is_err());
/// # Ok::<(), areas::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(u32);

impl Node {
    /// The largest number that a node can have.
    pub const MAX: Node = Node(1023);

    /// The node of a number that is known when the program is compiled, for statics. A number above
    /// 1023 does not compile.
    #[must_use]
    pub const fn of<const ID: u32>() -> Self {
        const { assert!(ID <= Node::MAX.0, "nodes are numbered from 0 to 1023") };
        Node(ID)
    }

    pub(crate) const fn checked(id: u32) -> Option<Self> {
        if id <= Self::MAX.0 { Some(Node(id)) } else { None }
    }

    /// Reads decimal digits; or why these are none, or no node's.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        list::number(text.trim(), Self::MAX.0).map(Node)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.0)
    }
}

impl From<Node> for u32 {
    fn from(node: Node) -> Self {
        node.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_nothing_else() {
        let cases = [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("1023", Some(1023)),
            ("1024", None),
            ("4294967296", None),
            ("-1", None),
            ("+1", None),
            ("", None),
            ("0-1", None),
            ("٣", None),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Node>().ok().map(Node::get), expected, "{text:?}");
        }
    }

    #[test]
    fn errors_say_what_to_write() {
        assert_eq!(
            format!("{:#}", Node::new(1024).unwrap_err()),
            "cannot take 1024 as a node: nodes are numbered from 0 to 1023\n  \
             help: `areas nodes` lists the nodes of this machine"
        );
        assert_eq!(
            format!("{:#}", "n3".parse::<Node>().unwrap_err()),
            "cannot read \"n3\" as a node: \"n3\" is not a number\n  help: write one number from 0 to 1023: `3`"
        );
    }
}
