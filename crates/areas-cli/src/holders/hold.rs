//! `areas hold`: areas that are there, under the names that they have.

use std::process::ExitCode;

use areas::registry::Source;

use super::args::Hold;
use crate::failure::Result;
use crate::hold;
use crate::holder::ToHold;

pub(crate) fn run(hold: &Hold, quiet: bool) -> Result<ExitCode> {
    // All of them are cloned before one is published: what is not there is an error, and nothing
    // has happened.
    let mut sources: Vec<Source> = Vec::new();
    for target in &hold.areas {
        let source = target.find()?;
        // A name and an id may be the same area's, which is held once.
        if sources.iter().all(|other| other.id() != source.id()) {
            sources.push(source);
        }
    }
    let clones = sources.iter().map(|source| Ok(ToHold::under_its_name(source, source.open_any()?)));
    let clones = clones.collect::<areas::Result<Vec<_>>>()?;
    hold::hold(clones, &hold.holding, quiet)
}
