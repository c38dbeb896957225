//! The storm: processes that create, clone, resize, freeze, fork and die at random, killed and
//! stopped from outside, and invariants that are measured in the meantime and at the end. `cargo
//! xtask storm` runs it; docs/reliability/storm.md describes it.
//!
//! | file | what |
//! |---|---|
//! | `storm.rs` | a storm under way: what its parts know of it |
//! | `supervisor/` | begins workers, kills, stops, takes the folder away, watches for what hangs |
//! | `worker/` | what a process of the storm does |
//! | `op.rs` | the operations, and which errors each may meet |
//! | `board.rs` | what processes say of themselves, where a kill does not lose it |
//! | `pattern.rs` | what the bytes of an object must be |
//! | `finding.rs`, `report.rs` | what did not hold, and what was done |
//! | `ending.rs` | what may remain once all are dead: nearly nothing |
//! | `sabotage.rs` | breaking each rule on purpose |
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks through its standard streams"
)]

mod board;
mod ending;
mod finding;
mod fork;
mod op;
mod pattern;
mod proc;
mod quiet;
mod report;
mod sabotage;
mod storm;
mod supervisor;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Storms over the library `areas`.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask storm", bin_name = "cargo xtask storm", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    storm: storm::Options,
    #[command(subcommand)]
    other: Option<Other>,
}

#[derive(Debug, Subcommand)]
enum Other {
    /// A process of a storm
    #[command(hide = true)]
    Worker(Box<worker::Options>),
    /// The first process after a storm
    #[command(hide = true)]
    Next(ending::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.other {
        None => supervisor::main(&cli.storm),
        Some(Other::Worker(options)) => worker::main(*options).map(|()| true),
        Some(Other::Next(options)) => ending::next(&options).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("storm: {error:#}");
            ExitCode::FAILURE
        }
    }
}
