//! `areas reap`: frees what no process holds, proved at that moment.
//!
//! A file: the kernel's write lease says that no process has it open or mapped. It is renamed,
//! which takes it from whoever would come, and looked at again: if it is another file than was
//! looked at, or a process opened it concurrently (who waits then for the end of the lease), it
//! gets its name back. Only then it goes. A segment: no process has it attached, says the kernel's
//! count, and neither its maker nor who had it last runs any more.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use areas::others::{Lease, Segment};
use areas::{Bytes, Error, ErrorKind as Fault};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;
use serde::Serialize;

use super::args::{Kind, Label, Reap};
use super::blind::Blind;
use super::left;
use super::memory::Holder;
use super::mounts::{Inside, Mounts, SHM};
use super::proof::{Looked, Proof};
use super::walk::{Walk, Wanted};
use super::{posix, sysv};
use crate::doctor::quoted_bytes;
use crate::failure::{Failure, Result};
use crate::output::{self, json};
use crate::target;

/// Who looked up the name before it went comes to the lease within that time, and is seen.
const SETTLE: Duration = Duration::from_millis(2);

/// What became of one memory.
#[derive(Debug)]
enum Outcome {
    Freed(u64),
    /// It would be, if that was asked for.
    WouldFree(u64),
    /// Its name is gone; a process had just opened it, and keeps it.
    Kept,
}

pub(crate) fn run(reap: &Reap, quiet: bool) -> Result<ExitCode> {
    let (mut results, mut codes) = (Vec::new(), Vec::new());
    for label in &reap.names {
        let outcome = free(reap, label);
        if !reap.json {
            let done = || format!("{} is freed", called(reap.kind, label));
            let printed = print(reap, label, &outcome, quiet);
            match outcome {
                Ok(Outcome::Freed(_)) => output::after(done, printed)?,
                _ => printed?,
            }
        }
        results.push(ResultJson::of(reap.kind, label, &outcome));
        codes.push(
            outcome.map_or_else(|error| output::report_failure(&Failure::from(error)), |_| ExitCode::SUCCESS),
        );
    }
    if reap.json {
        let freed = results.iter().filter(|result| result.outcome == "freed");
        let freed: Vec<String> = freed.map(|result| format!("{} {:?}", result.kind, result.name)).collect();
        let printed = json::print(ReapJson { results }, false);
        match freed.is_empty() {
            true => printed?,
            false => output::after(|| format!("freed: {}", freed.join(", ")), printed)?,
        }
    }
    // What is true of all of them; of several that end in different ways, that not all went well.
    let first = codes.first().copied().unwrap_or(ExitCode::SUCCESS);
    Ok(if codes.iter().all(|code| *code == first) { first } else { ExitCode::FAILURE })
}

fn print(reap: &Reap, label: &Label, outcome: &areas::Result<Outcome>, quiet: bool) -> Result<()> {
    let what = called(reap.kind, label);
    let line = match outcome {
        Ok(Outcome::Freed(_)) if quiet => return Ok(()),
        Ok(Outcome::Freed(bytes)) => format!("freed {:#}: {what}\n", Bytes(*bytes)),
        Ok(Outcome::WouldFree(bytes)) => {
            format!(
                "would free {:#}: {what}: no process holds it, says the kernel; --yes frees it\n",
                Bytes(*bytes)
            )
        }
        Ok(Outcome::Kept) => {
            output::complain(&format!(
                "{what}: its name is gone, and a process that had just opened it keeps its memory: it is freed with that process"
            ));
            return Ok(());
        }
        Err(_) => return Ok(()),
    };
    output::print(&line)
}

fn called(kind: Kind, label: &Label) -> String {
    format!("{} \"{}\"", kind.word(), areas::escape_invisible_bytes(&label.0).replace('"', "\\\""))
}

fn free(reap: &Reap, label: &Label) -> areas::Result<Outcome> {
    match reap.kind {
        Kind::Python | Kind::Shm | Kind::Sem | Kind::File | Kind::Huge => free_file(reap, label),
        Kind::Sysv if reap.inside.is_none() => free_segment(reap, label),
        Kind::Sysv => Err(refused(reap.kind, label, Fault::InvalidInput)
            .with_facts("--in is for files of /dev/shm; segments are those of an IPC namespace")
            .with_remedy(format!(
                "`nsenter --ipc --target {} areas reap …`",
                reap.inside.unwrap_or_default()
            ))),
        Kind::Area => Err(refused(reap.kind, label, Fault::InvalidInput)
            .with_facts("an area cannot leak: its memory is freed with its last process")
            .with_remedy("`areas show NAME` shows its holders; end these processes")),
        Kind::Registry => Err(refused(reap.kind, label, Fault::InvalidInput)
            .with_facts("it is the registry's own: it is freed with the process that publishes areas in it")
            .with_remedy("`areas scan --kind registry` shows that process")),
        Kind::Memfd | Kind::Anonymous => Err(refused(reap.kind, label, Fault::InvalidInput)
            .with_facts("it has no name in a file system, and cannot leak: it is freed with its last process")
            .with_remedy("`areas scan` shows its holders; end these processes")),
    }
}

