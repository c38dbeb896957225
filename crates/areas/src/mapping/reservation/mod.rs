//! Addresses taken in advance, with nothing behind them: room into which mappings fit exactly.

#![expect(unsafe_code, reason = "owns raw addresses; each block has its proof")]

mod behind;
mod gate;
mod given;
mod parts;
mod taking;

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use gate::{Held, hold, prepare};
use given::Given;
use parts::Parts;

use super::bare::{RESERVED, refill};
use super::{Mapping, Plan, Sharing};
use crate::error::{Error, ErrorKind, Result};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::size::Bytes;
use crate::sys;
use crate::sys::memory::At;

/// A range of addresses that is taken, without memory: what touches it faults.
///
/// Mappings are put into it with [`Request::inside`](crate::Request::inside); while one lives it
/// keeps the reservation, and when it goes, its addresses are reserved again. The whole range is
/// released in one piece when the last of them goes, so that nothing else can be mapped in between;
/// parts of it earlier, by [`release`](Reservation::release).
///
/// # Invariants
/// - `base..base+span` was mapped by us and belongs to this value, but for the parts in `taken`, of
///   which each belongs to one [`Mapping`], and those in `gone`, which are not ours.
/// - Parts of `taken` may lie behind `span`: there they are also in `released`. What is in `lost`
///   is in `gone`.
#[derive(Debug)]
pub struct Reservation {
    pub(super) base: NonNull<u8>,
    pub(super) span: usize,
    pub(super) parts: Mutex<Parts>,
    /// The memory behind it, if it is not addresses alone (`given.rs`). Then the range is not ours
    /// to unmap.
    pub(super) given: Option<Given>,
}

