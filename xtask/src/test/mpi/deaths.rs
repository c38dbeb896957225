//! Killed at any moment, a rank, a host's daemon or `mpirun` itself leaves nothing: no area, no
//! name, no memory.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::built::Built;
use super::hosts;
use super::job::{Job, eventually, signal};
use super::spread::{READY, Scene, meminfo, with_hosts};
use super::{Ended, Test};

pub(super) const TESTS: [Test; 4] = [
    Test { name: "deaths/a rank that holds", run: a_rank },
    Test { name: "deaths/mpirun", run: mpirun },
    Test { name: "deaths/a host's daemon", run: daemon },
    Test { name: "deaths/a rank, in the middle", run: in_the_middle },
];

/// On each of two hosts: enough to be seen in what the whole machine has.
const SIZE: usize = 192 << 20;
const HOSTS: u64 = 2;

/// Starts, and waits until all is held; how much shared memory the machine has then.
fn held(scene: &Scene<'_>) -> Result<(Job, u64)> {
    let before = meminfo("Shmem")?;
    let mut job = scene.spread(&scene.file, &[], &["--freeze"])?;
    job.until(READY)?;
    let during = meminfo("Shmem")?;
    let both = HOSTS * SIZE as u64;
    // Others may use some, or give some back.
    ensure!(
        during > before + both / 2,
        "two areas of {SIZE} bytes: Shmem was {before} before, and is {during}"
    );
    Ok((job, during))
}

/// All is gone, and the memory with it.
fn gone(scene: &Scene<'_>, during: u64) -> Result<Ended> {
    scene.nothing_left()?;
    let both = HOSTS * SIZE as u64;
    eventually("the memory is freed", || Ok(meminfo("Shmem")? + both / 4 * 3 < during))?;
    Ok(Ended::Well)
}

/// The one with this rank.
fn rank(scene: &Scene<'_>, number: usize) -> Option<u32> {
    let ranks = scene.hosts.processes(&scene.hosts.built.spread);
    let wanted = format!("OMPI_COMM_WORLD_RANK={number}\0");
    ranks.into_iter().find(|(_, environment)| environment.contains(&wanted)).map(|(pid, _)| pid)
}

fn a_rank(built: &Built) -> Result<Ended> {
    with_hosts!();
    let scene = Scene::make(built, "a-rank", SIZE)?;
    // A leader that made an area, and one that cloned it: 2 leads the second host.
    for number in [2, 3] {
        let (mut job, during) = held(&scene)?;
        let pid = rank(&scene, number);
        ensure!(pid.is_some(), "no rank {number}");
        pid.into_iter().for_each(|pid| signal(pid, "KILL"));
        job.fails(&["Killed"])?;
        gone(&scene, during)?;
    }
    Ok(Ended::Well)
}

fn mpirun(built: &Built) -> Result<Ended> {
    with_hosts!();
    let scene = Scene::make(built, "mpirun-killed", SIZE)?;
    let (mut job, during) = held(&scene)?;
    signal(job.pid(), "KILL");
    job.end()?;
    gone(&scene, during)
}

fn daemon(built: &Built) -> Result<Ended> {
    with_hosts!();
    let scene = Scene::make(built, "daemon-killed", SIZE)?;
    let (mut job, during) = held(&scene)?;
    let daemons: Vec<(u32, String)> = ["/usr/bin/orted", "/usr/bin/prted"]
        .iter()
        .flat_map(|path| {
            scene.hosts.processes(&std::fs::canonicalize(path).unwrap_or_else(|_| Path::new(path).into()))
        })
        .filter(|(_, environment)| environment.contains(&*scene.hosts.folder().to_string_lossy()))
        .collect();
    ensure!(!daemons.is_empty(), "no daemon of this job was found");
    daemons.iter().for_each(|(pid, _)| signal(*pid, "KILL"));
    job.end()?;
    gone(&scene, during)
}

fn in_the_middle(built: &Built) -> Result<Ended> {
    with_hosts!();
    let scene = Scene::make(built, "in-the-middle", SIZE)?;
    for (round, number) in [0, 1, 2, 3, 0, 2].into_iter().enumerate() {
        let mut job = scene.spread(&scene.file, &[], &["--freeze"])?;
        eventually("the rank has started", || Ok(rank(&scene, number).is_some()))?;
        // Some when ranks meet, some while areas are made, filled, published.
        thread::sleep(Duration::from_millis(150 * round as u64));
        rank(&scene, number).into_iter().for_each(|pid| signal(pid, "KILL"));
        let status = job.end()?;
        ensure!(!status.success(), "a job without rank {number} ended well:\n{}", job.said());
        scene.nothing_left()?;
    }
    Ok(Ended::Well)
}
