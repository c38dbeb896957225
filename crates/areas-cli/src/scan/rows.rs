//! The listing as a table, and the lines below it.

use areas::{Bytes, escape_invisible};

use super::args::Scan;
use super::memory::{Memory, State};
use super::{Survey, Total};
use crate::failure::Result;
use crate::output::style::{Look, Terminal};
use crate::output::table::{Holds, Table};
use crate::output::{self};
use crate::users;

/// So many holders are named in a row; JSON has all.
const NAMED: usize = 2;

/// Kinds and names, one a line, as `areas reap` takes them.
pub(super) fn names(memories: &[Memory]) -> Result<()> {
    let lines: String = memories
        .iter()
        .map(|memory| {
            format!("{} {}\n", memory.kind.word(), escape_invisible(&String::from_utf8_lossy(&memory.name)))
        })
        .collect();
    output::print(&lines)
}

pub(super) fn print(scan: &Scan, survey: &Survey, all: &Total) -> Result<()> {
    let terminal = Terminal::stdout();
    let mut table = Table::new([
        ("KIND", Holds::Words),
        ("NAME", Holds::Text),
        ("SIZE", Holds::Numbers),
        ("IN RAM", Holds::Numbers),
        ("STATE", Holds::Words),
        ("USER", Holds::Words),
        ("HELD BY", Holds::Text),
    ]);
    let users = users::Names::read();
    for memory in &survey.memories {
        table.cell(memory.kind.word());
        table.cell(String::from_utf8_lossy(&memory.name));
        table.cell(bytes(memory.size, scan.bytes));
        table.cell(bytes(memory.resident, scan.bytes));
        table.cell(memory.state.word());
        table.cell(memory.owner.map_or("?".to_owned(), |owner| users.name_of(owner)));
        table.cell(held_by(memory));
    }
    let mut text = match survey.memories.is_empty() {
        true => String::new(),
        false if scan.no_headings => table.without_headings(terminal),
        false => table.render(terminal),
    };
    if !scan.no_headings {
        for line in summary(survey, all) {
            text += &terminal.paint(Look::Dim, &line);
            text.push('\n');
        }
    }
    output::print(&text)
}

/// Bytes: all digits, or three of them and a unit.
fn bytes(bytes: Option<u64>, exact: bool) -> String {
    match bytes {
        None => "?".to_owned(),
        Some(bytes) if exact => bytes.to_string(),
        Some(bytes) => in_words(bytes),
    }
}

fn in_words(bytes: u64) -> String {
    format!("{:#}", Bytes(bytes))
}

/// Who has it; or, of what nobody has, what to do or why that is not sure.
fn held_by(memory: &Memory) -> String {
    let mut told: Vec<String> = memory.holders.iter().take(NAMED).map(|holder| holder.told()).collect();
    if memory.holders.len() > NAMED {
        told.push(format!("{} more", memory.holders.len() - NAMED));
    }
    match memory.state {
        State::Leaked => told.push(format!("nobody: {}", memory.free_with().unwrap_or_default())),
        State::Unknown => told.push("nobody that we may see".to_owned()),
        State::Idle => told.push("nobody now".to_owned()),
        State::Held => {}
    }
    if let Some(why) = &memory.why {
        told.push(why.clone());
    }
    told.join("; ")
}

/// What all take together, and who might hold something without being seen.
fn summary(survey: &Survey, all: &Total) -> Vec<String> {
    let noun = if all.all.memories == 1 { "memory" } else { "memories" };
    let mut first = format!("{} {noun}, {} in RAM or swap", all.all.memories, in_words(all.all.allocated));
    for (sum, word) in [(all.leaked, "leaked"), (all.idle, "idle"), (all.unknown, "unknown")] {
        if sum.memories > 0 || word == "leaked" {
            first += &format!("; {word}: {}, {}", sum.memories, in_words(sum.allocated));
        }
    }
    let mut lines = vec![first];
    lines.extend(survey.blind.told());
    lines
}
