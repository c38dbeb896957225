//! Control groups: which limits lie on this process, what they leave, and how a reader raises them.
//!
//! A group over its memory limit is killed from, as a full machine is, and one over `memory.high`
//! is slowed down until it seems to hang. So the limits are read before memory is taken. Version 1
//! and version 2 may be in use at once, a controller at a time; a limit of any group from the
//! process's own up to the top counts.
//!
//! | file | what |
//! |---|---|
//! | `hierarchy.rs` | where the files of a controller are: `/proc/self/cgroup` and `/proc/self/mountinfo` |
//! | `memory.rs` | the room that memory limits leave |
//! | `hugetlb.rs` | the room that limits on hugetlb pages leave |

mod hierarchy;
mod hugetlb;
mod memory;

use std::path::{Path, PathBuf};

use hierarchy::Location;
#[cfg(fuzzing)]
pub(crate) use hierarchy::fuzz;
pub use hierarchy::{Version, path_of};
pub(crate) use hugetlb::rooms as hugetlb_rooms;
pub use hugetlb::rooms_of as hugetlb_rooms_of;
pub(crate) use memory::room as memory_room;
pub use memory::rooms as memory_rooms_of;

use crate::size::Bytes;

/// The folder of the group that a process (`self`, or a number) is in, by a controller; `None`
/// where it cannot be seen.
#[must_use]
pub fn folder_of(root: &Path, process: &str, controller: &str) -> Option<PathBuf> {
    Location::of_process(root, process, controller)?.levels.into_iter().next().map(|level| level.folder)
}

/// What one limit leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that can be taken before the limit is reached.
    pub bytes: u64,
    /// The limit.
    pub limit: u64,
    /// Bytes of it that are in use, less what the kernel can reclaim.
    pub used: u64,
    /// The path of the group in its hierarchy, as far as this process may know it.
    pub group: String,
    /// The file that holds the limit.
    pub file: PathBuf,
    /// A file that the kernel keeps at or above this one, and its limit:
    /// `memory.memsw.limit_in_bytes`.
    above: Option<(PathBuf, u64)>,
}

impl Room {
    fn of(limit: u64, used: u64, level: &Level, file: &str) -> Self {
        Room {
            bytes: limit.saturating_sub(used),
            limit,
            used,
            group: level.group.clone(),
            file: level.folder.join(file),
            above: None,
        }
    }

    /// Whose limit it is, in words: `control group /a/b (memory.max is 64.0 MiB, 3.90 MiB in use)`.
    pub(crate) fn whose(&self) -> String {
        let file = self.file.file_name().unwrap_or_default().display();
        format!(
            "control group {} ({file} is {:#}, {:#} in use)",
            self.group,
            Bytes(self.limit),
            Bytes(self.used)
        )
    }

    /// How to make room for `wanted` bytes: the line to type.
    pub(crate) fn raise(&self, wanted: u64) -> String {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let value = self.enough_for(wanted);
        let lines = self.lines(wanted);
        let elsewhere = match &*name {
            "memory.max" | "memory.limit_in_bytes" => {
                format!(" (MemoryMax={value}, `--memory {value}`)")
            }
            "memory.high" => format!(" (MemoryHigh={value})"),
            _ => String::new(),
        };
        format!("raise the limit: `{}` as root{elsewhere}", lines.join(" && "))
    }

    /// The limit that leaves so many bytes.
    fn enough_for(&self, wanted: u64) -> u64 {
        let exact = self.used.saturating_add(wanted);
        // Hugetlb pages, and nothing else, count there.
        if self.file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("hugetlb.")) {
            return exact;
        }
        // In whole MiB, and enough for what the program and the kernel allocate along the way.
        const ALONG_THE_WAY: u64 = 4 << 20;
        let value = exact.saturating_add(wanted / 16).saturating_add(ALONG_THE_WAY);
        value.div_ceil(1 << 20).saturating_mul(1 << 20)
    }

    /// What to type, as root and in order, to make room for `wanted` bytes.
    #[must_use]
    pub fn lines(&self, wanted: u64) -> Vec<String> {
        let value = self.enough_for(wanted);
        let first = self.above.iter().filter(|(_, limit)| *limit < value).map(|(file, _)| file);
        first.chain([&self.file]).map(|file| format!("echo {value} > {}", file.display())).collect()
    }
}

/// How to make room for `wanted` bytes where several limits leave less: all lines to type.
pub(crate) fn raise_all(rooms: &[Room], wanted: u64) -> String {
    let short = rooms.iter().filter(|room| room.bytes < wanted);
    let lines: Vec<String> = short.flat_map(|room| room.lines(wanted)).collect();
    let noun = if lines.len() == 1 { "limit" } else { "limits" };
    format!("raise the {noun}: `{}` as root", lines.join(" && "))
}

/// A group, from the process's own up to the topmost that can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) folder: PathBuf,
    pub(crate) group: String,
}

impl Level {
    fn read(&self, file: &str) -> Option<String> {
        crate::sys::text::read_to_string(self.folder.join(file)).ok()
    }

    /// A number of bytes; `None` for `max`, for what version 1 has instead, and where the file is
    /// absent.
    fn number(&self, file: &str) -> Option<u64> {
        /// The largest that version 1 prints is the largest `i64` in whole pages, of up to 64 KiB:
        /// no machine has a quarter of it.
        const UNLIMITED: u64 = 1 << 61;
        self.read(file)?.trim().parse().ok().filter(|&value| value < UNLIMITED)
    }
}

/// A tree of files for a test, removed when it is dropped.
#[cfg(test)]
pub(crate) struct Tree(PathBuf);

#[cfg(test)]
impl Tree {
    pub(crate) fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("areas-cgroup-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root).unwrap();
        Tree(root)
    }

    pub(crate) fn put(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }
}

#[cfg(test)]
impl Drop for Tree {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
