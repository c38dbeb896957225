//! The chapter of the report about kills.

use std::fmt::Write as _;

use super::Row;
use crate::report::{folded, kernel, result_of};

/// The whole of it.
pub(super) fn chapter(rows: &[Row]) -> String {
    let sum = |of: fn(&Row) -> usize| rows.iter().map(of).sum::<usize>();
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
         though the giver is dead; and where the target dies, no process has it (checked at each point, accepted before and after the \
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
