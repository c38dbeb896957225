//! What is asked of a provider.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use crate::error::Result;
use crate::mapping::{Mapping, Reservation};
use crate::nodes::Placement;
use crate::object::Object;
use crate::page::Pages;
use crate::protection::Protection;

/// At which addresses to map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// Wherever the kernel likes.
    #[default]
    Any,
    /// There, or an error: what is mapped there already is never touched.
    #[doc(alias = "MAP_FIXED_NOREPLACE")]
    #[doc(alias = "B_EXACT_ADDRESS")]
    Exactly(usize),
    /// At the first free addresses at or above this one; where there are none, wherever the kernel
    /// likes.
    #[doc(alias = "B_BASE_ADDRESS")]
    AtOrAbove(usize),
    /// At a random address.
    #[doc(alias = "B_RANDOMIZED_ANY_ADDRESS")]
    Random,
    /// At a random address at or above this one; where none is free there, wherever the kernel
    /// likes.
    #[doc(alias = "B_RANDOMIZED_BASE_ADDRESS")]
    RandomAtOrAbove(usize),
}

/// What lies behind the addresses.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub enum Backing<'a> {
    /// Zeroed memory of this process alone; a forked child gets a copy (copy-on-write).
    #[default]
    Private,
    /// Zeroed memory shared with the children that are forked later (`MAP_SHARED | MAP_ANONYMOUS`).
    Inherited,
    /// An object, shared with all that map it.
    Object(&'a Object),
    /// A file from `offset` on. Shared: writes reach the file, and memory policies have no effect
    /// on its page cache. Not shared: writes stay here.
    ///
    /// A file may shrink at any moment, and an access behind its end is a SIGBUS. So a mapping of
    /// one lends no bytes, and no area is made over it: its bytes are accessed through
    /// [`Mapping::as_ptr`], in unsafe code.
    File {
        /// The open file.
        file: BorrowedFd<'a>,
        /// Where to start, in bytes: a multiple of the page size.
        offset: u64,
        /// Whether writes reach the file.
        shared: bool,
    },
    /// A part of what its provider stores: a file, or a memory device
    /// ([`Storage`](super::Storage)). Which part is the provider's choice, and what it holds is
    /// what is stored there. As a file's its bytes are not lent.
    Stored,
}

/// Places the parts of a mapping, before any page is there.
#[derive(Clone, Copy)]
pub(crate) struct Placer<'a>(&'a (dyn Fn(&mut Mapping) -> Result<()> + Sync));

impl Placer<'_> {
    pub(crate) fn place(self, mapping: &mut Mapping) -> Result<()> {
        (self.0)(mapping)
    }
}

impl fmt::Debug for Placer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("part by part")
    }
}

/// What is asked of a provider: so many bytes, and how.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    size: usize,
    backing: Backing<'a>,
    address: Address,
    pages: Pages,
    protection: Protection,
    placement: Option<Placement>,
    /// Whether it was held against the allowed nodes already.
    resolved: bool,
    placer: Option<Placer<'a>>,
    home: Option<(&'a Arc<Reservation>, usize)>,
    alignment: usize,
}

impl<'a> Request<'a> {
    /// `size` bytes of private memory, readable and writable, in base pages, anywhere.
    #[must_use]
    #[inline]
    pub fn new(size: usize) -> Self {
        Request {
            size,
            backing: Backing::Private,
            address: Address::Any,
            pages: Pages::Base,
            protection: Protection::READ_WRITE,
            placement: None,
            resolved: false,
            placer: None,
            home: None,
            alignment: 1,
        }
    }

    /// The same, over an object: as many bytes as it has now, with addresses for as many as it may
    /// get.
    #[must_use]
    #[inline]
    pub fn object(object: &'a Object) -> Self {
        // A resizable one may have grown beyond its addresses since it was opened: then what lies
        // beyond them is not mapped.
        let size = object.size().min(object.span());
        Request { backing: Backing::Object(object), ..Request::new(size) }
    }

