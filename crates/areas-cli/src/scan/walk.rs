//! All processes that can be seen, asked what shared memory they have open and mapped.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use areas::others::{Look, look_through};
use areas::registry::{self, MapLine, Shown};

use super::blind::Blind;
use super::memory::{Holder, Object};
use super::mounts::Mounts;
use super::namespace::namespace;
use crate::output::progress::Count;

/// How the kernel shows memory that has no name in a file system.
const MEMFD: &[u8] = b"/memfd:";
const SYSV: &[u8] = b"/SYSV";
const NAMELESS: [&[u8]; 4] = [MEMFD, SYSV, b"/dev/zero (deleted)", b"/anon_hugepage (deleted)"];

/// What is looked for.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// File systems whose files are memory.
    devices: BTreeSet<u64>,
    /// All that are mounted: what has no name is on none of them.
    mounted: BTreeSet<u64>,
    /// Where those file systems are mounted.
    folders: Vec<Vec<u8>>,
}

impl Wanted {
    pub(super) fn of(mounts: &Mounts) -> Self {
        let here = mounts.shm().into_iter().chain(mounts.huge()).map(|mount| mount.device);
        let devices: BTreeSet<u64> = here.chain(mounts.inside.iter().map(|inside| inside.device)).collect();
        // The same may be mounted elsewhere, too.
        let everywhere = mounts.all().filter(|mount| devices.contains(&mount.device));
        let folders = everywhere.map(|mount| mount.point.as_os_str().as_bytes().to_vec()).collect();
        Wanted { folders, mounted: mounts.all().map(|mount| mount.device).collect(), devices }
    }

    /// Whether a mapping is of what is looked for.
    fn is_mapping(&self, line: &MapLine<'_>) -> bool {
        self.devices.contains(&line.device) || is_nameless(line.path) && !self.mounted.contains(&line.device)
    }

    /// Whether what a descriptor says that it leads to may be looked for.
    fn may_be(&self, to: &[u8], elsewhere: bool) -> bool {
        is_nameless(to)
            || self.folders.iter().any(|folder| to.starts_with(folder))
            // In another mount namespace it may be mounted anywhere.
            || elsewhere && to.starts_with(b"/")
    }

    fn is_file(&self, look: &Look, to: &[u8]) -> bool {
        look.is_file
            && (self.devices.contains(&look.object.0)
                || is_nameless(to) && look.links == 0 && !self.mounted.contains(&look.object.0))
    }
}

fn is_nameless(path: &[u8]) -> bool {
    NAMELESS.iter().any(|begin| path.starts_with(begin))
}

/// A memory that processes have.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What the kernel calls it.
    pub(super) label: Vec<u8>,
    pub(super) holders: Vec<Holder>,
    /// Where the last of its mappings ends: it is that large at least.
    pub(super) end: u64,
    pub(super) look: Option<Look>,
    /// A path of `/proc` that leads to it.
    pub(super) opening_path: Option<String>,
}

/// A segment: its number, and in which IPC namespace it has that.
pub(super) type Segment = (OsString, u64);

/// What all processes have.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) objects: BTreeMap<Object, Found>,
    pub(super) segments: BTreeMap<Segment, Found>,
    refused: Vec<u32>,
    /// Sockets with descriptors in their queues, rings with files: by what they say they are.
    waiting: BTreeMap<OsString, (u32, u64)>,
    rings: BTreeMap<OsString, (u32, u64)>,
}

