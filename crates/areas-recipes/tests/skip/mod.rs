//! What cannot be tried here is said aloud, and in the log that `cargo xtask test` reads.

use std::io::Write as _;

/// Notes that a test could not run, and why.
pub(crate) fn skip(test: &str, why: &str) {
    let line = format!("SKIPPED: {test}: {why}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("AREAS_SKIP_LOG") {
        let mut log =
            std::fs::File::options().append(true).create(true).open(path).expect("the log can be opened");
        log.write_all(line.as_bytes()).expect("the log can be written");
    }
}
