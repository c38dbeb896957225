//! Areas that change hands: transferred to another team, sent over a socket.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};
use std::os::fd::BorrowedFd;

use areas::registry;
use areas::{Area, Error, Kind, Rejected, Result, Transfer};

use super::area::{Any, Handle, handle, look};
use super::errors::{invalid, made, made_or_not_yet, number, status};
use super::words::{self, time};
use crate::waiting::{in_steps, wait_for_bytes};

/// Hands a published area over to another team, a process, and keeps nothing: the same memory, name, protection and lock, a new id,
/// at addresses of the given form there. The handle holds nothing from then on: release it. (To one's own process it moves at
/// once, and the handle holds it as before.)
///
/// The other team has it at its next call that looks at the registry; until then the kernel holds it, and this process may end.
/// Where it fails, the area is as it was. AREAS_ERROR_NO_SUCH_TEAM: no such process, or it holds no areas and has not called areas_join.
/// AREAS_ERROR_INVALID_INPUT: the area is not published, or the form means nothing. AREAS_ERROR_UNSUPPORTED: private and low areas.
/// AREAS_ERROR_ADDRESS_IN_USE, AREAS_ERROR_BUSY, AREAS_ERROR_UNREADABLE, AREAS_ERROR_LIMIT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_transfer(
    area: *mut Handle,
    pid: u32,
    address_form: u32,
    address: *mut c_void,
) -> c_int {
    status(|| {
        const WHAT: &str = "transfer an area";
        // SAFETY: C's promise.
        let handle = unsafe { handle(area, WHAT) }?;
        let Some(address) = words::address(address_form, address)? else {
            return Err(invalid(WHAT, "only a clone has a source's address"));
        };
        macro_rules! transfer {
            ($area:expr, $kind:path) => {
                match $area.transfer(pid, address) {
                    Ok(Transfer::Own(area)) => (Some($kind(area)), Ok(())),
                    Ok(_) => (None, Ok(())),
                    Err(Rejected { error, value }) => (Some($kind(value)), Err(error)),
                }
            };
        }
        let (left, done) = match handle.take(WHAT)? {
            Any::Private(area) => {
                let error = Error::new(Kind::Unsupported, WHAT).detail("it is private memory");
                (Some(Any::Private(area)), Err(error))
            }
            Any::Shared(area) => transfer!(area, Any::Shared),
            Any::Resizable(area) => transfer!(area, Any::Resizable),
            Any::Frozen(area) => transfer!(area, Any::Frozen),
        };
        if let Some(area) = left {
            handle.put_back(area);
        }
        done
    })
}

/// Joins the registry without an area, so that others can transfer areas to this process. Whoever has published one has joined.
///
/// AREAS_ERROR_REGISTRY, AREAS_ERROR_LIMIT, AREAS_ERROR_NOT_PERMITTED.
#[unsafe(no_mangle)]
pub extern "C" fn areas_join() -> c_int {
    status(registry::join)
}

/// Waits until another team has transferred an area to this process, and takes it. A negative time is for ever, 0 only looks. `from`,
/// unless NULL, is told the process that gave it. NULL if none came. (BeOS's calls take what came for themselves.) A cancellation
/// point.
///
/// AREAS_ERROR_TIMED_OUT; AREAS_ERROR_LIMIT and others as for new areas, if one came and cannot be had: areas_refuse drops it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn areas_take(milliseconds: i64, from: *mut u32) -> *mut Handle {
    let whole = time(milliseconds);
    in_steps(whole, |step| {
        made_or_not_yet(|| {
            let transferred = match registry::wait_transferred(step.time) {
                Err(error) if error.kind() == Kind::TimedOut && !step.last => return Ok(None),
                Err(error) if error.kind() == Kind::TimedOut => {
                    return Err(Error::new(Kind::TimedOut, "wait for an area from another team")
                        .detail(format!("nobody transferred one within {:?}", whole.unwrap_or_default())));
                }
                other => other?,
            };
            let area = Any::received(transferred.take()?)?;
            if !from.is_null() {
                // SAFETY: not NULL (checked), and then room for a number (C's promise).
                unsafe { from.write_unaligned(transferred.from()) };
            }
            Ok(Some(Handle::new(area)))
        })
    })
}

/// Drops the area that was transferred to this process and cannot be had: 1, or 0 if there was none.
#[unsafe(no_mangle)]
pub extern "C" fn areas_refuse() -> c_int {
    number(|| registry::refuse_transfer().map(c_int::from))
}

/// The receiver cannot write, which the kernel enforces.
pub const AREAS_SEND_READ_ONLY: u32 = 1;

/// A socket of C's, for the time of a call.
fn socket<'a>(number: c_int, what: &'static str) -> Result<BorrowedFd<'a>> {
    if number < 0 {
        return Err(invalid(what, "the number of the socket is negative"));
    }
    // SAFETY: not -1 (checked). It stays open for the call, or C's promise is broken and the kernel says EBADF, or uses another file
    // of the program's: nothing of ours relies on which one it is.
    Ok(unsafe { BorrowedFd::borrow_raw(number) })
}

/// Sends an area over a connected Unix socket: to other users, to containers. The receiver calls areas_receive. It stays ours as well,
/// and alive on its way. `flags` is 0 or AREAS_SEND_READ_ONLY.
///
/// AREAS_ERROR_IO with what the socket said, AREAS_ERROR_UNSUPPORTED for private, resizable and low areas, AREAS_ERROR_INVALID_INPUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_send(area: *const Handle, to: c_int, flags: u32) -> c_int {
    status(|| {
        const WHAT: &str = "send an area";
        // SAFETY: C's promise.
        let area = unsafe { look(area, WHAT) }?;
        let to = socket(to, WHAT)?;
        match (area, flags) {
            (_, flags) if flags > AREAS_SEND_READ_ONLY => Err(invalid(WHAT, "the flags mean nothing")),
            (Any::Shared(area), 0) => area.send(to),
            (Any::Shared(area), _) => Area::send_read_only(area, to),
            (Any::Frozen(area), _) => area.send(to),
            (Any::Private(_), _) => Err(Error::new(Kind::Unsupported, WHAT).detail("it is private memory")),
            (Any::Resizable(_), _) => Err(Error::new(Kind::Unsupported, WHAT)
                .detail("its size may shrink under the receiver, and with it what could be accessed")
                .help("freeze it, or make it growable")),
        }
    })
}

/// Takes an area that was sent over a connected Unix socket, and maps it, with the lock that it had. It is not published. NULL if
/// none came, or what came is none. A cancellation point, until the first byte has come.
///
/// AREAS_ERROR_IO if the socket fails or is closed, AREAS_ERROR_INVALID_INPUT if what came is no area, AREAS_ERROR_LIMIT for its lock.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn areas_receive(from: c_int) -> *mut Handle {
    wait_for_bytes(from);
    made(|| {
        let from = socket(from, "receive an area over a socket")?;
        Ok(Handle::new(Any::received(areas::receive(from)?)?))
    })
}
