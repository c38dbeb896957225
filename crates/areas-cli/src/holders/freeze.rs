//! `areas freeze`: no process can change an area any more.
//!
//! The kernel seals a memory object when no process has it mapped for writing. A holder that is an
//! `areas` command has it mapped so, only for others to clone it with that right, so each of those
//! is asked to freeze it: all at once, as each waits for the others to release it. Where there is
//! none, this command freezes a clone of its own.

use std::collections::BTreeMap;
use std::process::ExitCode;

use areas::registry::{self, Holder as Having, Source};
use areas::{Error, ErrorKind, Protection};
use rustix::fs::{SealFlags, fcntl_add_seals};
use serde::Serialize;

use super::args::Freeze;
use crate::asking::ask::{Holder, NoAnswer, Within, does_not_answer};
use crate::failure::{Result, io_error};
use crate::output::{self, json};

pub(crate) fn run(freeze: &Freeze, quiet: bool) -> Result<ExitCode> {
    let source = freeze.area.find()?;
    let whose = format!("area {} {:?}", source.id(), source.name());
    let was_frozen = source.is_frozen()?;
    if !was_frozen && freeze.no_new_writers {
        refuse_new_writers(&source, &whose)?;
    } else if !was_frozen {
        frozen(&source, &whose, freeze)?;
    }
    let frozen = source.is_frozen()?;
    let printed = if freeze.json {
        let (id, new_writers) = (source.id().get(), !(frozen || freeze.no_new_writers));
        json::print(FreezeJson { id, frozen, was_frozen, new_writers }, false)
    } else if !quiet {
        output::print(&match (was_frozen, frozen) {
            (true, _) => format!("{whose}: it was frozen already\n"),
            (false, true) => format!("{whose}: frozen\n"),
            (false, false) => format!(
                "{whose}: no further process can write it from now on; those that have it mapped for writing still can\n"
            ),
        })
    } else {
        Ok(())
    };
    let done = || match frozen {
        true => format!("{whose} is frozen"),
        false => format!("{whose} is sealed against new writers"),
    };
    output::after(done, printed)?;
    Ok(ExitCode::SUCCESS)
}

fn frozen(source: &Source, whose: &str, freeze: &Freeze) -> Result<()> {
    let within = Within::new(freeze.timeout);
    let candidates = candidates(source)?;
    let asked: Vec<(u32, Asked)> = std::thread::scope(|scope| {
        let ask = |(&pid, &id): (&u32, &i32)| {
            let within = &within;
            (pid, scope.spawn(move || ask((pid, id), whose, within)))
        };
        let threads: Vec<_> = candidates.iter().map(ask).collect();
        let died = || Asked::Tried(Err(Error::new(ErrorKind::System, format!("freeze {whose}"))));
        threads.into_iter().map(|(pid, thread)| (pid, thread.join().unwrap_or_else(|_| died()))).collect()
    });
    let has_no_holder = |(_, asked): &(u32, Asked)| matches!(asked, Asked::NoAnswer(NoAnswer::NoHolder));
    let by_a_clone = asked.iter().all(has_no_holder).then(|| by_a_clone(source, &within));
    // Whatever they said, the kernel knows.
    if source.is_frozen()? {
        return Ok(());
    }
    let error = by_a_clone.and_then(areas::Result::err).or_else(|| why_not(asked, source, whose, &within));
    let error = error.unwrap_or_else(|| Error::new(ErrorKind::Busy, format!("freeze {whose}")));
    if error.kind() != ErrorKind::Busy {
        return Err(error.into());
    }
    let mut late = Error::new(ErrorKind::TimedOut, format!("freeze {whose} within {:?}", freeze.timeout))
        .with_facts(error.facts().unwrap_or("some process can still write it").to_owned());
    if let Some(remedy) = error.remedy() {
        late = late.with_remedy(remedy.to_owned());
    }
    Err(late.into())
}

