//! What the tests of areas, providers and errors share: processes of their own, what the kernel
//! says of a mapping, and saying aloud that something could not be checked.

pub(crate) mod child;
pub(crate) mod folder;
pub(crate) mod held;
pub(crate) mod kernel;
pub(crate) mod pool;

use std::fs::File;
use std::io::Write;

/// Whether this is root, who may what others may not.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says that a check could not be made here: on stderr, and in the log that `cargo xtask test`
/// reads.
pub(crate) fn skip(test: &str, why: &str) {
    let line = format!("SKIPPED: {test}: {why}\n");
    // There is no one to report it to where even that fails.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("AREAS_SKIP_LOG")
        && let Ok(mut log) = File::options().append(true).create(true).open(path)
    {
        let _ = log.write_all(line.as_bytes());
    }
}
