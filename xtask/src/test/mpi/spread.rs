//! What `areas-spread` promises: the same bytes on every host, placed, frozen, found by name; or
//! nothing at all, and a clear text.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::built::Built;
use super::hosts::{self, Hosts, NAMES};
use super::job::{Job, eventually, signal};
use super::{Ended, Test};

pub(super) const TESTS: [Test; 8] = [
    Test { name: "spread/the same bytes on both hosts", run: same_bytes },
    Test { name: "spread/more than MPI counts", run: large },
    Test { name: "spread/no such file", run: no_file },
    Test { name: "spread/a host without memory", run: no_memory },
    Test { name: "spread/bytes that change on the way", run: spoilt },
    Test { name: "spread/a file that cannot be read", run: unreadable },
    Test { name: "spread/another checksum", run: other_checksum },
    Test { name: "spread/a name that is taken", run: taken },
];

/// Says that all is there.
pub(super) const READY: &str = "held by";
/// Not whole pages, and not whole chunks.
const SIZE: usize = (24 << 20) + 123;
/// More than an `int` counts.
const LARGE: u64 = (1 << 31) + 12_345;

/// Hosts and a file for one test.
pub(super) struct Scene<'a> {
    pub(super) hosts: Hosts<'a>,
    pub(super) file: PathBuf,
    bytes: Vec<u8>,
}

impl<'a> Scene<'a> {
    pub(super) fn make(built: &'a Built, name: &str, size: usize) -> Result<Self> {
        let hosts = Hosts::make(built, name)?;
        let file = hosts.folder().join("model.bin");
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut bytes = Vec::with_capacity(size + 8);
        while bytes.len() < size {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_ne_bytes());
        }
        bytes.truncate(size);
        fs::write(&file, &bytes).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self { hosts, file, bytes })
    }

    /// `areas-spread` on two ranks a host, with variables for them, and options before the file.
    pub(super) fn spread(&self, file: &Path, variables: &[&str], options: &[&str]) -> Result<Job> {
        let mut command: Command = self.hosts.mpirun(2);
        for variable in variables {
            command.args(["-x", variable]);
        }
        command
            .arg(&self.hosts.built.spread)
            .args(["--name", "model", "--chunk", "4"])
            .args(options)
            .arg(file);
        Job::start(&mut command, &self.hosts.folder().join("log"))
    }

    /// No area is published on any host, none is held, and no rank is left.
    pub(super) fn nothing_left(&self) -> Result<()> {
        eventually("all ranks have ended", || Ok(self.hosts.processes(&self.hosts.built.spread).is_empty()))?;
        for (host, name) in NAMES.iter().enumerate() {
            let left = self.listed(host)?;
            let none = |key: &str| left[key].as_array().is_some_and(Vec::is_empty);
            ensure!(none("areas") && none("unpublished"), "areas are left on {name}: {left}");
        }
        Ok(())
    }

    fn listed(&self, host: usize) -> Result<Value> {
        let said = self.hosts.areas(host, &["ls", "--all", "--json"])?;
        serde_json::from_slice(&said).context("areas ls --json says no JSON")
    }

    /// It fails with these words, and nothing is left.
    fn fails(&self, job: &mut Job, words: &[&str]) -> Result<Ended> {
        job.fails(words)?;
        self.nothing_left()?;
        Ok(Ended::Well)
    }
}

/// Ends a test where there can be no hosts.
macro_rules! with_hosts {
    () => {
        if let Some(why) = hosts::lacking() {
            return Ok(Ended::Skipped(why.to_owned()));
        }
    };
}
pub(super) use with_hosts;

/// What `/proc/meminfo` says, in bytes.
pub(super) fn meminfo(key: &str) -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let kib =
        line.and_then(|line| line.trim().strip_suffix(" kB")).context("no such line in /proc/meminfo")?;
    Ok(kib.trim().parse::<u64>()? << 10)
}

