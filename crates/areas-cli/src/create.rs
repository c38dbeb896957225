//! `areas create`: a named area full of zeros.

use std::process::ExitCode;

use areas::{Error, Kind};

use crate::args::Create;
use crate::failure::Result;
use crate::hold::{Held, hold};
use crate::output;
use crate::output::progress::Bar;

pub(crate) fn run(create: &Create, quiet: bool) -> Result<ExitCode> {
    let size = in_memory(create.size)?;
    let mut ask = areas::builder(size)
        .place(create.placing.placement()?)
        .pages(create.placing.pages())
        .lock(create.placing.lock());
    if let Some(max) = create.growable {
        ask = ask.growable(in_memory(max)?);
    }
    let mut area = ask.shared()?;
    if create.populate {
        let bar = Bar::new("populating", Some(size as u64), quiet);
        area.populate_with(&mut bar.follow())?;
    }
    output::tell_granted(&area, quiet);
    hold(Held::Shared(area), &create.holding, quiet)
}

fn in_memory(size: areas::Bytes) -> areas::Result<usize> {
    usize::try_from(size.0).map_err(|_| {
        Error::new(Kind::InvalidInput, format!("make an area of {size}"))
            .detail("it is more than there are addresses")
    })
}
