//! Areas for other users and for containers: offered at a socket with a path, and taken there.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use areas::gate::{self, OfferOptions, Outcome, TakeOptions};
use areas::{Error, ErrorKind, ReceiveOptions, Result, registry};

use super::area::{Handle, each, look};
use super::errors::{invalid, made, made_or_not_yet, number, text};
use super::passing::Receiving;
use super::sized::{Versioned, read, room};
use super::words::time;
use crate::edge::catch_panic;
use crate::waiting::in_steps;

/// An area that is offered at a socket: areas_offer_open makes one, areas_offer_close takes the
/// socket away. One thread at a time may use it.
#[derive(Debug)]
pub struct Gate(gate::Offer);

/// For reading only, which the kernel enforces, or not at all: whom nothing would keep from writing
/// is refused (root, and the user who made the memory), unless the area is frozen or sealed.
pub const AREAS_OFFER_READ_ONLY: u32 = 1;
/// Seals the memory against new writers first, permanently: existing writable mappings stay, and no
/// others can be made. It is for reading only then.
pub const AREAS_OFFER_SEAL: u32 = 2;
/// To any process that reaches the socket; from any that listens there.
pub const AREAS_OFFER_ANY: u32 = 4;

/// How long an answer may take from who listens.
const ANSWER: Duration = Duration::from_secs(10);
/// The most users that an areas_offering or areas_taking names.
const MAX_USERS: usize = 256;

/// To whom an area is offered, and how. Initialise with AREAS_OFFERING: to this process's own user,
/// with the rights that it has.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Offering {
    /// sizeof(areas_offering).
    pub struct_size: usize,
    /// To these users only, 256 at most; NULL is this process's own.
    pub users: *const u32,
    /// How many they are.
    pub user_count: usize,
    /// A union of AREAS_OFFER_READ_ONLY, AREAS_OFFER_SEAL and AREAS_OFFER_ANY.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: numbers and a pointer that may be NULL, the first a `usize`.
unsafe impl Versioned for Offering {
    const NAME: &'static str = "areas_offering";
    const FIRST: usize = 32;
}

/// From whom an area is taken, and what is taken on. Initialise with AREAS_TAKING: from this
/// process's own user and root, within AREAS_RECEIVING.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Taking {
    /// sizeof(areas_taking).
    pub struct_size: usize,
    /// From these users only, 256 at most; NULL is this process's own and root.
    pub users: *const u32,
    /// How many they are.
    pub user_count: usize,
    /// What is taken on; NULL is AREAS_RECEIVING. (Its time means nothing here.)
    pub how: *const Receiving,
    /// How long to wait until it is offered; 0 is that it must be there.
    pub milliseconds: u64,
    /// 0 or AREAS_OFFER_ANY.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: numbers and pointers, for which zero is valid; the first is a `usize`.
unsafe impl Versioned for Taking {
    const NAME: &'static str = "areas_taking";
    const FIRST: usize = 48;
}

/// The area is on its way to who connected, or there.
pub const AREAS_ANSWER_GIVEN: u32 = 1;
/// It was refused, and was sent the reason.
pub const AREAS_ANSWER_REFUSED: u32 = 2;
/// It could not be opened or sent: areas_error_text says why.
pub const AREAS_ANSWER_FAILED: u32 = 3;
/// Who connected left before it was answered.
pub const AREAS_ANSWER_LEFT: u32 = 4;

/// A user without a number in this process's user namespace.
pub const AREAS_NO_USER: u32 = u32::MAX;

/// Who connected to an offer, and the outcome. Initialise with AREAS_ANSWER.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Answered {
    /// sizeof(areas_answer).
    pub struct_size: usize,
    /// AREAS_ANSWER_GIVEN and so on; 0 where no process connected.
    pub outcome: u32,
    /// The user, or AREAS_NO_USER.
    pub user: u32,
    /// The process; 0 for one outside of this process's pid namespace.
    pub pid: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: numbers, the first a `usize`.
unsafe impl Versioned for Answered {
    const NAME: &'static str = "areas_answer";
    const FIRST: usize = 24;
}

/// The users that C names.
///
/// # Safety
/// `users` is NULL, or points to `count` numbers.
unsafe fn users<'a>(users: *const u32, count: usize, what: &'static str) -> Result<&'a [u32]> {
    match (users.is_null(), count) {
        (true, 0) => Ok(&[]),
        (true, _) => Err(invalid(what, "its users are NULL, and their count is not 0")),
        (false, 0) => Err(invalid(what, "its users are named, and their count is 0")),
        (false, count) if count > MAX_USERS => Err(invalid(what, "it names more than 256 users")),
        // SAFETY: so many are there (the caller), few enough for a slice.
        (false, count) => Ok(unsafe { std::slice::from_raw_parts(users, count) }),
    }
}

