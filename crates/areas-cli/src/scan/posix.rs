//! POSIX shared memory and semaphores, Python's shared memory: files where the C library has their
//! names.

use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};

use super::args::Kind;
use super::left;
use super::memory::{Holder, Memory, Object, State};
use super::mounts::Mounts;
use super::proof::{self, Proof};
use super::walk::Walk;

/// How deep folders may lie in each other.
const DEEPEST: usize = 16;

/// A file that is memory.
#[derive(Debug)]
pub(super) struct File {
    /// As it is called below the mount.
    pub(super) name: PathBuf,
    pub(super) path: PathBuf,
    pub(super) object: Object,
    pub(super) size: u64,
    pub(super) allocated: u64,
    pub(super) owner: u32,
}

/// What is in the folder of POSIX shared memory.
pub(super) fn memories(mounts: &Mounts, walk: &mut Walk, trouble: &mut Vec<String>) -> Vec<Memory> {
    let found = mounts.shm();
    if found.is_empty() {
        trouble.push(format!(
            "{} is not memory (no tmpfs is mounted there): no POSIX shared memory is listed",
            super::mounts::SHM
        ));
    }
    let folder = std::fs::canonicalize(super::mounts::SHM).unwrap_or_else(|_| super::mounts::SHM.into());
    let mut files = Vec::new();
    for mount in found {
        let begin = mount.point.strip_prefix(&folder).unwrap_or(Path::new(""));
        list(&mount.point, begin, mount.device, &mut files, trouble);
    }
    let mut memories: Vec<Memory> =
        files.into_iter().map(|file| memory(kind_of(&file.name), file, walk)).collect();
    for inside in &mounts.inside {
        let mut files = Vec::new();
        let place = (inside.point(), Path::new(""));
        list_in(
            &inside.folder,
            OsStr::new("."),
            (&place.0, place.1),
            inside.device,
            DEEPEST,
            &mut files,
            trouble,
        );
        memories.extend(
            files
                .into_iter()
                .map(|file| Memory { inside: Some(inside.pid), ..memory(kind_of(&file.name), file, walk) }),
        );
    }
    memories
}

/// A file as a memory, with whoever has it.
pub(super) fn memory(kind: Kind, file: File, walk: &mut Walk) -> Memory {
    let holders = walk.holders(file.object);
    let (state, why) = state_of(&holders, &file.path, file.object);
    Memory {
        kind,
        name: file.name.as_os_str().as_bytes().to_vec(),
        object: Some(file.object),
        owner: Some(file.owner),
        size: Some(file.size),
        allocated: Some(file.allocated),
        resident: None,
        state,
        why,
        holders,
        path: Some(file.path),
        opening_path: None,
        inside: None,
        is_unpublished: false,
        areas: Vec::new(),
    }
}

fn state_of(holders: &[Holder], path: &Path, object: Object) -> (State, Option<String>) {
    if !holders.is_empty() {
        return (State::Held, None);
    }
    match proof::ask(path, object) {
        Proof::Unheld(_) => match kept(path) {
            Some(why) => (State::Idle, Some(why.to_owned())),
            None => (
                State::Leaked,
                left::was(path)
                    .map(|was| format!("an `areas reap` that was interrupted left it: it was called {was}")),
            ),
        },
        Proof::Held => (State::Held, Some(super::UNSEEN.to_owned())),
        Proof::Unknown(why) => (State::Unknown, Some(why)),
    }
}

/// Why a file that no process holds is wanted all the same: it is known that its program opens it
/// again each time that it runs.
pub(super) fn kept(path: &Path) -> Option<&'static str> {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let podmans = name == b"libpod_lock" || name.starts_with(b"libpod_rootless_lock_");
    podmans.then_some("podman has its locks in it, and opens it each time that it runs")
}

