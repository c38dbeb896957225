//! A provider over memory that the program gives: areas are parts of it, and never unmap it.

#![expect(unsafe_code, reason = "takes raw memory on its owner's word; each block has its proof")]

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

use super::{Address, Backing, Provider, Request};
use crate::error::{Error, ErrorKind, Rejected, Result};
use crate::mapping::{Mapping, PLACE_THE_WHOLE, Reservation};
use crate::page::{PageSize, Pages};
use crate::residency::Residency;
use crate::size::Bytes;

/// Memory that was given in one piece, and of which areas are parts: the smallest free part that is
/// large enough, in whole pages.
///
/// A part is taken and released without a system call where the memory is a borrowed slice, and
/// with one where it was a mapping, whose pages go back to the kernel. The memory as such stays as
/// it is: where it is, on which pages, locked or not, is its giver's choice. So requests that would
/// change that are refused ([`ErrorKind::Unsupported`]): placements, locks, exact addresses, shared
/// memory. Protections may be chosen, and are reset afterwards.
///
/// | made by | whose memory it is | how long |
/// |---|---|---|
/// | [`Fixed::of`] | a mapping, which it owns | unmapped when the provider and the last part of it are gone |
/// | [`Fixed::borrowed`] | a slice, of which it uses the whole pages | as long as the slice is borrowed. As a [`Provider`] it takes a `'static` one: an area can live as long as it likes. For others there is [`lend`](Fixed::lend) |
/// | [`Fixed::from_raw_parts`] | a range, on its owner's word | until what is kept with it is dropped |
///
/// ```
/// use areas::provider::Fixed;
/// use areas::{NodeSet, Policy, Provider, Request, System};
/// // One mapping, placed once; areas are parts of it.
/// let whole = System::new().map(&Request::new(16 << 20).placed(Policy::Interleave(NodeSet::ALL)))?;
/// let pool = Fixed::of(whole).map_err(areas::Error::from)?;
/// let mut area = areas::builder(1 << 20).provider(&pool).private()?;
/// area.fill(1);
/// assert_eq!(pool.free(), 15 << 20);
/// drop(area);
/// assert_eq!(pool.free(), 16 << 20);
/// # Ok::<(), areas::Error>(())
/// ```
#[doc(alias = "umfFixedMemoryProviderOps")]
pub struct Fixed<'m> {
    memory: Arc<Reservation>,
    borrowed: PhantomData<&'m mut [u8]>,
}

impl Fixed<'static> {
    /// Parts of a mapping: private memory that may be read and written, placed and with pages as
    /// its maker asked. What was in it is gone; its pages go back to the kernel, and so they do
    /// when a part is released. (Hugetlb pages stay, and are zeroed for the next part.)
    ///
    /// ```
    /// use areas::provider::Fixed;
    /// use areas::{Policy, Provider, Request, System};
    ///
    /// // One mapping, placed once; its parts take no system call.
    /// let node = areas::allowed_nodes()?.first().unwrap();
    /// let placed = System::new().map(&Request::new(1 << 20).placed(Policy::Bind(node.into())))?;
    /// let pool = Fixed::of(placed)?;
    /// let part = areas::builder(4096).provider(&pool).private()?;
    /// assert_eq!(part.len(), 4096);
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for other mappings: shared memory, files, and what may not be
    /// written. The mapping comes back.
    pub fn of(mapping: Mapping) -> Result<Self, Rejected<Mapping>> {
        Reservation::of_memory(mapping).map(Fixed::over)
    }

    /// Parts of a range of memory: of its whole pages. `owner` is dropped once the provider and all
    /// that came from it are gone, and nothing of the range is used any more: it may unmap or free
    /// it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a range without a whole page.
    ///
    /// # Safety
    /// Until `owner` is dropped (or as long as the process lives, where its drop does nothing):
    /// - all of the range is mapped, readable and writable, and stays so; what it is mapped from
    ///   cannot shrink under it;
    /// - nothing else reads or writes it, in this process or another: it is as good as private
    ///   memory;
    /// - nothing else unmaps it, or changes its protection.
    pub unsafe fn from_raw_parts(
        start: NonNull<u8>,
        len: usize,
        owner: impl Any + Send + Sync,
    ) -> Result<Self> {
        let (base, span) = whole_pages(start, len)?;
        // SAFETY: whole pages (above) of what the caller promises.
        unsafe { Reservation::of_range(base, span, Some(Box::new(owner))) }.map(Fixed::over)
    }
}

impl<'m> Fixed<'m> {
    /// Parts of a slice: of its whole pages. Its bytes are zeros, or what was written to the parts,
    /// when the borrow ends.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a slice without a whole page.
    pub fn borrowed(memory: &'m mut [u8]) -> Result<Self> {
        let (base, span) = whole_pages(NonNull::from(&mut *memory).cast(), memory.len())?;
        // SAFETY: whole pages (above) of a slice that is borrowed exclusively for 'm. What comes
        // out of it as a `Mapping` does so for `'static` alone (the provider), and as `Lent` for no
        // longer than 'm; both are the only ways to use the memory.
        unsafe { Reservation::of_range(base, span, None) }.map(Fixed::over)
    }

