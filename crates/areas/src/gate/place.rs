//! Where a socket is: made there, or found there.
//!
//! **Whether a socket is dead** is the kernel's word: to connect to its file with a socket of
//! another kind says `EPROTOTYPE` while one is bound to it, whether or not it listens yet, and
//! `ECONNREFUSED` once none is. Asking so disturbs no process. A dead one is replaced under a lock
//! on the folder, so that of several who find it dead none removes what another has just made.

use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::path::folder_of;
use crate::error::{Error, ErrorKind, Result, remedy};
use crate::registry::OWN_DESCRIPTORS;
use crate::sys;
use crate::sys::checked_fd::CheckedFd;
use crate::sys::file::{Identity, OFlags};

/// How many may wait for an answer at a time. (The kernel has a bound of its own:
/// net.core.somaxconn.)
const WAITING: i32 = 128;

/// Bytes of a path that a socket's address has room for, without the NUL behind it: `sockaddr_un`
/// (unix(7)).
const LONGEST_ADDRESS: usize = 107;

/// A name in an open folder.
pub(super) struct Place {
    folder: CheckedFd,
    name: CString,
    /// As it was named, for messages.
    shown: PathBuf,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({:?})", self.shown)
    }
}

/// A socket that listens at a place.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) socket: CheckedFd,
    /// Others that connected while it was made.
    pub(super) early: Vec<OwnedFd>,
    pub(super) bound: Bound,
}

/// The name of a socket that is ours: it goes as this is dropped, by the process that made it.
#[derive(Debug)]
pub(super) struct Bound {
    place: Place,
    identity: Identity,
    process: u32,
    /// Leads to the socket's file, whatever has its name by now (`O_PATH`).
    entry: CheckedFd,
}

impl Place {
    /// The place that a path names. `what` completes "cannot …".
    pub(super) fn new(path: &Path, what: &dyn Fn() -> String) -> Result<Self> {
        let (folder, name) = folder_of(path, what)?;
        let folder = CheckedFd::new(folder).map_err(|errno| failed(what(), "fstat", errno))?;
        Ok(Place { folder, name, shown: path.to_owned() })
    }

    /// Makes a socket here to which only our own user can connect, and listens.
    pub(super) fn listen(self, what: &dyn Fn() -> String) -> Result<Listening> {
        /// A dead one may be there, and another one that died as we looked.
        const ATTEMPTS: usize = 8;
        let failed = |call: &'static str| move |errno| failed(what(), call, errno);
        for _ in 0..ATTEMPTS {
            let socket = sys::listening::new().map_err(failed("socket(AF_UNIX, SOCK_SEQPACKET)"))?;
            // The name has this mode from the beginning, or less by a umask.
            sys::file::set_mode(socket.as_fd(), 0o600).map_err(failed("fchmod(0600)"))?;
            match sys::socket::bind(socket.as_fd(), &self.path()) {
                Ok(()) => return self.bound(socket, what),
                Err(sys::Errno::ADDRINUSE) => self.clear_dead(what)?,
                Err(errno @ sys::Errno::NAMETOOLONG) => return Err(self.is_too_long(what(), errno)),
                Err(errno) => {
                    return Err(failed("bind")(errno).with_remedy(
                        "the folder must exist and be writable, and its file system must support sockets",
                    ));
                }
            }
        }
        Err(self.is_in_use(what()))
    }

