//! Placements: what is asked of the place of pages.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use areas::closed::ClosedPolicy;
use areas::{Error, ErrorKind, Placement, Policy, Result};

use super::errors::invalid;
use super::nodes::{Nodes, node};

/// No policy of its own: what the calling thread has. Names no node.
pub const AREAS_DEFAULT: u32 = 0;
/// The node of the CPU that first touches a page. Names no node.
pub const AREAS_LOCAL: u32 = 1;
/// These nodes and no other.
pub const AREAS_BIND: u32 = 2;
/// This one node as long as it has memory, then those nearest to it.
pub const AREAS_PREFERRED: u32 = 3;
/// These nodes as long as they have memory, then any other (Linux 5.15).
pub const AREAS_PREFERRED_MANY: u32 = 4;
/// Page after page from each of these nodes in turn.
pub const AREAS_INTERLEAVE: u32 = 5;
/// The same, each node as many pages a turn as its weight says (Linux 6.9).
pub const AREAS_WEIGHTED_INTERLEAVE: u32 = 6;

/// In the flags of a placement with AREAS_BIND (Linux 5.15) or AREAS_PREFERRED_MANY (6.10): while
/// the machine balances (kernel.numa_balancing), the kernel may move pages to the node of the CPU
/// that uses them most, among the nodes of the policy. Without it, memory with a policy is not
/// balanced.
pub const AREAS_BALANCED: u32 = 1;

/// Where pages shall come from. Zeroed, it asks for nothing.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Placed {
    /// One of AREAS_DEFAULT to AREAS_WEIGHTED_INTERLEAVE.
    pub policy: u32,
    /// Whether `home` counts: start looking for memory at that node (Linux 5.17).
    pub has_home: u32,
    /// The home node.
    pub home: u32,
    /// 0, or AREAS_BALANCED.
    pub flags: u32,
    /// The nodes that the policy names. An empty set is an error where it must name some.
    pub nodes: Nodes,
}

impl Placed {
    /// What it asks for.
    pub(super) fn placement(&self) -> Result<Placement> {
        const WHAT: &str = "use a placement";
        let set = self.nodes.set();
        if self.flags & !AREAS_BALANCED != 0 || self.has_home > 1 {
            return Err(invalid(
                WHAT,
                "its flags are neither 0 nor AREAS_BALANCED, or has_home neither 0 nor 1",
            ));
        }
        let names_none = matches!(self.policy, AREAS_DEFAULT | AREAS_LOCAL);
        if names_none != set.is_empty() {
            return Err(match names_none {
                true => invalid(WHAT, "its policy takes no nodes, and there are some"),
                false => invalid(WHAT, "it names no node").with_remedy("fill its nodes: areas_nodes_parse"),
            });
        }
        let policy = match self.policy {
            AREAS_DEFAULT => Policy::Default,
            AREAS_LOCAL => Policy::Local,
            AREAS_BIND => Policy::Bind(set),
            AREAS_PREFERRED => match set.first() {
                Some(first) if set.len() == 1 => Policy::Preferred(first),
                _ => return Err(invalid(WHAT, "AREAS_PREFERRED takes one node, and there are several")),
            },
            AREAS_PREFERRED_MANY => Policy::PreferredMany(set),
            AREAS_INTERLEAVE => Policy::Interleave(set),
            AREAS_WEIGHTED_INTERLEAVE => Policy::WeightedInterleave(set),
            other => {
                return Err(Error::new(ErrorKind::InvalidInput, WHAT)
                    .with_facts(format!("no policy has number {other}")));
            }
        };
        let mut placement = Placement::new(policy);
        if self.flags & AREAS_BALANCED != 0 {
            placement = placement.balanced();
        }
        Ok(if self.has_home == 1 { placement.home(node(self.home)?) } else { placement })
    }

    /// What was asked for, for C.
    pub(super) fn of(placement: Placement) -> Self {
        let policy = placement.policy();
        let number = match ClosedPolicy::from(policy) {
            ClosedPolicy::Default => AREAS_DEFAULT,
            ClosedPolicy::Local => AREAS_LOCAL,
            ClosedPolicy::Bind(_) => AREAS_BIND,
            ClosedPolicy::Preferred(_) => AREAS_PREFERRED,
            ClosedPolicy::PreferredMany(_) => AREAS_PREFERRED_MANY,
            ClosedPolicy::Interleave(_) => AREAS_INTERLEAVE,
            ClosedPolicy::WeightedInterleave(_) => AREAS_WEIGHTED_INTERLEAVE,
        };
        Placed {
            policy: number,
            has_home: u32::from(placement.home_node().is_some()),
            home: placement.home_node().map_or(0, areas::Node::get),
            flags: if placement.is_balanced() { AREAS_BALANCED } else { 0 },
            nodes: Nodes::of(policy.nodes().unwrap_or_default()),
        }
    }
}

/// The placement that C points to.
///
/// # Safety
/// NULL or a placement.
pub(super) unsafe fn placement_at(from: *const Placed) -> Result<Placement> {
    if from.is_null() {
        return Err(invalid("use a placement", "the pointer to it is NULL"));
    }
    // SAFETY: not NULL (checked), and then a placement (the caller), which any bits are.
    unsafe { from.read_unaligned() }.placement()
}

#[cfg(test)]
mod tests {
    use areas::NodeSet;

    use super::*;

    #[test]
    fn placements_come_back() {
        let set: NodeSet = "0,3-5,1023".parse().unwrap();
        let node = areas::Node::new(7).unwrap();
        let policies = [
            Policy::Default,
            Policy::Local,
            Policy::Bind(set),
            Policy::Preferred(node),
            Policy::PreferredMany(set),
            Policy::Interleave(NodeSet::ALL),
            Policy::WeightedInterleave(set),
        ];
        for policy in policies {
            let plain = Placement::new(policy);
            for placement in [plain, plain.home(node), plain.balanced(), plain.home(node).balanced()] {
                assert_eq!(Placed::of(placement).placement().unwrap(), placement);
            }
        }
    }
}
