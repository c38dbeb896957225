//! `areas fill`: a file's bytes into an area that is there.
//!
//! They are written by `pwrite` where the object is of base pages and cannot shrink: a page comes
//! with its contents, and nothing is touched that another process could take away. What may shrink
//! is written by the library's copies, which go through the kernel and never make it larger.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use areas::registry::Source;
use areas::{AnyArea, Bytes, Error, ErrorKind, PageBuffer, PageSize, Protection};
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use super::args::Fill;
use super::bytes::{Input, Part};
use super::pieces::{self, BUFFER};
use crate::create::in_memory;
use crate::failure::{Result, io_error};
use crate::output::progress::Bar;
use crate::output::{self, json};

pub(crate) fn run(fill: &Fill, quiet: bool) -> Result<ExitCode> {
    let source = fill.area.find()?;
    let input = Input::open(&fill.from)?;
    let whose = match &input {
        Input::File(part) => part.whose.clone(),
        Input::Stream(_, whose) => whose.clone(),
    };
    let into = Destination::open(&source, in_memory(fill.offset)?)?;
    let written = match input {
        Input::File(part) => from_file(&into, part, fill.length, quiet)?,
        Input::Stream(stream, whose) => from_stream(&into, stream, &whose, fill.length, quiet)?,
    };
    let (size, offset) = (Bytes(written), fill.offset.0);
    let printed = if fill.json {
        json::print(FillJson { id: source.id().get(), offset, written }, false)
    } else if !quiet {
        output::print(&format!("{} from byte {offset} on: {size:#} of {whose}\n", into.whose))
    } else {
        Ok(())
    };
    output::after(|| format!("{} has {size:#} of {whose} from byte {offset} on", into.whose), printed)?;
    Ok(ExitCode::SUCCESS)
}

/// The part of an area that is written: from a byte on, to its end.
#[derive(Debug)]
struct Destination {
    area: AnyArea,
    /// To write it by calls, and where in the file it begins; `None` where that cannot be.
    file: Option<(File, u64)>,
    offset: usize,
    room: u64,
    whose: String,
    /// Bytes that were written.
    written: AtomicU64,
}

impl Destination {
    fn open(source: &Source, offset: usize) -> Result<Self> {
        let whose = format!("area {} {:?}", source.id(), source.name());
        let what = || format!("write {whose}");
        let area = source.open_any()?;
        if area.is_frozen() {
            return Err(Error::new(ErrorKind::Frozen, what())
                .with_facts("it is frozen: no process can write it any more")
                .with_remedy("put the file into a new area: `areas put FILE --name NEW`")
                .into());
        }
        if !area.protection().contains(Protection::WRITE) {
            let holder = format!(
                "its holder, process {}, may not write it itself, or it is sealed against new writers",
                source.pid()
            );
            return Err(Error::new(ErrorKind::ReadOnly, what()).with_facts(holder).into());
        }
        let size = area.size();
        let Some(room) = size.checked_sub(offset) else {
            return Err(Error::new(ErrorKind::OutOfRange, what())
                .with_facts(format!("byte {offset} is beyond its end, at {size}"))
                .into());
        };
        // What may shrink would grow again by a `pwrite` behind its end; hugetlb pages cannot be
        // written by calls.
        let by_calls = matches!(&area, AnyArea::Shared(area)
            if area.granted().page_size() == PageSize::base() && area.object().physical().is_none());
        let file = match area.object().filter(|_| by_calls) {
            Some(object) => {
                let copy = object.as_fd().try_clone_to_owned().map_err(|error| io_error(what(), error))?;
                Some((File::from(copy), object.offset()))
            }
            None => None,
        };
        let end = file.as_ref().map_or(0, |(_, start)| start + size as u64);
        if getrlimit(Resource::Fsize).current.is_some_and(|limit| end > limit) {
            return Err(Error::new(ErrorKind::Limit, what())
                .with_facts("it is larger than a file may be here (RLIMIT_FSIZE)")
                .with_remedy("raise it: `ulimit -f unlimited`")
                .into());
        }
        Ok(Destination { area, file, offset, room: room as u64, whose, written: AtomicU64::new(0) })
    }

