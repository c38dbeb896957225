//! Who has an object: what `/proc` shows of it.

use std::fmt;
use std::os::unix::fs::MetadataExt;

use super::info::command_of;
use crate::object::Object;
use crate::protection::Protection;
use crate::sys::file::Identity;

/// A process that has an area's memory: mapped, or as an open descriptor, which keeps it alive just as well.
///
/// It prints as `1234 (command)`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// Its command name, where it can be read.
    pub command: Option<String>,
    /// What it may do with the memory through its mappings, all of them together; `None` if it has none.
    pub mapped: Option<Protection>,
    /// How many descriptors of it it has open.
    pub descriptors: usize,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.command {
            Some(command) => write!(f, "{} ({command})", self.pid),
            None => write!(f, "{}", self.pid),
        }
    }
}

/// The processes that have the memory of that identity, by number: those that this process may look into.
///
/// What is on its way through a socket, or belongs to a process that cannot be read, does not show.
pub(super) fn holders(identity: Identity) -> Vec<Holder> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mut pids: Vec<u32> =
        processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids.into_iter()
        .filter_map(|pid| {
            let maps = std::fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
            let mapped = maps
                .split(|&byte| byte == b'\n')
                .filter_map(|line| shared_mapping(line, identity.inode))
                .reduce(Protection::union);
            let descriptors = descriptors(pid, identity);
            (mapped.is_some() || descriptors > 0).then(|| Holder {
                pid,
                command: command_of(pid),
                mapped,
                descriptors,
            })
        })
        .collect()
}

/// The processes that can write an object through a mapping.
pub(crate) fn writers(object: &Object) -> Vec<Holder> {
    let mut holders = holders(object.identity());
    holders.retain(|holder| holder.mapped.is_some_and(|mapped| mapped.contains(Protection::WRITE)));
    holders
}

/// How many descriptors of a file a process has open; none where that cannot be seen.
fn descriptors(pid: u32, identity: Identity) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| {
        entries
            .flatten()
            .filter(|entry| {
                std::fs::metadata(entry.path())
                    .is_ok_and(|file| file.dev() == identity.device && file.ino() == identity.inode)
            })
            .count()
    })
}

/// What a line of `maps` allows, if it is a shared mapping of a memory object with that inode.
///
/// `ADDRESS PERMISSIONS OFFSET DEVICE INODE PATH`, see proc_pid_maps(5). Inodes of memory objects are unique on
/// their device, and the path says that it is one.
fn shared_mapping(line: &[u8], inode: u64) -> Option<Protection> {
    let line = std::str::from_utf8(line).ok()?;
    let mut fields = line.split_ascii_whitespace();
    let permissions = fields.nth(1)?.as_bytes();
    let found = fields.nth(2)?.parse::<u64>().ok()?;
    let is_object = fields.next()?.starts_with("/memfd:");
    if found != inode || !is_object || permissions.get(3) != Some(&b's') {
        return None;
    }
    let flags = [(b'r', Protection::READ), (b'w', Protection::WRITE), (b'x', Protection::EXECUTE)];
    Some(
        flags
            .into_iter()
            .filter(|(letter, _)| permissions[..3].contains(letter))
            .fold(Protection::empty(), |sum, (_, flag)| sum | flag),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_of_maps() {
        let line = |permissions: &str, path: &str| {
            format!("7f0000000000-7f0000001000 {permissions} 00000000 00:01 4711                      {path}")
        };
        let cases = [
            (line("rw-s", "/memfd:area:ring (deleted)"), Some(Protection::READ_WRITE)),
            (line("r--s", "/memfd:area:ring (deleted)"), Some(Protection::READ)),
            (line("---s", "/memfd:area:ring (deleted)"), Some(Protection::empty())),
            (line("rw-p", "/memfd:area:ring (deleted)"), None),
            (line("rw-s", "/dev/shm/ring"), None),
            (line("s", "/memfd:x"), None),
            (String::new(), None),
            ("7f0000000000-7f0000001000 rw-s".to_owned(), None),
        ];
        for (line, expected) in cases {
            assert_eq!(shared_mapping(line.as_bytes(), 4711), expected, "{line}");
        }
        assert_eq!(shared_mapping(line("rw-s", "/memfd:x").as_bytes(), 4712), None);
    }

    #[test]
    fn this_process_holds_what_it_has() {
        let area = crate::builder(4096).shared().unwrap();
        let found = holders(area.object().identity());
        let [holder] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(holder.pid, std::process::id());
        assert_eq!((holder.mapped, holder.descriptors), (Some(Protection::READ_WRITE), 1));
        assert_eq!(writers(area.object()), found);
        let identity = area.object().identity();
        drop(area);
        assert_eq!(holders(identity), []);
    }
}
