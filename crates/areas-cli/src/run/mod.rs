//! `areas run`: a program under a memory policy, and where its memory was.
//!
//! Policy, CPUs and huge pages are set for the thread, or the process, that starts the program, and
//! put back: the kernel has the program inherit them. So nothing of ours runs between `fork` and
//! `exec`, where next to nothing may be done.

pub(crate) mod args;
mod looking;
mod numa_maps;
mod report;

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::process::{Command, ExitCode};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};

use areas::inherit;
use areas::{Error, ErrorKind, NodeSet, Placement, Topology};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::choice::Choice;
use crate::command;
use crate::event::Event;
use crate::failure::{Result, io_error};
use crate::output;
use crate::signals;
use args::{Cpus, Huge, Run};
use looking::Looking;
use report::Report;

/// How glibc is set to ask the kernel in its malloc.
const TUNABLES: &str = "GLIBC_TUNABLES";
const HUGE_MALLOC: &str = "glibc.malloc.hugetlb=1";

pub(crate) fn run(run: &Run, quiet: bool) -> Result<ExitCode> {
    let (sender, events) = mpsc::channel();
    signals::watch(true, sender.clone())?;
    let Some((program, arguments)) = run.command.split_first() else {
        return Err(Error::new(ErrorKind::InvalidInput, "run a program").with_facts("none is named").into());
    };
    let placement = match (&run.place.policy, &run.place.nodes) {
        (None, None) if !run.place.balanced => None,
        _ => Some(run.place.placement(quiet)?),
    };
    let cpus = wanted_cpus(run, quiet)?;
    let file = match &run.output {
        Some(path) => Some(File::create(path).map_err(|error| io_error(format!("write {path:?}"), error))?),
        None => None,
    };
    let mut command = Command::new(program);
    command.args(arguments);
    if run.huge == Some(Huge::Malloc) {
        command.env(TUNABLES, tunables(std::env::var_os(TUNABLES)));
    }
    let start = || command::start(command, program, &sender);
    let started = on_cpus(cpus.as_ref(), || match run.huge {
        Some(Huge::Never) => without_huge_pages(|| under(placement, start)),
        _ => under(placement, start),
    })?;
    let mut running = match started {
        Ok(running) => running,
        Err(code) => return Ok(ExitCode::from(code)),
    };
    let mut looking = Looking::at(running.pid(), run.huge.is_some());
    let code = running.serve(|| next(&events, &mut looking))?;
    if !quiet || run.json || file.is_some() {
        print(run, Report::new(run, placement, cpus, code, looking), file)?;
    }
    Ok(ExitCode::from(code))
}

