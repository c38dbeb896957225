//! The steps of the tour.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use areas::registry::{self, Source};
use areas::{
    Area, Bytes, Error, ErrorKind, Frozen, Name, NodeSet, Placement, Policy, Protection, Residency, Shared,
};

use super::claims::Claims;
use super::holder::Holder;
use super::machine::{becomes, shared_memory};
use super::worker::Question;
use crate::contents::Contents;
use crate::failure::{Result, io_error};
use crate::ls;
use crate::report::Report;

/// How long to wait for what the kernel does in its own time, and for the rest of the machine to
/// calm down.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What a worker may need for itself: buffers, and the little that any process needs.
const OWN_MEMORY: u64 = 4 << 20;

/// What all steps are about.
struct Subject<'a> {
    file: &'a Path,
    size: usize,
    name: Name,
    allowed: NodeSet,
    /// The machine's shared memory before all this.
    before: u64,
}

impl Subject<'_> {
    /// By how much the machine's shared memory may differ: counters are a little coarse, and others
    /// use it too.
    fn slack(&self) -> u64 {
        (2 << 20) + self.size as u64 / 10
    }

    fn find(&self) -> areas::Result<Source> {
        registry::find(self.name.as_bytes())
    }

    /// The areas of that name.
    fn rows(&self) -> areas::Result<Vec<Report>> {
        let listing = registry::list()?;
        listing.areas.iter().filter(|area| *area.name() == self.name).map(Report::of).collect()
    }
}

pub(super) fn all(claims: &mut Claims, file: &Path, contents: File, size: usize, quiet: bool) -> Result<()> {
    let subject = Subject {
        file,
        size,
        name: Name::new(format!("tour.{}", std::process::id()))?,
        allowed: areas::allowed_nodes()?,
        before: shared_memory()?,
    };
    claims.say(&format!(
        "The machine: memory nodes {} may be used; {:#} of shared memory are in use.",
        subject.allowed,
        Bytes(subject.before)
    ))?;
    let area = put(claims, &subject, contents, quiet)?;
    let mut holders = share(claims, &subject)?;
    look(claims, &subject, &area)?;
    let (area, writer) = freeze(claims, &subject, area)?;
    refuse(claims, &subject, &area, &writer)?;
    lend(claims, &subject, &mut holders)?;
    let source = subject.find()?;
    drop((area, writer));
    let [first, second] = holders;
    let last = kill_one(claims, &subject, first, second)?;
    kill_last(claims, &subject, &source, last)
}

fn put(claims: &mut Claims, subject: &Subject<'_>, file: File, quiet: bool) -> Result<Area<Shared>> {
    claims.step("Put the file into a named area")?;
    claims
        .say("Its pages are spread over all allowed nodes and filled in parallel; then it is published.")?;
    let placement = Placement::new(Policy::Interleave(NodeSet::ALL));
    let start = Instant::now();
    let ask = |size| areas::builder(size).place(placement);
    let mut area = Contents::File(file, subject.size).into_area(ask, placement, quiet)?;
    let id = area.publish(subject.name.as_bytes())?;
    let took = start.elapsed();
    claims.claim(
        area.size() == subject.size,
        &format!("area {id} {:?} has {} bytes, after {} ms", subject.name, area.size(), took.as_millis()),
    )?;
    let least = (subject.before + subject.size as u64).saturating_sub(subject.slack());
    let (grown, _) = becomes(TIMEOUT, || Ok(shared_memory()? >= least))?;
    let now = shared_memory()?;
    claims.claim(
        grown,
        &format!(
            "the machine's shared memory has grown from {:#} to {:#}",
            Bytes(subject.before),
            Bytes(now)
        ),
    )?;
    Ok(area)
}

