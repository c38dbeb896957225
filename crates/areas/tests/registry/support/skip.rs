//! What cannot be checked here is said aloud: on stderr, and in the file that AREAS_SKIP_LOG names.

use std::io::Write;
use std::process::{Command, Stdio};

/// Says that a test, or part of one, could not run.
pub(crate) fn skip(test: &str, why: &str) {
    let line = format!("SKIPPED: {test}: {why}\n");
    // Past the harness, which would keep it to itself where the test passes.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os("AREAS_SKIP_LOG") {
        let log = std::fs::File::options().append(true).create(true).open(path);
        log.and_then(|mut log| log.write_all(line.as_bytes())).expect("AREAS_SKIP_LOG can be written");
    }
}

/// Whether we may become other users; where not, that is said.
pub(crate) fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip(test, "needs root, to become two different users");
    }
    root
}

/// Whether a command works here (`unshare`, `mount`); where not, that is said.
pub(crate) fn can_run(test: &str, command: &[&str]) -> bool {
    let status = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let works = status.is_ok_and(|status| status.success());
    if !works {
        skip(test, &format!("`{}` does not work here", command.join(" ")));
    }
    works
}