/// The outcome of asking a process to freeze it.
enum Asked {
    NoAnswer(NoAnswer),
    Tried(areas::Result<()>),
}

fn ask((pid, id): (u32, i32), whose: &str, within: &Within) -> Asked {
    match Holder::of(pid, within) {
        Ok(holder) if holder.ids.contains(&id) => {
            Asked::Tried(holder.freeze(id, &format!("freeze {whose}"), within))
        }
        // It holds it no more.
        Ok(_) => Asked::NoAnswer(NoAnswer::NoHolder),
        Err(why) => Asked::NoAnswer(why),
    }
}

/// Of all answers the one that says why: first of a process that has not answered, as nothing is
/// known of it.
fn why_not(asked: Vec<(u32, Asked)>, source: &Source, whose: &str, within: &Within) -> Option<Error> {
    let silent = |(pid, asked): &(u32, Asked)| match asked {
        Asked::NoAnswer(why @ NoAnswer::Silent) => Some((*pid, *why)),
        _ => None,
    };
    if let Some((pid, why)) = asked.iter().find_map(silent) {
        return Some(does_not_answer(pid, (why, within), format!("freeze {whose}"), ""));
    }
    let pids: Vec<u32> = asked.iter().map(|(pid, _)| *pid).collect();
    let error = asked.into_iter().find_map(|(_, asked)| match asked {
        Asked::Tried(tried) => tried.err(),
        Asked::NoAnswer(_) => None,
    })?;
    // A holder says who is in the way. One that is late with that is not waited for.
    Some(match error.kind() {
        ErrorKind::TimedOut => in_the_way(source, &pids).unwrap_or(error),
        _ => error,
    })
}

/// The error that names who can still write it, but for the holders that were asked; `None` where
/// no holder is seen.
fn in_the_way(source: &Source, asked: &[u32]) -> Option<Error> {
    let writes = |other: &Having| other.mapped.is_some_and(|mapped| mapped.contains(Protection::WRITE));
    let others = source.holders().into_iter().filter(|other| !asked.contains(&other.pid) && writes(other));
    let others: Vec<String> = others.map(|other| other.to_string()).collect();
    let error = Error::new(ErrorKind::Busy, "freeze it")
        .with_facts(format!("mapped for writing by {}", others.join(", ")));
    (!others.is_empty()).then(|| error.with_remedy("have them drop it, or clone it for reading only"))
}

/// The processes that publish this memory, with one of their areas over it.
fn candidates(source: &Source) -> Result<BTreeMap<u32, i32>> {
    let object = source.info()?.object;
    let areas = registry::list()?.areas.into_iter();
    // One that ended concurrently is none.
    let of_it = areas.filter(|area| area.info().is_ok_and(|info| info.object == object));
    Ok(of_it.map(|area| (area.pid(), area.id().get())).collect())
}

fn by_a_clone(source: &Source, within: &Within) -> areas::Result<()> {
    drop(source.open_any()?.freeze_within(within.left())?);
    Ok(())
}

fn refuse_new_writers(source: &Source, whose: &str) -> Result<()> {
    let what = || format!("seal {whose} against new writers");
    let area = source.open_any()?;
    if !area.protection().contains(Protection::WRITE) && !area.is_frozen() {
        return Err(Error::new(ErrorKind::ReadOnly, what())
            .with_facts("its holder may not write it, or it is sealed against new writers already")
            .into());
    }
    match area.descriptor() {
        Some(descriptor) if !area.is_frozen() => fcntl_add_seals(descriptor, SealFlags::FUTURE_WRITE)
            .map_err(|errno| io_error(what(), errno.into()).into()),
        _ => Ok(()),
    }
}

#[derive(Debug, Serialize)]
struct FreezeJson {
    id: i32,
    frozen: bool,
    /// Whether it was before this command.
    was_frozen: bool,
    /// Whether others may still begin to write it.
    new_writers: bool,
}