fn share(claims: &mut Claims, subject: &Subject<'_>) -> Result<[Holder; 2]> {
    claims.step("Two other processes find it by its name, and compare it with the file")?;
    claims.say("They map the same memory, for reading only, and hold it under the same name.")?;
    let before = shared_memory()?;
    let start = || Holder::start(&subject.name, subject.file);
    let mut holders = [start()?, start()?];
    for holder in &mut holders {
        let answer = holder.ask(Question::Compare)?;
        let small = answer.own <= OWN_MEMORY;
        let seen = answer.touched >= subject.size as u64 - subject.slack().min(subject.size as u64);
        claims.claim(
            answer.same == subject.size as u64 && small && seen,
            &format!(
                "process {}: {} of {} bytes are the same; it shares {:#}, and its own memory has grown by {:#}",
                holder.pid(),
                answer.same,
                subject.size,
                Bytes(answer.touched),
                Bytes(answer.own)
            ),
        )?;
    }
    let (same, _) = becomes(TIMEOUT, || Ok(shared_memory()? <= before + subject.slack()))?;
    let now = shared_memory()?;
    claims.claim(
        same,
        &format!("the machine's shared memory is at {:#}, as before: there is no second copy", Bytes(now)),
    )?;
    Ok(holders)
}

fn look(claims: &mut Claims, subject: &Subject<'_>, area: &Area<Shared>) -> Result<()> {
    claims.step("Who holds it, and where its pages are")?;
    let rows = subject.rows()?;
    claims.display(&ls::table(&rows).render(claims.terminal()))?;
    claims.claim(rows.len() == 3, &format!("{} processes hold it", rows.len()))?;
    let residency = subject.find()?.residency()?;
    let page = areas::PageSize::base().bytes() as u64;
    claims.claim(
        residency.resident() == residency.size() && residency.size() >= subject.size as u64,
        &format!("all {} pages are in RAM, asked of the kernel one by one:", residency.size() / page),
    )?;
    for (node, bytes) in residency.nodes() {
        claims.display(&format!("  node {node}: {:#}, {} pages", Bytes(bytes), bytes / page))?;
    }
    let verification = area.verify()?;
    claims.claim(verification.holds(), &format!("requested {}: {verification}", area.placement()))?;
    let nodes = subject.allowed.len();
    if nodes > 1 {
        claims.claim(is_even(&residency, subject.allowed), &format!("each of {nodes} nodes has its part"))?;
    }
    Ok(())
}

/// Whether each node has its part: to a hundredth, or to a few pages.
fn is_even(residency: &Residency, nodes: NodeSet) -> bool {
    let part = residency.resident() / nodes.len().max(1) as u64;
    let slack = (part / 100).max(64 * areas::PageSize::base().bytes() as u64);
    nodes.iter().all(|node| residency.on(node).abs_diff(part) <= slack)
}

/// Freezes it; gives also a descriptor that was opened for writing before.
fn freeze(claims: &mut Claims, subject: &Subject<'_>, area: Area<Shared>) -> Result<(Area<Frozen>, File)> {
    claims.step("Freeze it: from now on no process can change it")?;
    let writer = area.as_fd().try_clone_to_owned().map_err(|error| io_error("copy a descriptor", error))?;
    let start = Instant::now();
    let area = area.freeze().map_err(Error::from)?;
    let took = start.elapsed();
    let rows = subject.rows()?;
    claims.claim(
        rows.len() == 3 && rows.iter().all(|row| row.frozen == Some(true)),
        &format!("frozen in {} ms, for all {} holders", took.as_millis(), rows.len()),
    )?;
    Ok((area, File::from(writer)))
}

