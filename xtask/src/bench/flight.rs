//! `cargo xtask bench flight`: areas over Arrow Flight beside pyarrow.flight, and beside
//! `sendfile`, the most that a socket takes.
//!
//! The rows are in Python (`bench/flight/compare.py`), in an environment of their own that has
//! pyarrow; both programs are built here.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use super::folder;
use crate::python::{self, Environment, Missing};
use crate::{process, selection};

/// Compares `areas serve` and `areas fetch` with pyarrow.flight, each as server and as client, and
/// with `sendfile`.
///
/// Over the loopback device and, as root, between two network namespaces. Writes
/// target/bench/flight.json. docs/reach.md has the outcome.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Once, and small: whether all of it runs, not how fast
    #[arg(long)]
    smoke: bool,
    /// Bytes of an area [default: 1 GiB]
    #[arg(long, value_name = "BYTES")]
    size: Option<u64>,
    /// How often each row runs [default: 7]
    #[arg(long, value_name = "NUMBER")]
    rounds: Option<u32>,
}

impl Options {
    /// For a table that has other rows, too.
    pub(crate) fn measuring(size: u64, rounds: u32) -> Self {
        Self { smoke: false, size: Some(size), rounds: Some(rounds) }
    }
}

/// A whole run takes minutes.
const LIMIT: Duration = Duration::from_secs(3_600);
/// Each row once.
const SMOKE_LIMIT: Duration = Duration::from_secs(300);

/// The command.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut program = match prepared(options.smoke)? {
        Ok(program) => program,
        Err(Missing(why)) => bail!("{why}"),
    };
    for (option, value) in [("--size", options.size), ("--rounds", options.rounds.map(u64::from))] {
        if let Some(value) = value {
            program.arg(option).arg(value.to_string());
        }
    }
    let ran = process::tee(&mut program, Some(LIMIT))?;
    ensure!(!ran.timed_out, "compare.py was still running after {LIMIT:?}");
    ensure!(ran.status.success(), "compare.py failed ({})", ran.status);
    Ok(())
}

/// For `cargo xtask test`: every row once. How many that is, and the reasons for what was left out.
pub(super) fn smoke() -> Result<(u64, Vec<String>)> {
    let mut program = match prepared(true)? {
        Ok(program) => program,
        Err(Missing(why)) => return Ok((0, vec![format!("flight: {why}")])),
    };
    let ran = process::tee(&mut program, Some(SMOKE_LIMIT))?;
    ensure!(!ran.timed_out, "compare.py was still running after {SMOKE_LIMIT:?}");
    ensure!(ran.status.success(), "compare.py failed ({})", ran.status);
    let lines = || ran.output.lines();
    let rows = lines().find_map(|line| line.strip_prefix("rows: ")?.parse().ok());
    let skipped = lines()
        .filter_map(|line| line.strip_prefix("SKIPPED: "))
        .map(|why| format!("flight: {why}"))
        .collect();
    Ok((rows.context("compare.py does not say how many rows ran")?, skipped))
}

/// The program, in an environment with pyarrow, with our programs built; or why there can be none
/// here.
fn prepared(smoke: bool) -> Result<Result<Command, Missing>> {
    let Some(interpreter) = python::usable(python::interpreters()).into_iter().next() else {
        return Ok(Err(Missing("there is no Python 3.11 or newer here".into())));
    };
    let environment = match Environment::prepare("bench-flight", &interpreter, &["flight"])? {
        Ok(environment) => environment,
        Err(missing) => return Ok(Err(missing)),
    };
    // A short run says nothing of speed: it takes what the tests build anyhow.
    let (mut build, built) = match smoke {
        true => (selection::workspace(), "debug"),
        false => (selection::optimised("areas-flight"), "release"),
    };
    eprintln!("$ {}", process::shown(&build));
    let status = build.status().context("cannot run cargo")?;
    ensure!(status.success(), "{} failed ({status})", process::shown(&build));
    let mut program = Command::new(environment.program("python"));
    program.arg(process::workspace().join("bench/flight/compare.py"));
    program.arg("--areas").arg(process::target_folder().join(built).join("areas")).arg("--out").arg(folder());
    program.env("PYTHONDONTWRITEBYTECODE", "1");
    if smoke {
        program.arg("--smoke");
    }
    eprintln!("$ {}", process::shown(&program));
    Ok(Ok(program))
}
