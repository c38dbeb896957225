//! `areas cmp`: an area and a file, byte by byte.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use areas::{Bytes, PageBuffer};
use serde::Serialize;

use super::args::Cmp;
use super::bytes::{AreaBytes, Input, Part};
use super::pieces::{self, BUFFER};
use crate::failure::{Failure, Result, io_error};
use crate::output::progress::Bar;
use crate::output::{self, json};

/// As cmp(1) has it.
const TROUBLE: u8 = 2;

pub(crate) fn run(cmp: &Cmp, quiet: bool) -> Result<ExitCode> {
    match compare(cmp, quiet) {
        Err(Failure::Error(error)) => {
            output::complain(&format!("{error:#}"));
            Ok(ExitCode::from(TROUBLE))
        }
        other => other,
    }
}

fn compare(cmp: &Cmp, quiet: bool) -> Result<ExitCode> {
    let source = cmp.area.find()?;
    let area = AreaBytes::open(&source, cmp.offset, cmp.length)?;
    let bar = Bar::new("comparing", Some(area.part.len()), quiet);
    let (difference, whose, other_len) = match Input::open(&cmp.file)? {
        Input::File(part) => {
            let part = part.up_to(cmp.length);
            let difference = first_difference(&area.part, &part, &bar)?;
            (difference, part.whose.clone(), Some(part.len()))
        }
        Input::Stream(stream, whose) => {
            let difference = of_stream(&area.part, stream, &whose, cmp.length, &bar)?;
            (difference, whose, None)
        }
    };
    drop(bar);
    // The file begins with its first byte, the area with the one that was asked for.
    let at = difference.map(|difference| match difference {
        Difference::Byte(at) | Difference::AreaEnds(at) | Difference::FileEnds(at) => cmp.offset.0 + at,
    });
    if cmp.json {
        let row = CmpJson {
            id: source.id().get(),
            same: difference.is_none(),
            difference: at,
            ends: match difference {
                Some(Difference::AreaEnds(_)) => Some("area"),
                Some(Difference::FileEnds(_)) => Some("file"),
                _ => None,
            },
            area_size: area.part.len(),
            file_size: other_len,
            frozen: area.frozen,
        };
        json::print(row, false)?;
    } else if let (Some(difference), Some(at)) = (difference, at)
        && !quiet
    {
        let area = &area.part.whose;
        output::print(&match difference {
            Difference::Byte(_) => format!("{area} and {whose} differ at byte {at}\n"),
            Difference::AreaEnds(_) => format!("{area} ends at byte {at}, {whose} goes on\n"),
            Difference::FileEnds(_) => format!("{whose} ends where {area} has byte {at}\n"),
        })?;
    }
    Ok(if difference.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where the two are not the same first, counted from where they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    Byte(u64),
    AreaEnds(u64),
    FileEnds(u64),
}

/// What is to be said of the ends, where all bytes are the same that both have.
fn of_ends(area: u64, file: u64) -> Option<Difference> {
    match area.cmp(&file) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Less => Some(Difference::AreaEnds(area)),
        std::cmp::Ordering::Greater => Some(Difference::FileEnds(file)),
    }
}

fn first_difference(area: &Part, file: &Part, bar: &Bar) -> Result<Option<Difference>> {
    let both = area.len().min(file.len());
    let first = AtomicU64::new(u64::MAX);
    let work = |range: Range<u64>, buffer: &mut [u8]| {
        let (one, other) = buffer.split_at_mut(BUFFER);
        let mut at = range.start;
        while at < range.end && at < first.load(Ordering::Relaxed) {
            // Where both have holes there is nothing to read.
            let next = |part: &Part| part.next_data(at..range.end).map_or(range.end, |found| found.start);
            at = next(area).min(next(file));
            let len = usize::try_from(range.end - at).unwrap_or(BUFFER).min(BUFFER);
            let (one, other) = (&mut one[..len], &mut other[..len]);
            area.read(at, one)?;
            file.read(at, other)?;
            if let Some(index) = differing(one, other) {
                first.fetch_min(at + index as u64, Ordering::Relaxed);
                break;
            }
            at += len as u64;
        }
        Ok(())
    };
    let mut report = |done| {
        bar.set(done);
        true
    };
    pieces::each(both, &mut report, work)?;
    Ok(match first.into_inner() {
        u64::MAX => of_ends(area.len(), file.len()),
        at => Some(Difference::Byte(at)),
    })
}

fn of_stream(
    area: &Part,
    mut stream: File,
    whose: &str,
    length: Option<Bytes>,
    bar: &Bar,
) -> Result<Option<Difference>> {
    let most = length.map_or(u64::MAX, |Bytes(length)| length);
    let (mut ours, mut theirs) = (PageBuffer::new(BUFFER), PageBuffer::new(BUFFER));
    let mut at = 0;
    loop {
        let len = usize::try_from(most - at).unwrap_or(BUFFER).min(BUFFER);
        let got = match stream.read(&mut theirs[..len]) {
            Ok(0) => return Ok(if at == most { None } else { of_ends(area.len(), at) }),
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(io_error(format!("read {whose} at byte {at}"), error).into()),
        };
        let both = usize::try_from(area.len() - at).unwrap_or(got).min(got);
        area.read(at, &mut ours[..both])?;
        if let Some(index) = differing(&ours[..both], &theirs[..both]) {
            return Ok(Some(Difference::Byte(at + index as u64)));
        }
        if both < got {
            return Ok(Some(Difference::AreaEnds(area.len())));
        }
        at += got as u64;
        bar.set(at);
    }
}

/// The first byte that is not the same.
fn differing(one: &[u8], other: &[u8]) -> Option<usize> {
    // Whole first, which is one fast call.
    if one == other { None } else { one.iter().zip(other).position(|(one, other)| one != other) }
}

#[derive(Debug, Serialize)]
struct CmpJson {
    id: i32,
    same: bool,
    /// The byte of the area at which they differ, or one of them ends.
    difference: Option<u64>,
    /// Which of the two ends there: `area` or `file`; null where a byte differs.
    ends: Option<&'static str>,
    /// Bytes of the area from --offset on, --length at most.
    area_size: u64,
    /// Bytes of the file, --length at most; null for a stream.
    file_size: Option<u64>,
    /// Whether the area was frozen: then the answer stays true.
    frozen: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_first_is_reported() {
        assert_eq!(of_ends(5, 5), None);
        assert_eq!(of_ends(4, 5), Some(Difference::AreaEnds(4)));
        assert_eq!(of_ends(5, 4), Some(Difference::FileEnds(4)));
        assert_eq!(differing(b"abc", b"abc"), None);
        assert_eq!(differing(b"abc", b"abd"), Some(2));
    }
}
