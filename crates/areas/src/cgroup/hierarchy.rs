//! Where a controller's files are for this process: its groups, from its own up to the topmost that
//! can be seen.
//!
//! `/proc/self/cgroup` has the path in each hierarchy, `/proc/self/mountinfo` where hierarchies are
//! mounted, and which part of them. In a container both are relative to the root of its cgroup
//! namespace, or the mount shows only the container's own part, or nothing is mounted at all. All
//! of this is text that others may have had a hand in (names of groups, mount points), so it is
//! read as bytes, and what does not fit together is left out.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::Level;
use crate::sys::mounts::{MountLine, unescape};

/// Which interface a controller has here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for each controller, or for some together.
    One,
    /// One hierarchy for all.
    Two,
}

/// A controller's groups that this process is in, from its own upwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) version: Version,
    pub(crate) levels: Vec<Level>,
    /// Whether there are none above them: the topmost is the root of the hierarchy, which alone has
    /// this file in version 1.
    pub(crate) whole: bool,
}

impl Location {
    /// The groups for `controller`, below `root` (`/`, but for tests). `None` where there are none,
    /// or they cannot be seen.
    pub(crate) fn of(root: &Path, controller: &str) -> Option<Self> {
        /// What was found last. Where hierarchies are mounted hardly ever changes, and mountinfo is
        /// long on machines with many containers; the membership is read each time.
        static KNOWN: Mutex<Option<Known>> = Mutex::new(None);
        let membership = crate::sys::text::read(root.join("proc/self/cgroup")).ok()?;
        if root != Path::new("/") {
            return Self::find(root, controller, &membership);
        }
        // Never waited for: a forked child may have inherited it held.
        let mut known = KNOWN.try_lock().ok();
        if let Some(Some(known)) = known.as_deref()
            && known.controller == controller
            && known.membership == membership
            // They went, or what is mounted did.
            && known.location.levels.first().is_some_and(|level| level.folder.join("cgroup.procs").exists())
        {
            return Some(known.location.clone());
        }
        let location = Self::find(root, controller, &membership)?;
        if let Some(known) = &mut known {
            **known =
                Some(Known { controller: controller.to_owned(), membership, location: location.clone() });
        }
        Some(location)
    }

    /// The same for another process, as this one sees its groups.
    pub(crate) fn of_process(root: &Path, process: &str, controller: &str) -> Option<Self> {
        let membership = crate::sys::text::read(root.join("proc").join(process).join("cgroup")).ok()?;
        Self::find(root, controller, &membership)
    }

    fn find(root: &Path, controller: &str, membership: &[u8]) -> Option<Self> {
        let (version, path) = path_of(membership, controller)?;
        let mounts = crate::sys::text::read(root.join("proc/self/mountinfo")).ok()?;
        let (mount, below) = mounts_of(&mounts, version, controller)
            .into_iter()
            .filter_map(|mount| below(path, &mount.root).map(|below| (mount, below)))
            // Where most of it can be seen.
            .max_by_key(|(_, below)| below.len())?;
        let top = root.join(OsStr::from_bytes(mount.point.strip_prefix(b"/")?));
        let levels = (0..=below.len()).rev().map(|depth| {
            let names = below[..depth].iter();
            let folder =
                names.clone().fold(top.clone(), |folder: PathBuf, name| folder.join(OsStr::from_bytes(name)));
            let all = parts(&mount.root).chain(names.copied());
            let group: Vec<_> = all.map(String::from_utf8_lossy).collect();
            Level { folder, group: format!("/{}", group.join("/")) }
        });
        let whole = version == Version::One && top.join("release_agent").exists();
        Some(Location { version, levels: levels.collect(), whole })
    }
}

#[derive(Debug)]
struct Known {
    controller: String,
    membership: Vec<u8>,
    location: Location,
}

/// The path of this process's group, from the text of `/proc/self/cgroup`: in the hierarchy of
/// version 1 that has the controller, else in that of version 2.
pub fn path_of<'a>(membership: &'a [u8], controller: &str) -> Option<(Version, &'a [u8])> {
    let mut unified = None;
    for line in membership.split(|&byte| byte == b'\n') {
        // A path may have colons in it.
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let (Some(id), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        if !path.starts_with(b"/") {
            continue;
        }
        if has(controllers, controller) {
            return Some((Version::One, path));
        }
        if id == b"0" && controllers.is_empty() {
            unified = unified.or(Some((Version::Two, path)));
        }
    }
    unified
}

/// Whether a word is in a list that commas separate.
fn has(list: &[u8], word: &str) -> bool {
    list.split(|&byte| byte == b',').any(|part| part == word.as_bytes())
}

/// A mount of a hierarchy: what of it is shown, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    root: Vec<u8>,
    point: Vec<u8>,
}

