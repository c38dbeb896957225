//! Where areas come to lie: what a program wants, room to grow, reserved ranges.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use areas::{Address, ErrorKind, Lock, PageSize, Reservation, Resizable};

use super::errors::{BAD_ADDRESS, BAD_VALUE, NO_MEMORY, Status, status_of, wrong};
use super::{clones, ranges};
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

/// Refuses the specifications that are the kernel's own (`B_ANY_KERNEL_ADDRESS`,
/// `B_ANY_KERNEL_BLOCK_ADDRESS`): before any pointer is looked at, as Haiku's kernel does.
pub(super) fn refuse_the_kernels(spec: u32) -> Result<(), Status> {
    match spec {
        4 | 5 => Err(wrong(BAD_VALUE, "place an area", "the address specification is the kernel's own")),
        _ => Ok(()),
    }
}

impl Spec {
    /// From the number and the address of a call.
    pub(super) fn new(spec: u32, address: usize) -> Result<Self, Status> {
        Ok(match spec {
            0 => Spec::Any,
            // The kernel has those from the middle on.
            1 if address.cast_signed() < 0 => {
                return Err(wrong(BAD_VALUE, "place an area", "the address is one of the kernel's"));
            }
            1 => Spec::Exact(address),
            2 => Spec::Base(address),
            3 => Spec::Clone,
            6 => Spec::Random,
            7 => Spec::RandomBase(address),
            _ => {
                return Err(wrong(BAD_VALUE, "place an area", "the address specification is unknown"));
            }
        })
    }

    /// In the library's words. An exact range is checked: outside the addresses of a process is
    /// something else than taken.
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
                        "the address is not a multiple of the page size",
                    ));
                }
                Address::Exactly(address)
            }
        })
    }
}

/// Where the addresses of a process end.
const END: usize = 1 << 47;

/// Whether a process can have these addresses: not the first page, and nothing from 2^47 less a
/// page on.
pub(super) fn is_in_user_range(address: usize, size: usize) -> bool {
    let end = END - page();
    address >= page() && address.checked_add(size).is_some_and(|last| last <= end)
}

pub(super) fn page() -> usize {
    PageSize::base().bytes()
}

/// A size in whole pages.
pub(super) fn whole_pages(what: &'static str, size: usize) -> Result<usize, Status> {
    let rounded = size.checked_next_multiple_of(page()).filter(|&size| size > 0);
    let size =
        rounded.ok_or_else(|| wrong(BAD_VALUE, what, "the size is 0, or more than there are addresses"))?;
    if size >= END {
        return Err(wrong(NO_MEMORY, what, "the size is more than a process can have"));
    }
    Ok(size)
}

/// Addresses behind an area that is not locked, for growth without asking anybody: modest, as they
/// count against RLIMIT_AS.
fn modest_reserve(size: usize) -> usize {
    (3 * size).clamp(1 << 20, 64 << 20)
}

/// Whether so many addresses as [`areas::roomy_maximum`] returns were refused once: a limit was set
/// since. Then a modest reserve is asked for at once.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// Tries with as many addresses as there are for an area of this size at any address, then with a
/// modest reserve, and with less and less of it where there is no room.
fn with_reserve<T>(
    size: usize,
    lock: Lock,
    mut make: impl FnMut(usize) -> areas::Result<T>,
) -> areas::Result<T> {
    if lock != Lock::None {
        return make(size);
    }
    let is_for_want_of_room = |error: &areas::Error| {
        matches!(error.kind(), ErrorKind::Limit | ErrorKind::NoMemory | ErrorKind::InvalidInput)
    };
    let roomy = areas::roomy_maximum(size).filter(|_| !REFUSED.load(Ordering::Relaxed));
    if let Some(roomy) = roomy {
        match make(roomy) {
            Err(error) if is_for_want_of_room(&error) => {}
            other => return other,
        }
    }
    let mut more = modest_reserve(size);
    loop {
        match make(size + more) {
            Err(error) if more > 0 && is_for_want_of_room(&error) => more = less(more),
            other => {
                if roomy.is_some() && other.is_ok() {
                    REFUSED.store(true, Ordering::Relaxed);
                }
                return other;
            }
        }
    }
}

/// A quarter of a reserve, in whole pages.
fn less(more: usize) -> usize {
    more / 4 / page() * page()
}

/// Has something done that takes addresses for an area with that lock. Reserves count against a
/// limit of them, and no program has asked for those: where it fails for that, they give way. (For
/// want of an allowance to lock the kernel says the same, and addresses are no help.)
fn with_addresses<T>(
    entered: &Entered,
    lock: Lock,
    mut take: impl FnMut() -> areas::Result<T>,
) -> areas::Result<T> {
    match take() {
        Err(error)
            if lock == Lock::None
                && error.kind() == ErrorKind::Limit
                && error.errno().map(areas::Errno::raw) == Some(libc::ENOMEM)
                && give_reserves_back(entered) =>
        {
            take()
        }
        other => other,
    }
}

