//! The processes of a trial of scale: holders, which only hold, and the looker, whose calls are
//! counted and timed.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use areas::registry::{self, Source};
use areas::{Area, AreaId, ErrorKind, Shared};
use nix::sys::ptrace;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, raise};

use crate::call::{BEGIN, END};
use crate::victim::mark;

/// What is looked at. Each is timed by itself.
pub(super) const OPERATIONS: [&str; 11] = [
    "find, a name for the first time",
    "find, a name found before",
    "find, a name that no area has",
    "get by id, another team's",
    "info, another team's",
    "next, another team's",
    "get by id, own",
    "info, own",
    "next, own",
    "at (whose address is it), own",
    "list",
];
/// Of those, the one that can be done once a name only, and the one whose cost is that of all
/// areas.
const FIRST: usize = 0;
pub(super) const LIST: usize = 10;

/// How many areas there are.
#[derive(clap::Args, Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Size {
    /// Other teams
    #[arg(long)]
    pub(super) teams: usize,
    /// Areas of each of them, and of the looker
    #[arg(long)]
    pub(super) each: usize,
}

/// As many open files as may be: for root at least those of the largest trial, beyond the hard
/// limit (which is 4,096 where no process has raised it).
pub(super) fn raise_limit() -> Result<()> {
    const WANTED: u64 = 20_000;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).context("getrlimit")?;
    if most < WANTED && setrlimit(Resource::RLIMIT_NOFILE, WANTED, WANTED).is_ok() {
        return Ok(());
    }
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("setrlimit")
}

fn publish(prefix: &str, count: usize) -> Result<Vec<Area<Shared>>> {
    raise_limit()?;
    let make = |i| Ok(areas::builder(4096).name(format!("{prefix}-{i}")).shared()?);
    (0..count).map(make).collect()
}

/// A holder's own part: holds until it is killed or no process listens any more.
pub(crate) fn hold(prefix: &str, count: usize) -> Result<bool> {
    let held = publish(prefix, count)?;
    println!("holds {}", held.len());
    std::io::stdout().flush()?;
    let _ = std::io::stdin().lines().next();
    Ok(true)
}

/// What the looker looks for.
struct Targets {
    names: Vec<String>,
    /// Another team's areas, and one's own.
    foreign: Vec<Source>,
    own: Vec<Source>,
    pid: u32,
}

impl Targets {
    /// Some of each team, all over the place. They are met here, and not yet looked for by name.
    fn choose(size: Size) -> Result<Self> {
        const MAX: usize = 1_000;
        let listing = registry::list()?;
        ensure!(listing.unreadable.is_empty(), "{:?}", listing.unreadable);
        let (own, foreign): (Vec<Source>, Vec<Source>) = listing.areas.into_iter().partition(Source::is_own);
        ensure!(foreign.len() == size.teams * size.each, "there are {} areas", foreign.len());
        ensure!(own.len() == size.each, "there are {} areas of our own", own.len());
        // A step that has no divisor in common with the count meets each once.
        let spread = |sources: &[Source]| -> Vec<Source> {
            let step = (7_919 % sources.len()).max(1);
            (0..sources.len().min(MAX)).map(|i| sources[i * step % sources.len()].clone()).collect()
        };
        let foreign = spread(&foreign);
        Ok(Targets {
            names: foreign.iter().map(|source| source.name().to_string()).collect(),
            pid: foreign[0].pid(),
            own: spread(&own),
            foreign,
        })
    }

    /// One of the operations, on the `i`-th target.
    fn run(&self, operation: usize, i: usize) -> areas::Result<()> {
        let foreign = &self.foreign[i % self.foreign.len()];
        let own = &self.own[i % self.own.len()];
        let same = |id: AreaId, source: &Source| assert_eq!(id, source.id(), "another area was found");
        match operation {
            0 => same(registry::find(&self.names[i % self.names.len()])?.id(), foreign),
            1 => same(registry::find(&self.names[0])?.id(), &self.foreign[0]),
            2 => match registry::find("absent") {
                Err(error) if error.kind() == ErrorKind::NoSuchArea => {}
                Err(error) => return Err(error),
                Ok(found) => panic!("{found:?} was found"),
            },
            3 => same(registry::get(foreign.id())?.id(), foreign),
            4 => assert_eq!(foreign.info()?.size, 4096),
            5 => drop(registry::next(self.pid, 1)?),
            6 => same(registry::get(own.id())?.id(), own),
            7 => assert_eq!(own.info()?.size, 4096),
            8 => drop(registry::next(std::process::id(), own.address())?),
            9 => same(registry::id_at(own.address() + 4095)?, own),
            _ => drop(registry::list()?),
        }
        Ok(())
    }

    /// The median time of one operation, in nanoseconds.
    fn time(&self, operation: usize) -> Result<f64> {
        let (rounds, calls) = match operation {
            FIRST => (self.names.len(), 1),
            LIST => (5, 1),
            _ => (31, 100),
        };
        let mut times = Vec::with_capacity(rounds);
        for round in 0..rounds {
            let start = Instant::now();
            for call in 0..calls {
                self.run(operation, round * calls + call)?;
            }
            times.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(u32::try_from(calls)?));
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    }
}

/// The looker's own part: reports the times of all operations, or makes each of them once under a
/// tracer.
pub(crate) fn look(size: Size, traced: bool) -> Result<bool> {
    let _held = publish("own", size.each)?;
    let targets = Targets::choose(size)?;
    // A folder that changed within the last clock ticks is read at each call, as its time may hide
    // another change.
    std::thread::sleep(Duration::from_millis(300));
    // What is done once for a team and not again.
    targets.run(2, 0)?;
    targets.run(5, 0)?;
    if !traced {
        for operation in 0..OPERATIONS.len() {
            println!("{}", targets.time(operation)?);
        }
        return Ok(true);
    }
    ptrace::traceme().context("PTRACE_TRACEME")?;
    raise(Signal::SIGSTOP).context("raise")?;
    for operation in 0..OPERATIONS.len() {
        mark(BEGIN);
        let done = targets.run(operation, 0);
        mark(END);
        done?;
    }
    Ok(true)
}
