//! A layer that asks a second provider where the first one cannot.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Provider, Request};
use crate::error::{Rejected, Result};
use crate::mapping::Mapping;

/// The first provider, or else the second: an explicit fallback, recorded in the mapping with what the first one said.
///
/// ```
/// use areas::{PageSize, Pages, Placement, Policy, Node, Provider, System};
/// // Preferably on node 1, else anywhere: and `granted().fallbacks` tells which it was.
/// let provider = System::new().placed(Policy::Bind(Node::of::<1>().into())).or(System::new());
/// let area = areas::builder(1 << 20).provider(&provider).private()?;
/// for fallback in area.granted().fallbacks {
///     println!("not {}, but {}: {}", fallback.asked, fallback.given, fallback.because);
/// }
/// # Ok::<(), areas::Error>(())
/// ```
#[derive(Debug)]
pub struct Or<A, B> {
    first: A,
    second: B,
    /// The addresses of what the second one mapped, so that it gets them back.
    seconds: Arc<Mutex<HashSet<usize>>>,
}

/// Forgets an address once it is unmapped.
struct Forget {
    address: usize,
    seconds: Arc<Mutex<HashSet<usize>>>,
}

impl Drop for Forget {
    fn drop(&mut self) {
        self.seconds.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.address);
    }
}

impl<A, B> Or<A, B> {
    /// The first, or else the second.
    pub fn new(first: A, second: B) -> Self {
        Or { first, second, seconds: Arc::default() }
    }
}

impl<A: Provider, B: Provider> Provider for Or<A, B> {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        let because = match self.first.map(request) {
            Ok(mapping) => return Ok(mapping),
            Err(because) => because,
        };
        // The error of the second is told: the caller knows what it asked for first, and why that failed is in the text.
        let mut mapping = match self.second.map(request) {
            Ok(mapping) => mapping,
            Err(error) => return Err(error.caused_by(because)),
        };
        let address = mapping.as_ptr().addr();
        self.seconds.lock().unwrap_or_else(PoisonError::into_inner).insert(address);
        mapping.attach(Forget { address, seconds: self.seconds.clone() });
        mapping.record_fallback(format!("{:?}", self.first), format!("{:?}", self.second), because);
        Ok(mapping)
    }

    fn unmap(&self, mapping: Mapping) -> Result<(), Rejected<Mapping>> {
        let address = mapping.as_ptr().addr();
        let seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner).contains(&address);
        if seconds { self.second.unmap(mapping) } else { self.first.unmap(mapping) }
    }
}
