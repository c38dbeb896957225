//! MPI_Win_create over areas, in C and in Python, with a third process that finds them; and Open
//! MPI's memory hooks.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::built::Built;
use super::job::{Job, OPTIONS};
use super::{Ended, Test};

pub(super) const TESTS: [Test; 4] = [
    Test { name: "windows in C, two ranks", run: |built| in_c(built, 2) },
    Test { name: "windows in C, four ranks", run: |built| in_c(built, 4) },
    Test { name: "windows in Python", run: in_python },
    Test { name: "memory hooks", run: hooks },
];

/// One-sided calls over TCP: left out by Debian's settings, and asked for here.
const ONE_SIDED: [&str; 3] = ["--mca", "osc", "pt2pt"];
/// With the hooks that a cache of registrations needs, whether or not the network has one.
const PINNED: [&str; 3] = ["--mca", "mpi_leave_pinned", "1"];
/// What each rank puts into the window of the next one.
const MANY: u64 = 512;

/// A folder for one test.
struct Place {
    registry: PathBuf,
    go: PathBuf,
    log: PathBuf,
}

impl Place {
    fn make(built: &Built, name: &str) -> Result<Self> {
        let folder = built.work.join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        Ok(Self { registry: folder.join("areas"), go: folder.join("go"), log: folder.join("log") })
    }

    fn mpirun(&self, ranks: u64) -> Command {
        let mut command = Command::new("mpirun");
        command.args(OPTIONS).args(ONE_SIDED).args(PINNED).args(["-np", &ranks.to_string()]);
        command.env("AREAS_DIR", &self.registry);
        command
    }

    fn areas(&self, built: &Built, words: &[&str]) -> Result<Vec<u8>> {
        let output = Command::new(&built.areas)
            .args(words)
            .env("AREAS_DIR", &self.registry)
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "areas {} ({}): {said}", words.join(" "), output.status);
        Ok(output.stdout)
    }
}

fn in_c(built: &Built, ranks: u64) -> Result<Ended> {
    let place = Place::make(built, "windows")?;
    let mut command = place.mpirun(ranks);
    command.arg(&built.windows).args(["w", "--hold"]).arg(&place.go);
    found_by_name(built, &place, &mut command, ranks)
}

fn in_python(built: &Built) -> Result<Ended> {
    // Debian's, with Debian's mpi4py: the one that is built for Debian's Open MPI.
    let python = "/usr/bin/python3";
    let asked = Command::new(python).args(["-c", "import mpi4py, numpy"]).stdin(Stdio::null()).output();
    if !asked.is_ok_and(|output| output.status.success()) {
        return Ok(Ended::Skipped(format!(
            "{python} has no mpi4py and numpy (Debian: python3-mpi4py python3-numpy)"
        )));
    }
    let place = Place::make(built, "windows-python")?;
    let program = crate::process::workspace().join("crates/areas-capi/examples/mpi/windows.py");
    let mut command = place.mpirun(3);
    command.env("PYTHONPATH", &built.python).env("PYTHONDONTWRITEBYTECODE", "1");
    command.args([python, "-P"]).arg(program).args(["w", "--hold"]).arg(&place.go);
    found_by_name(built, &place, &mut command, 3)
}

/// Runs a program whose ranks wait at the end; looks, from a process that is no rank, what is in
/// the areas; and lets them go.
fn found_by_name(built: &Built, place: &Place, command: &mut Command, ranks: u64) -> Result<Ended> {
    let mut job = Job::start(command, &place.log)?;
    job.until("are right")?;
    for rank in 0..ranks {
        let bytes = place.areas(built, &["cat", &format!("w.{rank}")])?;
        let before = (rank + ranks - 1) % ranks;
        let numbers: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|eight| u64::from_ne_bytes(eight.try_into().unwrap_or_default()))
            .collect();
        ensure!(numbers.len() == 1 << 18, "w.{rank} has {} numbers", numbers.len());
        for i in 0..MANY {
            let at = usize::try_from(i)?;
            let (put, sum) = (numbers[at], numbers[1000 + at]);
            ensure!(
                put == before << 32 | i,
                "w.{rank}: number {i} is {put:#x}, and not what rank {before} put"
            );
            let all = ((ranks * (ranks - 1) / 2) << 32) + ranks * i;
            ensure!(sum == all, "w.{rank}: sum {i} is {sum:#x}, and not {all:#x}");
        }
    }
    let counted = place.areas(built, &["cat", "w.0"])?;
    let at = 2000 * 8;
    let count = counted.get(at..at + 8).and_then(|eight| eight.try_into().ok()).map(u64::from_ne_bytes);
    ensure!(count == Some(ranks * 100), "w.0: the counter is {count:?}");
    fs::write(&place.go, "").context("cannot let the ranks go")?;
    job.succeeds()?;
    let left = String::from_utf8_lossy(&place.areas(built, &["ls", "--all", "--json"])?).into_owned();
    let left: serde_json::Value = serde_json::from_str(&left)?;
    // What is not published may be anybody's: these ranks share the machine's pid namespace.
    ensure!(left["areas"].as_array().is_some_and(Vec::is_empty), "areas are left: {left}");
    Ok(Ended::Well)
}

fn hooks(built: &Built) -> Result<Ended> {
    let place = Place::make(built, "hooks-run")?;
    let mut command = place.mpirun(2);
    command.arg(&built.hooks);
    let mut job = Job::start(&mut command, &place.log)?;
    job.succeeds()?;
    let said = job.said();
    if let Some(why) = said.lines().find_map(|line| line.strip_prefix("SKIPPED: ")) {
        return Ok(Ended::Skipped(why.to_owned()));
    }
    ensure!(said.contains("the hooks saw every area go"), "{said}");
    Ok(Ended::Well)
}
