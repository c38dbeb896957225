//! Finding areas: by name, by id, by address, one after the other.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{CString, c_char, c_int, c_void};

use areas::registry;
use areas::{AreaId, Error, ErrorKind, Name};

use super::errors::{invalid, number, status, text};
use super::info::AreaInfo;
use super::sized::room;
use super::words::{protection_number, time};
use crate::waiting::in_steps;

/// The id of the oldest area of that name that this process may read.
///
/// AREAS_ERROR_NO_SUCH_AREA if there is none, AREAS_ERROR_INVALID_INPUT for NULL or a bad name,
/// AREAS_ERROR_REGISTRY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_find(name: *const c_char) -> i32 {
    number(|| {
        // SAFETY: NULL or a string (C's promise).
        let name = unsafe { text(name, "find an area") }?;
        Ok(registry::find(name.to_bytes())?.id().get())
    })
}

/// Waits until there is an area of that name, and returns its id. A negative time is no timeout. A
/// cancellation point.
///
/// AREAS_ERROR_TIMED_OUT; otherwise as areas_find.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn areas_wait(name: *const c_char, milliseconds: i64) -> i32 {
    let whole = time(milliseconds);
    in_steps(whole, |step| {
        let mut goes_on = false;
        let answer = number(|| {
            // SAFETY: NULL or a string (C's promise).
            let name = unsafe { text(name, "wait for an area") }?.to_bytes();
            match registry::wait(name, step.time) {
                Err(error) if error.kind() == ErrorKind::TimedOut && !step.last => {
                    goes_on = true;
                    Ok(0)
                }
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    Err(Error::new(ErrorKind::TimedOut, format!("wait for area {:?}", Name::new(name)?))
                        .with_facts(format!(
                            "no process published it within {:?}",
                            whole.unwrap_or_default()
                        )))
                }
                found => Ok(found?.id().get()),
            }
        });
        (!goes_on).then_some(answer)
    })
}

/// The id of this process's own published area that holds an address: any byte of its whole pages,
/// not of a reserve.
///
/// AREAS_ERROR_NO_SUCH_AREA if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn areas_at(address: *const c_void) -> i32 {
    // Mostly it is known, and there is nothing to guard.
    if let Some(id) = registry::known_id_at(address.addr()) {
        return id.get();
    }
    number(|| Ok(registry::id_at(address.addr())?.get()))
}

/// Describes the area of that id, whichever process holds it.
///
/// AREAS_ERROR_INVALID_INPUT for a number that no area ever has and a structure that was not begun
/// with AREAS_INFO; AREAS_ERROR_NO_SUCH_AREA, AREAS_ERROR_UNREADABLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_get(id: i32, info: *mut AreaInfo) -> c_int {
    status(|| {
        // SAFETY: NULL, or as many bytes as it says (C's promise).
        let room = unsafe { room(info) }?;
        let reported = AreaInfo::of(&AreaId::new(id).and_then(registry::get)?.info()?);
        // SAFETY: C's structure is the one that `room` looked at, and stays writable until this
        // call returns.
        unsafe { room.fill(&reported) };
        Ok(())
    })
}

/// Describes a process's published area that begins at the lowest address above `after`: 1, or 0 at
/// the end. Start with NULL and continue with the address of the last one.
///
/// AREAS_ERROR_NO_SUCH_TEAM if no live process has that number, AREAS_ERROR_UNREADABLE if it may
/// not be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_next(pid: u32, after: *const c_void, info: *mut AreaInfo) -> c_int {
    number(|| {
        // SAFETY: NULL, or as many bytes as it says (C's promise).
        let room = unsafe { room(info) }?;
        let mut after = after.addr();
        loop {
            let Some(source) = registry::next(pid, after)? else { return Ok(0) };
            match source.info() {
                Ok(info) => {
                    // SAFETY: C's structure is the one that `room` looked at, and stays writable
                    // until this call returns.
                    unsafe { room.fill(&AreaInfo::of(&info)) };
                    return Ok(1);
                }
                // It went between the two calls: on to the next one.
                Err(error) if error.kind() == ErrorKind::NoSuchArea => after = source.address(),
                Err(error) => return Err(error),
            }
        }
    })
}

/// Called with each area. A return value other than 0 ends the walk.
pub type OnArea = Option<unsafe extern "C" fn(info: *const AreaInfo, context: *mut c_void) -> c_int>;