fn same_bytes(built: &Built) -> Result<Ended> {
    with_hosts!();
    let scene = Scene::make(built, "same-bytes", SIZE)?;
    let mut job = scene.spread(&scene.file, &[], &["--freeze", "--nodes", "all", "--compare"])?;
    job.until(READY)?;
    ensure!(job.said().contains("on 2 hosts, held by 4 processes"), "{}", job.said());
    for (host, name) in NAMES.iter().enumerate() {
        // By a process that is no rank.
        ensure!(scene.hosts.areas(host, &["cat", "model"])? == scene.bytes, "other bytes on {name}");
        let listed = scene.listed(host)?;
        let area = &listed["areas"][0];
        let whole = SIZE.next_multiple_of(4096);
        let right = area["frozen"] == true
            && area["size"] == SIZE
            && area["resident"] == whole
            && area["policy"].as_str().is_some_and(|policy| policy.starts_with("bind:"));
        ensure!(
            right && listed["areas"].as_array().is_some_and(|areas| areas.len() == 1),
            "on {name}: {listed}"
        );
        shared(&scene, host, area)?;
    }
    // One signal, to one rank, ends all.
    let ranks = scene.hosts.processes(&built.spread);
    ensure!(ranks.len() == 4, "{} ranks are held", ranks.len());
    signal(ranks[ranks.len() - 1].0, "TERM");
    job.succeeds()?;
    scene.nothing_left()?;
    Ok(Ended::Well)
}

/// Both ranks of a host have the memory that is published there mapped, all of it, and the second
/// one may not write it.
fn shared(scene: &Scene<'_>, host: usize, area: &Value) -> Result<()> {
    let object = area["object"].as_str().context("an area's object")?;
    let inode = object.split_once(':').context("device and inode")?.1;
    let mut mapped = 0;
    for (pid, environment) in scene.hosts.processes(&scene.hosts.built.spread) {
        if !environment.contains(&format!("{}/areas", NAMES[host])) {
            continue;
        }
        let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let of_area = |line: &&str| line.split_ascii_whitespace().nth(4) == Some(inode);
        let lines: Vec<&str> = maps.lines().filter(of_area).collect();
        let bytes: usize = lines.iter().filter_map(|line| length(line)).sum();
        ensure!(bytes >= SIZE, "process {pid} on {} has {bytes} bytes of the area mapped", NAMES[host]);
        ensure!(
            lines.iter().all(|line| !line.contains(" rw")),
            "a frozen area is mapped for writing: {lines:?}"
        );
        mapped += 1;
    }
    ensure!(mapped == 2, "{mapped} ranks on {} have the area", NAMES[host]);
    Ok(())
}

/// How many bytes a line of `maps` is of.
fn length(line: &str) -> Option<usize> {
    let (start, end) = line.split_ascii_whitespace().next()?.split_once('-')?;
    Some(usize::from_str_radix(end, 16).ok()? - usize::from_str_radix(start, 16).ok()?)
}

fn large(built: &Built) -> Result<Ended> {
    with_hosts!();
    // Two areas, the file's pages, and what the rest of the machine is to have.
    let needed = 4 * LARGE;
    let available = meminfo("MemAvailable")?;
    if available < needed {
        return Ok(Ended::Skipped(format!(
            "{needed} bytes of memory are to be available, and there are {available}"
        )));
    }
    let scene = Scene::make(built, "large", 1)?;
    // A sparse file: zeros, but for its ends and what lies around the largest number of an int.
    let mut file = File::options().write(true).open(&scene.file)?;
    file.set_len(LARGE)?;
    for offset in [0, (1 << 31) - 2, LARGE - 4] {
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(offset))?;
        file.write_all(b"mark")?;
    }
    drop(file);
    let mut job = scene.spread(&scene.file, &[], &["--freeze", "--chunk", "1024"])?;
    job.until(READY)?;
    let areas = built.areas.to_string_lossy().into_owned();
    let compare = format!("{areas} cat model | cmp - {}", scene.file.display());
    let output = scene.hosts.on(1, &["sh", "-c", &compare])?;
    ensure!(output.status.success(), "on host-b: {}", String::from_utf8_lossy(&output.stdout));
    signal(job.pid(), "TERM");
    job.end()?;
    scene.nothing_left()?;
    Ok(Ended::Well)
}

