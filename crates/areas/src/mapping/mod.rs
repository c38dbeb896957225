//! The owner of an address range: the only place that unmaps, and the only one that checks ranges.

#![expect(unsafe_code, reason = "owns raw memory; each block has its proof")]

mod access;
mod asked;
mod canary;
pub(crate) mod headroom;
mod reservation;

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

pub(crate) use asked::Asked;
pub(crate) use canary::Canary;
use reservation::RESERVED;
pub use reservation::Reservation;
pub(crate) use reservation::reserved;

use crate::error::{Error, Kind, Rejected, Result, remedy};
use crate::page::PageSize;
use crate::place::{Placement, Policy};
use crate::protection::Protection;
use crate::size::Bytes;
use crate::sys;
use crate::sys::memory::{Advice, At, MapFlags};

/// Who else may write the memory behind a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Nobody: private anonymous memory.
    Exclusive,
    /// Nobody writes *our* copies, but pages that we have not written show a file that others may change.
    PrivateFile,
    /// Other processes, through mappings of their own.
    Shared,
}

/// What a provider gave that is not what was asked first: only where the caller allowed it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Fallback {
    /// What was asked for, in words: "2 MiB pages from the pool".
    pub asked: String,
    /// What was given instead.
    pub given: String,
    /// Why the first could not be had.
    pub because: Error,
}

/// A range of mapped addresses, and the only right to unmap it.
///
/// It is what a [`Provider`](crate::Provider) makes. Dropping it unmaps.
///
/// # Invariants
/// - `base..base+span` was mapped by us, by one mmap or by several in a row, and belongs to this value alone (inside a reservation, which
///   `home` keeps: to this value among all users of the reservation); `base` and `span` are multiples of `page`.
/// - `size <= span`.
/// - With `Sharing::Exclusive`, all `span` bytes are private anonymous memory: no other process writes them.
/// - The protection of all its pages is `protection`.
pub struct Mapping {
    base: NonNull<u8>,
    size: usize,
    span: usize,
    page: PageSize,
    protection: Protection,
    sharing: Sharing,
    /// Whether it reaches beyond the end of an object of pool pages, without setting pages aside for that: see `Plan::first`.
    beyond: bool,
    fallbacks: Vec<Fallback>,
    /// What was asked of the place of each part.
    asked: Asked,
    /// Whose addresses these are, if not the mapping's own.
    home: Option<Arc<Reservation>>,
    /// Dropped once the addresses are unmapped.
    attached: Vec<Box<dyn Any + Send + Sync>>,
}

// SAFETY: a mapping is an address range of the process, not of a thread; nothing in it is bound to the thread that made it.
unsafe impl Send for Mapping {}
// SAFETY: through `&Mapping` only shared reads of exclusive memory are lent, and raw pointers, whose use is the
// user's to justify.
unsafe impl Sync for Mapping {}

/// What `Mapping::new` needs to know.
pub(crate) struct Plan<'a> {
    pub(crate) at: At,
    pub(crate) size: usize,
    pub(crate) span: usize,
    pub(crate) page: PageSize,
    pub(crate) protection: Protection,
    pub(crate) sharing: Sharing,
    pub(crate) flags: MapFlags,
    pub(crate) file: Option<(std::os::fd::BorrowedFd<'a>, u64)>,
}

impl Plan<'_> {
    /// Whether it reaches beyond the end of an object of pool pages, which shall stay where it is.
    fn beyond(&self) -> bool {
        self.page != PageSize::base() && self.file.is_some() && self.flags.contains(MapFlags::NORESERVE)
    }

    /// The protection to call mmap with. A writable mapping beyond the end of an object of pool pages makes it larger, so there the
    /// right to write comes second ([`Mapping::complete`]): mprotect does no such thing.
    fn first(&self) -> Protection {
        if self.beyond() { self.protection - Protection::WRITE } else { self.protection }
    }
}