// SAFETY: addresses of the process, not of a thread; what is shared is behind a mutex.
unsafe impl Send for Reservation {}
// SAFETY: all that several threads could change at once is behind the mutex.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Takes `size` bytes of addresses, rounded up to whole pages, of which the first is a multiple
    /// of `align` bytes.
    ///
    /// ```
    /// use areas::Reservation;
    ///
    /// // 1 GiB of addresses, in which nothing else comes to lie; no memory.
    /// let room = Reservation::new(1 << 30, 4096)?;
    /// let area = areas::builder(4096).inside(&room, 1 << 20).shared()?;
    /// assert_eq!(area.as_ptr().addr(), room.address() + (1 << 20));
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a size of 0 or an alignment that is not a power of two;
    /// [`ErrorKind::Limit`], [`ErrorKind::NoMemory`] where so many addresses cannot be had
    /// (`RLIMIT_AS`, `vm.max_map_count`).
    pub fn new(size: usize, align: usize) -> Result<Arc<Self>> {
        prepare(size)?;
        let page = PageSize::base();
        let wrong = |why: &str| {
            Error::new(ErrorKind::InvalidInput, format!("reserve {} of addresses", Bytes::from(size)))
                .with_facts(why.to_owned())
        };
        if size == 0 {
            return Err(wrong("the size is 0"));
        }
        if !align.is_power_of_two() {
            return Err(wrong("the alignment is not a power of two"));
        }
        let span = page.round_up(size).ok_or_else(|| wrong("it is more than there are addresses"))?;
        let plan = reserved(At::Anywhere, span);
        let mapping =
            if align <= page.bytes() { Mapping::new(&plan)? } else { Mapping::aligned(&plan, align)? };
        Ok(Reservation::of(mapping))
    }

    /// Takes `size` bytes of addresses, from `address` on, if nothing is mapped there.
    ///
    /// # Errors
    /// [`ErrorKind::AddressInUse`] if something is; [`ErrorKind::InvalidInput`] if either is not a
    /// multiple of the page size.
    pub fn at(address: usize, size: usize) -> Result<Arc<Self>> {
        prepare(size)?;
        let page = PageSize::base().bytes();
        if size == 0 || !size.is_multiple_of(page) || !address.is_multiple_of(page) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("reserve {size} bytes of addresses at {address:#x}"),
            )
            .with_facts(format!("address and size must be multiples of the page size, {page}, and not 0")));
        }
        Mapping::new(&reserved(At::Exactly(address), size)).map(Reservation::of)
    }

    /// Of addresses that were mapped as [`reserved`] says.
    pub(crate) fn of(mapping: Mapping) -> Arc<Self> {
        // From here on the reservation unmaps the range, not the mapping.
        let mapping = std::mem::ManuallyDrop::new(mapping);
        Arc::new(Reservation {
            base: mapping.base(),
            span: mapping.span(),
            parts: Mutex::default(),
            given: None,
        })
    }

    /// A thread that has the parts of one must not ask for others', nor for anything that a thread
    /// that forks has: it may be waiting at the gate.
    pub(super) fn hold(&self) -> Held<'_, Parts> {
        hold(&self.parts)
    }

    /// The first address.
    #[must_use]
    pub fn address(&self) -> usize {
        self.base.addr().get()
    }

    /// Bytes of addresses.
    #[must_use]
    pub fn span(&self) -> usize {
        self.span
    }

    /// The bytes from `offset` on that are reserved, and that no mapping has taken: as large a one
    /// fits there.
    #[must_use]
    pub fn room_at(&self, offset: usize) -> usize {
        let mut parts = self.hold();
        self.reclaim(&mut parts, offset..self.span);
        match parts.is_free(offset) {
            true => parts.next(offset).unwrap_or(self.span).min(self.span).saturating_sub(offset),
            false => 0,
        }
    }

    /// Gives a part back before the whole: what is free in it at once, what a mapping is in as soon
    /// as that goes. It need not be reserved any more. The part is in bytes from the beginning, in
    /// whole pages.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a part that is not in whole pages; [`ErrorKind::System`]
    /// with what munmap said (ENOMEM where the process has as many mappings as it may have): some
    /// of it may have been released then.
    #[doc(alias = "_kern_unreserve_address_range")]
    pub fn release(&self, part: Range<usize>) -> Result<()> {
        let what = || format!("release {} of a reservation", Bytes::from(part.len()));
        let page = PageSize::base().bytes();
        if !part.start.is_multiple_of(page) || !part.end.is_multiple_of(page) {
            return Err(Error::new(ErrorKind::InvalidInput, what()).with_facts("it is not in whole pages"));
        }
        let part = part.start..part.end.min(self.span);
        let mut parts = self.hold();
        parts.lost.carve(&part);
        for (range, taken) in parts.taken.parts(part) {
            if taken {
                parts.released.cover(range);
                continue;
            }
            for (range, gone) in parts.gone.parts(range) {
                if gone {
                    continue;
                }
                // SAFETY: `range` lies inside the span, it is ours (invariant), and no mapping is
                // in it.
                let unmapped = unsafe { sys::memory::unmap(self.pointer(range.start), range.len()) };
                unmapped.map_err(|errno| {
                    let call =
                        format!("munmap({:p}, {})", self.pointer(range.start), Bytes::from(range.len()));
                    Error::new(ErrorKind::System, what()).with_system_call(call, errno)
                })?;
                parts.gone.cover(range);
            }
        }
        Ok(())
    }

    /// Whether an address of its range is still reserved: not released, nor about to be.
    #[must_use]
    pub fn still_has(&self, offset: usize) -> bool {
        let parts = self.hold();
        let gone = parts.gone.holds(offset) && !parts.lost.holds(offset);
        offset < self.span && !gone && !parts.released.holds(offset)
    }

    /// Whether all of it was released.
    #[must_use]
    pub fn is_released(&self) -> bool {
        let parts = self.hold();
        let gone = parts.gone.parts(0..self.span);
        gone.into_iter().all(|(range, gone)| match gone {
            true => parts.lost.overlapping(&range).is_none(),
            false => parts.released.parts(range).iter().all(|(_, released)| *released),
        })
    }

    pub(super) fn pointer(&self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset <= self.span, "of no part that lies behind");
        // SAFETY: `offset <= span`, and `base..base+span` was one mapping of ours (invariant).
        unsafe { self.base.add(offset) }
    }

    /// Takes a part for a mapping.
    pub(super) fn take(&self, offset: usize, len: usize, page: PageSize) -> Result<NonNull<u8>> {
        let what = || format!("map {} at offset {offset:#x} of a reservation", Bytes::from(len));
        let end = offset.checked_add(len).filter(|&end| end <= self.span).ok_or_else(|| {
            Error::new(ErrorKind::OutOfRange, what())
                .with_facts(format!("it has {} of addresses", Bytes::from(self.span)))
        })?;
        if !(self.address() + offset).is_multiple_of(page.bytes()) {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .with_facts(format!("that is not a multiple of the page size, {page}")));
        }
        let mut parts = self.hold();
        self.reclaim(&mut parts, offset..end);
        if let Some(other) = parts.in_the_way(&(offset..end)) {
            return Err(Error::new(ErrorKind::AddressInUse, what())
                .with_facts(format!("{:#x}..{:#x} of it is in use", other.start, other.end)));
        }
        parts.taken.insert(offset..end);
        Ok(self.pointer(offset))
    }

    /// Takes lost parts in a range back where nothing else was mapped: they are reserved addresses
    /// again.
    fn reclaim(&self, parts: &mut Parts, range: Range<usize>) {
        if self.given.is_some() {
            // The giver of the memory has the addresses.
            return;
        }
        let mut at = range.start;
        while let Some(lost) = parts.lost.overlapping(&(at..range.end)) {
            at = lost.end;
            // Over nothing that is there: what was mapped concurrently stays.
            if refill(self.pointer(lost.start), lost.len()) {
                parts.lost.carve(&lost);
                parts.gone.carve(&lost);
            }
        }
    }

    /// Keeps a part free of mappings forever: what asks for it gets the error that it is in use.
    pub(crate) fn close(&self, offset: usize, len: usize) {
        self.hold().taken.insert(offset..offset + len);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let gone = std::mem::take(&mut self.parts.get_mut().unwrap_or_else(PoisonError::into_inner).gone);
        if let Some(given) = &mut self.given {
            if let Some(owned) = &mut given.owned {
                // Nothing but what the program has taken away itself is no longer its own.
                owned.forget(&gone.iter().collect::<Vec<_>>());
            }
            return;
        }
        let mut start = 0;
        for part in gone.iter().chain(std::iter::once(self.span..self.span)) {
            if part.start > start {
                // SAFETY: what lies between the parts that are gone is ours (invariant), and no
                // mapping is left in it: each would keep the reservation alive.
                let _ = unsafe { sys::memory::unmap(self.pointer(start), part.start - start) };
            }
            start = part.end;
        }
    }
}

/// How a range is mapped that becomes a reservation.
pub(crate) fn reserved(at: At, span: usize) -> Plan<'static> {
    Plan {
        at,
        size: span,
        span,
        page: PageSize::base(),
        protection: Protection::empty(),
        sharing: Sharing::Exclusive,
        flags: RESERVED,
        file: None,
        placement: None,
    }
}
