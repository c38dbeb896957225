//! `cargo xtask bench`: builds `bench/` and everything that areas are compared with, runs all of it
//! in one go, and writes a report: ratios, not times. docs/benchmarks.md says how to read it.
//!
//! | file | what |
//! |---|---|
//! | `peers.rs` | compiles the peers in C and C++, installs what they need |
//! | `instructions.rs` | instructions of the hot paths, against those written down |
//! | `docs.rs` | the report of a real run, into docs/benchmarks.md |
//! | `flight.rs` | Arrow Flight: areas and pyarrow as server and as client |
//! | `python.rs` | the Python package and its peers: rows in Python, in an environment of their own |

mod docs;
pub(crate) mod flight;
mod instructions;
mod peers;
mod python;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};

use crate::{process, selection};

/// Compares areas with other ways to the same, side by side, and writes target/bench/report.md,
/// report.json and pictures.
///
/// Run it on a machine that has nothing else to do.
#[derive(Args, Clone, Debug, Default)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    other: Option<Other>,
    /// Tiny numbers, in seconds: whether all of it runs, not how fast
    #[arg(long)]
    smoke: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// The rows there are
    #[arg(long)]
    list: bool,
    /// Put the report into docs/benchmarks.md, too: to be committed
    #[arg(long, conflicts_with_all = ["smoke", "rows"])]
    docs: bool,
    /// Count instructions of the hot paths instead, under callgrind, and compare them with
    /// bench/instructions.txt
    #[arg(long)]
    instructions: bool,
    /// With --instructions: write the counts down
    #[arg(long, requires = "instructions")]
    update: bool,
    /// Only these rows
    #[arg(value_name = "NAME")]
    rows: Vec<String>,
}

/// Benchmarks with rows of their own.
#[derive(Clone, Debug, Subcommand)]
enum Other {
    Python(python::Options),
    Flight(flight::Options),
}

/// A whole run takes ten minutes on two cores; one that takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(3_600);

/// The command.
pub(crate) fn main(options: &Options) -> ExitCode {
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    match &options.other {
        Some(Other::Python(options)) => return python::run(options),
        Some(Other::Flight(options)) => return flight::run(options),
        None => {}
    }
    if options.instructions {
        let program = build(true)?;
        return instructions::run(&program, options.update).map(|said| println!("{said}"));
    }
    let program = build(options.smoke || options.list)?;
    if options.list {
        let status = Command::new(&program).arg("list").status()?;
        ensure!(status.success(), "areas-bench list failed ({status})");
        return Ok(());
    }
    let mut command = prepared(&program, options.smoke)?;
    if options.json {
        command.arg("--json");
    }
    command.args(&options.rows);
    eprintln!("$ {}", process::shown(&command));
    let status = command.status().with_context(|| format!("cannot run {}", program.display()))?;
    ensure!(status.success(), "areas-bench failed ({status})");
    if options.docs {
        docs::keep(&folder())?;
    }
    Ok(())
}

/// For `cargo xtask test`: every row once, Python's too, and the instructions. How many checks that
/// is, and the reasons for what was left out.
pub(crate) fn smoke() -> Result<(u64, Vec<String>)> {
    let program = build(true)?;
    let list = Command::new(&program).arg("list").output()?;
    // The rows, and the instructions.
    let checks = String::from_utf8_lossy(&list.stdout).lines().count() as u64 + 1;
    let ran = process::tee(&mut prepared(&program, true)?, Some(LIMIT))?;
    ensure!(!ran.timed_out, "areas-bench was still running after {LIMIT:?}");
    ensure!(ran.status.success(), "areas-bench failed ({})", ran.status);
    let mut skipped: Vec<String> =
        ran.output.lines().filter_map(|line| line.strip_prefix("SKIPPED: ")).map(str::to_owned).collect();
    match process::which("valgrind") {
        Some(_) => println!("{}", instructions::run(&program, false)?),
        None => skipped.push("instructions: valgrind is not here".to_owned()),
    }
    let mut rows = 0;
    for (ran, left_out) in [python::smoke()?, flight::smoke()?] {
        rows += ran;
        skipped.extend(left_out);
    }
    Ok((checks + rows, skipped))
}

/// Where reports and compiled peers are.
fn folder() -> PathBuf {
    process::target_folder().join("bench")
}

/// The program, with peers and the `areas` command at its hand.
fn prepared(program: &Path, smoke: bool) -> Result<Command> {
    let folder = folder();
    let peers = folder.join("peers");
    fs::create_dir_all(&peers).with_context(|| format!("cannot make {}", peers.display()))?;
    // A short run takes what is there: it is to be short.
    peers::compile(&peers, !smoke)?;
    built_for_peers()?;
    let mut command = Command::new(program);
    command
        .arg("run")
        .arg("--peers")
        .arg(peers)
        .arg("--command")
        .arg(process::target_folder().join("release/areas"))
        .arg("--out")
        .arg(&folder)
        .env("AREAS_BENCH_C", process::target_folder().join("release/libareas.so"))
        .env("AREAS_BENCH_COMPILERS", compilers());
    if smoke {
        command.arg("--smoke");
    }
    Ok(command)
}

/// Builds what is measured beside the peers: the command, and the library for C.
fn built_for_peers() -> Result<()> {
    let mut command = selection::optimised("areas-capi");
    command.arg("--quiet");
    // It says nothing itself, for as long as it takes.
    eprintln!("$ {}", process::shown(&command));
    let status = command.status().context("cannot run cargo")?;
    ensure!(status.success(), "{} failed ({status})", process::shown(&command));
    Ok(())
}

/// What compiled both sides.
fn compilers() -> String {
    let first_line = |program: &str| {
        let output = Command::new(program).arg("--version").output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned())
    };
    ["rustc", "cc"].into_iter().filter_map(first_line).collect::<Vec<_>>().join("; ")
}

/// Builds `bench/`; without the peer that takes longest, if it is to be quick.
fn build(quick: bool) -> Result<PathBuf> {
    let mut args = vec!["build", "--release", "--locked"];
    if quick {
        args.push("--no-default-features");
    }
    let mut command = process::cargo(args);
    command.current_dir(process::workspace().join("bench")).env("CARGO_TARGET_DIR", process::target_folder());
    eprintln!("$ {}", process::shown(&command));
    let status = command.status().context("cannot run cargo")?;
    ensure!(status.success(), "bench/ does not build ({status})");
    Ok(process::target_folder().join("release/areas-bench"))
}