impl Mapping {
    /// Maps new addresses.
    pub(crate) fn new(plan: &Plan<'_>) -> Result<Self> {
        let &Plan { at, size, span, page, protection, sharing, flags, file } = plan;
        debug_assert!(size <= span && span.is_multiple_of(page.bytes()));
        debug_assert!(sharing != Sharing::Exclusive || file.is_none());
        let base = sys::memory::map(at, span, plan.first().for_mmap(), flags, file).map_err(|errno| {
            let place = match at {
                At::Anywhere => "NULL".to_owned(),
                At::Exactly(address) => format!("{address:#x}"),
            };
            let call = format!("mmap({place}, {}, {protection}, {})", Bytes::from(span), in_words(flags));
            refused(at, size, span, page, call, errno)
        })?;
        Mapping::of(plan, base).complete(plan)
    }

    /// Adds the right that `Plan::first` left out.
    fn complete(mut self, plan: &Plan<'_>) -> Result<Self> {
        if plan.first() != plan.protection {
            self.protection = plan.first();
            self.protect(plan.protection)?;
        }
        Ok(self)
    }

    fn of(plan: &Plan<'_>, base: NonNull<u8>) -> Self {
        let &Plan { size, span, page, protection, sharing, .. } = plan;
        Mapping {
            base,
            size,
            span,
            page,
            protection,
            sharing,
            beyond: plan.beyond(),
            fallbacks: Vec::new(),
            asked: Asked::default(),
            home: None,
            attached: Vec::new(),
        }
    }

    /// Maps at an offset of a reservation, over nothing but reserved addresses.
    pub(crate) fn inside(plan: &Plan<'_>, home: &Arc<Reservation>, offset: usize) -> Result<Self> {
        let base = home.take(offset, plan.span, plan.page)?;
        // SAFETY: the reservation has just given us this range, which nobody else uses.
        let mapped =
            unsafe { sys::memory::map_over(base, plan.span, plan.first().for_mmap(), plan.flags, plan.file) };
        match mapped {
            Ok(base) => {
                let mut mapping = Mapping::of(plan, base);
                mapping.home = Some(home.clone());
                mapping.complete(plan)
            }
            Err(errno) => {
                home.recover(base, plan.span);
                let error =
                    Error::new(Kind::NoMemory, format!("map {} in a reservation", Bytes::from(plan.size)))
                        .call(
                            format!(
                                "mmap({base:p}, {}, {}, MAP_FIXED)",
                                Bytes::from(plan.span),
                                plan.protection
                            ),
                            errno,
                        );
                Err(match plan.page == PageSize::base() {
                    true => remedy::address_space(error, plan.span),
                    false => remedy::huge_pages(error, plan.page, plan.span),
                })
            }
        }
    }