/// Waits for a signal or the program's end, and looks in the meantime.
fn next(events: &Receiver<Event>, looking: &mut Looking) -> Option<Event> {
    loop {
        match events.recv_timeout(looking.until_next()) {
            Ok(event) => return Some(event),
            Err(RecvTimeoutError::Timeout) => looking.look(),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

fn under<T>(placement: Option<Placement>, start: impl FnOnce() -> Result<T>) -> Result<T> {
    match placement {
        Some(placement) => inherit::with_policy(placement, start)?,
        None => start(),
    }
}

fn without_huge_pages<T>(start: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = inherit::disable_huge_pages(true)?;
    let started = start();
    inherit::disable_huge_pages(before)?;
    started
}

/// What is set for glibc already stays, but for this.
fn tunables(before: Option<OsString>) -> OsString {
    match before.filter(|before| !before.is_empty()) {
        Some(mut before) => {
            before.push(":");
            before.push(HUGE_MALLOC);
            before
        }
        None => HUGE_MALLOC.into(),
    }
}

fn wanted_cpus(run: &Run, quiet: bool) -> Result<Option<Cpus>> {
    match (&run.cpus, run.cpunodebind) {
        (Some(cpus), _) => Ok(Some(cpus.clone())),
        (None, Some(choice)) => cpus_of(choice, quiet).map(Some),
        (None, None) => Ok(None),
    }
}

/// The CPUs of nodes.
fn cpus_of(choice: Choice, quiet: bool) -> Result<Cpus> {
    let topology = Topology::read()?;
    let asked = choice.resolve(quiet)?;
    let nodes = if asked == NodeSet::ALL { topology.with_cpus() } else { asked };
    let what = || format!("run on the CPUs of node {nodes}");
    let mut cpus = Vec::new();
    for node in nodes.iter() {
        let Some(info) = topology.node(node) else {
            return Err(Error::new(ErrorKind::NodeNotAllowed, what())
                .with_facts(format!("there is no node {node}"))
                .with_remedy("`areas nodes` lists the nodes")
                .into());
        };
        cpus.extend(info.cpus.iter().filter_map(|cpu| usize::try_from(cpu).ok()));
    }
    if cpus.is_empty() {
        return Err(Error::new(ErrorKind::InvalidInput, what())
            .with_facts("it has none")
            .with_remedy("`areas nodes` shows the CPUs of each node")
            .into());
    }
    Ok(Cpus(cpus))
}

/// Makes a call while this thread is on those CPUs, and on no other.
fn on_cpus<T>(cpus: Option<&Cpus>, call: impl FnOnce() -> Result<T>) -> Result<T> {
    let Some(Cpus(cpus)) = cpus else { return call() };
    let what = || format!("run on CPUs {}", report::ranges(cpus));
    let failed = |call: &'static str| {
        move |errno: rustix::io::Errno| Error::new(ErrorKind::System, what()).with_system_call(call, errno)
    };
    let before = sched_getaffinity(None).map_err(failed("sched_getaffinity(0)"))?;
    let mut wanted = CpuSet::new();
    let fits = cpus.iter().all(|&cpu| cpu < CpuSet::MAX_CPU);
    cpus.iter().filter(|&&cpu| cpu < CpuSet::MAX_CPU).for_each(|&cpu| wanted.set(cpu));
    let set = sched_setaffinity(None, &wanted);
    // The kernel takes those of them that may be used, and says nothing of the others.
    let granted = sched_getaffinity(None).map_err(failed("sched_getaffinity(0)"))?;
    if set.is_err() || !fits || granted != wanted {
        let _ = sched_setaffinity(None, &before);
        let allowed: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&cpu| before.is_set(cpu)).collect();
        return Err(Error::new(ErrorKind::NotPermitted, what())
            .with_facts(format!(
                "one of them does not exist or may not be used; this process is on {}",
                report::ranges(&allowed)
            ))
            .with_remedy("the cpuset of the process or container sets them (cpuset(7))")
            .into());
    }
    let outcome = call();
    // Looking does not have to disturb the program.
    let _ = sched_setaffinity(None, &before);
    outcome
}

fn print(run: &Run, report: Report, file: Option<File>) -> Result<()> {
    let text = match run.json {
        true => output::json::text(&report, true)?,
        false => report.text(file.is_none()),
    };
    match (file, &run.output) {
        (Some(mut file), Some(path)) => {
            file.write_all(text.as_bytes()).map_err(|error| io_error(format!("write {path:?}"), error))?;
        }
        // Where stderr is closed it cannot be reported.
        _ => _ = std::io::stderr().lock().write_all(text.as_bytes()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glibc_keeps_what_it_was_given() {
        assert_eq!(tunables(None), HUGE_MALLOC);
        assert_eq!(tunables(Some("".into())), HUGE_MALLOC);
        assert_eq!(
            tunables(Some("glibc.malloc.check=1".into())),
            "glibc.malloc.check=1:glibc.malloc.hugetlb=1"
        );
    }

    #[test]
    fn cpus_that_are_not_there_are_refused_and_ours_stay() {
        let before = sched_getaffinity(None).unwrap();
        let refused = on_cpus(Some(&Cpus(vec![0, 1023])), || -> Result<()> { panic!("it was called") });
        assert!(refused.is_err());
        assert_eq!(sched_getaffinity(None).unwrap(), before);
        let first = (0..CpuSet::MAX_CPU).find(|&cpu| before.is_set(cpu)).unwrap();
        let inside = on_cpus(Some(&Cpus(vec![first])), || Ok(sched_getaffinity(None).unwrap().count())).ok();
        assert_eq!(inside, Some(1));
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }
}
