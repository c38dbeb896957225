//! Receiving areas over a Unix socket: within bounds, within a time, and whole or not at all.
//!
//! A message is looked at where it lies, in the socket's queue, and taken from there when the area
//! is ready: mapped, locked, within the bounds. So an error (no descriptor free, no memory, a
//! bound, a timeout) loses nothing and moves nothing: the same call can be made again.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::passing::Message;
use super::queue::{Parcel, Seen, WHAT, Waiting, failed, is_it, look, take};
use super::{AnyArea, Area, Shared};
use crate::acceptance::Acceptance;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::Lock;
use crate::mapping::headroom;
use crate::nodes::CompactPlacement;
use crate::object::{Extent, Object};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::provider::{Provider, Request, System};
use crate::registry::{Name, Note};
use crate::sys;

/// Takes an area that was sent over a connected Unix socket, and maps it, with the lock that it
/// had.
///
/// Its name and its [note](Area::note) are those that it had there; it is not published until
/// [`publish`](Area::publish) is called. Seals and size are the kernel's word; an object that could
/// shrink under its holders is refused. What a lock demands of page frames is measured once it is
/// locked. The bounds, and what happens to what is beyond them: [`ReceiveOptions`].
///
/// ```
/// let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
/// areas::builder(4096).shared()?.send(&ours)?;
/// let received = areas::receive(&theirs)?;
/// assert_eq!(received.size(), 4096);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`ReceiveOptions::receive`].
pub fn receive(socket: impl AsFd) -> Result<AnyArea> {
    ReceiveOptions::new().receive(socket)
}

/// What a receiver takes on, and for how long it waits.
///
/// The sender decides how large an area is, how many addresses it takes, and which lock it has; the
/// receiver, how much of that it takes on. The defaults are safe for root, to whom the kernel sets
/// hardly any limit:
///
/// | bound | default |
/// |---|---|
/// | [`max_bytes`](ReceiveOptions::max_bytes) | the machine's RAM and swap |
/// | [`max_addresses`](ReceiveOptions::max_addresses) | 16 times that, or 2 TiB if that is more |
/// | [`max_locked`](ReceiveOptions::max_locked) | an eighth of the RAM, and no more than `RLIMIT_MEMLOCK` says, for root too |
/// | [`max_pool_bytes`](ReceiveOptions::max_pool_bytes) | half of the pool, of pages that are missing |
/// | [`pages`](ReceiveOptions::pages) | all sizes |
/// | [`timeout`](ReceiveOptions::timeout) | that of the socket (`SO_RCVTIMEO`); none |
///
/// They hold for one area. How many it keeps, a program knows itself.
///
/// ```
/// use areas::{ErrorKind, ReceiveOptions};
/// use std::time::Duration;
/// # let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
/// areas::builder(1 << 20).shared()?.send(&ours)?;
/// let small = ReceiveOptions::new().max_bytes(1 << 16).timeout(Duration::from_secs(1));
/// assert_eq!(small.receive(&theirs).unwrap_err().kind(), ErrorKind::Limit);
/// // It is still in the queue.
/// let area = ReceiveOptions::new().max_bytes(1 << 20).receive(&theirs)?;
/// # Ok::<(), areas::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "an area is received by `receive`"]
pub struct ReceiveOptions {
    pub(super) accept: Acceptance,
    timeout: Option<Duration>,
    /// For descriptors alone: how many bytes of addresses what may grow takes.
    pub(super) room: Option<usize>,
    /// For descriptors alone: whether what may shrink is taken.
    pub(super) resizable: bool,
}

impl Default for ReceiveOptions {
    fn default() -> Self {
        ReceiveOptions::new()
    }
}

impl ReceiveOptions {
    /// The defaults.
    pub const fn new() -> Self {
        ReceiveOptions { accept: Acceptance::DEFAULT, timeout: None, room: None, resizable: false }
    }

