//! The project's own tools: `cargo xtask test` checks everything, `cargo xtask reliability` kills
//! and fails at every system call, `cargo xtask bench` compares areas with their peers, `cargo
//! xtask storm` lets many processes do everything at once and die, `cargo xtask vm` runs a program
//! on a machine with several NUMA nodes, `cargo xtask install` puts everything where other programs
//! look for it, `cargo xtask headers` writes `areas.h`, `cargo xtask wheel` builds the Python
//! package, `cargo xtask pictures` records what the README shows, `cargo xtask fresh` tries the
//! README's commands in a new Debian root, `cargo xtask dist` makes an archive and Debian packages,
//! `cargo xtask layers` and `cargo xtask api` look at imports and at the public interface. They are
//! Rust like the rest, so that a clone needs nothing but cargo.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks through its standard streams"
)]

mod api;
mod bench;
mod dist;
mod fresh;
mod fuzz;
mod headers;
mod install;
mod layers;
mod metadata;
mod pictures;
mod process;
mod python;
mod reach;
mod reliability;
mod selection;
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
    Api(api::Options),
    Bench(bench::Options),
    Dist(dist::Options),
    Fresh(fresh::Options),
    Headers(headers::Options),
    Install(install::Options),
    Layers(layers::Options),
    Pictures(pictures::Options),
    Reach(reach::Options),
    Reliability(reliability::Options),
    Fuzz(fuzz::Options),
    Soundness(soundness::Options),
    Test(test::Options),
    Storm(storm::Options),
    Vm(Box<vm::Options>),
    Wheel(python::Options),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Task::Api(options) => api::main(&options),
        Task::Bench(options) => bench::main(&options),
        Task::Dist(options) => dist::main(&options),
        Task::Fresh(options) => fresh::main(&options),
        Task::Headers(options) => headers::main(&options),
        Task::Install(options) => install::main(&options),
        Task::Layers(options) => layers::main(&options),
        Task::Pictures(options) => pictures::main(&options),
        Task::Reach(options) => reach::main(&options),
        Task::Reliability(options) => reliability::main(&options),
        Task::Soundness(options) => soundness::main(&options),
        Task::Fuzz(options) => fuzz::main(&options),
        Task::Test(options) => test::main(&options),
        Task::Storm(options) => storm::main(&options),
        Task::Vm(options) => vm::main(&options),
        Task::Wheel(options) => python::main(&options),
    }
}
