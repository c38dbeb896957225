//! Memory that the program gives: a range that is not ours to unmap, of which mappings are parts.
//!
//! It is a [`Reservation`] whose addresses have memory behind them: parts of it are taken without a
//! call to the kernel, and released as they were, readable and writable, for the next.

#![expect(unsafe_code, reason = "hands out raw memory; each block has its proof")]

use std::any::Any;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use super::{Parts, Reservation, prepare};
use crate::error::{Error, ErrorKind, Rejected, Result};
use crate::mapping::{BackedBy, Mapping, Plan, Sharing};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::size::Bytes;
use crate::sys;
use crate::sys::memory::{At, MapFlags};

/// What lies behind the addresses of a reservation that has memory.
pub(in crate::mapping) struct Given {
    page: PageSize,
    /// Whether its pages can be freed, so that the kernel has fresh ones for the next: private
    /// anonymous memory of our own, in base pages.
    fresh: bool,
    /// The mapping that it was, if it was one.
    pub(in crate::mapping) owned: Option<Mapping>,
    /// Dropped once nothing of the memory is in use any more.
    _kept: Option<Box<dyn Any + Send + Sync>>,
}

// What keeps the memory is dropped, and not looked at: nothing that a panic left half done is seen
// through it.
impl UnwindSafe for Given {}
impl RefUnwindSafe for Given {}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given").field("page", &self.page).finish_non_exhaustive()
    }
}

impl Reservation {
    /// Of a mapping: private memory that may be read and written. What was in it is gone where the
    /// kernel has fresh pages instead.
    pub(crate) fn of_memory(mapping: Mapping) -> Result<Arc<Self>, Rejected<Mapping>> {
        let wrong = match () {
            () if mapping.sharing != Sharing::Exclusive => Some(format!("it is {}", mapping.backed_by())),
            () if mapping.protection != Protection::READ_WRITE || mapping.guarded => {
                Some(format!("its protection is {}", mapping.protection))
            }
            () => None,
        };
        if let Some(wrong) = wrong {
            let error = Error::new(ErrorKind::Unsupported, "make areas out of a mapping")
                .with_facts(wrong)
                .with_remedy("take private memory that may be read and written");
            return Err(Rejected::new(error, mapping));
        }
        if let Err(error) = prepare(mapping.span) {
            return Err(Rejected::new(error, mapping));
        }
        let (base, span, page) = (mapping.base, mapping.span, mapping.page);
        // What was given to another provider may be a file's, of which the kernel has no fresh
        // pages.
        let anonymous =
            mapping.home.as_ref().is_none_or(|home| home.given.as_ref().is_none_or(|given| given.fresh));
        // SAFETY: the range is the mapping's own (its invariant), private anonymous memory, and the
        // mapping is ours: no reference is lent.
        let forget = || unsafe { sys::memory::forget_pages(base, span) }.is_ok();
        let fresh = page == PageSize::base() && anonymous && forget();
        let given = Given { page, fresh, owned: Some(mapping), _kept: None };
        Ok(Reservation::with_memory(base, span, given))
    }

    /// Of a range of base pages that the program owns. `kept` is dropped once nothing of it is in
    /// use any more.
    ///
    /// # Safety
    /// `base..base+span` begins and ends at pages, is mapped, readable and writable, and nothing
    /// but mappings of this reservation reads, writes, unmaps or changes it, until `kept` is
    /// dropped, or forever; what it is mapped from cannot shrink, and no other process writes it.
    pub(crate) unsafe fn of_range(
        base: NonNull<u8>,
        span: usize,
        kept: Option<Box<dyn Any + Send + Sync>>,
    ) -> Result<Arc<Self>> {
        prepare(span)?;
        let given = Given { page: PageSize::base(), fresh: false, owned: None, _kept: kept };
        Ok(Reservation::with_memory(base, span, given))
    }

    fn with_memory(base: NonNull<u8>, span: usize, given: Given) -> Arc<Self> {
        Arc::new(Reservation { base, span, parts: Mutex::new(Parts::of_memory(span)), given: Some(given) })
    }

    /// The pages of its memory.
    pub(crate) fn page_of_memory(&self) -> PageSize {
        self.given.as_ref().map_or(PageSize::base(), |given| given.page)
    }

    /// Whether what is mapped from it is untouched at first.
    pub(crate) fn is_fresh(&self) -> bool {
        self.given.as_ref().is_some_and(|given| given.fresh)
    }