fn refused(kind: Kind, label: &Label, fault: Fault) -> Error {
    Error::new(fault, format!("free {}", called(kind, label)))
}

/// The folder that a file is in, and its name there.
struct Entry {
    folder: OwnedFd,
    name: PathBuf,
}

impl Entry {
    /// Opens the folder, following no link.
    fn of(reap: &Reap, label: &Label) -> areas::Result<Self> {
        let kind = reap.kind;
        let path = Path::new(std::ffi::OsStr::from_bytes(&label.0));
        let missing = |why: String| {
            refused(kind, label, Fault::NoSuchArea)
                .with_facts(why)
                .with_remedy("`areas scan` lists what is there")
        };
        let right = if kind == Kind::Huge { path.is_absolute() } else { path.is_relative() };
        let plain = path
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::RootDir));
        let (Some(name), Some(above), true, true) = (path.file_name(), path.parent(), right, plain) else {
            let form = if kind == Kind::Huge { "its whole path" } else { "its path below /dev/shm" };
            return Err(missing(format!("its name is {form}, without `.` and `..`")));
        };
        // /dev/shm may be a link itself: the machine's choice. What is below is anybody's.
        let base = if kind == Kind::Huge { Path::new("/") } else { Path::new(SHM) };
        let open = || {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let base = match reap.inside {
                Some(pid) => Inside::of(pid).ok_or(Errno::NOENT)?.folder,
                None => rustix::fs::open(base, flags, Mode::empty())?,
            };
            let above = above.strip_prefix("/").unwrap_or(above);
            if above.as_os_str().is_empty() {
                return Ok(base);
            }
            rustix::fs::openat2(base, above, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
        };
        let folder = open().map_err(|errno: Errno| {
            missing(format!("its folder cannot be opened: {}", areas::Errno::from(errno)))
        })?;
        Ok(Entry { folder, name: name.into() })
    }

    /// The file, if it is one that may go.
    fn look(&self, kind: Kind, label: &Label, mounts: &Mounts) -> areas::Result<Looked> {
        let looked = Looked::at(&self.folder, &self.name).map_err(|errno| match errno {
            Errno::NOENT => refused(kind, label, Fault::NoSuchArea)
                .with_facts("there is no such file")
                .with_remedy("`areas scan` lists what is there"),
            errno => refused(kind, label, Fault::Io)
                .with_facts(format!("it cannot be looked at: {}", areas::Errno::from(errno))),
        })?;
        let wrong = |why: &str| Err(refused(kind, label, Fault::InvalidInput).with_facts(why.to_owned()));
        if !looked.is_file() {
            return wrong("it is not a regular file");
        }
        let path = Path::new(std::ffi::OsStr::from_bytes(&label.0));
        let here = match kind {
            Kind::Huge => mounts.huge(),
            _ => mounts.shm(),
        };
        let mut devices =
            here.iter().map(|mount| mount.device).chain(mounts.inside.iter().map(|inside| inside.device));
        if !devices.any(|device| device == looked.object().0) {
            return wrong("it is not memory: it lies on another file system");
        }
        if kind != Kind::Huge && path.ancestors().any(|above| posix::is_registry(&Path::new(SHM).join(above)))
        {
            return wrong("it belongs to the registry of areas");
        }
        // POSIX shared memory of any name may be called so.
        let named = posix::kind_of(path);
        if kind != Kind::Huge && named != kind && (kind != Kind::Shm || named == Kind::File) {
            return Err(refused(kind, label, Fault::InvalidInput)
                .with_facts(format!("by its name it is {}", named.word()))
                .with_remedy(format!("areas reap {} {}", named.word(), target::hex_of(&label.0))));
        }
        Ok(looked)
    }
}

