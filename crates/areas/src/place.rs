//! Where memory must live: nodes, sets of them, policies, and the choice of nodes by what they are
//! good at.
//!
//! Everything here is plain data: nothing in this module makes a system call, and the kernel's
//! numbers for policies are not known here.

mod compact;
pub(crate) mod list;
mod node;
mod nodeset;
mod placement;
mod policy;
mod space;
mod target;

pub(crate) use compact::{CompactPlacement, SmallPlacement};
pub use node::Node;
pub use nodeset::{NodeSet, Nodes};
pub use placement::Placement;
pub use policy::Policy;
pub use space::{MemorySpace, Space};
pub use target::{Ranked, RankedBy, Targets};

/// The older name of [`RankedBy`].
#[deprecated(since = "0.2.0", note = "use `RankedBy`")]
pub type Source = RankedBy;