impl Walk {
    /// Asks all processes, several at once.
    pub(super) fn new(wanted: &Wanted, blind: &mut Blind, quiet: bool) -> Self {
        // What this process has open it has for this look.
        let mut pids = registry::processes();
        pids.retain(|&pid| pid != std::process::id());
        let here = namespace("/proc/self", "mnt");
        let count = Count::new("looking at processes", pids.len() as u64, quiet);
        let next = AtomicUsize::new(0);
        let worker = || {
            let mut walk = Walk::default();
            while let Some(&pid) = pids.get(next.fetch_add(1, Ordering::Relaxed)) {
                walk.look_at(pid, wanted, here.as_ref());
                count.more();
            }
            walk
        };
        let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(8));
        let mut walk = std::thread::scope(|scope| {
            // Where there can be no other thread, this one does it all.
            let others: Vec<_> = (1..threads)
                .map_while(|_| std::thread::Builder::new().spawn_scoped(scope, worker).ok())
                .collect();
            let mut walk = worker();
            others.into_iter().filter_map(|other| other.join().ok()).for_each(|other| walk.add(other));
            walk
        });
        walk.sort();
        blind.refused = std::mem::take(&mut walk.refused);
        blind.on_the_way = std::mem::take(&mut walk.waiting).into_values().collect();
        blind.registered = std::mem::take(&mut walk.rings).into_values().collect();
        walk
    }

    fn look_at(&mut self, pid: u32, wanted: &Wanted, here: Option<&OsString>) {
        let shown = Shown::of(pid);
        if shown.refused {
            if registry::may_hold(pid) {
                self.refused.push(pid);
            }
            return;
        }
        let mut segments = None;
        for line in shown.maps.split(|&byte| byte == b'\n') {
            let Some(line) = MapLine::of(line).filter(|line| wanted.is_mapping(line)) else { continue };
            let found = if line.path.starts_with(SYSV) && !wanted.devices.contains(&line.device) {
                let space = segments
                    .get_or_insert_with(|| namespace(&shown.folder, "ipc").unwrap_or_default())
                    .clone();
                self.segments.entry((space, line.inode)).or_default()
            } else {
                self.objects.entry((line.device, line.inode)).or_default()
            };
            found.holder(pid).mapped = true;
            found.end = found.end.max(line.offset.saturating_add(line.end.saturating_sub(line.start)));
            if found.label.is_empty() {
                found.label = line.path.to_vec();
            }
            if found.opening_path.is_none() {
                found.opening_path =
                    Some(format!("{}/map_files/{:x}-{:x}", shown.folder, line.start, line.end));
            }
        }
        self.look_at_descriptors(pid, &shown, wanted, here);
    }

    fn look_at_descriptors(&mut self, pid: u32, shown: &Shown, wanted: &Wanted, here: Option<&OsString>) {
        let there = namespace(&shown.folder, "mnt");
        let elsewhere = there.is_some() && there.as_ref() != here;
        let mut counted = BTreeSet::new();
        for table in shown.tables(pid) {
            for (number, to, path) in registry::open_in(table) {
                let says = to.as_bytes();
                if says.starts_with(b"socket:") {
                    let waiting = !self.waiting.contains_key(&to);
                    if let Some(count) = waiting.then(|| of_info(&path, "scm_fds:")).flatten() {
                        self.waiting.insert(to, (pid, count));
                    }
                } else if says == b"anon_inode:[io_uring]" {
                    if let Some(count) = of_info(&path, "UserFiles:") {
                        self.rings.insert(path.into(), (pid, count));
                    }
                } else if wanted.may_be(says, elsewhere)
                    && let Ok(look) = look_through(&path)
                    && wanted.is_file(&look, says)
                {
                    let found = self.objects.entry(look.object).or_default();
                    found.label = says.to_vec();
                    (found.look, found.opening_path) = (Some(look), Some(path));
                    // Threads whose tables could not be compared show the same descriptors.
                    found.holder(pid).descriptors += usize::from(counted.insert((number, look.object)));
                }
            }
        }
    }

    /// Adds what another thread has found.
    fn add(&mut self, other: Walk) {
        for (object, found) in other.objects {
            self.objects.entry(object).or_default().add(found);
        }
        for (segment, found) in other.segments {
            self.segments.entry(segment).or_default().add(found);
        }
        self.refused.extend(other.refused);
        self.waiting.extend(other.waiting);
        self.rings.extend(other.rings);
    }

    fn sort(&mut self) {
        self.refused.sort_unstable();
        let all = self.objects.values_mut().chain(self.segments.values_mut());
        all.for_each(|found| found.holders.sort_by_key(|holder| holder.pid));
    }

    /// The holders of a file, by what it is.
    pub(super) fn holders(&mut self, object: Object) -> Vec<Holder> {
        self.objects.remove(&object).map(|found| found.holders).unwrap_or_default()
    }
}

