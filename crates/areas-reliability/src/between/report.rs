//! The chapter about changes between calls.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::mutation::{self, Mutation};
use super::{Row, looking};
use crate::report::kernel;

/// Of some rows, together.
#[derive(Debug, Default)]
struct Sum<'a> {
    points: usize,
    right: usize,
    missed: usize,
    left_out: usize,
    kept: usize,
    errors: BTreeMap<&'a str, usize>,
    wrong: Vec<&'a str>,
    skipped: Vec<&'a str>,
}

impl<'a> Sum<'a> {
    fn of(rows: impl Iterator<Item = &'a Row>) -> Self {
        let mut sum = Sum::default();
        for row in rows {
            sum.points += row.points;
            sum.right += row.right;
            sum.missed += row.missed;
            sum.left_out += row.left_out;
            sum.kept += row.kept;
            for (kind, count) in &row.errors {
                *sum.errors.entry(kind).or_default() += count;
            }
            sum.wrong.extend(row.wrong.iter().map(String::as_str));
            sum.skipped.extend(row.skipped.as_deref());
        }
        sum
    }

    fn kinds(&self) -> String {
        let kinds: Vec<String> = self.errors.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        kinds.join(", ")
    }

    fn result(&self) -> String {
        match (self.wrong.len(), self.skipped.first(), self.points) {
            (0, Some(why), 0) => format!("not tried: {why}"),
            (0, Some(why), _) => format!("good; a part not tried: {why}"),
            (0, None, _) => "good".to_owned(),
            (count, ..) => format!("{count} wrong, below"),
        }
    }
}

const JUDGED: &str = "\
The operation runs in a process of its own (the looker) under ptrace. It stops as it enters a system call; a hostile peer of the same user, \
which offers what the operation looks at, makes one change; the operation goes on. Then:\n\n\
- the looker has not died of a signal (SIGBUS above all), not panicked, and not hung (a deadline; state D is reported);\n\
- its answer is an error of a kind that the call documents, or success; and where the change takes nothing away, success;\n\
- after success what it says is held against the kernel (`fstat`, seals, `VmFlags`, `pagemap`), and its first, middle and last byte are read by way of the \
mapping and by way of the descriptor: they are the same, and reading faults nowhere;\n\
- after an error of a call that consumes, the value has come back, and works;\n\
- no file of a stranger's was opened (without `O_PATH`) or closed on the way; the looker's own POSIX record lock on its database is still there;\n\
- it lists and asks about all there is, once more, with the change in place;\n\
- where another holder has a younger area of the same name, that one is had;\n\
- once the peer is dead, it lists what there is (no more, no less), opens the bystander's area and has every byte of it, and holds what it holds after an undisturbed run \
: descriptors, mappings, record locks.\n";

/// A table with a line for each name, what it means, and its rows' sum. `of` says what such a row
/// stands for.
fn table<'a>(
    name: &str,
    of: &str,
    with_missed: bool,
    lines: impl Iterator<Item = (&'a str, &'a str, Vec<&'a Row>)>,
) -> String {
    let missed = |cell: String| if with_missed { format!(" {cell} |") } else { String::new() };
    let mut text =
        format!("| {name} | | {of} | points | answered | errors |{} result |\n", missed("missed".to_owned()));
    let _ = writeln!(text, "|---|---|--:|--:|--:|---|{}---|", missed("--:".to_owned()).replace(' ', ""));
    for (name, what, rows) in lines {
        let sum = Sum::of(rows.iter().copied());
        let _ = writeln!(
            text,
            "| {name} | {what} | {} | {} | {} | {} |{} {} |",
            rows.len(),
            sum.points,
            sum.right,
            sum.kinds(),
            missed(sum.missed.to_string()),
            sum.result()
        );
    }
    text
}

pub(super) fn chapter(rows: &[Row]) -> String {
    let all = Sum::of(rows.iter());
    let of = |looking: &'static str| rows.iter().filter(move |row| row.operation == looking);
    let by = |mutation: &'static str| rows.iter().filter(move |row| row.mutation == mutation);
    let operations: Vec<_> =
        looking::ALL.iter().filter(|looking| of(looking.name).next().is_some()).collect();
    let mutations: Vec<&Mutation> =
        mutation::all().filter(|change| by(change.name).next().is_some()).collect();
    let mut text = format!(
        "# Between any two calls\n\n\
         Made by `cargo xtask reliability`, Linux {}. What if what an operation looks at had changed just before its next system call? \
         Each operation that looks at what another process controls is tried with each change before each of its calls.\n\n{JUDGED}\n\
         {} operations, {} changes, {} points: {} answered, {} errors; {} things wrong.{}\n\n\
         ## By operation\n\n",
        kernel(),
        operations.len(),
        mutations.len(),
        all.points,
        all.right,
        all.errors.values().sum::<usize>(),
        all.wrong.len(),
        if all.left_out > 0 { format!(" ({} points were left out.)", all.left_out) } else { String::new() },
    );
    let rows = operations.iter().map(|looking| (looking.name, looking.what, of(looking.name).collect()));
    text += &table("operation", "changes", true, rows);
    if all.kept > 0 {
        let _ = writeln!(
            text,
            "\nBefore {} of the points another file was put under a number between the looker's last look at it and its taking: such a file is kept \
             open and never used, one a holder ([why](../design/looking-at-others.md)).",
            all.kept
        );
    }
    text += "\n## By change\n\n";
    let rows = mutations.iter().map(|change| (change.name, change.what, by(change.name).collect()));
    text += &table("change", "operations", false, rows);
    if !all.wrong.is_empty() {
        text += "\n## Wrong\n\n";
        for wrong in &all.wrong {
            let _ = writeln!(text, "- {wrong}");
        }
    }
    text += "\n## What is not tried\n\n\
             - Changes between two loads from a table that is mapped: there is no call to stop at. The fuzz target `table` and `forged.rs` change tables \
             while they are read.\n\
             - Two changes in one run. Changes that could follow each other (cut, then sealed) are one.\n\
             - The peer's process number given to another process; a message that changes in a socket's queue: neither can be made.\n\
             - `registry::id_at` and `registry::at`, which make no call about others.\n";
    text += "\nEach operation with each change: `between-calls.json`, beside the report in `target/reliability`. One point again: \
             `areas-reliability between --operation open --mutation number-database --call 7`.\n";
    text
}
