//! The lock of an area: whether its pages stay in RAM. (Mutual exclusion is something else and has
//! other words here.)

use std::fmt;
use std::ptr::NonNull;

use crate::error::{Error, ErrorKind, Result, remedy};
use crate::size::Bytes;
use crate::sys;

/// What a lock demands of the page frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Physically contiguous.
    pub(crate) contiguous: bool,
    /// All physical addresses are below this one.
    pub(crate) below: Option<u64>,
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.contiguous, self.below) {
            (true, None) => f.write_str("physically contiguous"),
            (true, Some(below)) => write!(f, "physically contiguous below {}", Bytes(below)),
            (false, Some(below)) => write!(f, "below physical address {}", Bytes(below)),
            (false, None) => f.write_str("anywhere"),
        }
    }
}

/// Whether the pages of an area stay in RAM. Chosen at creation, never changed, inherited by
/// clones. (A program that calls `munlock` or `munlockall` by itself undoes it, and a forked child
/// does not inherit it: [`Info::locked`](crate::registry::Info::locked) measures it.)
///
/// Locking takes RAM from all others on the machine: lock what has to meet a deadline or must not
/// reach the swap device, not what would merely be nice to have at hand.
//
// Its numbers stand in tables, which other versions of the library read: none is used for another
// lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Lock {
    /// Pages come and go as the kernel sees fit.
    #[default]
    None = 0,
    /// A page stays once it has come in (`mlock2` with `MLOCK_ONFAULT`). Where that call is missing
    /// (valgrind 3.19), such a lock cannot be had, and the error says so.
    #[doc(alias = "B_LAZY_LOCK")]
    Lazy = 1,
    /// All pages are in RAM from the start and stay (`mlock`, after they were brought in).
    #[doc(alias = "B_FULL_LOCK")]
    Full = 2,
    /// As full, and physically contiguous: one range of page frames, for devices that
    /// know no page tables.
    ///
    /// That is one hugetlb page, or several contiguous ones, or base pages that the kernel
    /// collapses, in this order, if [`Pages::Base`], the default, leaves the choice to the lock;
    /// [`Pages::Pool`] wants the pool. More than one page takes `CAP_SYS_ADMIN`, without which no
    /// process may see where pages are. It is proved when the area is made; only a driver can
    /// promise it forever: the kernel does not move locked hugetlb pages by itself, but may move
    /// others (compaction, a failing memory module).
    ///
    /// [`Pages::Base`]: crate::Pages::Base
    /// [`Pages::Pool`]: crate::Pages::Pool
    #[doc(alias = "B_CONTIGUOUS")]
    Contiguous = 3,
    /// As contiguous, below 16 MiB, for ISA DMA: in memory that was reserved when the machine
    /// booted (`memmap=4M$8M` on the kernel's command line), by way of `/dev/mem`
    /// (`CAP_SYS_RAWIO`). It never moves.
    #[doc(alias = "B_LOMEM")]
    Low = 4,
    /// As full, at physical addresses below 4 GiB, for devices with 32 address bits. Proved when
    /// the area is made (`CAP_SYS_ADMIN`).
    #[doc(alias = "B_32_BIT_FULL_LOCK")]
    Full32 = 5,
    /// As contiguous, at physical addresses below 4 GiB.
    #[doc(alias = "B_32_BIT_CONTIGUOUS")]
    Contiguous32 = 6,
}

impl Lock {
    /// All of them.
    const ALL: [Lock; 7] =
        [Lock::None, Lock::Lazy, Lock::Full, Lock::Contiguous, Lock::Low, Lock::Full32, Lock::Contiguous32];

    /// The words for all of them.
    pub const NAMES: [&'static str; 7] = {
        let mut names = [""; 7];
        let mut index = 0;
        while index < names.len() {
            names[index] = Lock::ALL[index].name();
            index += 1;
        }
        names
    };

