//! A layer that maps no more than so many bytes at once.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Backing, Provider, Request};
use crate::error::{Error, ErrorKind, Rejected, Result};
use crate::mapping::Mapping;
use crate::page::{PageSize, Pages};
use crate::size::Bytes;

/// A budget: the bytes of addresses that may be mapped at once, in whole pages.
///
/// What is unmapped, or dropped, is free again.
pub struct Limited<P> {
    inner: P,
    limit: usize,
    used: Arc<AtomicUsize>,
}

/// A part of the budget, released when dropped.
struct Share {
    bytes: usize,
    used: Arc<AtomicUsize>,
}

impl Share {
    fn take(used: &Arc<AtomicUsize>, bytes: usize, limit: usize) -> Result<Self, usize> {
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|&sum| sum <= limit)
        })
        .map(|_| Share { bytes, used: used.clone() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl<P> Limited<P> {
    /// At most `limit` bytes at once.
    pub fn new(inner: P, limit: usize) -> Self {
        Limited { inner, limit, used: Arc::default() }
    }

    /// The bytes that are mapped now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The bytes that may be mapped at once.
    pub fn limit(&self) -> usize {
        self.limit
    }

    fn over(&self, wanted: usize, used: usize) -> Error {
        Error::new(ErrorKind::Limit, format!("map {}", Bytes::from(wanted)))
            .with_facts(format!(
                "the provider is limited to {}, {} in use",
                Bytes::from(self.limit),
                Bytes::from(used)
            ))
            .with_remedy("drop some areas of this provider, or give it a larger limit")
    }
}

impl<P: Provider> Provider for Limited<P> {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        // At least that much; what more the pages make is taken once it is known.
        let (size, page) = match (request.backing(), request.page_request()) {
            (Backing::Object(object), _) => (object.span(), object.page_size()),
            (_, Pages::Pool(page)) => (request.size(), page),
            _ => (request.size(), PageSize::base()),
        };
        let least = page.round_up(size).unwrap_or(usize::MAX);
        let share = Share::take(&self.used, least, self.limit).map_err(|used| self.over(least, used))?;
        let mut mapping = self.inner.map(request)?;
        if let Some(more) = mapping.span().checked_sub(least).filter(|&more| more > 0) {
            let more = Share::take(&self.used, more, self.limit)
                // Our own share is not what is in the way.
                .map_err(|used| self.over(mapping.span(), used.saturating_sub(least)))?;
            mapping.attach(more);
        }
        mapping.attach(share);
        Ok(mapping)
    }

    fn unmap(&self, mapping: Mapping) -> Result<(), Rejected<Mapping>> {
        self.inner.unmap(mapping)
    }
}

impl<P: fmt::Debug> fmt::Debug for Limited<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.limited({})", self.inner, Bytes::from(self.limit))
    }
}
