//! A team's own areas: resized, protected, deleted.

#![expect(unsafe_code, reason = "the C edge: names that C links to")]

use areas::ErrorKind;

use super::errors::{BAD_VALUE, ERROR, NOT_ALLOWED, OK, Status, number, refused, status_of, wrong};
use super::finding::source_of;
use super::growth;
use super::spec::{is_in_user_range, page};
use super::words::protection_of;
use crate::edge::catch_panic;
use crate::held::{Entered, Held};

/// Does something with an area of this team's own.
fn with_own<T>(
    id: i32,
    what: &'static str,
    then: impl FnOnce(&Entered, &mut Option<Held>) -> Result<T, Status>,
) -> Result<T, Status> {
    let entered = Entered::new().map_err(status_of)?;
    with_own_of(&entered, id, what, |held| then(&entered, held))
}

/// The same, for a call that has entered.
pub(super) fn with_own_of<T>(
    entered: &Entered,
    id: i32,
    what: &'static str,
    then: impl FnOnce(&mut Option<Held>) -> Result<T, Status>,
) -> Result<T, Status> {
    let source = source_of(id)?;
    if !source.is_own() {
        return Err(wrong(NOT_ALLOWED, what, "it belongs to another team"));
    }
    let done = entered.with(&source, |place, held| {
        entered.reconcile(place, held).map_err(status_of)?;
        let Some(address) = held.as_ref().map(|area| area.as_ptr().addr()) else {
            return Err(wrong(BAD_VALUE, what, "the program has unmapped all of it, and so it is gone"));
        };
        let done = then(held);
        if held.is_none() {
            entered.forget(address, place);
        }
        done
    });
    done.map_err(status_of)?
}

fn delete(id: i32) -> Result<Status, Status> {
    with_own(id, "delete an area", |_, held| {
        if let Some(area) = held.take() {
            area.discard();
        }
        Ok(OK)
    })
}

fn resize(id: i32, size: usize) -> Result<Status, Status> {
    if size == 0 || !size.is_multiple_of(page()) {
        return Err(wrong(BAD_VALUE, "resize an area", "the size is 0, or not in whole pages"));
    }
    with_own(id, "resize an area", |entered, held| {
        // Before the memory: where the area is, there are no addresses for it, however much there
        // is.
        if !held.as_ref().is_some_and(|area| is_in_user_range(area.as_ptr().addr(), size)) {
            return Err(wrong(ERROR, "resize an area", "it would end beyond the addresses of a process"));
        }
        if let Some(area) = held {
            let start = area.as_ptr().addr();
            entered.notice_growth(&(start + area.reserve()..start.saturating_add(size)));
        }
        let done = match held {
            Some(Held::Resizable(area)) => growth::resize(entered, area, size),
            Some(Held::Shared(area)) if area.mapped() <= size => area.grow(size),
            _ => {
                return Err(wrong(ERROR, "resize an area", "it was made with a fixed size, or to grow only"));
            }
        };
        // "No memory" is final; with "address space blocked" a program tries elsewhere.
        done.map(|()| OK).map_err(|error| match error.kind() {
            ErrorKind::AddressInUse | ErrorKind::InvalidInput => refused(ERROR, error),
            _ => status_of(error),
        })
    })
}

fn protect(id: i32, protection: u32) -> Result<Status, Status> {
    let protection = protection_of(protection)?;
    with_own(id, "protect an area", |_, held| {
        let Some(held) = held else { return Err(BAD_VALUE) };
        held.protect(protection).map(|()| OK).map_err(status_of)
    })
}

/// Deletes one of the caller's own areas.
#[unsafe(no_mangle)]
pub(super) extern "C" fn delete_area(id: i32) -> i32 {
    catch_panic(ERROR, || number(delete(id)))
}

/// Resizes an area and all its clones.
#[unsafe(no_mangle)]
pub(super) extern "C" fn resize_area(id: i32, size: usize) -> i32 {
    catch_panic(ERROR, || number(resize(id, size)))
}

/// Changes an area's protection, not its clones'.
#[unsafe(no_mangle)]
extern "C" fn set_area_protection(id: i32, protection: u32) -> i32 {
    catch_panic(ERROR, || number(protect(id, protection)))
}
