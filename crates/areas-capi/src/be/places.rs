//! Where areas come to lie: what a program wants, room to grow, reserved ranges.

use std::sync::Arc;

use areas::{Address, Kind, Lock, PageSize, Reservation, Resizable};

use super::errors::{BAD_ADDRESS, BAD_VALUE, Status, status_of, wrong};
use super::ranges;
use crate::held::{Entered, Held, open};

/// Where a program wants an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spec {
    Any,
    Exact(usize),
    Base(usize),
    /// Where the source is.
    Clone,
    Random,
    RandomBase(usize),
}

impl Spec {
    /// From the number and the address of a call.
    pub(super) fn new(spec: u32, address: usize) -> Result<Self, Status> {
        Ok(match spec {
            0 => Spec::Any,
            1 => Spec::Exact(address),
            2 => Spec::Base(address),
            3 => Spec::Clone,
            6 => Spec::Random,
            7 => Spec::RandomBase(address),
            _ => {
                return Err(wrong(
                    BAD_VALUE,
                    "place an area",
                    "the address specification is unknown, or the kernel's own",
                ));
            }
        })
    }

    /// In the library's words. An exact range is checked: outside the addresses of a process is something else than taken.
    pub(super) fn address(self, size: usize) -> Result<Address, Status> {
        Ok(match self {
            Spec::Any | Spec::Clone => Address::Any,
            Spec::Base(hint) => Address::AtOrAbove(hint),
            Spec::Random => Address::Random,
            Spec::RandomBase(lowest) => Address::RandomAtOrAbove(lowest),
            Spec::Exact(address) => {
                if !is_in_user_range(address, size) {
                    return Err(wrong(
                        BAD_ADDRESS,
                        "place an area",
                        "it is outside the addresses of a process",
                    ));
                }
                if !address.is_multiple_of(page()) {
                    return Err(wrong(
                        BAD_VALUE,
                        "place an area",
                        "the address is no multiple of the page size",
                    ));
                }
                Address::Exactly(address)
            }
        })
    }
}

/// Whether a process can have these addresses: not the first page, and nothing from 2^47 less a page on.
fn is_in_user_range(address: usize, size: usize) -> bool {
    let end = (1_usize << 47) - page();
    address >= page() && address.checked_add(size).is_some_and(|last| last <= end)
}

pub(super) fn page() -> usize {
    PageSize::base().bytes()
}

/// Addresses behind an area that is not locked, for growth without asking anybody: modest, as they count against RLIMIT_AS.
fn modest_reserve(size: usize) -> usize {
    (3 * size).clamp(1 << 20, 64 << 20)
}

/// Tries with a reserve, and if there is no room for it, without.
fn with_reserve<T>(
    size: usize,
    lock: Lock,
    mut make: impl FnMut(usize) -> areas::Result<T>,
) -> areas::Result<T> {
    if lock != Lock::None {
        return make(size);
    }
    make(size + modest_reserve(size)).or_else(|error| match error.kind() {
        Kind::Limit | Kind::NoMemory | Kind::InvalidInput => make(size),
        _ => Err(error),
    })
}

/// Takes as much of the modest reserve behind an area at a chosen address as there is room for.
fn reserve_behind(area: &mut areas::Area<Resizable>) {
    if area.lock() != Lock::None {
        return;
    }
    let size = area.mapped();
    let mut more = modest_reserve(size);
    while more >= page() && area.widen_reserve(size + more).is_err() {
        more /= 4;
    }
}

/// Has an area at exact addresses made by `make`; reserves of our own areas that lie there give way.
fn at_exact<T>(
    entered: &Entered,
    address: usize,
    size: usize,
    make: impl Fn() -> areas::Result<T>,
) -> areas::Result<T> {
    match make() {
        Err(error) if error.kind() == Kind::AddressInUse && clear(entered, address, size) => make(),
        other => other,
    }
}

/// Gives back what areas of ours have reserved in a range, but do not use. Whether there was any.
fn clear(entered: &Entered, address: usize, size: usize) -> bool {
    let mut cleared = false;
    for place in entered.below(address.saturating_add(size)) {
        let mut held = open(&place);
        let Some(Held::Resizable(area)) = &mut *held else { continue };
        let start = area.as_ptr().addr();
        if start + area.reserve() <= address {
            break;
        }
        if area.lock() == Lock::None && address > start && start + area.mapped() <= address {
            area.trim_reserve(address - start);
            cleared = true;
        }
    }
    cleared
}

/// How a new area or a clone is made, once its addresses are decided.
pub(super) struct Wish {
    pub(super) size: usize,
    pub(super) spec: Spec,
    pub(super) lock: Lock,
}

/// What makes an area at an address with room to grow, or inside reserved addresses.
pub(super) type Make<'a> = dyn Fn(Place<'_>, usize) -> areas::Result<Held> + 'a;

pub(super) enum Place<'a> {
    At(Address),
    Inside(&'a Arc<Reservation>, usize),
}

/// Finds room, and has the area made there.
pub(super) fn make_somewhere(entered: &Entered, wish: &Wish, make: &Make<'_>) -> Result<Held, Status> {
    let &Wish { size, spec, lock } = wish;
    let address = spec.address(size)?;
    let room_in = |room: usize| if lock == Lock::None { room } else { size };
    let wanted = match spec {
        Spec::Exact(address) | Spec::Base(address) => Some(address),
        _ => None,
    };
    if let Some((range, offset)) = wanted.and_then(|at| ranges::holding(entered, at)) {
        let fits = |offset: usize| range.room_at(offset) >= size;
        let exact = matches!(spec, Spec::Exact(_));
        let at = range.address() + offset;
        if exact && !fits(offset) {
            clear(entered, at, size);
        }
        // At or above: the first free place of the reserved range.
        let place = match exact {
            true => Some(offset),
            false => {
                (offset.next_multiple_of(page())..range.span()).step_by(page()).find(|&offset| fits(offset))
            }
        };
        if let Some(offset) = place {
            let room = room_in(range.room_at(offset).max(size));
            return make(Place::Inside(&range, offset), room).map_err(status_of);
        }
    }
    let held = match spec {
        Spec::Exact(exact) => at_exact(entered, exact, size, || make(Place::At(address), size)),
        Spec::Base(_) => make(Place::At(address), size),
        _ => with_reserve(size, lock, |room| make(Place::At(address), room)),
    };
    let mut held = held.map_err(status_of)?;
    if let (Held::Resizable(area), Some(_)) = (&mut held, wanted) {
        reserve_behind(area);
    }
    Ok(held)
}