/// Tries to change a frozen area in every way there is. (What is written is what is there: it would
/// do no harm.)
fn refuse(claims: &mut Claims, subject: &Subject<'_>, area: &Area<Frozen>, writer: &File) -> Result<()> {
    let first = &area[..area.len().min(16)];
    let refused = |result: std::io::Result<()>| match result {
        Ok(()) => (false, "it was done".to_owned()),
        Err(error) => {
            let errno = error.raw_os_error().map(areas::Errno::from_raw);
            (true, errno.map_or_else(|| error.to_string(), |errno| errno.to_string()))
        }
    };
    let (holds, said) = refused(writer.write_all_at(first, 0));
    claims.claim(holds, &format!("pwrite, through a descriptor that was opened for writing: {said}"))?;
    let (holds, said) = refused(writer.set_len(0));
    claims.claim(holds, &format!("ftruncate to nothing: {said}"))?;
    let address = area.as_ptr().addr() as u64;
    let memory = File::options().write(true).open("/proc/self/mem");
    let (holds, said) = refused(memory.and_then(|memory| memory.write_all_at(first, address)));
    claims.claim(holds, &format!("/proc/self/mem, which respects no protection: {said}"))?;
    let clone = subject.find()?.cloning().protection(Protection::READ_WRITE).open();
    let (holds, said) = match clone {
        Ok(_) => (false, "it was mapped".to_owned()),
        Err(error) => (error.kind() == ErrorKind::Frozen, error.facts().unwrap_or("refused").to_owned()),
    };
    claims.claim(holds, &format!("a clone for writing: {said}"))
}

fn lend(claims: &mut Claims, subject: &Subject<'_>, holders: &mut [Holder; 2]) -> Result<()> {
    for holder in holders {
        let answer = holder.ask(Question::CompareLent)?;
        claims.claim(
            answer.same == subject.size as u64 && answer.own <= OWN_MEMORY,
            &format!(
                "process {} compares it in place, as a plain slice: {} bytes are the same",
                holder.pid(),
                answer.same
            ),
        )?;
    }
    Ok(())
}

fn kill_one(claims: &mut Claims, subject: &Subject<'_>, first: Holder, second: Holder) -> Result<Holder> {
    claims.step("Its maker releases it, and one of the two others is killed")?;
    let rows = subject.rows()?;
    claims.claim(
        rows.len() == 2 && rows.iter().all(|row| row.info.pid != std::process::id()),
        &format!("process {} has dropped it: {} others hold it", std::process::id(), rows.len()),
    )?;
    let (killed, mut last) = (first.pid(), second);
    first.kill()?;
    let (gone, _) = becomes(TIMEOUT, || Ok(subject.rows()?.iter().all(|row| row.info.pid != killed)))?;
    let rows = subject.rows()?;
    claims.claim(gone && rows.len() == 1, &format!("process {killed}: SIGKILL, and its row is gone"))?;
    claims.display(&ls::table(&rows).render(claims.terminal()))?;
    let answer = last.ask(Question::CompareLent)?;
    claims.claim(
        answer.same == subject.size as u64,
        &format!("process {} still has it: {} bytes are the same", last.pid(), answer.same),
    )?;
    Ok(last)
}

fn kill_last(claims: &mut Claims, subject: &Subject<'_>, source: &Source, last: Holder) -> Result<()> {
    claims.step("The last holder is killed, and the memory goes with it")?;
    let killed = last.pid();
    let before = shared_memory()?;
    last.kill()?;
    let (gone, took) = becomes(TIMEOUT, || Ok(shared_memory()? <= subject.before + subject.slack()))?;
    let now = shared_memory()?;
    let found = subject.find();
    let lost = found.as_ref().err().is_some_and(|error| error.kind() == ErrorKind::NoSuchArea);
    claims.claim(
        lost && subject.rows()?.is_empty(),
        &format!("process {killed}: SIGKILL, and no area is called {:?} any more", subject.name),
    )?;
    let (unheld, _) = becomes(TIMEOUT, || Ok(source.holders().is_empty()))?;
    claims.claim(unheld, "no process has its memory, mapped or open")?;
    claims.claim(
        gone,
        &format!(
            "the machine's shared memory went from {:#} to {:#} in {} ms; before the tour it was {:#}",
            Bytes(before),
            Bytes(now),
            took.as_millis(),
            Bytes(subject.before)
        ),
    )?;
    if !gone {
        claims.say("(Other programs may have taken shared memory at the same time.)")?;
    }
    Ok(())
}