/// What a file is, by its name: what makes it chooses that. One that an interrupted `areas reap`
/// has left is what it was.
pub(super) fn kind_of(name: &Path) -> Kind {
    let own = left::was(name).map(|was| was.name);
    let bytes = own.filter(|_| name.parent() == Some(Path::new(""))).unwrap_or(name.as_os_str().as_bytes());
    let begins = |start: &str| bytes.starts_with(start.as_bytes());
    if bytes.contains(&b'/') {
        Kind::File
    } else if begins("psm_") || begins("pym-") {
        Kind::Python
    } else if begins("sem.") {
        Kind::Sem
    } else {
        Kind::Shm
    }
}

/// Whether a folder is a registry of areas: what is in it is ours, and no memory of anybody.
pub(super) fn is_registry(path: &Path) -> bool {
    let named = std::env::var_os("AREAS_DIR").filter(|named| !named.is_empty());
    let same = |named: OsString| std::fs::canonicalize(named).is_ok_and(|named| named == path);
    let name = path.file_name().unwrap_or_default().as_bytes();
    let user = name.strip_prefix(b"areas-").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit));
    user || named.is_some_and(same)
}

/// The files below a mount's point, those in folders included.
pub(super) fn list(
    point: &Path,
    begin: &Path,
    device: u64,
    files: &mut Vec<File>,
    trouble: &mut Vec<String>,
) {
    list_in(CWD, point.as_os_str(), (point, begin), device, DEEPEST, files, trouble);
}

/// Follows no link and leaves the file system nowhere: others may change it concurrently.
fn list_in(
    above: impl AsFd,
    name: &OsStr,
    (path, begin): (&Path, &Path),
    device: u64,
    deep: usize,
    files: &mut Vec<File>,
    trouble: &mut Vec<String>,
) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(above, name, flags, Mode::empty());
    let folder = match opened.and_then(|folder| rustix::fs::fstat(&folder).map(|stat| (folder, stat))) {
        Ok((folder, stat)) if stat.st_dev == device => folder,
        // Something else is mounted there.
        Ok(_) => return,
        Err(errno) => {
            trouble.push(format!("{} cannot be looked into: {}", path.display(), areas::Errno::from(errno)));
            return;
        }
    };
    let Ok(entries) = Dir::read_from(&folder) else { return };
    for entry in entries.flatten() {
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let Ok(stat) = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let (path, begin) = (path.join(name), begin.join(name));
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if deep > 0 && stat.st_dev == device && !is_registry(&path) => {
                list_in(&folder, name, (&path, &begin), device, deep - 1, files, trouble);
            }
            FileType::RegularFile => files.push(File {
                object: (stat.st_dev, stat.st_ino),
                size: u64::try_from(stat.st_size).unwrap_or(0),
                allocated: u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512),
                owner: stat.st_uid,
                name: begin,
                path,
            }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_name() {
        for (name, kind) in [
            ("psm_9b2f41c7", Kind::Python),
            ("pym-12-abc", Kind::Python),
            ("sem.lock", Kind::Sem),
            ("psm", Kind::Shm),
            (".areas-reap-12-0.psm_9b2f41c7", Kind::Python),
            (".areas-reap-12-0.x", Kind::Shm),
            ("joblib_1/.areas-reap-12-0.psm_1", Kind::File),
            ("joblib_1/x.pkl", Kind::File),
        ] {
            assert_eq!(kind_of(Path::new(name)), kind, "{name}");
        }
    }

    #[test]
    fn what_is_wanted_again_is_known() {
        for (path, expected) in [
            ("/dev/shm/libpod_lock", true),
            ("/dev/shm/libpod_rootless_lock_1000", true),
            ("/dev/shm/libpod_lock2", false),
            ("/dev/shm/psm_9b2f41c7", false),
        ] {
            assert_eq!(kept(Path::new(path)).is_some(), expected, "{path}");
        }
    }

    #[test]
    fn registries_are_left_alone() {
        for (path, expected) in [
            ("/dev/shm/areas-0", true),
            ("/dev/shm/areas-1000.3", true),
            ("/dev/shm/areas-x", false),
            ("/dev/shm/x", false),
        ] {
            assert_eq!(is_registry(Path::new(path)), expected, "{path}");
        }
    }
}
