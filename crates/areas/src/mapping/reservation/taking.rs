//! Mappings in a reservation: a part is taken for each, and comes back when it goes.

#![expect(unsafe_code, reason = "owns raw addresses; each block has its proof")]

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

use super::Reservation;
use crate::error::{Error, ErrorKind, Result, pool, remedy};
use crate::mapping::bare::{RESERVED, refill, still_reserved};
use crate::mapping::{Mapping, Plan};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::size::Bytes;
use crate::sys;

impl Mapping {
    /// Maps at an offset of a reservation, over nothing but reserved addresses.
    pub(crate) fn inside(plan: &Plan<'_>, home: &Arc<Reservation>, offset: usize) -> Result<Self> {
        let base = home.take(offset, plan.span, plan.page)?;
        // SAFETY: the reservation has just given us this range, which nothing else uses.
        match unsafe { plan.map_over(base, &mut false) } {
            Ok(base) => {
                let mut mapping = Mapping::of(plan, base);
                mapping.home = Some(home.clone());
                mapping.complete(plan)
            }
            Err(errno) => {
                home.recover(base, plan.span);
                let call =
                    format!("mmap({base:p}, {}, {}, MAP_FIXED)", Bytes::from(plan.span), plan.protection);
                if errno == sys::Errno::PERM {
                    return Err(plan.refused(call, errno));
                }
                let what = format!("map {} in a reservation", Bytes::from(plan.size));
                let error = Error::new(ErrorKind::NoMemory, what).with_system_call(call, errno);
                Err(match plan.page == PageSize::base() {
                    true => remedy::address_space(error, plan.span),
                    false => {
                        pool::too_few(error, pool::Wanted::new(plan.page, plan.span).placed(plan.placement))
                    }
                })
            }
        }
    }
}

impl Reservation {
    /// Makes two neighbouring parts one, which belongs to the owner of the first.
    pub(in crate::mapping) fn join(&self, base: NonNull<u8>, len: usize, more: usize) {
        let offset = base.addr().get() - self.address();
        let taken = &mut self.hold().taken;
        let both = [offset..offset + len, offset + len..offset + len + more].map(|part| taken.remove(&part));
        debug_assert_eq!(both, [true; 2], "both were taken");
        taken.insert(offset..offset + len + more);
    }

    /// Makes a part two: the first `len` bytes, and the `more` behind.
    pub(in crate::mapping) fn split(&self, base: NonNull<u8>, len: usize, more: usize) {
        let offset = base.addr().get() - self.address();
        let taken = &mut self.hold().taken;
        let whole = taken.remove(&(offset..offset + len + more));
        debug_assert!(whole, "only what was taken is split");
        taken.insert(offset..offset + len);
        taken.insert(offset + len..offset + len + more);
    }

    /// Of a part that a mapping has, it keeps some parts; the rest has been taken away by the
    /// program, and belongs to what is mapped there next. In bytes from the beginning of the part.
    pub(in crate::mapping) fn divide(&self, base: NonNull<u8>, len: usize, kept: &[Range<usize>]) {
        let start = base.addr().get() - self.address();
        let mut parts = self.hold();
        let known = parts.taken.remove(&(start..start + len));
        debug_assert!(known, "only what was taken is divided");
        let mut at = 0;
        for part in kept.iter().chain([&(len..len)]) {
            parts.leave(start + at..start + part.start, self.span);
            parts.taken.insert(start + part.start..start + part.end);
            at = part.end;
        }
    }

    /// Makes a part reserved addresses again, and free for the next mapping; where it was released,
    /// it goes.
    ///
    /// # Safety
    /// `take` gave the part to the caller, and nothing uses it again.
    pub(in crate::mapping) unsafe fn take_back(&self, base: NonNull<u8>, len: usize) -> sys::Result<()> {
        let offset = base.addr().get() - self.address();
        if self.hold().released.overlapping(&(offset..offset + len)).is_some() {
            // SAFETY: `take` gave the part to the caller, and nothing uses it again (the caller).
            return unsafe { self.take_back_in_parts(base, len) };
        }
        // SAFETY: the caller owns the range.
        match unsafe { sys::memory::map_over(base, len, Protection::empty().for_mmap(), RESERVED, None) } {
            Ok(_) => self.give_back(base, len),
            Err(_) => {
                // A process with as many mappings as it may have cannot even map over one; it can
                // unmap, and then there is room.
                // SAFETY: the caller owns the range, and nothing uses it again.
                unsafe { sys::memory::unmap(base, len) }?;
                self.recover(base, len);
            }
        }
        Ok(())
    }

    /// The same for a part of which some was released.
    ///
    /// # Safety
    /// `take` gave the part to the caller, and nothing uses it again.
    #[cold]
    unsafe fn take_back_in_parts(&self, base: NonNull<u8>, len: usize) -> sys::Result<()> {
        let start = base.addr().get() - self.address();
        let whole = start..start + len;
        let mut parts = self.hold();
        // First all of it without memory, in one call that changes all or nothing.
        // SAFETY: the caller owns the range.
        let bare =
            unsafe { sys::memory::map_over(base, len, Protection::empty().for_mmap(), RESERVED, None) };
        if bare.is_err() {
            // As in `take_back`.
            // SAFETY: the caller owns the range, and nothing uses it again.
            unsafe { sys::memory::unmap(base, len) }?;
        }
        let known = parts.taken.remove(&whole);
        debug_assert!(known, "only what was taken is released");
        for (range, released) in parts.released.parts(whole.clone()) {
            // SAFETY: `range` is a part of what the caller owns.
            let at = unsafe { base.add(range.start - start) };
            let gone = match (bare.is_ok(), released) {
                (true, true) => {
                    // SAFETY: the caller owns the part, and nothing uses it again. Where the kernel
                    // refuses, inaccessible addresses are left over.
                    let _ = unsafe { sys::memory::unmap(at, range.len()) };
                    true
                }
                (true, false) => false,
                (false, released) => released || !refill(at, range.len()),
            };
            if gone {
                // Behind the end nothing is the reservation's anyway.
                parts.gone.cover(range.start.min(self.span)..range.end.min(self.span));
            }
        }
        parts.released.carve(&whole);
        Ok(())
    }

    /// Takes note that a part is reserved addresses again.
    fn give_back(&self, base: NonNull<u8>, len: usize) {
        let offset = base.addr().get() - self.address();
        let removed = self.hold().taken.remove(&(offset..offset + len));
        debug_assert!(removed, "only what was taken is released");
    }

    /// Gives a part back into which the kernel refused to map.
    ///
    /// An mmap with `MAP_FIXED` that fails may have removed what was there before: it does so, for
    /// instance, for an object in hugetlb pages when the pool is empty (Linux 6.18). The hole is
    /// filled again; if another mapping was quicker, the part is its from now on, and never touched
    /// again.
    pub(in crate::mapping) fn recover(&self, base: NonNull<u8>, len: usize) {
        if refill(base, len) || still_reserved(base.addr().get(), len) {
            self.give_back(base, len);
            return;
        }
        let offset = base.addr().get() - self.address();
        let mut parts = self.hold();
        parts.taken.carve(&(offset..offset + len));
        parts.leave(offset..offset + len, self.span);
    }
}
