//! `areas get`: an area into a file.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};

use areas::{Bytes, Error, ErrorKind};
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use super::args::Get;
use super::bytes::{AreaBytes, Part};
use super::new_file::NewFile;
use super::pieces::{self, BUFFER};
use crate::cat;
use crate::cat::args::Cat;
use crate::event::Event;
use crate::failure::{Failure, Result, io_error};
use crate::output::progress::Bar;
use crate::output::{self, json};
use crate::target;

pub(crate) fn run(get: &Get, quiet: bool) -> Result<ExitCode> {
    if get.file.as_os_str() == "-" {
        return to_output(get);
    }
    let source = get.area.find()?;
    let bytes = AreaBytes::open(&source, get.offset, get.length)?;
    if get.exact && !bytes.frozen {
        return Err(Error::new(ErrorKind::Unsupported, format!("copy {} exactly", bytes.part.whose))
            .with_facts("it is not frozen: its holders may write it while it is copied")
            .with_remedy("freeze it first: `areas freeze`; or leave `--exact` out")
            .into());
    }
    // A file without a name goes with us; one that has a name has to be removed.
    let (sender, signals) = mpsc::channel();
    let file = NewFile::begin(&get.file, get.force, sender)?;
    let signals = file.is_named().then_some(&signals);
    let data = copy(&bytes.part, &file, &get.file, signals, quiet)?;
    let changed = !bytes.frozen && bytes.was_seen_to_change();
    file.finish(get.sync)?;
    if changed {
        output::complain(&format!(
            "{} was written while it was copied: a part of that is in {:?}",
            bytes.part.whose, get.file
        ));
    }
    let size = Bytes(bytes.part.len());
    let printed = if get.json {
        let name = source.name();
        let row = GetJson {
            id: source.id().get(),
            name: String::from_utf8_lossy(name.as_bytes()).into_owned(),
            name_bytes: target::in_hex(name),
            file: get.file.to_string_lossy().into_owned(),
            size: bytes.part.len(),
            data,
            frozen: bytes.frozen,
            changed,
        };
        json::print(row, false)
    } else if !quiet {
        let exact = match bytes.frozen {
            true => "exact, as it is frozen",
            false => "not frozen: what others wrote during the copy may be there in part",
        };
        output::print(&format!("{} to {:?}: {size:#}, {exact}\n", bytes.part.whose, get.file))
    } else {
        Ok(())
    };
    output::after(|| format!("{:?} has {size:#} of {}", get.file, bytes.part.whose), printed)?;
    Ok(ExitCode::SUCCESS)
}

/// As `areas cat` does, which is what is asked for.
fn to_output(get: &Get) -> Result<ExitCode> {
    for (option, given) in
        [("--force", get.force), ("--sync", get.sync), ("--exact", get.exact), ("--json", get.json)]
    {
        if given {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("use {option} with the standard output"),
            )
            .with_facts("it is for files")
            .with_remedy(format!("name a file, or leave {option} out"))
            .into());
        }
    }
    cat::run(&Cat { area: get.area.clone(), offset: get.offset, length: get.length })
}

/// Copies what is data; what is a hole stays one. The bytes of data.
fn copy(
    part: &Part,
    file: &NewFile,
    path: &std::path::Path,
    signals: Option<&Receiver<Event>>,
    quiet: bool,
) -> Result<u64> {
    let failed = |error| io_error(format!("write {path:?}"), error);
    // Beyond the limit is a deadly signal.
    if getrlimit(Resource::Fsize).current.is_some_and(|limit| part.len() > limit) {
        return Err(Error::new(ErrorKind::Limit, format!("write {path:?}"))
            .with_facts(format!("{} is more than a file may have here (RLIMIT_FSIZE)", Bytes(part.len())))
            .with_remedy("raise it: `ulimit -f unlimited`")
            .into());
    }
    file.file().set_len(part.len()).map_err(failed)?;
    let bar = Bar::new("copying", Some(part.len()), quiet);
    let data = AtomicU64::new(0);
    let outputs = Outputs::of(file.file());
    let work = |range: Range<u64>, buffer: &mut [u8]| {
        let mut at = range.start;
        while let Some(found) = part.next_data(at..range.end) {
            let sent = outputs.send(part, &found);
            data.fetch_add(sent, Ordering::Relaxed);
            at = found.start + sent;
            while at < found.end {
                let len = usize::try_from(found.end - at).unwrap_or(BUFFER).min(BUFFER);
                let bytes = &mut buffer[..len];
                part.read(at, bytes)?;
                file.file().write_all_at(bytes, at).map_err(failed)?;
                at += len as u64;
                data.fetch_add(len as u64, Ordering::Relaxed);
            }
        }
        Ok(())
    };
    let mut signal = None;
    let mut report = |done| {
        bar.set(done);
        if let Some(Event::Signal(number)) = signals.and_then(|signals| signals.try_recv().ok()) {
            signal = Some(number);
        }
        signal.is_none()
    };
    pieces::each(part.len(), &mut report, work)?;
    match signal {
        Some(signal) => Err(Failure::Signal(signal)),
        None => Ok(data.into_inner()),
    }
}

/// The new file, opened once more by each thread: the kernel sends to a descriptor's position.
struct Outputs<'a> {
    file: &'a File,
    idle: Mutex<Vec<File>>,
    /// Whether the kernel sends between these two files.
    sends: AtomicBool,
}

impl<'a> Outputs<'a> {
    fn of(file: &'a File) -> Self {
        Outputs { file, idle: Mutex::new(Vec::new()), sends: AtomicBool::new(true) }
    }

    fn open(&self) -> io::Result<File> {
        if let Some(idle) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(idle);
        }
        File::options().write(true).open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// Has the kernel copy a range to the same place in the file, without a copy on the way. How
    /// many bytes it has copied, from the range's start on: the rest is to be copied by hand, which
    /// reports what is wrong.
    fn send(&self, part: &Part, range: &Range<u64>) -> u64 {
        if !self.sends.load(Ordering::Relaxed) {
            return 0;
        }
        let sent = self.open().and_then(|mut output| {
            output.seek(SeekFrom::Start(range.start))?;
            let sent = part.send(&output, range);
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(output);
            Ok(sent)
        });
        let sent = sent.unwrap_or(0);
        if sent == 0 {
            self.sends.store(false, Ordering::Relaxed);
        }
        sent
    }
}

#[derive(Debug, Serialize)]
struct GetJson {
    id: i32,
    name: String,
    name_bytes: Option<String>,
    file: String,
    /// Bytes of the file.
    size: u64,
    /// Bytes of it that are not holes.
    data: u64,
    /// Whether the area was frozen: then the copy is exact.
    frozen: bool,
    /// Whether a process was seen to write it concurrently. (Who writes through a mapping is not
    /// seen.)
    changed: bool,
}
