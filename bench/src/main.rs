//! Areas beside their peers: the same work by both, in one process, in turn, and the outcome as
//! ratios.
//!
//! `cargo xtask bench` builds this and what it is compared with, and runs it; docs/benchmarks.md
//! says how to read the report.
//!
//! | file | what |
//! |---|---|
//! | `rows/` | what is compared, one file a subject |
//! | `measure.rs`, `statistics.rs` | two sides in turn, and the numbers that come of it |
//! | `peers.rs`, `../peers/` | the peers in C and C++, as libraries that are loaded if they are there |
//! | `agent.rs`, `agent/` | processes that hold, look, and run others, at a word |
//! | `count.rs` | system calls, by a tracer: they do not depend on what else runs |
//! | `crowd.rs`, `jobs.rs` | what agents do together: many areas at once, whole jobs |
//! | `hot_paths.rs` | what runs under callgrind |
//! | `report/` | the outcome in words, numbers and pictures |

mod agent;
mod bench;
mod count;
mod crowd;
mod hot_paths;
mod jobs;
mod machine;
mod measure;
mod outcome;
mod peers;
mod report;
mod rows;
mod statistics;

use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "areas-bench")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run rows and write the report
    Run(Options),
    /// The rows, one a line
    List,
    /// Does as it is asked, line by line
    #[command(hide = true)]
    Agent,
    /// Each hot path a few times: for callgrind
    #[command(hide = true)]
    HotPaths {
        /// Their names, in order
        #[arg(long)]
        list: bool,
    },
}

/// How to run.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Folder of the compiled peers
    #[arg(long)]
    peers: PathBuf,
    /// The `areas` command
    #[arg(long)]
    command: PathBuf,
    /// Folder for the report
    #[arg(long)]
    out: PathBuf,
    /// Tiny numbers: whether it runs, not how fast
    #[arg(long)]
    smoke: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Only these rows
    rows: Vec<String>,
}

/// Set in the process that does the work: its registry is its own.
const INSIDE: &str = "AREAS_BENCH_INSIDE";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Task::List => {
            for row in rows::ROWS {
                println!("{:<12} {}", row.name, row.what);
            }
            Ok(ExitCode::SUCCESS)
        }
        Task::Agent => agent::serve().map(|()| ExitCode::SUCCESS),
        Task::HotPaths { list: true } => {
            hot_paths::list();
            Ok(ExitCode::SUCCESS)
        }
        Task::HotPaths { .. } if std::env::var_os(INSIDE).is_some() => {
            hot_paths::run().map(|()| ExitCode::SUCCESS)
        }
        Task::Run(options) if std::env::var_os(INSIDE).is_some() => run(options),
        Task::Run(_) | Task::HotPaths { .. } => inside(),
    };
    done.unwrap_or_else(|error| {
        eprintln!("areas-bench: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(options: &Options) -> Result<ExitCode> {
    let mut bench = bench::Bench::new(options)?;
    for name in &options.rows {
        ensure!(
            rows::ROWS.iter().any(|row| row.name == name),
            "there is no row {name}; there are: {}",
            rows::ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
        );
    }
    let wanted = |name: &str| options.rows.is_empty() || options.rows.iter().any(|row| row == name);
    for row in rows::ROWS.iter().filter(|row| wanted(row.name)) {
        bench.begin(row.name, row.what);
        (row.run)(&mut bench).with_context(|| format!("row {}", row.name))?;
    }
    let report = bench.finish();
    report::write(&report, &options.out)?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", report::in_short(&report));
    }
    eprintln!("written: {}", options.out.join("report.md").display());
    Ok(ExitCode::SUCCESS)
}

/// Runs this again with a registry of its own, so that neither finds the other's areas, and removes
/// that afterwards.
fn inside() -> Result<ExitCode> {
    let shm = std::path::Path::new("/dev/shm");
    let base = if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
    let folder = base.join(format!("areas-bench-{}", std::process::id()));
    std::fs::DirBuilder::new().mode(0o700).create(&folder).with_context(|| folder.display().to_string())?;
    let status = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, &folder)
        .env("AREAS_DIR", folder.join("registry"))
        .status();
    // Whatever it was that went wrong: no process uses the folder any more.
    let _ = std::fs::remove_dir_all(&folder);
    let status = status.context("cannot run this program again")?;
    if let Some(signal) = status.signal() {
        eprintln!("areas-bench: ended by signal {signal}");
    }
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
