//! The folders of pid namespaces in the user's folder: their names, and clearing away those that no
//! process uses any more.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};

use super::link::number;
use crate::error::{Error, ErrorKind, Result};
use crate::registry::table::SLOTS;
use crate::sys;
use crate::sys::file::CWD;

/// How the names begin that transfer sockets have while they are made. What follows says whose it
/// is, as a team's link does.
pub(in crate::registry) const SOCKET_NAME: &str = "door-";

/// The name of our pid namespace's folder; refuses where `/proc` shows another namespace's
/// processes, in which our numbers would mean other processes.
///
/// A time namespace has a folder of its own: the kernel reports to those in it other start times
/// for the very same processes, by which they would take the living for dead.
pub(super) fn space_name() -> Result<CString> {
    let refuse = |detail: String| {
        Error::new(ErrorKind::Registry, "use the registry").with_facts(detail).with_remedy(
            "mount our own pid namespace's: `mount -t proc proc /proc`, or `unshare --mount-proc`",
        )
    };
    let read = |path: &'static CStr| {
        sys::file::read_link(CWD, path).map_err(|errno| {
            refuse(format!("there is no {}", path.to_string_lossy())).with_system_call("readlink", errno)
        })
    };
    let pid = sys::process::pid();
    let shown = read(c"/proc/self")?;
    if shown.to_str().ok().and_then(number::<u32>) != Some(pid) {
        return Err(refuse(format!(
            "/proc is of another pid namespace: it shows us as process {}, and we are process {pid}",
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
            refuse("our time namespace cannot be read".to_owned())
                .with_system_call("readlink(/proc/thread-self/ns/time)", errno)
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

/// Whether a name in the folder is that of a pid namespace's part of it, as far as the name says.
pub(super) fn is_of_space(name: &CStr) -> bool {
    name.to_bytes().starts_with(b"pid-")
}

/// Removes the folders of pid namespaces in which no process is left. What cannot be removed stays
/// for the next one who comes.
pub(super) fn clear_dead_spaces(root: BorrowedFd<'_>, ours: &CString) {
    let Ok(names) = sys::file::names_in(root, 1024) else { return };
    for name in names.iter().filter(|name| *name != ours && is_of_space(name)) {
        let Ok(space) = sys::file::open_folder(root, name) else { continue };
        if sys::file::claim_folder(space.as_fd()).is_err() {
            continue;
        }
        clear_space(root, space.as_fd(), name);
    }
}

/// Removes the folder of a namespace on which we hold the exclusive lock. What cannot be removed
/// stays for the next process.
pub(super) fn clear_space(root: BorrowedFd<'_>, space: BorrowedFd<'_>, name: &CStr) {
    if let Ok(teams) = sys::file::open_folder(space, c"teams")
        && let Ok(links) = sys::file::names_in(teams.as_fd(), 4 * SLOTS as usize)
    {
        for link in links {
            let _ = sys::file::unlink(teams.as_fd(), &link);
        }
    }
    let _ = sys::file::remove_folder(space, c"teams");
    let _ = sys::file::unlink(space, c"control");
    for left in sys::file::names_in(space, 1024).unwrap_or_default() {
        if left.as_bytes().starts_with(SOCKET_NAME.as_bytes()) {
            let _ = sys::file::unlink(space, &left);
        }
    }
    let _ = sys::file::remove_folder(root, name);
}
