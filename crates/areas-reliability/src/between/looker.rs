//! The process that looks: it has areas, a file and a lock of its own, runs an operation, and says
//! what it got.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use areas::{ErrorKind, registry};
use areas_testing::{Process, fdinfo};
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use serde::{Deserialize, Serialize};

use super::known::{self, is_strict};
use super::looking::{self, By, Looking, OFFERED};
use super::measured;
use crate::call::{BEGIN, END};
use crate::contents::{NAMES, SIZE, has_pattern};
use crate::held::Held;
use crate::operation::Act;
use crate::victim::mark;

/// What a looker reports of its operation, and of what it did with the answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Answer {
    /// The error, by kind and in full.
    pub(super) failed: Option<(String, String)>,
    /// What is wrong with the answer.
    pub(super) wrong: Vec<String>,
}

/// What it reports once the peer is gone.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Rest {
    pub(super) held: Held,
    pub(super) wrong: Vec<String>,
}

/// The looker's own area.
const OWN: &str = "looker";

/// A record lock on a whole file.
pub(super) fn whole(kind: i32) -> Result<libc::flock> {
    let (l_type, l_whence) = (i16::try_from(kind)?, i16::try_from(libc::SEEK_SET)?);
    Ok(libc::flock { l_type, l_whence, l_start: 0, l_len: 0, l_pid: 0 })
}

/// A record lock on a file of the looker's own, as a program has it on a database.
fn lock(database: &Path) -> Result<File> {
    let file = File::options().read(true).write(true).open(database).context("the database")?;
    fcntl(&file, FcntlArg::F_SETLK(&whole(libc::F_WRLCK)?)).context("fcntl(F_SETLK)")?;
    Ok(file)
}

fn has_lock(file: &File) -> bool {
    let info = fdinfo::of(Process::Own, file.as_raw_fd());
    info.is_ok_and(|info| info.locks.iter().any(|lock| lock.kind == "POSIX"))
}

pub(super) fn main(name: &str, database: &Path) -> Result<bool> {
    let looking = looking::named(name)?;
    let database = lock(database)?;
    let own = areas::builder(SIZE).name(OWN).shared()?;
    registry::list()?;
    say(&format!("joined {}", database.as_raw_fd()))?;
    hear_of_the_peer()?;
    let mut act = (looking.prepare)().with_context(|| format!("prepare {name}"))?;
    let outcome = run_traced(act.as_mut())?;
    let answer = judged(looking, act.as_mut(), outcome, &database);
    say(&serde_json::to_string(&answer)?)?;
    ensure!(heard()? == "alone", "no word that it is alone");
    if looking.by == By::Transfer {
        // What was not taken yet, or came since.
        for _ in 0..4 {
            while registry::refuse_transfer().is_ok_and(|dropped| dropped) {}
            let _ = registry::transferred().map(|came| came.iter().for_each(|one| drop(one.take())));
        }
    }
    drop(act);
    let mut rest = Rest::default();
    rest.wrong.extend(undisturbed(&own, looking).err());
    rest.held = Held::now();
    // Malloc's, and what a map of teams takes.
    rest.held.forget_anonymous();
    say(&serde_json::to_string(&rest)?)?;
    let _ = std::io::stdin().lines().next();
    Ok(true)
}

/// Notes who the peer is, and what it offers.
fn hear_of_the_peer() -> Result<()> {
    let words = heard()?;
    let [pid, id, strict] = words.split(' ').collect::<Vec<_>>()[..] else {
        bail!("the peer is not named: {words}")
    };
    known::note(strict == "strict", pid.parse().unwrap_or(0), id.parse().unwrap_or(0));
    Ok(())
}

/// Runs the operation, stopped at each of its calls.
fn run_traced(act: &mut dyn Act) -> Result<areas::Result<()>> {
    let _ = Held::now();
    ptrace::traceme().context("PTRACE_TRACEME")?;
    raise(Signal::SIGSTOP).context("raise")?;
    mark(BEGIN);
    let outcome = act.run();
    mark(END);
    Ok(outcome)
}

