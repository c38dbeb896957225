//! Making mappings, larger and smaller ones of them, and putting one over another.
//!
//! While another process tries to seal an object against writing, the kernel refuses mappings for
//! writing with EPERM, for as long as it waits for pinned pages there (0.2 s); whether it will be
//! sealed is not known yet. Here that is waited for, so that a clone of an area that another
//! freezes in vain is not an error, and one of an area that was frozen says so. A sandbox that
//! forbids such mappings says EPERM, too, and to an object that no other process has: that
//! distinguishes the two.

#![expect(unsafe_code, reason = "maps memory; each block has its proof")]

use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use super::bare::{RESERVED, refill};
use super::refusal::{in_words, refused};
use super::{Asked, BackedBy, Mapping, Sharing};
use crate::error::{Error, ErrorKind, Result};
use crate::nodes::Placement;
use crate::page::PageSize;
use crate::protection::Protection;
use crate::size::Bytes;
use crate::sys;
use crate::sys::memory::{At, MapFlags};
use crate::sys::object::{Pages, SealFlags};

/// How long others' attempts to seal an object are waited for.
const SEALING_TIMEOUT: Duration = Duration::from_secs(5);

/// What `Mapping::new` needs to know.
pub(crate) struct Plan<'a> {
    pub(crate) at: At,
    pub(crate) size: usize,
    pub(crate) span: usize,
    pub(crate) page: PageSize,
    pub(crate) protection: Protection,
    pub(crate) sharing: Sharing,
    pub(crate) flags: MapFlags,
    pub(crate) file: Option<(BorrowedFd<'a>, u64)>,
    /// Where it will be placed once it is mapped: for what is said if the kernel refuses.
    pub(crate) placement: Option<&'a Placement>,
}

