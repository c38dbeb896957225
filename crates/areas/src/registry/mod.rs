//! The registry.
mod id;
mod name;
mod table;

pub use id::AreaId;
pub use name::Name;
