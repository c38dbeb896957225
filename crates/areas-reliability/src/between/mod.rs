//! Between calls: what if what an operation looks at had changed just before its next system call?
//!
//! Each operation that looks at what another process controls is run once, to count its calls. Then
//! it is run again for each of them and each change: it stops as it enters the call, a hostile peer
//! makes the change, and it goes on. What it answers must be true, or an error; nothing may fault,
//! hang, stay, or get lost.
//!
//! | file | what |
//! |---|---|
//! | `looking/` | the operations |
//! | `mutation/` | the changes |
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

/// What a row says of changes that is about no single one.
const ALL_OF_THEM: &str = "all of them";

impl Row {
    fn new(looking: &Looking, mutation: &str) -> Self {
        Row { operation: looking.name.to_owned(), mutation: mutation.to_owned(), ..Row::default() }
    }

    fn count(&mut self, outcome: Outcome) {
        self.points += 1;
        self.kept += usize::from(outcome.kept);
        match outcome.kind {
            _ if !outcome.hit => self.missed += 1,
            _ if !outcome.wrong.is_empty() => {}
            Some(kind) => *self.errors.entry(kind).or_default() += 1,
            None => self.right += 1,
        }
    }
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
    let mut trials = Trials { looking, options, changes, number, strangers, trial: Trial::new(strangers)? };
    let mut references: BTreeMap<Scene, Outcome> = BTreeMap::new();
    let wanted = |mutation: &&Mutation| {
        mutation.fits(looking) && changes.mutation.as_ref().is_none_or(|name| name == mutation.name)
    };
    let _held = match looking.needs() {
        Ok(held) => held,
        Err(why) => {
            rows.push(Row { skipped: Some(why), ..Row::new(looking, ALL_OF_THEM) });
            return Ok(());
        }
    };
    for mutation in mutation::all().filter(wanted) {
        if let Some(why) = no_silence.filter(|_| mutation.silent) {
            rows.push(Row { skipped: Some(why.clone()), ..Row::new(looking, mutation.name) });
            continue;
        }
        let reference = match references.entry(mutation.scene) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let (outcome, wrong) = trials.undisturbed(mutation.scene)?;
                rows.extend(wrong);
                unknown.insert(outcome)
            }
        };
        rows.push(trials.disturbed(mutation, reference)?);
    }
    rows.extend(too_many_missed(looking, &rows[first..]));
    Ok(())
}

/// The runs of one operation.
struct Trials<'a> {
    looking: &'static Looking,
    options: &'a Options,
    changes: &'a Changes,
    /// How many points there were so far, of all operations.
    number: &'a mut usize,
    strangers: &'a Strangers,
    trial: Trial<'a>,
}

impl Trials<'_> {
    /// A run that no peer disturbs, and a row if it went wrong all the same.
    fn undisturbed(&mut self, scene: Scene) -> Result<(Outcome, Option<Row>)> {
        let outcome = self.trial.run(self.looking, scene, None, None)?;
        if outcome.wrong.is_empty() {
            return Ok((outcome, None));
        }
        self.trial = Trial::new(self.strangers)?;
        let name = self.looking.name;
        let wrong = vec![format!("{name}, undisturbed, {scene:?}: {}", plain(&outcome.wrong))];
        Ok((outcome, Some(Row { wrong, ..Row::new(self.looking, "none") })))
    }

    /// A run for each call of the reference, with the change before it.
    fn disturbed(&mut self, mutation: &Mutation, reference: &Outcome) -> Result<Row> {
        let mut row = Row::new(self.looking, mutation.name);
        let mut wrong: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for point in points(&reference.calls) {
            *self.number += 1;
            let left_out = self.changes.call.is_some_and(|call| call != point.index);
            if !self.options.tries(*self.number) || left_out {
                row.left_out += 1;
                continue;
            }
            let outcome = self
                .trial
                .run(self.looking, mutation.scene, Some((&point, mutation)), Some(reference))
                .with_context(|| format!("{} before call {}, {}", mutation.name, point.index, point.call))?;
            if outcome.hit && !outcome.wrong.is_empty() {
                let at = format!("{} ({})", point.index, point.call);
                wrong.entry(plain(&outcome.wrong)).or_default().push(at);
                self.trial = Trial::new(self.strangers)?;
            } else if mutation.changes_folder() {
                // The next one shall meet a folder as it is at first.
                self.trial = Trial::new(self.strangers)?;
            }
            row.count(outcome);
        }
        // What is wrong in the same way before several calls is one thing.
        let (looking, mutation) = (self.looking.name, mutation.name);
        let said = |(what, calls): (String, Vec<String>)| {
            format!("{looking}, {mutation} before {}: {what}", listed(&calls))
        };
        row.wrong = wrong.into_iter().map(said).collect();
        Ok(row)
    }
}

/// Of a few runs one or two may not come to their call, where a timeout goes by: of all of them
/// hardly any.
fn too_many_missed(looking: &Looking, rows: &[Row]) -> Option<Row> {
    let missed: usize = rows.iter().map(|row| row.missed).sum();
    let points: usize = rows.iter().map(|row| row.points).sum();
    (missed > MISSED_AT_LEAST && missed * 5 > points).then(|| {
        let wrong = format!("{}: {missed} of {points} runs did not come to their call", looking.name);
        Row { wrong: vec![wrong], ..Row::new(looking, ALL_OF_THEM) }
    })
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
