//! The same through C: `areas.h` against what the rows of the library stand against. What the edge
//! costs is the difference.

use anyhow::{Context as _, Result};

use super::bytes;
use crate::agent::Agent;
use crate::bench::{Bench, Contest, SHORT};
use crate::peers::Work;

/// Our share of the peer's time, at most.
const SHARE: f64 = 1.03;
const FIND: f64 = 1.05;
const MAP: f64 = 1.02;

pub fn run(bench: &mut Bench) -> Result<()> {
    const SIZE: usize = 64 << 10;
    let areas = bench.library("areas").context("compiled by the same command")?;
    let posix = bench.library("posix").context("compiled by the same command")?;
    let raw = bench.library("raw").context("compiled by the same command")?;
    let floor = bench.library("floor").context("compiled by the same command")?;
    let shm = format!("/areas-bench-{}-c", std::process::id());
    // Whoever has published once has joined the registry: that is done once.
    areas.call("peer_share", Work::of_size(SIZE).named("bench: joined"))?;
    for touched in [false, true] {
        let work = Work::of_size(SIZE).touching(touched);
        let case = format!("{}, shared{}", bytes(SIZE), if touched { ", each page touched" } else { "" });
        let ours = areas.side("areas_create, areas_release", "peer_share", work.named("bench: by C"))?;
        bench.contest(
            Contest::new(case, SHORT, ours)
                .counted()
                .against(posix.side("POSIX shm", "peer_share", work.named(&shm))?, SHARE)
                .against(floor.side("the same calls in C", "peer_share", work)?, None),
        )?;
    }
    let mut holder = Agent::start(None)?;
    holder.ask("hold bench-held 1")?;
    let work = Work::of_size(4096).named(&shm);
    posix.call("peer_hold", work)?;
    let found = areas.side(
        "areas_clone_named, areas_release",
        "peer_find",
        Work::of_size(4096).named("bench-held-0"),
    )?;
    let done = bench.contest(
        Contest::new("found, cloned to be written", SHORT, found)
            .counted()
            .against(posix.side("POSIX shm", "peer_find", work)?, FIND)
            .against(floor.side("the same calls in C", "peer_clone", Work::of_size(4096))?, None),
    );
    posix.call("peer_unlink", work)?;
    done?;
    let work = Work::of_size(SIZE);
    let placed = areas.side("areas_create(AREAS_PRIVATE, AREAS_BIND)", "peer_map_place", work)?;
    bench.contest(
        Contest::new(format!("{}, private, placed", bytes(SIZE)), SHORT, placed)
            .counted()
            .against(raw.side("mmap+mbind+munmap", "peer_map_place", work)?, MAP),
    )
}
