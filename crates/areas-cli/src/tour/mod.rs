//! `areas tour`: what areas are for, shown on a real file. Everything that it says is measured, and
//! what does not hold ends it with a failure.
//!
//! | file | what |
//! |---|---|
//! | `steps.rs` | what is shown, step by step |
//! | `claims.rs` | how claims are printed and counted |
//! | `machine.rs` | what is measured of the machine and its processes |
//! | `holder.rs`, `worker.rs` | the other processes: from outside and from inside |

pub(crate) mod args;
mod claims;
mod holder;
mod machine;
mod steps;
pub(crate) mod worker;

use std::process::ExitCode;
use std::time::Instant;

use areas::{Bytes, Error, ErrorKind};

use crate::contents::Contents;
use crate::failure::Result;
use args::Tour;
use claims::Claims;

pub(crate) fn run(tour: &Tour, quiet: bool) -> Result<ExitCode> {
    let start = Instant::now();
    let file = match &tour.file {
        Some(file) => file.clone(),
        None => machine::some_file()?,
    };
    let Contents::File(contents, size) = Contents::open(&file)? else {
        return Err(Error::new(ErrorKind::Io, format!("take {file:?} on a tour"))
            .with_facts("it is empty, or not a regular file")
            .with_remedy("name a file with some contents: `areas tour FILE`")
            .into());
    };
    let mut claims = Claims::new(quiet);
    claims.title("areas tour: a file in shared memory, from its maker to its last holder")?;
    claims.display(&format!("The file: {}, {:#}.", file.display(), Bytes::from(size)))?;
    steps::all(&mut claims, &file, contents, size, quiet)?;
    claims.sum_up(start.elapsed())
}
