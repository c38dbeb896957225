//! The project's own tools: `cargo xtask test` checks everything, `cargo xtask reliability` kills and fails at every
//! system call, `cargo xtask storm` lets many processes do everything at once and die, `cargo xtask vm` runs a program on
//! a machine with several NUMA nodes. They are Rust like the rest, so that a clone needs nothing but cargo.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks through its standard streams"
)]

mod fuzz;
mod process;
mod reliability;
mod soundness;
mod storm;
mod test;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own tools.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Reliability(reliability::Options),
    Fuzz(fuzz::Options),
    Soundness(soundness::Options),
    Test(test::Options),
    Storm(storm::Options),
    Vm(Box<vm::Options>),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Task::Reliability(options) => reliability::main(&options),
        Task::Soundness(options) => soundness::main(&options),
        Task::Fuzz(options) => fuzz::main(&options),
        Task::Test(options) => test::main(&options),
        Task::Storm(options) => storm::main(&options),
        Task::Vm(options) => vm::main(&options),
    }
}
