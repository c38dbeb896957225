//! Addresses behind areas, for growth: as many as there is room for, released where a limit leaves
//! none for what is asked.

use std::sync::atomic::{AtomicBool, Ordering};

use areas::{ErrorKind, Lock, Resizable};

use super::ranges;
use super::spec::{Spec, page};
use crate::held::{Entered, Held};

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
pub(super) fn with_reserve<T>(
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
pub(super) fn with_addresses<T>(
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

/// Releases what areas of ours have reserved and do not use. Whether there was any.
fn give_reserves_back(entered: &Entered) -> bool {
    let mut given = false;
    for place in entered.below(usize::MAX) {
        // The area in whose call we are is another thread's business, or this one's.
        let Ok(mut held) = place.try_lock() else { continue };
        let has_reserve = |held: &Option<Held>| matches!(held, Some(Held::Resizable(area)) if area.reserve() > area.mapped());
        // Only what is its own is released.
        if !has_reserve(&held) || entered.reconcile(&place, &mut held).is_err() {
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
pub(super) fn reserve_behind(area: &mut areas::Area<Resizable>) {
    if area.lock() != Lock::None {
        return;
    }
    let size = area.mapped();
    let mut more = modest_reserve(size);
    while more >= page() && area.widen_reserve(size + more).is_err() {
        more = less(more);
    }
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
