//! `areas put`: a file into a named area.

use std::process::ExitCode;

use areas::{AnyArea, Error, Lock, Pages};

use crate::args::Put;
use crate::contents::Contents;
use crate::failure::Result;
use crate::hold::hold;
use crate::output;

pub(crate) fn run(put: &Put, quiet: bool) -> Result<ExitCode> {
    let placement = put.placing.placement(quiet)?;
    let (pages, lock) = (put.placing.pages(), put.placing.lock()?);
    let contents = Contents::open(&put.file)?;
    let ask = |size| put.placing.builder(size, placement).lock(lock);
    let mut area = contents.into_area(ask, put.placing.stage(placement), quiet)?;
    // Filling goes past the mapping: huge pages are gathered, and lazily locked ones stay, once they are mapped.
    if pages == Pages::Auto || lock == Lock::Lazy {
        area.populate()?;
    }
    output::tell_granted(&area, put.placing.asked(placement), quiet);
    let area =
        if put.freeze { AnyArea::Frozen(area.freeze().map_err(Error::from)?) } else { AnyArea::Shared(area) };
    hold(area, &put.holding, quiet)
}
