//! `areas resize`: an area's size, for all holders at once.

pub(crate) mod args;

use std::process::ExitCode;

use areas::closed::ClosedExtent;
use areas::{Bytes, Error, ErrorKind};

use crate::create::in_memory;
use crate::failure::Result;
use crate::output;
use args::Resize;

pub(crate) fn run(resize: &Resize, quiet: bool) -> Result<ExitCode> {
    let size = in_memory(resize.size)?;
    let source = resize.area.find()?;
    let before = source.info()?;
    if source.ends_before_its_object() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("resize area {} to {}", before.id, resize.size),
        )
        .with_facts("its holder has unmapped what was behind it, and has other areas in the same memory")
        .with_remedy("only its holder can resize it")
        .into());
    }
    match ClosedExtent::from(before.extent) {
        // Without a clone of our own: another process may have made it larger than could be mapped.
        ClosedExtent::Resizable { .. } if size <= before.size => source.shrink(size)?,
        // Through a clone of our own: it changes the object, and so all clones.
        ClosedExtent::Resizable { .. } => source.open_resizable()?.resize(size)?,
        ClosedExtent::Growable { .. } if size < before.size => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("resize area {} to {}", before.id, resize.size),
            )
            .with_facts(format!("it has {:#} and can only grow", Bytes::from(before.size)))
            .with_remedy("create it with `--resizable MAX` if it is to shrink")
            .into());
        }
        ClosedExtent::Fixed => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("resize area {} to {}", before.id, resize.size),
            )
            .with_facts(format!("its size is fixed at {:#}", Bytes::from(before.size)))
            .with_remedy("create it with `--growable MAX` or `--resizable MAX` if its size is to change")
            .into());
        }
        ClosedExtent::Growable { .. } => source.open()?.grow(size)?,
    }
    if !quiet {
        let after = source.info()?.size;
        let text = format!(
            "area {} {:?}: {:#}, was {:#}\n",
            before.id,
            before.name,
            Bytes::from(after),
            Bytes::from(before.size)
        );
        let done = || format!("area {} {:?} has {:#} now", before.id, before.name, Bytes::from(after));
        output::after(done, output::print(&text))?;
    }
    Ok(ExitCode::SUCCESS)
}
