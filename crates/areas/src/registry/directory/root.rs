//! The user's folder, with one in it for each pid namespace: finding it, making it, and clearing away those of namespaces that are gone.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use super::link::number;
use super::problem;
use crate::error::{Error, Kind, Result};
use crate::registry::{door, id::SLOTS};
use crate::sys;
use crate::sys::file::{CWD, Stat};

/// The folder of the user, and its path. `None`: it is not there, and not to be made.
pub(super) fn find_root(make: bool) -> Result<Option<(PathBuf, OwnedFd)>> {
    let user = sys::process::user();
    if let Some(path) = std::env::var_os("AREAS_DIR").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return match open_root(&path, user, make)? {
            Root::Ours(fd) => Ok(Some((path, fd))),
            Root::Missing => Ok(None),
            Root::Foreign(error) => Err(error),
        };
    }
    let base = if std::path::Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
    let candidate = |i: u32| match i {
        0 => PathBuf::from(format!("{base}/areas-{user}")),
        i => PathBuf::from(format!("{base}/areas-{user}.{i}")),
    };
    // One that is ours, before a new one is made: everybody must come to the same.
    let mut squatters = Vec::new();
    for i in 0..16 {
        match open_root(&candidate(i), user, false)? {
            Root::Ours(fd) => return Ok(Some((candidate(i), fd))),
            Root::Missing => {}
            Root::Foreign(error) => squatters.push((i, error)),
        }
    }
    if !make {
        return Ok(None);
    }
    for i in (0..16).filter(|i| squatters.iter().all(|(taken, _)| taken != i)) {
        if let Root::Ours(fd) = open_root(&candidate(i), user, true)? {
            return Ok(Some((candidate(i), fd)));
        }
    }
    Err(squatters.into_iter().next().map_or_else(
        || Error::new(Kind::Registry, "join the registry").detail("its folder comes and goes"),
        |(_, error)| {
            error.help(
                "set AREAS_DIR to a folder of your own; all names under which one is looked for are taken",
            )
        },
    ))
}

enum Root {
    Ours(OwnedFd),
    Missing,
    /// It is there and is somebody else's, or a link, or no folder.
    Foreign(Error),
}

fn open_root(path: &std::path::Path, user: u32, make: bool) -> Result<Root> {
    use std::os::unix::ffi::OsStrExt;
    let invalid = |detail: &str| {
        Error::new(Kind::Registry, format!("use {} as the registry", path.display()))
            .detail(detail.to_owned())
    };
    let c_path = CString::new(path.as_os_str().as_bytes()).map_err(|_| invalid("the path holds a NUL"))?;
    if make {
        match sys::file::make_folder(CWD, &c_path, 0o700) {
            Ok(()) | Err(sys::Errno::EXIST) => {}
            Err(errno) => return Err(problem(path, "mkdir(0700)", errno)),
        }
    }
    let fd = match sys::file::open_folder(CWD, &c_path) {
        Ok(fd) => fd,
        Err(sys::Errno::NOENT) => return Ok(Root::Missing),
        Err(errno @ (sys::Errno::LOOP | sys::Errno::NOTDIR)) => {
            return Ok(Root::Foreign(
                invalid("it is a symbolic link, or no folder; a link is never followed")
                    .call("open(O_DIRECTORY | O_NOFOLLOW)", errno)
                    .help("remove it, or set AREAS_DIR to a folder of your own"),
            ));
        }
        Err(errno @ (sys::Errno::ACCESS | sys::Errno::PERM)) => {
            return Ok(Root::Foreign(
                invalid("it is somebody else's")
                    .call("open(O_DIRECTORY)", errno)
                    .help("set AREAS_DIR to a folder of your own"),
            ));
        }
        Err(errno) => return Err(problem(path, "open(O_DIRECTORY)", errno)),
    };
    let Stat { uid, mode, .. } =
        sys::file::stat(fd.as_fd()).map_err(|errno| problem(path, "fstat", errno))?;
    if uid != user {
        return Ok(Root::Foreign(
            invalid(&format!("it belongs to user {uid}, and we are user {user}"))
                .help("set AREAS_DIR to a folder of your own"),
        ));
    }
    if mode & 0o077 != 0 {
        return Err(invalid(&format!("its mode is {:04o}: others could reach into it", mode & 0o7777))
            .help(format!("make it yours alone: `chmod 700 {}`", path.display())));
    }
    Ok(Root::Ours(fd))
}

