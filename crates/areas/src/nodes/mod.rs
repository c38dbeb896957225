//! Nodes, sets of them, policies and placements.
//!
//! Everything here is plain data: nothing in this module makes a system call, and the kernel's
//! numbers for policies are not known here.

mod compact;
pub(crate) mod list;
mod node;
mod nodeset;
mod placement;
mod policy;

pub(crate) use compact::{CompactPlacement, SmallPlacement};
pub use node::Node;
pub use nodeset::{NodeSet, Nodes};
pub use placement::Placement;
pub use policy::Policy;
