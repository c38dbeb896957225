//! What was asked of an area's place: a policy and, for some, a home node.

use std::fmt;

use super::node::Node;
use super::nodeset::NodeSet;
use super::policy::Policy;

/// Where memory is asked to live: a [`Policy`], a home node if one is wanted, and whether the
/// kernel may move pages about in it.
///
/// It is what was *asked*; where pages really are is measured. It is made of constants, so that it
/// can stand in a static:
///
/// ```
/// use areas::{Node, NodeSet, Placement, Policy};
/// static PLACED: Placement = Placement::new(Policy::Bind(NodeSet::ALL)).home(Node::of::<1>());
/// assert_eq!(PLACED.to_string(), "bind:all, home 1");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[must_use]
pub struct Placement {
    policy: Policy,
    home: Option<Node>,
    balanced: bool,
}

impl Placement {
    /// That policy, without a home node and not balanced.
    pub const fn new(policy: Policy) -> Self {
        Placement { policy, home: None, balanced: false }
    }

    /// Searches for free pages from this node outwards, instead of from the node of the touching
    /// CPU (set_mempolicy_home_node(2), Linux 5.17). Only [`Policy::Bind`] and
    /// [`Policy::PreferredMany`] know one: [`Placement::resolve`] refuses it with others.
    #[doc(alias = "set_mempolicy_home_node")]
    pub const fn home(mut self, node: Node) -> Self {
        self.home = Some(node);
        self
    }

    /// Lets the kernel move pages to the node of the CPU that uses them most, among the nodes of
    /// the policy and to no other (`MPOL_F_NUMA_BALANCING`; numactl's `--balancing`). Only
    /// [`Policy::Bind`] (Linux 5.15) and [`Policy::PreferredMany`] (6.10) know it:
    /// [`Placement::resolve`] refuses it with others, and a kernel without it is
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
    ///
    /// It counts while the machine balances (`/proc/sys/kernel/numa_balancing` is not 0). There,
    /// memory with no policy is balanced by itself, over all nodes, locked or not; memory with any
    /// policy, [`Policy::Local`] among them, is not, but for this. Hugetlb pages never move by
    /// themselves.
    #[doc(alias = "MPOL_F_NUMA_BALANCING")]
    pub const fn balanced(mut self) -> Self {
        self.balanced = true;
        self
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        self.policy
    }

    /// The policy, without a copy: a set of nodes is 128 bytes.
    pub(crate) const fn policy_ref(&self) -> &Policy {
        &self.policy
    }

    /// The nodes beyond which no page comes: those of `bind`. All other policies spill.
    pub(crate) const fn confined_to(&self) -> Option<NodeSet> {
        match self.policy {
            Policy::Bind(nodes) => Some(nodes),
            Policy::Default
            | Policy::Local
            | Policy::Preferred(_)
            | Policy::PreferredMany(_)
            | Policy::Interleave(_)
            | Policy::WeightedInterleave(_) => None,
        }
    }

    /// The same over these nodes, where its policy names some.
    pub(crate) const fn over(mut self, nodes: NodeSet) -> Self {
        self.policy = self.policy.over(nodes);
        self
    }

    /// Whether its policy names one node alone.
    #[inline]
    pub(crate) fn is_one_node(&self) -> bool {
        match &self.policy {
            Policy::Default | Policy::Local => false,
            Policy::Preferred(_) => true,
            Policy::Bind(nodes)
            | Policy::PreferredMany(nodes)
            | Policy::Interleave(nodes)
            | Policy::WeightedInterleave(nodes) => nodes.is_one(),
        }
    }

    /// The home node, if one was asked for.
    #[must_use]
    pub const fn home_node(&self) -> Option<Node> {
        self.home
    }

    /// Whether the kernel may move pages among the nodes of the policy.
    #[must_use]
    pub const fn is_balanced(&self) -> bool {
        self.balanced
    }

    /// Whether nothing was asked: [`Policy::Default`] and no home node.
    #[must_use]
    #[inline]
    pub const fn is_default(&self) -> bool {
        matches!(self.policy, Policy::Default) && self.home.is_none() && !self.balanced
    }
}

impl From<Policy> for Placement {
    fn from(policy: Policy) -> Self {
        Placement::new(policy)
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.policy)?;
        if let Some(home) = self.home {
            write!(f, ", home {home}")?;
        }
        if self.balanced { f.write_str(", balanced") } else { Ok(()) }
    }
}
