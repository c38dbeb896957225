//! A team's transfer socket: its transfer socket, to which others transfer areas.
//!
//! A pending transfer waits in the socket's queue, which is the kernel's: it holds the memory
//! though its giver is dead, and releases it when the team dies. The socket's address is a name in
//! the registry's folder for as long as it takes to open that name; then the name goes, and what
//! leads to the socket is `/proc/PID/fd/N`, as with all else that a team has. So only those reach a
//! transfer socket that may look into its owner, and nothing of it is left behind.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::pending::{Parcel, PendingTransfer, Unasked};
use crate::error::{Error, ErrorKind, Result, remedy};
use crate::registry::directory::{Directory, SOCKET_NAME, any_below};
use crate::registry::process::{OWN_DESCRIPTORS, is_dead};
use crate::registry::table::TransferSocketAt;
use crate::sys;
use crate::sys::checked_fd::CheckedFd;
use crate::sys::file::Identity;
use crate::sys::file::OFlags;

/// Our own transfer socket.
#[derive(Debug)]
pub(in crate::registry) struct TransferSocket {
    socket: CheckedFd,
    /// Leads to the socket's file, which has no name any more. Never read: others come by way of
    /// its number.
    entry: CheckedFd,
    at: TransferSocketAt,
}

impl TransferSocket {
    /// Makes one, by way of a name in the registry's folder. `start_time` is that of this process.
    pub(in crate::registry) fn make(directory: &Directory, start_time: u64) -> Result<Self> {
        let failed = |call: &'static str| {
            move |errno| {
                let error = |kind| {
                    Error::new(kind, "make the socket at which areas can be offered")
                        .with_system_call(call, errno)
                };
                match errno {
                    sys::Errno::MFILE | sys::Errno::NFILE => remedy::open_files(error(ErrorKind::Limit)),
                    sys::Errno::PERM | sys::Errno::ACCESS | sys::Errno::AFNOSUPPORT => {
                        error(ErrorKind::NotPermitted)
                            .with_remedy("a sandbox may forbid Unix sockets: allow socket(AF_UNIX) and bind")
                    }
                    _ => error(ErrorKind::System),
                }
            }
        };
        let space = directory.space().map_err(failed("fstat"))?;
        clear_forsaken(space);
        let socket = sys::socket::packets().map_err(failed("socket(AF_UNIX, SOCK_DGRAM)"))?;
        sys::socket::name_senders(socket.as_fd()).map_err(failed("setsockopt(SO_PASSCRED)"))?;
        let socket = CheckedFd::new(socket).map_err(failed("fstat"))?;
        let name = name_of(sys::process::pid(), start_time, any_below(u32::MAX));
        sys::socket::bind(socket.as_fd(), &path(space, &name)).map_err(failed("bind"))?;
        let opened = sys::file::open_at(space, &name, OFlags::PATH | OFlags::NOFOLLOW, 0);
        let _ = sys::file::unlink(space, &name);
        let entry = opened.map_err(failed("openat(O_PATH)"))?;
        let stat = sys::file::stat(entry.as_fd()).map_err(failed("fstat"))?;
        if stat.mode & 0o200 == 0 {
            // A umask may have taken the owner's right to write, which is what sending to it takes.
            sys::file::set_mode_of(&number_path(entry.as_fd()), 0o600).map_err(failed("chmod(0600)"))?;
        }
        let at = TransferSocketAt { descriptor: entry.as_raw_fd(), socket: stat.identity };
        let entry = CheckedFd::new(entry).map_err(failed("fstat"))?;
        Ok(TransferSocket { socket, entry, at })
    }

    /// Where others find it.
    pub(in crate::registry) fn at(&self) -> TransferSocketAt {
        self.at
    }

    /// Whether the descriptors are still ours: a program may have closed all that it does not know.
    pub(in crate::registry) fn is_intact(&self) -> bool {
        self.socket.is_intact() && self.entry.is_intact()
    }

    /// Whether something may be at the transfer socket. Mostly nothing is, whosever socket it is:
    /// to ask that changes nothing.
    pub(in crate::registry) fn may_have_offers(&self) -> bool {
        sys::socket::may_have_packet(self.socket.as_fd())
    }

    /// The next parcel at the transfer socket, if there is one. What is not an offer is dropped on
    /// the way. All stays where it is if there is no room for more. `control` is the control file
    /// of this process, by which it knows a claim.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] where no descriptor can be had for it, [`ErrorKind::System`] where the
    /// kernel does not say what it is: then it stays where it is.
    pub(in crate::registry) fn take(
        &self,
        is_full: impl FnOnce() -> bool,
        control: Option<Identity>,
    ) -> Result<Option<Parcel>> {
        /// What is not an offer costs a caller no more than so many times the system calls.
        const MAX_NONSENSE: usize = 64;
        if is_full() {
            return Ok(None);
        }
        // To read from another process's socket would be to take what is not ours.
        let Ok(socket) = self.socket.checked() else { return Ok(None) };
        for _ in 0..MAX_NONSENSE {
            if !sys::foreign::may_take() {
                // Nothing may be there any more.
                return if sys::socket::may_have_packet(socket) {
                    Err(too_many_strangers())
                } else {
                    Ok(None)
                };
            }
            let Some(first) = look(socket, control) else { return Ok(None) };
            let parcel = first?;
            if sys::socket::drop_packet(socket).is_err() {
                // It is still in line: taken now, it would come twice.
                return Ok(None);
            }
            if parcel.is_some() {
                return Ok(parcel);
            }
        }
        Ok(None)
    }

    /// Drops the first in line if it cannot be accepted. Whether it was so.
    pub(in crate::registry) fn refuse(&self, control: Option<Identity>) -> bool {
        let Ok(socket) = self.socket.checked() else { return false };
        if !sys::foreign::may_take() {
            return sys::socket::may_have_packet(socket) && sys::socket::drop_packet(socket).is_ok();
        }
        matches!(look(socket, control), Some(Err(_))) && sys::socket::drop_packet(socket).is_ok()
    }
}