impl Found {
    /// The process among those that have it. Of one thread, processes come one after the other.
    fn holder(&mut self, pid: u32) -> &mut Holder {
        if self.holders.last().is_none_or(|last| last.pid != pid) {
            let command = registry::command_of(pid);
            self.holders.push(Holder { pid, command, mapped: false, descriptors: 0 });
        }
        let last = self.holders.len() - 1;
        &mut self.holders[last]
    }

    fn add(&mut self, other: Found) {
        self.holders.extend(other.holders);
        self.end = self.end.max(other.end);
        // What was looked at through a descriptor says more than a mapping does.
        if self.look.is_none() && (other.look.is_some() || self.label.is_empty()) {
            (self.label, self.look, self.opening_path) = (other.label, other.look, other.opening_path);
        }
    }
}

/// A number above 0 that `fdinfo` has of what is behind a path in a folder `fd`.
fn of_info(path: &str, field: &str) -> Option<u64> {
    let (process, number) = path.rsplit_once("/fd/")?;
    let info = areas::files::read(Path::new(&format!("{process}/fdinfo/{number}"))).ok()?;
    number_in(&info, field)
}

fn number_in(info: &[u8], field: &str) -> Option<u64> {
    let mut lines = info.split(|&byte| byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(field.as_bytes()))?;
    std::str::from_utf8(value).ok()?.trim().parse().ok().filter(|&count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_in_a_socket_is_counted() {
        let info = b"pos:\t0\nflags:\t02000002\nmnt_id:\t10\nino:\t41201\nscm_fds: 3\n";
        assert_eq!(number_in(info, "scm_fds:"), Some(3));
        assert_eq!(number_in(b"scm_fds: 0\n", "scm_fds:"), None);
        assert_eq!(number_in(b"UserFiles:\tx\n", "UserFiles:"), None);
        assert_eq!(number_in(b"", "scm_fds:"), None);
    }

    #[test]
    fn what_only_looks_like_memory_is_not() {
        let mounted = rustix::fs::makedev(8, 1);
        let wanted = Wanted {
            devices: BTreeSet::from([rustix::fs::makedev(0, 31)]),
            mounted: BTreeSet::from([mounted, rustix::fs::makedev(0, 31)]),
            folders: vec![b"/dev/shm".to_vec()],
        };
        for (line, expected) in [
            ("1000-2000 rw-s 00000000 00:01 7   /memfd:x (deleted)", true),
            ("1000-2000 rw-s 00000000 00:01 0   /SYSV00000000 (deleted)", true),
            ("1000-2000 rw-s 00000000 00:1f 7   /dev/shm/x", true),
            ("1000-2000 r--p 00000000 00:1f 7   /elsewhere/x (deleted)", true),
            ("1000-2000 rw-s 00000000 08:01 7   /memfd:x (deleted)", false),
            ("1000-2000 rw-s 00000000 08:01 7   /usr/lib/x", false),
        ] {
            let line = MapLine::of(line.as_bytes()).unwrap();
            assert_eq!(wanted.is_mapping(&line), expected, "{line:?}");
        }
        assert!(wanted.may_be(b"/dev/shm/x", false) && !wanted.may_be(b"/srv/x", false));
        assert!(wanted.may_be(b"/srv/x", true) && !wanted.may_be(b"pipe:[7]", true));
    }
}