fn free_file(reap: &Reap, label: &Label) -> areas::Result<Outcome> {
    let kind = reap.kind;
    let mounts = Mounts::read();
    let entry = Entry::of(reap, label)?;
    let looked = entry.look(kind, label, &mounts)?;
    let mut blind = Blind::new(&mounts);
    // Its holders are asked for first: it is the better answer, and what opens nothing (O_PATH)
    // only shows there.
    let holders = Walk::new(&Wanted::of(&mounts), &mut blind, true).holders(looked.object());
    if !holders.is_empty() {
        return Err(held(kind, label, &holders));
    }
    if let Some(why) = posix::kept(&entry.name) {
        return Err(refused(kind, label, Fault::Busy)
            .with_facts(format!("no process holds it now, but {why}"))
            .with_remedy(format!("if you know that it is not needed: `rm {}`", path_of(reap, label))));
    }
    let lease = match looked.prove() {
        Proof::Unheld(lease) => lease,
        Proof::Held => {
            return Err(refused(kind, label, Fault::Busy)
                .with_facts(super::UNSEEN)
                .with_remedy("root sees more (`sudo areas scan`); `areas scan` lists what cannot be seen"));
        }
        Proof::Unknown(why) => {
            return Err(refused(kind, label, Fault::NotPermitted)
                .with_facts(format!("it cannot be proved that no process holds it: {why}"))
                .with_remedy(format!(
                    "as that user or as root; or, if you know that it is not needed: `rm {}`",
                    path_of(reap, label)
                )));
        }
    };
    let names = looked.names().unwrap_or(1);
    if names > 1 {
        return Err(refused(kind, label, Fault::Busy)
            .with_facts(format!("it has {names} names: its memory stays as long as there is one"))
            .with_remedy(
                "find the others with `find /dev/shm -samefile`, and remove those that are not needed",
            ));
    }
    let bytes = u64::try_from(looked.stat.st_blocks).unwrap_or(0).saturating_mul(512);
    if !reap.yes {
        return Ok(Outcome::WouldFree(bytes));
    }
    take_away(kind, label, &entry, &looked, &lease)?;
    // Whoever had looked the name up just before comes to the lease now, and gets the memory: it is
    // not ours to say that it is free.
    match lease.is_undisturbed().unwrap_or(false) {
        true => Ok(Outcome::Freed(bytes)),
        false => Ok(Outcome::Kept),
    }
}

/// Where it is, as a word for a shell.
fn path_of(reap: &Reap, label: &Label) -> String {
    let folder = match (reap.kind, reap.inside) {
        (Kind::Huge, _) => String::new(),
        (_, Some(pid)) => format!("/proc/{pid}/root{SHM}/"),
        (_, None) => format!("{SHM}/"),
    };
    quoted_bytes(&[folder.as_bytes(), &label.0].concat())
}

fn held(kind: Kind, label: &Label, holders: &[Holder]) -> Error {
    let named: Vec<String> = holders.iter().take(5).map(Holder::with_use).collect();
    let more = if holders.len() > 5 { format!(", and {} more", holders.len() - 5) } else { String::new() };
    refused(kind, label, Fault::Busy)
        .with_facts(format!("held by process {}{more}", named.join(", ")))
        .with_remedy("what is held is not freed; end these processes first, if they are not needed")
}

/// Takes a file away, which no process has: by way of another name, from which it comes back if it
/// is not what was looked at, or if a process has opened it.
fn take_away(kind: Kind, label: &Label, entry: &Entry, looked: &Looked, lease: &Lease) -> areas::Result<()> {
    let failed = |call: &'static str, errno: Errno| {
        refused(kind, label, Fault::Io)
            .with_system_call(call, errno)
            .with_remedy("only its owner and root may remove it")
    };
    let rename = |from: &Path, to: &Path| {
        rustix::fs::renameat_with(&entry.folder, from, &entry.folder, to, RenameFlags::NOREPLACE)
    };
    // One that was killed here may have left its own, under a number that is ours now.
    let names = (0..16).map(|attempt| left::name_for(&entry.name, attempt));
    let mut taken = names.map(|away| (rename(&entry.name, &away), away));
    let (renamed, away) = taken
        .find(|(renamed, _)| *renamed != Err(Errno::EXIST))
        .ok_or_else(|| failed("renameat2(RENAME_NOREPLACE)", Errno::EXIST))?;
    renamed.map_err(|errno| match errno {
        Errno::NOENT => {
            refused(kind, label, Fault::NoSuchArea).with_facts("another process has just removed it")
        }
        errno => failed("renameat2(RENAME_NOREPLACE)", errno),
    })?;
    std::thread::sleep(SETTLE);
    let is_same = Looked::at(&entry.folder, &away).is_ok_and(|now| now.object() == looked.object());
    let reason = match (is_same, lease.is_undisturbed()) {
        (false, _) => "another file has just got its name",
        (true, Ok(false) | Err(_)) => "a process has just opened it",
        (true, Ok(true)) => {
            return rustix::fs::unlinkat(&entry.folder, &away, AtFlags::empty())
                .map_err(|errno| failed("unlinkat", errno));
        }
    };
    match rename(&away, &entry.name) {
        Ok(()) => Err(refused(kind, label, Fault::Busy)
            .with_facts(format!("{reason}: it has its name again"))
            .with_remedy("look again: `areas scan`")),
        // A new one of that name was made concurrently: whoever opened the old one keeps it.
        Err(Errno::EXIST) => Err(refused(kind, label, Fault::Busy).with_facts(format!(
            "{reason}, and a new one of that name was made: the old one is called {} now",
            areas::escape_invisible_bytes(away.as_os_str().as_bytes())
        ))),
        Err(errno) => Err(failed("renameat2(RENAME_NOREPLACE)", errno)),
    }
}