/// To look at what came is to have its descriptors, which may have to be kept.
#[cold]
fn too_many_strangers() -> Error {
    Error::new(ErrorKind::Limit, "accept an area that another team has transferred")
        .with_facts(format!(
            "{} descriptors of other files came from other processes: closing them could block",
            sys::foreign::MAX_KEPT
        ))
        .with_remedy("restart this process, which accepts nothing more; `/proc/PID/fd` shows the files")
}

/// What is first in line at a socket, and stays there; `None` if nothing is. What is not an offer
/// is `Ok(None)`.
fn look(socket: BorrowedFd<'_>, control: Option<Identity>) -> Option<Result<Option<Parcel>>> {
    let mut bytes = [0; PendingTransfer::BYTES];
    let packet = sys::socket::look_at_packet(socket, &mut bytes).ok()?;
    if packet.lacks && packet.descriptors.len() < PendingTransfer::DESCRIPTORS {
        drop(Unasked::new(packet.descriptors, control));
        return Some(Err(remedy::open_files(Error::new(
            ErrorKind::Limit,
            "accept an area that another team has transferred",
        ))));
    }
    Some(Parcel::open(packet, &bytes, control))
}

/// Puts an offer and its descriptors at another team's transfer socket. `folder` shows that team's
/// descriptors.
pub(in crate::registry) fn offer(
    folder: &str,
    at: TransferSocketAt,
    bytes: &[u8; PendingTransfer::BYTES],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Refused> {
    let refused = |call| move |errno| Refused { call, errno };
    let path = format!("{folder}/{}", at.descriptor);
    let path = CString::new(path).map_err(|_| refused("open")(sys::Errno::INVAL))?;
    let entry =
        sys::file::open_at(sys::file::CWD, &path, OFlags::PATH, 0).map_err(refused("openat(O_PATH)"))?;
    // The number may lead to anything by now.
    let stat = sys::file::look(entry.as_fd()).map_err(refused("fstat"))?;
    if stat.identity != at.socket || !stat.is_socket() {
        return Err(refused("openat(O_PATH)")(sys::Errno::NOENT));
    }
    let socket = sys::socket::packets().map_err(refused("socket(AF_UNIX, SOCK_DGRAM)"))?;
    sys::socket::send_packet(socket.as_fd(), &number_path(entry.as_fd()), bytes, descriptors)
        .map_err(refused("sendmsg(SCM_RIGHTS)"))
}

/// Why an offer could not be put at a transfer socket: the call, and what the kernel said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::registry) struct Refused {
    pub(in crate::registry) call: &'static str,
    pub(in crate::registry) errno: sys::Errno,
}

/// The name that a transfer socket has until it is open. `lot` distinguishes what one process makes
/// at once: two copies of this library.
fn name_of(pid: u32, start_time: u64, lot: u32) -> CString {
    CString::new(format!("{SOCKET_NAME}{pid}.{start_time}.{lot:08x}")).unwrap_or_default()
}

/// Whose transfer socket such a name is of: process and start time. `None` for a name that no team
/// of ours makes.
fn maker_of(name: &CStr) -> Option<(u32, u64)> {
    let mut parts = name.to_str().ok()?.strip_prefix(SOCKET_NAME)?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Removes the names of those who were killed while they made their transfer socket: of proven dead
/// only.
fn clear_forsaken(space: BorrowedFd<'_>) {
    for name in sys::file::names_in(space, 4096).unwrap_or_default() {
        if maker_of(&name).is_some_and(|(pid, start_time)| is_dead(pid, start_time)) {
            let _ = sys::file::unlink(space, &name);
        }
    }
}

/// A name in an open folder, as a path that is short enough for a socket's address.
fn path(folder: BorrowedFd<'_>, name: &CStr) -> CString {
    let path = format!("{OWN_DESCRIPTORS}/{}/{}", folder.as_raw_fd(), name.to_string_lossy());
    CString::new(path).unwrap_or_default()
}

fn number_path(descriptor: BorrowedFd<'_>) -> CString {
    CString::new(format!("{OWN_DESCRIPTORS}/{}", descriptor.as_raw_fd())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_maker() {
        assert_eq!(maker_of(&name_of(42, 4711, 7)), Some((42, 4711)));
        for name in [c"door-", c"door-1", c"door-x.1.0", c"door-1.-1.0", c"door-99999999999.1.0", c"control"]
        {
            assert_eq!(maker_of(name), None, "{name:?}");
        }
    }
}
