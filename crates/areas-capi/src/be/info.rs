//! The description of areas: one's own and others'.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use areas::registry::{self, Info, Source};
use areas::{Error, ErrorKind};

use super::errors::{
    BAD_ADDRESS, BAD_TEAM_ID, BAD_VALUE, ENTRY_NOT_FOUND, ERROR, OK, Status, refused, status_of, wrong,
};
use super::finding::{reconciled, source_of};
use super::layout::{self, AreaInfo};
use super::words::{bits_of, number_of};
use crate::edge::catch_panic;
use crate::held::Entered;

const WHAT: &str = "describe an area";

/// What is reported of an area: its size and the bytes of it in RAM as the kernel has them now.
fn describe(source: &Source) -> Result<AreaInfo, Status> {
    if let Some((info, resident)) = source.describe_own() {
        return Ok(described(&info, resident));
    }
    // One opening for all that is asked.
    match source.inspect() {
        Ok(look) => Ok(described(look.info(), look.resident().unwrap_or(0))),
        Err(error) if matches!(error.kind(), ErrorKind::NoSuchArea | ErrorKind::Unreadable) => {
            Err(status_of(error))
        }
        // A sandbox, or no descriptor left: what does not take opening it.
        Err(_) => Ok(described(&source.info().map_err(status_of)?, 0)),
    }
}

fn described(info: &Info, resident: u64) -> AreaInfo {
    AreaInfo {
        area: info.id.get(),
        name: layout::field(info.name.as_bytes()),
        size: info.mapped,
        lock: number_of(info.lock),
        protection: bits_of(info.protection),
        team: i32::try_from(info.pid).unwrap_or(-1),
        ram_size: u32::try_from(resident).unwrap_or(u32::MAX),
        copy_count: 0,
        in_count: 0,
        out_count: 0,
        address: info.address,
    }
}

/// Whether a caller knows the structure: it has had one size so far.
fn check(info: *mut AreaInfo, size: usize) -> Result<(), Status> {
    if info.is_null() {
        return Err(wrong(BAD_ADDRESS, WHAT, "the pointer to the structure is NULL"));
    }
    if size != size_of::<AreaInfo>() {
        return Err(wrong(BAD_VALUE, WHAT, "the structure has another size"));
    }
    Ok(())
}

fn get(id: i32, info: *mut AreaInfo, size: usize) -> Result<AreaInfo, Status> {
    check(info, size)?;
    describe(&as_it_is(source_of(id)?)?)
}

/// An area of this team's own without what the program has unmapped of it.
fn as_it_is(source: Source) -> Result<Source, Status> {
    if !source.is_own() || source.is_mapped() {
        return Ok(source);
    }
    reconciled(&Entered::new().map_err(status_of)?, source)
}

/// The area after a cookie, which is the address of the one before.
fn next(team: i32, after: usize) -> Result<AreaInfo, Status> {
    let end = |detail| refused(ENTRY_NOT_FOUND, Error::new(ErrorKind::NoSuchArea, WHAT).with_facts(detail));
    // Haiku's cookie of a walk that has ended: whatever the team is.
    if after == usize::MAX {
        return Err(end("the cookie is that of a walk that has ended"));
    }
    let pid = match u32::try_from(team) {
        Ok(0) => std::process::id(),
        Ok(pid) => pid,
        Err(_) => return Err(wrong(BAD_TEAM_ID, WHAT, "no team has a negative number")),
    };
    registry::join_once();
    let mut after = after;
    loop {
        let found = registry::next(pid, after).map_err(status_of)?;
        let source = found.ok_or_else(|| end("it was the team's last one"))?;
        after = source.address();
        match as_it_is(source).and_then(|source| describe(&source)) {
            // It was dropped concurrently: the next one then.
            Err(BAD_VALUE) => {}
            other => return other,
        }
    }
}

/// The description of an area.
///
/// # Safety
/// `info` is NULL, or points to `size` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn _get_area_info(id: i32, info: *mut AreaInfo, size: usize) -> i32 {
    catch_panic(ERROR, || match get(id, info, size) {
        Ok(found) => {
            // SAFETY: `info` is NULL, or points to `size` writable bytes (the caller), which is the
            // structure's size (checked).
            unsafe { layout::put(info, found) };
            OK
        }
        Err(status) => status,
    })
}

/// The description of a team's next area, in the order of addresses: `ENTRY_NOT_FOUND` after the
/// last.
///
/// # Safety
/// `cookie` is NULL or points to a number; `info` is NULL, or points to `size` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn _get_next_area_info(
    team: i32,
    cookie: *mut isize,
    info: *mut AreaInfo,
    size: usize,
) -> i32 {
    catch_panic(ERROR, || {
        // SAFETY: `cookie` is NULL, or points to a number (the caller).
        let Some(after) = (unsafe { layout::get(cookie) }) else {
            return wrong(BAD_ADDRESS, WHAT, "the pointer to the cookie is NULL");
        };
        let found = check(info, size).and_then(|()| next(team, after.cast_unsigned()));
        match found {
            Ok(found) => {
                // SAFETY: `cookie` is NULL, or points to room for the value (the caller).
                unsafe { layout::put(cookie, found.address.cast_signed()) };
                // SAFETY: `info` is NULL, or points to `size` writable bytes (the caller), which is
                // the structure's size (checked).
                unsafe { layout::put(info, found) };
                OK
            }
            Err(status) => status,
        }
    })
}
