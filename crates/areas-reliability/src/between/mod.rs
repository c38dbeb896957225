//! Between calls: what if what an operation looks at had changed just before its next system call?
//!
//! Each operation that looks at what another process controls is run once, to count its calls. Then
//! it is run again for each of them and each change: it stops as it enters the call, a hostile peer
//! makes the change, and it goes on. What it answers must be true, or an error; nothing may fault,
//! hang, stay, or get lost.
//!
//! | file | what |
//! |---|---|
//! | `looking.rs`, `looking/acts.rs` | the operations |
//! | `mutation.rs` | the changes |
//! | `peer.rs`, `serving.rs`, `forge.rs` | who makes them, its process, and how it writes past the library |
//! | `looker.rs`, `known.rs` | the process that looks, and what it knows of the trial |
//! | `measured.rs` | whether an area is what it says |
//! | `trial.rs` | one run |
//! | `silent.rs` | a file system that does not answer |
//! | `report.rs` | the chapter |

mod forge;
mod known;
mod looker;
mod looking;
mod measured;
mod mutation;
mod peer;
mod report;
mod serving;
mod silent;
mod trial;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::Options;
use crate::report::{self as reports, Bar};
use looking::Looking;
use mutation::Mutation;
use peer::Scene;
use trial::{Outcome, Strangers, Trial, points};

/// Says where strangers' files are, to the processes of a trial.
const STRANGERS: &str = "AREAS_BETWEEN_STRANGERS";

/// Which changes are tried.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Changes {
    /// This change only
    #[arg(long)]
    mutation: Option<String>,
    /// Before this call only, by its number
    #[arg(long)]
    call: Option<usize>,
}

/// The outcome of an operation and a change.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) operation: String,
    pub(crate) mutation: String,
    pub(crate) points: usize,
    pub(crate) left_out: usize,
    pub(crate) missed: usize,
    /// Why it could not be tried here.
    pub(crate) skipped: Option<String>,
    pub(crate) right: usize,
    /// How often another file was taken, and is kept open.
    pub(crate) kept: usize,
    /// How often it answered with an error, by kind.
    pub(crate) errors: BTreeMap<String, usize>,
    pub(crate) wrong: Vec<String>,
}

pub(crate) fn main(options: &Options, changes: &Changes) -> Result<bool> {
    let operations: Vec<&Looking> = match &options.operation {
        Some(name) => vec![looking::named(name)?],
        None => looking::ALL.iter().collect(),
    };
    let bar = Bar::new("between", operations.len());
    let strangers = Strangers::new()?;
    let no_silence = silent::Silent::missing();
    let mut rows: Vec<Row> = Vec::new();
    let mut number = 0;
    for looking in operations {
        bar.at(looking.name);
        let first = rows.len();
        one(&strangers, no_silence.as_ref(), looking, options, changes, &mut number, &mut rows)
            .with_context(|| format!("between calls of {}", looking.name))?;
        let of = &rows[first..];
        let sum = |count: fn(&Row) -> usize| of.iter().map(count).sum::<usize>();
        bar.say(&format!(
            "{:<17} {} changes, {} points, {} right, {} errors, {} missed, {} left out: {}",
            looking.name,
            of.len(),
            sum(|row| row.points),
            sum(|row| row.right),
            sum(|row| row.errors.values().sum()),
            sum(|row| row.missed),
            sum(|row| row.left_out),
            if of.iter().all(|row| row.wrong.is_empty()) { "good" } else { "WRONG" }
        ));
        for row in of {
            if let Some(why) = &row.skipped {
                bar.say(&format!("  SKIPPED: {}, {}: {why}", row.operation, row.mutation));
            }
        }
        of.iter().flat_map(|row| &row.wrong).for_each(|wrong| bar.say(&format!("  {wrong}")));
    }
    drop(bar);
    if let Some(folder) = &options.report {
        reports::write(folder, "between-calls", &rows, &report::chapter(&rows))?;
    }
    Ok(rows.iter().all(|row| row.wrong.is_empty()))
}