fn path(path: &std::ffi::CStr) -> &Path {
    Path::new(OsStr::from_bytes(path.to_bytes()))
}

/// Offers a published area at a socket, which is made, with mode 0600 and an access list of the
/// users that are named. A process that connects waits until areas_offer_answer is called. NULL as
/// the path is the socket that a supervisor has given to this process (systemd's
/// ListenSequentialPacket=). `how` may be NULL: AREAS_OFFERING.
///
/// The offer holds no memory: once no process publishes the area, those that connect get the error
/// that it is gone. NULL if it cannot be offered, and then no socket is left.
///
/// AREAS_ERROR_NOT_PERMITTED: for reading only, to a user whom nothing would keep from writing; a
/// path through another user's link. AREAS_ERROR_BUSY where another process listens there;
/// AREAS_ERROR_NO_SUCH_AREA if it is not published; AREAS_ERROR_UNSUPPORTED for resizable and low
/// areas; AREAS_ERROR_INVALID_INPUT; AREAS_ERROR_IO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_offer_open(
    area: Option<&Handle>,
    at: *const c_char,
    how: *const Offering,
) -> *mut Gate {
    made(|| {
        const WHAT: &str = "offer an area";
        let area = look(area, WHAT)?;
        let id = each!(area, area => area.id()).ok_or_else(|| {
            Error::new(ErrorKind::NoSuchArea, WHAT)
                .with_facts("it is not published")
                .with_remedy("publish it first: areas_publish, or a name in its attributes")
        })?;
        let source = registry::get(id)?;
        let mut options = OfferOptions::new();
        if !how.is_null() {
            // SAFETY: as many bytes as it says (C's promise).
            let how = unsafe { read(how) }?;
            if how.flags > (AREAS_OFFER_READ_ONLY | AREAS_OFFER_SEAL | AREAS_OFFER_ANY) || how.reserved != 0 {
                return Err(invalid(WHAT, "the flags are unknown"));
            }
            // SAFETY: NULL or so many numbers (C's promise).
            for user in unsafe { users(how.users, how.user_count, WHAT) }? {
                options = options.to(*user);
            }
            if how.flags & AREAS_OFFER_ANY != 0 {
                options = options.to_any_user();
            }
            if how.flags & AREAS_OFFER_READ_ONLY != 0 {
                options = options.read_only();
            }
            if how.flags & AREAS_OFFER_SEAL != 0 {
                options = options.seal();
            }
        }
        let offer = match at.is_null() {
            true => options.open_inherited(&source)?.ok_or_else(|| {
                Error::new(ErrorKind::InvalidInput, WHAT)
                    .with_facts("no supervisor has given this process a socket (LISTEN_PID, LISTEN_FDS), and the path is NULL")
                    .with_remedy("say where it is offered")
            })?,
            // SAFETY: a string (C's promise).
            false => options.open(&source, path(unsafe { text(at, WHAT) }?))?,
        };
        Ok(Gate(offer))
    })
}

/// Answers the next process that connects to an offer: 1, or 0 where none connected in time. A
/// negative time is no timeout, 0 does not wait. `answer`, unless NULL, receives who it was, and
/// the outcome. No peer can hold it up. A cancellation point.
///
/// AREAS_ERROR_LIMIT where no descriptor is free for who connected, who waits; AREAS_ERROR_IO if
/// the socket was closed; AREAS_ERROR_INVALID_INPUT.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn areas_offer_answer(
    offer: *mut Gate,
    milliseconds: i64,
    answer: *mut Answered,
) -> c_int {
    in_steps(time(milliseconds), |step| {
        let mut goes_on = false;
        let came = number(|| {
            // SAFETY: NULL or an offer of ours that nothing else uses (C's promise).
            let offer = unsafe { offer.as_mut() }
                .ok_or_else(|| invalid("answer a process that takes an area", "the offer is NULL"))?;
            let room = match answer.is_null() {
                true => None,
                // SAFETY: as many bytes as it says (C's promise).
                false => Some(unsafe { room(answer) }?),
            };
            let Some(came) = offer.0.answer(step.time)? else {
                goes_on = !step.last;
                return Ok(0);
            };
            let outcome = match came.outcome {
                Outcome::Given => AREAS_ANSWER_GIVEN,
                Outcome::Refused(_) => AREAS_ANSWER_REFUSED,
                Outcome::Failed(error) => {
                    super::errors::failed(error);
                    AREAS_ANSWER_FAILED
                }
                _ => AREAS_ANSWER_LEFT,
            };
            if let Some(room) = room {
                let (user, pid) = (came.peer.user.unwrap_or(AREAS_NO_USER), came.peer.process.unwrap_or(0));
                // SAFETY: C's structure is the one that `room` looked at, and stays writable until
                // this call returns.
                unsafe { room.fill(&Answered { struct_size: 0, outcome, user, pid, reserved: 0 }) };
            }
            Ok(1)
        });
        (!goes_on).then_some(came)
    })
}

