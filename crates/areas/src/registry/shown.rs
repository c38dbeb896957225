//! What `/proc` shows of a process: its mappings, and what it has open.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use super::directory::stat_of;
use super::holders::{has_share, shared_mapping};
use crate::protection::Protection;
use crate::sys::file::Identity;
use crate::sys::text;

/// A process, as it shows itself to us.
pub(super) struct Shown {
    /// The process's folder; once its leader has ended, that of another thread: all threads have the same memory and descriptors, and of
    /// an ended one nothing is shown.
    pub(super) folder: String,
    /// The text of `maps`; empty where it may not be read.
    pub(super) maps: Vec<u8>,
}

impl Shown {
    pub(super) fn of(pid: u32) -> Self {
        let folder = format!("/proc/{pid}");
        let maps = match maps_of(&folder) {
            // Neither may its threads be looked into.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Shown { folder, maps: Vec::new() };
            }
            other => other.unwrap_or_default(),
        };
        if maps.is_empty()
            && let Some(shown) = living_thread(&folder, pid)
        {
            return shown;
        }
        Shown { folder, maps }
    }

    /// What the process may do with the memory through its mappings, all of them together.
    pub(super) fn mapped(&self, identity: Identity, physical: Option<&Range<u64>>) -> Option<Protection> {
        self.maps
            .split(|&byte| byte == b'\n')
            .filter_map(|line| shared_mapping(line, identity.inode, physical))
            .reduce(Protection::union)
    }

    /// How many descriptors of a file the process has open; none where that cannot be seen.
    pub(super) fn descriptors(&self, identity: Identity, physical: Option<&Range<u64>>) -> usize {
        let shares = |number: &OsString| {
            let Some(range) = physical else { return true };
            let info = text::read_to_string(format!("{}/fdinfo/{}", self.folder, number.display()));
            info.is_ok_and(|info| has_share(&info, range))
        };
        let begins: &[u8] = if physical.is_some() { b"/dev/mem" } else { b"/memfd:" };
        self.open(begins)
            .filter(|(number, _, path)| {
                stat_of(path).is_ok_and(|stat| stat.identity == identity) && shares(number)
            })
            .count()
    }

    /// What the process has open that says that it is something beginning so: the number, what it says, and the path that leads to it.
    ///
    /// Only that is to be looked at: a file elsewhere may be on a disk that is gone.
    pub(super) fn open<'a>(
        &'a self,
        begins: &'a [u8],
    ) -> impl Iterator<Item = (OsString, OsString, String)> + 'a {
        let folder = format!("{}/fd", self.folder);
        text::names_in(&folder, usize::MAX).unwrap_or_default().into_iter().filter_map(move |number| {
            let path = format!("{folder}/{}", number.display());
            let to = std::fs::read_link(&path).ok()?.into_os_string();
            to.as_bytes().starts_with(begins).then_some((number, to, path))
        })
    }
}

fn maps_of(folder: &str) -> std::io::Result<Vec<u8>> {
    text::read(format!("{folder}/maps"))
}

/// A thread that has not ended, of a process whose leader has.
fn living_thread(process: &str, leader: u32) -> Option<Shown> {
    let leader = leader.to_string();
    let threads = text::names_in(format!("{process}/task"), usize::MAX).ok()?;
    threads.into_iter().filter(|thread| thread.as_bytes() != leader.as_bytes()).find_map(|thread| {
        let folder = format!("{process}/task/{}", thread.display());
        let maps = maps_of(&folder).ok().filter(|maps| !maps.is_empty())?;
        Some(Shown { folder, maps })
    })
}
