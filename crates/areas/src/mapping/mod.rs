//! The owner of an address range: the only place that unmaps, and the only one that checks ranges.

#![expect(unsafe_code, reason = "owns raw memory; each block has its proof")]

mod access;
mod asked;
mod backing;
mod bare;
mod claim;
mod extents;
mod fork_detector;
mod guard;
pub(crate) mod headroom;
mod kept;
mod making;
mod refusal;
mod reservation;
mod rights;
mod roomy;
mod stored;
mod taken;
mod tally;
mod unmerged;

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::sync::Arc;

pub(crate) use access::overlapping;
pub(crate) use asked::Asked;
pub use backing::BackedBy;
pub(crate) use claim::Claim;
pub(crate) use extents::Extents;
pub(crate) use fork_detector::ForkDetector;
pub(crate) use kept::missing;
pub(crate) use making::Plan;
pub(crate) use refusal::{in_words, out_of_range, refused, refused_placement};
pub use reservation::Reservation;
pub(crate) use reservation::{hold, prepare, reserved};
#[cfg(fuzzing)]
pub(crate) use roomy::fuzz as fuzz_arena;
pub use roomy::roomy_maximum;
pub(crate) use tally::Counters;

use crate::error::{Error, ErrorKind, Rejected, Result};
use crate::nodes::{Placement, Policy};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::size::Bytes;
use crate::sys;
use crate::sys::memory::Advice;

/// Who else may write the memory behind a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// None: private anonymous memory.
    Exclusive,
    /// No other process writes *our* copies, but pages that we have not written show a file that
    /// others may change.
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
/// It is what a [`Provider`](crate::Provider) makes. Dropping it unmaps, whatever is mapped there
/// by then: no other code may unmap a part of it, or map over it (which takes unsafe code).
///
/// # Invariants
/// - `base..base+span` was mapped by us, by one mmap or by several in a row, and belongs to this
///   value alone (inside a reservation, which `home` keeps: to this value among all users of the
///   reservation); `base` and `span` are multiples of `page`.
/// - `size <= span`. A `span` of 0 is that of one that was unmapped, and is about to be dropped.
/// - With `Sharing::Exclusive`, all `span` bytes are private anonymous memory: no other process
///   writes them.
/// - The protection of all its pages is `protection`; but for the lowest one if it is `guarded`,
///   which may not be accessed.
/// - `backed_by` is what all of it maps, and agrees with `sharing`.
pub struct Mapping {
    base: NonNull<u8>,
    size: usize,
    span: usize,
    page: PageSize,
    protection: Protection,
    /// What may be done with its pages by loads and stores of ours: all of `protection`, or nothing
    /// where another process can take a page away under us ([`direct`](access::direct)). Then the
    /// kernel copies.
    direct: Protection,
    sharing: Sharing,
    /// What its pages are of: a request is compared with it.
    backed_by: BackedBy,
    /// Whether it reaches beyond the end of an object of hugetlb pages, without setting pages aside
    /// for that: see `Plan::first`.
    beyond: bool,
    /// What few mappings have: `None` where there is nothing of it, so that a mapping is small to
    /// move.
    notes: Option<Box<Notes>>,
    /// What was asked of the place of each part.
    asked: Asked,
    /// Whose addresses these are, if not the mapping's own.
    home: Option<Arc<Reservation>>,
    /// Whether it is kept from merging with adjacent VMAs, and is counted (`unmerged.rs`).
    unmerged: bool,
    /// Whether its lowest page is a guard (`guard.rs`).
    guarded: bool,
    /// The slot of addresses in which it was made, with room behind it (`roomy/`).
    slot: Option<roomy::Slot>,
}

/// What is noted of a mapping beside its range.
#[derive(Default)]
struct Notes {
    fallbacks: Vec<Fallback>,
    /// Dropped once the addresses are unmapped.
    attached: Vec<Box<dyn Any + Send + Sync>>,
}

// What a provider attached is dropped, and not looked at: nothing that a panic left half done is
// seen through it.
impl UnwindSafe for Notes {}
impl RefUnwindSafe for Notes {}

