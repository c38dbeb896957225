//! `areas serve`: the server takes this process's place.

use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use super::args::Serve;
use super::{not_started, program};
use crate::failure::Result;

pub(crate) fn run(serve: &Serve, quiet: bool) -> Result<ExitCode> {
    let mut command = program("serve");
    command.args(["--listen", &serve.listen]);
    let files =
        [("--token-file", &serve.token_file), ("--tls-cert", &serve.tls_cert), ("--tls-key", &serve.tls_key)];
    for (option, path) in files {
        if let Some(path) = path {
            command.arg(option).arg(path);
        }
    }
    if let Some(rate) = serve.min_rate {
        command.arg("--min-rate").arg(rate.0.to_string());
    }
    if let Some(timeout) = serve.timeout {
        command.arg("--timeout").arg(timeout.as_secs_f64().to_string());
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
