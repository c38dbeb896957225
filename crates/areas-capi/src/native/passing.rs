//! Areas that change hands: transferred to another team, sent over a socket.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use areas::registry;
use areas::{Area, Error, ErrorKind, PageSize, ReceiveOptions, Rejected, Result, Transfer};

use super::area::{Any, Handle, handle, look};
use super::changes::stored;
use super::errors::{invalid, made, made_or_not_yet, number, status};
use super::sized::{Versioned, read};
use super::words::{self, time};
use crate::waiting::{in_steps, wait_for_bytes};

/// Hands a published area over to another team, a process, and keeps nothing: the same memory,
/// name, protection and lock, a new id, at addresses of the given form there. The handle holds
/// nothing from then on: release it. (To one's own process it moves at once, and the handle holds
/// it as before.)
///
/// The other team has it at its next call that looks at the registry; until then the kernel holds
/// it, and this process may end. Where it fails, the area is as it was. AREAS_ERROR_NO_SUCH_TEAM:
/// no such process, or it holds no areas and has not called areas_join. AREAS_ERROR_INVALID_INPUT:
/// the area is not published, or the form means nothing. AREAS_ERROR_UNSUPPORTED: private and low
/// areas. AREAS_ERROR_ADDRESS_IN_USE, AREAS_ERROR_BUSY, AREAS_ERROR_UNREADABLE, AREAS_ERROR_LIMIT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_transfer(
    area: Option<&mut Handle>,
    pid: u32,
    address_form: u32,
    address: *mut c_void,
) -> c_int {
    status(|| {
        const WHAT: &str = "transfer an area";
        let handle = handle(area, WHAT)?;
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
                let error = Error::new(ErrorKind::Unsupported, WHAT).with_facts("it is private memory");
                (Some(Any::Private(area)), Err(error))
            }
            Any::Stored(area) => (Some(Any::Stored(area)), Err(stored(WHAT))),
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

/// Joins the registry without an area, so that others can transfer areas to this process. A process
/// that has published one has joined.
///
/// AREAS_ERROR_REGISTRY, AREAS_ERROR_LIMIT, AREAS_ERROR_NOT_PERMITTED.
#[unsafe(no_mangle)]
pub extern "C" fn areas_join() -> c_int {
    status(registry::join)
}

/// Waits until another team has transferred an area to this process, and takes it. A negative time
/// is no timeout, 0 does not wait. `from`, unless NULL, receives the process that transferred it.
/// NULL if none came. (BeOS's calls take what came for themselves.) A cancellation point.
///
/// AREAS_ERROR_TIMED_OUT; AREAS_ERROR_LIMIT and others as for new areas, if one came and cannot be
/// had: areas_refuse drops it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn areas_take(milliseconds: i64, from: *mut u32) -> *mut Handle {
    let whole = time(milliseconds);
    in_steps(whole, |step| {
        made_or_not_yet(|| {
            let transferred = match registry::wait_transferred(step.time) {
                Err(error) if error.kind() == ErrorKind::TimedOut && !step.last => return Ok(None),
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    return Err(Error::new(ErrorKind::TimedOut, "wait for an area from another team")
                        .with_facts(format!(
                            "no process transferred one within {:?}",
                            whole.unwrap_or_default()
                        )));
                }
                other => other?,
            };
            let area = transferred.take()?;
            if !from.is_null() {
                // SAFETY: not NULL (checked), and then room for a number (C's promise).
                unsafe { from.write_unaligned(transferred.from()) };
            }
            Ok(Some(Handle::new(area)))
        })
    })
}

/// Drops the area that was transferred to this process and cannot be had: 1, or 0 if there was
/// none.
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
    // SAFETY: not -1 (checked). It stays open for the call, or C's promise is broken and the kernel
    // says EBADF, or uses another file of the program's: nothing of ours relies on which one it is.
    Ok(unsafe { BorrowedFd::borrow_raw(number) })
}

/// Sends an area over a connected Unix socket: to other users, to containers. The receiver calls
/// areas_receive. It stays ours as well, and alive on its way. `flags` is 0 or
/// AREAS_SEND_READ_ONLY. While the socket's queue is full it waits, unless the socket does not
/// (O_NONBLOCK) or has a timeout (SO_SNDTIMEO): then it is AREAS_ERROR_IO, and nothing was sent.
///
/// AREAS_ERROR_IO with what the socket said, AREAS_ERROR_UNSUPPORTED for private, resizable and low
/// areas, AREAS_ERROR_INVALID_INPUT.
#[unsafe(no_mangle)]
pub extern "C" fn areas_send(area: Option<&Handle>, to: c_int, flags: u32) -> c_int {
    status(|| {
        const WHAT: &str = "send an area";
        let area = look(area, WHAT)?;
        let to = socket(to, WHAT)?;
        match (area, flags) {
            (_, flags) if flags > AREAS_SEND_READ_ONLY => Err(invalid(WHAT, "the flags are unknown")),
            (Any::Shared(area), 0) => area.send(to),
            (Any::Shared(area), _) => Area::send_read_only(area, to),
            (Any::Frozen(area), _) => area.send(to),
            (Any::Private(_), _) => Err(Error::new(ErrorKind::Unsupported, WHAT).with_facts("it is private memory")),
            (Any::Stored(_), _) => Err(stored(WHAT)),
            (Any::Resizable(_), _) => Err(Error::new(ErrorKind::Unsupported, WHAT)
                .with_facts("it may shrink while the receiver has it mapped, whose accesses beyond its end would fault")
                .with_remedy("freeze it, or make it growable")),
        }
    })
}

