//! `cargo xtask test`: every check of the project, one after the other, set-up included; the same
//! for a developer and for CI. The last line is the count of tests, so that no one has to
//! believe that they ran.
//!
//! | file | what |
//! |---|---|
//! | `set_up.rs` | what the steps call, installed |
//! | `plan.rs` | what is going to be done, what is being done |
//! | `steps.rs` | what each step does |
//! | `guests.rs`, `c_guests.rs` | tests on machines with several NUMA nodes, in Rust and in C |
//! | `install.rs` | building with what is installed |
//! | `dist.rs` | the archive and the Debian packages, installed and used |
//! | `crates.rs` | the crates that are published, each built from its package |
//! | `mpi/` | areas under MPI, on two hosts that are namespaces |
//! | `python/` | the Python package, in each Python that is here |
//! | `dependencies.rs` | licences, versions and origins of what we depend on |
//! | `papers.rs` | what ARCHITECTURE.md names and where links lead, as tests |
//! | `native.rs` | the library depends on nothing in C |
//! | `counts.rs`, `skips.rs` | what ran, and what could not |

mod c_guests;
mod counts;
mod crates;
mod dependencies;
mod dist;
mod guests;
mod install;
pub(crate) mod mpi;
mod native;
#[cfg(test)]
mod papers;
mod plan;
mod python;
mod set_up;
mod skips;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use serde_json::Value;

use crate::process::{self, Ran};
use counts::Counts;
use skips::SkipLog;

/// Runs every check, stops at the first that fails (unless it is to keep going), and ends with a
/// line `N passed, N failed`.
///
/// Skipped checks are listed before it. Of a failed step without tests of its own, the step counts
/// as one failure.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Formatting, clippy, tests and a short storm only: no docs, doctests, C or Python programs,
    /// examples, tour, install, containers or guests
    #[arg(long)]
    quick: bool,
    /// No guests: they need QEMU, fetched once, and some minutes
    #[arg(long)]
    no_vm: bool,
    /// Run tests, those in C too, by `cargo test`, and do not install cargo-nextest
    #[arg(long)]
    without_nextest: bool,
    /// Go on with the next step where one fails
    #[arg(long)]
    keep_going: bool,
    /// Only this step, after the set-up
    #[arg(long, visible_alias = "only", value_name = "STEP", value_parser = clap::builder::PossibleValuesParser::new(STEPS.map(|step| step.name)))]
    step: Option<String>,
    /// Only tests whose name contains one of these, and none of the checks that are no tests
    #[arg(value_name = "FILTER")]
    filter: Vec<String>,
}

/// One check.
struct Step {
    name: &'static str,
    /// Part of `--quick`.
    quick: bool,
    /// Runs named tests, so a filter means something to it. The set-up is for all.
    tests: bool,
    run: fn(&Run) -> Result<Done>,
}

const STEPS: [Step; 25] = [
    Step { name: "set-up", quick: true, tests: true, run: set_up::run },
    Step { name: "format", quick: true, tests: false, run: steps::format },
    Step { name: "clippy", quick: true, tests: false, run: steps::clippy },
    Step { name: "docs", quick: false, tests: false, run: steps::docs },
    Step { name: "layers", quick: true, tests: false, run: steps::layers },
    Step { name: "api", quick: false, tests: false, run: steps::api },
    Step { name: "dependencies", quick: true, tests: false, run: dependencies::run },
    Step { name: "pure-rust", quick: true, tests: false, run: steps::pure_rust },
    Step { name: "tests", quick: true, tests: true, run: steps::tests },
    Step { name: "c", quick: false, tests: true, run: steps::c },
    Step { name: "python", quick: false, tests: true, run: python::run },
    Step { name: "doctests", quick: false, tests: true, run: steps::doctests },
    Step { name: "examples", quick: false, tests: false, run: steps::examples },
    Step { name: "tour", quick: false, tests: false, run: steps::tour },
    Step { name: "pictures", quick: false, tests: false, run: steps::pictures },
    Step { name: "install", quick: false, tests: false, run: install::run },
    Step { name: "dist", quick: false, tests: false, run: dist::run },
    Step { name: "crates", quick: false, tests: false, run: crates::run },
    Step { name: "storm", quick: true, tests: false, run: steps::storm },
    Step { name: "bench", quick: false, tests: false, run: steps::bench },
    Step { name: "models", quick: false, tests: false, run: steps::models },
    Step { name: "fuzz", quick: false, tests: false, run: steps::fuzz },
    Step { name: "containers", quick: false, tests: true, run: steps::containers },
    Step { name: "mpi", quick: false, tests: true, run: mpi::run },
    Step { name: "guests", quick: false, tests: true, run: guests::run },
];

