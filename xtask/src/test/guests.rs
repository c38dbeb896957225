//! The step that runs `crates/areas/tests/guest_*.rs` on machines with several NUMA nodes, some of
//! the library's unit tests, and C programs (`c_guests.rs`).
//!
//! A file (for the unit tests: `crates/areas/src/testing.rs`) says which machines its tests want in
//! lines `// vm: OPTION…`, with `cargo xtask vm`'s options: one boot a line, or one boot of the
//! default layout if there is none. What follows ` -- ` chooses the tests, as libtest's filters do:
//!
//! ```text
//! // vm: --nodes "1:512 0:256" --append memmap=4M$8M -- low_memory
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;

use super::counts::{Counts, passed_tests};
use super::{Done, Run, c_guests, skips};
use crate::{process, vm};

/// One boot's options, as they stand in a test's source.
#[derive(Debug, Parser)]
#[command(name = "vm:", no_binary_name = true)]
struct Boot {
    #[command(flatten)]
    options: vm::Options,
}

/// The library's own tests are a binary of this name.
const UNIT_TESTS: &str = "areas";
/// Seconds for one boot's tests, where the line does not say.
const TIMEOUT: &str = "600";

pub(super) fn run(run: &Run) -> Result<Done> {
    if !cfg!(all(target_arch = "x86_64", target_env = "gnu")) {
        return Ok(Done::skipped(
            "the guest is x86_64-unknown-linux-gnu, and this machine builds for another",
        ));
    }
    let crates = process::workspace().join("crates");
    let mut sources: Vec<(String, PathBuf)> = Vec::new();
    for package in PACKAGES {
        sources.extend(self::sources(&crates.join(package).join("tests"))?);
    }
    let build = |args: &[&str], kind| {
        let mut build = process::cargo(["test", "--workspace", "--locked", "--no-run"]);
        run.executables(build.arg("--message-format=json-render-diagnostics").args(args), kind)
    };
    let args: Vec<&str> = sources.iter().flat_map(|(name, _)| ["--test", name]).collect();
    let mut built = build(&args, "test")?;
    // Unit tests that want more than one node, swap or an old kernel, too.
    built.extend(build(&["--lib"], "lib")?);
    sources.push((UNIT_TESTS.into(), crates.join("areas/src/testing.rs")));
    for (name, program, source) in c_guests::build(run)? {
        built.push((name.clone(), program));
        sources.push((name, source));
    }
    let waiting = boots_of(run, sources, &built)?;
    let mut counts = Counts::default();
    let (mut failures, mut notes, mut whole) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (what, booted) in several_at_a_time(run, &waiting) {
        let Booted { counts: these, passed, skipped, failure } = booted.with_context(|| what.to_owned())?;
        counts += these;
        notes.push(note(what, &passed));
        let short = passed.iter().map(|test| skips::short(test).to_owned());
        whole.extend(short.filter(|test| !skipped.contains(test)));
        failures.extend(failure.map(|why| format!("{what}: {why}")));
    }
    let mut done = match failures.is_empty() {
        true => Done::counted(counts),
        false => Done::failed(counts, failures.join("\n")),
    };
    (done.notes, done.in_guests) = (notes, whole);
    Ok(done)
}

/// A boot for each `vm:` line of the sources, with those of its tests that are asked for.
fn boots_of(run: &Run, sources: Vec<(String, PathBuf)>, built: &[(String, PathBuf)]) -> Result<Vec<Waiting>> {
    let mut waiting = Vec::new();
    for (name, source) in sources {
        let (_, program) = built
            .iter()
            .find(|(built, _)| *built == name)
            .with_context(|| format!("cargo built no test binary {name}"))?;
        let text =
            fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
        let boots = boots(&text)?.iter().map(|line| Plan::of(line, program)).collect::<Result<Vec<_>>>()?;
        // Not even looked for when named: a test that no boot runs is as good as none.
        let all = if name == UNIT_TESTS { Vec::new() } else { listed(program, &[])? };
        let forgotten: Vec<_> =
            all.iter().filter(|test| !boots.iter().any(|plan| plan.tests.contains(test))).collect();
        ensure!(forgotten.is_empty(), "{}: no vm: line runs {forgotten:?}", source.display());
        for mut plan in boots {
            let filter = &run.options.filter;
            plan.tests.retain(|test| filter.is_empty() || filter.iter().any(|word| test.contains(word)));
            if !plan.tests.is_empty() {
                let what = format!("{name}, vm: {}", plan.options.join(" "));
                waiting.push(Waiting { what, plan, program: program.clone(), source: source.clone() });
            }
        }
    }
    Ok(waiting)
}

