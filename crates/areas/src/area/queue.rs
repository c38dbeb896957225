//! Messages with areas in the queue of a socket: looked at where they lie, waited for, taken.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::passing::Message;
use crate::error::{Error, ErrorKind, Result, remedy};
use crate::sys;
use crate::sys::file::Identity;
use crate::sys::socket::{For, Packet};

pub(super) const WHAT: &str = "receive an area over a socket";

/// A message of ours, whole, with what came along.
pub(super) struct Parcel {
    pub(super) bytes: [u8; Message::BYTES],
    pub(super) descriptors: Vec<OwnedFd>,
    /// Whether more descriptors came than are here.
    pub(super) lacks: bool,
}

impl Parcel {
    /// What the descriptor is, if there is one.
    pub(super) fn identity(&self) -> Result<Option<Identity>> {
        let look = |fd: &OwnedFd| sys::file::look(fd.as_fd()).map(|stat| stat.identity);
        self.descriptors
            .first()
            .map(look)
            .transpose()
            .map_err(|errno| Error::new(ErrorKind::System, WHAT).with_system_call("statx", errno))
    }
}

/// Whether what was taken is what was looked at. Where that is not known, it is opened as something
/// else would be.
pub(super) fn is_it(taken: &Parcel, identity: Option<Identity>) -> bool {
    taken.identity().is_ok_and(|taken| taken == identity)
}

/// What is first in a socket's queue.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once; a box would be an allocation")]
pub(super) enum Seen {
    Whole(Parcel),
    /// A whole message, which was sent in parts: it cannot be looked at without taking it.
    InParts,
    /// So many bytes, which may become a message; 0 for nothing.
    Part(usize),
}

pub(super) fn failed(call: &'static str) -> impl Fn(sys::Errno) -> Error {
    move |errno| {
        Error::new(ErrorKind::Io, WHAT)
            .with_system_call(call, errno)
            .with_remedy("it must be a connected Unix socket")
    }
}

/// Looks at what is first in a socket's queue, and takes nothing.
pub(super) fn look(socket: BorrowedFd<'_>, stream: bool) -> Result<Seen> {
    let mut bytes = [0; Message::BYTES];
    let Packet { len, cut, lacks, descriptors, .. } = match sys::socket::look_at_packet(socket, &mut bytes) {
        Err(sys::Errno::AGAIN) => return Ok(Seen::Part(0)),
        other => other.map_err(failed("recvmsg(MSG_PEEK)"))?,
    };
    if len > 0 && !Message::begins(&bytes[..len])
        || !stream && (len > 0 && len < bytes.len() || cut && !lacks)
    {
        return Err(Error::new(ErrorKind::InvalidInput, WHAT)
            .with_facts("the first message in the socket's queue is not of this library; it stays there")
            .with_remedy("the other side must send with `Area::send`, of the same version"));
    }
    if lacks && descriptors.is_empty() {
        return Err(no_descriptor(socket));
    }
    if len == bytes.len() {
        return Ok(Seen::Whole(Parcel { bytes, descriptors, lacks }));
    }
    // A look goes no further than to the end of what was sent with a descriptor.
    let whole =
        stream && len > 0 && sys::socket::queued(socket).map_err(failed("ioctl(FIONREAD)"))? >= bytes.len();
    Ok(if whole { Seen::InParts } else { Seen::Part(len) })
}

/// Why a descriptor that came was not given to us: seen by trying to have another one.
fn no_descriptor(socket: BorrowedFd<'_>) -> Error {
    const CALL: &str = "recvmsg(MSG_PEEK, SCM_RIGHTS)";
    match socket.try_clone_to_owned() {
        Ok(_) => Error::new(ErrorKind::NotPermitted, WHAT)
            .with_system_call(CALL, sys::Errno::ACCESS)
            .with_facts("the kernel did not pass its descriptor (a security module?); it stays in the queue"),
        Err(error) => {
            let errno = error.raw_os_error().map_or(sys::Errno::MFILE, sys::Errno::from_raw_os_error);
            remedy::open_files(Error::new(ErrorKind::Limit, WHAT).with_system_call(CALL, errno))
        }
    }
}

