//! Addresses taken in advance, with nothing behind them: room into which mappings fit exactly.

#![expect(unsafe_code, reason = "owns raw addresses; each block has its proof")]

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::error::{Error, Kind, Result};
use crate::forking;
use crate::page::PageSize;
use crate::protection::Protection;
use crate::size::Bytes;
use crate::sys;
use crate::sys::memory::{At, MapFlags};

use super::Mapping;

/// A range of addresses that is taken, without memory: what touches it faults.
///
/// Mappings are put into it with [`Request::inside`](crate::Request::inside); while one lives it keeps the
/// reservation, and when it goes, its addresses are reserved again. The whole range is given back in one piece when
/// the last of them goes, so that nobody else can come to be in between.
///
/// # Invariants
/// - `base..base+span` was mapped by us and belongs to this value, but for the parts in `taken`, of which each belongs to
///   one [`Mapping`].
/// - The parts in `taken` do not overlap.
/// - What is in `lost` stays in `taken`, and is not ours, until nothing is mapped there and it is reserved again.
#[derive(Debug)]
pub struct Reservation {
    base: NonNull<u8>,
    span: usize,
    /// Offset and length of the parts that are in use.
    taken: Parts,
    /// Offset and length of the parts that a failed call, or the program, has left to whoever comes first.
    lost: Parts,
}

/// Offset and length of each.
#[derive(Debug, Default)]
struct Parts(Mutex<BTreeMap<usize, usize>>);

/// Held for reading by who has the parts of a reservation, for writing by who forks: so a child finds all of them whole, and no
/// mutex that a thread holds which it does not have.
static GATE: RwLock<()> = RwLock::new(());

/// The parts of a reservation, for one thread at a time.
struct Held<'a> {
    // Let go first.
    parts: MutexGuard<'a, BTreeMap<usize, usize>>,
    _gate: RwLockReadGuard<'static, ()>,
}

impl Parts {
    /// Who has some must not ask for others, nor for anything that a thread that forks has: it may be waiting at the gate.
    fn hold(&self) -> Held<'_> {
        let gate = GATE.read().unwrap_or_else(PoisonError::into_inner);
        Held { parts: self.0.lock().unwrap_or_else(PoisonError::into_inner), _gate: gate }
    }
}

impl Deref for Held<'_> {
    type Target = BTreeMap<usize, usize>;

    fn deref(&self) -> &Self::Target {
        &self.parts
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.parts
    }
}

