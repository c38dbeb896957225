//! The lock of an area: whether its pages stay in RAM. (Mutual exclusion is something else and has other words here.)

use std::fmt;
use std::ptr::NonNull;

use crate::error::{Error, Kind, Result, remedy};
use crate::size::Bytes;
use crate::sys;

/// Whether the pages of an area stay in RAM. Chosen at creation, never changed, inherited by clones.
///
/// Locking takes RAM from everybody else on the machine: lock what has to meet a deadline or must not reach the swap
/// device, not what would merely be nice to have at hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lock {
    /// Pages come and go as the kernel sees fit.
    #[default]
    None,
    /// A page stays once it has come in (`mlock2` with `MLOCK_ONFAULT`).
    #[doc(alias = "B_LAZY_LOCK")]
    Lazy,
    /// All pages are in RAM from the start and stay (`mlock`).
    #[doc(alias = "B_FULL_LOCK")]
    Full,
}

impl Lock {
    /// The word for it: "none", "lazy", "full".
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Lock::None => "none",
            Lock::Lazy => "lazy",
            Lock::Full => "full",
        }
    }

    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Lock::None,
            1 => Lock::Lazy,
            2 => Lock::Full,
            _ => return None,
        })
    }

    /// Applies it to a mapped range. `whose` is for the message.
    pub(crate) fn apply(self, address: NonNull<u8>, len: usize, whose: &str) -> Result<()> {
        let on_fault = match self {
            Lock::None => return Ok(()),
            Lock::Lazy => true,
            Lock::Full => false,
        };
        sys::memory::lock(address, len, on_fault).map_err(|errno| {
            let call = match on_fault {
                true => format!("mlock2({address:p}, {}, MLOCK_ONFAULT)", Bytes::from(len)),
                false => format!("mlock({address:p}, {})", Bytes::from(len)),
            };
            let error = |kind| Error::new(kind, format!("lock {whose}")).call(call, errno);
            match errno {
                // EPERM where the limit is 0.
                sys::Errno::NOMEM | sys::Errno::PERM => remedy::locked_memory(error(Kind::Limit), len),
                sys::Errno::AGAIN => error(Kind::NoMemory)
                    .detail("some of its pages could not be brought in")
                    .help("free some memory, or see the limit of the control group (memory.max)"),
                _ => error(Kind::System),
            }
        })
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Lock {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Lock::None, Lock::Lazy, Lock::Full].into_iter().find(|lock| lock.name() == text).ok_or_else(|| {
            Error::new(Kind::InvalidInput, format!("read {text:?} as a lock"))
                .help("write none, lazy or full")
        })
    }
}