    /// The bytes that are free, and the longest part of them.
    pub(crate) fn free_memory(&self) -> (usize, usize) {
        let (all, longest) = self.hold().free.free();
        (bytes(all), bytes(longest))
    }

    /// Takes `size` bytes, zeroed, in whole pages, at a multiple of `align`.
    pub(crate) fn take_memory(self: &Arc<Self>, size: usize, align: usize) -> Result<Mapping> {
        let what = || format!("take {} of memory that was given", Bytes::from(size));
        let page = self.page_of_memory();
        let none = |parts: &Parts| {
            let (all, longest) = parts.free.free();
            let aligned = if align > page.bytes() {
                format!(", at a multiple of {}", Bytes::from(align))
            } else {
                String::new()
            };
            Error::new(ErrorKind::NoMemory, what())
                .with_facts(format!(
                    "of its {} {} are free, {} in one piece{aligned}",
                    Bytes::from(self.span),
                    Bytes(all),
                    Bytes(longest)
                ))
                .with_remedy("drop some areas of this provider, or give it more memory")
        };
        let span = page.round_up(size).filter(|&span| span <= self.span);
        let Some(span) = span.filter(|_| size > 0) else { return Err(none(&self.hold())) };
        let offset = {
            let mut parts = self.hold();
            let align = align.max(page.bytes()) as u64;
            let Some(offset) = parts.free.take(span as u64, align, self.address() as u64) else {
                return Err(none(&parts));
            };
            let offset = bytes(offset);
            parts.taken.insert(offset..offset + span);
            offset
        };
        let base = self.pointer(offset);
        let plan = Plan {
            at: At::Anywhere,
            size,
            span,
            page,
            protection: Protection::READ_WRITE,
            sharing: Sharing::Exclusive,
            flags: MapFlags::PRIVATE,
            file: None,
            placement: None,
        };
        let mapping = Mapping::part_of(&plan, base, self.clone());
        if !self.is_fresh() {
            // SAFETY: the part was just taken for this mapping alone (its invariant), and may be
            // written.
            unsafe { base.write_bytes(0, span) };
        }
        Ok(mapping)
    }

    /// Takes a part back as it was: readable, writable, and fresh where the kernel has fresh pages.
    ///
    /// # Safety
    /// `take_memory` gave the part to the caller, and nothing uses it again.
    pub(in crate::mapping) unsafe fn take_memory_back(
        &self,
        base: NonNull<u8>,
        span: usize,
        protection: Protection,
    ) -> sys::Result<()> {
        if protection != Protection::READ_WRITE {
            // SAFETY: the caller owns the part, and gains rights.
            unsafe { sys::memory::protect(base, span, Protection::READ_WRITE.for_mprotect()) }?;
        }
        if self.is_fresh() {
            // SAFETY: the caller owns the part, which is private anonymous memory of ours
            // (`fresh`).
            let forgotten = unsafe { sys::memory::forget_pages(base, span) };
            if forgotten.is_err() {
                // Pages that the program has locked: the next finds zeros all the same.
                // SAFETY: the caller owns the part, which may be written by now, and nothing uses
                // it again.
                unsafe { base.write_bytes(0, span) };
            }
        }
        let offset = base.addr().get() - self.address();
        let mut parts = self.hold();
        let removed = parts.taken.remove(&(offset..offset + span));
        debug_assert!(removed, "only what was taken is released");
        parts.free.give_back(offset as u64, span as u64);
        Ok(())
    }
}

/// An offset or a length inside of a range of addresses.
fn bytes(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Mapping {
    /// Refuses what would change memory that was given beyond the time for which a part of it is
    /// used.
    pub(crate) fn refuse_given(&self, what: impl FnOnce() -> String, instead: &'static str) -> Result<()> {
        match self.home.as_ref().is_some_and(|home| home.given.is_some()) {
            false => Ok(()),
            true => Err(Error::new(ErrorKind::Unsupported, what())
                .with_facts("its memory was given to its provider, and is not its own")
                .with_remedy(instead)),
        }
    }

    /// A part of memory that is mapped already.
    fn part_of(plan: &Plan<'_>, base: NonNull<u8>, home: Arc<Reservation>) -> Self {
        let mut mapping = Mapping::of(plan, base);
        mapping.home = Some(home);
        debug_assert_eq!(mapping.backed_by, BackedBy::Private);
        mapping
    }
}
