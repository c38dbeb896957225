//! Reserves that lie in the way of an area at exact addresses: they give way.

use std::ops::Range;

use areas::{ErrorKind, Lock};

use crate::held::{self, Entered, Held, open};

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
pub(super) fn clear(entered: &Entered, address: usize, size: usize) -> bool {
    let mut cleared = false;
    for place in entered.below(address.saturating_add(size)) {
        let mut held = open(&place);
        let Some(area) = &*held else { continue };
        let start = area.as_ptr().addr();
        if start + area.reserve() <= address {
            match held::is_moved() {
                true => continue,
                false => break,
            }
        }
        // Only what is its own is released.
        let reconciled = entered.reconcile(&place, &mut held);
        let Some(Held::Resizable(area)) = &mut *held else { continue };
        if reconciled.is_ok()
            && area.lock() == Lock::None
            && address > start
            && start + area.mapped() <= address
        {
            if area.as_ptr().addr() == start && start + area.reserve() > address {
                area.trim_reserve(address - start);
            }
            cleared = true;
        }
    }
    cleared
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
            match held::is_moved() {
                true => continue,
                false => break,
            }
        }
        let kept = area.mapped().max(range.start.saturating_sub(start));
        if area.lock() == Lock::None && start + kept < range.end {
            area.trim_reserve(kept);
        }
    }
}
