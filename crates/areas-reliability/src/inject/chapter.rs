//! The chapter of the report about injected errors.

use std::fmt::Write as _;

use super::{Row, errnos, name_of, overlooked};
use crate::report::{kernel, result_of};

/// The whole of it.
pub(super) fn chapter(rows: &[Row]) -> String {
    [head(rows), operations(rows), rules(rows), calls()].concat()
}

/// What was done, and the counts.
fn head(rows: &[Row]) -> String {
    let sum = |of: fn(&Row) -> usize| rows.iter().map(of).sum::<usize>();
    format!(
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
         {} operations, {} faults: {} reported, {} made good or overlooked, {} missed; {} things wrong.\n\n",
        kernel(),
        rows.len(),
        sum(|row| row.faults),
        sum(|row| row.reported),
        sum(|row| row.overlooked),
        sum(|row| row.missed),
        sum(|row| row.wrong.len()),
    )
}

/// A row an operation.
fn operations(rows: &[Row]) -> String {
    let mut text =
        "| operation | calls | the library's | faults | reported | made good or overlooked | missed | result |\n\
         |---|--:|--:|--:|--:|--:|--:|---|\n"
            .to_owned();
    for row in rows {
        let result = result_of(row.skipped.as_ref(), &row.wrong, "good");
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {result} |",
            row.operation, row.calls, row.ours, row.faults, row.reported, row.overlooked, row.missed,
        );
    }
    text
}

/// The failures that may be overlooked, and how often each was.
fn rules(rows: &[Row]) -> String {
    let mut text = "\n## What may fail without a word\n\n| call | about | in | with | why | times |\n\
                    |---|---|---|---|---|--:|\n"
        .to_owned();
    for (number, rule) in overlooked::RULES.iter().enumerate() {
        let list = |words: &[&str], all: &str| match words {
            [] => all.to_owned(),
            words => words.join(", "),
        };
        let errnos: Vec<String> = rule.errnos.iter().map(|&errno| name_of(errno)).collect();
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
    text
}

/// What is injected into each call.
fn calls() -> String {
    let mut text = "\n## What the calls fail with\n\n| call | error numbers |\n|---|---|\n".to_owned();
    for (call, errnos) in errnos::TABLE {
        let names: Vec<String> = errnos.iter().map(|&errno| name_of(errno)).collect();
        let _ = writeln!(text, "| {call} | {} |", names.join(", "));
    }
    text += "\nFrom the ERRORS sections of section 2 of the Linux man pages, where those that an area's calls could meet were \
             chosen. Not the library's, and left alone: ";
    text += &errnos::NOT_OURS.join("; ");
    text += ".\n";
    text
}
