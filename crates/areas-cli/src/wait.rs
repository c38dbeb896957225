//! `areas wait`: until somebody publishes a name.

use std::process::ExitCode;

use areas::registry;

use crate::args::Wait;
use crate::failure::Result;
use crate::output::{self, json};
use crate::report::Report;

pub(crate) fn run(wait: &Wait, quiet: bool) -> Result<ExitCode> {
    let source = registry::wait(wait.name.as_bytes(), wait.timeout)?;
    if wait.json {
        json::print(Report::of(&source)?.to_json(), true)?;
    } else if quiet {
        output::print(&format!("{}\n", source.id()))?;
    } else {
        output::print(&format!("area {} {:?} in process {}\n", source.id(), source.name(), source.pid()))?;
    }
    Ok(ExitCode::SUCCESS)
}
