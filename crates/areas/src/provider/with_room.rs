//! Mapping an object that has a reserve where there may be no room for all of it: an area that
//! moves to other addresses or another process takes its bytes along, and of its reserve what fits.

use std::sync::Arc;

use super::{Address, Provider, Request, System};
use crate::error::{ErrorKind, Result};
use crate::mapping::{Mapping, Reservation};
use crate::nodes::Placement;
use crate::object::{Extent, Object};
use crate::protection::Protection;

/// Where an object is to be mapped, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddressRequest<'a> {
    pub(crate) address: Address,
    /// In which reservation, and where in it: then the address does not count.
    pub(crate) home: Option<(&'a Arc<Reservation>, usize)>,
    pub(crate) protection: Protection,
    /// For hugetlb pages.
    pub(crate) placement: Option<Placement>,
}

impl AddressRequest<'_> {
    fn map(&self, object: &Object) -> Result<Mapping> {
        let mut request = Request::object(object).at(self.address).protection(self.protection);
        if let Some((reservation, offset)) = self.home {
            request = request.inside(reservation, offset);
        }
        if let Some(placement) = self.placement {
            request = request.placed(placement);
        }
        System::new().map(&request)
    }
}

/// Maps an object. Where a resizable one has no room for its reserve, it is mapped with less of it,
/// and the object says how much ([`Object::span`]): at chosen addresses as much as is free there;
/// none where addresses are limited.
///
/// Its holders are marked as having different reserves before it returns; publishing the smaller
/// one, and the look at the size behind that, is up to the caller (`area/reserve.rs`).
///
/// # Errors
/// Those of mapping its bytes alone. The object says what it said before.
pub(crate) fn map_with_room(object: &mut Object, wish: &AddressRequest<'_>) -> Result<Mapping> {
    let error = match wish.map(object) {
        Ok(mapping) => return Ok(mapping),
        Err(error) => error,
    };
    let is_blocked = match wish.home {
        // It ends there, or something else is in it.
        Some(_) => matches!(error.kind(), ErrorKind::OutOfRange | ErrorKind::AddressInUse),
        None => error.kind() == ErrorKind::AddressInUse && matches!(wish.address, Address::Exactly(_)),
    };
    let is_limited = matches!(error.kind(), ErrorKind::Limit | ErrorKind::NoMemory);
    let (span, page) = (object.span(), object.page_size().bytes());
    let used = object.size_in_pages().max(page);
    let has_reserve =
        matches!(object.extent(), Extent::Resizable { .. }) && !object.is_capped() && used < span;
    if !(is_blocked || is_limited) || !has_reserve {
        return Err(error);
    }
    object.mark_uneven()?;
    object.widen(used);
    let mut mapping = wish.map(object).inspect_err(|_| object.widen(span))?;
    if !is_limited {
        take_free(&mut mapping, object, span);
        if let Some(placement) = &wish.placement {
            let whole = 0..mapping.span();
            mapping.place(whole, placement).inspect_err(|_| object.widen(span))?;
        }
    }
    object.widen(mapping.span());
    Ok(mapping)
}

/// Takes the free addresses behind a mapping, `span` bytes at most in all.
fn take_free(mapping: &mut Mapping, object: &Object, span: usize) {
    let page = object.page_size().bytes();
    let Ok(fd) = object.own_fd() else { return };
    let pages = span.saturating_sub(mapping.span()) / page;
    // The largest number of pages that fits, bit by bit.
    let mut more = pages.checked_ilog2().map_or(0, |bits| 1_usize << bits);
    while more > 0 {
        let wanted = mapping.span() + more * page;
        if wanted <= span {
            // What is not free stays whose it is.
            let _ = mapping.extend(wanted, fd);
        }
        more /= 2;
    }
}
