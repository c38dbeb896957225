//! After all were killed: memory is back, no process has an object of the storm, the folder holds
//! next to nothing, and the next process to come works and clears up.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use areas::{Area, Shared, registry};
use areas_testing::{Process, descriptors, processes};

use crate::finding::Rule;
use crate::sabotage::Sabotage;
use crate::storm::Storm;

/// What other programs of the machine may take in the meantime.
const NOISE: u64 = 32 << 20;
/// How long the kernel may take to tear down what was killed.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What remained.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Remains {
    /// Bytes that the storm's areas had in memory just before the end.
    pub(crate) used: u64,
    /// Shared memory of the machine: before the storm, and after it.
    pub(crate) memory_before: u64,
    pub(crate) memory_after: u64,
    pub(crate) links: usize,
    pub(crate) bytes_of_files: u64,
    pub(crate) descriptors: usize,
}

/// Bytes of memory that all published areas have now, each object counted once.
pub(crate) fn memory_in_use() -> u64 {
    let Ok(listing) = registry::list() else { return 0 };
    let mut seen = HashSet::new();
    let mut sum = 0;
    for source in listing.areas {
        if let Ok(object) = source.object()
            && let Ok(stat) = rustix::fs::fstat(&object)
            && seen.insert(stat.st_ino)
        {
            sum += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        }
    }
    sum
}

/// For sabotage: an area of the storm that outlives it.
pub(crate) fn keep_one(tag: &str) -> Option<Area<Shared>> {
    areas::builder(4096).name(format!("{tag}-kept")).shared().ok()
}

pub(crate) fn check(storm: &Storm, used: u64) -> Result<Remains> {
    let found = |what: &str| storm.findings.report(Rule::Remains, "the supervisor, at the end", what);
    // A reader has no area of anybody's, and no table of the dead once it has looked.
    if let Err(error) = registry::list() {
        storm.findings.report(Rule::Error, "the supervisor, at the end", &format!("list: {error:#}"));
    }
    let tables = crate::proc::tables_of(Process::Own);
    let own = if storm.options.sabotage == Some(Sabotage::Holder) { 2 } else { 0 };
    if tables > own {
        found(&format!(
            "all processes are dead and {tables} tables are still open or mapped by a reader that has looked since"
        ));
    }
    for process in processes() {
        for object in crate::proc::tagged_objects_of(process.into(), &storm.tag) {
            found(&format!("process {process} still has an object of the storm: {object}"));
        }
    }
    let limit = storm.memory_before + NOISE;
    let begun = Instant::now();
    let mut memory_after = crate::proc::shared_memory();
    while memory_after > limit && begun.elapsed() < TIMEOUT {
        std::thread::sleep(Duration::from_millis(20));
        memory_after = memory_after.min(crate::proc::shared_memory());
    }
    if memory_after > limit {
        found(&format!(
            "shared memory was {} bytes before and is {memory_after} bytes {TIMEOUT:?} after all processes were killed; the storm's areas had {used} bytes",
            storm.memory_before
        ));
    }
    let folder = storm.run.join("registry");
    if storm.options.sabotage == Some(Sabotage::Folder) {
        fs::write(folder.join("left-behind"), "x")?;
    }
    let (links, bytes_of_files, odd) = what_remains(&folder);
    odd.iter().for_each(|odd| found(odd));
    next_start(storm, &folder);
    let descriptors = descriptors::count(Process::Own).unwrap_or(0);
    Ok(Remains { used, memory_before: storm.memory_before, memory_after, links, bytes_of_files, descriptors })
}

/// Links and bytes of files in the registry's folder, and what should not be there.
fn what_remains(folder: &Path) -> (usize, u64, Vec<String>) {
    let (mut links, mut bytes, mut odd) = (0, 0, Vec::new());
    let mut waiting = vec![folder.to_owned()];
    while let Some(at) = waiting.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else { continue };
            let depth = path.components().count() - folder.components().count();
            let name = entry.file_name().to_string_lossy().into_owned();
            match (depth, metadata.file_type()) {
                (1, kind) if kind.is_dir() && name.starts_with("pid-") => waiting.push(path),
                (2, kind) if kind.is_dir() && name == "teams" => waiting.push(path),
                (2, kind) if kind.is_file() && name == "control" && metadata.size() <= 64 << 10 => {
                    bytes += metadata.blocks() * 512;
                }
                (3, kind) if kind.is_symlink() => {
                    links += 1;
                    if path.exists() {
                        odd.push(format!(
                            "{} leads to something, although all processes are dead",
                            path.display()
                        ));
                    }
                }
                (_, kind) => {
                    odd.push(format!("{} is left, {} bytes, {kind:?}", path.display(), metadata.size()))
                }
            }
        }
    }
    (links, bytes, odd)
}

/// The first process after the storm.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// A name to publish
    name: String,
}

fn next_start(storm: &Storm, folder: &Path) {
    let name = format!("{}-next", storm.tag);
    let reported = |what: &str| storm.findings.report(Rule::Start, "the first process after the storm", what);
    match Command::new("/proc/self/exe").args(["next", &name]).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => reported(&format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr))),
        Err(error) => reported(&error.to_string()),
    }
    // It died too, and left its own link, which the next one clears away.
    let (links, _, _) = what_remains(folder);
    if links > 1 {
        reported(&format!("{links} links are left although it has looked"));
    }
}

/// Publishes, finds, lists: nothing but what it has itself is there.
pub(crate) fn next(options: &Options) -> Result<()> {
    let area = areas::builder(4096).name(&options.name).shared()?;
    let found = registry::find(&options.name)?;
    ensure!(Some(found.id()) == area.id(), "found {}, and published {:?}", found.id(), area.id());
    let listing = registry::list()?;
    if let Some(other) = listing.areas.iter().find(|source| !source.is_own()) {
        bail!("area {} {:?} of process {} is listed", other.id(), other.name(), other.pid());
    }
    if let Some(team) = listing.unreadable.first() {
        bail!("process {} is listed as unreadable: {}", team.pid, team.reason);
    }
    let links = registry::path()?.context("there is a registry")?.join("teams");
    let count = fs::read_dir(&links)?.count();
    ensure!(count == 1, "{count} links in {} instead of our own", links.display());
    Ok(())
}
