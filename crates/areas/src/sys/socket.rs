//! Passing a descriptor over a Unix socket: over one that is connected, or as a packet to one that
//! has an address.
//!
//! Nothing here waits for another process but [`wait`], which has a deadline.

#![expect(
    unsafe_code,
    reason = "who sent a packet: the wrapper at hand takes process 0 for impossible, and it is not"
)]

use std::ffi::CStr;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    SocketAddrUnix, SocketFlags, SocketType, recvmsg, sendmsg, sendmsg_addr,
};

use super::descriptor::{guard, move_up, own};
use super::memory::last_errno;
use super::retry::retry;
use super::{Errno, Result};

/// Sends bytes and one descriptor, in one piece: so few bytes as a message of ours has go whole or
/// not at all, on a stream too (EAGAIN where the socket does not wait, or not any longer).
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptor: BorrowedFd<'_>) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let descriptors = [descriptor];
    let mut sent = retry(|| {
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(Errno::NOBUFS);
        }
        sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)
    })?;
    // The descriptor went with the first byte; a stream may take the rest in parts.
    while sent < bytes.len() {
        sent += retry(|| {
            sendmsg(
                socket,
                &[IoSlice::new(&bytes[sent..])],
                &mut SendAncillaryBuffer::default(),
                SendFlags::NOSIGNAL,
            )
        })?;
    }
    Ok(())
}

/// Whether a socket keeps what was sent apart: packets, or a stream of bytes.
pub(crate) fn is_stream(socket: BorrowedFd<'_>) -> Result<bool> {
    Ok(rustix::net::sockopt::socket_type(socket)? == SocketType::STREAM)
}

/// Whether calls on it do not wait (`O_NONBLOCK`).
pub(crate) fn is_nonblocking(socket: BorrowedFd<'_>) -> Result<bool> {
    Ok(rustix::fs::fcntl_getfl(socket)?.contains(rustix::fs::OFlags::NONBLOCK))
}

/// How long a receiving call on it waits (`SO_RCVTIMEO`); `None` forever.
pub(crate) fn receive_timeout(socket: BorrowedFd<'_>) -> Result<Option<Duration>> {
    rustix::net::sockopt::socket_timeout(socket, rustix::net::sockopt::Timeout::Recv)
}

/// Bytes that can be received now, of all that was sent.
pub(crate) fn queued(socket: BorrowedFd<'_>) -> Result<usize> {
    let bytes = rustix::io::ioctl_fionread(socket)?;
    Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// What a socket is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// Something to receive, or the other side's end.
    Anything,
    /// The other side's end alone: something is there already, and is not all.
    TheEnd,
}

/// Waits, for at most so long (`None` waits forever). Whether the other side sends nothing more;
/// what it has sent may still be there.
///
/// A signal ends it early.
pub(crate) fn wait(socket: BorrowedFd<'_>, what: For, at_most: Option<Duration>) -> Result<bool> {
    let asked = match what {
        For::Anything => PollFlags::IN | PollFlags::RDHUP,
        For::TheEnd => PollFlags::RDHUP,
    };
    let mut sockets = [PollFd::from_borrowed_fd(socket, asked)];
    let at_most = at_most.map(|time| Timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    });
    match rustix::event::poll(&mut sockets, at_most.as_ref()) {
        Ok(_) => {
            let ended = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
            Ok(sockets[0].revents().intersects(ended))
        }
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// A socket for packets, which never waits.
pub(crate) fn packets() -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    own(|| rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None))
}

/// Has the kernel report the sender of what this socket receives.
pub(crate) fn name_senders(socket: BorrowedFd<'_>) -> Result<()> {
    rustix::net::sockopt::set_socket_passcred(socket, true)
}

/// Gives a socket an address: a name in a file system, which is made.
pub(crate) fn bind(socket: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    rustix::net::bind(socket, &SocketAddrUnix::new(path)?)
}

/// Sends one packet and some descriptors, two at most, to the socket that a path leads to, or
/// nothing: EAGAIN where its queue is full.
pub(crate) fn send_packet(
    socket: BorrowedFd<'_>,
    to: &CStr,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<()> {
    let to = SocketAddrUnix::new(to)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let sent = retry(|| {
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(Errno::NOBUFS);
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        sendmsg_addr(socket, &to, &[IoSlice::new(bytes)], &mut ancillary, flags)
    })?;
    // A packet goes whole.
    if sent == bytes.len() { Ok(()) } else { Err(Errno::MSGSIZE) }
}

/// A packet that came, and who sent it.
#[derive(Debug)]
pub(crate) struct Packet {
    /// Bytes of the buffer that were filled.
    pub(crate) len: usize,
    /// Whether more came than there was room for, bytes or descriptors.
    pub(crate) cut: bool,
    /// Whether descriptors came that could not be given to this process: there was no number free,
    /// or no right to have them.
    pub(crate) lacks: bool,
    /// The kernel's word; `None` where it was not asked.
    pub(crate) sender: Option<Sender>,
    /// Close-on-exec, all of them.
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// The kind of a control message with a handle of the sender (Linux 6.5).
const SCM_PIDFD: libc::c_int = 4;

/// Who sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    /// 0 for a process outside our pid namespace.
    pub(crate) pid: u32,
    /// The real user, as our user namespace calls it.
    pub(crate) user: u32,
}

/// Whether something may be there to be received: asks without waiting, and changes nothing,
/// whatever the descriptor is by now.
pub(crate) fn may_have_packet(socket: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
    // Where it cannot be asked, it is tried.
    rustix::event::poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).map_or(true, |ready| ready > 0)
}

