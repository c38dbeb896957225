//! Areas made and cloned: `create_area`, `clone_area`.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_char, c_void};

use areas::closed::ClosedLock;
use areas::registry::{self, Source};
use areas::{ErrorKind, Lock, Name, Protection};

use super::errors::{
    BAD_ADDRESS, BAD_VALUE, ERROR, NO_MEMORY, NOT_ALLOWED, Status, number, status_of, wrong,
};
use super::finding::{MAX_CUTS, reconciled, source_of};
use super::layout::{self, NAME_LENGTH};
use super::places::{Place, RequestedPolicy, make_somewhere};
use super::spec::{Spec, refuse_the_kernels, whole_pages};
use super::words::{lock_of, protection_of, without_overcommitting};
use crate::edge::catch_panic;
use crate::held::{self, Entered, Held};

/// The name of a call's argument, cut as BeOS cuts it.
///
/// # Safety
/// `name` is NULL, or points to a string that ends with a NUL, or to at least `NAME_LENGTH - 1`
/// bytes.
unsafe fn name_of(name: *const c_char) -> Result<Name, Status> {
    // SAFETY: `name` is NULL, or a string that ends with a NUL (the caller).
    let text = unsafe { layout::text::<{ NAME_LENGTH - 1 }>(name) };
    let Some((bytes, len)) = text else { return Err(wrong(BAD_ADDRESS, "name an area", "the name is NULL")) };
    Name::new_or_empty(&bytes[..len]).map_err(status_of)
}

/// What `create_area` does.
///
/// # Safety
/// `name` is NULL or a C string; `address` is NULL, or points to an address that may be read and
/// written.
unsafe fn create(
    name: *const c_char,
    address: *mut *mut c_void,
    spec: u32,
    size: usize,
    lock: u32,
    protection: u32,
) -> Result<i32, Status> {
    refuse_the_kernels(spec)?;
    let protection = protection_of(without_overcommitting(protection))?;
    // SAFETY: C's promise: NULL or a string.
    let name = unsafe { name_of(name) }?;
    // SAFETY: C's promise: NULL or a pointer.
    let wanted = unsafe { layout::wanted(address, "make an area") }?;
    let spec = Spec::new(spec, wanted.addr())?;
    if spec == Spec::Clone {
        return Err(wrong(BAD_VALUE, "make an area", "only a clone has a source's address"));
    }
    let lock = lock_of(lock)?;
    let size = whole_pages("make an area", size)?;
    let entered = Entered::new().map_err(status_of)?;
    let make = |place: Place<'_>, room: usize| {
        let builder = areas::builder(size).lock(lock).protection(protection);
        let builder = match place {
            Place::At(address) => builder.at(address),
            Place::Inside(range, offset) => builder.inside(range, offset),
        };
        // What demands something of page frames has a fixed size: those next to it cannot be had
        // for the asking.
        Ok(match ClosedLock::from(lock) {
            ClosedLock::None | ClosedLock::Lazy | ClosedLock::Full => {
                held::resizable(builder.resizable(room)?)?
            }
            ClosedLock::Contiguous | ClosedLock::Low | ClosedLock::Full32 | ClosedLock::Contiguous32 => {
                Held::Shared(builder.shared()?)
            }
        })
    };
    let held = make_somewhere(&entered, &RequestedPolicy { size, spec, lock, room: None }, &make);
    let held = held.map_err(|status| match (lock, status) {
        (Lock::None | Lock::Lazy | Lock::Full, _) => status,
        // Page frames that one may not even look at cannot be had.
        (_, ERROR | NOT_ALLOWED) => NO_MEMORY,
        _ => status,
    })?;
    let at = held.as_ptr().cast();
    let id = entered.publish(held, name).map_err(status_of)?;
    // SAFETY: `address` is NULL, or points to room for the value (the caller).
    unsafe { layout::put(address, at) };
    Ok(id)
}