    /// Our socket has the name: listens, and makes sure that it is ours.
    fn bound(self, socket: OwnedFd, what: &dyn Fn() -> String) -> Result<Listening> {
        let failed = |call: &'static str| move |errno| failed(what(), call, errno);
        let looked = self.open().map_err(failed("openat(O_PATH), of the new socket")).and_then(|entry| {
            let stat = sys::file::stat(entry.as_fd()).map_err(failed("fstat, of the new socket"))?;
            Ok((stat, CheckedFd::of(entry, stat.identity)))
        });
        let (stat, entry) = looked.inspect_err(|_| {
            // It was made by this call.
            let _ = sys::file::unlink(self.folder.as_fd(), &self.name);
        })?;
        if !stat.is_socket() || stat.uid != sys::process::user() {
            // Not ours to remove.
            return Err(self.is_replaced(what()));
        }
        let process = sys::process::pid();
        let bound = Bound { place: self, identity: stat.identity, process, entry };
        if stat.mode & 0o200 == 0 {
            sys::file::set_mode_of(&number_path(bound.entry.as_fd()), 0o600)
                .map_err(failed("chmod(0600)"))?;
        }
        sys::listening::listen(socket.as_fd(), WAITING).map_err(failed("listen"))?;
        let early = bound.prove(socket.as_fd(), what)?;
        let socket = CheckedFd::new(socket).map_err(failed("fstat"))?;
        Ok(Listening { socket, early, bound })
    }

