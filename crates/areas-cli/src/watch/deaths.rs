//! The end of processes, which the kernel reports at once.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Of so many processes at most the end is waited for; of others it is found out by looking.
const MAX: usize = 256;

/// Processes whose end is waited for.
#[derive(Debug, Default)]
pub(super) struct Deaths {
    handles: BTreeMap<u32, OwnedFd>,
    /// Those that were not there any more when their end was to be waited for.
    late: BTreeSet<u32>,
}

impl Deaths {
    /// Waits for the end of these from now on, and of no others. Whether one of them has ended
    /// since it was seen, so that one has to look again.
    pub(super) fn expect(&mut self, pids: impl IntoIterator<Item = u32>) -> bool {
        let mut before = std::mem::take(&mut self.handles);
        let mut late = BTreeSet::new();
        for pid in pids.into_iter().take(MAX) {
            match before.remove(&pid).map_or_else(|| open(pid), Ok) {
                Ok(handle) => _ = self.handles.insert(pid, handle),
                Err(Errno::SRCH) => _ = late.insert(pid),
                // Without a handle (a limit, a sandbox), looking does.
                Err(_) => {}
            }
        }
        // Once: who looks again and finds it again would never sleep.
        let ended = !late.is_subset(&self.late);
        self.late = late;
        ended
    }

    /// Waits until one of them ends, or for so long.
    pub(super) fn wait(&mut self, longest: Duration) {
        self.wait_or(None, longest);
    }

    /// The same, or until there is something to read.
    pub(super) fn wait_or(&mut self, other: Option<BorrowedFd<'_>>, longest: Duration) {
        let handles = self.handles.values().map(AsFd::as_fd).chain(other);
        let mut waits: Vec<PollFd<'_>> =
            handles.map(|handle| PollFd::from_borrowed_fd(handle, PollFlags::IN)).collect();
        let longest = Timespec::try_from(longest).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        // A signal that was not to end us is as good as the end of the time.
        let _ = poll(&mut waits, Some(&longest));
        let ended: Vec<bool> = waits.iter().map(|wait| !wait.revents().is_empty()).collect();
        drop(waits);
        let mut ended = ended.into_iter();
        // One that has ended would end each wait; its number may be another's by now.
        self.handles.retain(|_, _| !ended.next().unwrap_or(false));
    }
}

fn open(pid: u32) -> rustix::io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    pidfd_open(pid, PidfdFlags::empty())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn an_end_is_reported_at_once() {
        let mut child = std::process::Command::new("sleep").arg("0.1").spawn().unwrap();
        let mut deaths = Deaths::default();
        assert!(deaths.expect([child.id(), u32::MAX]));
        assert!(!deaths.expect([child.id(), u32::MAX]));
        assert_eq!(deaths.handles.len(), 1);
        let begun = Instant::now();
        deaths.wait(Duration::from_secs(60));
        assert!(begun.elapsed() < Duration::from_secs(50));
        assert!(deaths.handles.is_empty());
        child.wait().unwrap();
        assert!(deaths.expect([child.id()]));
    }
}
