//! A layer that asks a second provider where the first one cannot.

use std::error::Error as _;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Provider, Request};
use crate::error::{Error, Rejected, Result};
use crate::mapping::Mapping;

/// The first provider, or else the second: an explicit fallback, recorded in the mapping with what
/// the first one said.
///
/// ```
/// use areas::{PageSize, Pages, Placement, Policy, Node, Provider, System};
/// // Preferably on node 1, else anywhere: and `granted().fallbacks()` says which it was.
/// let provider = System::new().placed(Policy::Bind(Node::of::<1>().into())).or(System::new());
/// let area = areas::builder(1 << 20).provider(&provider).private()?;
/// for fallback in area.granted().fallbacks() {
///     println!("not {}, but {}: {}", fallback.asked, fallback.given, fallback.because);
/// }
/// # Ok::<(), areas::Error>(())
/// ```
pub struct Or<A, B> {
    first: A,
    second: B,
    /// Distinguishes this one from all others; assigned when it is first needed, so that `new` is a
    /// constant. 0 is none yet.
    number: AtomicU64,
}

/// Attached to what the second provider mapped, so that it gets it back. The number is that of its
/// [`Or`].
struct Second(u64);

/// Two reasons for one failure, where an error holds one.
#[derive(Debug)]
struct Reasons {
    first: Error,
    second: String,
}

impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.first, self.second)
    }
}

impl std::error::Error for Reasons {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.first)
    }
}

impl<A, B> Or<A, B> {
    /// The first, or else the second.
    pub const fn new(first: A, second: B) -> Self {
        Or { first, second, number: AtomicU64::new(0) }
    }

    fn number(&self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        match self.number.load(Ordering::Relaxed) {
            0 => {
                // A number that another thread was quicker to give is not given again. Nothing here
                // waits: a forked child could not.
                let new = NEXT.fetch_add(1, Ordering::Relaxed);
                self.number
                    .compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed)
                    .map_or_else(|given| given, |_| new)
            }
            number => number,
        }
    }
}

impl<A: Provider, B: Provider> Provider for Or<A, B> {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        let because = match self.first.map(request) {
            Ok(mapping) => return Ok(mapping),
            Err(because) => because,
        };
        let mut mapping = match self.second.map(request) {
            Ok(mapping) => mapping,
            // The error of the second is returned: it was the last attempt. Why the first one
            // failed is in its text.
            Err(error) => {
                return Err(match error.source().map(ToString::to_string) {
                    None => error.caused_by(because),
                    Some(second) => error.caused_by(Reasons { first: because, second }),
                });
            }
        };
        mapping.attach(Second(self.number()));
        mapping.record_fallback(format!("{:?}", self.first), format!("{:?}", self.second), because);
        Ok(mapping)
    }

    fn unmap(&self, mapping: Mapping) -> Result<(), Rejected<Mapping>> {
        let number = self.number();
        if mapping.attachments().any(|&Second(of)| of == number) {
            return self.second.unmap(mapping);
        }
        self.first.unmap(mapping)
    }
}

impl<A: fmt::Debug, B: fmt::Debug> fmt::Debug for Or<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.or({:?})", self.first, self.second)
    }
}
