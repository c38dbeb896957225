//! Areas: made, cloned, found, resized, protected, handed over, deleted.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_char, c_void};
use std::ops::Range;
use std::sync::Arc;

use areas::closed::ClosedLock;
use areas::registry::{self, AtAddress, Source};
use areas::{Address, AreaId, Error, ErrorKind, Lock, Name, Protection, Reservation};

use super::errors::{
    BAD_ADDRESS, BAD_TEAM_ID, BAD_VALUE, ERROR, NAME_NOT_FOUND, NO_MEMORY, NOT_ALLOWED, OK, Status, refused,
    status_of, wrong,
};
use super::layout::{self, NAME_LENGTH};
use super::places::{
    self, Place, Spec, Wish, is_in_user_range, make_somewhere, page, refuse_the_kernels, whole_pages,
};
use super::words::{lock_of, protection_of, without_overcommitting};
use crate::edge::{guarded, is_inside};
use crate::held::{self, Entered, Held, open};
use crate::interposer;

/// The name of a call's argument, cut as BeOS cuts it.
///
/// # Safety
/// As for [`layout::text`].
unsafe fn name_of(name: *const c_char) -> Result<Name, Status> {
    // SAFETY: the caller's promise.
    let text = unsafe { layout::text::<{ NAME_LENGTH - 1 }>(name) };
    let Some((bytes, len)) = text else { return Err(wrong(BAD_ADDRESS, "name an area", "the name is NULL")) };
    Name::new_or_empty(&bytes[..len]).map_err(status_of)
}

/// Writes where an area is to where C wants it.
///
/// # Safety
/// As for [`layout::put`].
unsafe fn tell(address: *mut *mut c_void, held: &Held) {
    // SAFETY: the caller's promise.
    unsafe { layout::put(address, held.as_ptr().cast()) };
}

/// What `create_area` does.
///
/// # Safety
/// As C's.
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
    let held = make_somewhere(&entered, &Wish { size, spec, lock, room: None }, &make);
    let held = held.map_err(|status| match (lock, status) {
        (Lock::None | Lock::Lazy | Lock::Full, _) => status,
        // Page frames that one may not even look at cannot be had.
        (_, ERROR | NOT_ALLOWED) => NO_MEMORY,
        _ => status,
    })?;
    let at = held.as_ptr().cast();
    let id = entered.publish(held, name).map_err(status_of)?;
    // SAFETY: C's promise, as above.
    unsafe { layout::put(address, at) };
    Ok(id)
}

/// A published area, of any team.
pub(super) fn source_of(id: i32) -> Result<Source, Status> {
    registry::join_once();
    AreaId::new(id).and_then(registry::get).map_err(status_of)
}

/// What `clone_area` does.
///
/// # Safety
/// As C's.
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
        let source = settled(&entered, source_of(source)?)?;
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
    // SAFETY: C's promise, as above.
    unsafe { layout::put(address, at) };
    Ok(id)
}

/// How often an area may be cut under a clone that is being made.
const MAX_CUTS: usize = 16;

/// Whether an area has become a part of what it was since it was found.
fn is_cut(source: &Source) -> bool {
    registry::get(source.id()).is_ok_and(|now| {
        now.address() != source.address()
            || now.info().is_ok_and(|now| {
                source.info().is_ok_and(|then| now.offset != then.offset || now.mapped != then.mapped)
            })
    })
}

/// An area as it is: of this team's own, without what the program has unmapped of it.
pub(super) fn settled(entered: &Entered, source: Source) -> Result<Source, Status> {
    if !source.is_own() || source.is_mapped() {
        return Ok(source);
    }
    entered.settle_own(&source).map_err(status_of)?;
    source_of(source.id().get())
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
    make_somewhere(entered, &Wish { size: info.mapped, spec, lock: info.lock, room }, &make)
}

