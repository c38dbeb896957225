//! `areas create`: a named area full of zeros.

pub(crate) mod args;

use std::process::ExitCode;

use areas::{Address, AnyArea, Area, AreaKind, Bytes, Error, ErrorKind};

use crate::failure::Result;
use crate::hold::hold;
use crate::holder::ToHold;
use crate::output;
use crate::output::progress::Bar;
use args::Create;

pub(crate) fn run(create: &Create, quiet: bool) -> Result<ExitCode> {
    let size = in_memory(create.size)?;
    let placement = create.placing.placement(quiet)?;
    let mut ask = create.placing.builder(size, placement).lock(create.placing.lock()?);
    if let Some(max) = create.growable {
        ask = ask.growable(in_memory(max)?);
    }
    if let Some(address) = create.at {
        ask = ask.at(Address::Exactly(address));
    }
    let area = match create.resizable {
        Some(max) => AnyArea::Resizable(populated(ask.resizable(in_memory(max)?)?, create, quiet)?),
        None => AnyArea::Shared(populated(ask.shared()?, create, quiet)?),
    };
    let publishing = &create.publishing;
    let (name, note) = (create.name.clone(), publishing.note.clone());
    hold(vec![ToHold { area, name, note, exclusive: publishing.exclusive }], &create.holding, quiet)
}

fn populated<K: AreaKind>(mut area: Area<K>, create: &Create, quiet: bool) -> Result<Area<K>> {
    if create.populate {
        let bar = Bar::new("populating", Some(create.size.0), quiet);
        area.populate_with(&mut bar.follow())?;
    }
    output::print_granted(&area, create.placing.asked(area.placement()), quiet);
    Ok(area)
}

pub(crate) fn in_memory(size: Bytes) -> areas::Result<usize> {
    usize::try_from(size.0).map_err(|_| {
        Error::new(ErrorKind::InvalidInput, format!("make an area of {size}"))
            .with_facts("it is more than there are addresses")
    })
}
