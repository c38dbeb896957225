//! Addresses taken in advance, with nothing behind them: room into which mappings fit exactly.

#![expect(unsafe_code, reason = "owns raw addresses; each block has its proof")]

mod behind;

use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::error::{Error, Kind, Result};
use crate::forking::{self, Order, Part};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::size::Bytes;
use crate::sys;
use crate::sys::memory::{At, MapFlags};

use super::Mapping;
use super::extents::Extents;
use super::given::Given;
use super::taken::Ranges;

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

/// The parts of a reservation, by offset.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// In use.
    pub(super) taken: Ranges,
    /// Of one with memory: what is free.
    pub(super) free: Extents,
    /// Not the reservation's any more, and in no use of it: released, or left to any mapping that
    /// comes first.
    gone: Ranges,
    /// Of those, what a failed call or the program has left: reserved again as soon as nothing is
    /// mapped there and it is asked for.
    lost: Ranges,
    /// In use, and gone as soon as they are not.
    released: Ranges,
}

impl Parts {
    /// Of so many bytes of memory, none of them in use.
    pub(super) fn of_memory(span: usize) -> Self {
        Parts { free: Extents::of(0..span as u64), ..Parts::default() }
    }

    /// What is in the way of a mapping.
    fn in_the_way(&self, range: &Range<usize>) -> Option<Range<usize>> {
        self.taken.overlapping(range).or_else(|| self.gone.overlapping(range))
    }

    /// Where the next part begins, behind `offset`, that is in use or gone.
    fn next(&self, offset: usize) -> Option<usize> {
        let [taken, gone] =
            [&self.taken, &self.gone].map(|ranges| ranges.next(offset).map(|range| range.start));
        taken.into_iter().chain(gone).min()
    }

    fn is_free(&self, offset: usize) -> bool {
        !self.taken.holds(offset) && !self.gone.holds(offset)
    }

    /// A range in use is left to any mapping that comes first, and taken back when it is asked for,
    /// but for what was released, or lies behind the end.
    fn leave(&mut self, range: Range<usize>, span: usize) {
        for (part, released) in self.released.parts(range.clone()) {
            let part = part.start.min(span)..part.end.min(span);
            if !released {
                self.lost.cover(part.clone());
            }
            self.gone.cover(part);
        }
        self.released.carve(&range);
    }
}

/// Held for reading by threads that have the parts of a reservation, for writing by one that forks:
/// so a child finds all of them whole, and no mutex that a thread holds which it does not have.
static GATE: RwLock<()> = RwLock::new(());

thread_local! {
    static FORKING: forking::Held<RwLockWriteGuard<'static, ()>> = const { forking::Held::new() };
}

/// No thread has parts of any reservation while one forks.
static PART: Part = Part::new(
    Order::Reservations,
    || FORKING.with(|held| held.take(|| GATE.write().unwrap_or_else(PoisonError::into_inner))),
    || FORKING.with(forking::Held::let_go),
);

/// The parts of a reservation, for one thread at a time.
pub(crate) struct Held<'a, T> {
    // Released first.
    parts: MutexGuard<'a, T>,
    _gate: RwLockReadGuard<'static, ()>,
}

/// The same of whatever is divided so: a forked child finds it whole.
pub(crate) fn hold<T>(parts: &Mutex<T>) -> Held<'_, T> {
    let gate = GATE.read().unwrap_or_else(PoisonError::into_inner);
    Held { parts: parts.lock().unwrap_or_else(PoisonError::into_inner), _gate: gate }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &Self::Target {
        &self.parts
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.parts
    }
}

