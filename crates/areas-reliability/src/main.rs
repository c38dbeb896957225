//! What is left when a holder dies, and what is reported when the kernel refuses: tried at every
//! system call.
//!
//! `areas-reliability kill` runs each operation of the library in a process of its own under
//! ptrace, counts its system calls, and then runs it again for each of them, killed as it enters
//! the call and as it comes back. `inject` does the same with calls that fail. After each run
//! others look: a bystander that holds areas of its own, and a newcomer.
//!
//! | file | what |
//! |---|---|
//! | `operation/` | what is tried, and how to see whether it went right |
//! | `victim.rs` | the process in which an operation runs; `held.rs`: what it holds |
//! | `bystander.rs` | the processes that look: one that was there all the while, one that has just come |
//! | `trace.rs`, `call.rs` | stopping a process at its system calls; their names |
//! | `contents.rs` | the areas of a trial: names, sizes, bytes |
//! | `kill/`, `inject/` | two trials of what fails |
//! | `between/` | the trial of what others change between two calls |
//! | `scale/` | what looking costs as there are more areas and teams |
//! | `watch.rs` | when the kernel has memory back |
//! | `stage.rs` | a registry of a trial's own, and what may be in it |
//! | `report.rs` | the outcome, for people |
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that speaks through its standard streams"
)]

mod between;
mod bystander;
mod call;
mod contents;
mod held;
mod inject;
mod kill;
mod operation;
mod report;
mod scale;
mod stage;
mod trace;
mod victim;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use operation::Operation;

#[derive(Debug, Parser)]
#[command(about = "Kills and fails operations of the library at every system call")]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Kills each operation at each of its system calls
    Kill(Options),
    /// Has each system call of each operation fail
    Inject(Options),
    /// Counts and times what looking costs, from one area to a hundred thousand, from one team to a
    /// thousand
    Scale(scale::Options),
    /// Has a hostile peer change what each operation that looks is looking at, before each of its
    /// system calls
    Between {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        changes: between::Changes,
    },
    /// Puts the reports of single operations together, which lie in FOLDER/OPERATION (`between
    /// --operation OPERATION --report FOLDER/OPERATION`)
    BetweenTogether { folder: PathBuf },
    /// Names the operations
    Operations,
    /// Names the operations that look
    BetweenOperations,
    #[command(hide = true)]
    BetweenLooker { operation: String, database: PathBuf },
    #[command(hide = true)]
    BetweenPeer { what: String },
    #[command(hide = true)]
    BetweenSilent { folder: PathBuf },
    #[command(hide = true)]
    BetweenIdle,
    #[command(hide = true)]
    Victim {
        operation: String,
        #[arg(long)]
        inspect: bool,
    },
    #[command(hide = true)]
    Holder { prefix: String, count: usize },
    #[command(hide = true)]
    Looker {
        #[command(flatten)]
        size: scale::Size,
        #[arg(long)]
        traced: bool,
    },
    #[command(hide = true)]
    Bystander,
    #[command(hide = true)]
    Newcomer { expected: Vec<String> },
}

/// What is tried, and where it is written down.
#[derive(clap::Args, Clone, Debug)]
struct Options {
    /// This operation only
    #[arg(long)]
    operation: Option<String>,
    /// Every n-th point only
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    /// The first of them; without this another one each day
    #[arg(long)]
    offset: Option<u32>,
    /// Writes the results there, as Markdown and JSON
    #[arg(long, value_name = "FOLDER")]
    report: Option<PathBuf>,
}

impl Options {
    fn operations(&self) -> Result<Vec<&'static Operation>> {
        match &self.operation {
            Some(name) => Ok(vec![operation::named(name)?]),
            None => Ok(operation::ALL.iter().collect()),
        }
    }

    /// Whether a point is one of those that are tried.
    fn tries(&self, point: usize) -> bool {
        let day = || {
            let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
            u32::try_from(since.as_secs() / 86_400 % 1_000).unwrap_or(0)
        };
        let offset = self.offset.unwrap_or_else(day) % self.every;
        point % self.every as usize == offset as usize
    }
}

fn say(line: &str) {
    println!("{line}");
}

fn main() -> ExitCode {
    match run(&Cli::parse().role) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("areas-reliability: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(role: &Role) -> Result<bool> {
    match role {
        Role::Kill(options) => kill::main(options),
        Role::Inject(options) => inject::main(options),
        Role::Scale(options) => scale::main(options),
        Role::Holder { prefix, count } => scale::hold(prefix, *count).context("holder"),
        Role::Looker { size, traced } => scale::look(*size, *traced).context("looker"),
        Role::Between { options, changes } => between::main(options, changes),
        Role::BetweenTogether { folder } => between::together(folder),
        Role::BetweenOperations => {
            between::operations();
            Ok(true)
        }
        Role::BetweenLooker { operation, database } => between::look(operation, database),
        Role::BetweenPeer { what } => between::be_peer(what),
        Role::BetweenSilent { folder } => between::be_silent(folder),
        Role::BetweenIdle => Ok(between::idle()),
        Role::Operations => {
            operation::ALL.iter().for_each(|operation| println!("{}", operation.name));
            Ok(true)
        }
        Role::Victim { operation, inspect } => victim::main(operation::named(operation)?, *inspect),
        Role::Bystander => bystander::serve().context("bystander"),
        Role::Newcomer { expected } => bystander::come(expected).context("newcomer"),
    }
}
