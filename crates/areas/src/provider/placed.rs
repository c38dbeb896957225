//! A layer that places what the provider below it maps.

use std::fmt;

use super::{Provider, Request};
use crate::error::{Rejected, Result};
use crate::mapping::Mapping;
use crate::nodes::{Node, Placement, Policy};

/// A provider with a placement of its own, for requests that bring none.
///
/// It is made of constants, so that it can stand in a static:
///
/// ```
/// use areas::{NodeSet, Placed, Policy, Provider, Request, System};
/// static INTERLEAVED: Placed<System> = System::new().placed(Policy::Interleave(NodeSet::ALL));
/// let mapping = INTERLEAVED.map(&Request::new(1 << 20))?;
/// assert_eq!(mapping.policy()?.name(), "interleave");
/// # Ok::<(), areas::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Placed<P> {
    inner: P,
    placement: Placement,
}

impl<P> Placed<P> {
    /// Puts a placement over a provider.
    pub const fn new(inner: P, placement: Placement) -> Self {
        Placed { inner, placement }
    }

    /// Starts looking for memory at this node ([`Placement::home`]).
    #[must_use]
    pub fn home(self, node: Node) -> Self {
        Placed { inner: self.inner, placement: self.placement.home(node) }
    }

    /// What it places as.
    pub const fn placement(&self) -> Placement {
        self.placement
    }
}

impl super::System {
    /// This provider with a policy for what it maps.
    #[must_use]
    pub const fn placed(self, policy: Policy) -> Placed<Self> {
        Placed::new(self, Placement::new(policy))
    }
}

impl<P: Provider> Provider for Placed<P> {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        match request.placement() {
            Some(_) => self.inner.map(request),
            None => self.inner.map(&request.clone().placed(self.placement)),
        }
    }

    fn unmap(&self, mapping: Mapping) -> Result<(), Rejected<Mapping>> {
        self.inner.unmap(mapping)
    }
}

impl<P: fmt::Debug> fmt::Debug for Placed<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.placed({})", self.inner, self.placement)
    }
}
