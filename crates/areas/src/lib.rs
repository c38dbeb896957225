//! Chunks of memory as first-class things on Linux.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!("areas is for 64-bit little-endian Linux");

mod error;
pub mod place;
mod size;
pub mod topology;

pub use error::{Errno, Error, Kind, Rejected, Result};
pub use place::{Node, NodeSet, Placement, Policy};
pub use size::Bytes;
pub use topology::Topology;