    /// The word for it: "none", "lazy", "full", "contiguous", "low", "full-32", "contiguous-32".
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Lock::None => "none",
            Lock::Lazy => "lazy",
            Lock::Full => "full",
            Lock::Contiguous => "contiguous",
            Lock::Low => "low",
            Lock::Full32 => "full-32",
            Lock::Contiguous32 => "contiguous-32",
        }
    }

    /// What stands for it in a table.
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Lock::ALL.get(usize::from(number)).copied()
    }

    /// Whether all pages are in RAM from the start.
    #[must_use]
    pub const fn is_full(self) -> bool {
        !matches!(self, Lock::None | Lock::Lazy)
    }

    /// Whether it promises more than another one.
    pub(crate) const fn is_stronger_than(self, other: Lock) -> bool {
        const fn rank(lock: Lock) -> u8 {
            match lock {
                Lock::None => 0,
                Lock::Lazy => 1,
                Lock::Full => 2,
                Lock::Contiguous | Lock::Full32 => 3,
                Lock::Contiguous32 => 4,
                Lock::Low => 5,
            }
        }
        // Of two that demand different things, neither holds what the other one does.
        match (self, other) {
            (Lock::Contiguous, Lock::Full32) | (Lock::Full32, Lock::Contiguous) => true,
            _ => rank(self) > rank(other),
        }
    }

    /// What it demands of the page frames, if it does.
    pub(crate) const fn demand(self) -> Option<Demand> {
        const LOW: u64 = 16 << 20;
        const FOUR_GIB: u64 = 1 << 32;
        Some(match self {
            Lock::None | Lock::Lazy | Lock::Full => return None,
            Lock::Contiguous => Demand { contiguous: true, below: None },
            Lock::Low => Demand { contiguous: true, below: Some(LOW) },
            Lock::Full32 => Demand { contiguous: false, below: Some(FOUR_GIB) },
            Lock::Contiguous32 => Demand { contiguous: true, below: Some(FOUR_GIB) },
        })
    }

    /// Applies it to a mapped range. `whose` is for the message.
    pub(crate) fn apply(self, address: NonNull<u8>, len: usize, whose: &str) -> Result<()> {
        let on_fault = match self {
            Lock::None => return Ok(()),
            Lock::Lazy => true,
            Lock::Full | Lock::Contiguous | Lock::Low | Lock::Full32 | Lock::Contiguous32 => false,
        };
        sys::memory::lock(address, len, on_fault).map_err(|errno| {
            let call = match on_fault {
                true => format!("mlock2({address:p}, {}, MLOCK_ONFAULT)", Bytes::from(len)),
                false => format!("mlock({address:p}, {})", Bytes::from(len)),
            };
            let error = |kind| Error::new(kind, format!("lock {whose}")).with_system_call(call, errno);
            match errno {
                // EPERM where the limit is 0.
                sys::Errno::NOMEM | sys::Errno::PERM => remedy::locked_memory(error(ErrorKind::Limit), len),
                sys::Errno::AGAIN => error(ErrorKind::NoMemory)
                    .with_facts("some of its pages could not be populated")
                    .with_remedy("free some memory, or see the limit of the control group (memory.max)"),
                sys::Errno::NOSYS if on_fault => error(ErrorKind::Unsupported)
                    .with_facts("mlock2 is missing here, without which no page can be locked as it comes in")
                    .with_remedy(
                        "use a full lock, which needs only mlock, or none (valgrind 3.19 has no mlock2)",
                    ),
                _ => error(ErrorKind::System),
            }
        })
    }

    /// Asks for the allowance to lock a range, before its pages are brought in. Where the kernel
    /// cannot be asked without bringing them in (no `mlock2`), it answers when they are there and
    /// are locked.
    pub(crate) fn ask_allowance(address: NonNull<u8>, len: usize, whose: &str) -> Result<()> {
        match Lock::Lazy.apply(address, len, whose) {
            Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
            asked => asked,
        }
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
        Lock::ALL.into_iter().find(|lock| lock.name() == text).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("read {text:?} as a lock"))
                .with_remedy(format!("write one of {}", Lock::NAMES.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_come_back() {
        for (number, (lock, name)) in (0..).zip(Lock::ALL.into_iter().zip(Lock::NAMES)) {
            assert_eq!((lock.number(), Lock::from_number(number)), (number, Some(lock)));
            assert_eq!(
                (lock.name(), name.parse::<Lock>().unwrap(), lock.to_string()),
                (name, lock, name.to_owned())
            );
        }
        assert_eq!(Lock::from_number(7), None);
        let error = "low-32".parse::<Lock>().unwrap_err();
        assert_eq!(
            error.remedy(),
            Some("write one of none, lazy, full, contiguous, low, full-32, contiguous-32")
        );
    }
}
