//! What looking costs as there are more areas and more teams: system calls, counted by a tracer,
//! and times.
//!
//! Nothing is asserted but that what is found is right. The calls are facts; the times are this
//! machine's, and reported as ratios to those with one area.

mod looker;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::call::END;
use crate::operation::Subject;
use crate::report;
use crate::stage::Stage;
use crate::trace::{Ended, Side, Then, Tracer};
use looker::{LIST, OPERATIONS};
pub(crate) use looker::{Size, hold, look};

/// From one area to a hundred thousand, and to a thousand teams.
const SIZES: [Size; 6] = [
    Size { teams: 1, each: 1 },
    Size { teams: 1, each: 1_000 },
    Size { teams: 1, each: 15_000 },
    Size { teams: 8, each: 12_500 },
    Size { teams: 100, each: 1 },
    Size { teams: 1_000, each: 1 },
];
/// Lookers whose times are taken, one after the other: the median of them counts.
const LOOKERS: usize = 5;

/// Where it is written down.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// Writes the results there, as Markdown and JSON
    #[arg(long, value_name = "FOLDER")]
    report: Option<PathBuf>,
}

/// What the operations cost at one size.
#[derive(Clone, Debug, Serialize)]
struct Column {
    size: Size,
    /// The system calls of each operation, in order.
    calls: Vec<Vec<String>>,
    /// The median time of each, in nanoseconds.
    times: Vec<f64>,
}

/// Processes that hold areas, killed with the value.
struct Holders(Vec<Child>);

impl Holders {
    fn start(stage: &Stage, size: Size) -> Result<Self> {
        let mut holders = Holders(Vec::new());
        for team in 0..size.teams {
            let args = ["holder", &format!("area-{team}"), &size.each.to_string()];
            let mut command = stage.command(&args)?;
            holders.0.push(
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("start a holder")?,
            );
        }
        for holder in &mut holders.0 {
            let mut line = String::new();
            let stdout = holder.stdout.take().context("its output")?;
            BufReader::new(stdout).read_line(&mut line)?;
            ensure!(line.starts_with("holds "), "a holder could not hold {} areas", size.each);
        }
        Ok(holders)
    }
}

impl Drop for Holders {
    fn drop(&mut self) {
        for holder in &mut self.0 {
            let _ = holder.kill();
        }
        for holder in &mut self.0 {
            let _ = holder.wait();
        }
    }
}

fn looker(stage: &Stage, size: Size, traced: bool) -> Result<Child> {
    let numbers = [size.teams.to_string(), size.each.to_string()];
    let mut args = vec!["looker", "--teams", &numbers[0], "--each", &numbers[1]];
    if traced {
        args.push("--traced");
    }
    stage.command(&args)?.stdout(Stdio::piped()).spawn().context("start a looker")
}

/// The system calls of each operation.
fn count(stage: &Stage, size: Size) -> Result<Vec<Vec<String>>> {
    let mut child = looker(stage, size, true)?;
    let mut all = Vec::new();
    let mut calls = Vec::new();
    let ended = Tracer::attach(&child, Subject::Itself)?.follow(&mut |stop| {
        if stop.side == Side::Entry {
            match stop.call.number {
                END => all.push(std::mem::take(&mut calls)),
                _ => calls.push(stop.call.name()),
            }
        }
        Ok(Then::GoOn)
    })?;
    let _ = child.wait();
    ensure!(ended == Ended::Exited(0), "the looker ended as {ended:?}");
    ensure!(all.len() == OPERATIONS.len(), "{} operations were seen", all.len());
    Ok(all)
}

/// The median time of each operation.
fn time(stage: &Stage, size: Size) -> Result<Vec<f64>> {
    let mut samples = vec![Vec::new(); OPERATIONS.len()];
    for _ in 0..LOOKERS {
        let mut child = looker(stage, size, false)?;
        let mut text = String::new();
        child.stdout.take().context("its output")?.read_to_string(&mut text)?;
        ensure!(child.wait()?.success(), "a looker failed");
        for (samples, line) in samples.iter_mut().zip(text.lines()) {
            samples.push(line.parse::<f64>().context("a time")?);
        }
    }
    let median = |mut samples: Vec<f64>| {
        samples.sort_by(f64::total_cmp);
        samples.get(samples.len() / 2).copied().context("no time was reported")
    };
    samples.into_iter().map(median).collect()
}

