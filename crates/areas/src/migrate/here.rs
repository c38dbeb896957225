//! Memory that this process has mapped, and whose pages it moves there.

use super::Ground;
use crate::error::Result;
use crate::mapping::Mapping;
use crate::mover::{Mover, UnmovedReason, Wanted};
use crate::nodes::Placement;
use crate::object::Object;
use crate::page::PageSize;
use crate::residency::{self, Residency};
use crate::turns::Origin;
use crate::verify::{self, Verification};

/// The first `len` bytes of a mapping, and the object behind it, if it is one.
pub(crate) struct Here<'a> {
    mapping: &'a mut Mapping,
    object: Option<&'a Object>,
    len: usize,
    mover: Mover,
}

impl<'a> Here<'a> {
    pub(crate) fn new(mapping: &'a mut Mapping, object: Option<&'a Object>, len: usize) -> Self {
        Here { mapping, object, len, mover: Mover::here() }
    }
}

impl Ground for Here<'_> {
    fn measure(&mut self) -> Result<Residency> {
        // This brings what is in RAM into our page tables, too: only those pages can be moved here.
        let found = residency::measure(self.mapping, self.object, self.len)?;
        match self.object {
            // Where the addresses do not match, an object's huge pages are mapped piece by piece,
            // and look like base pages.
            Some(object)
                if object.page_size() == PageSize::base() && first_huge_page(self.mapping, None) != 0 =>
            {
                residency::measure_object(object, self.len)
            }
            _ => Ok(found),
        }
    }

    fn first(&self) -> usize {
        first_huge_page(self.mapping, self.object)
    }

    fn origin(&self) -> Origin {
        Origin::of(self.object, self.mapping.as_ptr().addr(), self.mapping.page_size())
    }

    fn shift(&mut self, batch: &[Wanted]) -> Result<Vec<Option<UnmovedReason>>> {
        let base = self.mapping.as_ptr();
        self.mover.shift(batch, |at| base.wrapping_add(at).cast_const())
    }

    fn place(&mut self, placement: &Placement) -> Result<()> {
        self.mapping.place(0..self.mapping.span(), placement)
    }

    fn verify(&self, residency: &Residency, placement: Placement) -> Verification {
        verify::verify(residency, self.first(), [(0..usize::MAX, placement)].into_iter())
    }
}

/// Where the first huge page of a mapping begins, less whole huge pages: an object's begin at whole
/// ones of its bytes, those of private memory at whole ones of the addresses.
pub(crate) fn first_huge_page(mapping: &Mapping, object: Option<&Object>) -> usize {
    match object {
        Some(_) => 0,
        None => mapping.as_ptr().addr().wrapping_neg() % PageSize::transparent().bytes(),
    }
}
