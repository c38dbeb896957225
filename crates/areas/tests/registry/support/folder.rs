//! A registry's folder of a test's own, and what lies in it, looked at without the library.

use areas_testing::stat;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder for one test: `areas` in it is the registry's (made by the first who joins), the rest
/// is free to use. It goes with the value.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

/// A team's link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) slot: u32,
    pub(crate) start_time: u64,
    pub(crate) inode: u64,
    pub(crate) pid: u32,
    pub(crate) descriptor: i32,
    /// Whether its team has published nothing yet.
    pub(crate) empty: bool,
}

impl Link {
    pub(crate) fn name(&self) -> String {
        let end = if self.empty { ".empty" } else { "" };
        format!("{}.{}.{}{end}", self.slot, self.start_time, self.inode)
    }

    pub(crate) fn target(&self) -> String {
        format!("/proc/{}/fd/{}", self.pid, self.descriptor)
    }
}

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("areas-test-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        // Other users come through it to a registry that is theirs.
        fs::DirBuilder::new().mode(0o755).create(&path).expect("a folder for the test");
        Folder(path)
    }

    /// One whose registry belongs to that user.
    pub(crate) fn of_user(user: u32) -> Self {
        let folder = Folder::new();
        fs::DirBuilder::new().mode(0o700).create(folder.registry()).expect("a folder");
        std::os::unix::fs::chown(folder.registry(), Some(user), Some(user)).expect("its owner");
        folder
    }

    /// A place in it that is not the registry's.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What `AREAS_DIR` says.
    pub(crate) fn registry(&self) -> PathBuf {
        self.0.join("areas")
    }

    /// The folder of our pid namespace (and of our time namespace, if that is not the usual one).
    pub(crate) fn space(&self) -> PathBuf {
        let inode = |kind: &str| {
            let link = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
            Some(link.to_string_lossy().chars().filter(char::is_ascii_digit).collect::<String>())
        };
        let pid = inode("pid").expect("our pid namespace");
        self.registry().join(match inode("time").filter(|time| time != "4026531834") {
            Some(time) => format!("pid-{pid}-time-{time}"),
            None => format!("pid-{pid}"),
        })
    }

    /// Where links are.
    pub(crate) fn teams(&self) -> PathBuf {
        self.space().join("teams")
    }

    pub(crate) fn control(&self) -> PathBuf {
        self.space().join("control")
    }

    /// All links that name a team; none where there is no folder.
    pub(crate) fn links(&self) -> Vec<Link> {
        let Ok(entries) = fs::read_dir(self.teams()) else { return Vec::new() };
        entries.filter_map(|entry| parse(&entry.ok()?.path())).collect()
    }

    /// The link of a process's only team.
    #[track_caller]
    pub(crate) fn link_of(&self, pid: u32) -> Link {
        let mut links: Vec<Link> = self.links().into_iter().filter(|link| link.pid == pid).collect();
        assert_eq!(links.len(), 1, "process {pid} has one team: {links:?}");
        links.remove(0)
    }

    /// Leaves a link of any name and target.
    pub(crate) fn plant(&self, name: &str, target: &str) {
        symlink(target, self.teams().join(name)).expect("a link");
    }

    /// Leaves a link as a team's.
    pub(crate) fn plant_link(&self, link: &Link) {
        self.plant(&link.name(), &link.target());
    }

    pub(crate) fn has(&self, link: &Link) -> bool {
        fs::symlink_metadata(self.teams().join(link.name())).is_ok()
    }

    /// Everything in it: path and bytes that it takes, links with what they say.
    pub(crate) fn remains(&self) -> Vec<(PathBuf, fs::Metadata)> {
        let mut found = Vec::new();
        let mut folders = vec![self.registry()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder").flatten() {
                let metadata = fs::symlink_metadata(entry.path()).expect("it is there");
                if metadata.is_dir() {
                    folders.push(entry.path());
                }
                found.push((entry.path(), metadata));
            }
        }
        found
    }
}

fn parse(path: &Path) -> Option<Link> {
    let target = fs::read_link(path).ok()?;
    let (pid, descriptor) = target.to_str()?.strip_prefix("/proc/")?.split_once("/fd/")?;
    let mut parts = path.file_name()?.to_str()?.split('.');
    Some(Link {
        slot: parts.next()?.parse().ok()?,
        start_time: parts.next()?.parse().ok()?,
        inode: parts.next()?.parse().ok()?,
        pid: pid.parse().ok()?,
        descriptor: descriptor.parse().ok()?,
        empty: parts.next() == Some("empty"),
    })
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// When a process started, in clock ticks.
pub(crate) fn start_time(pid: u32) -> u64 {
    stat::of(pid).expect("the process is there").start_time
}

/// Whether a process's leader has ended: other threads may live.
pub(crate) fn has_no_leader(pid: u32) -> bool {
    stat::of(pid).is_some_and(|stat| stat.state == 'Z')
}

/// Whether a process has died and no process has fetched its status.
pub(crate) fn is_zombie(pid: u32) -> bool {
    // Threads may outlive the leader, a sanitizer's own for one: they have its descriptors and
    // mappings still.
    stat::of(pid).is_some_and(|stat| stat.state == 'Z' && stat.threads == 1)
}