/// The time of an areas_receiving counts: without it, the socket's own does (SO_RCVTIMEO,
/// O_NONBLOCK).
pub const AREAS_RECEIVE_TIMEOUT: u32 = 1;
/// The lock of an areas_receiving counts.
pub const AREAS_RECEIVE_LOCK_AT_MOST: u32 = 2;
/// For areas_from_descriptor only: memory that may shrink is taken, too, as a resizable area.
pub const AREAS_RECEIVE_RESIZABLE: u32 = 4;

/// What a receiver accepts. Initialise with AREAS_RECEIVING: the defaults, which are safe for root.
/// What is beyond a bound stays in the socket's queue.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Receiving {
    /// sizeof(areas_receiving).
    pub struct_size: usize,
    /// Bytes that the area may have; 0 is the machine's RAM and swap.
    pub max_bytes: usize,
    /// Bytes of addresses that it may take; 0 is 16 times the RAM and swap, or 2 TiB if that is
    /// more.
    pub max_addresses: usize,
    /// Bytes that it may have if it is locked; 0 is an eighth of the RAM, and no more than
    /// RLIMIT_MEMLOCK says, for root too.
    pub max_locked: usize,
    /// Bytes that may be missing of hugetlb pages, which are taken from the pool then; 0 is half of
    /// the pool.
    pub max_pool_bytes: usize,
    /// A union of the sizes of pages that it may have (each is a power of two); 0 is all.
    pub pages: u64,
    /// With AREAS_RECEIVE_TIMEOUT, how long to wait; 0 only looks.
    pub milliseconds: u64,
    /// A union of AREAS_RECEIVE_TIMEOUT, AREAS_RECEIVE_LOCK_AT_MOST and AREAS_RECEIVE_RESIZABLE.
    pub flags: u32,
    /// With AREAS_RECEIVE_LOCK_AT_MOST, the lock that is applied where the area is said to have a
    /// stronger one.
    pub lock_at_most: u32,
    /// For areas_from_descriptor only: bytes of addresses that memory takes which may grow; 0 is
    /// none to grow into.
    pub room: usize,
}

// SAFETY: numbers, the first a `usize`.
unsafe impl Versioned for Receiving {
    const NAME: &'static str = "areas_receiving";
    const FIRST: usize = 64;
}

impl Receiving {
    /// For areas_receive_with: without what is for descriptors alone.
    pub(super) fn of_socket(&self) -> Result<ReceiveOptions> {
        if self.room != 0 {
            return Err(invalid("receive an area over a socket", "the room is for areas_from_descriptor"));
        }
        self.options(AREAS_RECEIVE_TIMEOUT | AREAS_RECEIVE_LOCK_AT_MOST)
    }

    fn options(&self, known: u32) -> Result<ReceiveOptions> {
        type Bound = fn(ReceiveOptions, usize) -> ReceiveOptions;
        const WHAT: &str = "receive an area over a socket";
        let mut options = ReceiveOptions::new();
        let bounds: [(usize, Bound); 4] = [
            (self.max_bytes, ReceiveOptions::max_bytes),
            (self.max_addresses, ReceiveOptions::max_addresses),
            (self.max_locked, ReceiveOptions::max_locked),
            (self.max_pool_bytes, ReceiveOptions::max_pool_bytes),
        ];
        for (bytes, set) in bounds {
            if bytes != 0 {
                options = set(options, bytes);
            }
        }
        if self.pages != 0 {
            let bits = (0..u64::BITS).map(|bit| 1_u64 << bit).filter(|bit| self.pages & bit != 0);
            let sizes: Option<Vec<PageSize>> =
                bits.map(|size| PageSize::of(usize::try_from(size).ok()?)).collect();
            options =
                options.pages(sizes.ok_or_else(|| invalid(WHAT, "no machine has pages of such sizes"))?);
        }
        if self.flags & !known != 0 {
            return Err(invalid(WHAT, "the flags are unknown"));
        }
        if self.flags & AREAS_RECEIVE_TIMEOUT != 0 {
            options = options.timeout(Duration::from_millis(self.milliseconds));
        }
        if self.flags & AREAS_RECEIVE_LOCK_AT_MOST != 0 {
            options = options.lock_at_most(words::lock(self.lock_at_most)?);
        }
        if self.flags & AREAS_RECEIVE_RESIZABLE != 0 {
            options = options.resizable();
        }
        if self.room != 0 {
            options = options.room(self.room);
        }
        Ok(options)
    }
}