/// Counts and times at all sizes, and writes the outcome.
pub(crate) fn main(options: &Options) -> Result<bool> {
    looker::raise_limit()?;
    let mut columns = Vec::new();
    for size in SIZES {
        let stage = Stage::new()?;
        let holders = Holders::start(&stage, size)?;
        let calls = count(&stage, size)?;
        let times = time(&stage, size)?;
        drop(holders);
        println!("{}: done", title(size));
        columns.push(Column { size, calls, times });
    }
    // `cargo xtask vm` says so to what it runs.
    let guest = std::env::var_os("AREAS_GUEST").is_some();
    let chapter = chapter(&columns, guest);
    match &options.report {
        Some(folder) => {
            report::write(folder, if guest { "scale-in-a-guest" } else { "scale" }, &columns, &chapter)?
        }
        None => println!("{chapter}"),
    }
    Ok(true)
}

fn title(size: Size) -> String {
    let (teams, each) = (size.teams, size.each);
    let noun =
        |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    format!("{} in {}", noun(teams * each, "area", "areas"), noun(teams, "team", "teams"))
}

fn chapter(columns: &[Column], guest: bool) -> String {
    let (title, command) = match guest {
        true => ("Scale in a guest", "cargo xtask reliability --guest"),
        false => ("Scale", "cargo xtask reliability"),
    };
    let mut text = format!(
        "# {title}\n\n\
         Made by `{command}`, Linux {}. Other teams hold areas; a looker, which holds as many areas as each of them, looks. \
         What it finds is checked each time. The limits that areas meet, and a thousand teams that come and die, are tests: \
         `crates/areas/tests/registry/scale.rs`.\n\n\
         ## System calls\n\nCounted by a tracer, once the looker has met the teams and the folder has been at rest for a moment (within 0.1 s of a \
         change it is read again at each call: its time is a clock tick coarse). They do not depend on how many areas or teams there are, but \
         for `list`, which reads the folder and asks each team whether it lives.\n\n",
        report::kernel(),
    );
    let calls = |column: &Column, operation: usize| column.calls[operation].len().to_string();
    text += &table("calls", columns, &calls);
    text += "\nWhich they are:\n\n";
    for (operation, name) in OPERATIONS.iter().enumerate().filter(|&(operation, _)| operation != LIST) {
        let calls = report::folded(&columns[0].calls[operation]);
        let _ = writeln!(text, "- **{name}**: {}", if calls.is_empty() { "none" } else { &calls });
    }
    let _ = write!(
        text,
        "\n## Times\n\nMedians of {LOOKERS} lookers' medians, in nanoseconds with one area, and as ratios to that. (Of `list`: an area; \
         one area pays for the folder alone.) They are this machine's, on that day, next to whatever else ran; nothing is asserted. A name that is \
         looked for the first time, or that no area has, is looked up in each team's table: that grows with the teams, by memory accesses \
         alone.\n\n",
    );
    if guest {
        text += "The guest's processors are emulated, an instruction at a time: what costs much and what little is not what it is on a \
                 machine.\n\n";
    }
    let time = |column: &Column, operation: usize| {
        let of = |column: &Column| match operation {
            LIST => column.times[operation] / ((column.size.teams + 1) * column.size.each) as f64,
            _ => column.times[operation],
        };
        match column.size == SIZES[0] {
            true => format!("{:.0} ns", of(column)),
            false => format!("{:.2}", of(column) / of(&columns[0])),
        }
    };
    text += &table("time", columns, &time);
    text
}

/// A row for each operation, a column for each size.
fn table(title: &str, columns: &[Column], cell: &dyn Fn(&Column, usize) -> String) -> String {
    let mut text = format!("| {title} |");
    columns.iter().for_each(|column| text += &format!(" {} |", self::title(column.size)));
    text += "\n|---|";
    columns.iter().for_each(|_| text += "--:|");
    text += "\n";
    for (operation, name) in OPERATIONS.iter().enumerate() {
        text += &format!("| {name} |");
        columns.iter().for_each(|column| text += &format!(" {} |", cell(column, operation)));
        text += "\n";
    }
    text
}
