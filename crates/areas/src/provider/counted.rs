//! A layer that counts what is mapped through it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Provider, Request};
use crate::error::{Rejected, Result};
use crate::mapping::{Counters, Mapping};

/// Statistics of a provider: the bytes that are mapped through it, the most that were at once, and
/// how often it mapped, unmapped and failed.
///
/// They can be read at any time, by any thread ([`statistics`](Counted::statistics)): counting
/// takes no lock and no system call. A mapping is counted until its addresses are unmapped, however
/// that comes about: by its area, past this provider, or after it.
///
/// ```
/// use areas::{Provider, System};
/// let provider = System::new().counted();
/// let area = areas::builder(1 << 20).provider(&provider).private()?;
/// let now = provider.statistics();
/// assert_eq!((now.mapped, now.peak, now.maps), (1 << 20, 1 << 20, 1));
/// drop(area);
/// let now = provider.statistics();
/// assert_eq!((now.mapped, now.peak, now.unmaps), (0, 1 << 20, 1));
/// # Ok::<(), areas::Error>(())
/// ```
#[doc(alias = "umfMemoryProvider")]
pub struct Counted<P> {
    inner: P,
    counters: Arc<Counters>,
    failures: AtomicU64,
}

/// What was counted, at one moment.
///
/// Other threads go on concurrently, so the fields are not of the very same instant; but `mapped <=
/// peak` and `unmaps <= maps` always hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Bytes of addresses that are mapped now: whole pages, a reserve included.
    pub mapped: usize,
    /// The largest value that `mapped` ever had.
    pub peak: usize,
    /// How many mappings were made.
    pub maps: u64,
    /// How many of them have been unmapped.
    pub unmaps: u64,
    /// How many requests ended in an error.
    pub failures: u64,
}

impl<P> Counted<P> {
    /// Counts what `inner` maps from now on.
    pub fn new(inner: P) -> Self {
        Counted { inner, counters: Arc::default(), failures: AtomicU64::new(0) }
    }

    /// What was counted until now.
    ///
    /// ```
    /// use areas::{Provider, System};
    ///
    /// let provider = System::new().counted();
    /// let area = areas::builder(1 << 20).provider(&provider).private()?;
    /// drop(area);
    /// let statistics = provider.statistics();
    /// assert_eq!((statistics.mapped, statistics.peak), (0, 1 << 20));
    /// # Ok::<(), areas::Error>(())
    /// ```
    pub fn statistics(&self) -> Statistics {
        let failures = self.failures.load(Ordering::Relaxed);
        let counts = self.counters.read();
        Statistics {
            mapped: counts.mapped,
            peak: counts.peak,
            maps: counts.maps,
            unmaps: counts.unmaps,
            failures,
        }
    }
}

impl<P: Provider> Provider for Counted<P> {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        let mut mapping = self.inner.map(request).inspect_err(|_| {
            self.failures.fetch_add(1, Ordering::Relaxed);
        })?;
        mapping.tally(&self.counters);
        Ok(mapping)
    }

    fn unmap(&self, mapping: Mapping) -> Result<(), Rejected<Mapping>> {
        self.inner.unmap(mapping)
    }
}

impl<P: fmt::Debug> fmt::Debug for Counted<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.counted()", self.inner)
    }
}
