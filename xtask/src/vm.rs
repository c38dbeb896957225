//! `cargo xtask vm`: runs one program in a guest with several NUMA nodes (`crates/areas-guest`), on
//! this process's own output.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use areas_guest::{NO_GUEST, Outcome};

use crate::process;

pub(crate) use areas_guest::Options;

pub(crate) fn main(options: &Options) -> ExitCode {
    match run(options, &mut io::stdout(), &mut io::stderr()) {
        Ok(outcome) => {
            if let Some(message) = outcome.message {
                eprintln!("xtask vm: {message}");
            }
            ExitCode::from(outcome.code)
        }
        Err(error) => {
            eprintln!("xtask vm: {error:#}");
            ExitCode::from(NO_GUEST)
        }
    }
}

/// Runs a guest that is made of what is kept in cargo's target folder.
pub(crate) fn run(options: &Options, stdout: &mut dyn Write, stderr: &mut dyn Write) -> Result<Outcome> {
    areas_guest::run(options, &process::target_folder().join("numa-vm"), stdout, stderr)
}
