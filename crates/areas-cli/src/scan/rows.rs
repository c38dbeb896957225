//! The listing as a table, and the lines below it.

use areas::{Bytes, escape_invisible_bytes};

use super::args::{Kind, Scan};
use super::memory::{Holder, Memory, State, word_of};
use super::{Survey, Total};
use crate::failure::Result;
use crate::output;
use crate::output::style::{Look, Terminal};
use crate::output::table::{Holds, Table};
use crate::users;

/// So many holders are named in a row; JSON has all.
const NAMED: usize = 1;

/// Kinds and names, one a line, as `areas reap` takes them.
pub(super) fn names(memories: &[Memory]) -> Result<()> {
    let lines: String =
        memories.iter().map(|memory| format!("{} {}\n", memory.kind.word(), word_of(&memory.name))).collect();
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
        ("HOW", Holds::Words),
        ("HELD BY", Holds::Text),
    ]);
    let users = users::Names::read();
    let breaks = breaks_lines(scan, terminal);
    for memory in &survey.memories {
        table.cell(memory.kind.word());
        table.cell(escape_invisible_bytes(&memory.name));
        table.cell(bytes(memory.size, scan.bytes));
        table.cell(bytes(memory.resident, scan.bytes));
        table.cell(memory.state.word());
        table.cell(memory.owner.map_or("?".to_owned(), |owner| users.name_of(owner)));
        table.cell(how(memory));
        table.cell(held_by(memory, breaks));
    }
    let mut text = match survey.memories.is_empty() {
        true => String::new(),
        false if scan.no_headings => table.without_headings(terminal),
        false => table.render(terminal),
    };
    if !scan.no_headings {
        text += &free_with(survey, terminal);
        for line in summary(scan, survey, all, terminal) {
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

/// Whether its holders have it mapped, open, or both.
fn how(memory: &Memory) -> &'static str {
    let mapped = memory.holders.iter().any(|holder| holder.mapped);
    let open = memory.holders.iter().any(|holder| holder.descriptors > 0);
    match (mapped, open) {
        (true, true) => "both",
        (true, false) => "mapped",
        (false, true) => "open",
        (false, false) => "",
    }
}

/// Its holders; or, of what no process has, what to do or why that is not sure. JSON says all of
/// it.
fn held_by(memory: &Memory, breaks: bool) -> String {
    let named = memory.holders.iter().take(NAMED).map(Holder::short);
    let mut reported = named.collect::<Vec<String>>().join(", ");
    if memory.holders.len() > NAMED {
        reported += &format!(" +{}", memory.holders.len() - NAMED);
    }
    match memory.state {
        State::Leaked => {
            let left = memory.was().map_or("", |_| ", an interrupted reap left it");
            let command = memory
                .free_with()
                .filter(|_| !breaks)
                .map_or(String::new(), |command| format!(": {command}"));
            format!("none{left}{command}")
        }
        State::Unknown => "no process that we may see".to_owned(),
        State::Idle => format!("none now: {}", memory.why.as_deref().unwrap_or_default()),
        State::Held if reported.is_empty() => "a holder that is not seen".to_owned(),
        State::Held if memory.kind == Kind::Area && memory.areas.is_empty() => {
            reported + if memory.is_unpublished { "; not published" } else { "; its name is not known" }
        }
        State::Held if memory.is_unlinked() => reported + "; its name is gone",
        State::Held if memory.was().is_some() => reported + "; an interrupted reap left it",
        State::Held => reported,
    }
}

/// Whether the lines are no longer than the terminal, so that what is in a column may be broken.
fn breaks_lines(scan: &Scan, terminal: Terminal) -> bool {
    terminal.columns.is_some() && !scan.no_headings
}

/// The commands that free what is leaked, where a column would break them: whole, to be copied,
/// however narrow the terminal.
fn free_with(survey: &Survey, terminal: Terminal) -> String {
    if terminal.columns.is_none() {
        return String::new();
    }
    let commands = survey.memories.iter().filter_map(Memory::free_with);
    let lines: String = commands.map(|command| format!("  {command}\n")).collect();
    if lines.is_empty() { lines } else { format!("To free what is leaked:\n{lines}") }
}

/// What all take together, and who might hold something without being seen.
fn summary(scan: &Scan, survey: &Survey, all: &Total, terminal: Terminal) -> Vec<String> {
    let noun = if all.all.memories == 1 { "memory" } else { "memories" };
    let mut parts =
        vec![format!("{} {noun}, {} in RAM or swap", all.all.memories, in_words(all.all.allocated))];
    for (sum, word) in [(all.leaked, "leaked"), (all.idle, "idle"), (all.unknown, "unknown")] {
        if sum.memories > 0 || word == "leaked" {
            parts.push(format!("{word}: {}, {}", sum.memories, in_words(sum.allocated)));
        }
    }
    if all.registry.memories > 0 {
        let noun = if all.registry.memories == 1 { "table" } else { "tables" };
        let hint = if scan.shows_registry() { "" } else { " (scan --all)" };
        let (count, bytes) = (all.registry.memories, in_words(all.registry.allocated));
        parts.push(format!("{count} {noun} of the registry, {bytes}{hint}"));
    }
    // One line where there is room for one; else the registry has its own.
    let one_line = parts.join("; ");
    let fits = terminal.columns.is_none_or(|columns| one_line.len() <= columns.into());
    let mut lines = match parts.pop() {
        Some(last) if !fits && !parts.is_empty() => vec![parts.join("; "), last],
        _ => vec![one_line],
    };
    lines.extend(survey.blind.reasons());
    lines
}
