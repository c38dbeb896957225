//! `areas hold`: areas that are there, under the names that they have.

use std::process::ExitCode;

use super::args::Hold;
use crate::detach::to_hold;
use crate::failure::Result;
use crate::hold;

pub(crate) fn run(hold: &Hold, quiet: bool) -> Result<ExitCode> {
    // All of them are cloned before one is published: what is not there is an error, and nothing has happened.
    let clones = hold.areas.iter().map(|target| {
        let source = target.find()?;
        let area = source.open_any()?;
        Ok(to_hold(&source, area))
    });
    let clones = clones.collect::<areas::Result<Vec<_>>>()?;
    hold::hold(clones, &hold.holding, quiet)
}