/// A boot that is to come.
struct Waiting {
    what: String,
    plan: Plan,
    program: PathBuf,
    source: PathBuf,
}

/// At most: an emulated processor that has something to do keeps one of ours, and mostly one of a
/// guest's has.
const GUESTS_AT_ONCE: usize = 4;

/// Boots a guest for each processor that we have, until all have been. What one says is shown in
/// one piece.
fn several_at_a_time<'a>(run: &Run, waiting: &'a [Waiting]) -> Vec<(&'a str, Result<Booted>)> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(GUESTS_AT_ONCE);
    let booted = process::at_once(waiting, threads, |number, one| {
        let mut said = Said::default();
        let booted = boot(run, one, number, &mut said);
        let (mut errors, mut output) = (io::stderr().lock(), io::stdout().lock());
        let _ = writeln!(errors, "--- guest: {}", one.what)
            .and_then(|()| errors.write_all(&said.errors))
            .and_then(|()| output.write_all(&said.output))
            .and_then(|()| output.flush());
        booted
    });
    waiting.iter().map(|one| one.what.as_str()).zip(booted).collect()
}

/// What a guest said.
#[derive(Default)]
struct Said {
    output: Vec<u8>,
    errors: Vec<u8>,
}

/// The package of the command, and its program, which travels along with the tests of that package.
const COMMAND: &str = "areas-cli";
const PROGRAM: &str = "areas";

/// Packages that have tests for guests.
const PACKAGES: [&str; 3] = ["areas", COMMAND, "areas-recipes"];

/// One boot: the machine, and the tests that are for it.
#[derive(Debug)]
struct Plan {
    options: Vec<String>,
    tests: Vec<String>,
}

impl Plan {
    fn of(line: &str, program: &Path) -> Result<Self> {
        let mut options = words(line)?;
        let filters = match options.iter().position(|word| word == "--") {
            Some(end) => options.split_off(end).split_off(1),
            None => Vec::new(),
        };
        let tests = listed(program, &filters)?;
        ensure!(!tests.is_empty(), "a vm: line names no test: {line}");
        Ok(Plan { options, tests })
    }
}

/// The tests of `program` that pass these filters.
fn listed(program: &Path, filters: &[String]) -> Result<Vec<String>> {
    let output = Command::new(program)
        .args(["--list", "--format=terse"])
        .args(filters)
        .output()
        .with_context(|| format!("cannot run {} to list its tests", program.display()))?;
    let listed = String::from_utf8_lossy(&output.stdout);
    Ok(listed.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// What was checked in a guest, for the end of the run: a line for the machine, and one for each
/// module.
fn note(what: &str, passed: &[String]) -> String {
    let mut modules: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for test in passed {
        let (module, name) = test.rsplit_once("::").unwrap_or(("", test));
        modules.entry(module).or_default().push(name);
    }
    let mut text = format!("{}: {} passed", what.trim_end_matches([':', ' ']), passed.len());
    for (module, names) in modules {
        text += &format!("\n    {module}: {}", names.join(", "));
    }
    text
}

/// The outcome of a boot: the numbers, the tests that passed, those of them that skipped something,
/// and what went wrong.
#[derive(Debug)]
struct Booted {
    counts: Counts,
    passed: Vec<String>,
    skipped: BTreeSet<String>,
    failure: Option<String>,
}

fn boot(run: &Run, one: &Waiting, worker: usize, said: &mut Said) -> Result<Booted> {
    let Waiting { plan: Plan { options, tests }, program, source, .. } = one;
    let back = process::target_folder().join(format!("guest-out-{worker}"));
    let log = back.join("skips.txt");
    let mut args = vec!["--env".into(), format!("{}=/out/skips.txt", skips::VARIABLE)];
    args.extend(["--env".into(), "RUST_BACKTRACE=1".into(), "--out".into(), back.display().to_string()]);
    if !options.iter().any(|word| word.starts_with("--timeout")) {
        args.extend(["--timeout".into(), TIMEOUT.into()]);
    }
    args.extend_from_slice(options);
    // Where it was built it is the tests' own.
    let command = process::target_folder().join("debug").join(PROGRAM);
    if source.starts_with(process::workspace().join("crates").join(COMMAND)) {
        args.extend(["--with".into(), command.display().to_string()]);
    }
    // The tests have the machine to themselves, one after the other.
    args.extend(["--".into(), program.display().to_string(), "--test-threads=1".into(), "--exact".into()]);
    args.extend(tests.iter().cloned());

    if log.exists() {
        fs::remove_file(&log)?;
    }
    let boot = Boot::try_parse_from(args).map_err(|error| anyhow::anyhow!("{}", error.render()))?;
    let outcome = vm::run(&boot.options, &mut said.output, &mut said.errors)?;
    run.skips.add(&log)?;
    let skipped = fs::read_to_string(&log).unwrap_or_default();
    let skipped = skips::by_test(&skipped).into_keys().map(|test| skips::short(&test).to_owned()).collect();
    let output = String::from_utf8_lossy(&said.output);
    let (counts, passed) = (Counts::of_libtest(&output), passed_tests(&output));
    let failure = match outcome.message {
        Some(message) => Some(message),
        None if outcome.code != 0 => Some(format!("exit status {}", outcome.code)),
        None => None,
    };
    Ok(Booted { counts, passed, skipped, failure })
}

/// Names and files of the guest tests.
fn sources(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) =
            path.file_stem().and_then(|name| name.to_str()).filter(|name| name.starts_with("guest_"))
        else {
            continue;
        };
        if path.is_dir() && path.join("main.rs").exists() {
            found.push((name.to_owned(), path.join("main.rs")));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((name.to_owned(), path));
        }
    }
    found.sort();
    Ok(found)
}

