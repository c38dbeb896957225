//! Folders and locks: the cache's mutex, and a folder for each run. Locks on files end with the
//! process that has them, however it ends.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{FlockOperation, flock};

/// Takes the lock on a file, which is kept as long as that is; waits for the process that has it.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    flock(&file, FlockOperation::LockExclusive)
        .with_context(|| format!("cannot take the lock on {}", path.display()))?;
    Ok(file)
}

/// The same on an open file, or an error where another process has it.
fn try_take(file: &File) -> rustix::io::Result<()> {
    flock(file, FlockOperation::NonBlockingLockExclusive)
}

/// A folder for one run, gone with this value unless it is to be kept.
///
/// # Invariants
/// The record lock on its file `running` is held: a folder without one belongs to a process that
/// was killed.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    keep: bool,
    _running: File,
}

impl RunFolder {
    /// A new folder, after removing what killed processes left. The caller holds the cache's mutex.
    pub(crate) fn create(cache: &Path, keep: bool) -> Result<Self> {
        let runs = cache.join("runs");
        fs::create_dir_all(&runs)?;
        for old in fs::read_dir(&runs)? {
            let old = old?.path();
            let abandoned = match File::open(old.join("running")) {
                Ok(running) => try_take(&running).is_ok(),
                Err(_) => !old.join("kept").exists(),
            };
            if abandoned {
                fs::remove_dir_all(&old).with_context(|| format!("cannot remove {}", old.display()))?;
            }
        }
        let mut number = 1;
        let path = loop {
            let path = runs.join(number.to_string());
            match fs::create_dir(&path) {
                Ok(()) => break path,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error).with_context(|| format!("cannot create {}", path.display())),
            }
        };
        let running = File::create(path.join("running"))?;
        try_take(&running).with_context(|| format!("cannot take the record lock in {}", path.display()))?;
        Ok(Self { path, keep, _running: running })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if self.keep {
            eprintln!("vm: kept {}", self.path.display());
            let _ = fs::rename(self.path.join("running"), self.path.join("kept"));
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
