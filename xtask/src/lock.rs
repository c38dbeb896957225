//! Locks on files that end with the process that has them.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::fs::{FlockOperation, flock};

/// Takes the lock on a file, which is kept as long as that is; waits for the process that has it.
pub(crate) fn take(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    flock(&file, FlockOperation::LockExclusive)
        .with_context(|| format!("cannot take the lock on {}", path.display()))?;
    Ok(file)
}

/// The same on an open file, or an error where another process has it.
pub(crate) fn try_take(file: &File) -> rustix::io::Result<()> {
    flock(file, FlockOperation::NonBlockingLockExclusive)
}