/// The `// vm:` lines of a source, or one empty line for the default. Amid other words, as where a
/// comment was wrapped, such a line would not be seen.
fn boots(source: &str) -> Result<Vec<String>> {
    let comments = source.lines().filter_map(|line| line.trim().strip_prefix("// "));
    for comment in comments {
        let is_amid = comment.split(' ').skip(1).any(|word| word == "vm:");
        ensure!(!is_amid || comment.starts_with("vm:"), "vm: does not begin its line: {comment}");
    }
    let lines: Vec<String> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("// vm:"))
        .map(|line| line.trim().into())
        .collect();
    Ok(if lines.is_empty() { vec![String::new()] } else { lines })
}

/// Splits a line at blanks, except within quotes of either kind.
fn words(line: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    if let Some(open) = quote {
        bail!("{open} is not closed in: {line}");
    }
    words.extend(word);
    ensure!(words.iter().all(|word| word != "--out"), "a vm: line cannot have --out: the test step needs it");
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_says_what_machines_it_wants() {
        assert_eq!(boots("fn x() {}\n").unwrap(), [""]);
        assert!(boots("// Why. vm: --nodes \"1:64\"\nfn x() {}").is_err());
        assert_eq!(
            boots("//! Why.\n// vm:\n// vm: --nodes \"1:64 0:64\" -- low\nfn x() {}").unwrap(),
            ["", "--nodes \"1:64 0:64\" -- low"]
        );
    }

    #[test]
    fn words_are_split_as_by_a_shell() {
        assert_eq!(
            words("--nodes \"1:64 0:64\"  -- 'a'b ''").unwrap(),
            ["--nodes", "1:64 0:64", "--", "ab", ""]
        );
        assert!(words("").unwrap().is_empty());
        assert!(words("'a").unwrap_err().to_string().contains("not closed"));
        assert!(words("--out x").is_err());
    }

    #[test]
    fn what_was_checked_is_reported_by_module() {
        let passed = ["pools::a", "policies::b", "pools::c", "d"].map(str::to_owned);
        assert_eq!(
            note("guest_x, vm: ", &passed),
            "guest_x, vm: 4 passed\n    : d\n    policies: b\n    pools: a, c"
        );
    }

    #[test]
    fn a_boot_line_is_the_commands_own_options() {
        for separator in [&["--"][..], &[]] {
            let words =
                [&["--hmat", "--nodes", "1:64"], separator, &["p", "--test-threads=1", "--", "--hmat"]];
            assert!(Boot::try_parse_from(words.concat()).is_ok(), "{words:?}");
        }
        assert!(Boot::try_parse_from(["--nonsense", "--", "p"]).is_err());
    }
}