/// Ends an offer, and takes its socket away; who was given the area keeps it. NULL is nothing to
/// do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_offer_close(offer: *mut Gate) {
    catch_panic((), || {
        if !offer.is_null() {
            // SAFETY: one that was made by `made` and not closed (C's promise): a box of its own.
            drop(unsafe { Box::from_raw(offer) });
        }
    });
}

/// Takes the area that is offered at a path: the same memory, with the rights that are given, with
/// its name and note. It is not published. `how` may be NULL: AREAS_TAKING. NULL if it cannot be
/// had, and then nothing was taken. A cancellation point.
///
/// AREAS_ERROR_NO_SUCH_AREA: nothing is offered, or it is gone. AREAS_ERROR_NOT_PERMITTED: it is
/// not offered to this user, or not by one from whom it is taken. AREAS_ERROR_TIMED_OUT: not
/// offered in time, or who listens does not answer in what is left of it, or in 10 seconds.
/// AREAS_ERROR_BUSY, AREAS_ERROR_SYSTEM: the other side refuses so. AREAS_ERROR_UNSUPPORTED: so as
/// well, or what it sends is not an area. AREAS_ERROR_INVALID_INPUT: no such socket.
/// AREAS_ERROR_LIMIT: beyond a bound.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn areas_offer_take(at: *const c_char, how: *const Taking) -> *mut Handle {
    // What is wrong with it is reported below.
    let whole = match how.is_null() {
        true => Duration::ZERO,
        // SAFETY: as many bytes as it says (C's promise).
        false => unsafe { read(how) }.map_or(Duration::ZERO, |how| Duration::from_millis(how.milliseconds)),
    };
    let begun = Instant::now();
    in_steps(Some(whole), |step| {
        // A process that connects in a step is not to give up at its end, and to start over.
        let answer = match whole.is_zero() {
            true => ANSWER,
            false => whole.saturating_sub(begun.elapsed()).min(ANSWER),
        };
        made_or_not_yet(|| {
            // SAFETY: C passes NULL or a string, and NULL or as many bytes as the structure's first
            // member says.
            match unsafe { taken(at, how, (step.time.unwrap_or_default(), answer)) } {
                Err(error)
                    if !step.last && error.kind() == ErrorKind::TimedOut && begun.elapsed() < whole =>
                {
                    Ok(None)
                }
                other => other.map(|area| Some(Handle::new(area))),
            }
        })
    })
}

/// # Safety
/// `at` is NULL or a string, and `how` NULL or as many bytes as it says, with the users and bounds
/// that it points to.
unsafe fn taken(
    at: *const c_char,
    how: *const Taking,
    (time, answer): (Duration, Duration),
) -> Result<super::area::Any> {
    const WHAT: &str = "take an area";
    // SAFETY: NULL or a string (the caller).
    let at = unsafe { text(at, WHAT) }?;
    let mut options = TakeOptions::new().wait(time).answer_within(answer);
    if !how.is_null() {
        // SAFETY: as many bytes as it says (the caller).
        let how = unsafe { read(how) }?;
        if how.flags & !AREAS_OFFER_ANY != 0 || how.reserved != 0 {
            return Err(invalid(WHAT, "the flags are unknown"));
        }
        // SAFETY: NULL or so many numbers (the caller).
        for user in unsafe { users(how.users, how.user_count, WHAT) }? {
            options = options.from(*user);
        }
        if how.flags & AREAS_OFFER_ANY != 0 {
            options = options.from_any_user();
        }
        let bounds = match how.how.is_null() {
            true => ReceiveOptions::new(),
            // SAFETY: as many bytes as it says (the caller).
            false => unsafe { read(how.how) }?.of_socket()?,
        };
        options = options.bounds(bounds);
    }
    options.take(path(at))
}
