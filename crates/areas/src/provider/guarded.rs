//! A layer that puts inaccessible pages around what it maps.

use std::fmt;

use super::{Address, Provider, Request};
use crate::error::{Error, ErrorKind, Rejected, Result};
use crate::mapping::{Mapping, Reservation};
use crate::page::{PageSize, Pages};
use crate::provider::Backing;
use crate::size::Bytes;

/// Inaccessible pages before and behind each mapping: who runs over the end faults at once, instead
/// of writing into a neighbour.
///
/// They are addresses only, and cost no memory.
#[derive(Clone)]
pub struct Guarded<P> {
    inner: P,
    pages: usize,
}

impl<P> Guarded<P> {
    /// So many base pages before and behind. (Between them and the area there may be more where its
    /// pages are huge.)
    pub const fn new(inner: P, pages: usize) -> Self {
        Guarded { inner, pages }
    }
}

impl<P: Provider> Provider for Guarded<P> {
    fn map(&self, request: &Request<'_>) -> Result<Mapping> {
        let what = || format!("map {} between guard pages", Bytes::from(request.size()));
        if request.home().is_some() || request.address() != Address::Any {
            return Err(Error::new(ErrorKind::Unsupported, what())
                .with_facts("an address was asked for")
                .with_remedy("reserve a larger range, and map into the middle of it"));
        }
        // The largest pages that the request may come to have decide about alignment and room.
        let page = match (request.backing(), request.page_request()) {
            (Backing::Object(object), _) => object.page_size(),
            (_, Pages::Base) => PageSize::base(),
            (_, Pages::Pool(page) | Pages::PreferPool(page)) => page,
            (_, Pages::Auto) => PageSize::HUGE_2M,
        };
        let wanted = match request.backing() {
            Backing::Object(object) => object.span(),
            _ => request.size(),
        };
        let align = page.bytes().max(request.alignment());
        let guard = self
            .pages
            .checked_mul(PageSize::base().bytes())
            .and_then(|guard| guard.checked_next_multiple_of(align));
        let room = guard
            .zip(page.round_up(wanted))
            .and_then(|(guard, span)| span.checked_add(guard.checked_mul(2)?));
        let (Some(guard), Some(room)) = (guard, room) else {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .with_facts("with its guard pages it is more than there are addresses"));
        };
        let reservation = Reservation::new(room, align)?;
        // An area that grows must not grow over them.
        reservation.close(0, guard);
        reservation.close(room - guard, guard);
        // The mapping keeps the reservation, and with it the guards, for as long as it lives.
        self.inner.map(&request.clone().inside(&reservation, guard))
    }

    fn unmap(&self, mapping: Mapping) -> Result<(), Rejected<Mapping>> {
        self.inner.unmap(mapping)
    }
}

impl<P: fmt::Debug> fmt::Debug for Guarded<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}.guarded({})", self.inner, self.pages)
    }
}
