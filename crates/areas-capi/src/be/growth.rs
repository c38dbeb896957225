//! Growth of an area: over ranges that are reserved behind it, and with clones in this very team
//! which have too few addresses. No process can map into another, but each into itself.

use std::sync::MutexGuard;

use areas::{Area, ErrorKind, Lock, Resizable};

use super::ranges;
use super::reserves::with_addresses;
use crate::held::{Entered, Held, Place};

/// Resizes an area. Where its addresses end it may take those behind a reserved range in which it
/// is, and those of ranges that were reserved there; where those of clones in this team do, they
/// are given more.
pub(super) fn resize(entered: &Entered, area: &mut Area<Resizable>, size: usize) -> areas::Result<()> {
    with_addresses(entered, area.lock(), || match resize_alone(entered, area, size) {
        Err(error) if error.kind() == ErrorKind::AddressInUse && size > area.mapped() => {
            resize_with(entered, area, size).unwrap_or(Err(error))
        }
        other => other,
    })
}

/// The same, with what clones have.
fn resize_alone(entered: &Entered, area: &mut Area<Resizable>, size: usize) -> areas::Result<()> {
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

/// A clone that was given addresses, and how many bytes of them it had.
struct Given<'a> {
    held: MutexGuard<'a, Option<Held>>,
    before: usize,
}

impl Given<'_> {
    fn area(&mut self) -> Option<&mut Area<Resizable>> {
        match &mut *self.held {
            Some(Held::Resizable(area)) => Some(area),
            _ => None,
        }
    }

    /// It has again what it had.
    fn take_back(&mut self) {
        let before = self.before;
        if let Some(area) = self.area() {
            area.trim_reserve(before);
        }
    }
}

/// Grows an area once its clones in this team have room for it: those whose addresses end before.
/// `None` where there is no such clone, or one has no room: nothing has changed then.
///
/// # Errors
/// Those of growth, and of locking the new bytes in the clones: nothing has changed.
fn resize_with(entered: &Entered, area: &mut Area<Resizable>, size: usize) -> Option<areas::Result<()>> {
    let places = entered.below(usize::MAX);
    let mut given = give_room(&places, area, size)?;
    let (before, span) = (area.mapped(), area.reserve());
    let mut grown = resize_alone(entered, area, size);
    if grown.is_ok() && area.lock() != Lock::None {
        let locked = given.iter_mut().filter_map(Given::area).try_for_each(Area::lock_grown);
        grown = locked.inspect_err(|_| {
            // To what it was: that takes nothing that it has not.
            let _ = area.resize(before);
            area.trim_reserve(span);
        });
    }
    if grown.is_err() {
        given.iter_mut().for_each(Given::take_back);
    }
    Some(grown)
}

/// Gives clones of an area that lack addresses for `size` bytes of it as many as it takes. `None`
/// where none does, or there is no room behind one.
fn give_room<'a>(places: &'a [Place], area: &Area<Resizable>, size: usize) -> Option<Vec<Given<'a>>> {
    let mut given: Vec<Given<'_>> = Vec::new();
    for place in places {
        // This thread has the area itself. A clone with which another thread is busy
        // stays as it is, and is in the way.
        let Ok(mut held) = place.try_lock() else { continue };
        let Some(Held::Resizable(clone)) = &mut *held else { continue };
        let Some(wanted) = clone.lacks_for(area, size) else { continue };
        let before = clone.reserve();
        if clone.make_room(wanted).is_err() {
            given.iter_mut().for_each(Given::take_back);
            return None;
        }
        given.push(Given { held, before });
    }
    (!given.is_empty()).then_some(given)
}
