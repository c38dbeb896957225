//! A guard page: the lowest page of a mapping that may not be accessed, whatever the others allow.
//! A stack, which grows down, ends there.

#![expect(unsafe_code, reason = "changes rights to memory; each block has its proof")]

use std::ptr::NonNull;

use super::Mapping;
use crate::error::{Error, ErrorKind, Result, remedy};
use crate::protection::Protection;
use crate::sys;

impl Mapping {
    /// Makes the lowest page inaccessible: now, and after each change of protection.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] at `vm.max_map_count` (one more mapping for the kernel);
    /// [`ErrorKind::System`] with what else mprotect said.
    pub(crate) fn guard_lowest_page(&mut self) -> Result<()> {
        self.set_lowest(Protection::empty(), "guard the lowest page of a mapping")?;
        self.guarded = true;
        Ok(())
    }

    /// Whether its lowest page is a guard.
    pub(crate) fn is_guarded(&self) -> bool {
        self.guarded
    }

    /// Lets the lowest page be accessed as the others are, if it is a guard.
    ///
    /// # Errors
    /// As [`guard_lowest_page`](Mapping::guard_lowest_page).
    pub(crate) fn lift_guard(&mut self) -> Result<()> {
        if self.guarded {
            self.set_lowest(self.protection, "lift the guard of a mapping")?;
            self.guarded = false;
        }
        Ok(())
    }

    /// What follows its protection: all of it, or what is above the guard.
    pub(super) fn above_the_guard(&self) -> (NonNull<u8>, usize) {
        match self.guarded {
            false => (self.base, self.span),
            true => {
                let guard = self.page.bytes().min(self.span);
                // SAFETY: `guard <= span`, and `base..base+span` is ours (invariant).
                (unsafe { self.base.add(guard) }, self.span - guard)
            }
        }
    }

    fn set_lowest(&self, protection: Protection, what: &'static str) -> Result<()> {
        debug_assert!(self.sharing == super::Sharing::Shared, "bytes of exclusive memory are lent");
        let lowest = self.page.bytes().min(self.span);
        // SAFETY: the range is ours (invariant). It is shared memory, of which no reference is
        // lent; code that has a pointer there finds that it may not be accessed, or may be again,
        // as with any change of protection.
        let changed = unsafe { sys::memory::protect(self.base, lowest, protection.for_mprotect()) };
        changed.map_err(|errno| {
            let kind = if errno == sys::Errno::NOMEM { ErrorKind::Limit } else { ErrorKind::System };
            let error = Error::new(kind, what)
                .with_system_call(format!("mprotect({:p}, {lowest}, {protection})", self.base), errno);
            if kind == ErrorKind::Limit { remedy::address_space(error, self.span) } else { error }
        })
    }
}