    /// Maps new addresses, of which the first is a multiple of `align` (a power of two): what huge page-table entries
    /// need. It reserves more, puts the mapping into the middle and gives the rest back.
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
        // SAFETY: `before < align`, so that it lies inside the `span + align` bytes that were just mapped.
        let base = unsafe { room.base.add(before) };
        // SAFETY: `before + span <= span + align`, as above.
        let after = unsafe { base.add(plan.span) };
        for (address, len) in [(room.base, before), (after, align - before)] {
            if len > 0 {
                // SAFETY: a part of the range that was just mapped; nobody else knows of it. Where the kernel refuses
                // (too many mappings), inaccessible addresses are left over, which cost nothing.
                let _ = unsafe { sys::memory::unmap(address, len) };
            }
        }
        let mut mapping = Mapping::of(plan, base);
        // SAFETY: the range is ours alone, and nothing has been lent yet.
        let mapped =
            unsafe { sys::memory::map_over(base, plan.span, plan.first().for_mmap(), plan.flags, plan.file) };
        match mapped {
            Ok(at) => {
                mapping.base = at;
                mapping.complete(plan)
            }
            Err(errno) => {
                // Dropping the mapping gives the reserved addresses back.
                refill(base, plan.span);
                Err(Error::new(Kind::System, format!("map {}", Bytes::from(plan.size))).call(
                    format!("mmap({base:p}, {}, {}, MAP_FIXED)", Bytes::from(plan.span), plan.protection),
                    errno,
                ))
            }
        }
    }

    /// Takes the addresses behind as well, up to `span` bytes: more of the same shared file, with the same protection. Inside a
    /// reservation they are the reservation's next ones.
    ///
    /// # Errors
    /// [`Kind::AddressInUse`] if something is mapped there, or the reservation ends; as for new mappings.
    pub(crate) fn extend(&mut self, span: usize, file: std::os::fd::BorrowedFd<'_>) -> Result<()> {
        debug_assert!(self.sharing == Sharing::Shared && span.is_multiple_of(self.page.bytes()));
        let Some(more) = span.checked_sub(self.span).filter(|&more| more > 0) else { return Ok(()) };
        let behind = self.base.addr().get().saturating_add(self.span);
        let plan = Plan {
            at: At::Exactly(behind),
            size: more,
            span: more,
            page: self.page,
            protection: self.protection,
            sharing: self.sharing,
            flags: self.flags_of_object(),
            file: Some((file, self.span as u64)),
        };
        if let Some(home) = &self.home {
            let ends = |error: &Error| {
                Error::new(Kind::AddressInUse, error.what().to_owned())
                    .detail(format!("the reservation ends there: {}", error.facts().unwrap_or_default()))
            };
            let tail = Mapping::inside(&plan, home, behind - home.address())
                .map_err(|error| if error.kind() == Kind::OutOfRange { ends(&error) } else { error })?;
            // From here on the range belongs to this mapping.
            let mut tail = std::mem::ManuallyDrop::new(tail);
            drop(tail.home.take());
            home.join(self.base, self.span, more);
            self.span = span;
            return Ok(());
        }
        // From here on the range belongs to this mapping.
        let _ = std::mem::ManuallyDrop::new(Mapping::new(&plan)?);
        self.span = span;
        Ok(())
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
                // SAFETY: the range is ours alone (invariant), shared memory, of which no reference is lent. Where the kernel
                // refuses, the addresses stay ours.
                None => unsafe { sys::memory::unmap(behind, more) },
                Some(home) => {
                    home.split(self.base, span, more);
                    // SAFETY: as above.
                    unsafe { home.take_back(behind, more) }.inspect_err(|_| home.join(self.base, span, more))
                }
            };
            if gone.is_ok() {
                self.span = span;
            }
        }
    }

    /// Where the memory begins.
    ///
    /// What may be done through the pointer: memory that no other process writes may be read and written as any memory
    /// that Rust does not know of, up to [`size`](Mapping::size) bytes. In memory that others may write, Rust's rules allow no
    /// reference at all: volatile or atomic accesses and copies made outside Rust only.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// The bytes that were asked for.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The bytes of addresses taken: whole pages, a reserve included.
    #[must_use]
    pub fn span(&self) -> usize {
        self.span
    }

    /// The pages that it is mapped with. (Transparent huge pages are base pages here: a measurement tells them.)
    #[must_use]
    pub fn page_size(&self) -> PageSize {
        self.page
    }

    /// What may be done with its pages.
    #[must_use]
    pub fn protection(&self) -> Protection {
        self.protection
    }

    /// Whether other processes may write the memory, or change the file that it shows.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.sharing != Sharing::Exclusive
    }

    pub(crate) fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// What was given instead of what was asked first.
    #[must_use]
    pub fn fallbacks(&self) -> &[Fallback] {
        &self.fallbacks
    }

    /// Records that something else was given than was asked first. For providers.
    pub fn record_fallback(&mut self, asked: impl Into<String>, given: impl Into<String>, because: Error) {
        self.fallbacks.push(Fallback { asked: asked.into(), given: given.into(), because });
    }

    /// Takes over what was noted of fallbacks: this mapping takes the other one's place.
    pub(crate) fn take_over_notes(&mut self, from: &mut Mapping) {
        self.fallbacks.append(&mut from.fallbacks);
    }

    /// Keeps a value as long as the addresses are mapped: it is dropped once they are unmapped, however that comes about.
    ///
    /// For providers that count, lend or note what they map.
    pub fn attach(&mut self, value: impl Any + Send + Sync) {
        self.attached.push(Box::new(value));
    }

    /// What was attached, of that type, in the order in which it was: how a provider knows again what it mapped. (An address does
    /// not tell: it may have been unmapped and mapped anew.)
    pub fn attachments<T: Any>(&self) -> impl Iterator<Item = &T> {
        self.attached.iter().filter_map(|value| value.downcast_ref())
    }

    /// What was asked of the place of its parts.
    pub(crate) fn asked(&self) -> &Asked {
        &self.asked
    }

    /// The bytes, to read.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] where other processes may write the memory, [`Kind::ReadOnly`] where it may not be read.
    pub fn as_bytes(&self) -> Result<&[u8]> {
        self.lendable(Protection::READ, "lend the bytes of a mapping")?;
        // SAFETY: `base..base+size` is mapped and ours (invariant), readable (checked), and private anonymous memory, which
        // nobody else writes (checked); writes of our own need `&mut self`.
        Ok(unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.size) })
    }

    /// The bytes, to read and write.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] where other processes may write the memory, [`Kind::ReadOnly`] where it may not be written.
    pub fn as_bytes_mut(&mut self) -> Result<&mut [u8]> {
        self.lendable(Protection::READ_WRITE, "lend the bytes of a mapping for writing")?;
        // SAFETY: as in `as_bytes`, writable too (checked), and `&mut self` makes it the only reference.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), self.size) })
    }

    fn lendable(&self, needed: Protection, what: &'static str) -> Result<()> {
        if self.is_shared() {
            return Err(Error::new(Kind::Unsupported, what)
                .detail(
                    "other processes may write this memory, and Rust's references promise that nobody does",
                )
                .help("copy in and out: `read_at`, `write_at`; or freeze the area"));
        }
        if !self.protection.contains(needed) {
            return Err(
                Error::new(Kind::ReadOnly, what).detail(format!("its protection is {}", self.protection))
            );
        }
        Ok(())
    }

    /// The addresses of a range of bytes, or an error if it is not inside the first `size` bytes.
    pub(crate) fn check(&self, offset: usize, len: usize, size: usize) -> Result<NonNull<u8>> {
        match offset.checked_add(len) {
            Some(end) if end <= size && end <= self.span => {
                // SAFETY: `offset <= span`, and `base..base+span` is one mapping (invariant), so the sum does not
                // overflow and stays inside it or one past its end.
                Ok(unsafe { self.base.add(offset) })
            }
            _ => Err(out_of_range(offset, len, size)),
        }
    }

    /// Unmaps. Where the kernel refuses, the mapping comes back.
    ///
    /// # Errors
    /// [`Kind::System`] with what munmap said, for instance ENOMEM where splitting would make too many mappings.
    pub fn unmap(self) -> Result<(), Rejected<Self>> {
        let mut mapping = std::mem::ManuallyDrop::new(self);
        // SAFETY: the range is ours alone (invariant), and `self` is consumed, so that nothing uses it again.
        match unsafe { mapping.unmap_range() } {
            Ok(()) => {
                // The destructor, which would unmap again, does not run: what else it would free is taken out first.
                drop(std::mem::take(&mut mapping.fallbacks));
                drop(std::mem::take(&mut mapping.asked));
                drop(std::mem::take(&mut mapping.attached));
                drop(mapping.home.take());
                Ok(())
            }
            Err(errno) => {
                let mapping = std::mem::ManuallyDrop::into_inner(mapping);
                let error = Error::new(Kind::System, format!("unmap {}", Bytes::from(mapping.span)))
                    .call(format!("munmap({:p}, {})", mapping.base, mapping.span), errno);
                Err(Rejected::new(error, mapping))
            }
        }
    }

    /// Unmaps, or makes it reserved addresses again.
    ///
    /// # Safety
    /// Nothing uses the range again.
    unsafe fn unmap_range(&self) -> sys::Result<()> {
        match &self.home {
            // SAFETY: the range is ours alone (invariant), and nothing uses it again (the caller).
            None => unsafe { sys::memory::unmap(self.base, self.span) },
            // SAFETY: as above; the addresses stay taken, so that nobody else can come to be there.
            Some(home) => unsafe { home.take_back(self.base, self.span) },
        }
    }

    /// Changes what may be done with all its pages.
    ///
    /// # Errors
    /// [`Kind::NotPermitted`] beyond what the file behind it allows; [`Kind::System`] with what mprotect said.
    pub fn protect(&mut self, protection: Protection) -> Result<()> {
        // SAFETY: the range is ours (invariant), and `&mut self` says that no reference that we lent is alive.
        unsafe { sys::memory::protect(self.base, self.span, protection.for_mprotect()) }.map_err(
            |errno| {
                let kind = match errno {
                    sys::Errno::ACCESS | sys::Errno::PERM => Kind::NotPermitted,
                    _ => Kind::System,
                };
                Error::new(
                    kind,
                    format!(
                        "change the protection of {} from {} to {protection}",
                        Bytes::from(self.span),
                        self.protection
                    ),
                )
                .call(format!("mprotect({:p}, {}, {protection})", self.base, self.span), errno)
            },
        )?;
        self.protection = protection;
        Ok(())
    }

    /// Sets where the pages of a range come from, from now on. Pages that are there already stay where they are.
    ///
    /// `range` is in bytes from the beginning; its start is a multiple of the page size. The placement has been resolved
    /// against the allowed nodes.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] for what this kernel does not know, [`Kind::NotPermitted`] where a sandbox forbids it.
    pub(crate) fn place(&mut self, range: Range<usize>, placement: Placement) -> Result<()> {
        let len = range.len();
        let start = self.check(range.start, len, self.span)?;
        let failed = |call: String, errno: sys::Errno| refused_placement(len, &placement, call, errno);
        sys::policy::bind(start, len, &placement.policy()).map_err(|errno| {
            failed(format!("mbind({start:p}, {}, {})", Bytes::from(len), placement.policy()), errno)
        })?;
        if let Some(home) = placement.home_node() {
            sys::policy::set_home_node(start, len, home).map_err(|errno| {
                failed(format!("set_mempolicy_home_node({start:p}, {}, {home})", Bytes::from(len)), errno)
            })?;
        }
        self.asked.place(range, placement);
        Ok(())
    }

    /// The policy that the kernel has for the first page. (A home node does not show.)
    ///
    /// # Errors
    /// [`Kind::System`] with what `get_mempolicy` said.
    pub fn policy(&self) -> Result<Policy> {
        sys::policy::policy_at(self.base).map_err(|errno| {
            Error::new(Kind::System, "ask for the policy of a mapping")
                .call(format!("get_mempolicy({:p}, MPOL_F_ADDR)", self.base), errno)
        })
    }

    /// Advice about the whole range that changes no content.
    pub(crate) fn advise(&self, advice: Advice) -> sys::Result<()> {
        sys::memory::advise(self.base, self.span, advice)
    }

    /// Maps something else over the whole range, in one step: the address is held all the while.
    ///
    /// # Safety
    /// No reference into the mapping is alive, and `file` is the same object as before: whoever keeps a pointer finds
    /// the same bytes.
    pub(crate) unsafe fn replace(
        &mut self,
        protection: Protection,
        file: (std::os::fd::BorrowedFd<'_>, u64),
    ) -> sys::Result<()> {
        // As with `Plan::first`.
        let first = if self.beyond { protection - Protection::WRITE } else { protection };
        // SAFETY: the range is ours (invariant), and no reference is alive (the caller).
        let mapped = unsafe {
            sys::memory::map_over(self.base, self.span, first.for_mmap(), self.flags_of_object(), Some(file))
        };
        match mapped {
            Ok(_) => {
                self.protection = first;
                if first != protection {
                    // SAFETY: as above.
                    unsafe { sys::memory::protect(self.base, self.span, protection.for_mprotect()) }?;
                    self.protection = protection;
                }
                Ok(())
            }
            Err(errno) => {
                if refill(self.base, self.span) {
                    self.protection = Protection::empty();
                }
                Err(errno)
            }
        }
    }
}