fn one(
    strangers: &Strangers,
    no_silence: Option<&String>,
    looking: &'static Looking,
    options: &Options,
    changes: &Changes,
    number: &mut usize,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let first = rows.len();
    let mut trial = Trial::new(strangers)?;
    let mut references: BTreeMap<Scene, Outcome> = BTreeMap::new();
    let wanted = |mutation: &&Mutation| {
        mutation.fits(looking) && changes.mutation.as_ref().is_none_or(|name| name == mutation.name)
    };
    let _held = match looking.needs() {
        Ok(held) => held,
        Err(why) => {
            let (operation, mutation) = (looking.name.to_owned(), "all of them".to_owned());
            let skipped = Some(why);
            rows.push(Row { operation, mutation, skipped, ..Row::default() });
            return Ok(());
        }
    };
    for mutation in mutation::all().filter(wanted) {
        if let Some(why) = no_silence.filter(|_| mutation.silent) {
            let (operation, mutation) = (looking.name.to_owned(), mutation.name.to_owned());
            let skipped = Some(why.clone());
            rows.push(Row { operation, mutation, skipped, ..Row::default() });
            continue;
        }
        let reference = match references.entry(mutation.scene) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let outcome = trial.run(looking, mutation.scene, None, None)?;
                if !outcome.wrong.is_empty() {
                    let scene = mutation.scene;
                    let wrong =
                        format!("{}, undisturbed, {scene:?}: {}", looking.name, plain(&outcome.wrong));
                    let (operation, mutation) = (looking.name.to_owned(), "none".to_owned());
                    rows.push(Row { operation, mutation, wrong: vec![wrong], ..Row::default() });
                    trial = Trial::new(strangers)?;
                }
                unknown.insert(outcome)
            }
        };
        let (operation, name) = (looking.name.to_owned(), mutation.name.to_owned());
        let mut row = Row { operation, mutation: name, ..Row::default() };
        let mut wrong: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for point in points(&reference.calls) {
            *number += 1;
            if !options.tries(*number) || changes.call.is_some_and(|call| call != point.index) {
                row.left_out += 1;
                continue;
            }
            let outcome = trial
                .run(looking, mutation.scene, Some((&point, mutation)), Some(reference))
                .with_context(|| format!("{} before call {}, {}", mutation.name, point.index, point.call))?;
            row.points += 1;
            row.kept += usize::from(outcome.kept);
            match outcome.kind {
                _ if !outcome.hit => row.missed += 1,
                _ if !outcome.wrong.is_empty() => {}
                Some(kind) => *row.errors.entry(kind).or_default() += 1,
                None => row.right += 1,
            }
            if outcome.hit && !outcome.wrong.is_empty() {
                let at = format!("{} ({})", point.index, point.call);
                wrong.entry(plain(&outcome.wrong)).or_default().push(at);
                trial = Trial::new(strangers)?;
            } else if mutation.changes_folder() {
                // The next one shall meet a folder as it is at first.
                trial = Trial::new(strangers)?;
            }
        }
        // What is wrong in the same way before several calls is one thing.
        row.wrong = wrong
            .into_iter()
            .map(|(what, calls)| {
                format!("{}, {} before {}: {what}", looking.name, mutation.name, listed(&calls))
            })
            .collect();
        rows.push(row);
    }
    // Of a few runs one or two may not come to their call, where a timeout goes by: of all of them
    // hardly any.
    let of = || rows[first..].iter();
    let (missed, points) =
        (of().map(|row| row.missed).sum::<usize>(), of().map(|row| row.points).sum::<usize>());
    if missed > MISSED_AT_LEAST && missed * 5 > points {
        let wrong = format!("{}: {missed} of {points} runs did not come to their call", looking.name);
        let (operation, mutation) = (looking.name.to_owned(), "all of them".to_owned());
        rows.push(Row { operation, mutation, wrong: vec![wrong], ..Row::default() });
    }
    Ok(())
}

/// So few runs that did not come to their call say nothing.
const MISSED_AT_LEAST: usize = 5;

/// What is wrong, without the numbers that differ from run to run, and the first line only of what
/// was said.
fn plain(wrong: &[String]) -> String {
    let text: Vec<&str> = wrong.iter().map(|wrong| wrong.trim()).collect();
    let text = text.join("; ");
    let mut plain = String::new();
    for word in text.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric()) {
        let (word, behind) = match word.char_indices().next_back() {
            Some((at, letter)) if !letter.is_ascii_alphanumeric() => (&word[..at], &word[at..]),
            _ => (word, ""),
        };
        let number =
            word.starts_with("0x") || word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_digit());
        plain += if number { "N" } else { word };
        plain += if behind == "\n" { " " } else { behind };
    }
    plain.chars().take(600).collect()
}

/// The first of them, and how many there are.
fn listed(calls: &[String]) -> String {
    match calls {
        [first] => format!("call {first}"),
        [first, .., last] => format!("{} calls, {first} to {last}", calls.len()),
        [] => "no call".to_owned(),
    }
}

/// Puts the reports of single operations together, each in a folder of the operation's name: so
/// that several are run side by side.
pub(crate) fn together(folder: &Path) -> Result<bool> {
    let mut rows: Vec<Row> = Vec::new();
    for looking in &looking::ALL {
        let path = folder.join(looking.name).join("between-calls.json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let of: Vec<Row> = serde_json::from_str(&text).with_context(|| format!("in {}", path.display()))?;
        rows.extend(of);
    }
    reports::write(folder, "between-calls", &rows, &report::chapter(&rows))?;
    Ok(rows.iter().all(|row| row.wrong.is_empty()))
}

pub(crate) fn operations() {
    for looking in &looking::ALL {
        crate::say(looking.name);
    }
}

pub(crate) fn look(name: &str, database: &Path) -> Result<bool> {
    looker::main(name, database).context("looker")
}

pub(crate) fn be_peer(what: &str) -> Result<bool> {
    let (offer, by, scene) = serde_json::from_str(what).context("what to offer")?;
    serving::serve(offer, by, scene).context("peer")
}

pub(crate) fn be_silent(folder: &Path) -> Result<bool> {
    silent::serve(folder).context("a file system that does not answer")
}

/// What a peer becomes that calls exec.
pub(crate) fn idle() -> bool {
    crate::say("ok");
    let _ = std::io::stdin().lines().next();
    true
}