    /// Removes a dead socket of ours that has the name; an error for all else that may have it.
    fn clear_dead(&self, what: &dyn Fn() -> String) -> Result<()> {
        let failed = |call: &'static str| move |errno| failed(what(), call, errno);
        let refuse = |kind, detail: String, help: &'static str| {
            Err(Error::new(kind, what()).with_facts(detail).with_remedy(help))
        };
        // What is plainly not ours is reported before anybody is waited for.
        for is_locked in [false, true] {
            let _alone = is_locked.then(|| self.alone(what)).transpose()?;
            let entry = match self.open() {
                Err(sys::Errno::NOENT) => return Ok(()),
                other => other.map_err(failed("openat(O_PATH)"))?,
            };
            let stat = sys::file::look(entry.as_fd()).map_err(failed("statx"))?;
            if !stat.is_socket() {
                return refuse(
                    ErrorKind::Io,
                    "something is there that is not a socket".to_owned(),
                    "name another path; what is there stays as it is",
                );
            }
            if stat.uid != sys::process::user() {
                let detail = format!("a socket of user {} is there", stat.uid);
                return refuse(
                    ErrorKind::NotPermitted,
                    detail,
                    "name another path, or have that user remove it",
                );
            }
            let probe = sys::socket::packets().map_err(failed("socket(AF_UNIX, SOCK_DGRAM)"))?;
            match sys::listening::connect(probe.as_fd(), &number_path(entry.as_fd())) {
                Err(sys::Errno::CONNREFUSED) if is_locked => {
                    sys::file::unlink(self.folder.as_fd(), &self.name).map_err(failed("unlinkat"))?;
                }
                Err(sys::Errno::CONNREFUSED) => {}
                Ok(()) | Err(sys::Errno::PROTOTYPE) => return Err(self.is_in_use(what())),
                Err(errno) => return Err(failed("connect, to see whether the socket there is dead")(errno)),
            }
        }
        Ok(())
    }

    /// No other process of ours removes anything in the folder while this is kept. The kernel ends
    /// it, whatever becomes of the process.
    fn alone(&self, what: &dyn Fn() -> String) -> Result<OwnedFd> {
        const TIMEOUT: Duration = Duration::from_secs(5);
        let failed = |call: &'static str| move |errno| failed(what(), call, errno);
        let folder = sys::file::open_at(self.folder.as_fd(), c".", OFlags::RDONLY | OFlags::DIRECTORY, 0)
            .map_err(failed("openat(the folder, O_RDONLY)"))?;
        let begun = Instant::now();
        loop {
            match sys::file::claim_folder(folder.as_fd()) {
                Ok(()) => return Ok(folder),
                Err(sys::Errno::AGAIN) if begun.elapsed() < TIMEOUT => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(errno) => {
                    return Err(failed("flock(LOCK_EX), of the folder")(errno)
                        .with_facts("a dead socket is there, and another process, which removes it, has locked the folder")
                        .with_remedy("find the process that holds the lock (`lsof`, /proc/locks); or remove the socket by hand"));
                }
            }
        }
    }

    /// What has the name now, open for nothing.
    fn open(&self) -> sys::Result<OwnedFd> {
        sys::file::open_at(self.folder.as_fd(), &self.name, OFlags::PATH | OFlags::NOFOLLOW, 0)
    }

    /// Short enough for a socket's address, however long the way to the folder is.
    fn path(&self) -> CString {
        let mut path = format!("{OWN_DESCRIPTORS}/{}/", self.folder.as_fd().as_raw_fd()).into_bytes();
        path.extend_from_slice(self.name.as_bytes());
        CString::new(path).unwrap_or_default()
    }

    fn is_too_long(&self, what: String, errno: sys::Errno) -> Error {
        let len = self.name.as_bytes().len();
        // What goes before the name leads to its folder, however long that one's own path is.
        let most = LONGEST_ADDRESS.saturating_sub(self.path().as_bytes().len() - len);
        Error::new(ErrorKind::InvalidInput, what)
            .with_system_call("bind", errno)
            .with_facts(format!(
                "the socket's name has {len} bytes; {most} fit: an address has at most {LONGEST_ADDRESS}"
            ))
            .with_remedy(format!(
                "name the socket with at most {most} bytes; the length of its folder's path does not matter"
            ))
    }

    fn is_in_use(&self, what: String) -> Error {
        Error::new(ErrorKind::Busy, what)
            .with_facts(format!("a process listens at {:?} already", self.shown))
            .with_remedy("end that one, or name another path: `ss -lxp` shows the listening process")
    }

    fn is_replaced(&self, what: String) -> Error {
        Error::new(ErrorKind::Busy, what)
            .with_facts(format!("another process concurrently put something else at {:?}", self.shown))
            .with_remedy("name a path in a folder that only trusted users may write")
    }

    /// Connects to the socket that is here. The inner error is one that may pass: no process
    /// listens there yet.
    pub(super) fn connect(&self, what: &dyn Fn() -> String) -> Result<Result<OwnedFd>> {
        let failed = |call: &'static str| move |errno| failed(what(), call, errno);
        let later = |call: &'static str, errno: sys::Errno, detail: &'static str, help: &'static str| {
            Ok(Err(Error::new(ErrorKind::NoSuchArea, what())
                .with_system_call(call, errno)
                .with_facts(detail)
                .with_remedy(help)))
        };
        let entry = match self.open() {
            Err(errno @ sys::Errno::NOENT) => {
                return later(
                    "openat(O_PATH)",
                    errno,
                    "nothing is offered there: there is no such socket",
                    "offer it first: `areas offer NAME --socket PATH`; or wait for it: `--timeout`",
                );
            }
            other => other.map_err(failed("openat(O_PATH)"))?,
        };
        let stat = sys::file::look(entry.as_fd()).map_err(failed("statx"))?;
        if !stat.is_socket() {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .with_facts("what is there is not a socket")
                .with_remedy("name the socket at which the area is offered; a link to it is not followed"));
        }
        let socket = sys::listening::new().map_err(failed("socket(AF_UNIX, SOCK_SEQPACKET)"))?;
        match sys::listening::connect(socket.as_fd(), &number_path(entry.as_fd())) {
            Ok(()) => Ok(Ok(socket)),
            Err(errno @ sys::Errno::CONNREFUSED) => later(
                "connect",
                errno,
                "nothing is offered there any more: the process that did has ended, and left its socket",
                "offer it again, or wait until it is offered: `--timeout`",
            ),
            Err(sys::Errno::AGAIN) => Ok(Err(Error::new(ErrorKind::Busy, what())
                .with_system_call("connect", sys::Errno::AGAIN)
                .with_facts("more processes wait there than the kernel allows")
                .with_remedy("try again, or wait: `--timeout`; the process that offers may be stopped"))),
            Err(sys::Errno::PROTOTYPE) => Err(Error::new(ErrorKind::InvalidInput, what())
                .with_system_call("connect", sys::Errno::PROTOTYPE)
                .with_facts("another program's socket is there")
                .with_remedy("name the socket at which the area is offered")),
            Err(errno @ (sys::Errno::ACCESS | sys::Errno::PERM)) => Err(failed("connect")(errno)
                .with_facts(format!(
                    "the socket belongs to user {}, with mode {:04o}",
                    stat.uid,
                    stat.mode & 0o7777
                ))
                .with_remedy("have it offered to this user: `areas offer NAME --socket PATH --to USER`")),
            Err(errno) => Err(failed("connect")(errno)),
        }
    }
}