/// Takes a message off a socket's queue, which is there as far as we have seen; `None` where
/// another thread was faster.
pub(super) fn take(socket: BorrowedFd<'_>) -> Result<Option<Parcel>> {
    let mut parcel = Parcel { bytes: [0; Message::BYTES], descriptors: Vec::new(), lacks: false };
    let mut done = 0;
    while done < parcel.bytes.len() {
        let packet = match sys::socket::take_packet(socket, &mut parcel.bytes[done..]) {
            Err(sys::Errno::AGAIN) if done == 0 => return Ok(None),
            other => other.map_err(failed("recvmsg"))?,
        };
        if packet.len == 0 {
            return Err(closed(done));
        }
        done += packet.len;
        parcel.lacks |= packet.lacks;
        parcel.descriptors.extend(packet.descriptors);
    }
    Ok(Some(parcel))
}

fn closed(got: usize) -> Error {
    Error::new(ErrorKind::Io, WHAT)
        .with_facts(format!("the other side closed after {got} of {} bytes", Message::BYTES))
}

/// Waiting for a whole message.
pub(super) struct Waiting<'a> {
    socket: BorrowedFd<'a>,
    pub(super) stream: bool,
    /// `None` without one.
    deadline: Option<Instant>,
    /// What the socket or the caller allows, for the message.
    allowed: Option<Duration>,
    /// Whether it does not wait at all.
    never: bool,
    /// Whether the other side had closed before the last look.
    closed: bool,
    /// How long it waits for the rest of a message, whose arrival nothing signals.
    step: Duration,
}

impl<'a> Waiting<'a> {
    pub(super) fn begin(socket: BorrowedFd<'a>, timeout: Option<Duration>) -> Result<Self> {
        let stream = sys::socket::is_stream(socket).map_err(failed("getsockopt(SO_TYPE)"))?;
        let never =
            timeout.is_none() && sys::socket::is_nonblocking(socket).map_err(failed("fcntl(F_GETFL)"))?;
        let allowed = match timeout {
            Some(timeout) => Some(timeout),
            None => sys::socket::receive_timeout(socket).map_err(failed("getsockopt(SO_RCVTIMEO)"))?,
        };
        // What is beyond the clock is forever.
        let deadline = allowed.and_then(|allowed| Instant::now().checked_add(allowed));
        let step = Duration::from_millis(1);
        Ok(Waiting { socket, stream, deadline, allowed, never, closed: false, step })
    }

    /// Waits for more than the `got` bytes that are there.
    pub(super) fn wait(&mut self, got: usize) -> Result<()> {
        const LONGEST_STEP: Duration = Duration::from_millis(20);
        if self.closed {
            return Err(closed(got));
        }
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = if self.never { Some(Duration::ZERO) } else { left };
        let (what, at_most) = match got {
            0 => (For::Anything, left),
            _ => {
                self.step = (self.step * 2).min(LONGEST_STEP);
                (For::TheEnd, Some(left.map_or(self.step, |left| left.min(self.step))))
            }
        };
        self.closed = sys::socket::wait(self.socket, what, at_most).map_err(failed("poll"))?;
        if self.closed || left != Some(Duration::ZERO) {
            return Ok(());
        }
        let there = match got {
            0 => "nothing has come".to_owned(),
            _ => format!("{got} of {} bytes of a message are there, and no more come", Message::BYTES),
        };
        Err(match self.allowed.filter(|_| !self.never) {
            None => Error::new(ErrorKind::Io, WHAT)
                .with_system_call("recvmsg(MSG_PEEK)", sys::Errno::AGAIN)
                .with_facts(there),
            Some(allowed) => {
                Error::new(ErrorKind::TimedOut, WHAT).with_facts(format!("{there} after {allowed:?}"))
            }
        })
    }
}
