//! How the size of an object may change.

/// How the size of an object may change: chosen at creation, shown by the seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Extent {
    /// Never: no process can make a holder's access fault.
    Fixed,
    /// It may grow, up to `max` bytes, which every holder has reserved; it never shrinks.
    Growable {
        /// Bytes, a multiple of the page size.
        max: usize,
    },
    /// It may grow and shrink, in whole pages. What lies beyond its end faults (SIGBUS), as on
    /// BeOS.
    Resizable {
        /// Bytes of addresses that every holder takes: up to here it grows without asking for more.
        max: usize,
    },
}

impl Extent {
    /// Up to where it may grow; `None` if it may not.
    #[must_use]
    pub const fn max(self) -> Option<usize> {
        match self {
            Extent::Fixed => None,
            Extent::Growable { max } | Extent::Resizable { max } => Some(max),
        }
    }
}
