//! `areas create`: a named area full of zeros.

use std::process::ExitCode;

use areas::{Address, AnyArea, Area, AreaKind, Bytes, Error, ErrorKind, Name};
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::failure::Result;
use crate::hold::hold;
use crate::holder::ToHold;
use crate::holding::Holding;
use crate::output;
use crate::output::progress::Bar;
use crate::placing::Placing;
use crate::publishing::{Publishing, name};

/// Create a named area full of zeros, and hold it
///
/// Its pages are taken as they are touched, where its placement says, unless --populate or a lock
/// takes them at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// How large it is
    #[arg(long)]
    pub(crate) size: Bytes,
    /// The name that others find it by: 1 to 255 bytes
    #[arg(long, value_parser = OsStringValueParser::new().try_map(name))]
    pub(crate) name: Name,
    #[command(flatten)]
    pub(crate) publishing: Publishing,
    #[command(flatten)]
    pub(crate) holding: Holding,
    /// Let it grow up to this size, for all holders of a clone at once
    #[arg(long, value_name = "MAX")]
    pub(crate) growable: Option<Bytes>,
    /// Let it grow up to this size, and shrink, for all holders of a clone at once
    #[arg(long, value_name = "MAX", conflicts_with = "growable")]
    pub(crate) resizable: Option<Bytes>,
    /// Map it at this address or not at all: `0x700000000000`
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) at: Option<usize>,
    /// Take all its pages now, in parallel
    #[arg(long)]
    pub(crate) populate: bool,
    #[command(flatten)]
    pub(crate) placing: Placing,
}

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
    output::tell_granted(&area, create.placing.asked(area.placement()), quiet);
    Ok(area)
}

pub(crate) fn in_memory(size: Bytes) -> areas::Result<usize> {
    usize::try_from(size.0).map_err(|_| {
        Error::new(ErrorKind::InvalidInput, format!("make an area of {size}"))
            .detail("it is more than there are addresses")
    })
}

/// A number in hexadecimal after `0x`, else in decimal.
fn address(text: &str) -> Result<usize, String> {
    match text.strip_prefix("0x") {
        Some(digits) => usize::from_str_radix(digits, 16),
        None => text.parse(),
    }
    .map_err(|_| "it is not an address: digits, or hexadecimal ones after `0x`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_write_them() {
        assert_eq!(address("0x7000"), Ok(0x7000));
        assert_eq!(address("4096"), Ok(4096));
        for wrong in ["", "-1", "x", "1e400"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
