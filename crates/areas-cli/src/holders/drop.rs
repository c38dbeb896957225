//! `areas drop`: an area's holder is asked to end.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use areas::registry::{self, Holder as Having, Source};
use areas::{Error, ErrorKind, escape_invisible};
use rustix::process::Signal;
use serde::Serialize;

use super::args::Drop;
use crate::asking::ask::{self, Holder, Within};
use crate::failure::Result;
use crate::output::{self, json};
use crate::request::Request;

/// How long the kernel may take to free what a process had that has ended.
const FREEING: Duration = Duration::from_millis(500);

pub(crate) fn run(drop: &Drop, quiet: bool) -> Result<ExitCode> {
    let source = drop.area.find()?;
    let whose = format!("area {} {:?}", source.id(), source.name());
    let info = source.info()?;
    let within = Within::new(drop.timeout);
    let holder = holder(&source, &whose, drop, &within)?;
    // What else there is over the same memory shows afterwards which processes have it: this area's
    // own record has gone then.
    let others = others(info.object, holder.pid)?;
    let before: Vec<Having> = source.holders().into_iter().filter(|other| other.pid != holder.pid).collect();
    let ends = holder.ids.len() == 1;
    if !ends {
        holder.ask(&Request::Drop { id: info.id.get() }, &format!("drop {whose}"), &within)?;
    } else if !ended(&holder, &within)? {
        return Err(Error::new(ErrorKind::TimedOut, format!("drop {whose}"))
            .with_facts(format!("process {} has not ended within {:?}", holder.pid, drop.timeout))
            .with_remedy(
                "it may ignore the signal, or be stopped: `kill -CONT PID`; `kill -KILL PID` always ends it",
            )
            .into());
    }
    let kept = kept_by(&others, before, within.left());
    let printed = if drop.json {
        let kept_by =
            kept.iter().map(|other| HavingJson { pid: other.pid, command: other.command.clone() }).collect();
        let (id, pid, gone) = (info.id.get(), holder.pid, kept.is_empty());
        json::print(DropJson { id, pid, ended: ends, gone, kept_by }, false)
    } else if !quiet {
        let what =
            if ends { "which held it, has ended" } else { "which holds others, does not hold it any more" };
        let mut text = format!("{whose}: process {}, {what}", holder.pid);
        if kept.is_empty() {
            text += "; its memory is gone";
        } else {
            let names: Vec<String> = kept.iter().map(ToString::to_string).collect();
            let have = if names.len() == 1 { "has" } else { "have" };
            text += &format!("; its memory stays: process {} {have} it", names.join(", process "));
        }
        output::print(&format!("{}\n", escape_invisible(&text)))
    } else {
        Ok(())
    };
    let done = || match ends {
        true => format!("{whose}: process {}, which held it, has ended", holder.pid),
        false => format!("{whose}: process {} does not hold it any more", holder.pid),
    };
    output::after(done, printed)?;
    // Others were not asked.
    Ok(ExitCode::SUCCESS)
}

/// Has it end; whether it has.
fn ended(holder: &Holder, within: &Within) -> Result<bool> {
    holder.signal(Signal::TERM)?;
    Ok(holder.wait(within)?)
}

/// The process that is to be asked, if it may be.
fn holder(source: &Source, whose: &str, drop: &Drop, within: &Within) -> Result<Holder> {
    let pid = source.pid();
    let refuse = |detail: String, help: &'static str| {
        Err(Error::new(ErrorKind::Unsupported, format!("drop {whose}"))
            .with_facts(detail)
            .with_remedy(help)
            .into())
    };
    let holder = Holder::of(pid, within).map_err(|why| {
        let what = format!("drop {whose}");
        ask::does_not_answer(pid, (why, within), what, "end that program in its own way")
    })?;
    if !holder.ids.contains(&source.id().get()) {
        return refuse(format!("process {pid} does not hold it any more"), "look again: `areas ls`");
    }
    match &holder.command {
        Some(command) if !drop.with_command => refuse(
            format!("process {pid} holds it for {command:?}, which runs and would get the signal"),
            "`--with-command` sends it all the same",
        ),
        _ => Ok(holder),
    }
}

/// Other published areas over the same memory.
fn others(object: (u64, u64), pid: u32) -> Result<Vec<Source>> {
    let areas = registry::list()?.areas.into_iter();
    Ok(areas
        .filter(|area| area.pid() != pid && area.info().is_ok_and(|info| info.object == object))
        .collect())
}

/// The processes that still have the memory: those that have published it, and of the others those
/// that had it before.
fn kept_by(others: &[Source], before: Vec<Having>, left: Duration) -> Vec<Having> {
    let deadline = Instant::now() + FREEING.min(left);
    loop {
        let kept: Vec<Having> = match others.iter().find(|area| area.info().is_ok()) {
            Some(area) => area.holders(),
            None => before.iter().filter(|other| is_there(other.pid)).cloned().collect(),
        };
        if kept.is_empty() || Instant::now() > deadline {
            return kept;
        }
        if others.iter().any(|area| area.info().is_ok()) {
            return kept;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_there(pid: u32) -> bool {
    std::path::Path::new("/proc").join(pid.to_string()).exists()
}

#[derive(Debug, Serialize)]
struct DropJson {
    id: i32,
    /// The process that held it, and whether it has ended: not where it holds other areas.
    pid: u32,
    ended: bool,
    /// Whether the memory is gone.
    gone: bool,
    /// Processes that have it still.
    kept_by: Vec<HavingJson>,
}

#[derive(Debug, Serialize)]
struct HavingJson {
    pid: u32,
    command: Option<String>,
}
