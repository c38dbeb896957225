//! From a path to the folder that it is in, by links that no other user could have put there.
//!
//! In a folder in which others may make names (`/tmp`, a volume) another user can make a link to
//! somewhere else. A process that followed it would make its socket in that user's place, or take
//! from another socket than he meant. So each step is taken by itself, and a link is followed only
//! if it is root's or our own. (`openat2` can follow all links or none.)

use std::collections::VecDeque;
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use crate::error::{Errno, Error, ErrorKind, Result};
use crate::sys;
use crate::sys::file::{CWD, OFlags, Stat};

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

/// The folder of what a path names, open for nothing but to go on from there (`O_PATH`), and its
/// name in it.
///
/// `what` completes "cannot …".
pub(super) fn folder_of(path: &Path, what: &dyn Fn() -> String) -> Result<(OwnedFd, CString)> {
    let invalid = |detail: &str| Error::new(ErrorKind::InvalidInput, what()).with_facts(detail.to_owned());
    let bytes = path.as_os_str().as_bytes();
    if bytes.first() == Some(&0) || bytes.first() == Some(&b'@') {
        return Err(invalid(
            "it looks like an abstract address, which has no owner and no mode: any process could bind it",
        )
        .with_remedy("use a path in a file system; a file of that name is `./@…`"));
    }
    let name = match path.components().next_back() {
        Some(Component::Normal(name)) if !bytes.ends_with(b"/") => name,
        _ => {
            return Err(invalid("it does not end in a name")
                .with_remedy("say where the socket is: a folder, and its name in it"));
        }
    };
    let name = CString::new(name.as_bytes()).map_err(|_| invalid("its name has a NUL in it"))?;
    let folder = walk(path.parent().unwrap_or(Path::new("")), what)?;
    Ok((folder, name))
}

/// Opens a folder, step by step.
fn walk(path: &Path, what: &dyn Fn() -> String) -> Result<OwnedFd> {
    let mut at = start(path, what)?;
    let mut rest: VecDeque<OsString> = steps(path);
    let mut links = 0;
    while let Some(step) = rest.pop_front() {
        let failed = |call: &str, errno: sys::Errno| refused(what(), call, &step, errno);
        let name = CString::new(step.as_bytes()).map_err(|_| failed("openat", sys::Errno::INVAL))?;
        let next = sys::file::open_at(at.as_fd(), &name, OFlags::PATH | OFlags::NOFOLLOW, 0)
            .map_err(|errno| failed("openat(O_PATH)", errno))?;
        let stat = sys::file::look(next.as_fd()).map_err(|errno| failed("statx", errno))?;
        if stat.is_folder() {
            at = next;
            continue;
        }
        if !stat.is_link() {
            return Err(failed("openat(O_PATH)", sys::Errno::NOTDIR));
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(failed("openat(O_PATH)", sys::Errno::LOOP));
        }
        check_link(&stat, &step, what)?;
        // A link of `/proc` leads where it leads, whatever it says.
        if sys::file::is_of_proc(next.as_fd()).map_err(|errno| failed("fstatfs", errno))? {
            at = sys::file::open_at(at.as_fd(), &name, OFlags::PATH | OFlags::DIRECTORY, 0)
                .map_err(|errno| failed("openat(O_PATH)", errno))?;
            continue;
        }
        let target = sys::file::read_link(next.as_fd(), c"").map_err(|errno| failed("readlinkat", errno))?;
        let target = Path::new(OsStr::from_bytes(target.as_bytes()));
        if target.has_root() {
            at = start(target, what)?;
        }
        for step in steps(target).into_iter().rev() {
            rest.push_front(step);
        }
    }
    Ok(at)
}

fn start(path: &Path, what: &dyn Fn() -> String) -> Result<OwnedFd> {
    let name = if path.has_root() { c"/" } else { c"." };
    sys::file::open_at(CWD, name, OFlags::PATH | OFlags::DIRECTORY, 0)
        .map_err(|errno| refused(what(), "openat(O_PATH)", OsStr::from_bytes(name.to_bytes()), errno))
}

fn steps(path: &Path) -> VecDeque<OsString> {
    let step = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(step).collect()
}

/// Whether a link may be followed.
fn check_link(link: &Stat, step: &OsStr, what: &dyn Fn() -> String) -> Result<()> {
    if link.uid == 0 || link.uid == sys::process::user() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::NotPermitted, what())
        .with_facts(format!(
            "{step:?} on the way is a link of user {}: another user could lead it anywhere",
            link.uid
        ))
        .with_remedy("name the folder by a path that goes through no other user's link"))
}

fn refused(what: String, call: &str, step: &OsStr, errno: sys::Errno) -> Error {
    let kind = match errno {
        sys::Errno::ACCESS | sys::Errno::PERM => ErrorKind::NotPermitted,
        sys::Errno::MFILE | sys::Errno::NFILE => ErrorKind::Limit,
        _ => ErrorKind::Io,
    };
    let error = Error::new(kind, what).with_system_call(format!("{call}({step:?})"), errno);
    match kind {
        ErrorKind::Limit => crate::error::remedy::open_files(error),
        _ if Errno::from(errno) == Errno::from(sys::Errno::NOENT) => {
            error.with_remedy("the folder of the socket must be there: make it first")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &Path) -> Result<(OwnedFd, CString)> {
        folder_of(path, &|| format!("try {path:?}"))
    }

    #[test]
    fn steps_lead_where_the_kernel_goes() {
        let root = std::env::temp_dir().join(format!("areas-gate-path-{}", std::process::id()));
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, root.join(name)).unwrap();
        link("a/b", "relative");
        link(root.join("a").to_str().unwrap(), "absolute");
        link("../a/../relative", "a/around");
        link("loop", "loop");
        let same = |path: &str, expected: &str| {
            let (found, name) = folder(&root.join(path)).unwrap();
            let found = sys::file::stat(found.as_fd()).unwrap().identity;
            let expected = sys::text::open(root.join(expected)).unwrap();
            assert_eq!(found, sys::file::stat(expected.as_fd()).unwrap().identity, "{path}");
            assert_eq!(name.as_c_str(), c"s", "{path}");
        };
        same("a/b/s", "a/b");
        same("relative/s", "a/b");
        same("absolute/b/s", "a/b");
        same("a/around/./s", "a/b");
        same("a/b/../../s", ".");
        let own = format!("/proc/self/root{}/a/s", root.display());
        same(&own, "a");
        for wrong in ["loop/s", "none/s", "a/b/..", "a/b/", ".."] {
            assert!(folder(&root.join(wrong)).is_err(), "{wrong}");
        }
        std::fs::remove_dir_all(&root).unwrap();
        for wrong in ["", "/", "@abstract", "a\0b", "\0abstract"] {
            assert_eq!(folder(Path::new(wrong)).unwrap_err().kind(), ErrorKind::InvalidInput, "{wrong:?}");
        }
        assert_eq!(folder(Path::new("s")).unwrap().1.as_c_str(), c"s");
    }
}
