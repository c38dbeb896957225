//! Looking at a program while it runs: as seldom as shows enough.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use super::numa_maps::Usage;
use crate::kilobytes::in_bytes;

/// The first look comes so long after the start; each other one after twice the time, up to a
/// second.
const FIRST: Duration = Duration::from_millis(10);
const SELDOMEST: Duration = Duration::from_secs(1);
/// Looking takes a fiftieth of a processor at most: what it takes is mostly the kernel's walk
/// through the program's page tables, which may have to wait for it. The first looks come sooner,
/// so that something is seen where one takes long.
const SHARE: u32 = 50;
const FIRST_SHARE: u32 = 5;
/// Processes that are looked at.
const MAX: usize = 1024;

/// What was seen at the last look.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) at: Instant,
    pub(super) usage: Usage,
    /// Processes that were looked at, and those that could not be.
    pub(super) processes: usize,
    pub(super) unreadable: usize,
    /// Bytes in transparent huge pages, where that was asked.
    pub(super) transparent: Option<u64>,
}

/// A program that is looked at.
#[derive(Debug)]
pub(super) struct Looking {
    pid: u32,
    transparent: bool,
    pub(super) started: Instant,
    next: Instant,
    pause: Duration,
    pub(super) looks: u32,
    pub(super) last: Option<Seen>,
    /// The most that was seen in RAM at once.
    pub(super) most: u64,
}

impl Looking {
    pub(super) fn at(pid: u32, transparent: bool) -> Self {
        let started = Instant::now();
        Looking {
            pid,
            transparent,
            started,
            next: started + FIRST,
            pause: FIRST,
            looks: 0,
            last: None,
            most: 0,
        }
    }

    /// How long until the next look.
    pub(super) fn until_next(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// Looks. What has ended since has no memory, and the look before stays the last one.
    pub(super) fn look(&mut self) {
        let begin = processor_time();
        let mut seen = Seen {
            at: Instant::now(),
            usage: Usage::default(),
            processes: 0,
            unreadable: 0,
            transparent: None,
        };
        for pid in with_descendants(self.pid) {
            match fs::read(format!("/proc/{pid}/numa_maps")) {
                // A process that has ended, and no process has waited for.
                Ok(text) if text.is_empty() => {}
                Ok(text) => {
                    seen.usage.add(&text);
                    seen.processes += 1;
                    if self.transparent {
                        let bytes = transparent(pid).unwrap_or(0);
                        seen.transparent = Some(seen.transparent.unwrap_or(0) + bytes);
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => seen.unreadable += 1,
                Err(_) => {}
            }
        }
        self.most = self.most.max(seen.usage.total());
        if seen.processes > 0 || (seen.unreadable > 0 && self.last.is_none()) {
            self.looks += 1;
            self.last = Some(seen);
        }
        self.pause = (self.pause * 2).min(SELDOMEST);
        let share = self.looks.saturating_mul(FIRST_SHARE).clamp(FIRST_SHARE, SHARE);
        self.next = Instant::now() + self.pause.max(processor_time().saturating_sub(begin) * share);
    }
}

/// What this thread has used. (By the clock, a look takes long on a machine that others want, too.)
fn processor_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(used).unwrap_or_default()
}

/// A process and all that it has started, as far as their parents are there.
fn with_descendants(pid: u32) -> Vec<u32> {
    let (mut found, mut known) = (vec![pid], BTreeSet::from([pid]));
    let mut at = 0;
    while at < found.len() && found.len() < MAX {
        for child in children(found[at]) {
            if known.insert(child) {
                found.push(child);
            }
        }
        at += 1;
    }
    found
}

/// The children of all its threads.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let of_thread = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).ok();
    let texts: Vec<String> = threads.flatten().filter_map(of_thread).collect();
    texts.iter().flat_map(|text| text.split_whitespace()).filter_map(|pid| pid.parse().ok()).collect()
}

/// Bytes of anonymous memory in transparent huge pages.
fn transparent(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    in_bytes(&text, "AnonHugePages:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_starts_is_looked_at_too() {
        let mut child = std::process::Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut looking = Looking::at(child.id(), true);
        while looking.last.as_ref().is_none_or(|seen| seen.processes < 2) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
            looking.look();
        }
        let seen = looking.last.clone().unwrap();
        let descendants = with_descendants(child.id());
        for pid in descendants.iter().rev() {
            let pid = rustix::process::Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        child.wait().unwrap();
        assert_eq!((seen.processes, descendants.len()), (2, 2));
        assert!(seen.usage.total() > 0 && looking.most >= seen.usage.total());
        // It is not there any more: what was seen stays.
        let looks = looking.looks;
        looking.look();
        assert_eq!((looking.looks, looking.last.unwrap().at), (looks, seen.at));
    }
}
