//! Addresses behind a mapping, all of them taken before anything is mapped there: those that are
//! left of its reservation, what is free behind that, and what other reservations have there.

#![expect(unsafe_code, reason = "owns raw addresses; each block has its proof")]

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;

use super::bare::{RESERVED, still_reserved};
use super::reservation::reserved;
use super::{Mapping, Reservation};
use crate::error::{Error, ErrorKind, Result, pool, remedy};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::size::Bytes;
use crate::sys;
use crate::sys::memory::At;

/// A range of inaccessible addresses that belong to this value alone. Dropped, they are again whose
/// they were.
///
/// # Invariants
/// Each piece is mapped without memory, and was made for, or given up to, this value; together they
/// are `range`, in order.
#[derive(Debug)]
pub(crate) struct Claim {
    range: Range<usize>,
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    /// Free before.
    Free(Range<usize>),
    /// A part of a reservation in which there was nothing.
    Of(Arc<Reservation>, Range<usize>),
}

impl Piece {
    /// The range, if this is a part of that reservation.
    fn of(&self, reservation: &Arc<Reservation>) -> Option<Range<usize>> {
        match self {
            Piece::Of(whose, range) if Arc::ptr_eq(whose, reservation) => Some(range.clone()),
            _ => None,
        }
    }
}

impl Claim {
    /// Takes a range of addresses, in whole pages. What is in one of the reservations, and free
    /// there, is taken out of it.
    ///
    /// # Errors
    /// Nothing has changed then. [`ErrorKind::AddressInUse`] where something is mapped; as for new
    /// mappings.
    pub(super) fn new(range: Range<usize>, reservations: &[Arc<Reservation>]) -> Result<Self> {
        let mut claim = Claim { range: range.start..range.start, pieces: Vec::new() };
        while claim.range.end < range.end {
            let at = claim.range.end;
            let holder = reservations.iter().find(|reservation| reservation.reserves(at));
            let next = match holder {
                Some(reservation) => {
                    let part = at..reservation.end_of_run(at).min(range.end);
                    reservation.give_up(part.clone())?;
                    claim.pieces.push(Piece::Of(reservation.clone(), part.clone()));
                    part.end
                }
                None => {
                    let next =
                        reservations.iter().filter_map(|reservation| reservation.next_reserved(at)).min();
                    let part = at..next.unwrap_or(usize::MAX).min(range.end);
                    let mapping = Mapping::new(&reserved(At::Exactly(at), part.len()))?;
                    // From here on the piece is this value's.
                    let _ = std::mem::ManuallyDrop::new(mapping);
                    claim.pieces.push(Piece::Free(part.clone()));
                    part.end
                }
            };
            claim.range.end = next;
        }
        Ok(claim)
    }

    /// The addresses are another value's from now on.
    pub(crate) fn keep(mut self) {
        self.pieces.clear();
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        for piece in self.pieces.drain(..) {
            match piece {
                Piece::Of(reservation, range) => reservation.take_up(range),
                Piece::Free(range) => {
                    let Some(start) = NonNull::new(std::ptr::without_provenance_mut::<u8>(range.start))
                    else {
                        continue;
                    };
                    // SAFETY: it belongs to this value (invariant), and nothing was ever there.
                    let _ = unsafe { sys::memory::unmap(start, range.len()) };
                }
            }
        }
    }
}

impl Mapping {
    /// Maps what is behind, as [`extend`](Mapping::extend) does, and past the end of its
    /// reservation, and over what these reservations have free there. What it was before is known
    /// for `uncover`, until the claim is kept.
    ///
    /// # Errors
    /// As [`extend`](Mapping::extend): nothing has changed then.
    pub(crate) fn cover(
        &mut self,
        span: usize,
        file: BorrowedFd<'_>,
        over: &[Arc<Reservation>],
    ) -> Result<Claim> {
        let plan = &self.behind(span.saturating_sub(self.span), file);
        let behind = self.base.addr().get().saturating_add(self.span);
        let end = behind.checked_add(plan.span).ok_or_else(|| {
            Error::new(ErrorKind::AddressInUse, format!("map {}", Bytes::from(plan.span)))
                .with_facts("the range ends beyond the addresses of a process")
        })?;
        let mut all: Vec<_> = self.home.iter().cloned().collect();
        all.extend(
            over.iter()
                .filter(|other| self.home.as_ref().is_none_or(|home| !Arc::ptr_eq(home, other)))
                .cloned(),
        );
        let claim = Claim::new(behind..end, &all)?;
        // SAFETY: `base..base+span` is mapped, so that the address behind it is not null.
        let start = unsafe { self.base.add(self.span) };
        // SAFETY: the range is the claim's, where nothing ever was.
        match unsafe { plan.map_over(start, &mut false) } {
            Ok(_) => {
                self.finish(&claim);
                Ok(claim)
            }
            Err(errno) => {
                if !still_reserved(behind, plan.span) {
                    // Removed by the call that failed, and another's by now
                    // (`Reservation::recover`).
                    claim.keep();
                }
                let call =
                    format!("mmap({start:p}, {}, {}, MAP_FIXED)", Bytes::from(plan.span), plan.protection);
                let what = format!("map {} behind an area", Bytes::from(plan.span));
                let error = Error::new(ErrorKind::NoMemory, what).with_system_call(call, errno);
                Err(match plan.page == PageSize::base() {
                    true => remedy::address_space(error, plan.span),
                    false => pool::too_few(error, pool::Wanted::new(plan.page, plan.span)),
                })
            }
        }
    }

    /// The addresses of a claim are the mapping's.
    fn finish(&mut self, claim: &Claim) {
        let more = claim.range.len();
        if let Some(home) = &self.home {
            let own: Vec<_> = claim.pieces.iter().filter_map(|piece| piece.of(home)).collect();
            home.lengthen(self.base, self.span, more, &own);
        }
        self.span += more;
    }

    /// What was covered is again what it was.
    pub(crate) fn uncover(&mut self, claim: Claim) {
        let more = claim.range.len();
        self.span -= more;
        if let Some(home) = &self.home {
            home.shorten(self.base, self.span, more);
        }
        // SAFETY: `span` is less than it was, so that the address lies inside what is the
        // mapping's.
        let start = unsafe { self.base.add(self.span) };
        // SAFETY: the range is the claim's, with what `cover` mapped over it, which is shared
        // memory: nothing of it is lent.
        let cleared =
            unsafe { sys::memory::map_over(start, more, Protection::empty().for_mmap(), RESERVED, None) };
        if cleared.is_err() {
            // Then it cannot be what it was: it goes.
            // SAFETY: the range is the claim's: shared memory, or what the kernel left of it, of
            // which nothing is lent.
            let _ = unsafe { sys::memory::unmap(start, more) };
            claim.keep();
        }
    }
}