/// After an mmap with `MAP_FIXED` that failed: it may have removed what was there before (it does so for an object in pages of
/// an empty pool, Linux 6.18), and then inaccessible addresses take the place, so that they stay ours. Whether that was so.
fn refill(base: NonNull<u8>, span: usize) -> bool {
    let nothing = Protection::empty().for_mmap();
    sys::memory::map(At::Exactly(base.addr().get()), span, nothing, RESERVED, None).is_ok()
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is ours alone (invariant), and nothing uses it after the drop. A refusal leaves it mapped: there
        // is nobody to tell, and `unmap` is there for those who want to know.
        let _ = unsafe { self.unmap_range() };
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping")
            .field("address", &self.base)
            .field("size", &self.size)
            .field("span", &self.span)
            .field("page", &self.page)
            .field("protection", &self.protection)
            .field("sharing", &self.sharing)
            .finish_non_exhaustive()
    }
}

/// The error for an access beyond the end.
pub(crate) fn out_of_range(offset: usize, len: usize, size: usize) -> Error {
    let bytes = if len == 1 { "byte" } else { "bytes" };
    Error::new(Kind::OutOfRange, format!("access {len} {bytes} at offset {offset}"))
        .detail(format!("the size is {size} bytes"))
        .help("stay inside `0..size()`")
}

