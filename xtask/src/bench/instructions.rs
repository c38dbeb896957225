//! Instructions of the hot paths, counted by callgrind: a number that does not depend on what else
//! the machine does, so that a regression shows without a clock. What is expected is in
//! `bench/instructions.txt`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::process;

/// In percent: hashing and allocation vary a little from run to run, the C library from machine to
/// machine.
const TOLERANCE: u64 = 5;
/// Instructions that a path may always differ by.
const SLACK: u64 = 20;
/// Below its name, a path's count.
type Counts = BTreeMap<String, u64>;

/// Counts, and compares or writes down.
pub(super) fn run(program: &Path, update: bool) -> Result<String> {
    let counts = count(program)?;
    let file = process::workspace().join("bench/instructions.txt");
    if update {
        fs::write(&file, written(&counts)).with_context(|| format!("cannot write {}", file.display()))?;
        return Ok(format!("written: {}", file.display()));
    }
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let expected = read(&text)?;
    let (more, less) = compare(&expected, &counts);
    ensure!(
        more.is_empty(),
        "instructions of a hot path: {}; if that is meant, `cargo xtask bench --instructions --update` writes it down",
        more.join("; ")
    );
    let mut said = format!("instructions of {} hot paths are as written down", counts.len());
    if !less.is_empty() {
        // Good news is written down by whoever brought it.
        let _ = write!(said, ", or fewer: {}", less.join("; "));
    }
    Ok(said)
}

/// What takes more instructions than it did, and what takes fewer.
fn compare(expected: &Counts, counts: &Counts) -> (Vec<String>, Vec<String>) {
    let (mut more, mut less) = (Vec::new(), Vec::new());
    for (name, &now) in counts {
        let Some(&then) = expected.get(name) else {
            more.push(format!("{name} is not written down"));
            continue;
        };
        let allowed = (then * TOLERANCE / 100).max(SLACK);
        if now > then + allowed {
            more.push(format!("{name}: {now}, and it was {then}"));
        } else if now + allowed < then {
            less.push(format!("{name}: {now}, and it was {then}"));
        }
    }
    more.extend(
        expected.keys().filter(|name| !counts.contains_key(*name)).map(|name| format!("{name} is gone")),
    );
    (more, less)
}

const HEAD: &str = "\
# Instructions in user space of what programs do all the time, one time each, counted by callgrind.
# `cargo xtask bench --instructions --update` writes this file. The paths: bench/src/hot_paths.rs.
";

fn written(counts: &Counts) -> String {
    let lines: String = counts.iter().map(|(name, count)| format!("{name:<20} {count:>7}\n")).collect();
    HEAD.to_owned() + &lines
}

fn read(text: &str) -> Result<Counts> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let (Some(name), Some(count)) = (words.next(), words.next()) else { bail!("{line:?}") };
            Ok((name.to_owned(), count.parse().with_context(|| line.to_owned())?))
        })
        .collect()
}

/// A part of callgrind's output for each path, the first half of them from warming up.
fn count(program: &Path) -> Result<Counts> {
    let output = Command::new(program).args(["hot-paths", "--list"]).output()?;
    ensure!(output.status.success(), "areas-bench hot-paths --list failed ({})", output.status);
    let paths = read(&String::from_utf8(output.stdout)?)?;
    super::built_for_peers()?;
    let work = Work::new()?;
    let out = work.0.join("callgrind");
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind", "--collect-atstart=no"]);
    // Of several names to collect by it takes the first only, and of a pattern to dump after none.
    command.arg("--toggle-collect=hot_*");
    for name in paths.keys() {
        command.arg(format!("--dump-after={name}"));
    }
    command
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .arg("hot-paths")
        // As if it had been started by itself, which valgrind would not follow.
        .env("AREAS_BENCH_INSIDE", &work.0)
        .env("AREAS_BENCH_C", process::target_folder().join("release/libareas.so"))
        .env("AREAS_DIR", work.0.join("registry"));
    eprintln!("$ valgrind --tool=callgrind areas-bench hot-paths");
    let ran = process::tee(&mut command, None)?;
    ensure!(ran.status.success(), "areas-bench hot-paths failed under valgrind ({})", ran.status);
    let mut counts = Counts::new();
    // Later parts overwrite earlier ones: the second time counts.
    for part in 1..=paths.len() * 2 {
        let file = work.0.join(format!("callgrind.{part}"));
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let (name, instructions) =
            part_of(&text).with_context(|| format!("{} has no count", file.display()))?;
        let times = paths.get(name).with_context(|| format!("{name} is no path"))?;
        counts.insert(name.to_owned(), instructions / times);
    }
    ensure!(counts.len() == paths.len(), "{} paths of {} were counted", counts.len(), paths.len());
    Ok(counts)
}

/// Whose part it is, and its instructions.
fn part_of(text: &str) -> Option<(&str, u64)> {
    let field = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    Some((field("desc: Trigger: --dump-after=")?.trim(), field("totals: ")?.trim().parse().ok()?))
}

/// A folder that goes with this.
struct Work(PathBuf);

impl Work {
    fn new() -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let base = Path::new("/dev/shm");
        let base = if base.is_dir() { base.to_owned() } else { std::env::temp_dir() };
        let folder = base.join(format!("areas-instructions-{}", std::process::id()));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Work(folder))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, u64)]) -> Counts {
        of.iter().map(|&(name, count)| (name.to_owned(), count)).collect()
    }

    #[test]
    fn more_is_a_failure_and_less_is_news() {
        let then = counts(&[("same", 1_000), ("more", 1_000), ("less", 1_000), ("tiny", 2), ("gone", 1)]);
        let now = counts(&[("same", 1_049), ("more", 1_051), ("less", 949), ("tiny", 21), ("new", 5)]);
        let (more, less) = compare(&then, &now);
        assert_eq!(more, ["more: 1051, and it was 1000", "new is not written down", "gone is gone"]);
        assert_eq!(less, ["less: 949, and it was 1000"]);
    }

    #[test]
    fn what_is_written_is_read() {
        let some = counts(&[("hot_a", 12), ("hot_b", 3_456_789)]);
        assert_eq!(read(&written(&some)).unwrap(), some);
        assert!(read("hot_a many").is_err());
    }

    #[test]
    fn parts_are_read() {
        let part = "part: 4\ndesc: Trigger: --dump-after=hot_find\nfn=(1) x\ntotals: 5200\n";
        assert_eq!(part_of(part), Some(("hot_find", 5_200)));
        assert_eq!(part_of("desc: Trigger: Program termination\ntotals: 3\n"), None);
    }
}
