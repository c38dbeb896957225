//! Where memory must live: nodes, sets of them, policies, and the choice of nodes by what they are
//! good at.

pub use crate::nodes::{Node, NodeSet, Nodes, Placement, Policy};
pub use crate::ranking::{MemorySpace, Ranked, RankedBy, Space, Targets};

/// The older name of [`RankedBy`].
#[deprecated(since = "0.2.0", note = "use `RankedBy`")]
pub type Source = RankedBy;
