//! Between calls: what if what an operation looks at had changed just before its next system call?
//!
//! Each operation that looks at what another process controls is run once, to count its calls. Then it is run again for each of
//! them and each change: it stops as it enters the call, a hostile peer makes the change, and it goes on. What it answers must be
//! true, or an error; nothing may fault, hang, stay, or get lost.
//!
//! | file | what |
//! |---|---|
//! | `looking.rs` | the operations |
//! | `mutation.rs` | the changes |
//! | `peer.rs`, `forge.rs` | who makes them, and how it writes past the library |
//! | `looker.rs` | the process that looks |
//! | `measured.rs` | whether an area is what it says |
//! | `trial.rs` | one run |
//! | `report.rs` | the chapter |

mod forge;
mod looker;
mod looking;
mod measured;
mod mutation;
mod peer;
mod report;
mod trial;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::Options;
use crate::report::{self as reports, Bar};
use looking::Looking;
use mutation::{Mutation, Scene};
use trial::{Outcome, Strangers, Trial, points};

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

/// What came of an operation and a change.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Row {
    pub(crate) operation: &'static str,
    pub(crate) mutation: &'static str,
    pub(crate) points: usize,
    pub(crate) left_out: usize,
    pub(crate) missed: usize,
    pub(crate) right: usize,
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
    let mut rows = Vec::new();
    let mut number = 0;
    for looking in operations {
        bar.at(looking.name);
        let first = rows.len();
        one(&strangers, looking, options, changes, &mut number, &mut rows)
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
    looking: &'static Looking,
    options: &Options,
    changes: &Changes,
    number: &mut usize,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let mut trial = Trial::new(strangers)?;
    let mut references: BTreeMap<Scene, Outcome> = BTreeMap::new();
    let wanted = |mutation: &&Mutation| {
        mutation.fits(looking) && changes.mutation.as_ref().is_none_or(|name| name == mutation.name)
    };
    for mutation in mutation::ALL.iter().filter(wanted) {
        if !references.contains_key(&mutation.scene) {
            let outcome = trial.run(looking, mutation.scene, None, None)?;
            ensure!(
                outcome.wrong.is_empty(),
                "undisturbed, in {:?}: {}",
                mutation.scene,
                outcome.wrong.join("; ")
            );
            references.insert(mutation.scene, outcome);
        }
        let reference = &references[&mutation.scene];
        let mut row = Row { operation: looking.name, mutation: mutation.name, ..Row::default() };
        let mut wrong: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for point in points(&reference.calls) {
            *number += 1;
            if !options.tries(*number) || changes.call.is_some_and(|call| call != point.index) {
                row.left_out += 1;
                continue;
            }
            let outcome = trial
                .run(looking, mutation.scene, Some((&point, mutation)), Some(&reference.held))
                .with_context(|| format!("{} before call {}, {}", mutation.name, point.index, point.call))?;
            row.points += 1;
            match outcome.kind {
                _ if !outcome.hit => row.missed += 1,
                _ if !outcome.wrong.is_empty() => {}
                Some(kind) => *row.errors.entry(kind).or_default() += 1,
                None => row.right += 1,
            }
            if outcome.hit && !outcome.wrong.is_empty() {
                let at = format!("{} ({})", point.index, point.call);
                wrong.entry(outcome.wrong.join("; ")).or_default().push(at);
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
        if row.missed * 5 > row.points {
            row.wrong.push(format!(
                "{}, {}: {} of {} runs did not come to their call",
                looking.name, mutation.name, row.missed, row.points
            ));
        }
        rows.push(row);
    }
    Ok(())
}

/// The first of them, and how many there are.
fn listed(calls: &[String]) -> String {
    match calls {
        [first] => format!("call {first}"),
        [first, .., last] => format!("{} calls, {first} to {last}", calls.len()),
        [] => "no call".to_owned(),
    }
}

pub(crate) fn operations() {
    for looking in &looking::ALL {
        crate::say(looking.name);
    }
}

pub(crate) fn look(name: &str, database: &Path) -> Result<bool> {
    looker::main(name, database).context("looker")
}

pub(crate) fn be_peer(what: &str, strangers: &Path) -> Result<bool> {
    let (offer, scene) = serde_json::from_str(what).context("what to offer")?;
    peer::serve(offer, scene, strangers).context("peer")
}
