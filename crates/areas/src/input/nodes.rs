//! Reading nodes, sets of them and policies.

use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};
use crate::nodes::{Node, NodeSet, Policy, list};

impl Node {
    /// The node of that number.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] above 1023.
    pub fn new(id: u32) -> Result<Self> {
        Self::checked(id).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("take {id} as a node"))
                .with_facts("nodes are numbered from 0 to 1023")
                .with_remedy("`areas nodes` lists the nodes of this machine")
        })
    }
}

impl FromStr for Node {
    type Err = Error;

    /// Reads decimal digits.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for anything but a number from 0 to 1023.
    fn from_str(text: &str) -> Result<Self> {
        Node::read(text).map_err(|why| {
            Error::new(ErrorKind::InvalidInput, format!("read {} as a node", list::excerpt(text)))
                .with_facts(why)
                .with_remedy("write one number from 0 to 1023: `3`")
        })
    }
}

impl TryFrom<u32> for Node {
    type Error = Error;

    fn try_from(id: u32) -> Result<Self> {
        Self::new(id)
    }
}

impl FromStr for NodeSet {
    type Err = Error;

    /// Reads the kernel's list syntax, `0-3,8`, or `all`. Parts may overlap and come in any order.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an empty list, a range that runs backwards, a number above
    /// 1023, `0-1023` (which is not `all`: nodes that are named must be there), and anything else.
    fn from_str(text: &str) -> Result<Self> {
        NodeSet::read(text).map_err(|why| {
            Error::new(ErrorKind::InvalidInput, format!("read {} as nodes", list::excerpt(text)))
                .with_facts(why)
                .with_remedy(
                    "write numbers from 0 to 1023 and ranges of them: `0-3,8`; or `all` for those allowed",
                )
        })
    }
}

impl Policy {
    /// From a name and nodes, as a command line has them: `--policy interleave --nodes 0-3`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an unknown name, nodes where the policy takes none, no nodes
    /// (or an empty set) where it needs some, and several nodes for `preferred`.
    pub fn from_parts(name: &str, nodes: Option<NodeSet>) -> Result<Self> {
        let wrong = |detail: String, help: String| {
            Err(Error::new(ErrorKind::InvalidInput, format!("use policy {}", list::excerpt(name)))
                .with_facts(detail)
                .with_remedy(help))
        };
        let of_set: fn(NodeSet) -> Policy = match name {
            "default" | "local" => {
                let policy = if name == "default" { Policy::Default } else { Policy::Local };
                return match nodes {
                    None => Ok(policy),
                    Some(nodes) => wrong(
                        format!("it takes no nodes, and nodes {nodes} are given"),
                        "leave the nodes out, or choose `bind`, `preferred-many` or `interleave`".to_owned(),
                    ),
                };
            }
            "preferred" => |nodes| nodes.first().map_or(Policy::Local, Policy::Preferred),
            "bind" => Policy::Bind,
            "preferred-many" => Policy::PreferredMany,
            "interleave" => Policy::Interleave,
            "weighted-interleave" => Policy::WeightedInterleave,
            _ => {
                return wrong(
                    "no policy has that name".to_owned(),
                    format!("the policies are {}", Policy::NAMES.join(", ")),
                );
            }
        };
        match nodes {
            Some(nodes) if nodes.is_empty() => {
                wrong("the set of nodes is empty".to_owned(), "name at least one node: `0`".to_owned())
            }
            Some(nodes) if name == "preferred" && nodes.len() > 1 => wrong(
                format!("it takes one node, and nodes {nodes} are given"),
                "use `preferred-many` for several".to_owned(),
            ),
            Some(nodes) => Ok(of_set(nodes)),
            None => wrong(
                "it needs nodes, and none are given".to_owned(),
                match name {
                    "preferred" => "name one node: `0`",
                    _ => "name them: `0-3,8`, or `all` for those allowed",
                }
                .to_owned(),
            ),
        }
    }
}

impl FromStr for Policy {
    type Err = Error;

    /// Reads what it prints: `default`, `interleave:0-3`, `bind:all`.
    ///
    /// # Errors
    /// As [`Policy::from_parts`], and as reading a [`NodeSet`].
    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            Some((name, nodes)) => Self::from_parts(name, Some(nodes.parse()?)),
            None => Self::from_parts(text, None),
        }
    }
}
