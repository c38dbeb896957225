//! `areas cat`: an area's bytes to the standard output.
//!
//! They are read by calls, not through a mapping: reading a hole gives zeros and takes no memory, which touching it would.
//! (Splicing would save the copy, but pages that wait in a pipe keep their area from being frozen.)

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;

use areas::{Bytes, Error, Kind};

use crate::args::Cat;
use crate::failure::{Failure, Result, io_error};
use crate::stdio;

/// Fits into a processor's cache, and is many pages.
const BUFFER: usize = 256 << 10;

pub(crate) fn run(cat: &Cat) -> Result<ExitCode> {
    let source = cat.area.find()?;
    let object = source.object()?;
    // The object's own number of bytes, which may have grown since the area was looked up.
    let size = object.size() as u64;
    let Bytes(offset) = cat.offset;
    let what = || format!("read area {} {:?}", source.id(), source.name());
    let Some(left) = size.checked_sub(offset) else {
        return Err(Error::new(Kind::OutOfRange, what())
            .detail(format!("byte {offset} is beyond its end, at {size}"))
            .into());
    };
    let mut left = cat.length.map_or(left, |Bytes(length)| length.min(left));
    let file = File::from(object.as_fd().try_clone_to_owned().map_err(|error| io_error(what(), error))?);
    let mut output = unbuffered_output()?;
    // Of physical memory, and of what is left of an area that was cut, the object is a part of its file.
    let mut at = offset + object.offset();
    let mut buffer = vec![0; BUFFER];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
        let got = match file.read_at(&mut buffer[..most], at) {
            Ok(0) => {
                // It never shrinks.
                return Err(Error::new(Kind::Io, what()).detail(format!("it ends at byte {at}")).into());
            }
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(io_error(what(), error).into()),
        };
        output.write_all(&buffer[..got]).map_err(Failure::of_output)?;
        at += got as u64;
        left -= got as u64;
    }
    Ok(ExitCode::SUCCESS)
}

/// The standard output without the line buffer of the standard library, which would look for line ends in it all.
fn unbuffered_output() -> Result<File> {
    let fd = stdio::output().and_then(|()| io::stdout().as_fd().try_clone_to_owned());
    fd.map(File::from).map_err(Failure::of_output)
}
