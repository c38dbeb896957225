//! A byte that a forked child does not inherit: by it a process finds that it is one.

use std::sync::atomic::Ordering;

use super::{Mapping, Plan, Sharing};
use crate::error::{Error, ErrorKind, Result};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::sys;
use crate::sys::memory::{Advice, At, MapFlags};

/// Set, in the process that made it; not set in children that it forks since, however they were
/// forked: the kernel wipes the page. Looked at and set by any thread at any time.
///
/// # Invariants
/// The mapping is private, of one page, readable and writable; no reference to its bytes is ever
/// made.
#[derive(Debug)]
pub(crate) struct ForkDetector(Mapping);

impl ForkDetector {
    /// One that is set.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the kernel wipes nothing on fork.
    pub(crate) fn new() -> Result<Self> {
        let page = PageSize::base();
        let mapping = Mapping::new(&Plan {
            at: At::Anywhere,
            size: 1,
            span: page.bytes(),
            page,
            protection: Protection::READ_WRITE,
            sharing: Sharing::Exclusive,
            flags: MapFlags::PRIVATE,
            file: None,
            placement: None,
        })?;
        mapping.advise(Advice::WipeOnFork).map_err(|errno| {
            Error::new(ErrorKind::Unsupported, "use the registry")
                .with_system_call("madvise(MADV_WIPEONFORK)", errno)
                .with_remedy("this needs Linux 4.14")
        })?;
        let fork_detector = ForkDetector(mapping);
        fork_detector.set();
        Ok(fork_detector)
    }

    /// Whether it is set. If so, what was done before it was set is seen behind this.
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        self.0.load::<u8>(0, 1, Ordering::Acquire).is_ok_and(|byte| byte != 0)
    }

    /// Sets it, after all that was done before.
    pub(crate) fn set(&self) {
        // SAFETY: the first byte of a mapping that is writable and of which no reference is ever
        // made (invariants).
        unsafe { sys::copy::store(self.0.base().as_ptr(), 1_u8, Ordering::Release) }
    }
}