/// The name of our pid namespace's folder; refuses where `/proc` shows another namespace's processes, in which our
/// numbers would mean somebody else.
///
/// A time namespace has a folder of its own: the kernel tells those in it other start times for the very same processes, by
/// which they would take the living for dead.
pub(super) fn space_name() -> Result<CString> {
    let refuse = |detail: String| {
        Error::new(Kind::Registry, "use the registry").detail(detail).help(
            "/proc must be mounted, and be that of our own pid namespace: `mount -t proc proc /proc`, or `unshare --mount-proc`",
        )
    };
    let read = |path: &'static std::ffi::CStr| {
        sys::file::read_link(CWD, path).map_err(|errno| {
            refuse(format!("there is no {}", path.to_string_lossy())).call("readlink", errno)
        })
    };
    let pid = sys::process::pid();
    let shown = read(c"/proc/self")?;
    if shown.to_str().ok().and_then(number::<u32>) != Some(pid) {
        return Err(refuse(format!(
            "/proc shows us as process {}, and we are process {pid}: it belongs to another pid namespace",
            shown.to_string_lossy()
        )));
    }
    // `/proc/self` is the leader's, which may have ended and is in no time namespace then.
    let space = read(c"/proc/thread-self/ns/pid")?;
    let pid = namespace(&space, "pid").ok_or_else(|| refuse(format!("our pid namespace is {space:?}")))?;
    // Kernels without time namespaces have no such file.
    let time = match sys::file::read_link(CWD, c"/proc/thread-self/ns/time") {
        Err(sys::Errno::NOENT) => None,
        other => Some(other.map_err(|errno| {
            refuse("our time namespace is not told".to_owned())
                .call("readlink(/proc/thread-self/ns/time)", errno)
        })?),
    };
    let name = match time.and_then(|time| namespace(&time, "time")) {
        None | Some(USUAL_TIME) => format!("pid-{pid}"),
        Some(time) => format!("pid-{pid}-time-{time}"),
    };
    CString::new(name).map_err(|_| refuse(format!("our pid namespace is {space:?}")))
}

/// The time namespace that a machine starts with: `TIME_NS_INIT_INO` of `linux/nsfs.h`.
const USUAL_TIME: u64 = 0xEFFF_FFFA;

/// The inode in what a link in `/proc/PID/ns` says: `pid:[4026531836]`.
pub(in crate::registry) fn namespace(link: &CString, kind: &str) -> Option<u64> {
    number(link.to_str().ok()?.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')?)
}

/// Removes the folders of pid namespaces in which nobody is left. What cannot be removed stays for the next one who comes.
pub(super) fn clear_dead_spaces(root: BorrowedFd<'_>, ours: &CString) {
    let Ok(names) = sys::file::names_in(root, 1024) else { return };
    for name in names.iter().filter(|name| *name != ours && name.as_bytes().starts_with(b"pid-")) {
        let Ok(space) = sys::file::open_folder(root, name) else { continue };
        if sys::file::claim_folder(space.as_fd()).is_err() {
            continue;
        }
        if let Ok(teams) = sys::file::open_folder(space.as_fd(), c"teams")
            && let Ok(links) = sys::file::names_in(teams.as_fd(), 4 * SLOTS as usize)
        {
            for link in links {
                let _ = sys::file::unlink(teams.as_fd(), &link);
            }
        }
        let _ = sys::file::remove_folder(space.as_fd(), c"teams");
        let _ = sys::file::unlink(space.as_fd(), c"control");
        for left in sys::file::names_in(space.as_fd(), 1024).unwrap_or_default() {
            if left.as_bytes().starts_with(door::NAME.as_bytes()) {
                let _ = sys::file::unlink(space.as_fd(), &left);
            }
        }
        let _ = sys::file::remove_folder(root, name);
    }
}
