//! Where areas come to lie: at an address, with room to grow, or inside a reserved range.

use std::sync::Arc;

use areas::{Address, Lock, Reservation};

use super::clearing::{at_exact, clear};
use super::errors::{Status, status_of};
use super::ranges;
use super::reserves::{reserve_behind, with_addresses, with_reserve};
use super::spec::{Spec, page};
use crate::held::{Entered, Held};

/// How a new area or a clone is made, once its addresses are decided.
pub(super) struct RequestedPolicy {
    pub(super) size: usize,
    pub(super) spec: Spec,
    pub(super) lock: Lock,
    /// How many bytes of addresses it shall have if they are free, at exact addresses: those that
    /// its source has.
    pub(super) room: Option<usize>,
}

/// What makes an area at an address with room to grow, or inside reserved addresses.
pub(super) type Make<'a> = dyn Fn(Place<'_>, usize) -> areas::Result<Held> + 'a;

pub(super) enum Place<'a> {
    At(Address),
    Inside(&'a Arc<Reservation>, usize),
}

/// Where in a reserved range an area of `size` bytes is to be: at the exact address, whatever is
/// there; at or above a base, at the first free place of the range that has it. `None` where that
/// is not reserved, or all of it taken.
pub(super) fn reserved_place(
    entered: &Entered,
    spec: Spec,
    size: usize,
) -> Option<(Arc<Reservation>, usize)> {
    let (Spec::Exact(wanted) | Spec::Base(wanted)) = spec else { return None };
    let (range, offset) = ranges::holding(entered, wanted)?;
    let fits = |offset: &usize| range.room_at(*offset) >= size;
    let offset = match spec {
        Spec::Exact(_) => Some(offset),
        _ => (offset.next_multiple_of(page())..range.span()).step_by(page()).find(fits),
    };
    offset.map(|offset| (range, offset))
}

/// Finds room, and has the area made there.
pub(super) fn make_somewhere(
    entered: &Entered,
    wish: &RequestedPolicy,
    make: &Make<'_>,
) -> Result<Held, Status> {
    let &RequestedPolicy { size, spec, lock, room } = wish;
    let address = spec.address(size)?;
    let room_in = |room: usize| if lock == Lock::None { room } else { size };
    let wanted = match spec {
        Spec::Exact(address) | Spec::Base(address) => Some(address),
        _ => None,
    };
    if let Some((range, offset)) = reserved_place(entered, spec, size) {
        if range.room_at(offset) < size {
            let at = range.address() + offset;
            entered.look_at(&(at..at + size));
            clear(entered, at, size);
        }
        let room = room_in(range.room_at(offset).max(size));
        return make(Place::Inside(&range, offset), room).map_err(status_of);
    }
    if let (Spec::Exact(_), Lock::None, Some(room)) = (spec, lock, room.filter(|&room| room > size))
        && let Ok(held) = make(Place::At(address), room)
    {
        return Ok(held);
    }
    let held = match spec {
        Spec::Exact(exact) => with_addresses(entered, lock, || {
            at_exact(entered, exact, size, || make(Place::At(address), size))
        }),
        Spec::Base(_) => with_addresses(entered, lock, || make(Place::At(address), size)),
        _ => {
            with_addresses(entered, lock, || with_reserve(size, lock, |room| make(Place::At(address), room)))
        }
    };
    let mut held = held.map_err(status_of)?;
    if let (Held::Resizable(area), Some(_)) = (&mut held, wanted) {
        reserve_behind(area);
    }
    Ok(held)
}