/// Drops the first packet and what came with it.
pub(crate) fn drop_packet(socket: BorrowedFd<'_>) -> Result<()> {
    retry(|| {
        let mut nothing = RecvAncillaryBuffer::default();
        recvmsg(socket, &mut [], &mut nothing, RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC).map(drop)
    })
}

/// Looks at the first packet, without waiting: EAGAIN where there is none. It stays where it is,
/// and what came with it is open here too: where there is no number free for a descriptor, nothing
/// is lost (`cut`, and the descriptor missing).
///
/// On a stream it is what was sent in one call, at most: up to the end of the first part that a
/// descriptor came with.
pub(crate) fn look_at_packet(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<Packet> {
    packet(socket, bytes, libc::MSG_PEEK)
}

/// Takes the first packet, or what is there of a stream, without waiting.
pub(crate) fn take_packet(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<Packet> {
    packet(socket, bytes, 0)
}

impl Packet {
    /// Takes in one part of what came beside the bytes.
    ///
    /// # Safety
    /// A whole header is at `header`, aligned, and what it heads behind it, as the kernel wrote
    /// both. Its descriptors are open, and nothing else knows of them.
    #[inline]
    unsafe fn take_part(&mut self, header: *const libc::cmsghdr) {
        // SAFETY: a whole header lies there, aligned (the caller).
        let part = unsafe { header.read() };
        // SAFETY: what the header heads follows it (the caller).
        let data = unsafe { libc::CMSG_DATA(header) };
        let len = data_len(&part);
        match (part.cmsg_level, part.cmsg_type) {
            // A handle of the sender, where the program asked for that (SO_PASSPIDFD), is a
            // descriptor as well, and no area's.
            (libc::SOL_SOCKET, kind @ (libc::SCM_RIGHTS | SCM_PIDFD)) => {
                for at in (0..len / size_of::<libc::c_int>()).map(|i| i * size_of::<libc::c_int>()) {
                    // SAFETY: `at` and the four bytes there are inside the `len` bytes that the
                    // header heads.
                    let number = unsafe { data.add(at) };
                    // SAFETY: the four bytes there are inside the `len` bytes that the header
                    // heads; nothing is assumed of the alignment.
                    let number = unsafe { number.cast::<libc::c_int>().read_unaligned() };
                    if number < 0 {
                        continue;
                    }
                    // SAFETY: the kernel has made this descriptor for us, and nothing else knows of
                    // it (the caller).
                    let given = unsafe { OwnedFd::from_raw_fd(number) };
                    match move_up(given) {
                        Ok(descriptor) if kind == libc::SCM_RIGHTS => self.descriptors.push(descriptor),
                        // What the message does not stand for is closed.
                        Ok(_) => {}
                        // As where the kernel had no number for it.
                        Err(_) => (self.cut, self.lacks) = (true, true),
                    }
                }
            }
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if len >= size_of::<libc::ucred>() => {
                // SAFETY: so many bytes are there (checked), and any bytes are such a value.
                let who = unsafe { data.cast::<libc::ucred>().read_unaligned() };
                self.sender = Some(Sender { pid: u32::try_from(who.pid).unwrap_or(0), user: who.uid });
            }
            _ => {}
        }
    }
}

fn packet(socket: BorrowedFd<'_>, bytes: &mut [u8], flags: libc::c_int) -> Result<Packet> {
    /// Room for the descriptors and for who sent them, in words, which are aligned as its parts
    /// have to be. More descriptors than are expected, so that all that come are seen, and closed.
    const WORDS: usize = 32;
    let mut space = [0_u64; WORDS];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: all its parts are numbers and pointers, for which zeros are values.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = space.as_mut_ptr().cast();
    #[expect(clippy::useless_conversion, reason = "another type with other C libraries")]
    let room = (WORDS * size_of::<u64>()).try_into();
    message.msg_controllen = room.map_err(|_| Errno::INVAL)?;
    let _taken = guard();
    let len = retry(|| {
        // SAFETY: the message names two buffers of ours with their lengths, which outlive the call.
        let got = unsafe {
            libc::recvmsg(
                socket.as_raw_fd(),
                &raw mut message,
                libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC | flags,
            )
        };
        usize::try_from(got).map_err(|_| last_errno())
    })?;
    let cut = message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    let lacks = message.msg_flags & libc::MSG_CTRUNC != 0;
    let mut packet = Packet { len, cut, lacks, sender: None, descriptors: Vec::new() };
    // SAFETY: the kernel has filled in the message, and `space` is still there.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    while !header.is_null() {
        // SAFETY: not null, so that a whole header lies there, inside `space`, aligned
        // (`CMSG_FIRSTHDR`, `CMSG_NXTHDR`), and what it heads behind it. The kernel has just made
        // its descriptors for us, and each part is taken once.
        unsafe { packet.take_part(header) };
        // SAFETY: the message is as the kernel has filled it in, and the header one of its own.
        header = unsafe { libc::CMSG_NXTHDR(&raw const message, header) };
    }
    Ok(packet)
}

/// The bytes behind a header.
fn data_len(header: &libc::cmsghdr) -> usize {
    // SAFETY: arithmetic on a constant.
    let head = unsafe { libc::CMSG_LEN(0) };
    #[expect(clippy::unnecessary_cast, reason = "another type with other C libraries")]
    (header.cmsg_len as usize).saturating_sub(head as usize)
}
