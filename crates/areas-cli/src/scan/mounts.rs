//! Which file systems are mounted here, as far as their files are memory.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use areas::files::{MountLine, unescape};
use areas::registry;
use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::namespace::namespace;

/// Where POSIX shared memory has its names: the C library's choice.
pub(super) const SHM: &str = "/dev/shm";

/// A line of `/proc/self/mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) device: u64,
    pub(super) point: PathBuf,
    pub(super) file_system: String,
    /// Those of the file system itself.
    pub(super) options: String,
}

/// The folder of POSIX shared memory of another mount namespace (a container's), by way of a
/// process there.
#[derive(Debug)]
pub(super) struct Inside {
    pub(super) pid: u32,
    pub(super) folder: OwnedFd,
    pub(super) device: u64,
}

impl Inside {
    /// Opens it, never leaving what that process has as its root; `None` where it is not memory, or
    /// may not be looked into.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(format!("/proc/{pid}/root"), flags, Mode::empty()).ok()?;
        let below = SHM.strip_prefix('/').unwrap_or(SHM);
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let folder = rustix::fs::openat2(root, below, flags, Mode::empty(), resolve).ok()?;
        let is_memory = rustix::fs::fstatfs(&folder).is_ok_and(|stat| stat.f_type == TMPFS);
        let device = rustix::fs::fstat(&folder).ok()?.st_dev;
        is_memory.then_some(Inside { pid, folder, device })
    }

    pub(super) fn point(&self) -> PathBuf {
        format!("/proc/{}/root{SHM}", self.pid).into()
    }
}

/// What the kernel calls tmpfs.
const TMPFS: rustix::fs::FsWord = 0x0102_1994;

/// What is mounted in this process's namespace.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    mounts: Vec<Mount>,
    /// Of other namespaces, as far as they may be looked into.
    pub(super) inside: Vec<Inside>,
}

impl Mounts {
    pub(super) fn read() -> Self {
        let text = areas::files::read("/proc/self/mountinfo").unwrap_or_default();
        let mounts: Vec<Mount> = text.split(|&byte| byte == b'\n').filter_map(parse).collect();
        let inside = inside(mounts.iter().map(|mount| mount.device).collect());
        Mounts { mounts, inside }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Mount> {
        self.mounts.iter()
    }

    /// The mounts whose files are shared memory: where POSIX memory has its names, and below.
    pub(super) fn shm(&self) -> Vec<&Mount> {
        let folder = std::fs::canonicalize(SHM).unwrap_or_else(|_| SHM.into());
        let is_memory = |mount: &&Mount| ["tmpfs", "ramfs"].contains(&&*mount.file_system);
        let above = self.mount_of(&folder).filter(is_memory);
        let below =
            self.mounts.iter().filter(|mount| mount.point != folder && mount.point.starts_with(&folder));
        let mut found: Vec<&Mount> = above.into_iter().chain(below.filter(is_memory)).collect();
        found.dedup_by_key(|mount| (mount.device, mount.point.clone()));
        found
    }

    pub(super) fn huge(&self) -> Vec<&Mount> {
        self.mounts.iter().filter(|mount| mount.file_system == "hugetlbfs").collect()
    }

    /// The mount that a path lies on: the last one there hides the others.
    fn mount_of(&self, path: &Path) -> Option<&Mount> {
        let longest = self.mounts.iter().filter(|mount| path.starts_with(&mount.point));
        longest.max_by_key(|mount| mount.point.components().count())
    }

    /// Whether `/proc` hides processes of others.
    pub(super) fn hides_processes(&self) -> bool {
        let proc = self.mount_of(Path::new("/proc"));
        proc.is_some_and(|mount| {
            mount.options.split(',').any(|option| {
                option
                    .strip_prefix("hidepid=")
                    .is_some_and(|how| !["0", "off", "1", "noaccess"].contains(&how))
            })
        })
    }
}

/// Looks into each other mount namespace that has such a folder of its own, once.
fn inside(mut known: BTreeSet<u64>) -> Vec<Inside> {
    let mut seen: BTreeSet<OsString> = namespace("/proc/self", "mnt").into_iter().collect();
    let mut found = Vec::new();
    for pid in registry::processes() {
        let Some(space) = namespace(&format!("/proc/{pid}"), "mnt").filter(|space| !seen.contains(space))
        else {
            continue;
        };
        if let Some(inside) = Inside::of(pid) {
            seen.insert(space);
            if known.insert(inside.device) {
                found.push(inside);
            }
        }
    }
    found
}

fn parse(line: &[u8]) -> Option<Mount> {
    let MountLine { device, point, kind, kind_options, .. } = MountLine::of(line)?;
    let (major, minor) = std::str::from_utf8(device).ok()?.split_once(':')?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Mount {
        device: rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?),
        point: OsString::from_vec(unescape(point).unwrap_or_else(|odd| odd)).into(),
        file_system: text(kind),
        options: text(kind_options),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_mounts() {
        let line =
            br"36 35 0:31 / /dev/shm\040two rw,nosuid shared:4 master:1 - tmpfs tmpfs rw,size=24684092k,mode=1777";
        let mount = parse(line).unwrap();
        assert_eq!(mount.point, Path::new("/dev/shm two"));
        assert_eq!((mount.device, &*mount.file_system), (rustix::fs::makedev(0, 31), "tmpfs"));
        assert_eq!(mount.options, "rw,size=24684092k,mode=1777");
        for wrong in ["", "1 2 3", "36 35 0:31 / /x rw shared:4 tmpfs tmpfs rw", "36 35 x / /x rw - a b c"] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(unescape(br"a\134b\9\").unwrap_err(), br"a\b\9\");
    }

    #[test]
    fn the_last_mount_hides_the_others() {
        let mount = |point: &str, file_system: &str, options: &str| Mount {
            device: 1,
            point: point.into(),
            file_system: file_system.into(),
            options: options.into(),
        };
        let mounts = vec![
            mount("/", "ext4", ""),
            mount("/proc", "proc", "rw"),
            mount("/proc", "proc", "rw,hidepid=invisible"),
            mount("/dev/hugepages", "hugetlbfs", ""),
        ];
        let mounts = Mounts { mounts, inside: Vec::new() };
        assert!(mounts.hides_processes());
        assert_eq!(mounts.huge().len(), 1);
        assert_eq!(mounts.mount_of(Path::new("/procession")).unwrap().file_system, "ext4");
    }
}