/// Resizes an area. Where its addresses end it may take those behind a reserved range in which it
/// is, and those of ranges that were reserved there; where those of clones in this team do, they
/// are given more.
pub(super) fn resize(entered: &Entered, area: &mut areas::Area<Resizable>, size: usize) -> areas::Result<()> {
    with_addresses(entered, area.lock(), || match resize_alone(entered, area, size) {
        Err(error) if error.kind() == ErrorKind::AddressInUse && size > area.mapped() => {
            clones::resize_with(entered, area, size).unwrap_or(Err(error))
        }
        other => other,
    })
}

/// The same, with what clones have.
pub(super) fn resize_alone(
    entered: &Entered,
    area: &mut areas::Area<Resizable>,
    size: usize,
) -> areas::Result<()> {
    match area.resize(size) {
        Err(error) if error.kind() == ErrorKind::AddressInUse && size > area.reserve() => {
            let start = area.as_ptr().addr();
            let behind = start + area.reserve()..start.saturating_add(size);
            let ranges = ranges::overlapping(entered, &behind);
            let resized = area.resize_over(size, &ranges);
            ranges::forget_released(entered, &ranges);
            resized
        }
        other => other,
    }
}

/// Releases what areas of ours have reserved and do not use. Whether there was any.
fn give_reserves_back(entered: &Entered) -> bool {
    let mut given = false;
    for place in entered.below(usize::MAX) {
        // The area in whose call we are is another thread's business, or this one's.
        let Ok(mut held) = place.try_lock() else { continue };
        let has_reserve = |held: &Option<Held>| matches!(held, Some(Held::Resizable(area)) if area.reserve() > area.mapped());
        // Only what is its own is released.
        if !has_reserve(&held) || entered.settle(&place, &mut held).is_err() {
            continue;
        }
        let Some(Held::Resizable(area)) = &mut *held else { continue };
        let (mapped, before) = (area.mapped(), area.reserve());
        if area.lock() == Lock::None
            && before > mapped
            && ranges::holding(entered, area.as_ptr().addr()).is_none()
        {
            area.trim_reserve(mapped);
            given |= area.reserve() < before;
        }
    }
    given
}

/// Takes as much of the modest reserve behind an area at a chosen address as there is room for.
fn reserve_behind(area: &mut areas::Area<Resizable>) {
    if area.lock() != Lock::None {
        return;
    }
    let size = area.mapped();
    let mut more = modest_reserve(size);
    while more >= page() && area.widen_reserve(size + more).is_err() {
        more = less(more);
    }
}

/// Has an area, or a range, at exact addresses made by `make`; reserves of our own areas that lie
/// there give way.
pub(super) fn at_exact<T>(
    entered: &Entered,
    address: usize,
    size: usize,
    make: impl Fn() -> areas::Result<T>,
) -> areas::Result<T> {
    match make() {
        Err(error) if error.kind() == ErrorKind::AddressInUse => {
            // Of an area that the program has unmapped nothing is in the way, not its reserve
            // either.
            entered.look_at(&(address..address.saturating_add(size)));
            clear(entered, address, size);
            make()
        }
        other => other,
    }
}

/// Releases what areas of ours have reserved in a range, but do not use. Whether there was any.
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
            // Only what is its own is released.
            if entered.settle(&place, &mut held).is_err() {
                continue;
            }
            if let Some(Held::Resizable(area)) = &mut *held
                && area.as_ptr().addr() == start
                && start + area.reserve() > address
            {
                area.trim_reserve(address - start);
            }
            cleared = true;
        }
    }
    cleared
}

/// Before an area is handed over to addresses that the caller chooses: there it shall not have more
/// of them than a modest reserve.
pub(super) fn trim_for(spec: Spec, held: &mut Held) {
    if let (Spec::Exact(_) | Spec::Base(_) | Spec::RandomBase(_), Held::Resizable(area)) = (spec, held)
        && area.lock() == Lock::None
    {
        area.trim_reserve(area.mapped() + modest_reserve(area.mapped()));
    }
}

/// It was not: it has again what it had.
pub(super) fn untrim(held: &mut Held, span: usize) {
    if let Held::Resizable(area) = held
        && area.reserve() < span
    {
        // Another thread may have something there by now.
        let _ = area.widen_reserve(span);
    }
}

/// Has addresses that an area is to be moved to looked at, and what areas of ours have reserved of
/// them released: for a thread that is in the middle of nothing with any area.
pub(super) fn make_way(address: usize, size: usize) -> areas::Result<()> {
    let entered = Entered::new()?;
    entered.look_at(&(address..address.saturating_add(size)));
    clear(&entered, address, size);
    Ok(())
}

/// Releases all that areas of ours have reserved in a range, and do not use.
pub(super) fn clear_reserves(entered: &Entered, range: &Range<usize>) {
    for place in entered.below(range.end) {
        let mut held = open(&place);
        let Some(Held::Resizable(area)) = &mut *held else { continue };
        let start = area.as_ptr().addr();
        if start + area.reserve() <= range.start {
            break;
        }
        let kept = area.mapped().max(range.start.saturating_sub(start));
        if area.lock() == Lock::None && start + kept < range.end {
            area.trim_reserve(kept);
        }
    }
}

/// How a new area or a clone is made, once its addresses are decided.
pub(super) struct Wish {
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
pub(super) fn make_somewhere(entered: &Entered, wish: &Wish, make: &Make<'_>) -> Result<Held, Status> {
    let &Wish { size, spec, lock, room } = wish;
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
