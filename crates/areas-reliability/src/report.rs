//! The outcome, for people: a bar while it runs, and chapters of the report afterwards.

use std::fmt::Write as _;
use std::fs;
use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::inject;
use crate::kill;

/// How far it is: a bar on terminals, and a line an operation everywhere.
#[derive(Debug)]
pub(crate) struct Bar(Option<ProgressBar>);

impl Bar {
    pub(crate) fn new(what: &'static str, operations: usize) -> Self {
        if !std::io::stderr().is_terminal() {
            return Bar(None);
        }
        let bar = ProgressBar::new(operations as u64);
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        bar.set_prefix(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar(Some(bar))
    }

    pub(crate) fn at(&self, operation: &'static str) {
        if let Some(bar) = &self.0 {
            if !bar.message().is_empty() {
                bar.inc(1);
            }
            bar.set_message(operation);
        }
    }

    pub(crate) fn say(&self, line: &str) {
        match &self.0 {
            Some(bar) => bar.suspend(|| println!("{line}")),
            None => println!("{line}"),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Writes rows as JSON, and the chapter.
pub(crate) fn write(folder: &Path, name: &str, rows: &impl Serialize, chapter: &str) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let json = folder.join(format!("{name}.json"));
    fs::write(&json, serde_json::to_string_pretty(rows)? + "\n")
        .with_context(|| format!("write {}", json.display()))?;
    let text = folder.join(format!("{name}.md"));
    fs::write(&text, chapter).with_context(|| format!("write {}", text.display()))
}

pub(crate) fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

/// Equal neighbours as one: "pread64 ×3".
pub(crate) fn folded(calls: &[String]) -> String {
    let mut text = String::new();
    for group in calls.chunk_by(|one, other| one == other) {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = match group.len() {
            1 => write!(text, "{comma}{}", group[0]),
            n => write!(text, "{comma}{} ×{n}", group[0]),
        };
    }
    text
}

/// The chapter about kills.
pub(crate) fn of_kills(rows: &[kill::Row]) -> String {
    let sum = |of: fn(&kill::Row) -> usize| rows.iter().map(of).sum::<usize>();
    let mut text = format!(
        "# Kill at every system call\n\n\
         Made by `cargo xtask reliability`, Linux {}. Each operation runs in a process of its own under ptrace and is killed \
         (SIGKILL) as it enters each of its system calls and as it comes back from it, once a run. While it is stopped there, a \
         bystander looks; after its death the bystander and a newcomer do:\n\n\
         - the bystander's areas (fixed, growable, resizable, frozen, locked) have every byte, and are found;\n\
         - nothing of the dead one is listed or found; the list has what it should, no more, no less;\n\
         - no process of the machine has an object of the dead open or mapped, and inotify says of each that its last holder is \
         gone: its memory is back;\n\
         - of a transfer: until the offer is sent the giver has the area, and it goes with it; from then on the target has it, whole, \
         though the giver is dead; and where the target dies, nobody has it (checked at each point, taken in before and after the \
         giver's death);\n\
         - the newcomer joins, publishes, is found by the bystander, and clones;\n\
         - in the registry's folder there is one link for each living team, and nothing else.\n\n\
         {} operations, {} kills, {} objects of the dead; {} things wrong. (A run that ended before it came to its call \
         counts as missed: threads take turns as they like.)\n\n\
         | operation | | calls | killed | missed | left out | objects | result |\n|---|---|--:|--:|--:|--:|--:|---|\n",
        kernel(),
        rows.len(),
        sum(|row| row.killed),
        sum(|row| row.objects),
        sum(|row| row.wrong.len()),
    );
    for row in rows {
        let result = result_of(row.skipped.as_ref(), &row.wrong, "nothing left");
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {result} |",
            row.operation,
            row.what,
            row.calls.len().saturating_sub(1),
            row.killed,
            row.missed,
            row.left_out,
            row.objects,
        );
    }
    text += "\n## The calls\n\nIn the order in which they are made; each was an entry and an exit to be killed at.\n\n";
    for row in rows {
        let _ = writeln!(text, "- **{}**: {}", row.operation, folded(&row.calls));
    }
    text
}

fn result_of(skipped: Option<&String>, wrong: &[String], good: &str) -> String {
    match skipped {
        Some(why) => format!("not tried: {why}"),
        None if wrong.is_empty() => good.to_owned(),
        None => wrong.join("; "),
    }
}

/// The chapter about injected errors.
pub(crate) fn of_faults(rows: &[inject::Row]) -> String {
    let sum = |of: fn(&inject::Row) -> usize| rows.iter().map(of).sum::<usize>();
    let mut text = format!(
        "# Injected errors\n\n\
         Made by `cargo xtask reliability`, Linux {}. Each system call that the library makes in each operation fails once, with \
         up to five error numbers of its man page, one a run (by ptrace: the call is not made; `close` is, as Linux does close). \
         Then:\n\n\
         - the error has a kind and names the operation, the call and the error number; or the failure is one that may be \
         overlooked (below), and the result is checked to be right;\n\
         - no panic; a consuming call gave its value back, unchanged;\n\
         - no descriptor, mapping, record lock, or locked page is there that was not before, and none is missing;\n\
         - the operation succeeds when it is tried again, and when all is dropped the process holds what it holds after a run \
         without a fault;\n\
         - others see the registry as it should be, with no name of the process in it once it has ended.\n\n\
         {} operations, {} faults: {} told, {} made good or overlooked, {} missed; {} things wrong.\n\n\
         | operation | calls | the library's | faults | told | made good or overlooked | missed | result |\n\
         |---|--:|--:|--:|--:|--:|--:|---|\n",
        kernel(),
        rows.len(),
        sum(|row| row.faults),
        sum(|row| row.told),
        sum(|row| row.overlooked),
        sum(|row| row.missed),
        sum(|row| row.wrong.len()),
    );
    for row in rows {
        let result = result_of(row.skipped.as_ref(), &row.wrong, "good");
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {result} |",
            row.operation, row.calls, row.ours, row.faults, row.told, row.overlooked, row.missed,
        );
    }
    text += "\n## What may fail without a word\n\n| call | about | in | with | why | times |\n\
             |---|---|---|---|---|--:|\n";
    for (number, rule) in inject::overlooked::RULES.iter().enumerate() {
        let list = |words: &[&str], all: &str| match words {
            [] => all.to_owned(),
            words => words.join(", "),
        };
        let errnos: Vec<String> = rule.errnos.iter().map(|&errno| inject::name_of(errno)).collect();
        let errnos: Vec<&str> = errnos.iter().map(String::as_str).collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            list(rule.calls, "every call"),
            list(rule.about, ""),
            list(rule.operations, "every operation"),
            list(&errnos, "every error"),
            rule.why,
            rows.iter().filter_map(|row| row.rules.get(&number)).sum::<usize>()
        );
    }
    text += "\n## What the calls fail with\n\n| call | error numbers |\n|---|---|\n";
    for (call, errnos) in inject::errnos::TABLE {
        let names: Vec<String> = errnos.iter().map(|&errno| inject::name_of(errno)).collect();
        let _ = writeln!(text, "| {call} | {} |", names.join(", "));
    }
    text += "\nFrom the ERRORS sections of section 2 of the Linux man pages, where those that an area's calls could meet were \
             chosen. Not the library's, and left alone: ";
    text += &inject::errnos::NOT_OURS.join("; ");
    text += ".\n";
    text
}
