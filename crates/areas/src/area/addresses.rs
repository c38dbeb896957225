//! The addresses of a resizable area: asked of its other holders, taken, announced.

use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::{Area, Clonable, reserve};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::{Claim, Reservation};
use crate::object::{Extent, Object};
use crate::registry;

impl<K: Clonable> Area<K> {
    /// For a resizable area that was just published by `what`: takes the addresses that it lacks if
    /// other holders grew it before they could see this one. One `fstat`.
    ///
    /// # Errors
    /// It is withdrawn then. [`ErrorKind::AddressInUse`] where it has grown beyond its addresses
    /// and cannot have more; [`ErrorKind::System`] if the program has closed its descriptor.
    pub(super) fn look_after_joining(&mut self, verb: &str) -> Result<()> {
        let (grown, closed) = {
            let what = || verb.to_owned();
            let steps = Steps::new(self, verb, &what);
            (reserve::joined(&steps, self.mapping.span()), steps.closed.get())
        };
        if grown.is_none() && !closed {
            return Ok(());
        }
        // What is locked has no reserve: the new pages would have to be locked as well.
        let wider = match grown.and_then(|size| self.mapping.page_size().round_up(size)) {
            Some(size) if !closed && self.lock == crate::Lock::None => Some(self.widen(size)),
            _ => None,
        };
        if let Some(Ok(())) = wider {
            self.note_span();
            return Ok(());
        }
        self.publication = None;
        let what = format!("{verb} {self}");
        if closed {
            return Err(crate::object::closed(what));
        }
        let error = Error::new(ErrorKind::AddressInUse, what)
            .with_facts("another holder grew the area concurrently, beyond the addresses of this clone")
            .with_remedy("clone it again");
        Err(match wider {
            Some(Err(cause)) => error.caused_by(cause),
            _ => error,
        })
    }

    /// Announces how many addresses it has now.
    pub(super) fn note_span(&mut self) {
        let span = self.mapping.span();
        self.object.widen(span);
        self.announce(span);
    }

    pub(super) fn announce(&self, span: usize) {
        if let Some(publication) = &self.publication {
            publication.set_extent(span as u64, Extent::Resizable { max: span });
        }
    }

    /// Whether every other published clone has the addresses.
    pub(super) fn ask_others(&self, wanted: usize, what: impl Fn() -> String) -> Result<()> {
        let object = &self.object;
        let (identity, first) = (object.identity(), object.piece().first);
        let listing = registry::list_of(identity)?;
        // Parts of the object may begin at other bytes of it, and those that end before its end do
        // not follow it.
        let wanted = u128::from(first) + wanted as u128;
        let reaches = |record: &registry::Record| u128::from(record.piece.first) + u128::from(record.span);
        let blocked: Vec<String> = listing
            .areas
            .iter()
            .filter(|source| {
                let record = source.record();
                record.piece.limit.is_none() && reaches(record) < wanted
            })
            .filter(|source| {
                !self.publication.as_ref().is_some_and(|publication| publication.is(source.id()))
            })
            .map(|source| format!("area {} in process {}", source.id(), source.pid()))
            .collect();
        if blocked.is_empty() {
            // Who is kept from us is not asked; whom we could ask if we had a descriptor for it
            // must not be passed over.
            return match listing.unreadable.iter().find(|team| team.own_limit) {
                None => Ok(()),
                Some(team) => Err(Error::new(ErrorKind::Limit, what())
                    .with_facts(format!(
                        "process {} may have clones, and cannot be asked: {}",
                        team.pid, team.reason
                    ))
                    .with_remedy(
                        "this takes a few descriptors and some memory: raise the limits, or drop areas",
                    )),
            };
        }
        Err(Error::new(ErrorKind::AddressInUse, what())
            .with_facts(format!("clones have no addresses for it: {}", blocked.join(", ")))
            .with_remedy("create it with a larger maximum, or have these clones dropped and made again"))
    }

    /// Takes the addresses behind.
    pub(super) fn widen(&mut self, span: usize) -> Result<()> {
        self.mapping.extend(span, own_file(&self.object)?)?;
        self.exclude_tail_from_dump(span)
    }

    /// The same, past the end of its reservation and over others: what they were is known to the
    /// claim.
    pub(super) fn cover(&mut self, span: usize, over: &[Arc<Reservation>]) -> Result<Claim> {
        let claim = self.mapping.cover(span, own_file(&self.object)?, over)?;
        match self.exclude_tail_from_dump(span) {
            Ok(()) => Ok(claim),
            Err(error) => {
                self.mapping.uncover(claim);
                Err(error)
            }
        }
    }

    pub(super) fn exclude_tail_from_dump(&mut self, span: usize) -> Result<()> {
        if !self.placement.is_default() {
            self.mapping.place(0..span, &self.placement.whole())?;
        }
        // Where it shrinks again, the new part is a reserve.
        super::exclude_reserve_from_dump(&self.mapping, Some(&self.object), self.undumped);
        Ok(())
    }
}

/// The descriptor to map more of an object with.
fn own_file(object: &Object) -> Result<BorrowedFd<'_>> {
    object.own_fd().map_err(|_| crate::object::closed("take more addresses for an area".to_owned()))
}

/// An area as [`reserve`] sees it.
pub(super) struct Steps<'a, K: Clonable> {
    area: &'a Area<K>,
    whose: &'a str,
    what: &'a dyn Fn() -> String,
    /// Whether a look found that the program has closed the descriptor.
    closed: Cell<bool>,
}

impl<'a, K: Clonable> Steps<'a, K> {
    pub(super) fn new(area: &'a Area<K>, whose: &'a str, what: &'a dyn Fn() -> String) -> Self {
        Steps { area, whose, what, closed: Cell::new(false) }
    }

    pub(super) fn own(&self) -> &Object {
        &self.area.object
    }
}

impl<K: Clonable> reserve::Holder for Steps<'_, K> {
    type Error = Error;

    fn look(&self) -> (usize, bool) {
        let object = self.own();
        self.closed.set(!object.look());
        (object.size_seen(), object.is_uneven())
    }

    fn set_size(&self, size: usize) -> Result<()> {
        self.own().resize(size, self.area.placement.whole(), self.whose)
    }

    fn mark(&self) -> Result<()> {
        self.own().mark_uneven()
    }

    fn announce(&self, span: usize) {
        self.area.announce(span);
    }

    fn ask_others(&self, size: usize) -> Result<()> {
        self.area.ask_others(size, self.what)
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

/// Why the addresses behind could not be had.
pub(super) fn no_room(what: String, error: Error) -> Error {
    let help = match error.kind() {
        ErrorKind::AddressInUse => Some(
            "it cannot grow where it is: make a larger one, or make it inside of a reservation".to_owned(),
        ),
        _ => error.remedy().map(str::to_owned),
    };
    let reported = Error::new(error.kind(), what).with_facts("it has no addresses for that").caused_by(error);
    match help {
        Some(help) => reported.with_remedy(help),
        None => reported,
    }
}