/// Why mmap refused: from what it was asked, and what it said.
pub(crate) fn refused(
    at: At,
    size: usize,
    span: usize,
    page: PageSize,
    call: String,
    errno: sys::Errno,
) -> Error {
    let error = |kind| Error::new(kind, format!("map {}", Bytes::from(size))).call(call, errno);
    match (errno, at) {
        (sys::Errno::EXIST, At::Exactly(address)) => error(Kind::AddressInUse)
            .detail(format!("something is mapped in {:#x}..{:#x}", address, address.saturating_add(span)))
            .help(
                "choose another address, or let the kernel choose one; `/proc/self/maps` shows what is there",
            ),
        (sys::Errno::NOMEM, _) if page != PageSize::base() => {
            remedy::huge_pages(error(Kind::NoMemory), page, span)
        }
        // The kernel has no pool of that size.
        (sys::Errno::INVAL, _) if page != PageSize::base() => {
            remedy::huge_pages(error(Kind::Unsupported), page, span)
        }
        (sys::Errno::NOMEM, At::Exactly(address)) if out_of_user_range(address, span) => {
            error(Kind::AddressInUse).detail("the range ends beyond the addresses of a process")
        }
        (sys::Errno::NOMEM, _) if out_of_user_range(0, span) => {
            error(Kind::InvalidInput).detail("it is more than the addresses of a process")
        }
        (sys::Errno::NOMEM, _) => match sys::process::limit(sys::process::Limit::AddressSpace) {
            Some(_) => remedy::address_space(error(Kind::Limit), span),
            None => remedy::address_space(error(Kind::NoMemory), span),
        },
        (sys::Errno::AGAIN, _) => remedy::locked_memory(error(Kind::Limit), span),
        (sys::Errno::ACCESS | sys::Errno::PERM, _) => error(Kind::NotPermitted)
            .detail("the file was not opened for this, is sealed, or lies on a file system mounted noexec"),
        _ => error(Kind::System),
    }
}

