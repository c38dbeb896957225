//! What was asked of an area's place: a policy and, for some, a home node.

use std::fmt;

use super::node::Node;
use super::nodeset::NodeSet;
use super::policy::Policy;
use crate::error::{Error, ErrorKind, Result};

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
    /// [`ErrorKind::Unsupported`].
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

    /// The placement for the nodes that this process may use: [`NodeSet::ALL`] becomes `allowed`,
    /// and everything else must lie inside. The kernel itself silently drops the nodes of a mask
    /// that it does not allow, as long as one is left; this does not.
    ///
    /// # Errors
    /// - [`ErrorKind::NodeNotAllowed`] if a node of the policy, or the home node, is not in
    ///   `allowed`.
    /// - [`ErrorKind::InvalidInput`] for a policy over the empty set, and for a home node or
    ///   balancing with a policy that knows none.
    pub fn resolve(self, allowed: NodeSet) -> Result<Self> {
        let what = || format!("place memory as {self}");
        let mut resolved = self;
        if let Some(asked) = self.policy.nodes() {
            let nodes = if asked.is_all() { allowed } else { asked };
            if nodes.is_empty() {
                return Err(Error::new(ErrorKind::InvalidInput, what())
                    .with_facts("the set of nodes is empty")
                    .with_remedy("name at least one node, or use policy `local`"));
            }
            not_allowed(nodes - allowed, allowed, what)?;
            resolved.policy = self.policy.over(nodes);
        }
        let knows_more = matches!(self.policy, Policy::Bind(_) | Policy::PreferredMany(_));
        if self.balanced && !knows_more {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .with_facts(format!("policy {} does not support balancing", self.policy.name()))
                .with_remedy(
                    "use `bind` or `preferred-many`; memory with policy `default` is balanced by itself, where the machine does so",
                ));
        }
        if let Some(home) = self.home {
            if !knows_more {
                return Err(Error::new(ErrorKind::InvalidInput, what())
                    .with_facts(format!("policy {} does not support a home node", self.policy.name()))
                    .with_remedy("use `bind` or `preferred-many`, or leave the home node out"));
            }
            not_allowed(NodeSet::single(home) - allowed, allowed, what)?;
        }
        Ok(resolved)
    }
}

fn not_allowed(outside: NodeSet, allowed: NodeSet, what: impl Fn() -> String) -> Result<()> {
    if outside.is_empty() {
        return Ok(());
    }
    let (noun, verb) = if outside.len() == 1 { ("node", "does") } else { ("nodes", "do") };
    Err(Error::new(ErrorKind::NodeNotAllowed, what())
        .with_facts(format!("{noun} {outside} {verb} not exist or may not be used; allowed are {allowed}"))
        .with_remedy(
            "use the nodes that are allowed; the cpuset of the process or container sets them (cpuset(7))",
        ))
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