    fn write(&self, at: u64, bytes: &[u8]) -> areas::Result<()> {
        let offset = usize::try_from(at).map_or(usize::MAX, |at| self.offset.saturating_add(at));
        let done = match (&self.area, &self.file) {
            (_, Some((file, start))) => {
                file.write_all_at(bytes, start + offset as u64).map_err(|error| match error.kind() {
                    io::ErrorKind::PermissionDenied => {
                        Error::new(ErrorKind::Frozen, format!("write {}", self.whose))
                            .with_facts("it was frozen concurrently")
                    }
                    _ => io_error(format!("write {} at byte {offset}", self.whose), error),
                })
            }
            (AnyArea::Shared(area), None) => area.write_at(offset, bytes),
            (AnyArea::Resizable(area), None) => area.write_at(offset, bytes),
            (other, None) => Err(Error::new(ErrorKind::Unsupported, format!("write {other}"))),
        };
        done.map_err(|error| self.with_written(error))?;
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// With how much of it was written all the same.
    fn with_written(&self, error: Error) -> Error {
        match self.written.load(Ordering::Relaxed) {
            0 => error,
            some => {
                let kind = error.kind();
                Error::new(kind, format!("fill {}", self.whose))
                    .with_facts(format!("about {} of it are written, and stay so", Bytes(some)))
                    .caused_by(error)
            }
        }
    }

    fn too_small(&self, len: impl std::fmt::Display) -> Error {
        Error::new(
            ErrorKind::OutOfRange,
            format!("write {len} into {} from byte {} on", self.whose, self.offset),
        )
        .with_facts(format!("there it has {}", Bytes(self.room)))
        .with_remedy("`--length` takes a part of the file; an area that may grow grows by `areas resize`")
    }
}

fn from_file(into: &Destination, part: Part, length: Option<Bytes>, quiet: bool) -> Result<u64> {
    if let Some(length) = length
        && length.0 > part.len()
    {
        return Err(Error::new(ErrorKind::OutOfRange, format!("read {length} of {}", part.whose))
            .with_facts(format!("it has {}", Bytes(part.len())))
            .into());
    }
    let part = part.up_to(length);
    if part.len() > into.room {
        return Err(into.too_small(Bytes(part.len())).into());
    }
    let bar = Bar::new("filling", Some(part.len()), quiet);
    let work = |range: Range<u64>, buffer: &mut [u8]| {
        let mut at = range.start;
        while at < range.end {
            let len = usize::try_from(range.end - at).unwrap_or(BUFFER).min(BUFFER);
            let bytes = &mut buffer[..len];
            part.read(at, bytes).map_err(|error| into.with_written(error))?;
            into.write(at, bytes)?;
            at += len as u64;
        }
        Ok(())
    };
    let mut report = |done| {
        bar.set(done);
        true
    };
    pieces::each(part.len(), &mut report, work)?;
    Ok(part.len())
}

fn from_stream(
    into: &Destination,
    mut stream: File,
    whose: &str,
    length: Option<Bytes>,
    quiet: bool,
) -> Result<u64> {
    let most = length.map_or(u64::MAX, |Bytes(length)| length);
    if length.is_some() && most > into.room {
        return Err(into.too_small(Bytes(most)).into());
    }
    let bar = Bar::new("filling", length.map(|length| length.0), quiet);
    let (mut buffer, mut at) = (PageBuffer::new(BUFFER), 0);
    while at < most {
        let len = usize::try_from(most - at).unwrap_or(BUFFER).min(BUFFER);
        match stream.read(&mut buffer[..len]) {
            Ok(0) if length.is_some() => {
                let ended = Error::new(ErrorKind::Io, format!("read {} of {whose}", Bytes(most)))
                    .with_facts(format!("it ended after {}", Bytes(at)));
                return Err(into.with_written(ended).into());
            }
            Ok(0) => break,
            Ok(got) if at + got as u64 > into.room => {
                // What fits is no better than nothing, and no worse: it is reported.
                return Err(into
                    .with_written(into.too_small(format_args!("more than {}", Bytes(into.room))))
                    .into());
            }
            Ok(got) => {
                into.write(at, &buffer[..got])?;
                at += got as u64;
                bar.set(at);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(into.with_written(io_error(format!("read {whose} at byte {at}"), error)).into());
            }
        }
    }
    Ok(at)
}

#[derive(Debug, Serialize)]
struct FillJson {
    id: i32,
    /// Where in the area the first byte went.
    offset: u64,
    /// Bytes that were written.
    written: u64,
}