    /// Accepts areas of at most so many bytes.
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.accept.max_bytes = Some(bytes as u64);
        self
    }

    /// Accepts areas that take at most so many bytes of addresses: a growable area takes all that
    /// it may grow to.
    pub const fn max_addresses(mut self, bytes: usize) -> Self {
        self.accept.max_addresses = Some(bytes as u64);
        self
    }

    /// Accepts locked areas of at most so many bytes, instead of the default. The kernel's own
    /// limit holds besides.
    pub const fn max_locked(mut self, bytes: usize) -> Self {
        self.accept.max_locked = Some(bytes as u64);
        self
    }

    /// Accepts areas of hugetlb pages of which at most so many bytes are not there yet: they are
    /// taken from the pool here.
    pub const fn max_pool_bytes(mut self, bytes: usize) -> Self {
        self.accept.max_pool = Some(bytes as u64);
        self
    }

    /// Takes an area that is said to have a stronger lock with this one: with [`Lock::None`]
    /// nothing is locked, with [`Lock::Full`] nothing is believed of page frames, so that nothing
    /// has to be measured.
    pub const fn lock_at_most(mut self, lock: Lock) -> Self {
        self.accept.lock = Some(lock);
        self
    }

    /// Accepts areas of pages of these sizes only.
    pub fn pages(mut self, sizes: impl IntoIterator<Item = PageSize>) -> Self {
        let all = sizes.into_iter().fold(0, |all, size| all | size.bytes() as u64);
        // Of none is none that there could be.
        self.accept.pages = if all == 0 { 1 } else { all };
        self
    }

    /// Waits for so long, and no longer, for an area to come: whatever the socket says of waiting.
    /// 0 only looks.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Takes an area that was sent over a connected Unix socket, and maps it, with the lock that it
    /// had.
    ///
    /// Where it fails, all that was sent is in the queue as it was, but for what can never be an
    /// area. So the call can be made again, when there are descriptors or memory, or with other
    /// bounds; or [`discard`](ReceiveOptions::discard) drops it. No byte is read beyond the
    /// message. Two threads may receive from one socket at once.
    ///
    /// A receiver that waits for long for the rest of a message waits for a sender that has sent a
    /// part and stopped: our own never do.
    ///
    /// # Errors
    /// - [`ErrorKind::Limit`] for what is beyond a bound; for want of a descriptor
    ///   (`RLIMIT_NOFILE`); for a lock beyond `RLIMIT_MEMLOCK`;
    /// - [`ErrorKind::TimedOut`] if nothing came in time, or only a part of a message;
    /// - [`ErrorKind::Io`] if the socket fails or is closed, and with `EAGAIN` if it does not wait
    ///   (`O_NONBLOCK`) and there is no whole message;
    /// - [`ErrorKind::InvalidInput`] if what is first in the queue is not a message of this
    ///   library: it stays; if a message of ours came without an area: it is dropped, its
    ///   descriptors are closed; if the memory is not what its lock says: it stays;
    /// - [`ErrorKind::NotPermitted`] where what its lock says cannot be measured (page frames take
    ///   `CAP_SYS_ADMIN`), or where a security module keeps the descriptor from this process;
    /// - as for new areas.
    pub fn receive(&self, socket: impl AsFd) -> Result<AnyArea> {
        let socket = socket.as_fd();
        let mut waiting = Waiting::begin(socket, self.timeout)?;
        let mut again = false;
        loop {
            let parcel = match look(socket, waiting.stream)? {
                Seen::Whole(parcel) => parcel,
                Seen::InParts => match take(socket)? {
                    Some(parcel) => return self.open(parcel).map_err(|refused| refused.error),
                    None => continue,
                },
                Seen::Part(got) => {
                    waiting.wait(got)?;
                    continue;
                }
            };
            let (bytes, identity) = (parcel.bytes, parcel.identity()?);
            let received = match self.open(parcel) {
                Ok(received) => received,
                // It was frozen after the look at its seals: it stays so.
                Err(Refused { error, .. }) if error.kind() == ErrorKind::Frozen && !again => {
                    again = true;
                    continue;
                }
                Err(Refused { error, never }) => {
                    if never && let Some(other) = take(socket)?.filter(|other| other.bytes != bytes) {
                        // Another thread was faster, and this is the next one.
                        return self.open(other).map_err(|refused| refused.error);
                    }
                    return Err(error);
                }
            };
            match take(socket)? {
                // Without a number for its descriptor, which we have by another one.
                Some(taken) if taken.bytes == bytes && (taken.lacks || is_it(&taken, identity)) => {
                    return Ok(received);
                }
                // Another thread has taken what we looked at, and this came behind it. Or the
                // descriptor was not this message's: a look goes on to what comes next, where none
                // has come with the first.
                Some(other) => return self.open(other).map_err(|refused| refused.error),
                None => {}
            }
        }
    }

    /// Drops the area that is first in the queue, without a look at what it is: one that is
    /// refused, say. Whether there was one; it does not wait.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the socket fails or is closed; [`ErrorKind::InvalidInput`] if what is
    /// first in the queue is not a message of this library.
    pub fn discard(&self, socket: impl AsFd) -> Result<bool> {
        let socket = socket.as_fd();
        let stream = sys::socket::is_stream(socket).map_err(failed("getsockopt(SO_TYPE)"))?;
        match look(socket, stream) {
            Ok(Seen::Part(_)) => Ok(false),
            Ok(Seen::Whole(_) | Seen::InParts) => Ok(take(socket)?.is_some()),
            // Without a number for its descriptor it is dropped as well.
            Err(error) if [ErrorKind::Limit, ErrorKind::NotPermitted].contains(&error.kind()) => {
                Ok(take(socket)?.is_some())
            }
            Err(error) => Err(error),
        }
    }

    /// Maps what came; after an error nothing of it is mapped.
    fn open(&self, parcel: Parcel) -> Result<AnyArea, Refused> {
        let never = |detail: &str| Refused {
            error: Error::new(ErrorKind::InvalidInput, WHAT).with_facts(detail.to_owned()),
            never: true,
        };
        let Some(message) = Message::decode(&parcel.bytes) else {
            return Err(never("the message describes an area that cannot be"));
        };
        let descriptor = match <[OwnedFd; 1]>::try_from(parcel.descriptors) {
            Ok([descriptor]) if !parcel.lacks => descriptor,
            Ok(_) => return Err(never("more than one descriptor came with the message")),
            Err(none) if none.is_empty() => return Err(never("no descriptor came with the message")),
            Err(_) => return Err(never("more than one descriptor came with the message")),
        };
        let max = message.max.filter(|max| max.is_multiple_of(PageSize::base().bytes()));
        let reported = max.map_or(Extent::Fixed, |max| Extent::Growable { max });
        let flags = sys::file::is_writable(descriptor.as_fd());
        // What is not an object, or may shrink, will never be anything else.
        let object = Object::adopt(descriptor, reported, message.exact)
            .map_err(|error| Refused { never: error.kind() == ErrorKind::InvalidInput, error })?;
        let writable = flags
            .map_err(|errno| Error::new(ErrorKind::System, WHAT).with_system_call("fcntl(F_GETFL)", errno))?;
        Ok(self.map_object(object, writable, (message.name, message.note, message.lock), WHAT)?)
    }

    /// Maps an object that came from elsewhere, within the bounds, with the rights of its
    /// descriptor and the lock that is claimed for it.
    pub(super) fn map_object(
        &self,
        object: Object,
        writable: bool,
        (name, note, claimed): (Option<Name>, Note, Lock),
        what: &'static str,
    ) -> Result<AnyArea> {
        headroom::keep(|| what.to_owned())?;
        let lock = self.accept.check(&object, claimed, what)?;
        let (frozen, resizable) = (object.was_frozen(), matches!(object.extent(), Extent::Resizable { .. }));
        let protection =
            if writable && !object.refused_writers() { Protection::READ_WRITE } else { Protection::READ };
        let mapping = System::new().map(&Request::object(&object).protection(protection))?;
        let mut area: Area<Shared> = Area::over(mapping, object, CompactPlacement::Default);
        area.name = name;
        area.note = note;
        area.take_missing(|| what.to_owned())?;
        let whose = area.to_string();
        area.apply_lock(lock, &whose)?;
        area.prove_lock(lock, || what.to_owned())?;
        Ok(match (frozen, resizable) {
            (true, _) => AnyArea::Frozen(area.into_kind()),
            (false, true) => AnyArea::Resizable(area.into_kind()),
            (false, false) => AnyArea::Shared(area),
        })
    }
}

/// Why an area was not taken, and whether that can never change.
struct Refused {
    error: Error,
    never: bool,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused { error, never: false }
    }
}
