//! `areas completions`: what a shell needs to complete the command line.

use std::process::ExitCode;

use clap::{Command, CommandFactory};

use crate::args::{Args, Completions};
use crate::failure::Result;
use crate::output;

pub(crate) fn run(completions: &Completions) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut for_people(Args::command()), "areas", &mut script);
    output::print_raw(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// The command without those subcommands that are not for people: generators complete hidden ones too.
fn for_people(whole: Command) -> Command {
    let command =
        Command::new("areas").version(env!("CARGO_PKG_VERSION")).args(whole.get_arguments().cloned());
    command.subcommands(whole.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()).cloned())
}
