//! `cargo xtask bench python`: the Python package beside other ways to share arrays between Python
//! processes.
//!
//! The rows are in Python (`bench/python`), and run in an environment of their own, in which the
//! package is as its users get it: a wheel.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use super::{docs, folder};
use crate::process;
use crate::python::{self, Builder, Environment, Missing};

/// Compares the Python package with its peers, and writes target/bench/python.md and python.json.
///
/// The peers are multiprocessing.shared_memory, `posix_ipc`, joblib's memmaps, mpi4py's shared
/// windows and pickling. Run it on a machine that has nothing else to do.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Tiny numbers, in seconds: whether all of it runs, not how fast
    #[arg(long)]
    smoke: bool,
    /// The rows there are
    #[arg(long)]
    list: bool,
    /// Put the report into docs/benchmarks.md, too: to be committed
    #[arg(long, conflicts_with_all = ["smoke", "rows"])]
    docs: bool,
    /// Only these rows
    #[arg(value_name = "NAME")]
    rows: Vec<String>,
}

/// A whole run takes some minutes on two cores; one that takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(3_600);
/// Each row once.
const SMOKE_LIMIT: Duration = Duration::from_secs(300);

/// The command.
pub(super) fn run(options: &Options) -> Result<()> {
    let mut program = match prepared()? {
        Ok(program) => program,
        Err(Missing(why)) => bail!("{why}"),
    };
    program.args(&options.rows);
    for (flag, given) in [("--smoke", options.smoke), ("--list", options.list)] {
        if given {
            program.arg(flag);
        }
    }
    eprintln!("$ {}", process::shown(&program));
    let ran = process::tee(&mut program, Some(LIMIT))?;
    ensure!(!ran.timed_out, "areas_bench was still running after {LIMIT:?}");
    ensure!(ran.status.success(), "areas_bench failed ({})", ran.status);
    if options.docs {
        docs::keep_python(&folder())?;
    }
    Ok(())
}

/// For `cargo xtask test`: every row once. How many that is, and the reasons for what was left out.
pub(super) fn smoke() -> Result<(u64, Vec<String>)> {
    let mut program = match prepared()? {
        Ok(program) => program,
        Err(Missing(why)) => return Ok((0, vec![format!("python: {why}")])),
    };
    eprintln!("$ {} --smoke", process::shown(&program));
    let ran = process::tee(program.arg("--smoke"), Some(SMOKE_LIMIT))?;
    ensure!(!ran.timed_out, "areas_bench was still running after {SMOKE_LIMIT:?}");
    ensure!(ran.status.success(), "areas_bench failed ({})", ran.status);
    let lines = || ran.output.lines();
    let rows = lines().find_map(|line| line.strip_prefix("rows: ")?.parse().ok());
    let skipped = lines().filter_map(|line| line.strip_prefix("SKIPPED: ")).map(str::to_owned).collect();
    Ok((rows.context("areas_bench does not say how many rows ran")?, skipped))
}

/// The program, in an environment with the package and its peers; or why there can be none here.
fn prepared() -> Result<Result<Command, Missing>> {
    let Some(interpreter) = python::usable(python::interpreters()).into_iter().next() else {
        return Ok(Err(Missing("there is no Python 3.11 or newer here".into())));
    };
    let builder = match Builder::new(&interpreter)? {
        Ok(builder) => builder,
        Err(missing) => return Ok(Err(missing)),
    };
    let environment = match Environment::prepare("bench", &interpreter, &["bench"])? {
        Ok(environment) => environment,
        Err(missing) => return Ok(Err(missing)),
    };
    environment.install(&builder.wheel(&process::target_folder().join("python/wheels"), &[])?)?;
    let mut program = Command::new(environment.program("python"));
    program.args(["-m", "areas_bench", "--out"]).arg(folder());
    program.env("PYTHONPATH", sources()).env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(Ok(program))
}

/// Where the rows are.
fn sources() -> PathBuf {
    process::workspace().join("bench/python")
}
