//! `areas serve`: the server takes this process's place.

use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use super::args::Serve;
use super::{not_started, program};
use crate::failure::Result;

pub(crate) fn run(serve: &Serve, quiet: bool) -> Result<ExitCode> {
    let mut command = program("serve");
    command.args(["--listen", &serve.listen]);
    if let Some(path) = &serve.token_file {
        command.arg("--token-file").arg(path);
    }
    for (said, option) in [(serve.all, "--all"), (serve.json, "--json"), (quiet, "--quiet")] {
        if said {
            command.arg(option);
        }
    }
    command.arg("--").args(&serve.names);
    // It comes back only if it fails.
    Err(not_started("serve areas", command.exec()).into())
}
