//! Passing a descriptor over a Unix socket: over one that is connected, or as a packet to one that has an address.

#![expect(
    unsafe_code,
    reason = "who sent a packet: the wrapper at hand takes process 0 for impossible, and it is not"
)]

use std::ffi::CStr;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, recvmsg, sendmsg, sendmsg_addr,
};

use super::descriptor::{guard, move_up, own};
use super::memory::last_errno;
use super::object::retry;
use super::{Errno, Result};

/// Room for more descriptors than are expected, so that all that come are seen, and closed.
const MOST: usize = 16;

/// Sends bytes and one descriptor, in one piece.
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

/// Receives bytes until the buffer is full or the other side has closed, and the descriptors that come along, all of them
/// close-on-exec.
pub(crate) fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<(usize, Vec<OwnedFd>)> {
    let mut descriptors = Vec::new();
    let _taken = guard();
    let mut done = 0;
    while done < bytes.len() {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let message = retry(|| {
            recvmsg(
                socket,
                &mut [IoSliceMut::new(&mut bytes[done..])],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC,
            )
        })?;
        for part in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = part {
                for descriptor in rights {
                    descriptors.push(move_up(descriptor)?);
                }
            }
        }
        if message.flags.contains(ReturnFlags::CTRUNC) {
            return Err(Errno::TOOBIG);
        }
        if message.bytes == 0 {
            break;
        }
        done += message.bytes;
    }
    Ok((done, descriptors))
}

/// A socket for packets, which never waits.
pub(crate) fn packets() -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    own(|| rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None))
}

/// Has the kernel tell who sends what this socket receives.
pub(crate) fn name_senders(socket: BorrowedFd<'_>) -> Result<()> {
    rustix::net::sockopt::set_socket_passcred(socket, true)
}

/// Gives a socket an address: a name in a file system, which is made.
pub(crate) fn bind(socket: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    rustix::net::bind(socket, &SocketAddrUnix::new(path)?)
}

/// Sends one packet and one descriptor to the socket that a path leads to, or nothing: EAGAIN where its queue is full.
pub(crate) fn send_packet(
    socket: BorrowedFd<'_>,
    to: &CStr,
    bytes: &[u8],
    descriptor: BorrowedFd<'_>,
) -> Result<()> {
    let to = SocketAddrUnix::new(to)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let descriptors = [descriptor];
    let sent = retry(|| {
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
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
    /// The kernel's word; `None` where it was not asked to tell.
    pub(crate) sender: Option<Sender>,
    /// Close-on-exec, all of them.
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// Who sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    /// 0 for a process outside our pid namespace.
    pub(crate) pid: u32,
    /// The real user, as our user namespace calls it.
    pub(crate) user: u32,
}

/// Whether something may be there to be received: asks without waiting, and changes nothing, whatever the descriptor is by now.
pub(crate) fn may_have_packet(socket: BorrowedFd<'_>) -> bool {
    let mut asked = [rustix::event::PollFd::from_borrowed_fd(socket, rustix::event::PollFlags::IN)];
    // Where it cannot be asked, it is tried.
    rustix::event::poll(&mut asked, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }))
        .map_or(true, |ready| ready > 0)
}

/// Drops the first packet and what came with it.
pub(crate) fn drop_packet(socket: BorrowedFd<'_>) -> Result<()> {
    retry(|| {
        let mut nothing = RecvAncillaryBuffer::default();
        recvmsg(socket, &mut [], &mut nothing, RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC).map(drop)
    })
}

/// Looks at the first packet, without waiting: EAGAIN where there is none. It stays where it is, and what came with it is open
/// here too: where there is no number free for a descriptor, nothing is lost (`cut`, and the descriptor missing).
pub(crate) fn look_at_packet(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<Packet> {
    /// Room for the descriptors and for who sent them, in words, which are aligned as its parts have to be.
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
                libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC | libc::MSG_PEEK,
            )
        };
        usize::try_from(got).map_err(|_| last_errno())
    })?;
    let cut = message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    let mut packet = Packet { len, cut, sender: None, descriptors: Vec::new() };
    // SAFETY: the kernel has filled in the message, and `space` is still there.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    while !header.is_null() {
        // SAFETY: not null, so that a whole header lies there, inside `space`, aligned (`CMSG_FIRSTHDR`, `CMSG_NXTHDR`).
        let part = unsafe { header.read() };
        // SAFETY: the header is inside `space`, and what it heads follows.
        let data = unsafe { libc::CMSG_DATA(header) };
        let len = data_len(&part);
        match (part.cmsg_level, part.cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                for at in (0..len / size_of::<libc::c_int>()).map(|i| i * size_of::<libc::c_int>()) {
                    // SAFETY: `at` and the four bytes there are inside the `len` bytes that the header heads.
                    let number = unsafe { data.add(at) };
                    // SAFETY: as above; nothing is assumed of the alignment.
                    let number = unsafe { number.cast::<libc::c_int>().read_unaligned() };
                    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows of it.
                    let given = unsafe { OwnedFd::from_raw_fd(number) };
                    match move_up(given) {
                        Ok(descriptor) => packet.descriptors.push(descriptor),
                        // As where the kernel had no number for it.
                        Err(_) => packet.cut = true,
                    }
                }
            }
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if len >= size_of::<libc::ucred>() => {
                // SAFETY: so many bytes are there (checked), and any bytes are such a value.
                let who = unsafe { data.cast::<libc::ucred>().read_unaligned() };
                packet.sender = Some(Sender { pid: u32::try_from(who.pid).unwrap_or(0), user: who.uid });
            }
            _ => {}
        }
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