/// Does something with an area of this team's own.
fn with_own<T>(
    id: i32,
    what: &'static str,
    then: impl FnOnce(&Entered, &mut Option<Held>) -> Result<T, Status>,
) -> Result<T, Status> {
    let entered = Entered::new().map_err(status_of)?;
    let source = source_of(id)?;
    if !source.is_own() {
        return Err(wrong(NOT_ALLOWED, what, "it belongs to another team"));
    }
    let place = entered.own(&source).map_err(status_of)?;
    let mut held = open(&place);
    // Another thread may have deleted it, and made another one there.
    if held.as_ref().and_then(Held::id) != Some(source.id()) {
        return Err(wrong(BAD_VALUE, what, "it was deleted concurrently"));
    }
    let mut address = source.address();
    entered.settle(&place, &mut held).map_err(status_of)?;
    let done = match &*held {
        Some(area) => {
            address = area.as_ptr().addr();
            then(&entered, &mut held)
        }
        None => Err(wrong(BAD_VALUE, what, "the program has unmapped all of it, and so it is gone")),
    };
    if held.is_none() {
        entered.forget(address, &place);
    }
    done
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
            Some(Held::Resizable(area)) => places::resize(entered, area, size),
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

/// Where an area is to be handed over to.
#[derive(Clone, Copy)]
struct Target {
    team: i32,
    spec: Spec,
}

/// What `_kern_transfer_area` does. The id that it has from now on; in another team, as soon as
/// that has taken it in.
///
/// # Safety
/// As C's.
unsafe fn transfer(id: i32, address: *mut *mut c_void, spec: u32, team: i32) -> Result<i32, Status> {
    refuse_the_kernels(spec)?;
    // SAFETY: C's promise: NULL or a pointer.
    let wanted = unsafe { layout::wanted(address, "transfer an area") }?;
    let target = Target { team, spec: Spec::new(spec, wanted.addr())? };
    let mut blocked = None;
    // SAFETY: C's promise, as above.
    let attempt = |blocked: &mut _| unsafe { transfer_once(id, address, target, blocked) };
    let done = attempt(&mut blocked);
    match blocked.take() {
        // Not in the middle of that: other areas are looked at, and this one's reserve may be what
        // is there.
        Some(Range { start, end }) => {
            places::make_way(start, end - start).map_err(status_of)?;
            attempt(&mut blocked)
        }
        None => done,
    }
}

/// Tries to. Where addresses of this team are not free that the caller chose, they are reported.
///
/// # Safety
/// As C's.
unsafe fn transfer_once(
    id: i32,
    address: *mut *mut c_void,
    Target { team, mut spec }: Target,
    blocked: &mut Option<Range<usize>>,
) -> Result<i32, Status> {
    with_own(id, "transfer an area", |entered, held| {
        let Some(number) = u32::try_from(team).ok().filter(|&team| team > 0) else {
            return Err(wrong(BAD_TEAM_ID, "transfer an area", "no team has that number: 0 or less"));
        };
        let Some(mut area) = held.take() else { return Err(BAD_VALUE) };
        let span = area.reserve();
        if spec == Spec::Clone {
            spec = Spec::Exact(area.as_ptr().addr());
        }
        // How large it is, is the kernel's to say: it is asked where that makes a difference.
        let mapped = if spec == Spec::Any { 0 } else { area.mapped() };
        let at = match spec.address(mapped) {
            Ok(at) => at,
            Err(status) => {
                *held = Some(area);
                return Err(status);
            }
        };
        let is_here = number == std::process::id();
        let inside = if is_here { places::reserved_place(entered, spec, mapped) } else { None };
        if let (Spec::Exact(start), true) = (spec, is_here)
            && registry::may_overlap(start, mapped)
        {
            // The program has unmapped what is said to be there, or it is in the way.
            entered.look_at(&(start..start + mapped));
        }
        places::trim_for(spec, &mut area);
        match hand_over(area, number, at, inside, held) {
            Ok(Some(id)) => Ok(id.get()),
            Ok(None) => {
                let Some(area) = held.take() else { return Err(ERROR) };
                // SAFETY: C's promise, as above.
                unsafe { tell(address, &area) };
                entered.keep(area).map_err(status_of)
            }
            Err(error) => {
                if let (Spec::Exact(start), true, ErrorKind::AddressInUse | ErrorKind::OutOfRange) =
                    (spec, is_here, error.kind())
                {
                    *blocked = Some(start..start + mapped);
                }
                if let Some(area) = held {
                    places::untrim(area, span);
                }
                Err(status_of(error))
            }
        }
    })
}

/// Hands an area over to addresses of a team, or into reserved addresses of this one: its id there,
/// or `None` where it is this one's again. Then it is put into `here`, as is what could not be
/// handed over.
fn hand_over(
    area: Held,
    team: u32,
    at: Address,
    inside: Option<(Arc<Reservation>, usize)>,
    here: &mut Option<Held>,
) -> Result<Option<AreaId>, Error> {
    macro_rules! hand_over {
        ($area:expr, $kind:path) => {{
            let done = match inside {
                Some((range, offset)) => $area.transfer_inside(&range, offset).map(areas::Transfer::Own),
                None => $area.transfer(team, at),
            };
            match done {
                Ok(areas::Transfer::Own(area)) => {
                    *here = Some($kind(area));
                    Ok(None)
                }
                Ok(areas::Transfer::Given(id)) => Ok(Some(id)),
                // No other outcome is known to this edge: the area is not here any more.
                Ok(_) => Err(Error::new(ErrorKind::System, "transfer an area")),
                Err(rejected) => {
                    *here = Some($kind(rejected.value));
                    Err(rejected.error)
                }
            }
        }};
    }
    match area {
        Held::Resizable(area) => hand_over!(area, Held::Resizable),
        Held::Shared(area) => hand_over!(area, Held::Shared),
        Held::Frozen(area) => hand_over!(area, Held::Frozen),
        // BeOS's calls make none, and none has an id.
        Held::Private(_) | Held::Stored(_) => {
            *here = Some(area);
            Err(Error::new(ErrorKind::Unsupported, "transfer an area"))
        }
    }
}

/// Either way a number.
fn number(result: Result<i32, Status>) -> i32 {
    result.unwrap_or_else(|status| status)
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
    // SAFETY: the caller's promise.
    guarded(ERROR, || number(unsafe { create(name, address, spec, size, lock, protection) }))
}

/// Clones an area.
///
/// # Safety
/// As for [`create_area`].
#[unsafe(no_mangle)]
unsafe extern "C" fn clone_area(
    name: *const c_char,
    address: *mut *mut c_void,
    spec: u32,
    protection: u32,
    source: i32,
) -> i32 {
    // SAFETY: the caller's promise.
    guarded(ERROR, || number(unsafe { clone(name, address, spec, protection, source) }))
}

/// The oldest area of a name.
///
/// # Safety
/// `name` is NULL or a C string.
#[unsafe(no_mangle)]
unsafe extern "C" fn find_area(name: *const c_char) -> i32 {
    guarded(ERROR, || {
        // SAFETY: the caller's promise.
        let text = unsafe { layout::text::<{ NAME_LENGTH - 1 }>(name) };
        let Some((bytes, len)) = text else { return wrong(BAD_ADDRESS, "find an area", "the name is NULL") };
        registry::join_once();
        match find(&bytes[..len]) {
            Ok(id) => id.get(),
            Err(error) => refused(NAME_NOT_FOUND, error),
        }
    })
}

/// The oldest area of a name: of this team's own, one of which the program has not unmapped all.
fn find(name: &[u8]) -> areas::Result<AreaId> {
    for _ in 0..MAX_CUTS {
        let source = registry::find(name)?;
        if !source.is_own() || interposer::is_there() {
            return Ok(source.id());
        }
        registry::ask_by_address();
        match registry::mapped_at(source.address()) {
            AtAddress::Mapped(id) if id == source.id() => return Ok(id),
            _ if source.is_mapped() => return Ok(source.id()),
            _ => Entered::new()?.settle_own(&source)?,
        }
    }
    registry::find(name).map(|source| source.id())
}

/// The caller's own area that holds an address.
#[unsafe(no_mangle)]
extern "C" fn area_for(address: *mut c_void) -> i32 {
    let address = address.addr();
    // Mostly it is known, and there is nothing to guard. In this order: what was taken away before
    // this call is known to be gone by now, or still being looked at.
    if held::is_settled() {
        if interposer::is_there() {
            if let Some(id) = registry::known_id_at(address) {
                return id.get();
            }
        } else if let AtAddress::Mapped(id) = registry::mapped_at(address) {
            return id.get();
        }
    }
    // A handler of a signal that has interrupted a call of the library's in this very thread: that
    // may hold what would be waited for.
    if is_inside() {
        return ERROR;
    }
    guarded(ERROR, || {
        registry::join_once();
        match look_up(address) {
            Ok(id) => id.get(),
            Err(error) => refused(ERROR, error),
        }
    })
}

/// The same, of what is not known without a mutex.
fn look_up(address: usize) -> areas::Result<AreaId> {
    if !held::is_settled() {
        return Entered::new()?.look_for(address);
    }
    let id = registry::id_at(address)?;
    if interposer::is_there() {
        return Ok(id);
    }
    registry::ask_by_address();
    match registry::mapped_at(address) {
        // What is not asked is believed: no descriptor is free at this moment.
        AtAddress::Mapped(id) | AtAddress::NotAsked(id) => Ok(id),
        AtAddress::Elsewhere(_) | AtAddress::Unknown => Entered::new()?.look_for(address),
    }
}

/// Deletes one of the caller's own areas.
#[unsafe(no_mangle)]
extern "C" fn delete_area(id: i32) -> i32 {
    guarded(ERROR, || number(delete(id)))
}

/// Resizes an area and all its clones.
#[unsafe(no_mangle)]
extern "C" fn resize_area(id: i32, size: usize) -> i32 {
    guarded(ERROR, || number(resize(id, size)))
}

/// Changes an area's protection, not its clones'.
#[unsafe(no_mangle)]
extern "C" fn set_area_protection(id: i32, protection: u32) -> i32 {
    guarded(ERROR, || number(protect(id, protection)))
}

/// Hands an area over to a team.
///
/// # Safety
/// `address` is NULL or a pointer to a pointer.
#[unsafe(no_mangle)]
unsafe extern "C" fn _kern_transfer_area(id: i32, address: *mut *mut c_void, spec: u32, team: i32) -> i32 {
    // SAFETY: the caller's promise.
    guarded(ERROR, || number(unsafe { transfer(id, address, spec, team) }))
}
