//! Placements, held against the nodes that there are.

use crate::error::{Error, ErrorKind, Result};
use crate::nodes::{NodeSet, Placement, Policy};

impl Placement {
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
        if let Some(asked) = self.policy_ref().nodes() {
            let nodes = if asked.is_all() { allowed } else { asked };
            if nodes.is_empty() {
                return Err(Error::new(ErrorKind::InvalidInput, what())
                    .with_facts("the set of nodes is empty")
                    .with_remedy("name at least one node, or use policy `local`"));
            }
            not_allowed(nodes - allowed, allowed, what)?;
            resolved = self.over(nodes);
        }
        let knows_more = matches!(self.policy_ref(), Policy::Bind(_) | Policy::PreferredMany(_));
        if self.is_balanced() && !knows_more {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .with_facts(format!("policy {} does not support balancing", self.policy_ref().name()))
                .with_remedy(
                    "use `bind` or `preferred-many`; the machine may balance policy `default` by itself",
                ));
        }
        if let Some(home) = self.home_node() {
            if !knows_more {
                return Err(Error::new(ErrorKind::InvalidInput, what())
                    .with_facts(format!("policy {} does not support a home node", self.policy_ref().name()))
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
        .with_facts(format!("{noun} {outside} {verb} not exist or may not be used; allowed nodes: {allowed}"))
        .with_remedy(
            "use the nodes that are allowed; the cpuset of the process or container sets them (cpuset(7))",
        ))
}
