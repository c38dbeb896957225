//! What a reservation has where a mapping wants to grow past the end of its own, or over others
//! ([`Claim`](super::super::Claim)). Ranges are of addresses.

use std::ops::Range;
use std::ptr::NonNull;

use super::Reservation;
use crate::error::{Error, ErrorKind, Result};
use crate::size::Bytes;

impl Reservation {
    fn offset(&self, address: usize) -> Option<usize> {
        address.checked_sub(self.address()).filter(|&offset| offset < self.span)
    }

    /// Whether an address is its own: free, or in use.
    pub(in crate::mapping) fn reserves(&self, address: usize) -> bool {
        self.offset(address).is_some_and(|offset| !self.hold().gone.holds(offset))
    }

    /// Where what is at an address ends: the free part, or the part in use.
    pub(in crate::mapping) fn end_of_run(&self, address: usize) -> usize {
        let Some(offset) = self.offset(address) else { return address };
        let parts = self.hold();
        let end = match parts.taken.overlapping(&(offset..offset + 1)) {
            Some(taken) => taken.end,
            None => parts.next(offset).unwrap_or(self.span),
        };
        self.address() + end.min(self.span)
    }

    /// The first address at or behind this one that is its own.
    pub(in crate::mapping) fn next_reserved(&self, address: usize) -> Option<usize> {
        let from = address.saturating_sub(self.address());
        let parts = self.hold();
        let own = parts.gone.parts(from..self.span).into_iter().find(|(_, gone)| !gone);
        own.map(|(range, _)| self.address() + range.start)
    }

    /// Gives a range up to the caller, who owns what is mapped there from now on.
    pub(in crate::mapping) fn give_up(&self, range: Range<usize>) -> Result<()> {
        let part = range.start - self.address()..range.end - self.address();
        let mut parts = self.hold();
        if let Some(other) = parts.in_the_way(&part) {
            return Err(Error::new(
                ErrorKind::AddressInUse,
                format!("map {} behind an area", Bytes::from(range.len())),
            )
            .with_facts(format!(
                "something is mapped in {:#x}..{:#x}, in a reservation",
                self.address() + other.start,
                self.address() + other.end
            )));
        }
        parts.gone.cover(part);
        Ok(())
    }

    /// Takes a range back that was given up, as it was.
    pub(in crate::mapping) fn take_up(&self, range: Range<usize>) {
        self.hold().gone.carve(&(range.start - self.address()..range.end - self.address()));
    }

    /// The part that begins at `base` has `more` bytes from now on, which its mapping owns already.
    /// What of them was the reservation's (given up to the mapping) is so again when it goes; the
    /// rest goes with it.
    pub(in crate::mapping) fn lengthen(
        &self,
        base: NonNull<u8>,
        len: usize,
        more: usize,
        own: &[Range<usize>],
    ) {
        let start = base.addr().get() - self.address();
        let tail = start + len..start + len + more;
        let mut parts = self.hold();
        let removed = parts.taken.remove(&(start..tail.start));
        debug_assert!(removed, "it was taken");
        parts.gone.carve(&tail);
        parts.lost.carve(&tail);
        parts.taken.insert(start..tail.end);
        parts.released.cover(tail);
        for range in own {
            parts.released.carve(&(range.start - self.address()..range.end - self.address()));
        }
    }

    /// Undoes `lengthen`: none of what it added is the reservation's, but what is taken up again.
    pub(in crate::mapping) fn shorten(&self, base: NonNull<u8>, len: usize, more: usize) {
        let start = base.addr().get() - self.address();
        let tail = start + len..start + len + more;
        let mut parts = self.hold();
        let removed = parts.taken.remove(&(start..tail.end));
        debug_assert!(removed, "it was taken");
        parts.taken.insert(start..tail.start);
        parts.released.carve(&tail);
        parts.gone.cover(tail.start.min(self.span)..tail.end.min(self.span));
    }
}