fn free_segment(reap: &Reap, label: &Label) -> areas::Result<Outcome> {
    let text = String::from_utf8_lossy(&label.0);
    let id: i32 = text.parse().ok().filter(|&id| id >= 0).ok_or_else(|| {
        refused(reap.kind, label, Fault::InvalidInput)
            .with_facts("a segment is named by its number")
            .with_remedy("`areas scan --kind sysv` lists the numbers (shmid), as `ipcs -m` does")
    })?;
    let failed = |error: std::io::Error| {
        let is = |errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
        if is(Errno::INVAL) || is(Errno::IDRM) {
            return refused(reap.kind, label, Fault::NoSuchArea)
                .with_facts("there is no such segment in this IPC namespace")
                .with_remedy("`areas scan --kind sysv` lists those that are there");
        }
        let fault = if is(Errno::ACCESS) || is(Errno::PERM) { Fault::NotPermitted } else { Fault::System };
        refused(reap.kind, label, fault)
            .with_facts(areas::in_words(&error))
            .with_remedy("only its owner, its maker and root may")
    };
    let segment = Segment::look(id).map_err(failed)?;
    if segment.attached > 0 {
        let mounts = Mounts::read();
        let mut walk = Walk::new(&Wanted::of(&mounts), &mut Blind::new(&mounts), true);
        let mut none = Vec::new();
        let name = id.to_string();
        let seen =
            sysv::memories(&mut walk, &mut none).into_iter().find(|memory| memory.name == name.as_bytes());
        let holders = seen.map(|memory| memory.holders).unwrap_or_default();
        return Err(match holders.is_empty() {
            true => refused(reap.kind, label, Fault::Busy).with_facts(format!(
                "it is attached {} times, by processes that are not seen",
                segment.attached
            )),
            false => held(reap.kind, label, &holders),
        });
    }
    if let Some(user) = sysv::user_of(segment.maker, segment.last, segment.changed) {
        return Err(refused(reap.kind, label, Fault::Busy)
            .with_facts(format!("no process has it attached, but {user}, and may attach it again"))
            .with_remedy(format!(
                "end that process first; or, if you know that it does not: `ipcrm -m {id}`"
            )));
    }
    let bytes = sysv::allocated(id).unwrap_or(segment.size);
    if !reap.yes {
        return Ok(Outcome::WouldFree(bytes));
    }
    // The last look before: a number is given again only after thousands of others.
    if Segment::look(id).map_err(failed)? != segment {
        return Err(refused(reap.kind, label, Fault::Busy)
            .with_facts("it has just changed")
            .with_remedy("look again: `areas scan`"));
    }
    Segment::remove(id).map_err(failed)?;
    // Who attached it at the last moment keeps it: the kernel frees it with that process.
    match Segment::look(id) {
        Ok(now) if now.is_condemned => Ok(Outcome::Kept),
        _ => Ok(Outcome::Freed(bytes)),
    }
}

#[derive(Debug, Serialize)]
struct ReapJson {
    results: Vec<ResultJson>,
}

#[derive(Debug, Serialize)]
struct ResultJson {
    kind: &'static str,
    name: String,
    name_bytes: Option<String>,
    /// `freed`, `would_free`, `kept` (its name is gone, and a process keeps it), `refused`.
    outcome: &'static str,
    /// Bytes that were in RAM or swap; null where nothing is freed.
    bytes: Option<u64>,
    /// Why it was refused; null where it was not.
    reason: Option<String>,
}

impl ResultJson {
    fn of(kind: Kind, label: &Label, outcome: &areas::Result<Outcome>) -> Self {
        let (word, bytes, reason) = match outcome {
            Ok(Outcome::Freed(bytes)) => ("freed", Some(*bytes), None),
            Ok(Outcome::WouldFree(bytes)) => ("would_free", Some(*bytes), None),
            Ok(Outcome::Kept) => ("kept", None, None),
            Err(error) => ("refused", None, Some(error.to_string())),
        };
        ResultJson {
            kind: kind.word(),
            name: String::from_utf8_lossy(&label.0).into_owned(),
            name_bytes: target::bytes_in_hex(&label.0),
            outcome: word,
            bytes,
            reason,
        }
    }
}
