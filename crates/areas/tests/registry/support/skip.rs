//! What cannot be checked here is said aloud.

use std::process::{Command, Stdio};

pub(crate) use areas_testing::skipped as skip;

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