/// What a step came to, where it came to an end.
#[derive(Debug, Default)]
struct Done {
    counts: Counts,
    verdict: Verdict,
    /// What was checked elsewhere, for the end of the run.
    notes: Vec<String>,
    /// Tests, without their modules, that ran in a guest and skipped nothing there.
    in_guests: BTreeSet<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Verdict {
    #[default]
    Passed,
    Skipped(String),
    Failed(String),
    NotRun,
}

impl Done {
    fn counted(counts: Counts) -> Self {
        Self { counts, ..Self::default() }
    }

    fn skipped(why: &str) -> Self {
        Self { verdict: Verdict::Skipped(why.into()), ..Self::default() }
    }

    fn failed(counts: Counts, why: String) -> Self {
        Self { counts, verdict: Verdict::Failed(why), ..Self::default() }
    }
}

/// What all steps share.
#[derive(Debug)]
struct Run {
    options: Options,
    skips: SkipLog,
}

impl Run {
    /// Runs `command` and passes its output on; a failure is an error.
    fn command(&self, command: &mut Command) -> Result<Ran> {
        self.limited(command, None)
    }

    /// The same for one of our own programs, which is not to run forever.
    fn program(&self, command: &mut Command, limit: Duration) -> Result<Ran> {
        self.limited(command, Some(limit))
    }

    fn limited(&self, command: &mut Command, limit: Option<Duration>) -> Result<Ran> {
        let ran = self.start(command, limit)?;
        if ran.timed_out {
            bail!("{} was still running after {:?}", process::shown(command), limit.unwrap_or_default());
        }
        if !ran.status.success() {
            bail!("{} failed ({})", process::shown(command), ran.status);
        }
        Ok(ran)
    }

    /// Runs tests, and reads their numbers with `read` however they ended.
    fn counted(&self, command: &mut Command, read: fn(&str) -> Counts) -> Result<Done> {
        let ran = self.start(command, None)?;
        let counts = read(&ran.output);
        if ran.status.success() {
            return Ok(Done::counted(counts));
        }
        Ok(Done::failed(counts, format!("{} failed ({})", process::shown(command), ran.status)))
    }

    fn start(&self, command: &mut Command, limit: Option<Duration>) -> Result<Ran> {
        eprintln!("$ {}", process::shown(command));
        process::tee(command.env(skips::VARIABLE, self.skips.path()), limit)
    }

    /// The same beside other things: its output is shown when it has ended, in one piece.
    fn start_beside(&self, command: &mut Command, limit: Option<Duration>) -> Result<Ran> {
        let shown = process::shown(command);
        eprintln!("$ {shown} &");
        let ran = process::keep(command.env(skips::VARIABLE, self.skips.path()), limit)?;
        eprintln!("$ {shown}\n{}", ran.output);
        Ok(ran)
    }

