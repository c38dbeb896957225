//! Which nodes the pages of an area come from: the kernel's memory policies, as data.

use std::fmt;

use super::node::Node;
use super::nodeset::NodeSet;

/// From which nodes pages are taken as they are first touched: a memory policy of mbind(2) and
/// set_mempolicy(2).
///
/// A policy says where *new* pages come from. It does not move pages that exist, and success in
/// setting one is not proof of where pages are: measure that.
///
/// It prints as `interleave:0-3` and is read back from that. Wherever a [`NodeSet`] stands,
/// [`NodeSet::ALL`] means the nodes that are allowed when memory is mapped; an empty set is refused
/// by [`Placement::resolve`](crate::Placement::resolve).
#[doc(alias = "mbind")]
#[doc(alias = "set_mempolicy")]
#[doc(alias = "MPOL")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// No policy of its own: what the calling thread has (set_mempolicy(2)), which is
    /// [`Local`](Policy::Local) unless it was set. Where the machine balances
    /// (`kernel.numa_balancing`), the kernel moves such pages to the node of the CPU that uses
    /// them, locked or not; with any other policy they stay, unless it is
    /// [`balanced`](crate::Placement::balanced).
    #[doc(alias = "MPOL_DEFAULT")]
    #[default]
    Default,
    /// The node of the CPU that first touches a page; others when it is full. Whatever the thread's
    /// policy is.
    #[doc(alias = "MPOL_LOCAL")]
    Local,
    /// These nodes and no other, the one nearest to the touching CPU first. If they are full,
    /// memory is reclaimed from them, and if that is not enough the out-of-memory killer comes.
    ///
    /// It is about where pages come from. The kernel may move them off the nodes later all the
    /// same: to a slower tier of memory where the machine demotes
    /// (`/sys/kernel/mm/numa/demotion_enabled`; a lock keeps them), and when their memory is taken
    /// out of the machine (nothing keeps them). [`Area::verify`](crate::Area::verify) names them
    /// then.
    #[doc(alias = "MPOL_BIND")]
    Bind(NodeSet),
    /// This node as long as it has memory, then those nearest to it.
    #[doc(alias = "MPOL_PREFERRED")]
    Preferred(Node),
    /// These nodes as long as they have memory, then any other. Linux 5.15.
    #[doc(alias = "MPOL_PREFERRED_MANY")]
    PreferredMany(NodeSet),
    /// Page after page from each of these nodes in turn: the bandwidth of all of them. With
    /// transparent huge pages the turn is one huge page.
    #[doc(alias = "MPOL_INTERLEAVE")]
    Interleave(NodeSet),
    /// As [`Interleave`](Policy::Interleave), each node as many pages a turn as its weight in
    /// `/sys/kernel/mm/mempolicy/weighted_interleave` says. Linux 6.9.
    #[doc(alias = "MPOL_WEIGHTED_INTERLEAVE")]
    WeightedInterleave(NodeSet),
}

impl Policy {
    /// All names that [`Policy::from_parts`] knows.
    pub const NAMES: [&'static str; 7] =
        ["default", "local", "bind", "preferred", "preferred-many", "interleave", "weighted-interleave"];

    /// The name alone: `weighted-interleave`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Policy::Default => "default",
            Policy::Local => "local",
            Policy::Bind(_) => "bind",
            Policy::Preferred(_) => "preferred",
            Policy::PreferredMany(_) => "preferred-many",
            Policy::Interleave(_) => "interleave",
            Policy::WeightedInterleave(_) => "weighted-interleave",
        }
    }

    /// The nodes that it names; `None` for [`Default`](Policy::Default) and
    /// [`Local`](Policy::Local), which name none.
    #[must_use]
    pub const fn nodes(&self) -> Option<NodeSet> {
        match *self {
            Policy::Default | Policy::Local => None,
            Policy::Preferred(node) => Some(NodeSet::single(node)),
            Policy::Bind(nodes)
            | Policy::PreferredMany(nodes)
            | Policy::Interleave(nodes)
            | Policy::WeightedInterleave(nodes) => Some(nodes),
        }
    }

    /// The same policy over other nodes; [`Default`](Policy::Default), [`Local`](Policy::Local) and
    /// [`Preferred`](Policy::Preferred) stay as they are.
    #[must_use]
    pub(crate) const fn over(self, nodes: NodeSet) -> Self {
        match self {
            Policy::Default | Policy::Local | Policy::Preferred(_) => self,
            Policy::Bind(_) => Policy::Bind(nodes),
            Policy::PreferredMany(_) => Policy::PreferredMany(nodes),
            Policy::Interleave(_) => Policy::Interleave(nodes),
            Policy::WeightedInterleave(_) => Policy::WeightedInterleave(nodes),
        }
    }

    /// Whether it confines pages to its nodes: what is elsewhere is misplaced, not spilled.
    #[must_use]
    pub const fn is_strict(&self) -> bool {
        matches!(self, Policy::Bind(_))
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self.nodes() {
            Some(nodes) => write!(f, ":{nodes}"),
            None => Ok(()),
        }
    }
}