/// Takes an area that was sent over a connected Unix socket, and maps it, with the lock that it
/// had, within the bounds of AREAS_RECEIVING. It is not published. NULL if none came, or what came
/// is none. A cancellation point, until the first byte has come.
///
/// What cannot be had stays in the socket's queue: areas_receive_with sets what is accepted,
/// areas_discard drops it.
///
/// AREAS_ERROR_LIMIT: beyond a bound, no descriptor free, RLIMIT_MEMLOCK. AREAS_ERROR_TIMED_OUT:
/// the socket has a time (SO_RCVTIMEO). AREAS_ERROR_IO if the socket fails or is closed, or does
/// not wait. AREAS_ERROR_INVALID_INPUT: what is first in the queue is not a message of this
/// library, and stays; or is one that no area came with, and is dropped; or the memory is not what
/// its lock says, and stays. AREAS_ERROR_NOT_PERMITTED: what its lock says cannot be measured here.
#[unsafe(no_mangle)]
pub extern "C-unwind" fn areas_receive(from: c_int) -> *mut Handle {
    wait_for_bytes(from);
    made(|| {
        let from = socket(from, "receive an area over a socket")?;
        Ok(Handle::new(areas::receive(from)?))
    })
}

/// The same within other bounds, or within a time. A cancellation point, unless it has a time.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn areas_receive_with(from: c_int, how: *const Receiving) -> *mut Handle {
    // SAFETY: C passes NULL, or as many bytes as the structure's first member says.
    if unsafe { waits_as_the_socket_does(how) } {
        wait_for_bytes(from);
    }
    made(|| {
        // SAFETY: NULL, or as many bytes as it says (C's promise).
        let options = unsafe { read(how) }?.of_socket()?;
        let from = socket(from, "receive an area over a socket")?;
        Ok(Handle::new(options.receive(from)?))
    })
}

/// Whether it makes sense, and has no time of its own.
///
/// # Safety
/// `how` is NULL, or has as many bytes as it says.
unsafe fn waits_as_the_socket_does(how: *const Receiving) -> bool {
    // SAFETY: `how` is NULL, or has as many bytes as its first member says (the caller).
    let how = unsafe { read(how) };
    how.is_ok_and(|how| how.flags & AREAS_RECEIVE_TIMEOUT == 0 && how.of_socket().is_ok())
}

/// Drops the area that is first in a socket's queue, without a look at it: 1, or 0 if there was
/// none. It does not wait.
///
/// AREAS_ERROR_IO if the socket fails or is closed, AREAS_ERROR_INVALID_INPUT if what is first in
/// the queue is not a message of this library.
#[unsafe(no_mangle)]
pub extern "C" fn areas_discard(from: c_int) -> c_int {
    number(|| {
        let from = socket(from, "drop an area that came over a socket")?;
        ReceiveOptions::new().discard(from).map(c_int::from)
    })
}

/// Makes an area of the memory object (memfd) behind a descriptor, whichever process made it, with
/// the rights that the descriptor has, within the bounds of `how`; NULL is AREAS_RECEIVING. The
/// descriptor stays the caller's. The area has no name, is not locked and not published; its kind
/// is the kernel's word: frozen, shared or resizable. No call waits for another process, whatever
/// the descriptor is of. NULL if it cannot be had.
///
/// AREAS_ERROR_INVALID_INPUT for what is not a memory object, and for one that may shrink (without
/// AREAS_RECEIVE_RESIZABLE); AREAS_ERROR_LIMIT: beyond a bound, no descriptor free;
/// AREAS_ERROR_NOT_PERMITTED for a descriptor that is not open for reading; otherwise as
/// areas_create.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_from_descriptor(descriptor: c_int, how: *const Receiving) -> *mut Handle {
    made(|| {
        const WHAT: &str = "make an area of a descriptor";
        let options = match how.is_null() {
            true => ReceiveOptions::new(),
            // SAFETY: as many bytes as it says (C's promise).
            false => unsafe { read(how) }?.options(AREAS_RECEIVE_LOCK_AT_MOST | AREAS_RECEIVE_RESIZABLE)?,
        };
        if descriptor < 0 {
            return Err(invalid(WHAT, "the descriptor is negative"));
        }
        // SAFETY: not -1 (checked). It stays open for the call, or C's promise is broken and the
        // kernel says EBADF, or it is another file: which is looked at as any stranger's is.
        let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
        Ok(Handle::new(options.of_descriptor(descriptor)?))
    })
}