/// The mounts of a hierarchy, from the text of `/proc/self/mountinfo` (proc_pid_mountinfo(5)). What
/// was mounted over is left out.
fn mounts_of(mountinfo: &[u8], version: Version, controller: &str) -> Vec<Mount> {
    let mut found: Vec<(Mount, bool)> = Vec::new();
    for line in mountinfo.split(|&byte| byte == b'\n').filter_map(MountLine::of) {
        let ours = match version {
            Version::One => line.kind == b"cgroup" && has(line.kind_options, controller),
            Version::Two => line.kind == b"cgroup2",
        };
        let (Ok(root), Ok(point)) = (unescape(line.root), unescape(line.point)) else { continue };
        if !point.starts_with(b"/") || (ours && !root.starts_with(b"/")) {
            continue;
        }
        found.retain(|(mount, _)| mount.point != point);
        found.push((Mount { root, point }, ours));
    }
    found.into_iter().filter(|(_, ours)| *ours).map(|(mount, _)| mount).collect()
}

fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".")
}

/// The names that lead from a mount's root to a group; none where only groups above it can be seen
/// there.
fn below<'a>(path: &'a [u8], root: &[u8]) -> Option<Vec<&'a [u8]>> {
    fn up(part: &&[u8]) -> bool {
        *part == b".."
    }
    let (path, root): (Vec<_>, Vec<_>) = (parts(path).collect(), parts(root).collect());
    if path.len() >= root.len() && path.iter().zip(&root).all(|(ours, of_root)| ours == of_root) {
        let rest = &path[root.len()..];
        return (!rest.iter().any(up)).then(|| rest.to_vec());
    }
    // A mount from outside of the namespace shows groups above its root: how they lead to ours is
    // not known.
    (!root.is_empty() && root.iter().all(up) && !path.first().is_some_and(up)).then(Vec::new)
}

