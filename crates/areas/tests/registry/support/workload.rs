//! Commands that do a thing many times.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use areas::registry::{self, Source};
use areas::{ErrorKind, Mapping, Protection, Provider, Request, System};
use areas_testing::{Process, maps};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::serve::{Failure, Holdings};
use super::{area, raw};

pub(crate) fn perform(words: &[&str], holdings: &mut Holdings) -> Result<String, Failure> {
    match *words {
        ["publish-many", prefix, count] => publish_many(holdings, prefix, count.parse()?),
        ["find-all", prefix, count] => find_all(prefix, count.parse()?),
        ["publish-most", prefix] => publish_most(holdings, prefix),
        ["use-mappings", count] => use_mappings(holdings, count.parse()?),
        ["breathe"] => breathe(),
        ["drop-every-other"] => {
            holdings.areas.retain(|handle, _| handle % 2 == 1);
            Ok(String::new())
        }
        ["churn-while-removed", name, count] => churn_while_removed(name, count.parse()?),
        ["churn", name, count] => churn(name, count.parse()?),
        ["storm", own, all, millis] => {
            let others: Vec<String> = (0..all.parse::<u32>()?).map(|i| format!("storm-{i}")).collect();
            storm(own, &others, Duration::from_millis(millis.parse()?)).map(|rounds| rounds.to_string())
        }
        ["threads", count, millis] => threads(count.parse()?, Duration::from_millis(millis.parse()?)),
        ["fill-mappings"] => {
            holdings.filler = fill_mappings();
            Ok(holdings.filler.len().to_string())
        }
        ["free-mappings"] => {
            holdings.filler.clear();
            Ok(String::new())
        }
        ["fork-while-reserved", threads, children] => {
            fork_while_reserved(threads.parse()?, children.parse()?)
        }
        ["open-files", wanted] => raise_open_files(wanted.parse()?),
        _ => super::hand::perform(words, holdings),
    }
}

/// Takes mappings until the kernel gives no more: not as areas, which leave some to the rest of the
/// program.
fn fill_mappings() -> Vec<Mapping> {
    let mut all = Vec::with_capacity(100_000);
    // Neighbours of the same protection would be one mapping to the kernel.
    let next = |count: usize| {
        let protection = if count.is_multiple_of(2) { Protection::READ } else { Protection::READ_WRITE };
        System::new().map(&Request::new(4096).protection(protection))
    };
    while let Ok(mapping) = next(all.len()) {
        all.push(mapping);
    }
    all
}

/// Answers with the first and the last id.
fn publish_many(holdings: &mut Holdings, prefix: &str, count: u32) -> Result<String, Failure> {
    let mut ids = Vec::new();
    for i in 0..count {
        let area = area::create(&format!("{prefix}-{i}"), 4096)?;
        ids.push(area.id().ok_or_else(|| "no id".to_owned())?);
        holdings.areas.insert(holdings.next, area);
        holdings.next += 1;
    }
    match (ids.first(), ids.last()) {
        (Some(first), Some(last)) => Ok(format!("{first} {last}")),
        _ => Err("nothing was asked for".to_owned().into()),
    }
}

/// Publishes until it is refused; answers with how many there are, and with the error.
fn publish_most(holdings: &mut Holdings, prefix: &str) -> Result<String, Failure> {
    for i in 0.. {
        match area::create(&format!("{prefix}-{i}"), 4096) {
            Ok(area) => holdings.areas.insert(holdings.next, area),
            Err(Failure::Areas(error)) => {
                return Ok(format!("{i} {:?} {}", error.kind(), format!("{error:#}").replace('\n', " ")));
            }
            Err(failure) => return Err(failure),
        };
        holdings.next += 1;
    }
    Err("nothing refused it".to_owned().into())
}