/// What `clone_area` does.
///
/// # Safety
/// `name` is NULL or a C string; `address` is NULL, or points to an address that may be read and
/// written.
unsafe fn clone(
    name: *const c_char,
    address: *mut *mut c_void,
    spec: u32,
    protection: u32,
    source: i32,
) -> Result<i32, Status> {
    refuse_the_kernels(spec)?;
    let protection = protection_of(without_overcommitting(protection))?;
    // SAFETY: C's promise: NULL or a string.
    let name = unsafe { name_of(name) }?;
    // SAFETY: C's promise: NULL or a pointer.
    let wanted = unsafe { layout::wanted(address, "clone an area") }?;
    let mut spec = Spec::new(spec, wanted.addr())?;
    let entered = Entered::new().map_err(status_of)?;
    let at_its_address = spec == Spec::Clone;
    let mut attempts = 0;
    let held = loop {
        let source = reconciled(&entered, source_of(source)?)?;
        let info = source.info().map_err(status_of)?;
        // Where the source is, as many addresses were free there.
        let room = at_its_address.then_some(info.reserve);
        if at_its_address {
            spec = Spec::Exact(source.address());
        }
        match make_clone(&entered, &source, &info, (spec, room), protection) {
            // Its holder has unmapped a part of it just now.
            Err(BAD_VALUE) if attempts < MAX_CUTS && is_cut(&source) => attempts += 1,
            made => break made?,
        }
    };
    let at = held.as_ptr().cast();
    let id = entered.publish(held, name).map_err(status_of)?;
    // SAFETY: `address` is NULL, or points to room for the value (the caller).
    unsafe { layout::put(address, at) };
    Ok(id)
}

fn make_clone(
    entered: &Entered,
    source: &Source,
    info: &registry::Info,
    (spec, room): (Spec, Option<usize>),
    protection: Protection,
) -> Result<Held, Status> {
    let resizable = matches!(info.extent, areas::Extent::Resizable { .. });
    // Within a team a clone may be given more rights later: it is opened with all that the team
    // has.
    let rights = match source.is_own() {
        true => protection | Protection::WRITE,
        false => protection,
    };
    let make = |place: Place<'_>, room: usize| -> areas::Result<Held> {
        let clone = |rights: Protection| -> areas::Result<Held> {
            let builder = source.cloning().protection(rights);
            let builder = match place {
                // As much as the source has, if it gets any.
                Place::At(address) if room > info.mapped => builder.at(address).room(room.max(info.reserve)),
                Place::At(address) => builder.at(address).room(room),
                Place::Inside(range, offset) => builder.inside(range, offset).room(room),
            };
            let mut held = match resizable {
                true => held::resizable(builder.open_resizable()?)?,
                false => Held::Shared(builder.open()?),
            };
            if rights != protection {
                held.protect(protection)?;
            }
            Ok(held)
        };
        clone(rights).or_else(|error| match error.kind() {
            ErrorKind::ReadOnly | ErrorKind::Frozen | ErrorKind::Unreadable if rights != protection => {
                clone(protection)
            }
            _ => Err(error),
        })
    };
    make_somewhere(entered, &RequestedPolicy { size: info.mapped, spec, lock: info.lock, room }, &make)
}

/// Whether an area has become a part of what it was since it was found.
fn is_cut(source: &Source) -> bool {
    registry::get(source.id()).is_ok_and(|now| {
        now.address() != source.address()
            || now.info().is_ok_and(|now| {
                source.info().is_ok_and(|then| now.offset != then.offset || now.mapped != then.mapped)
            })
    })
}

/// Makes an area.
///
/// # Safety
/// `name` is NULL or a C string, `address` NULL or a pointer to a pointer.
#[unsafe(no_mangle)]
unsafe extern "C" fn create_area(
    name: *const c_char,
    address: *mut *mut c_void,
    spec: u32,
    size: usize,
    lock: u32,
    protection: u32,
) -> i32 {
    // SAFETY: `name` is NULL or a C string, `address` NULL or a pointer to a pointer (the caller).
    catch_panic(ERROR, || number(unsafe { create(name, address, spec, size, lock, protection) }))
}

/// Clones an area.
///
/// # Safety
/// `name` is NULL or a C string, `address` NULL or a pointer to a pointer.
#[unsafe(no_mangle)]
unsafe extern "C" fn clone_area(
    name: *const c_char,
    address: *mut *mut c_void,
    spec: u32,
    protection: u32,
    source: i32,
) -> i32 {
    // SAFETY: `name` is NULL or a C string, `address` NULL or a pointer to a pointer (the caller).
    catch_panic(ERROR, || number(unsafe { clone(name, address, spec, protection, source) }))
}