/// Any bytes as both texts, for the fuzzer: what is below a mount does not lead out of it.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((version, path)) = path_of(bytes, "memory") else { return };
    for mount in mounts_of(bytes, version, "memory") {
        for name in below(path, &mount.root).into_iter().flatten() {
            assert!(name != b".." && !name.contains(&b'/'), "{name:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tree;
    use super::*;

    fn location(
        membership: &[u8],
        mountinfo: &[u8],
        controller: &str,
    ) -> Option<(Version, Vec<(String, String)>)> {
        let tree = Tree::new(&format!("where-{controller}-{}", mountinfo.len() * 1000 + membership.len()));
        tree.put("proc/self/cgroup", membership);
        tree.put("proc/self/mountinfo", mountinfo);
        let location = Location::of(tree.root(), controller)?;
        let levels = location.levels.into_iter().map(|level| {
            let folder = level.folder.strip_prefix(tree.root()).unwrap().to_str().unwrap().to_owned();
            (folder, level.group)
        });
        Some((location.version, levels.collect()))
    }

    #[track_caller]
    fn check(
        membership: &str,
        mountinfo: &str,
        controller: &str,
        expected: Option<(Version, &[(&str, &str)])>,
    ) {
        let found = location(membership.as_bytes(), mountinfo.as_bytes(), controller);
        let expected = expected.map(|(version, levels)| {
            (
                version,
                levels.iter().map(|(folder, group)| ((*folder).to_owned(), (*group).to_owned())).collect(),
            )
        });
        assert_eq!(found, expected, "{membership:?} {mountinfo:?}");
    }

    const UNIFIED: &str = "26 23 0:23 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw master:9 propagate_from:2 - cgroup cgroup rw,cpu,cpuacct\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn version_two() {
        check(
            "0::/user.slice/a.scope\n",
            UNIFIED,
            "memory",
            Some((
                Version::Two,
                &[
                    ("sys/fs/cgroup/user.slice/a.scope", "/user.slice/a.scope"),
                    ("sys/fs/cgroup/user.slice", "/user.slice"),
                    ("sys/fs/cgroup", "/"),
                ],
            )),
        );
        check("0::/\n", UNIFIED, "memory", Some((Version::Two, &[("sys/fs/cgroup", "/")])));
    }

    #[test]
    fn version_one_and_both_at_once() {
        let membership = "9:name=systemd:/x\n4:memory:/box/1\n1:cpu,cpuacct:/\n0::/unified\n";
        let memory: &[_] = &[
            ("sys/fs/cgroup/memory/box/1", "/box/1"),
            ("sys/fs/cgroup/memory/box", "/box"),
            ("sys/fs/cgroup/memory", "/"),
        ];
        check(membership, HYBRID, "memory", Some((Version::One, memory)));
        // One of several controllers of a hierarchy; and one that is left to version 2.
        check(membership, HYBRID, "cpuacct", Some((Version::One, &[("sys/fs/cgroup/cpu,cpuacct", "/")])));
        check(
            membership,
            HYBRID,
            "hugetlb",
            Some((
                Version::Two,
                &[("sys/fs/cgroup/unified/unified", "/unified"), ("sys/fs/cgroup/unified", "/")],
            )),
        );
        // Not taken for it by a part of its name.
        check("4:memory2:/box\n", HYBRID, "memory", None);
    }

    #[test]
    fn a_container_sees_its_own_part() {
        // Without a namespace: the whole path, and a mount of the container's part.
        check(
            "4:memory:/docker/abc/inner\n",
            "5 4 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
            "memory",
            Some((
                Version::One,
                &[
                    ("sys/fs/cgroup/memory/inner", "/docker/abc/inner"),
                    ("sys/fs/cgroup/memory", "/docker/abc"),
                ],
            )),
        );
        // With one: both are relative to it.
        check("0::/\n", UNIFIED, "memory", Some((Version::Two, &[("sys/fs/cgroup", "/")])));
        // A mount from outside of the namespace shows a group above.
        check(
            "0::/in\n",
            "5 4 0:32 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            "memory",
            Some((Version::Two, &[("sys/fs/cgroup", "/../..")])),
        );
        // A process that was moved out of what its namespace shows.
        check("0::/../other\n", UNIFIED, "memory", None);
        check("0::/a/../b\n", UNIFIED, "memory", None);
        check("0::/dockerx\n", "5 4 0:32 /docker /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "memory", None);
    }

    #[test]
    fn the_mount_that_shows_most() {
        let twice = "5 4 0:32 /a/b /odd rw - cgroup2 none rw\n6 4 0:32 / /mnt/all rw - cgroup2 none rw\n";
        check(
            "0::/a/b\n",
            twice,
            "memory",
            Some((Version::Two, &[("mnt/all/a/b", "/a/b"), ("mnt/all/a", "/a"), ("mnt/all", "/")])),
        );
        // Mounted over: what is there now counts.
        let over =
            "5 4 0:32 / /sys/fs/cgroup rw - cgroup2 none rw\n6 5 0:40 / /sys/fs/cgroup rw - tmpfs none rw\n";
        check("0::/a\n", over, "memory", None);
    }

    #[test]
    fn odd_and_hostile_text() {
        // Blanks, colons and backslashes in names.
        check(
            "0::/a b:c\n",
            "5 4 0:32 / /odd\\040place\\134 rw - cgroup2 none rw\n",
            "memory",
            Some((Version::Two, &[("odd place\\/a b:c", "/a b:c"), ("odd place\\", "/")])),
        );
        for mountinfo in [
            "",
            "-",
            "1 2 3 4 5 6 -",
            "5 4 0:32 / /x rw - cgroup2",
            "5 4 0:32 / x rw - cgroup2 none rw",
            "5 4 0:32 x /x rw - cgroup2 none rw",
            "5 4 0:32 / /x\\08 rw - cgroup2 none rw",
            "5 4 0:32 / /x\\777 rw - cgroup2 none rw",
            "5 4 0:32 / /x\\04 rw - cgroup2 none rw",
            "5 4 0:32 / /x rw cgroup2 none rw",
        ] {
            check("0::/\n", mountinfo, "memory", None);
        }
        for membership in ["", "\n", ":", "::", "0:", "0::", "0::a", "0::\n/\n", "1::/", "memory:/"] {
            check(membership, UNIFIED, "memory", None);
        }
        // No UTF-8: still found, and printed with marks.
        let (_, levels) = {
            let tree = Tree::new("bytes");
            tree.put("proc/self/cgroup", b"0::/\xff\n");
            tree.put("proc/self/mountinfo", UNIFIED);
            let found = Location::of(tree.root(), "memory").unwrap();
            (found.version, found.levels)
        };
        assert_eq!(levels[0].folder.as_os_str().as_bytes().last(), Some(&0xff));
        assert_eq!(levels[0].group, "/\u{fffd}");
    }

    #[test]
    fn of_this_process() {
        // Whatever it is here: asked twice, it is the same, and of another root it is none.
        let root = Path::new("/");
        assert_eq!(Location::of(root, "memory"), Location::of(root, "memory"));
        if let Some(location) = Location::of(root, "memory") {
            assert!(location.levels.iter().all(|level| level.folder.is_dir()), "{location:?}");
        }
        assert_eq!(Location::of(Path::new("/nonexistent"), "memory"), None);
    }
}