/// Uses mappings up, to a number of them: private areas, of which no two neighbours have the same
/// protection.
fn use_mappings(holdings: &mut Holdings, wanted: usize) -> Result<String, Failure> {
    let used = || maps::count(Process::Own);
    for i in 0..wanted.saturating_sub(used()?) {
        let protection = if i % 2 == 0 { Protection::READ } else { Protection::READ_WRITE };
        holdings.blocks.push(areas::builder(1).protection(protection).private()?);
    }
    Ok(used()?.to_string())
}

/// What every program does all the time, and what kills it where it fails: takes memory in pieces
/// of all sizes, here and in a new thread.
fn breathe() -> Result<String, Failure> {
    let take = || {
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        let mut left: usize = 64 << 20;
        for size in (6..23).map(|log2| 1_usize << log2).cycle() {
            let Some(less) = left.checked_sub(size) else { break };
            left = less;
            let mut piece = Vec::new();
            piece.try_reserve_exact(size).map_err(|error| format!("{size} bytes: {error}"))?;
            piece.resize(size, 1);
            pieces.push(piece);
        }
        Ok::<usize, String>(pieces.len())
    };
    let here = take()?;
    let thread = std::thread::Builder::new().spawn(take)?;
    let there = thread.join().map_err(|_| "a thread panicked".to_owned())??;
    Ok((here + there).to_string())
}

/// Finds each area, by its name and by its id.
fn find_all(prefix: &str, count: u32) -> Result<String, Failure> {
    for i in 0..count {
        let name = format!("{prefix}-{i}");
        let found = registry::find(&name)?;
        if registry::get(found.id())?.name().as_bytes() != name.as_bytes() {
            return Err(format!("the id of {name} leads elsewhere").into());
        }
    }
    Ok(String::new())
}

/// Publishes and drops; answers with all ids that the areas had.
fn churn(name: &str, count: u32) -> Result<String, Failure> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let area = areas::builder(1).name(name).shared()?;
        ids.push(area.id().ok_or_else(|| "no id".to_owned())?.to_string());
    }
    Ok(ids.join(" "))
}

/// Publishes, lists, keeps, finds and drops, while a process removes the folder: no call fails, and
/// what we have we find.
fn churn_while_removed(name: &str, count: u32) -> Result<String, Failure> {
    for _ in 0..count {
        let area = areas::builder(1).name(name).shared()?;
        let listed = registry::list()?;
        if !listed.areas.iter().any(|source| source.is_own() && Some(source.id()) == area.id()) {
            return Err(format!("{name} does not see itself in a list of {}", listed.areas.len()).into());
        }
        registry::ensure_published()?;
        registry::find(name)?;
    }
    Ok(String::new())
}

/// Publishes, finds, clones and drops under ever the same names, together with others who do so.
/// What is dropped concurrently is not an error; wrong bytes are.
fn storm(own: &str, all: &[String], time: Duration) -> Result<u32, Failure> {
    let end = Instant::now() + time;
    let mut rounds = 0;
    let mut found = 0_usize;
    while Instant::now() < end {
        let area = area::create(own, 3 * 4096)?;
        let id = area.id().ok_or_else(|| "no id".to_owned())?;
        if registry::get(id)?.name().as_bytes() != own.as_bytes() {
            return Err(format!("the id {id} of {own} leads elsewhere").into());
        }
        for other in all {
            let went = |kind| kind == ErrorKind::NoSuchArea;
            match registry::find(other) {
                Ok(source) => match area::clone(&source, other, None) {
                    Ok(_) => found += 1,
                    Err(Failure::Areas(error)) if went(error.kind()) => {}
                    Err(failure) => return Err(failure),
                },
                Err(error) if went(error.kind()) && other != own => {}
                Err(error) => return Err(error.into()),
            }
        }
        let listed = registry::list()?;
        if !listed.areas.iter().any(|area| area.id() == id) {
            return Err(format!("{own} does not see itself in a list of {}", listed.areas.len()).into());
        }
        if let Some(team) = listed.unreadable.first() {
            return Err(format!("{} cannot be read: {}", team.pid, team.reason).into());
        }
        drop(area);
        match registry::get(id) {
            Err(error) if error.kind() == ErrorKind::NoSuchArea => {}
            other => return Err(format!("a dropped area is still there: {other:?}").into()),
        }
        rounds += 1;
    }
    match found >= all.len() {
        true => Ok(rounds),
        false => Err(format!("{rounds} rounds, and others were met only {found} times").into()),
    }
}