// SAFETY: addresses of the process, not of a thread; what is shared is behind a mutex.
unsafe impl Send for Reservation {}
// SAFETY: as above.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Takes `size` bytes of addresses, rounded up to whole pages, of which the first is a multiple
    /// of `align` bytes.
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
                .detail(why.to_owned())
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
            .detail(format!("address and size must be multiples of the page size, {page}, and not 0")));
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
            return Err(Error::new(ErrorKind::InvalidInput, what()).detail("it is not in whole pages"));
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
                    Error::new(ErrorKind::System, what()).call(call, errno)
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
                .detail(format!("it has {} of addresses", Bytes::from(self.span)))
        })?;
        if !(self.address() + offset).is_multiple_of(page.bytes()) {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .detail(format!("that is not a multiple of the page size, {page}")));
        }
        let mut parts = self.hold();
        self.reclaim(&mut parts, offset..end);
        if let Some(other) = parts.in_the_way(&(offset..end)) {
            return Err(Error::new(ErrorKind::AddressInUse, what())
                .detail(format!("{:#x}..{:#x} of it is in use", other.start, other.end)));
        }
        parts.taken.insert(offset..end);
        Ok(self.pointer(offset))
    }

    /// Makes two neighbouring parts one, which belongs to the owner of the first.
    pub(super) fn join(&self, base: NonNull<u8>, len: usize, more: usize) {
        let offset = base.addr().get() - self.address();
        let taken = &mut self.hold().taken;
        let both = [offset..offset + len, offset + len..offset + len + more].map(|part| taken.remove(&part));
        debug_assert_eq!(both, [true; 2], "both were taken");
        taken.insert(offset..offset + len + more);
    }

    /// Makes a part two: the first `len` bytes, and the `more` behind.
    pub(super) fn split(&self, base: NonNull<u8>, len: usize, more: usize) {
        let offset = base.addr().get() - self.address();
        let taken = &mut self.hold().taken;
        let whole = taken.remove(&(offset..offset + len + more));
        debug_assert!(whole, "only what was taken is split");
        taken.insert(offset..offset + len);
        taken.insert(offset + len..offset + len + more);
    }

    /// Of a part that a mapping has, it keeps some parts; the rest has been taken away by the
    /// program, and belongs to what is mapped there next. In bytes from the beginning of the part.
    pub(super) fn divide(&self, base: NonNull<u8>, len: usize, kept: &[Range<usize>]) {
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
            if super::making::refill(self.pointer(lost.start), lost.len()) {
                parts.lost.carve(&lost);
                parts.gone.carve(&lost);
            }
        }
    }

    /// Keeps a part free of mappings forever: what asks for it gets the error that it is in use.
    pub(crate) fn close(&self, offset: usize, len: usize) {
        self.hold().taken.insert(offset..offset + len);
    }

    /// Makes a part reserved addresses again, and free for the next mapping; where it was released,
    /// it goes.
    ///
    /// # Safety
    /// `take` gave the part to the caller, and nothing uses it again.
    pub(super) unsafe fn take_back(&self, base: NonNull<u8>, len: usize) -> sys::Result<()> {
        let offset = base.addr().get() - self.address();
        if self.hold().released.overlapping(&(offset..offset + len)).is_some() {
            // SAFETY: the caller's promise.
            return unsafe { self.take_back_in_parts(base, len) };
        }
        // SAFETY: the caller owns the range.
        match unsafe { sys::memory::map_over(base, len, Protection::empty().for_mmap(), RESERVED, None) } {
            Ok(_) => self.give_back(base, len),
            Err(_) => {
                // A process with as many mappings as it may have cannot even map over one; it can
                // unmap, and then there is room.
                // SAFETY: as above.
                unsafe { sys::memory::unmap(base, len) }?;
                self.recover(base, len);
            }
        }
        Ok(())
    }

    /// The same for a part of which some was released.
    ///
    /// # Safety
    /// As for [`take_back`](Reservation::take_back).
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
            // SAFETY: as above.
            unsafe { sys::memory::unmap(base, len) }?;
        }
        let known = parts.taken.remove(&whole);
        debug_assert!(known, "only what was taken is released");
        for (range, released) in parts.released.parts(whole.clone()) {
            // SAFETY: `range` is a part of what the caller owns.
            let at = unsafe { base.add(range.start - start) };
            let gone = match (bare.is_ok(), released) {
                (true, true) => {
                    // SAFETY: as above. Where the kernel refuses, inaccessible addresses are left
                    // over.
                    let _ = unsafe { sys::memory::unmap(at, range.len()) };
                    true
                }
                (true, false) => false,
                (false, released) => released || !super::making::refill(at, range.len()),
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
}

impl Reservation {
    /// Gives a part back into which the kernel refused to map.
    ///
    /// An mmap with `MAP_FIXED` that fails may have removed what was there before: it does so, for
    /// instance, for an object in hugetlb pages when the pool is empty (Linux 6.18). The hole is
    /// filled again; if another mapping was quicker, the part is its from now on, and never touched
    /// again.
    pub(super) fn recover(&self, base: NonNull<u8>, len: usize) {
        if super::making::refill(base, len) || still_reserved(base.addr().get(), len) {
            self.give_back(base, len);
            return;
        }
        let offset = base.addr().get() - self.address();
        let mut parts = self.hold();
        parts.taken.carve(&(offset..offset + len));
        parts.leave(offset..offset + len, self.span);
    }
}

/// Before there is any reservation.
pub(crate) fn prepare(size: usize) -> Result<()> {
    PART.ready().map_err(|errno| {
        Error::new(Kind::System, format!("reserve {} of addresses", Bytes::from(size)))
            .call("pthread_atfork", errno)
    })
}

/// Whether all of a range is addresses without memory, as far as the kernel shows.
pub(super) fn still_reserved(start: usize, len: usize) -> bool {
    let end = start + len;
    let mut covered = start;
    for region in sys::maps::within(start..end).unwrap_or_default() {
        let bare = !(region.readable || region.writable || region.executable || region.shared);
        if !bare || region.file.inode != 0 || region.start > covered {
            return false;
        }
        covered = region.end;
    }
    covered >= end
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

/// How addresses are mapped that nothing lies behind.
pub(super) const RESERVED: MapFlags = MapFlags::PRIVATE.union(MapFlags::NORESERVE);

/// How a range is mapped that becomes a reservation.
pub(crate) fn reserved(at: At, span: usize) -> super::Plan<'static> {
    super::Plan {
        at,
        size: span,
        span,
        page: PageSize::base(),
        protection: Protection::empty(),
        sharing: super::Sharing::Exclusive,
        flags: RESERVED,
        file: None,
        placement: None,
    }
}
