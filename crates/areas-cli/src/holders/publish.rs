//! `areas publish`: an area under one more name.

use std::process::ExitCode;

use super::args::Publish;
use crate::failure::Result;
use crate::hold;
use crate::holder::ToHold;

pub(crate) fn run(publish: &Publish, quiet: bool) -> Result<ExitCode> {
    let source = publish.area.find()?;
    let clone = ToHold::under_its_name(&source, source.open_any()?);
    let area = ToHold {
        name: publish.name.clone(),
        note: publish.publishing.note.clone().or(clone.note),
        exclusive: publish.publishing.exclusive,
        area: clone.area,
    };
    hold::hold(vec![area], &publish.holding, quiet)
}
