//! Whose is this address (BeOS's `area_for`): among many areas, and by two threads at once.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::agent::{Agent, raise_limit};
use crate::bench::{Bench, Contest, SHORT};
use crate::measure::Side;
use crate::peers::Work;

/// A folder for a registry of its own.
pub fn own_registry(name: &str) -> Result<PathBuf> {
    let inside = std::env::var_os(crate::INSIDE).context("run by the outer program")?;
    let folder = PathBuf::from(inside).join(name);
    std::fs::create_dir_all(&folder)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&folder, mode)?;
    Ok(folder)
}

pub fn run(bench: &mut Bench) -> Result<()> {
    const WANTED: u64 = 60_000;
    // An area is a descriptor; some are left for the rest.
    let possible = WANTED.min(raise_limit().saturating_sub(200));
    if possible < WANTED {
        bench.skip(
            "60,000 areas",
            format!("a process may have {} open files here: {possible} areas instead", possible + 200),
        );
    }
    let count = bench.or_smoke(possible, 10);
    let (one, many) = (own_registry("whose-one")?, own_registry("whose-many")?);
    let mut of_one = Agent::start(Some(&one))?;
    of_one.ask("hold own 1")?;
    let mut of_many = Agent::start(Some(&many))?;
    of_many.ask(&format!("hold own {count}")).context("many areas")?;
    bench.contest(
        Contest::new("id_at", SHORT, of_many.side(&format!("{count} areas"), "time at {}"))
            .against(of_one.side("1 area", "time at {}"), 2.0),
    )?;
    // What looking in so many of them is, without another thread that may change them.
    let floor = bench.library("floor").context("compiled by the same command")?;
    let work = Work::of_size(usize::try_from(count)?);
    bench.contest(
        Contest::new(
            format!("id_at, {count} areas, in no order"),
            SHORT,
            of_many.side("id_at", "time at {}"),
        )
        .against(floor.side("a sorted array in C, searched without branches", "peer_search", work)?, None),
    )?;
    let time = bench.time(SHORT, &mut of_many.side("many", "time at {}"))?;
    bench.number(format!("id_at, {count} areas, at addresses in no order"), time, "ns", 50.0);
    // Agents are on the CPU that their maker was pinned to.
    crate::machine::pin(false);
    drop(of_many);
    let mut of_many = Agent::start(Some(&many))?;
    of_many.ask(&format!("hold own {count}"))?;
    // Two threads at once take turns with one: both with the same agent, so that all is the same
    // but the number.
    let talk = std::cell::RefCell::new(of_many);
    let side = |who: &'static str, threads: u32| {
        let talk = &talk;
        Side::new(who, move |times| talk.borrow_mut().ask(&format!("threads {threads} {times}")))
    };
    bench.contest(
        Contest::new("id_at, each thread's time", SHORT, side("2 threads at once", 2))
            .against(side("1 thread", 1), 1.15),
    )?;
    Ok(())
}
