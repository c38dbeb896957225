//! What cannot be checked on this machine is said aloud, and counted by `cargo xtask test`.

use std::env;
use std::fs::File;
use std::io::{self, Write as _};

/// Says that a test, or a part of one, could not run, and why: on stderr, and in the file that
/// `AREAS_SKIP_LOG` names.
#[track_caller]
pub fn skipped(test: &str, why: &str) {
    noted(test, why).expect("AREAS_SKIP_LOG can be written");
}

/// The same, where the file may be out of reach: of a process that has another user's rights.
pub fn noted(test: &str, why: &str) -> io::Result<()> {
    let line = format!("SKIPPED: {test}: {why}\n");
    // Past the harness, which would keep it to itself where the test passes. There is no one to
    // report it to where that fails.
    let _ = io::stderr().write_all(line.as_bytes());
    match env::var_os("AREAS_SKIP_LOG") {
        Some(path) => File::options().append(true).create(true).open(path)?.write_all(line.as_bytes()),
        None => Ok(()),
    }
}