// SAFETY: a mapping is an address range of the process, not of a thread; nothing in it is bound to
// the thread that made it.
unsafe impl Send for Mapping {}
// SAFETY: through `&Mapping` only shared reads of exclusive memory are lent, and raw pointers,
// whose use is the user's to justify.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Where the memory begins.
    ///
    /// What may be done through the pointer: memory that no other process writes may be read and
    /// written as any memory that Rust does not know of, up to [`size`](Mapping::size) bytes. In
    /// memory that others may write, Rust's rules allow no reference to bytes at all: atomic
    /// accesses, and copies made outside Rust, only. In that of a file, any access may fault.
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

    /// The pages that it is mapped with. (Transparent huge pages are base pages here: a measurement
    /// lists them.)
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
    /// ([`backed_by`](Mapping::backed_by) says what it is.)
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.sharing != Sharing::Exclusive
    }

    #[inline]
    pub(crate) fn home(&self) -> Option<&Arc<Reservation>> {
        self.home.as_ref()
    }

    pub(crate) fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// What was given instead of what was asked first.
    #[must_use]
    pub fn fallbacks(&self) -> &[Fallback] {
        self.notes.as_ref().map_or(&[], |notes| &notes.fallbacks)
    }

    /// Records that something else was given than was asked first. For providers.
    pub fn record_fallback(&mut self, asked: impl Into<String>, given: impl Into<String>, because: Error) {
        self.notes_mut().fallbacks.push(Fallback { asked: asked.into(), given: given.into(), because });
    }

    /// Forgets what was noted of one thing that was asked for: it is tried again.
    pub(crate) fn forget_fallbacks(&mut self, asked: &str) {
        if let Some(notes) = &mut self.notes {
            notes.fallbacks.retain(|fallback| fallback.asked != asked);
        }
    }

    /// Takes over what was noted of fallbacks: this mapping takes the other one's place.
    pub(crate) fn take_over_notes(&mut self, from: &mut Mapping) {
        if let Some(from) = &mut from.notes
            && !from.fallbacks.is_empty()
        {
            self.notes_mut().fallbacks.append(&mut from.fallbacks);
        }
    }

    /// Keeps a value as long as the addresses are mapped: it is dropped once they are unmapped,
    /// however that comes about.
    ///
    /// For providers that count, lend or note what they map.
    pub fn attach(&mut self, value: impl Any + Send + Sync) {
        self.notes_mut().attached.push(Box::new(value));
    }

    fn notes_mut(&mut self) -> &mut Notes {
        self.notes.get_or_insert_default()
    }

    /// What was attached, of that type, in the order in which it was: how a provider knows again
    /// what it mapped. (An address does not say so: it may have been unmapped and mapped again.)
    pub fn attachments<T: Any>(&self) -> impl Iterator<Item = &T> {
        let attached = self.notes.iter().flat_map(|notes| &notes.attached);
        attached.filter_map(|value| value.downcast_ref())
    }

    /// What was asked of the place of its parts.
    pub(crate) fn asked(&self) -> &Asked {
        &self.asked
    }

    /// The bytes, to read.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where other processes may write the memory,
    /// [`ErrorKind::ReadOnly`] where it may not be read.
    pub fn as_bytes(&self) -> Result<&[u8]> {
        self.lendable(Protection::READ, "lend the bytes of a mapping")?;
        // SAFETY: `base..base+size` is mapped and ours (invariant), readable (checked), and private
        // anonymous memory, which no other process writes (checked); our own need `&mut self`.
        Ok(unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.size) })
    }

    /// The bytes, to read and write.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where other processes may write the memory,
    /// [`ErrorKind::ReadOnly`] where it may not be written.
    pub fn as_bytes_mut(&mut self) -> Result<&mut [u8]> {
        self.lendable(Protection::READ_WRITE, "lend the bytes of a mapping for writing")?;
        // SAFETY: `base..base+size` is ours (invariant), readable and writable private anonymous
        // memory (checked), and `&mut self` makes it the only reference.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), self.size) })
    }

    fn lendable(&self, needed: Protection, what: &'static str) -> Result<()> {
        if self.is_shared() {
            let facts = "other processes may write this memory, and Rust's references require that none does";
            return Err(Error::new(ErrorKind::Unsupported, what)
                .with_facts(facts)
                .with_remedy("copy in and out: `read_at`, `write_at`; or freeze the area"));
        }
        if !self.protection.contains(needed) {
            return Err(Error::new(ErrorKind::ReadOnly, what)
                .with_facts(format!("its protection is {}", self.protection)));
        }
        Ok(())
    }

    /// The addresses of a range of bytes, or an error if it is not inside the first `size` bytes.
    #[inline]
    pub(crate) fn check(&self, offset: usize, len: usize, size: usize) -> Result<NonNull<u8>> {
        match offset.checked_add(len) {
            Some(end) if end <= size && end <= self.span => {
                // SAFETY: `offset <= span`, and `base..base+span` is one mapping (invariant), so
                // the sum does not overflow and stays inside it or one past its end.
                Ok(unsafe { self.base.add(offset) })
            }
            _ => Err(out_of_range(offset, len, size)),
        }
    }

    /// Unmaps. Where the kernel refuses, the mapping comes back.
    ///
    /// # Errors
    /// [`ErrorKind::System`] with what munmap said, for instance ENOMEM where splitting would make
    /// too many mappings.
    pub fn unmap(mut self) -> Result<(), Rejected<Self>> {
        // SAFETY: the range is ours alone (invariant), and `self` is consumed, so that nothing uses
        // it again.
        match unsafe { self.unmap_range() } {
            Ok(()) => {
                self.span = 0;
                Ok(())
            }
            Err(errno) => {
                let error = Error::new(ErrorKind::System, format!("unmap {}", Bytes::from(self.span)))
                    .with_system_call(format!("munmap({:p}, {})", self.base, self.span), errno);
                Err(Rejected::new(error, self))
            }
        }
    }

    /// Unmaps, or makes it reserved addresses again.
    ///
    /// # Safety
    /// Nothing uses the range again.
    #[inline]
    unsafe fn unmap_range(&self) -> sys::Result<()> {
        match &self.home {
            // SAFETY: the range is ours alone (invariant), and nothing uses it again (the caller).
            None => unsafe { sys::memory::unmap(self.base, self.span) }.inspect(|()| self.left()),
            // SAFETY: `take` gave us the range, and nothing uses it again (the caller).
            Some(home) if home.given.is_none() => unsafe { home.take_back(self.base, self.span) },
            // SAFETY: `take_memory` gave us the range, and nothing uses it again (the caller).
            Some(home) => unsafe { home.take_memory_back(self.base, self.span, self.protection) },
        }
    }

    /// Takes note of what may be done with its pages now.
    #[inline]
    fn note_protection(&mut self, protection: Protection) {
        self.protection = protection;
        self.direct = access::direct(protection, self.sharing, self.page);
    }

    /// Sets where the pages of a range come from, from now on. Pages that are there already stay
    /// where they are.
    ///
    /// `range` is in bytes from the beginning; its start is a multiple of the page size. The
    /// placement has been resolved against the allowed nodes.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for what this kernel does not know, [`ErrorKind::NotPermitted`]
    /// where a sandbox forbids it.
    #[inline]
    pub(crate) fn place(&mut self, range: Range<usize>, placement: &Placement) -> Result<()> {
        let len = range.len();
        self.refuse_given(|| format!("place {} as {placement}", Bytes::from(len)), PLACE_THE_WHOLE)?;
        let start = self.check(range.start, len, self.span)?;
        let failed = |call: String, errno: sys::Errno| refused_placement(len, placement, call, errno);
        sys::policy::bind(start, len, placement).map_err(|errno| {
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

    /// How a range is placed now, part by part: as was asked, and where nothing was, as the kernel
    /// has it at the beginning of that part.
    ///
    /// # Errors
    /// [`ErrorKind::System`] with what `get_mempolicy` said.
    pub(crate) fn placed_before(&self, range: &Range<usize>) -> Result<Vec<(Range<usize>, Placement)>> {
        let mut parts = Vec::new();
        let mut at = range.start;
        let asked = self
            .asked
            .parts()
            .map(|(part, placement)| (part.start.max(range.start)..part.end.min(range.end), placement));
        let asked: Vec<_> = asked.filter(|(part, _)| !part.is_empty()).collect();
        let end = (range.end..range.end, Placement::default());
        for (part, placement) in asked.into_iter().chain([end]) {
            if at < part.start {
                parts.push((at..part.start, Placement::new(self.policy_at(at)?)));
            }
            at = part.end;
            if !part.is_empty() {
                parts.push((part, placement));
            }
        }
        Ok(parts)
    }

    /// The policy that the kernel has for the first page. (A home node does not show.)
    ///
    /// # Errors
    /// [`ErrorKind::System`] with what `get_mempolicy` said.
    pub fn policy(&self) -> Result<Policy> {
        self.policy_at(0)
    }

    fn policy_at(&self, offset: usize) -> Result<Policy> {
        let address = self.check(offset, 1, self.span)?;
        sys::policy::policy_at(address).map_err(|errno| {
            Error::new(ErrorKind::System, "ask for the policy of a mapping")
                .with_system_call(format!("get_mempolicy({address:p}, MPOL_F_ADDR)"), errno)
        })
    }

    /// Advice about the whole range that changes no content.
    pub(crate) fn advise(&self, advice: Advice) -> sys::Result<()> {
        sys::memory::advise(self.base, self.span, advice)
    }
}

/// What to do instead of placing a part of memory that was given.
pub(crate) const PLACE_THE_WHOLE: &str = "place the whole memory before it is given to a provider";

impl Drop for Mapping {
    #[inline]
    fn drop(&mut self) {
        if self.span > 0 {
            // SAFETY: the range is ours alone (invariant), and nothing uses it after the drop. A
            // refusal leaves it mapped: a drop cannot report it, and `unmap` is there for those who
            // want to know.
            let _ = unsafe { self.unmap_range() };
        }
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
            .field("backed_by", &self.backed_by)
            .finish_non_exhaustive()
    }
}
