//! Chunks of memory as first-class things on Linux.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!("areas is for 64-bit little-endian Linux");

mod area;
mod error;
mod lock;
mod mapping;
mod object;
mod page;
pub mod place;
mod populate;
mod protection;
pub mod provider;
pub mod registry;
mod residency;
mod size;
mod sys;
#[cfg(test)]
mod testing;
pub mod topology;

pub use area::{
    Access, Area, AreaBuilder, CloneBuilder, FREEZE_PATIENCE, Frozen, Granted, Private, Shared, SharedSlice,
    builder,
};
pub use error::{Errno, Error, Kind, Rejected, Result};
pub use lock::Lock;
pub use mapping::{Fallback, Mapping};
pub use object::{Extent, Object};
pub use page::{PageSize, Pages};
pub use place::{Node, NodeSet, Placement, Policy};
pub use populate::Progress;
pub use protection::Protection;
pub use provider::{Address, Backing, Placed, Provider, Request, System, allowed_nodes};
pub use registry::{AreaId, Name};
pub use residency::{Residency, Run, Where};
pub use size::Bytes;
pub use sys::copy::Word;
pub use topology::Topology;