/// The outcome, held against what it may be.
fn judged(looking: &Looking, act: &mut dyn Act, outcome: areas::Result<()>, database: &File) -> Answer {
    let mut answer = Answer::default();
    let mut note = |what: &str, result: Result<(), String>| {
        if let Err(wrong) = result {
            answer.wrong.push(format!("{what}: {wrong}"));
        }
    };
    let lock = |when: &str| match has_lock(database) {
        true => Ok(()),
        false => Err(format!("its record lock is gone {when}")),
    };
    note("the database", lock("after the operation"));
    match outcome {
        Ok(()) => note("the answer", act.check()),
        Err(error) => {
            note("the error", is_documented(looking, &error));
            note("after the error", act.unchanged());
            answer.failed = Some((format!("{:?}", error.kind()), format!("{error:#}")));
        }
    }
    let mut note = |what: &str, result: Result<(), String>| {
        if let Err(wrong) = result {
            answer.wrong.push(format!("{what}: {wrong}"));
        }
    };
    note("looking around", look_around());
    if looking.shadowed && is_strict() {
        note("the bystander's, of the same name", not_shadowed());
    }
    note("the database", lock("after looking around"));
    answer
}

fn is_documented(looking: &Looking, error: &areas::Error) -> Result<(), String> {
    match looking.kinds.contains(&error.kind()) {
        true => Ok(()),
        false => Err(format!("{:?} is not among its kinds: {error:#}", error.kind())),
    }
}

/// What the bystander has is found, whatever became of an older one of the name.
fn not_shadowed() -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..3 {
        match registry::find(OFFERED).and_then(|source| source.open_read_only()) {
            Ok(area) => return has_pattern(&area, OFFERED, SIZE).or_else(|_| measured::shared(&area)),
            Err(error) => last = format!("{error:#}"),
        }
    }
    Err(last)
}

/// Whatever is there by now can be listed and asked about: with answers or errors.
fn look_around() -> Result<(), String> {
    let listing = match registry::list() {
        // A folder that no process may look into is reported as that.
        Err(error) if error.kind() == ErrorKind::Registry && !is_strict() => return Ok(()),
        listing => listing.map_err(|error| format!("list: {error:#}"))?,
    };
    for source in &listing.areas {
        let _ = source.info();
        let _ = source.measure();
    }
    if let Ok(source) = registry::find(OFFERED) {
        let _ = source.open_read_only();
    }
    Ok(())
}

/// Without the peer all is as it was: the list, the bystander's bytes, one's own.
fn undisturbed(own: &areas::Area<areas::Shared>, looking: &Looking) -> Result<(), String> {
    let reported = |error: areas::Error| format!("without the peer: {error:#}");
    let listing = registry::list().map_err(reported)?;
    let mut names: Vec<String> = listing.areas.iter().map(|source| source.name().to_string()).collect();
    names.sort();
    let mut expected: Vec<&str> = NAMES.iter().copied().chain([OWN]).collect();
    expected.extend(looking.shadowed.then_some(OFFERED));
    expected.sort_unstable();
    if names != expected || !listing.unreadable.is_empty() {
        return Err(format!("without the peer, listed are {names:?} and {:?}", listing.unreadable));
    }
    let area = registry::find(NAMES[0]).map_err(reported)?.open_read_only().map_err(reported)?;
    has_pattern(&area, NAMES[0], SIZE)?;
    match registry::find(OFFERED) {
        Err(error) if error.kind() == ErrorKind::NoSuchArea && !looking.shadowed => {}
        Ok(_) if looking.shadowed => {}
        other => return Err(format!("without the peer, what it offered is {other:?}")),
    }
    let found = registry::find(OWN).map_err(reported)?;
    if own.id() == Some(found.id()) { Ok(()) } else { Err("its own area has another id".to_owned()) }
}

fn heard() -> Result<String> {
    std::io::stdin().lines().next().context("the driver is gone")?.context("stdin")
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
