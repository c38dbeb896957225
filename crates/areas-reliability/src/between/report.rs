//! The chapter about changes between calls.

use std::fmt::Write as _;

use super::{Row, looking, mutation};
use crate::report::kernel;

pub(super) fn chapter(rows: &[Row]) -> String {
    let sum = |of: fn(&Row) -> usize| rows.iter().map(of).sum::<usize>();
    let operations: std::collections::BTreeSet<&str> = rows.iter().map(|row| row.operation).collect();
    let mut text = format!(
        "# Between any two calls\n\nMade by `cargo xtask reliability`, Linux {}.\n\n{} operations, {} points; {} things wrong.\n\n",
        kernel(),
        operations.len(),
        sum(|row| row.points),
        sum(|row| row.wrong.len()),
    );
    text +=
        "| operation | change | points | right | errors | missed | result |\n|---|---|--:|--:|---|--:|---|\n";
    for row in rows {
        let errors: Vec<String> = row.errors.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        let result = match &row.skipped {
            Some(why) => format!("not tried: {why}"),
            None if row.wrong.is_empty() => "good".to_owned(),
            None => row.wrong.join("; "),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {result} |",
            row.operation,
            row.mutation,
            row.points,
            row.right,
            errors.join(", "),
            row.missed
        );
    }
    text += "\n## The operations\n\n| operation | |\n|---|---|\n";
    for looking in &looking::ALL {
        let _ = writeln!(text, "| {} | {} |", looking.name, looking.what);
    }
    text += "\n## The changes\n\n| change | |\n|---|---|\n";
    for mutation in mutation::all() {
        let _ = writeln!(text, "| {} | {} |", mutation.name, mutation.what);
    }
    text
}