impl Bound {
    /// Lets others connect to the socket: by their names, in its access list.
    pub(super) fn set_access_list(&self, list: &[u8]) -> sys::Result<()> {
        sys::file::set_access_list(&number_path(self.entry.checked()?), list)
    }

    /// Lets all connect to it that reach its folder.
    pub(super) fn let_any_user_connect(&self) -> sys::Result<()> {
        sys::file::set_mode_of(&number_path(self.entry.checked()?), 0o622)
    }

    /// Makes sure that what was found under the name is our socket, before its rights are changed:
    /// in a folder that others may write, one of them could have put another socket of ours there.
    /// Who connects to it must come out of our listener. Those that came before are returned.
    fn prove(&self, listener: BorrowedFd<'_>, what: &dyn Fn() -> String) -> Result<Vec<OwnedFd>> {
        let failed = |call: &'static str| move |errno| failed(what(), call, errno);
        let probe = sys::listening::new().map_err(failed("socket(AF_UNIX, SOCK_SEQPACKET)"))?;
        match sys::listening::connect(probe.as_fd(), &number_path(self.entry.as_fd())) {
            Ok(()) => {}
            Err(errno @ (sys::Errno::CONNREFUSED | sys::Errno::PROTOTYPE)) => {
                return Err(self
                    .place
                    .is_replaced(what())
                    .with_system_call("connect, to see that the socket is ours", errno));
            }
            Err(errno) => return Err(failed("connect, to see that the socket is ours")(errno)),
        }
        let mut early = Vec::new();
        loop {
            match sys::listening::accept(listener) {
                Ok(came) => {
                    match sys::listening::peer(came.as_fd()).map_err(failed("getsockopt(SO_PEERCRED)"))? {
                        who if who.pid == self.process => return Ok(early),
                        _ => early.push(came),
                    }
                }
                Err(sys::Errno::AGAIN) => return Err(self.place.is_replaced(what())),
                Err(errno) => return Err(failed("accept4")(errno)),
            }
        }
    }
}

/// The name goes while the socket still listens: so no other process replaces it, and what has it
/// is ours, or another's whom we leave alone.
impl Drop for Bound {
    fn drop(&mut self) {
        if self.process != sys::process::pid() {
            // A forked child's copy.
            return;
        }
        let is_ours = self.place.open().and_then(|entry| sys::file::stat(entry.as_fd()));
        if is_ours.is_ok_and(|stat| stat.identity == self.identity)
            && let Ok(folder) = self.place.folder.checked()
        {
            let _ = sys::file::unlink(folder, &self.place.name);
        }
    }
}

fn number_path(descriptor: BorrowedFd<'_>) -> CString {
    CString::new(format!("{OWN_DESCRIPTORS}/{}", descriptor.as_raw_fd())).unwrap_or_default()
}

/// An error of a call about a socket.
pub(super) fn failed(what: String, call: &'static str, errno: sys::Errno) -> Error {
    let kind = match errno {
        sys::Errno::MFILE | sys::Errno::NFILE => ErrorKind::Limit,
        sys::Errno::ACCESS | sys::Errno::PERM | sys::Errno::AFNOSUPPORT => ErrorKind::NotPermitted,
        sys::Errno::NOMEM | sys::Errno::NOBUFS => ErrorKind::NoMemory,
        _ => ErrorKind::Io,
    };
    let error = Error::new(kind, what).with_system_call(call, errno);
    if kind == ErrorKind::Limit { remedy::open_files(error) } else { error }
}
