//! A team's door: the socket at which others offer it areas.
//!
//! What was offered waits in the socket's queue, which is the kernel's: it holds the memory though its giver is dead, and lets
//! go of it when the team dies. The socket's address is a name in the registry's folder for as long as it takes to open
//! that name; then the name goes, and what leads to the socket is `/proc/PID/fd/N`, as with all else that a team has. So only
//! those reach a door who may look into its owner, and nothing of it is left behind.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::directory::{Directory, any_below};
use super::offer::{Offer, Parcel};
use super::peer::OWN_DESCRIPTORS;
use super::table::DoorAt;
use crate::error::{Error, Kind, Result, remedy};
use crate::sys;
use crate::sys::file::OFlags;
use crate::sys::guarded::Guarded;

/// How the names begin that doors have while they are made.
pub(super) const NAME: &[u8] = b"door-";
/// Nobody takes so long between making a name and opening it, but who was killed or stopped.
const FORSAKEN: i128 = 1_000_000_000;

/// Our own door.
#[derive(Debug)]
pub(super) struct Door {
    socket: Guarded,
    /// Leads to the socket's file, which has no name any more. Never read: others come by way of its number.
    entry: Guarded,
    at: DoorAt,
}

impl Door {
    /// Makes one, by way of a name in the registry's folder.
    pub(super) fn make(directory: &Directory) -> Result<Self> {
        let failed = |call: &'static str| {
            move |errno| {
                let error =
                    |kind| Error::new(kind, "make a door at which areas can be offered").call(call, errno);
                match errno {
                    sys::Errno::MFILE | sys::Errno::NFILE => remedy::open_files(error(Kind::Limit)),
                    sys::Errno::PERM | sys::Errno::ACCESS | sys::Errno::AFNOSUPPORT => {
                        error(Kind::NotPermitted)
                            .help("a sandbox may forbid Unix sockets: allow socket(AF_UNIX) and bind")
                    }
                    _ => error(Kind::System),
                }
            }
        };
        let space = directory.space().map_err(failed("fstat"))?;
        clear_forsaken(space);
        // Somebody who takes us for killed may remove the name before we have opened it: then once more.
        for _ in 0..16 {
            let socket = sys::socket::packets().map_err(failed("socket(AF_UNIX, SOCK_DGRAM)"))?;
            sys::socket::name_senders(socket.as_fd()).map_err(failed("setsockopt(SO_PASSCRED)"))?;
            let socket = Guarded::new(socket).map_err(failed("fstat"))?;
            let name = format!("door-{:08x}{:08x}", any_below(u32::MAX), any_below(u32::MAX));
            let name = CString::new(name).unwrap_or_default();
            sys::socket::bind(socket.as_fd(), &path(space, &name)).map_err(failed("bind"))?;
            let opened = sys::file::open_at(space, &name, OFlags::PATH | OFlags::NOFOLLOW, 0);
            let _ = sys::file::unlink(space, &name);
            let entry = match opened {
                Err(sys::Errno::NOENT) => continue,
                other => other.map_err(failed("openat(O_PATH)"))?,
            };
            let stat = sys::file::stat(entry.as_fd()).map_err(failed("fstat"))?;
            if stat.mode & 0o200 == 0 {
                // A umask may have taken the owner's right to write, which is what offering takes.
                sys::file::set_mode_of(&number_path(entry.as_fd()), 0o600).map_err(failed("chmod(0600)"))?;
            }
            let at = DoorAt { descriptor: entry.as_raw_fd(), socket: stat.identity };
            let entry = Guarded::new(entry).map_err(failed("fstat"))?;
            return Ok(Door { socket, entry, at });
        }
        Err(failed("openat(O_PATH)")(sys::Errno::NOENT))
    }

    /// Where others find it.
    pub(super) fn at(&self) -> DoorAt {
        self.at
    }

    /// Whether the descriptors are still ours: a program may have closed all that it does not know.
    pub(super) fn is_intact(&self) -> bool {
        self.socket.is_intact() && self.entry.is_intact()
    }

    /// The next parcel at the door, if there is one. What is no offer is dropped on the way.
    ///
    /// # Errors
    /// [`Kind::Limit`] where no descriptor can be had for it: then it stays where it is.
    pub(super) fn take(&self) -> Result<Option<Parcel>> {
        /// What is no offer costs a caller no more than so many times the system calls.
        const MOST_NONSENSE: usize = 64;
        // To read from somebody else's socket would be to take what is not ours.
        let Ok(socket) = self.socket.checked() else { return Ok(None) };
        for _ in 0..MOST_NONSENSE {
            let mut bytes = [0; Offer::BYTES];
            let Ok(packet) = sys::socket::look_at_packet(socket, &mut bytes) else {
                return Ok(None);
            };
            if packet.cut && packet.descriptors.is_empty() {
                return Err(remedy::open_files(Error::new(
                    Kind::Limit,
                    "take in an area that another team has transferred",
                )));
            }
            let parcel = Parcel::open(packet, &bytes);
            let _ = sys::socket::drop_packet(socket);
            if parcel.is_some() {
                return Ok(parcel);
            }
        }
        Ok(None)
    }
}

/// Puts an offer and its descriptor at another team's door. `folder` shows that team's descriptors.
pub(super) fn offer(
    folder: &str,
    door: DoorAt,
    bytes: &[u8; Offer::BYTES],
    descriptor: BorrowedFd<'_>,
) -> sys::Result<()> {
    let path = format!("{folder}/{}", door.descriptor);
    let path = CString::new(path).map_err(|_| sys::Errno::INVAL)?;
    let entry = sys::file::open_at(sys::file::CWD, &path, OFlags::PATH, 0)?;
    // The number may lead to anything by now.
    let stat = sys::file::look(entry.as_fd())?;
    if stat.identity != door.socket || !stat.is_socket() {
        return Err(sys::Errno::NOENT);
    }
    let socket = sys::socket::packets()?;
    sys::socket::send_packet(socket.as_fd(), &number_path(entry.as_fd()), bytes, descriptor)
}

/// Removes the names of those who were killed while they made their door.
fn clear_forsaken(space: BorrowedFd<'_>) {
    let Ok(names) = sys::file::names_in(space, 4096) else { return };
    let now = i128::from(sys::process::file_time());
    for name in names.iter().filter(|name| name.as_bytes().starts_with(NAME)) {
        let Ok(entry) = sys::file::open_at(space, name, OFlags::PATH | OFlags::NOFOLLOW, 0) else { continue };
        if sys::file::stat(entry.as_fd()).is_ok_and(|stat| now - stat.changed > FORSAKEN) {
            let _ = sys::file::unlink(space, name);
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