/// Why a range could not be placed: from what was asked, the call, and what it said.
pub(crate) fn refused_placement(len: usize, placement: &Placement, call: String, errno: sys::Errno) -> Error {
    let what = format!("place {} as {placement}", Bytes::from(len));
    match errno {
        sys::Errno::NOSYS | sys::Errno::INVAL => Error::new(Kind::Unsupported, what).call(call, errno).help(
            "this kernel does not know the policy: preferred-many needs 5.15, a home node 5.17, weighted \
                   interleave 6.9, any policy a kernel built with NUMA",
        ),
        sys::Errno::PERM => Error::new(Kind::NotPermitted, what).call(call, errno).help(
            "the sandbox forbids it: containers need CAP_SYS_NICE or a seccomp profile that allows mbind",
        ),
        _ => Error::new(Kind::System, what).call(call, errno),
    }
}

/// Flags as C writes them: `MAP_PRIVATE|MAP_HUGETLB`.
pub(crate) fn in_words(flags: MapFlags) -> String {
    let mut names = flags.iter_names();
    let mut words: Vec<String> = names.by_ref().map(|(name, _)| format!("MAP_{name}")).collect();
    if !names.remaining().is_empty() {
        words.push(format!("{:#x}", names.remaining().bits()));
    }
    words.join("|")
}

/// Whether a range ends beyond what user processes can have (47 bits here, or what the architecture has at most).
fn out_of_user_range(address: usize, len: usize) -> bool {
    address.checked_add(len).is_none_or(|end| end > 1 << 47)
}
