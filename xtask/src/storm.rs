//! `cargo xtask storm`: builds `areas-storm`, which is a program of its own because it needs the
//! library, and runs it with the arguments that it is given. docs/reliability/storm.md says what it
//! does.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::{process, selection};

/// Processes that create, clone, resize, fork and die at random; `cargo xtask storm --help` asks
/// the program itself.
#[derive(Args, Clone, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// `--minutes N`, `--processes P`, `--seed S`, `--json`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<String>,
}

/// The command.
pub(crate) fn main(options: &Options) -> ExitCode {
    match run(options) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask storm: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode> {
    let program = build()?;
    let status = Command::new(&program)
        .args(&options.arguments)
        .status()
        .with_context(|| format!("cannot run {}", program.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds the program, optimised: what it is to find is found by doing much.
pub(crate) fn build() -> Result<PathBuf> {
    let mut command = selection::optimised("areas-storm");
    let status = command.status().context("cannot run cargo")?;
    ensure!(status.success(), "{} failed ({status})", process::shown(&command));
    Ok(process::target_folder().join("release/areas-storm"))
}