/// The same by threads of one process.
fn threads(count: u32, time: Duration) -> Result<String, Failure> {
    let names: Vec<String> = (0..count).map(|i| format!("storm-{i}")).collect();
    let start = Barrier::new(names.len());
    let rounds = std::thread::scope(|scope| {
        let threads: Vec<_> = names
            .iter()
            .map(|own| {
                let (start, names) = (&start, &names);
                scope.spawn(move || {
                    start.wait();
                    storm(own, names, time)
                })
            })
            .collect();
        let mut rounds = 0;
        for thread in threads {
            rounds += thread.join().map_err(|_| Failure::Helper("a thread panicked".to_owned()))??;
        }
        Ok::<u32, Failure>(rounds)
    })?;
    Ok(rounds.to_string())
}

/// Raises the limit of open files as far as it may be, and answers with it.
fn raise_open_files(wanted: u64) -> Result<String, Failure> {
    let mut limit = getrlimit(Resource::Nofile);
    // Beyond the hard limit too, where we have the right.
    let beyond = Rlimit { current: Some(wanted), maximum: Some(wanted) };
    if limit.maximum.is_some_and(|maximum| maximum < wanted) && setrlimit(Resource::Nofile, beyond).is_ok() {
        return Ok(wanted.to_string());
    }
    let possible = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    limit.current = Some(possible);
    setrlimit(Resource::Nofile, limit)?;
    Ok(possible.to_string())
}

/// Threads that publish, look for and drop areas until they are stopped.
#[derive(Debug)]
pub(crate) struct Busy {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<(), String>>>,
}

impl Busy {
    pub(crate) fn start(threads: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..threads)
            .map(|i| {
                let stop = stop.clone();
                std::thread::spawn(move || {
                    let name = format!("busy-{i}");
                    while !stop.load(Ordering::Relaxed) {
                        let area = area::create(&name, 4096).map_err(|error| format!("{error:?}"))?;
                        registry::find(&name).map_err(|error| error.to_string())?;
                        drop(area);
                    }
                    Ok(())
                })
            })
            .collect();
        Busy { stop, threads }
    }

    pub(crate) fn stop(self) -> Result<(), String> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
    }
}

/// Forks so many children, while threads look at an area; each child looks at it, too, and ends.
/// Threads put mappings into a reservation all the while, and drop them; children that are forked
/// in between do the same.
pub(crate) fn fork_while_reserved(threads: usize, children: u32) -> Result<String, Failure> {
    const PART: usize = 4096;
    let reservation = areas::Reservation::new(PART * (threads + 1), PART)?;
    let take = |number: usize| -> areas::Result<()> {
        let request = Request::new(PART).inside(&reservation, number * PART);
        System::new().map(&request).map(drop)
    };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (stop, take) = (&stop, &take);
        for number in 1..=threads {
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let _ = take(number);
                }
            });
        }
        let done = (0..children).try_for_each(|child| {
            let ended = raw::run_forked(Duration::from_secs(30), || take(0).is_ok())?;
            if ended { Ok(()) } else { Err(format!("child {child} could not use it").into()) }
        });
        stop.store(true, Ordering::Relaxed);
        done.map(|()| String::new())
    })
}

pub(crate) fn fork_while_asked(source: &Source, threads: u32, children: u32) -> Result<String, Failure> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let _ = source.info();
                }
            });
        }
        let done = (0..children).try_for_each(|child| {
            let ended = raw::run_forked(Duration::from_secs(30), || source.info().is_ok())?;
            if ended { Ok(()) } else { Err(format!("child {child} could not look at it").into()) }
        });
        stop.store(true, Ordering::Relaxed);
        done.map(|()| String::new())
    })
}
