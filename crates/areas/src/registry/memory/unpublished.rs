//! Memory that processes hold as areas' and that no team publishes: areas without a name, clones
//! whose publisher has ended, areas whose holder lost the way by which others would find them. It
//! takes RAM like any other, and is not in any table: `/proc` shows it.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::ffi::OsStrExt;

use crate::error::Result;
use crate::protection::Protection;
use crate::registry::process::{Holder, MapLine, Shown, command_of, processes, protection_of, stat_of};
use crate::registry::state::state_up_to_date;
#[cfg(test)]
use crate::sys;
use crate::sys::file::Identity;

/// How the labels of areas' objects begin, by which they are known in `/proc`.
pub(crate) const LABEL: &str = "area:";
/// How the kernel shows a memory object of ours.
const SHOWN: &[u8] = b"/memfd:area:";
/// What it adds, as no memory object has a name in a file system.
const DELETED: &[u8] = b" (deleted)";

/// Memory of an area that is held, and that no team which can be read publishes: [`unpublished`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unpublished {
    /// The name with which the memory was made, or `area` where it had none: what its makers called
    /// it, and no name by which it can be found. Any bytes: another process chose them.
    pub label: Vec<u8>,
    /// Device and inode of its object.
    pub object: (u64, u64),
    /// Bytes; `None` where no holder has a descriptor of it any more, so that only mappings are
    /// seen.
    pub size: Option<u64>,
    /// Bytes for which there is memory, swapped ones included; `None` as for `size`.
    pub allocated: Option<u64>,
    /// Its holders.
    pub holders: Vec<Holder>,
}

/// Memory that processes hold as areas', and that no team which can be read publishes.
///
/// Each process that can be looked into is asked what it has open and mapped, so this takes longer
/// than [`list`](crate::registry::list). What is on its way through a socket does not show, nor do
/// private areas and low ones.
///
/// # Errors
/// As [`list`](crate::registry::list).
pub fn unpublished() -> Result<Vec<Unpublished>> {
    // What is published or taken back while we look is published all the same.
    let mut published = published()?;
    let mut found = BTreeMap::new();
    for pid in processes() {
        look_at(pid, &mut found);
    }
    published.extend(self::published()?);
    found.retain(|&(device, inode), _| !published.contains(&Identity { device, inode }));
    Ok(found.into_values().collect())
}

/// The objects of all areas that are published, and are where their tables say.
fn published() -> Result<HashSet<Identity>> {
    let listing = state_up_to_date()?.list()?;
    Ok(listing.areas.iter().filter(|area| !area.is_missing()).map(|area| area.record().object).collect())
}

type Found = BTreeMap<(u64, u64), Unpublished>;

/// Adds what a process has.
fn look_at(pid: u32, found: &mut Found) {
    let shown = Shown::of(pid);
    for (_, to, path) in shown.open(SHOWN) {
        // A file in a folder would have a name.
        let Ok(stat) = stat_of(&path) else { continue };
        if stat.is_file() && stat.links == 0 {
            let memory = memory_of(found, stat.identity, to.as_bytes());
            (memory.size, memory.allocated) = (Some(stat.size), Some(stat.allocated));
            holder_of(memory, pid).descriptors += 1;
        }
    }
    for line in shown.maps.split(|&byte| byte == b'\n') {
        if let Some((identity, protection, path)) = mapping(line) {
            let holder = holder_of(memory_of(found, identity, path), pid);
            holder.mapped = Some(holder.mapped.unwrap_or(Protection::empty()) | protection);
        }
    }
}

fn memory_of<'a>(found: &'a mut Found, identity: Identity, path: &[u8]) -> &'a mut Unpublished {
    let Identity { device, inode } = identity;
    found.entry((device, inode)).or_insert_with(|| {
        let label = path.strip_prefix(SHOWN).unwrap_or(path);
        let label = label.strip_suffix(DELETED).unwrap_or(label).to_vec();
        Unpublished { label, object: (device, inode), size: None, allocated: None, holders: Vec::new() }
    })
}

/// The process among an object's holders. Processes are looked at one after the other.
fn holder_of(memory: &mut Unpublished, pid: u32) -> &mut Holder {
    if memory.holders.last().is_none_or(|last| last.pid != pid) {
        memory.holders.push(Holder { pid, command: command_of(pid), mapped: None, descriptors: 0 });
    }
    let last = memory.holders.len() - 1;
    &mut memory.holders[last]
}

/// What a line of `maps` says, if it is a shared mapping of an area's memory object: which, what
/// may be done with it, and its path.
fn mapping(line: &[u8]) -> Option<(Identity, Protection, &[u8])> {
    let MapLine { permissions, device, inode, path, .. } = MapLine::of(line)?;
    // The path begins so, and not in the middle of another one.
    if !path.starts_with(SHOWN) || permissions[3] != b's' {
        return None;
    }
    Some((Identity { device, inode }, protection_of(&permissions[..3]), path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_of_maps() {
        let line = |permissions: &str, path: &str| {
            format!("7f0000000000-7f0000001000 {permissions} 00000000 00:1a 4711                      {path}")
        };
        let device = sys::file::device(0, 0x1a);
        let ring = "/memfd:area:a ring (deleted)";
        let cases = [
            (line("rw-s", ring), Some((Protection::READ_WRITE, ring))),
            (line("---s", ring), Some((Protection::empty(), ring))),
            (line("rw-p", ring), None),
            (line("rw-s", "/memfd:areas table (deleted)"), None),
            (line("rw-s", "/tmp/memfd:area:x"), None),
            (line("rw-s", "/tmp/a /memfd:area:x"), None),
            (line("rw", ring), None),
            (ring.to_owned(), None),
            (String::new(), None),
        ];
        for (line, expected) in cases {
            let expected = expected
                .map(|(protection, path)| (Identity { device, inode: 4711 }, protection, path.as_bytes()));
            assert_eq!(mapping(line.as_bytes()), expected, "{line}");
        }
    }
}
