//! What `/proc` shows of a process: its mappings, and what it has open.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use super::maps::{has_share, shared_mapping};
use super::{ProcessStat, stat_of};
use crate::protection::Protection;
use crate::sys;
use crate::sys::file::Identity;
use crate::sys::text;

/// A process, as it shows itself to us.
#[derive(Debug)]
pub struct Shown {
    /// The process's folder; once its leader has ended, that of another thread: all threads have
    /// the same memory and mostly the same descriptors, and of an ended one nothing is shown.
    pub folder: String,
    /// The text of `maps`; empty where it may not be read.
    pub maps: Vec<u8>,
    /// Whether it may not be looked into.
    pub refused: bool,
}

impl Shown {
    /// Looks at a process.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let folder = format!("/proc/{pid}");
        let maps = match maps_of(&folder) {
            // Neither may its threads be looked into.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Shown { folder, maps: Vec::new(), refused: true };
            }
            other => other.unwrap_or_default(),
        };
        if maps.is_empty()
            && let Some(shown) = living_thread(&folder, pid)
        {
            return shown;
        }
        Shown { folder, maps, refused: false }
    }

    /// The folders that show its descriptors: one, and one more for each thread that has a table of
    /// its own (`unshare(CLONE_FILES)`).
    #[must_use]
    pub fn tables(&self, pid: u32) -> Vec<String> {
        let mut tables = vec![format!("{}/fd", self.folder)];
        let threads = text::names_in(format!("/proc/{pid}/task"), usize::MAX).unwrap_or_default();
        if threads.len() < 2 {
            return tables;
        }
        let first = self.folder.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or(pid);
        let others = threads.iter().filter_map(|thread| thread.to_str()?.parse().ok());
        for thread in others.filter(|&thread| thread != first) {
            // Where the kernel does not compare them, each is looked at.
            if !matches!(sys::process::share_descriptors(first, thread), Ok(true) | Err(sys::Errno::SRCH)) {
                tables.push(format!("/proc/{pid}/task/{thread}/fd"));
            }
        }
        tables
    }

    /// What the process may do with the memory through its mappings, all of them together.
    pub(in crate::registry) fn mapped(
        &self,
        identity: Identity,
        physical: Option<&Range<u64>>,
    ) -> Option<Protection> {
        self.maps
            .split(|&byte| byte == b'\n')
            .filter_map(|line| shared_mapping(line, identity.inode, physical))
            .reduce(Protection::union)
    }

    /// How many descriptors of a file the process has open; none where that cannot be seen.
    pub(in crate::registry) fn descriptors(
        &self,
        identity: Identity,
        physical: Option<&Range<u64>>,
    ) -> usize {
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

    /// What the process has open that says that it is something beginning so: the number, what it
    /// says, and the path that leads to it.
    ///
    /// Only that is to be looked at: a file elsewhere may be on a disk that is gone.
    pub(in crate::registry) fn open<'a>(
        &'a self,
        begins: &'a [u8],
    ) -> impl Iterator<Item = (OsString, OsString, String)> + 'a {
        open_in(format!("{}/fd", self.folder)).filter(move |(_, to, _)| to.as_bytes().starts_with(begins))
    }
}

/// What is open by one of the folders that show descriptors: the number, what it says that it is,
/// and the path that leads to it.
pub fn open_in(folder: String) -> impl Iterator<Item = (OsString, OsString, String)> {
    text::names_in(&folder, usize::MAX).unwrap_or_default().into_iter().filter_map(move |number| {
        let path = format!("{folder}/{}", number.display());
        let to = std::fs::read_link(&path).ok()?.into_os_string();
        Some((number, to, path))
    })
}

/// Whether a process that refuses to be looked into can hold memory at all: not one of the kernel's
/// own, and not one that has ended.
#[must_use]
pub fn may_hold(pid: u32) -> bool {
    match ProcessStat::of(pid) {
        Ok(stat) => !stat.has_no_memory(),
        Err(_) => sys::process::exists(pid),
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
        Some(Shown { folder, maps, refused: false })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread that has descriptors of its own is another place to look.
    #[test]
    #[expect(unsafe_code, reason = "a thread leaves its process's descriptors; the block has its proof")]
    fn threads_with_descriptors_of_their_own() {
        let pid = std::process::id();
        let number = || Shown::of(pid).tables(pid).len();
        let before = number();
        let (sender, receiver) = std::sync::mpsc::channel();
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            // SAFETY: this thread uses no descriptor, so that none can come to be another's.
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FILES) }.unwrap();
            sender.send(()).unwrap();
            let _ = wait.recv();
        });
        receiver.recv().unwrap();
        assert!(number() > before, "{before}");
        drop(end);
        thread.join().unwrap();
        assert!(!Shown::of(pid).refused && may_hold(pid));
        // The kernel's own are seen from the first pid namespace only.
        if std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n") {
            assert!(!may_hold(2));
        }
    }
}