impl Plan<'_> {
    /// Whether it reaches beyond the end of an object of hugetlb pages, which shall stay where it
    /// is.
    fn beyond(&self) -> bool {
        self.file.is_some() && self.flags.contains(MapFlags::NORESERVE) && self.page != PageSize::base()
    }

    /// The protection to call mmap with. A writable mapping beyond the end of an object of hugetlb
    /// pages makes it larger, so there the right to write comes second ([`Mapping::complete`]):
    /// mprotect does no such thing.
    fn first(&self) -> Protection {
        if self.beyond() { self.protection - Protection::WRITE } else { self.protection }
    }

    #[inline]
    fn map(&self) -> sys::Result<NonNull<u8>> {
        let map = || sys::memory::map(self.at, self.span, self.first().for_mmap(), self.flags, self.file);
        match map() {
            Err(sys::Errno::PERM) => self.until_decided(self.at, map),
            other => other,
        }
    }

    /// Over what is mapped at `base` now; `removed` says whether a refusal has left inaccessible
    /// addresses in its place.
    ///
    /// # Safety
    /// The caller owns `base..base+span`, and no reference into it is alive.
    pub(super) unsafe fn map_over(&self, base: NonNull<u8>, removed: &mut bool) -> sys::Result<NonNull<u8>> {
        self.until_decided(At::Anywhere, || {
            // SAFETY: the caller owns the range, and no reference into it is alive.
            let mapped = unsafe {
                sys::memory::map_over(base, self.span, self.first().for_mmap(), self.flags, self.file)
            };
            // Ours at every moment: also while we wait.
            mapped.inspect_err(|_| *removed |= refill(base, self.span))
        })
    }

    /// Calls again as long as the kernel refuses to map an object for writing although it is not
    /// sealed against that: if it is for the object's sake.
    fn until_decided<T>(&self, at: At, mut map: impl FnMut() -> sys::Result<T>) -> sys::Result<T> {
        let mut deadline = None;
        loop {
            let refused = match map() {
                Err(sys::Errno::PERM) if self.may_be_undecided() => sys::Errno::PERM,
                // Not yet sealed when we were refused, but sealed when we looked: the refusal was
                // the truth.
                other => return other,
            };
            let now = Instant::now();
            match deadline {
                None if self.is_forbidden(at) => return Err(refused),
                None => deadline = Some(now + SEALING_TIMEOUT),
                Some(deadline) if now >= deadline => return Err(refused),
                Some(_) => {}
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether a refusal may be for a seal that is being tried.
    fn may_be_undecided(&self) -> bool {
        self.protection.contains(Protection::WRITE)
            && !self.protection.contains(Protection::EXECUTE)
            && self.file.and_then(|(file, _)| sealed(file)) == Some(false)
    }

    /// Whether such a mapping is refused for any object: one that was just made, which no process
    /// can be sealing, mapped with the same arguments.
    #[cold]
    fn is_forbidden(&self, at: At) -> bool {
        let Some((_, offset)) = self.file else { return false };
        // It has no pages, and takes none. Where none can be made, it is not known.
        let Ok(object) = sys::object::create(c"areas probe", Pages::Base) else { return false };
        let file = Some((object.as_fd(), offset));
        let (protection, flags) = (self.first().for_mmap(), self.flags);
        let base = match sys::memory::map(at, self.span, protection, flags, file) {
            Ok(base) => base,
            Err(errno) => return errno == sys::Errno::PERM,
        };
        // Over what is there, as it may be what is forbidden.
        let over = match at {
            // SAFETY: the range was mapped two lines above, and nothing else knows of it.
            At::Anywhere => unsafe { sys::memory::map_over(base, self.span, protection, flags, file) },
            At::Near(_) | At::Exactly(_) => Ok(base),
        };
        let forbidden = over == Err(sys::Errno::PERM);
        // Another failure may have removed what was there, and another thread have the addresses by
        // now.
        if over.is_ok() || forbidden {
            // SAFETY: the range was mapped by this function, and nothing else knows of it: a call
            // that is forbidden changes nothing.
            let _ = unsafe { sys::memory::unmap(base, self.span) };
        }
        forbidden
    }

    /// The error for new addresses that the kernel refused.
    #[cold]
    fn not_mapped(&self, errno: sys::Errno) -> Error {
        let place = match self.at {
            At::Anywhere => "NULL".to_owned(),
            At::Near(address) | At::Exactly(address) => format!("{address:#x}"),
        };
        let (span, protection) = (Bytes::from(self.span), self.protection);
        self.refused(format!("mmap({place}, {span}, {protection}, {})", in_words(self.flags)), errno)
    }

    /// The error for what the kernel refused.
    pub(super) fn refused(&self, call: String, errno: sys::Errno) -> Error {
        match (errno, self.file.and_then(|(file, _)| sealed(file))) {
            (sys::Errno::PERM, Some(false)) if self.may_be_undecided() && self.is_forbidden(self.at) => {
                Error::new(ErrorKind::NotPermitted, format!("map {}", Bytes::from(self.size)))
                    .with_system_call(call, errno)
                    .with_facts("no memory object may be mapped like this: a sandbox forbids it")
                    .with_remedy("have the seccomp filter or the security module allow mmap with PROT_WRITE and MAP_SHARED")
            }
            (sys::Errno::PERM, Some(true)) if self.protection.contains(Protection::WRITE) => {
                let written = self.file.is_some_and(|(file, _)| {
                    sys::object::seals(file).is_ok_and(|seals| !seals.contains(SealFlags::WRITE))
                });
                Error::new(ErrorKind::Frozen, format!("map {}", Bytes::from(self.size)))
                    .with_system_call(call, errno)
                    .with_facts(match written {
                        // Not frozen: earlier mappings write on.
                        true => "another process has sealed it against new mappings for writing (F_SEAL_FUTURE_WRITE)",
                        false => "it was frozen: no process can write it any more",
                    })
                    .with_remedy("map it for reading")
            }
            _ => refused(self.at, self.size, self.span, self.page, self.placement, call, errno),
        }
    }
}

/// Whether an object is sealed against new mappings for writing; `None` for what can have no seals.
fn sealed(file: BorrowedFd<'_>) -> Option<bool> {
    let seals = sys::object::seals(file).ok()?;
    Some(seals.intersects(SealFlags::WRITE | SealFlags::FUTURE_WRITE))
}

impl Mapping {
    /// Maps new addresses.
    #[inline]
    pub(crate) fn new(plan: &Plan<'_>) -> Result<Self> {
        debug_assert!(plan.size <= plan.span && plan.span.is_multiple_of(plan.page.bytes()));
        debug_assert!(plan.sharing != Sharing::Exclusive || plan.file.is_none());
        match plan.map() {
            Ok(base) if !plan.beyond() => Ok(Mapping::of(plan, base)),
            Ok(base) => Mapping::of(plan, base).complete(plan),
            Err(errno) => Err(plan.not_mapped(errno)),
        }
    }

    /// As [`Mapping::new`] at exact addresses, where a refusal is not an error yet.
    pub(super) fn at_exactly(plan: &Plan<'_>) -> sys::Result<Result<Self>> {
        let base = plan.map()?;
        let mapping = Mapping::of(plan, base);
        Ok(if plan.beyond() { mapping.complete(plan) } else { Ok(mapping) })
    }

    /// Maps an object of base pages of which only what is touched comes into RAM, also where the
    /// program locks all its future mappings (`mlockall(MCL_FUTURE)`): the kernel would bring in
    /// all of it, holes too, and hold its size against `RLIMIT_MEMLOCK`.
    ///
    /// One page is mapped, unlocked, and then the mapping is made longer: that asks for no lock.
    pub(crate) fn unlocked(plan: &Plan<'_>) -> Result<Self> {
        debug_assert!(
            plan.page == PageSize::base() && plan.sharing == Sharing::Shared && plan.file.is_some()
        );
        let page = plan.page.bytes();
        let mut mapping = Mapping::new(&Plan { size: page.min(plan.size), span: page, ..*plan })?;
        // Where that is refused, it costs memory and nothing else.
        let _ = sys::memory::unlock(mapping.base, page);
        // SAFETY: the page was mapped just now, in one piece, and nothing knows of it yet.
        match unsafe { sys::memory::lengthen(mapping.base, page, plan.span) } {
            Ok(base) => {
                (mapping.base, mapping.size, mapping.span) = (base, plan.size, plan.span);
                Ok(mapping)
            }
            Err(errno) => {
                let call = format!("mremap({}, MREMAP_MAYMOVE)", Bytes::from(plan.span));
                Err(plan.refused(call, errno))
            }
        }
    }

    /// Adds the right that `Plan::first` left out.
    pub(super) fn complete(mut self, plan: &Plan<'_>) -> Result<Self> {
        if plan.first() != plan.protection {
            self.note_protection(plan.first());
            self.protect(plan.protection)?;
        }
        Ok(self)
    }

    #[inline]
    pub(super) fn of(plan: &Plan<'_>, base: NonNull<u8>) -> Self {
        let &Plan { size, span, page, protection, sharing, .. } = plan;
        Mapping {
            base,
            size,
            span,
            page,
            protection,
            direct: super::access::direct(protection, sharing, page),
            sharing,
            backed_by: BackedBy::of(sharing, plan.file.map(|(_, offset)| offset)),
            beyond: plan.beyond(),
            notes: None,
            asked: Asked::default(),
            home: None,
            unmerged: false,
            guarded: false,
            slot: None,
        }
    }

    /// Maps new addresses, of which the first is a multiple of `align` (a power of two): what huge
    /// page-table entries need. It reserves more, puts the mapping into the middle and gives the
    /// rest back.
    pub(crate) fn aligned(plan: &Plan<'_>, align: usize) -> Result<Self> {
        debug_assert!(align.is_power_of_two() && plan.at == At::Anywhere);
        let room = Plan {
            span: plan.span.saturating_add(align),
            protection: Protection::empty(),
            sharing: Sharing::Exclusive,
            flags: RESERVED,
            file: None,
            page: PageSize::base(),
            ..*plan
        };
        let room = std::mem::ManuallyDrop::new(Mapping::new(&room)?);
        let before = room.base.as_ptr().align_offset(align);
        // SAFETY: `before < align`, so that it lies inside the `span + align` bytes that were just
        // mapped.
        let base = unsafe { room.base.add(before) };
        // SAFETY: `before + span <= span + align`, which is what was just mapped.
        let after = unsafe { base.add(plan.span) };
        for (address, len) in [(room.base, before), (after, align - before)] {
            if len > 0 {
                // SAFETY: a part of the range that was just mapped; nothing else knows of it. Where
                // the kernel refuses (too many mappings), inaccessible addresses are left over,
                // which cost nothing.
                let _ = unsafe { sys::memory::unmap(address, len) };
            }
        }
        let mut mapping = Mapping::of(plan, base);
        // SAFETY: the range is ours alone, and nothing has been lent yet.
        match unsafe { plan.map_over(base, &mut false) } {
            Ok(at) => {
                mapping.base = at;
                mapping.complete(plan)
            }
            // Dropping the mapping gives the reserved addresses back.
            Err(errno) => {
                let call =
                    format!("mmap({base:p}, {}, {}, MAP_FIXED)", Bytes::from(plan.span), plan.protection);
                Err(plan.refused(call, errno))
            }
        }
    }

    /// Takes the addresses behind as well, up to `span` bytes: more of the same shared file, with
    /// the same protection. Inside a reservation they are the reservation's next ones.
    ///
    /// # Errors
    /// [`ErrorKind::AddressInUse`] if something is mapped there, or the reservation ends; as for
    /// new mappings.
    pub(crate) fn extend(&mut self, span: usize, file: BorrowedFd<'_>) -> Result<()> {
        debug_assert!(self.sharing == Sharing::Shared && span.is_multiple_of(self.page.bytes()));
        let Some(more) = span.checked_sub(self.span).filter(|&more| more > 0) else { return Ok(()) };
        let plan = self.behind(more, file);
        if let Some(home) = &self.home {
            let ends = |error: &Error| {
                Error::new(ErrorKind::AddressInUse, error.what().to_owned())
                    .with_facts(format!("the reservation ends there: {}", error.facts().unwrap_or_default()))
            };
            let offset = self.base.addr().get() - home.address() + self.span;
            let tail = Mapping::inside(&plan, home, offset)
                .map_err(|error| if error.kind() == ErrorKind::OutOfRange { ends(&error) } else { error })?;
            // From here on the range belongs to this mapping.
            let mut tail = std::mem::ManuallyDrop::new(tail);
            drop(tail.home.take());
            home.join(self.base, self.span, more);
            self.span = span;
            self.tally_span();
            return Ok(());
        }
        // From here on the range belongs to this mapping.
        let _ = std::mem::ManuallyDrop::new(Mapping::new(&plan)?);
        self.span = span;
        self.tally_span();
        Ok(())
    }

    /// How the next `more` bytes behind it are mapped.
    pub(super) fn behind<'a>(&self, more: usize, file: BorrowedFd<'a>) -> Plan<'a> {
        Plan {
            at: At::Exactly(self.base.addr().get().saturating_add(self.span)),
            size: more,
            span: more,
            page: self.page,
            protection: self.protection,
            sharing: self.sharing,
            flags: self.flags_of_object(),
            file: Some((file, self.first_byte() + self.span as u64)),
            placement: None,
        }
    }

    /// How an object is mapped here.
    fn flags_of_object(&self) -> MapFlags {
        if self.beyond { MapFlags::SHARED | MapFlags::NORESERVE } else { MapFlags::SHARED }
    }

    /// Gives the addresses behind `span` bytes back.
    pub(crate) fn cut(&mut self, span: usize) {
        debug_assert!(self.sharing == Sharing::Shared && span.is_multiple_of(self.page.bytes()));
        if let Some(more) = self.span.checked_sub(span).filter(|&more| more > 0) {
            // SAFETY: `span < self.span`, and `base..base+self.span` is ours (invariant).
            let behind = unsafe { self.base.add(span) };
            let gone = match &self.home {
                // SAFETY: the range is ours alone (invariant), shared memory, of which no reference
                // is lent. Where the kernel refuses, the addresses stay ours.
                None => unsafe { sys::memory::unmap(behind, more) },
                Some(home) => {
                    home.split(self.base, span, more);
                    // SAFETY: `take` gave the range to this mapping, which is shared memory: no
                    // reference is lent, and nothing of ours reaches behind `span` again.
                    unsafe { home.take_back(behind, more) }.inspect_err(|_| home.join(self.base, span, more))
                }
            };
            if gone.is_ok() {
                self.span = span;
                self.tally_span();
            }
        }
    }

    /// Maps something else over the whole range, in one step: the address is held all the while.
    ///
    /// # Safety
    /// No reference into the mapping is alive, and `file` is the same object as before: code that
    /// keeps a pointer finds the same bytes.
    pub(crate) unsafe fn replace(
        &mut self,
        protection: Protection,
        file: (BorrowedFd<'_>, u64),
    ) -> sys::Result<()> {
        debug_assert!(!self.guarded, "all of it gets the same protection");
        let plan = Plan {
            at: At::Exactly(self.base.addr().get()),
            size: self.size,
            span: self.span,
            page: self.page,
            protection,
            sharing: self.sharing,
            flags: self.flags_of_object(),
            file: Some(file),
            placement: None,
        };
        let mut removed = false;
        // SAFETY: the range is ours (invariant), and no reference is alive (the caller).
        let mapped = unsafe { plan.map_over(self.base, &mut removed) };
        if mapped.is_ok() {
            self.note_protection(plan.first());
        } else if removed {
            self.note_protection(Protection::empty());
        }
        mapped?;
        if plan.first() != protection {
            // SAFETY: the range is ours (invariant), and no reference is alive (the caller).
            unsafe { sys::memory::protect(self.base, self.span, protection.for_mprotect()) }?;
            self.note_protection(protection);
        }
        Ok(())
    }
}
