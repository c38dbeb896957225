//! `areas freeze`: nobody can change an area any more.
//!
//! The kernel seals a memory object when nobody has it mapped for writing. A holder that is an `areas` command has it mapped so, only for others to clone it with
//! that right, so each of those is asked to freeze it: all at once, as each waits for the others to let go. Where there is none, this command
//! freezes a clone of its own.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use areas::registry::{self, Source};
use areas::{Error, Kind};
use rustix::fs::{SealFlags, fcntl_add_seals};
use serde::Serialize;

use super::args::Freeze;
use crate::asking::ask::Holder;
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
    if freeze.json {
        let (id, new_writers) = (source.id().get(), !(frozen || freeze.no_new_writers));
        json::print(FreezeJson { id, frozen, was_frozen, new_writers }, false)?;
    } else if !quiet {
        output::print(&match (was_frozen, frozen) {
            (true, _) => format!("{whose}: it was frozen already\n"),
            (false, true) => format!("{whose}: frozen\n"),
            (false, false) => format!(
                "{whose}: nobody else can write it from now on; who has it mapped for writing still can\n"
            ),
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

fn frozen(source: &Source, whose: &str, freeze: &Freeze) -> Result<()> {
    let deadline = Instant::now() + freeze.timeout;
    let holders = holders(source)?;
    let outcomes = match holders.is_empty() {
        true => vec![by_a_clone(source, freeze)],
        false => std::thread::scope(|scope| {
            let ask = |(holder, id): &'_ (Holder, i32)| holder.freeze(*id, deadline);
            let threads: Vec<_> = holders.iter().map(|each| scope.spawn(move || ask(each))).collect();
            let died = || Err(Error::new(Kind::System, format!("freeze {whose}")));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| died())).collect()
        }),
    };
    // Whatever they said, the kernel knows.
    if source.is_frozen()? {
        return Ok(());
    }
    let error = outcomes.into_iter().find_map(areas::Result::err);
    let error = error.unwrap_or_else(|| Error::new(Kind::Busy, format!("freeze {whose}")));
    if error.kind() != Kind::Busy {
        return Err(error.into());
    }
    let mut late = Error::new(Kind::TimedOut, format!("freeze {whose} within {:?}", freeze.timeout))
        .detail(error.facts().unwrap_or("some process can still write it").to_owned());
    if let Some(remedy) = error.remedy() {
        late = late.help(remedy.to_owned());
    }
    Err(late.into())
}

/// The `areas` commands that publish this memory, with one of their areas over it.
fn holders(source: &Source) -> Result<Vec<(Holder, i32)>> {
    let object = source.info()?.object;
    let mut found = BTreeMap::new();
    for area in registry::list()?.areas {
        // One that went meanwhile is none.
        if area.info().is_ok_and(|info| info.object == object) {
            found.insert(area.pid(), area.id().get());
        }
    }
    let asked = found.into_iter().filter_map(|(pid, id)| Holder::of(pid).map(|holder| (holder, id)));
    Ok(asked.filter(|(holder, id)| holder.ids.contains(id)).collect())
}

fn by_a_clone(source: &Source, freeze: &Freeze) -> areas::Result<()> {
    drop(source.open_any()?.freeze_within(freeze.timeout)?);
    Ok(())
}

fn refuse_new_writers(source: &Source, whose: &str) -> Result<()> {
    let what = || format!("let no more writers into {whose}");
    let area = source.open_any()?;
    if !area.protection().contains(areas::Protection::WRITE) && !area.is_frozen() {
        return Err(Error::new(Kind::ReadOnly, what())
            .detail("its holder may not write it, or lets no more writers in already")
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
