//! The choice of nodes by what they are good at, as the topology reports it.

mod space;
mod target;

pub use space::{MemorySpace, Space};
pub use target::{Ranked, RankedBy, Targets};