fn no_file(built: &Built) -> Result<Ended> {
    with_hosts!();
    let scene = Scene::make(built, "no-file", 1)?;
    let missing = scene.hosts.folder().join("missing.bin");
    scene.fails(
        &mut scene.spread(&missing, &[], &[])?,
        &["rank 0 on host-a: cannot open ", "missing.bin: open(O_RDONLY): No such file"],
    )?;
    scene.fails(&mut scene.spread(scene.hosts.folder(), &[], &[])?, &["is not a regular file"])?;
    fs::write(&missing, "")?;
    scene.fails(&mut scene.spread(&missing, &[], &[])?, &["missing.bin is empty"])?;
    scene.fails(
        &mut scene.spread(&scene.file, &[], &["--huge", "3M"])?,
        &["--huge 3M: one of auto, never, 2M"],
    )
}

fn no_memory(built: &Built) -> Result<Ended> {
    with_hosts!();
    let scene = Scene::make(built, "no-memory", 1)?;
    // Nothing of it is read: it fails before.
    File::options().write(true).open(&scene.file)?.set_len(8 << 30)?;
    scene.hosts.write_agent("ulimit -v 4194304")?;
    scene.fails(
        &mut scene.spread(&scene.file, &[], &["--freeze"])?,
        &["on host-b: cannot ", "8 GiB", "help: "],
    )
}

fn spoilt(built: &Built) -> Result<Ended> {
    with_hosts!();
    let scene = Scene::make(built, "spoilt", SIZE)?;
    let preload = format!("LD_PRELOAD={}", built.spoil.display());
    let mut job = scene.spread(&scene.file, &[&preload, "SPOIL_BYTE=1"], &["--freeze"])?;
    scene.fails(
        &mut job,
        &["on host-b: the checksum of what arrived is ", "the bytes were changed on the way"],
    )
}

fn unreadable(built: &Built) -> Result<Ended> {
    with_hosts!();
    let scene = Scene::make(built, "unreadable", SIZE)?;
    let preload = format!("LD_PRELOAD={}", built.spoil.display());
    let mut job = scene.spread(&scene.file, &[&preload, "SPOIL_READ=9000000"], &["--freeze"])?;
    scene.fails(&mut job, &["rank 0 on host-a: cannot read the file: pread(", "Input/output error"])
}

fn other_checksum(built: &Built) -> Result<Ended> {
    with_hosts!();
    let scene = Scene::make(built, "other-checksum", SIZE)?;
    let other = "0123456789abcdef0123456789abcdef";
    let mut job = scene.spread(&scene.file, &[], &["--checksum", other])?;
    scene.fails(
        &mut job,
        &["the checksum of ", "and not 0123456789abcdef0123456789abcdef as --checksum has it"],
    )?;
    // What it said is the right one.
    let said = job.said();
    let right =
        said.split("model.bin is ").nth(1).and_then(|rest| rest.split(',').next()).context("a checksum")?;
    let mut job = scene.spread(&scene.file, &[], &["--checksum", right])?;
    job.until(READY)?;
    signal(job.pid(), "TERM");
    job.end()?;
    scene.nothing_left()?;
    Ok(Ended::Well)
}

fn taken(built: &Built) -> Result<Ended> {
    with_hosts!();
    let scene = Scene::make(built, "taken", SIZE)?;
    let file = scene.file.to_string_lossy().into_owned();
    scene.hosts.areas(1, &["put", &file, "--name", "model", "--detach", "--quiet"])?;
    let mut job = scene.spread(&scene.file, &[], &["--exclusive"])?;
    job.fails(&["on host-b: ", "\"model\""])?;
    let left = scene.listed(0)?;
    ensure!(left["areas"].as_array().is_some_and(Vec::is_empty), "host-a has an area: {left}");
    scene.hosts.areas(1, &["drop", "model"])?;
    scene.nothing_left()?;
    Ok(Ended::Well)
}