// SAFETY: addresses of the process, not of a thread; what is shared is behind a mutex.
unsafe impl Send for Reservation {}
// SAFETY: as above.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Takes `size` bytes of addresses, rounded up to whole pages, of which the first is a multiple of `align` bytes.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] for a size of 0 or an alignment that is no power of two; [`Kind::Limit`], [`Kind::NoMemory`]
    /// where so many addresses cannot be had (`RLIMIT_AS`, `vm.max_map_count`).
    pub fn new(size: usize, align: usize) -> Result<Arc<Self>> {
        prepare(size)?;
        let page = PageSize::base();
        let wrong = |why: &str| {
            Error::new(Kind::InvalidInput, format!("reserve {} of addresses", Bytes::from(size)))
                .detail(why.to_owned())
        };
        if size == 0 {
            return Err(wrong("the size is 0"));
        }
        if !align.is_power_of_two() {
            return Err(wrong("the alignment is no power of two"));
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
    /// [`Kind::AddressInUse`] if something is; [`Kind::InvalidInput`] if either is no multiple of the page size.
    pub fn at(address: usize, size: usize) -> Result<Arc<Self>> {
        prepare(size)?;
        let page = PageSize::base().bytes();
        if size == 0 || !size.is_multiple_of(page) || !address.is_multiple_of(page) {
            return Err(Error::new(
                Kind::InvalidInput,
                format!("reserve {size} bytes of addresses at {address:#x}"),
            )
            .detail(format!("address and size must be multiples of the page size, {page}, and not 0")));
        }
        Mapping::new(&reserved(At::Exactly(address), size)).map(Reservation::of)
    }

    /// No thread has parts of any reservation, for as long as that is kept (`forking.rs`).
    pub(crate) fn all_whole() -> RwLockWriteGuard<'static, ()> {
        GATE.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of addresses that were mapped as [`reserved`] says.
    pub(crate) fn of(mapping: Mapping) -> Arc<Self> {
        // From here on the reservation unmaps the range, not the mapping.
        let mapping = std::mem::ManuallyDrop::new(mapping);
        Arc::new(Reservation {
            base: mapping.base(),
            span: mapping.span(),
            taken: Parts::default(),
            lost: Parts::default(),
        })
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

    /// The bytes from `offset` on that no mapping has taken: as large a one fits there.
    #[must_use]
    pub fn room_at(&self, offset: usize) -> usize {
        if !self.lost.hold().is_empty() {
            self.reclaim(offset, self.span.saturating_sub(offset));
        }
        let taken = self.taken.hold();
        let inside = taken.range(..=offset).next_back().is_some_and(|(&start, &len)| start + len > offset);
        let next = taken.range(offset..).next().map_or(self.span, |(&start, _)| start);
        if inside { 0 } else { next.saturating_sub(offset) }
    }

    /// Takes a part for a mapping.
    pub(super) fn take(&self, offset: usize, len: usize, page: PageSize) -> Result<NonNull<u8>> {
        let what = || format!("map {} at offset {offset:#x} of a reservation", Bytes::from(len));
        let end = offset.checked_add(len).filter(|&end| end <= self.span).ok_or_else(|| {
            Error::new(Kind::OutOfRange, what())
                .detail(format!("it has {} of addresses", Bytes::from(self.span)))
        })?;
        if !(self.address() + offset).is_multiple_of(page.bytes()) {
            return Err(Error::new(Kind::InvalidInput, what())
                .detail(format!("that is no multiple of the page size, {page}")));
        }
        if !self.lost.hold().is_empty() {
            self.reclaim(offset, len);
        }
        let mut taken = self.taken.hold();
        if let Some((&start, &other)) = taken.range(..end).next_back()
            && start + other > offset
        {
            return Err(Error::new(Kind::AddressInUse, what())
                .detail(format!("{start:#x}..{:#x} of it is in use", start + other)));
        }
        taken.insert(offset, len);
        // SAFETY: `offset < span`, and `base..base+span` is one mapping of ours (invariant).
        Ok(unsafe { self.base.add(offset) })
    }

    /// Makes two neighbouring parts one, which belongs to who has the first.
    pub(super) fn join(&self, base: NonNull<u8>, len: usize, more: usize) {
        let offset = base.addr().get() - self.address();
        let mut taken = self.taken.hold();
        let removed = taken.remove(&(offset + len));
        debug_assert_eq!(removed, Some(more), "both were taken");
        taken.insert(offset, len + more);
    }

    /// Makes a part two: the first `len` bytes, and the `more` behind.
    pub(super) fn split(&self, base: NonNull<u8>, len: usize, more: usize) {
        let offset = base.addr().get() - self.address();
        let mut taken = self.taken.hold();
        let before = taken.insert(offset, len);
        debug_assert_eq!(before, Some(len + more), "only what was taken is split");
        taken.insert(offset + len, more);
    }

    /// Of a part that a mapping has, it keeps some parts; the rest has been taken away by the program, and is whoever's comes to be there. In bytes from the beginning
    /// of the part.
    pub(super) fn divide(&self, base: NonNull<u8>, len: usize, kept: &[Range<usize>]) {
        let offset = base.addr().get() - self.address();
        let mut gone = Vec::new();
        let mut at = 0;
        for part in kept.iter().chain([&(len..len)]) {
            if part.start > at {
                gone.push((offset + at, part.start - at));
            }
            at = part.end;
        }
        {
            let mut taken = self.taken.hold();
            let before = taken.remove(&offset);
            debug_assert_eq!(before, Some(len), "only what was taken is divided");
            taken.extend(kept.iter().map(|part| (offset + part.start, part.len())));
            taken.extend(gone.iter().copied());
        }
        self.lost.hold().extend(gone);
    }

    /// Takes lost parts in a range back that nobody else has come to be in: they are reserved addresses again.
    fn reclaim(&self, offset: usize, len: usize) {
        let in_the_way: Vec<(usize, usize)> = {
            let lost = self.lost.hold();
            lost.range(..offset.saturating_add(len))
                .map(|(&start, &len)| (start, len))
                .filter(|(start, len)| start + len > offset)
                .collect()
        };
        for (start, len) in in_the_way {
            // SAFETY: `start < span`, and `base..base+span` was one mapping of ours (invariant).
            let base = unsafe { self.base.add(start) };
            // Over nothing that is there: what somebody has mapped meanwhile stays.
            if super::making::refill(base, len) {
                self.lost.hold().remove(&start);
                self.taken.hold().remove(&start);
            }
        }
    }

    /// Keeps a part free of mappings for ever: what reaches for it is told that it is in use.
    pub(crate) fn close(&self, offset: usize, len: usize) {
        if len > 0 {
            self.taken.hold().insert(offset, len);
        }
    }

    /// Makes a part reserved addresses again, and free for the next mapping.
    ///
    /// # Safety
    /// `take` gave the part to the caller, and nothing uses it again.
    pub(super) unsafe fn take_back(&self, base: NonNull<u8>, len: usize) -> sys::Result<()> {
        // SAFETY: the caller owns the range.
        match unsafe { sys::memory::map_over(base, len, Protection::empty().for_mmap(), RESERVED, None) } {
            Ok(_) => self.give_back(base, len),
            Err(_) => {
                // A process with as many mappings as it may have cannot even map over one; it can unmap, and then there is room.
                // SAFETY: as above.
                unsafe { sys::memory::unmap(base, len) }?;
                self.recover(base, len);
            }
        }
        Ok(())
    }

    /// Takes note that a part is reserved addresses again.
    fn give_back(&self, base: NonNull<u8>, len: usize) {
        let offset = base.addr().get() - self.address();
        let removed = self.taken.hold().remove(&offset);
        debug_assert_eq!(removed, Some(len), "only what was taken is given back");
    }
}

impl Reservation {
    /// Gives a part back into which the kernel refused to map.
    ///
    /// An mmap with `MAP_FIXED` that fails may have removed what was there before: it does so, for instance, for an object in
    /// pages of the pool when the pool is empty (Linux 6.18). The hole is filled again; if somebody else was quicker, the part is
    /// theirs from now on, and never touched again.
    pub(super) fn recover(&self, base: NonNull<u8>, len: usize) {
        if super::making::refill(base, len) || still_reserved(base.addr().get(), len) {
            self.give_back(base, len);
            return;
        }
        let offset = base.addr().get() - self.address();
        self.lost.hold().insert(offset, len);
    }
}

/// Before there is any reservation.
fn prepare(size: usize) -> Result<()> {
    forking::ready().map_err(|errno| {
        Error::new(Kind::System, format!("reserve {} of addresses", Bytes::from(size)))
            .call("pthread_atfork", errno)
    })
}

/// Whether all of a range is addresses without memory, as far as the kernel shows.
fn still_reserved(start: usize, len: usize) -> bool {
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
        let lost = std::mem::take(self.lost.0.get_mut().unwrap_or_else(PoisonError::into_inner));
        let mut start = 0;
        for (offset, len) in lost.into_iter().chain([(self.span, 0)]) {
            if offset > start {
                // SAFETY: `start < span`, and `base..base+span` was one mapping of ours (invariant).
                let base = unsafe { self.base.add(start) };
                // SAFETY: what lies between the lost parts is ours (invariant), and no mapping is left in it: each would keep the
                // reservation alive.
                let _ = unsafe { sys::memory::unmap(base, offset - start) };
            }
            start = offset + len;
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
