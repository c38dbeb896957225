//! Unix sockets that others connect to, and who is at the other end. Packets that come whole and in
//! order (`SOCK_SEQPACKET`).
//!
//! No call here waits for another process but [`wait_for`], which has a deadline.

#![expect(
    unsafe_code,
    reason = "who is at the other end: the wrapper at hand takes process 0 for impossible, and it is not"
)]

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use super::descriptor::own;
use super::memory::last_errno;
use super::retry::retry;
use super::{Errno, Result};

/// A socket for connections on which packets go, which never waits.
pub(crate) fn new() -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    own(|| rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None))
}

/// Lets others connect; at most so many wait for an answer at a time.
pub(crate) fn listen(socket: BorrowedFd<'_>, most: i32) -> Result<()> {
    rustix::net::listen(socket, most)
}

/// The next connection, which never waits: EAGAIN where there is none.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    own(|| retry(|| rustix::net::accept_with(listener, flags)))
}

/// Connects to what a path leads to: EAGAIN where too many wait there already.
pub(crate) fn connect(socket: BorrowedFd<'_>, path: &CStr) -> Result<()> {
    let address = SocketAddrUnix::new(path)?;
    retry(|| rustix::net::connect(socket, &address))
}

/// Whether a socket is one of those that `new` and `listen` make: Unix, packets, listening.
pub(crate) fn is_listening(socket: BorrowedFd<'_>) -> Result<bool> {
    Ok(sockopt::socket_domain(socket)? == AddressFamily::UNIX
        && sockopt::socket_type(socket)? == SocketType::SEQPACKET
        && sockopt::socket_acceptconn(socket)?)
}

/// Has no call on it wait.
pub(crate) fn set_nonblocking(socket: BorrowedFd<'_>) -> Result<()> {
    let flags = rustix::fs::fcntl_getfl(socket)?;
    rustix::fs::fcntl_setfl(socket, flags | rustix::fs::OFlags::NONBLOCK)
}

/// Who is at the other end, as the kernel noted when it connected, or began to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// 0 for a process outside our pid namespace.
    pub pid: u32,
    /// The effective user, as our user namespace calls it; the overflow user where it has no name
    /// for it.
    pub user: u32,
}

/// Who is at the other end of a connection.
///
/// rustix's own call takes no process outside our pid namespace: a number of 0 is undefined
/// behaviour there.
///
/// # Errors
/// The kernel's: it is not a connected socket of this machine.
pub fn peer(socket: BorrowedFd<'_>) -> Result<Credentials> {
    let mut credentials = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    #[expect(clippy::cast_possible_truncation, reason = "12 bytes")]
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to where there is room for so many, and the
    // number of them to `len`; both outlive the call.
    let status = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut len,
        )
    };
    match (status, len as usize == size_of::<libc::ucred>()) {
        (0, true) => {
            Ok(Credentials { pid: u32::try_from(credentials.pid).unwrap_or(0), user: credentials.uid })
        }
        (0, false) => Err(Errno::INVAL),
        _ => Err(last_errno()),
    }
}

/// Whether the other side has ended a connection without taking all that was sent. It is reported
/// once.
pub(crate) fn was_reset(socket: BorrowedFd<'_>) -> bool {
    matches!(sockopt::socket_error(socket), Ok(Err(Errno::CONNRESET)))
}

/// What one of several sockets is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Something comes, or it ends.
    Ready,
    /// The other side ends it.
    Ended,
}

/// Waits until something happens to one of the sockets, for at most so long (`None` waits forever),
/// and reports for each whether it did.
///
/// A signal ends it early, with nothing reported.
pub(crate) fn wait_for(sockets: &[(BorrowedFd<'_>, Until)], at_most: Option<Duration>) -> Result<Vec<bool>> {
    let mut asked: Vec<PollFd<'_>> = sockets
        .iter()
        .map(|(socket, until)| match until {
            Until::Ready => PollFd::from_borrowed_fd(*socket, PollFlags::IN | PollFlags::RDHUP),
            Until::Ended => PollFd::from_borrowed_fd(*socket, PollFlags::RDHUP),
        })
        .collect();
    let at_most = at_most.map(|time| Timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    });
    match rustix::event::poll(&mut asked, at_most.as_ref()) {
        Ok(_) => Ok(asked.iter().map(|socket| !socket.revents().is_empty()).collect()),
        Err(Errno::INTR) => Ok(vec![false; sockets.len()]),
        Err(errno) => Err(errno),
    }
}

/// Looks at the bytes of what came first, which stays where it is, with all that came with it: 0 at
/// the end, EAGAIN where nothing came.
pub(crate) fn peek(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<usize> {
    use rustix::net::RecvFlags;
    retry(|| {
        rustix::net::recv(socket, &mut *bytes, RecvFlags::PEEK | RecvFlags::DONTWAIT).map(|(_, len)| len)
    })
}

/// Sends a packet that nothing goes with, or nothing: EAGAIN where there is no room for it.
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> Result<()> {
    use rustix::net::SendFlags;
    retry(|| rustix::net::send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)).map(drop)
}
