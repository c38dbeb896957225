//! Providers: where areas come from.
//!
//! A provider maps memory on request and unmaps it. The ready-made one is [`System`]; a layer such
//! as [`Placed`] wraps another provider; your own implements [`Provider`] by asking one that exists
//! and working on what it gave. No unsafe code is needed for that: the [`Mapping`] that a provider
//! hands out owns its addresses, and only it can unmap them.
//!
//! ```
//! use areas::{Mapping, Provider, Request, Result, System};
//!
//! /// Memory that is filled with a pattern instead of zeros.
//! #[derive(Debug)]
//! struct Patterned {
//!     linux: System,
//!     pattern: u8,
//! }
//!
//! impl Provider for Patterned {
//!     fn map(&self, request: &Request<'_>) -> Result<Mapping> {
//!         let mut mapping = self.linux.map(request)?;
//!         mapping.as_bytes_mut()?.fill(self.pattern);
//!         Ok(mapping)
//!     }
//! }
//!
//! let provider = Patterned { linux: System::new(), pattern: 0x5a };
//! let area = areas::builder(4096).provider(&provider).private()?;
//! assert!(area.iter().all(|&byte| byte == 0x5a));
//! # Ok::<(), areas::Error>(())
//! ```

pub(crate) mod address;
mod answer;
mod counted;
mod fixed;
mod guarded;
mod limited;
mod or;
mod parts;
mod placed;
mod request;
mod spilled;
pub(crate) mod split;
mod storage;
mod striped;
mod system;
pub(crate) mod transparent;
mod with_room;

use std::fmt;

pub(crate) use address::is_free;
pub use counted::{Counted, Statistics};
pub use fixed::{Fixed, Lent};
pub use guarded::Guarded;
pub use limited::Limited;
pub use or::Or;
pub use placed::Placed;
pub use request::{Address, Backing, Request};
pub(crate) use spilled::LEFT_FREE;
pub use spilled::Spilled;
pub use split::Split;
pub use storage::Storage;
pub use striped::Striped;
pub use system::{System, allowed_nodes};
pub(crate) use system::{is_left_to_the_kernel, refuse_impossible, resolve, take_pool_pages};
pub(crate) use with_room::{AddressRequest, map_with_room};

use crate::error::{Rejected, Result};
use crate::mapping::Mapping;
use crate::nodes::{Node, NodeSet, Placement};

/// Where areas come from: an object that maps and unmaps memory.
///
/// A provider never faults a page in before it is placed, answers every request that it cannot
/// fulfil with an error, and records in the mapping what it gave instead where the request allowed
/// that. No area is made over a mapping that is not of what was asked for ([`Request::check`]).
#[doc(alias = "aml_area")]
#[doc(alias = "aml_area_ops")]
pub trait Provider: fmt::Debug + Send + Sync {
    /// Maps what the request describes.
    ///
    /// # Errors
    /// Whatever keeps it from fulfilling the request; nothing stays mapped then.
    fn map(&self, request: &Request<'_>) -> Result<Mapping>;

    /// Unmaps what this provider mapped. Override it to do something before, or instead (keep it
    /// for the next request).
    ///
    /// # Errors
    /// The mapping comes back if it could not be unmapped.
    fn unmap(&self, mapping: Mapping) -> Result<(), Rejected<Mapping>> {
        mapping.unmap()
    }

    /// This provider with a placement for requests that bring none.
    fn placed(self, placement: impl Into<Placement>) -> Placed<Self>
    where
        Self: Sized,
    {
        Placed::new(self, placement.into())
    }

    /// This provider, or else the other one. What the first could not do is recorded in the
    /// mapping.
    fn or<B: Provider>(self, other: B) -> Or<Self, B>
    where
        Self: Sized,
    {
        Or::new(self, other)
    }

    /// This provider with at most so many bytes mapped at once.
    fn limited(self, bytes: usize) -> Limited<Self>
    where
        Self: Sized,
    {
        Limited::new(self, bytes)
    }

    /// This provider with counters of what it maps, unmaps, and refuses.
    fn counted(self) -> Counted<Self>
    where
        Self: Sized,
    {
        Counted::new(self)
    }

    /// This provider with blocks of so many pages on each of the nodes in turn.
    fn striped(self, nodes: NodeSet, pages: usize) -> Striped<Self>
    where
        Self: Sized,
    {
        Striped::new(self, nodes, pages)
    }

    /// This provider with nodes that are filled one after the other, in that order.
    fn spilled(self, order: impl IntoIterator<Item = Node>) -> Spilled<Self>
    where
        Self: Sized,
    {
        Spilled::new(self, order)
    }

    /// This provider with contiguous parts of each mapping on these nodes, by weight.
    fn split(self, parts: impl IntoIterator<Item = (Node, u32)>) -> Split<Self>
    where
        Self: Sized,
    {
        Split::new(self, parts)
    }

    /// This provider with so many inaccessible pages before and behind each mapping.
    fn guarded(self, pages: usize) -> Guarded<Self>
    where
        Self: Sized,
    {
        Guarded::new(self, pages)
    }
}

impl<P: Provider + ?Sized> Provider for &P {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        (**self).map(request)
    }

    fn unmap(&self, mapping: Mapping) -> Result<(), Rejected<Mapping>> {
        (**self).unmap(mapping)
    }
}