    fn over(memory: Arc<Reservation>) -> Self {
        Fixed { memory, borrowed: PhantomData }
    }

    /// Lends `size` zeroed bytes of it, in pages of their own, for as long as the memory is
    /// borrowed. The provider itself may go earlier.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a size of 0, [`ErrorKind::NoMemory`] where no part of it is
    /// free that is large enough.
    pub fn lend(&self, size: usize) -> Result<Lent<'m>> {
        Ok(Lent { mapping: self.take(size, 1)?, borrowed: PhantomData })
    }

    /// The bytes that are free, in whole pages. They need not be in one piece.
    #[must_use]
    pub fn free(&self) -> usize {
        self.memory.free_memory().0
    }

    /// The longest piece that is free.
    #[must_use]
    pub fn largest(&self) -> usize {
        self.memory.free_memory().1
    }

    /// All its bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.memory.span()
    }

    fn take(&self, size: usize, align: usize) -> Result<Mapping> {
        if size == 0 || !align.is_power_of_two() {
            let wrong = if size == 0 { "the size is 0" } else { "the alignment is not a power of two" };
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("take {} of memory that was given", Bytes::from(size)),
            )
            .with_facts(wrong));
        }
        self.memory.take_memory(size, align)
    }
}

/// Bytes of memory that was given, for as long as it is: a part of a [`Fixed`] that goes back when
/// this is dropped.
#[derive(Debug)]
#[must_use = "a part that is dropped goes back"]
pub struct Lent<'m> {
    mapping: Mapping,
    borrowed: PhantomData<&'m mut [u8]>,
}

impl Lent<'_> {
    /// Measures where each of its pages is, as [`Area::residency`](crate::Area::residency) does.
    ///
    /// # Errors
    /// As there.
    pub fn residency(&self) -> Result<Residency> {
        crate::residency::measure(&self.mapping, None, self.mapping.span())
    }
}

impl Deref for Lent<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self.mapping.as_bytes() {
            Ok(bytes) => bytes,
            Err(error) => unreachable!("a part may be read: {error}"),
        }
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self.mapping.as_bytes_mut() {
            Ok(bytes) => bytes,
            Err(error) => unreachable!("a part may be written: {error}"),
        }
    }
}

/// The whole pages of a range.
fn whole_pages(start: NonNull<u8>, len: usize) -> Result<(NonNull<u8>, usize)> {
    let page = PageSize::base().bytes();
    let before = start.addr().get().wrapping_neg() % page;
    let span = len.saturating_sub(before) / page * page;
    if span == 0 {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("make areas out of {len} bytes at {start:p}"),
        )
        .with_facts(format!("they do not contain a whole page of {page} bytes")));
    }
    // SAFETY: `before < len`, since there is a whole page behind it: inside the range.
    Ok((unsafe { start.add(before) }, span))
}

impl Provider for Fixed<'static> {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        let what = || format!("take {} of memory that was given", Bytes::from(request.size()));
        let refused = |detail: String, help: &'static str| {
            Err(Error::new(ErrorKind::Unsupported, what()).with_facts(detail).with_remedy(help))
        };
        if !matches!(request.backing(), Backing::Private) {
            return refused(
                "it is private memory, which no other process can map".to_owned(),
                "ask for a private area, or take shared ones from the kernel: `fixed.or(System::new())`",
            );
        }
        if request.home().is_some() || request.address() != Address::Any {
            return refused("its addresses are those of the memory".to_owned(), "leave the address open");
        }
        if let Some(placement) = request.placement().filter(|placement| !placement.is_default()) {
            return refused(format!("the request wants its pages placed as {placement}"), PLACE_THE_WHOLE);
        }
        if request.placer().is_some() {
            return refused("a layer above places the parts of what it gives".to_owned(), PLACE_THE_WHOLE);
        }
        let page = self.memory.page_of_memory();
        let other = match request.page_request() {
            Pages::Base if page == PageSize::base() => None,
            Pages::Base => Some(PageSize::base()),
            Pages::Pool(wanted) | Pages::PreferPool(wanted) => Some(wanted).filter(|&wanted| wanted != page),
            Pages::Auto => Some(PageSize::HUGE_2M).filter(|&wanted| wanted != page),
        };
        let differs = |wanted: PageSize| {
            Error::new(ErrorKind::Unsupported, what())
                .with_facts(format!("its pages are {page}, and not {wanted}"))
        };
        let exactly = matches!(request.page_request(), Pages::Base | Pages::Pool(_));
        if let Some(wanted) = other.filter(|_| exactly) {
            return Err(differs(wanted).with_remedy("give the provider memory with such pages"));
        }
        let mut mapping = self.take(request.size(), request.alignment())?;
        if let Some(wanted) = other {
            mapping.record_fallback(
                format!("{wanted} hugetlb pages"),
                format!("{page} pages, as the memory has that was given"),
                differs(wanted),
            );
        }
        if request.wanted_protection() != mapping.protection() {
            mapping.protect(request.wanted_protection())?;
        }
        Ok(mapping)
    }
}

impl fmt::Debug for Fixed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fixed({:#x}, {})", self.memory.address(), Bytes::from(self.memory.span()))
    }
}
