//! Whether memory is gone, reported by the kernel as it happens: inotify says `IN_DELETE_SELF` of
//! an object without a name when its last holder releases it, whoever that was: a descriptor, a
//! mapping, a packet in a socket's queue. To watch is not to hold.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use crate::stage::{Identity, is_object};

/// No process takes so long to die, even on a machine that is busy.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Memory objects that are watched, and not gone yet.
#[derive(Debug)]
pub(crate) struct Watch {
    inotify: Inotify,
    alive: BTreeMap<WatchDescriptor, (What, Identity)>,
}

/// What an object is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A team's table. Whoever looks at a team has it mapped.
    Table,
    Area,
}

impl Watch {
    pub(crate) fn new() -> Result<Self> {
        let inotify =
            Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).context("inotify_init1")?;
        Ok(Watch { inotify, alive: BTreeMap::new() })
    }

    /// Watches the objects that a process has, but for some. It may be stopped; it must not end in
    /// the meantime.
    pub(crate) fn add(&mut self, pid: u32, but: impl Fn(Identity) -> bool) -> Result<()> {
        // Where descriptors are, and, for who may see them, mappings whose descriptor is closed.
        for folder in ["fd", "map_files"] {
            for entry in fs::read_dir(format!("/proc/{pid}/{folder}")).into_iter().flatten().flatten() {
                self.add_one(&entry.path(), &but)?;
            }
        }
        Ok(())
    }

    fn add_one(&mut self, path: &Path, but: &impl Fn(Identity) -> bool) -> Result<()> {
        let Ok(target) = fs::read_link(path) else { return Ok(()) };
        let target = target.to_string_lossy();
        if !is_object(&target) {
            return Ok(());
        }
        let Ok(file) = fs::metadata(path) else { return Ok(()) };
        let identity = (file.dev(), file.ino());
        if but(identity) {
            return Ok(());
        }
        let what = match target.contains("areas table") {
            true => What::Table,
            false => What::Area,
        };
        match self.inotify.add_watch(path, AddWatchFlags::IN_DELETE_SELF) {
            Ok(watch) => drop(self.alive.insert(watch, (what, identity))),
            Err(Errno::ENOENT | Errno::EACCES | Errno::EPERM) => {}
            Err(errno) => return Err(errno).context("inotify_add_watch"),
        }
        Ok(())
    }

    /// The areas' objects that a process still has.
    pub(crate) fn areas(&self) -> impl Iterator<Item = Identity> {
        self.alive.values().filter(|(what, _)| *what == What::Area).map(|(_, identity)| *identity)
    }

    fn hear(&mut self) -> Result<()> {
        match self.inotify.read_events() {
            Ok(events) => {
                for event in events {
                    if event.mask.intersects(AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_IGNORED) {
                        self.alive.remove(&event.wd);
                    }
                }
            }
            Err(Errno::EAGAIN) => {}
            Err(errno) => return Err(errno).context("read inotify"),
        }
        Ok(())
    }

    /// Waits until all are gone.
    pub(crate) fn wait_for_all(&mut self) -> Result<()> {
        self.wait(|watch| watch.alive.is_empty())
    }

    /// Waits until no more than so many of the areas are left, and no fewer are.
    pub(crate) fn wait_for_areas(&mut self, left: usize) -> Result<()> {
        self.wait(|watch| watch.areas().count() <= left)?;
        ensure!(self.areas().count() == left, "{} areas are held instead of {left}", self.areas().count());
        Ok(())
    }

    fn wait(&mut self, until: impl Fn(&Self) -> bool) -> Result<()> {
        let end = Instant::now() + TIMEOUT;
        loop {
            self.hear()?;
            if until(self) {
                return Ok(());
            }
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                bail!(
                    "{} objects of the dead are still held: {:?}",
                    self.alive.len(),
                    self.alive.values().collect::<Vec<_>>()
                );
            }
            let step = u16::try_from(rest.as_millis().max(1)).unwrap_or(u16::MAX);
            let _ = poll(&mut [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)], step);
        }
    }
}
