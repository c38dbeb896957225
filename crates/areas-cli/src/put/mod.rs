//! `areas put`: files into named areas.

pub(crate) mod args;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::ExitCode;

use areas::{AnyArea, Error, ErrorKind, Lock, Name, PageSize, Pages};

use crate::contents::Contents;
use crate::create::in_memory;
use crate::failure::{Result, io_error};
use crate::growing::Growing;
use crate::hold::{hold, hold_growing};
use crate::holder::ToHold;
use crate::output;
use args::Put;

pub(crate) fn run(put: &Put, quiet: bool) -> Result<ExitCode> {
    let names = names(put)?;
    if put.follow {
        return follow(put, names, quiet);
    }
    let mut areas = Vec::new();
    for (path, name) in put.files.iter().zip(names) {
        let area = filled(put, path, quiet)?;
        areas.push(to_hold(put, area, name));
    }
    hold(areas, &put.holding, quiet)
}

fn to_hold(put: &Put, area: AnyArea, name: Name) -> ToHold {
    let publishing = &put.publishing;
    ToHold { area, name, note: publishing.note.clone(), exclusive: publishing.exclusive }
}

/// An area with a file's bytes.
fn filled(put: &Put, path: &Path, quiet: bool) -> Result<AnyArea> {
    let placement = put.placing.placement(quiet)?;
    let (pages, lock) = (put.placing.pages(), put.placing.lock()?);
    let contents = Contents::open(path)?;
    let ask = |size| put.placing.builder(size, placement).lock(lock);
    let mut area = contents.into_area(ask, put.placing.stage(placement), quiet)?;
    // Filling goes past the mapping: huge pages are collapsed, and lazily locked ones stay, once
    // they are mapped.
    if pages == Pages::Auto || lock == Lock::Lazy {
        area.populate()?;
    }
    output::print_granted(&area, put.placing.asked(placement), quiet);
    Ok(if put.freeze { AnyArea::Frozen(area.freeze().map_err(Error::from)?) } else { AnyArea::Shared(area) })
}

/// An area that grows as a stream comes in.
fn follow(put: &Put, names: Vec<Name>, quiet: bool) -> Result<ExitCode> {
    let refuse = |detail: &'static str, help: &'static str| {
        let what = "let an area grow with a stream";
        Err(Error::new(ErrorKind::InvalidInput, what).with_facts(detail).with_remedy(help).into())
    };
    let ([path], [name]) = (put.files.as_slice(), names.as_slice()) else {
        return refuse("there are several files", "name one, or `-`");
    };
    let stream = match Contents::open(path)? {
        Contents::Stream(stream) => *stream,
        Contents::File(..) => {
            return refuse(
                "it is a file, which has an end already",
                "`tail -c +1 -f FILE | areas put - --follow …` goes on with what is appended",
            );
        }
    };
    if path.as_os_str() == "-" {
        leave_input()?;
    }
    let placement = put.placing.placement(quiet)?;
    let ask = put.placing.builder(PageSize::base().bytes(), placement).lock(put.placing.lock()?);
    let area = ask.growable(in_memory(put.growable)?).shared()?;
    output::print_granted(&area, put.placing.asked(placement), quiet);
    let growing = Growing::new(stream, put.freeze);
    let mut to_hold = to_hold(put, AnyArea::Shared(area), name.clone());
    to_hold.note = Some(areas::Note::new(growing.note())?);
    hold_growing(vec![to_hold], Some(growing), &put.holding, quiet)
}

/// The stream is the reader's alone: a command that is started does not take bytes from it, and who
/// writes into it learns when no process reads any more.
fn leave_input() -> Result<()> {
    let null = std::fs::File::open("/dev/null").map_err(|error| io_error("open \"/dev/null\"", error))?;
    rustix::stdio::dup2_stdin(&null)
        .map_err(|errno| io_error("leave the standard input to the area", errno.into()).into())
}

/// What stands for the file's own name.
const PLACE: &[u8] = b"{}";

/// The names of all areas, no two the same.
fn names(put: &Put) -> Result<Vec<Name>> {
    let names =
        put.files.iter().map(|path| name_of(path, put.name.as_deref())).collect::<areas::Result<Vec<_>>>()?;
    for (at, name) in names.iter().enumerate() {
        if let Some(before) = names[..at].iter().position(|other| other == name) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("put {:?} and {:?}", put.files[before], put.files[at]),
            )
            .with_facts(format!("both would have the name {name:?}"))
            .with_remedy("let `{}` in `--name` stand for the file's own name, or put them one at a time")
            .into());
        }
    }
    Ok(names)
}

fn name_of(path: &Path, pattern: Option<&OsStr>) -> areas::Result<Name> {
    let pattern = pattern.map_or(PLACE, OsStrExt::as_bytes);
    let mut name = pattern.to_vec();
    if let Some(at) = name.windows(PLACE.len()).position(|part| part == PLACE) {
        let file = match path.file_name() {
            Some(file) if path.as_os_str() != "-" => file.as_bytes(),
            _ => {
                return Err(Error::new(ErrorKind::InvalidInput, format!("name an area after {path:?}"))
                    .with_facts("it has no name")
                    .with_remedy("give the name: `--name NAME`"));
            }
        };
        name.splice(at..at + PLACE.len(), file.iter().copied());
    }
    Name::new(OsString::from_vec(name).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_files() {
        let check = |path: &str, pattern: Option<&str>, expected: Option<&str>| {
            let name = name_of(Path::new(path), pattern.map(OsStr::new)).ok();
            let name = name.as_ref().map(|name| name.as_bytes());
            assert_eq!(name, expected.map(str::as_bytes), "{path} {pattern:?}");
        };
        check("/a/b.bin", None, Some("b.bin"));
        check("b.bin", Some("x"), Some("x"));
        check("/a/b.bin", Some("models/{}"), Some("models/b.bin"));
        check("{}", Some("{}-{}"), Some("{}-{}"));
        check("-", Some("x"), Some("x"));
        check("-", None, None);
        check("..", None, None);
        check("x", Some(""), None);
    }
}