    /// Runs a cargo that builds, and returns names and files of the programs of `kind`.
    fn executables(&self, command: &mut Command, kind: &str) -> Result<Vec<(String, PathBuf)>> {
        eprintln!("$ {}", process::shown(command));
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            bail!("{} failed ({})", process::shown(command), output.status);
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        let artifact = |line: &str| -> Option<(String, PathBuf)> {
            let message: Value = serde_json::from_str(line).ok()?;
            let ours = message["target"]["kind"].as_array()?.iter().any(|each| each == kind);
            let (name, file) = (message["target"]["name"].as_str()?, message["executable"].as_str()?);
            ours.then(|| (name.to_owned(), file.into()))
        };
        Ok(messages.lines().filter_map(artifact).collect())
    }
}

/// A step and how it went.
struct Row {
    name: &'static str,
    verdict: Verdict,
    seconds: f64,
}

/// The command.
pub(crate) fn main(options: &Options) -> ExitCode {
    match all(options) {
        Ok((counts, good)) => {
            // Alone on its line, after everything else.
            let _ = std::io::stderr().flush();
            println!("{counts}");
            if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("xtask test: {error:#}");
            println!("{}", Counts { failed: 1, ..Counts::default() });
            ExitCode::FAILURE
        }
    }
}

/// What was checked elsewhere than here.
fn say_notes(notes: &[String]) {
    if !notes.is_empty() {
        eprintln!("\nChecked in guests, on machines with several nodes:");
        notes.iter().for_each(|note| eprintln!("  {note}"));
    }
}

fn say_skips(skipped: &BTreeMap<String, Vec<String>>, in_guests: &BTreeSet<String>) {
    if skipped.is_empty() {
        return;
    }
    eprintln!("\nTests that skipped something here:");
    for (test, reasons) in skipped {
        let elsewhere = match in_guests.contains(skips::short(test)) {
            true => " (checked in a guest)",
            false => "",
        };
        eprintln!("  SKIPPED: {test}: {}{elsewhere}", reasons.join("; "));
    }
}

fn all(options: &Options) -> Result<(Counts, bool)> {
    let skips = SkipLog::create(process::target_folder().join("skips.txt"))?;
    let run = Run { options: options.clone(), skips };
    let mut counts = Counts::default();
    let mut rows: Vec<Row> = Vec::new();
    let mut plan = plan::Plan::of(options);
    eprintln!("{plan}");
    let (mut failures, mut notes, mut in_guests) = (Vec::new(), Vec::new(), BTreeSet::new());
    for step in &STEPS {
        let start = Instant::now();
        let done = if !failures.is_empty() && !options.keep_going {
            Done { verdict: Verdict::NotRun, ..Done::default() }
        } else {
            let _reminder = plan.begin(step);
            // An error is a failure of the step, with nothing counted.
            one(step, &run).unwrap_or_else(|error| Done::failed(Counts::default(), format!("{error:#}")))
        };
        let seconds = start.elapsed().as_secs_f64();
        counts += done.counts;
        notes.extend(done.notes);
        in_guests.extend(done.in_guests);
        match &done.verdict {
            Verdict::Passed => eprintln!("<== {}: passed in {seconds:.1} s", step.name),
            // What the options leave out was said at once.
            Verdict::Skipped(why) if plan.has(step) => eprintln!("<== {}: SKIPPED: {why}", step.name),
            Verdict::Failed(why) => {
                eprintln!("<== {}: FAILED in {seconds:.1} s: {why}", step.name);
                // "0 failed" is not to be read over a failure.
                counts.failed += u64::from(done.counts.failed == 0);
                failures.push(format!("{}: {why}", step.name));
            }
            Verdict::Skipped(_) | Verdict::NotRun => {}
        }
        rows.push(Row { name: step.name, verdict: done.verdict, seconds });
    }
    // Some steps have no tests.
    let tests_wanted = options.step.is_none() || !options.filter.is_empty();
    if failures.is_empty() && tests_wanted && counts.passed == 0 {
        counts.failed += 1;
        failures.push(format!("no test ran (filter: {:?})", options.filter));
    }
    let skipped = run.skips.read();
    summarize(&rows);
    say_notes(&notes);
    say_skips(&skipped, &in_guests);
    for failure in &failures {
        eprintln!("\nFAILED: {failure}");
    }
    eprintln!();
    // Its runner counts such a test as passed.
    let skipped = skipped.len() as u64;
    counts.passed = counts.passed.saturating_sub(skipped);
    counts.skipped += skipped;
    Ok((counts, failures.is_empty()))
}

fn one(step: &Step, run: &Run) -> Result<Done> {
    match run.options.leaves_out(step) {
        Some(why) => Ok(Done::skipped(why)),
        None => (step.run)(run),
    }
}

impl Options {
    /// Why a step is not run, if it is not.
    fn leaves_out(&self, step: &Step) -> Option<&'static str> {
        let other = self.step.as_ref().is_some_and(|only| only != step.name) && step.name != "set-up";
        match () {
            () if other => Some("--step"),
            () if self.quick && !step.quick => Some("--quick"),
            () if self.no_vm && step.name == "guests" => Some("--no-vm"),
            () if !self.filter.is_empty() && !step.tests => Some("only tests have names to filter by"),
            () => None,
        }
    }

    /// Whether the step of this name is run.
    fn chooses(&self, name: &str) -> bool {
        STEPS.iter().any(|step| step.name == name && self.leaves_out(step).is_none())
    }
}

fn summarize(rows: &[Row]) {
    eprintln!("\n{:<12} {:>8}  result", "step", "seconds");
    for Row { name, verdict, seconds } in rows {
        let result = match verdict {
            Verdict::Passed => "passed".into(),
            Verdict::Skipped(why) => format!("skipped: {why}"),
            Verdict::Failed(_) => "FAILED".into(),
            Verdict::NotRun => "not run".into(),
        };
        eprintln!("{name:<12} {seconds:>8.1}  {result}");
    }
}
