//! Control groups for the time of a test, wherever the controller is: in a hierarchy of version 1,
//! or of version 2.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::support::{is_root, skip};

/// A group, removed when it is dropped. Whoever was in it must have ended.
#[derive(Debug)]
pub(crate) struct Group {
    folder: PathBuf,
    version: u8,
}

/// Where a controller's hierarchy is mounted, and its version.
fn hierarchy(controller: &str) -> Option<(PathBuf, u8)> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mounts: Vec<Vec<&str>> = mounts.lines().map(|line| line.split(' ').collect()).collect();
    let one = mounts
        .iter()
        .find(|mount| mount[2] == "cgroup" && mount[3].split(',').any(|word| word == controller));
    if let Some(mount) = one {
        return Some((PathBuf::from(mount[1]), 1));
    }
    let two = mounts.iter().filter(|mount| mount[2] == "cgroup2").map(|mount| PathBuf::from(mount[1]));
    two.into_iter()
        .find(|top| {
            let all = fs::read_to_string(top.join("cgroup.controllers")).unwrap_or_default();
            all.split_ascii_whitespace().any(|word| word == controller)
        })
        .map(|top| (top, 2))
}

impl Group {
    /// A group below the top; `None`, said aloud, where none can be made. A process of the test's
    /// own finds it again.
    pub(crate) fn new(controller: &str, test: &str) -> Option<Self> {
        if !is_root() {
            skip(test, "making a control group needs root");
            return None;
        }
        let Some((top, version)) = hierarchy(controller) else {
            skip(test, &format!("no hierarchy of control groups has {controller}"));
            return None;
        };
        if version == 2 {
            let _ = fs::write(top.join("cgroup.subtree_control"), format!("+{controller}"));
        }
        let name = format!("areas-{}-{}", test.replace(':', "-"), std::process::id());
        let folder = top.join(name);
        if let Err(error) = fs::create_dir(&folder) {
            skip(test, &format!("{}: {error}", folder.display()));
            return None;
        }
        Some(Group { folder, version })
    }

    /// A group in this one.
    pub(crate) fn inner(&self, controller: &str) -> Self {
        if self.version == 2 {
            self.set("cgroup.subtree_control", &format!("+{controller}"));
        }
        let group = Group { folder: self.folder.join("inner"), version: self.version };
        fs::create_dir(&group.folder).unwrap();
        group
    }

    pub(crate) fn version(&self) -> u8 {
        self.version
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What `/proc/self/cgroup` calls it.
    pub(crate) fn name(&self) -> String {
        let start = self
            .folder
            .components()
            .position(|part| part.as_os_str().to_string_lossy().starts_with("areas-"));
        let parts: Vec<_> = self.folder.components().skip(start.unwrap()).collect();
        format!("/{}", parts.iter().collect::<PathBuf>().display())
    }

    #[track_caller]
    pub(crate) fn set(&self, file: &str, value: &str) {
        fs::write(self.folder.join(file), value).unwrap_or_else(|error| panic!("{file}: {error}"));
    }

    /// The file of the limit that kills.
    pub(crate) fn max(&self) -> &'static str {
        if self.version == 1 { "memory.limit_in_bytes" } else { "memory.max" }
    }

    /// Limits memory, and leaves no swap.
    pub(crate) fn limit(&self, bytes: usize) {
        self.set(self.max(), &bytes.to_string());
        if self.version == 2 {
            let _ = fs::write(self.folder.join("memory.swap.max"), "0");
        }
    }

    /// How often the kernel killed here.
    pub(crate) fn kills(&self) -> u64 {
        let file = if self.version == 1 { "memory.oom_control" } else { "memory.events" };
        let text = fs::read_to_string(self.folder.join(file)).unwrap();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")).unwrap().parse().unwrap()
    }
}

/// Takes this process into a group.
pub(crate) fn enter(folder: impl AsRef<Path>) {
    fs::write(folder.as_ref().join("cgroup.procs"), "0").unwrap();
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that has just ended may still be counted for a moment.
        let gone = (0..200).any(|_| {
            let gone = fs::remove_dir(&self.folder).is_ok();
            if !gone {
                std::thread::sleep(Duration::from_millis(20));
            }
            gone
        });
        assert!(gone || std::thread::panicking(), "{} is not empty", self.folder.display());
    }
}
