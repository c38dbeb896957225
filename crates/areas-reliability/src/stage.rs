//! A registry of a trial's own, and what may be in it afterwards.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use areas_testing::{descriptors, maps, processes};
use tempfile::TempDir;

/// Device and inode of a memory object.
pub(crate) type Identity = (u64, u64);

/// A folder that goes with the value; `registry` in it is what `AREAS_DIR` says.
#[derive(Debug)]
pub(crate) struct Stage(TempDir);

impl Stage {
    pub(crate) fn new() -> Result<Self> {
        // Where a registry usually is: in memory.
        let shm = Path::new("/dev/shm");
        let folder = match shm.is_dir() {
            true => tempfile::Builder::new().prefix("areas-reliability-").tempdir_in(shm),
            false => tempfile::Builder::new().prefix("areas-reliability-").tempdir(),
        };
        folder.map(Stage).context("a folder for the trial")
    }

    pub(crate) fn registry(&self) -> PathBuf {
        self.0.path().join("registry")
    }

    /// This very program in another role, in this registry.
    pub(crate) fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe().context("our own path")?);
        command.args(args).env("AREAS_DIR", self.registry());
        Ok(command)
    }

    /// The folders of pid namespaces.
    pub(crate) fn spaces(&self) -> Vec<String> {
        names(&self.registry())
    }

    /// The processes that have a link.
    pub(crate) fn linked(&self) -> Vec<u32> {
        let teams = self.spaces().into_iter().map(|space| self.registry().join(space).join("teams"));
        let targets = teams.flat_map(|teams| {
            names(&teams).into_iter().filter_map(move |name| fs::read_link(teams.join(name)).ok())
        });
        targets.filter_map(|target| target.to_str()?.split('/').nth(2)?.parse().ok()).collect()
    }

    /// What lies about that is neither a team's link nor the control file: nothing.
    pub(crate) fn litter(&self) -> Vec<String> {
        self.spaces()
            .into_iter()
            .flat_map(|space| names(&self.registry().join(space)))
            .filter(|name| name != "teams" && name != "control")
            .collect()
    }

    /// Empties it, for the next run.
    pub(crate) fn clear(&self) {
        let _ = fs::remove_dir_all(self.registry());
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Whether what `/proc` shows so is a memory object.
pub(crate) fn is_object(shown: &str) -> bool {
    shown.starts_with("/memfd:")
}

/// The memory objects that a process has open or mapped, as the kernel shows them.
pub(crate) fn objects_of(pid: u32) -> BTreeSet<Identity> {
    let mut found = BTreeSet::new();
    for descriptor in descriptors::of(pid).unwrap_or_default() {
        if is_object(&descriptor.target)
            && let Ok(file) = fs::metadata(&descriptor.path)
        {
            found.insert((file.dev(), file.ino()));
        }
    }
    let mapped = maps::of(pid).unwrap_or_default();
    found.extend(mapped.iter().filter(|vma| is_object(&vma.path)).map(|vma| (vma.device, vma.inode)));
    found
}

/// The processes that still have one of some objects: of the whole machine.
pub(crate) fn holders_of(objects: &BTreeSet<Identity>) -> Vec<u32> {
    processes().into_iter().filter(|&pid| !objects_of(pid).is_disjoint(objects)).collect()
}