    /// What lies behind the addresses.
    #[must_use]
    #[inline]
    pub fn backed_by(mut self, backing: Backing<'a>) -> Self {
        self.backing = backing;
        self
    }

    /// At which addresses.
    #[must_use]
    #[inline]
    pub fn at(mut self, address: Address) -> Self {
        self.address = address;
        self
    }

    /// At an offset of addresses that were reserved in advance. (Then [`at`](Request::at) does not
    /// count.)
    #[must_use]
    #[inline]
    pub fn inside(mut self, reservation: &'a Arc<Reservation>, offset: usize) -> Self {
        self.home = Some((reservation, offset));
        self
    }

    /// At a multiple of that many bytes, a power of two. Transparent huge pages need a multiple of
    /// theirs.
    #[must_use]
    #[inline]
    pub fn aligned(mut self, bytes: usize) -> Self {
        self.alignment = bytes;
        self
    }

    /// The same for another number of bytes.
    #[must_use]
    #[inline]
    pub fn resized(mut self, size: usize) -> Self {
        self.size = size;
        self
    }

    /// Which pages. (An object has chosen its own.)
    #[must_use]
    #[inline]
    pub fn pages(mut self, pages: Pages) -> Self {
        self.pages = pages;
        self
    }

    /// What may be done with them.
    #[must_use]
    #[inline]
    pub fn protection(mut self, protection: Protection) -> Self {
        self.protection = protection;
        self
    }

    /// Where the pages come from.
    #[must_use]
    #[inline]
    pub fn placed(mut self, placement: impl Into<Placement>) -> Self {
        self.placement = Some(placement.into());
        self.resolved = false;
        self
    }

    /// The same, of a placement that was held against the allowed nodes in this very call.
    #[must_use]
    #[inline]
    pub(crate) fn placed_as_resolved(mut self, placement: Placement) -> Self {
        self.placement = Some(placement);
        self.resolved = true;
        self
    }

    #[inline]
    pub(crate) fn is_resolved(&self) -> bool {
        self.resolved
    }

    /// Placed part by part, by a call that the kernel's provider makes once the addresses are
    /// there, after the placement of the whole, and before any page is.
    #[must_use]
    #[inline]
    pub(crate) fn placed_by(mut self, placer: &'a (dyn Fn(&mut Mapping) -> Result<()> + Sync)) -> Self {
        self.placer = Some(Placer(placer));
        self
    }

    #[inline]
    pub(crate) fn placer(&self) -> Option<Placer<'a>> {
        self.placer
    }

    /// The bytes asked for.
    #[must_use]
    #[inline]
    pub fn size(&self) -> usize {
        self.size
    }

    /// What lies behind the addresses.
    #[must_use]
    #[inline]
    pub fn backing(&self) -> Backing<'a> {
        self.backing
    }

    /// At which addresses.
    #[must_use]
    #[inline]
    pub fn address(&self) -> Address {
        self.address
    }

    /// In which reservation, and where in it.
    #[must_use]
    #[inline]
    pub fn home(&self) -> Option<(&'a Arc<Reservation>, usize)> {
        self.home
    }

    /// The multiple at which it shall begin, in bytes.
    #[must_use]
    #[inline]
    pub fn alignment(&self) -> usize {
        self.alignment
    }

    /// Which pages.
    #[must_use]
    #[inline]
    pub fn page_request(&self) -> Pages {
        self.pages
    }

    /// What may be done with them.
    #[must_use]
    #[inline]
    pub fn wanted_protection(&self) -> Protection {
        self.protection
    }

    /// Where the pages come from; `None` leaves it to the provider.
    #[must_use]
    #[inline]
    pub fn placement(&self) -> Option<Placement> {
        self.placement
    }

    /// The same, where it is.
    #[inline]
    pub(crate) fn placement_asked(&self) -> Option<&Placement> {
        self.placement.as_ref()
    }
}
