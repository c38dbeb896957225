//! Areas of other machines: `serve`, `fetch`, `ls --at`. A program of its own does the work,
//! `areas-flight`, so that this command does not depend on gRPC and its runtime.

pub(crate) mod args;
pub(crate) mod fetch;
pub(crate) mod list;
pub(crate) mod serve;
mod worker;

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use areas::{Error, ErrorKind};

use crate::failure::io_error;
use args::Reaching;

/// The program: a file beside this one, or in a folder of PATH.
const PROGRAM: &str = "areas-flight";

/// That program, with one of its subcommands.
fn program(subcommand: &str) -> Command {
    let beside = std::env::current_exe().ok().and_then(|path| is_beside(&path));
    let mut command = Command::new(beside.as_deref().map_or(OsStr::new(PROGRAM), Path::as_os_str));
    command.arg(subcommand);
    command
}

fn is_beside(program: &Path) -> Option<PathBuf> {
    Some(program.with_file_name(PROGRAM)).filter(|path| path.is_file())
}

/// What was to be done could not be started.
fn not_started(what: &'static str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::Unsupported, what)
            .with_facts(format!("the program {PROGRAM} is neither beside this one nor in PATH"))
            .with_remedy(
                "in areas' sources: `cargo xtask install`, or `cargo install --path crates/areas-flight`",
            ),
        _ => io_error(format!("{what}: start {PROGRAM}"), error),
    }
}

/// Says to it what was said of the server.
fn pass_on(reaching: &Reaching, command: &mut Command) {
    if let Some(path) = &reaching.token_file {
        command.arg("--token-file").arg(path);
    }
    if let Some(path) = &reaching.tls_ca {
        command.arg("--tls-ca").arg(path);
    }
    for (option, time) in [("--timeout", reaching.timeout), ("--max-time", reaching.max_time)] {
        if let Some(time) = time {
            command.arg(option).arg(time.as_secs_f64().to_string());
        }
    }
    if let Some(rate) = reaching.min_rate {
        command.arg("--min-rate").arg(rate.0.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lacks_it_learns_how_to_get_it() {
        let error = not_started("serve areas", io::ErrorKind::NotFound.into());
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(PROGRAM), "{error}");
        assert!(error.remedy().is_some_and(|help| help.contains("cargo install")), "{error:#}");
    }
}
