//! `areas man`: the manual pages, for those who package the command.

use std::process::ExitCode;

use clap::CommandFactory;

use crate::args::{Args, Man};
use crate::failure::{Result, io_error};

pub(crate) fn run(man: &Man) -> Result<ExitCode> {
    // Commands that are not for people have no page.
    let command = Args::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, &man.dir)
        .map_err(|error| io_error(format!("write manual pages into {:?}", man.dir), error))?;
    Ok(ExitCode::SUCCESS)
}