/// Called with each live team that cannot be read: its process, its command's name (empty where
/// that cannot be read), the reason.
pub type OnUnreadable =
    Option<unsafe extern "C" fn(pid: u32, command: *const c_char, why: *const c_char, context: *mut c_void)>;

/// Lists all published areas that can be read, and the teams that cannot be read. Either function
/// may be NULL.
///
/// AREAS_ERROR_REGISTRY if the registry's folder is not as it must be. An empty list is not an
/// error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_list(
    on_area: OnArea,
    on_unreadable: OnUnreadable,
    context: *mut c_void,
) -> c_int {
    status(|| {
        let listing = registry::list()?;
        if let Some(call) = on_unreadable {
            for team in &listing.unreadable {
                let words = |text: &str| CString::new(text).unwrap_or_default();
                let (command, why) =
                    (words(team.command.as_deref().unwrap_or_default()), words(&team.reason));
                // SAFETY: C's own function, with its context, and strings that live as long as the
                // call.
                unsafe { call(team.pid, command.as_ptr(), why.as_ptr(), context) };
            }
        }
        let Some(call) = on_area else { return Ok(()) };
        for source in &listing.areas {
            // What was dropped concurrently is not there.
            let Ok(info) = source.info() else { continue };
            let reported = AreaInfo { struct_size: size_of::<AreaInfo>(), ..AreaInfo::of(&info) };
            // SAFETY: C's own function, with its context, and a structure that lives as long as the
            // call.
            if unsafe { call(&raw const reported, context) } != 0 {
                break;
            }
        }
        Ok(())
    })
}

/// A process that has an area's memory.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Holding {
    /// The process.
    pub pid: u32,
    /// What it may do with the memory through its mappings, all of them together; 0 if it has none.
    pub mapped: u32,
    /// How many descriptors of it it has open.
    pub descriptors: usize,
    /// Its command's name; empty where it cannot be read.
    pub command: *const c_char,
}

/// Called with each holder. A return value other than 0 ends the walk.
pub type OnHolder = Option<unsafe extern "C" fn(holder: *const Holding, context: *mut c_void) -> c_int>;

/// Lists the processes that hold the memory of an area, published or not, as far as this process
/// may inspect them. The memory exists as long as one of them does. Returns how many were listed.
///
/// As areas_get; AREAS_ERROR_INVALID_INPUT if the function is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_holders(id: i32, on_holder: OnHolder, context: *mut c_void) -> c_int {
    number(|| {
        let Some(call) = on_holder else {
            return Err(invalid("list the holders of an area", "the callback is NULL"));
        };
        let source = AreaId::new(id).and_then(registry::get)?;
        let mut count = 0;
        for holder in source.holders() {
            let command = CString::new(holder.command.unwrap_or_default()).unwrap_or_default();
            let holding = Holding {
                pid: holder.pid,
                mapped: holder.mapped.map_or(0, protection_number),
                descriptors: holder.descriptors,
                command: command.as_ptr(),
            };
            count += 1;
            // SAFETY: C's own function, with its context, and a structure that lives as long as the
            // call.
            if unsafe { call(&raw const holding, context) } != 0 {
                break;
            }
        }
        Ok(count)
    })
}

/// Gets how many bytes of the area of that id are in RAM now, whichever process holds it and
/// touched them; swapped ones are not counted.
///
/// As areas_get; AREAS_ERROR_INVALID_INPUT if the pointer is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_resident(id: i32, bytes: *mut u64) -> c_int {
    status(|| {
        if bytes.is_null() {
            return Err(invalid(
                "measure how much of an area is in RAM",
                "the pointer to the number is NULL",
            ));
        }
        let resident = AreaId::new(id).and_then(registry::get)?.resident()?;
        // SAFETY: not NULL (checked), and then room for a number (C's promise).
        unsafe { bytes.write_unaligned(resident) };
        Ok(())
    })
}

/// Whether the area of that id is frozen, so that no process can write it any more: 1 or 0.
/// (areas_get does not look at that.)
///
/// As areas_get.
#[unsafe(no_mangle)]
pub extern "C" fn areas_is_frozen(id: i32) -> c_int {
    number(|| Ok(c_int::from(AreaId::new(id).and_then(registry::get)?.is_frozen()?)))
}
