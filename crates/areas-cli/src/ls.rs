//! `areas ls`: every area that can be seen, and who cannot be looked into.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::process::ExitCode;

use areas::registry::{self, Source, Unpublished, UnreadableTeam};
use areas::{Bytes, Kind, NodeSet};
use serde::Serialize;

use crate::args::Ls;
use crate::failure::Result;
use crate::output::style::{Look, Terminal};
use crate::output::table::{Holds, Table};
use crate::output::{self, json};
use crate::report::{AreaJson, Holders, Report};

pub(crate) fn run(ls: &Ls, quiet: bool) -> Result<ExitCode> {
    let listing = registry::list()?;
    if quiet && !ls.json {
        let ids: String = listing.areas.iter().map(|area| format!("{}\n", area.id())).collect();
        output::print(&ids)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut objects = Objects::default();
    if ls.json {
        let mut areas = Vec::with_capacity(listing.areas.len());
        let lost = each(listing.areas, |source, report| {
            objects.add(&report);
            areas.push(report.with_policy(source).to_json());
        })?;
        let unreadable = listing.unreadable.iter().map(UnreadableJson::from).collect();
        // What was found not to be where its table says is told among what is not published, so that comes after the areas.
        let unpublished = ls
            .all
            .then(registry::unpublished)
            .transpose()?
            .map(|all| all.iter().map(UnpublishedJson::from).collect());
        json::print(ListJson { areas, unpublished, unreadable, total: objects.total() }, false)?;
        lost.iter().for_each(|error| output::complain(&error.to_string()));
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = headings();
    let lost = each(listing.areas, |_, report| {
        objects.add(&report);
        add(&mut table, &report);
    })?;
    let unpublished = if ls.all { registry::unpublished()? } else { Vec::new() };
    unpublished.iter().for_each(|memory| add_unpublished(&mut table, memory));
    let terminal = Terminal::stdout();
    let total = objects.total();
    let mut text = if total.areas + unpublished.len() == 0 { String::new() } else { table.render(terminal) };
    text += &terminal.paint(Look::Dim, &total.to_string());
    if !unpublished.is_empty() {
        let allocated = unpublished.iter().map(|memory| memory.allocated).sum();
        let summary = format!("; not published: {}, {} allocated", unpublished.len(), in_words(allocated));
        text += &terminal.paint(Look::Dim, &summary);
    }
    text.push('\n');
    output::print(&text)?;
    for team in &listing.unreadable {
        let command = team.command.as_deref().map_or(String::new(), |command| format!(" ({command})"));
        output::complain(&format!(
            "process {}{command} holds areas that cannot be read: {}",
            team.pid, team.reason
        ));
    }
    lost.iter().for_each(|error| output::complain(&error.to_string()));
    if let (Some(why), Some(path)) = (registry::path_remark()?, registry::path()?) {
        output::complain(&format!("the registry is {}: {why}", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// What can be told of each, one after the other: of many areas, what is told takes less memory than what is known. Areas that go
/// while we look are left out: they are gone. What is said of those that are still listed and cannot be opened is given back.
fn each(areas: Vec<Source>, mut tell: impl FnMut(&Source, Report)) -> areas::Result<Vec<areas::Error>> {
    let mut holders = Holders::default();
    let mut lost = Vec::new();
    registry::measure_each(areas, |area, measured| {
        match Report::measured(area, measured, &mut holders) {
            Ok(report) => tell(area, report),
            Err(error) if error.kind() == Kind::NoSuchArea => {
                if registry::get(area.id()).is_ok() {
                    lost.push(error);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    })?;
    Ok(lost)
}

/// A table of areas, to be filled.
fn headings() -> Table {
    Table::new([
        ("ID", Holds::Numbers),
        ("NAME", Holds::Text),
        ("SIZE", Holds::Numbers),
        ("IN RAM", Holds::Numbers),
        ("NODES", Holds::Words),
        ("LOCK", Holds::Words),
        ("PROT", Holds::Words),
        ("PID", Holds::Numbers),
        ("COMMAND", Holds::Text),
    ])
}

/// Areas as a table, one a row.
pub(crate) fn table<'a>(reports: impl IntoIterator<Item = &'a Report>) -> Table {
    let mut table = headings();
    reports.into_iter().for_each(|report| add(&mut table, report));
    table
}

/// Adds an area's row.
fn add(table: &mut Table, report: &Report) {
    let info = &report.info;
    table.cell(info.id);
    table.cell(&info.name);
    table.cell(format_args!("{:#}", Bytes::from(info.size)));
    match report.resident {
        Some(bytes) => table.cell(format_args!("{:#}", Bytes(bytes))),
        None => table.cell("?"),
    }
    match &report.nodes {
        Some(nodes) => {
            let known: NodeSet = nodes.iter().map(|&(node, _)| node).collect();
            let some_unknown = report.node_unknown.is_some_and(|bytes| bytes > 0);
            match (known.is_empty(), some_unknown) {
                (true, false) => table.cell(""),
                (true, true) => table.cell("?"),
                (false, false) => table.cell(known),
                (false, true) => table.cell(format_args!("{known},?")),
            }
        }
        None => table.cell("?"),
    }
    table.cell(report.lock());
    // Frozen says more than that it may not be written here.
    match report.frozen {
        Some(true) => table.cell("frozen"),
        _ => table.cell(info.protection),
    }
    table.cell(info.pid);
    table.cell(report.command.as_deref().unwrap_or("?"));
}

/// Adds a row of memory that nobody publishes: without an id, and with all who hold it.
fn add_unpublished(table: &mut Table, memory: &Unpublished) {
    let each = |what: &dyn Fn(&registry::Holder) -> String| {
        memory.holders.iter().map(what).collect::<Vec<String>>().join(",")
    };
    table.cell("-");
    table.cell(String::from_utf8_lossy(&memory.label));
    match memory.size {
        Some(size) => table.cell(format_args!("{:#}", Bytes(size))),
        None => table.cell("?"),
    }
    // What of it is swapped out, and where it is, is not asked.
    (0..3).for_each(|_| table.cell("?"));
    match memory.holders.iter().filter_map(|holder| holder.mapped).reduce(|one, other| one | other) {
        Some(protection) => table.cell(protection),
        None => table.cell("---"),
    }
    table.cell(each(&|holder| holder.pid.to_string()));
    table.cell(each(&|holder| holder.command.clone().unwrap_or("?".to_owned())));
}

fn in_words(bytes: Option<u64>) -> String {
    bytes.map_or("?".to_owned(), |bytes| format!("{:#}", Bytes(bytes)))
}

/// All areas together. Memory that several of them share counts once.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Total {
    areas: usize,
    /// `None` where it is not known of all of them.
    resident: Option<u64>,
    locked: Option<u64>,
    /// The same with what cannot be measured as it was asked.
    #[serde(skip)]
    asked: Option<u64>,
}

/// The memory behind areas, and how much of it is in RAM, and locked.
#[derive(Debug, Default)]
struct Objects {
    areas: usize,
    known: BTreeMap<(u64, u64), Parts>,
}

/// What is known of an object's parts, by where in it an area begins and ends: the larger ones first.
type Parts = BTreeMap<(usize, Reverse<usize>), Known>;

/// Bytes of a part of an object: in RAM; locked, as measured; locked, as was asked where it could not be measured.
#[derive(Debug, Clone, Copy)]
struct Known {
    resident: Option<u64>,
    locked: Option<u64>,
    asked: Option<u64>,
}

/// Of two numbers, if both are known.
fn of_both(one: Option<u64>, other: Option<u64>, what: fn(u64, u64) -> u64) -> Option<u64> {
    one.zip(other).map(|(one, other)| what(one, other))
}

impl Known {
    const NOTHING: Self = Known { resident: Some(0), locked: Some(0), asked: Some(0) };

    /// Adds what lies behind, no more than `most` bytes of it.
    fn add(&mut self, other: Known, most: u64) {
        let sum = |one, other| of_both(one, other, |one, other| one.saturating_add(other));
        let least = |known: Option<u64>| known.map(|known| known.min(most));
        self.resident = sum(self.resident, least(other.resident));
        self.locked = sum(self.locked, least(other.locked));
        self.asked = sum(self.asked, least(other.asked));
    }

    /// The same memory is locked once more. Which pages each has locked is not told: all lock the same ones, if they lock all.
    fn locked_too(&mut self, locked: Option<u64>, asked: Option<u64>) {
        self.locked = of_both(self.locked, locked, u64::max);
        self.asked = of_both(self.asked, asked, u64::max);
    }
}

impl Objects {
    fn add(&mut self, report: &Report) {
        self.areas += 1;
        let info = &report.info;
        let part = (info.offset, Reverse(info.offset.saturating_add(info.mapped)));
        let new = Known { resident: report.resident, ..Known::NOTHING };
        let known = self.known.entry(info.object).or_default().entry(part).or_insert(new);
        let measured = report.locked.map(|locked| locked.bytes);
        known.locked_too(measured, measured.or(report.resident));
    }

    fn total(&self) -> Total {
        let mut all = Known::NOTHING;
        for parts in self.known.values() {
            let mut object = Known::NOTHING;
            let mut end = 0;
            for (&(first, Reverse(last)), &known) in parts {
                match last.saturating_sub(first.max(end)) as u64 {
                    0 => object.locked_too(known.locked, known.asked),
                    beyond => object.add(known, beyond),
                }
                end = end.max(last);
            }
            all.add(object, u64::MAX);
        }
        Total { areas: self.areas, resident: all.resident, locked: all.locked, asked: all.asked }
    }
}

impl std::fmt::Display for Total {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let noun = if self.areas == 1 { "area" } else { "areas" };
        write!(f, "{} {noun}, {} in RAM", self.areas, in_words(self.resident))?;
        match self.locked {
            Some(0) => Ok(()),
            Some(locked) => write!(f, ", {} locked", in_words(Some(locked))),
            None => write!(f, ", {} locked as asked", in_words(self.asked)),
        }
    }
}

#[derive(Debug, Serialize)]
struct ListJson {
    areas: Vec<AreaJson>,
    /// Only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    unpublished: Option<Vec<UnpublishedJson>>,
    unreadable: Vec<UnreadableJson>,
    total: Total,
}

/// Memory that no process publishes.
#[derive(Debug, Serialize)]
struct UnpublishedJson {
    label: String,
    size: Option<u64>,
    allocated: Option<u64>,
    holders: Vec<HolderJson>,
}

impl From<&Unpublished> for UnpublishedJson {
    fn from(memory: &Unpublished) -> Self {
        UnpublishedJson {
            label: String::from_utf8_lossy(&memory.label).into_owned(),
            size: memory.size,
            allocated: memory.allocated,
            holders: memory.holders.iter().map(HolderJson::from).collect(),
        }
    }
}

/// A process that holds it.
#[derive(Debug, Serialize)]
struct HolderJson {
    pid: u32,
    command: Option<String>,
    /// What its mappings allow; null if it has none.
    protection: Option<String>,
    descriptors: usize,
}

impl From<&registry::Holder> for HolderJson {
    fn from(holder: &registry::Holder) -> Self {
        HolderJson {
            pid: holder.pid,
            command: holder.command.clone(),
            protection: holder.mapped.map(|protection| protection.to_string()),
            descriptors: holder.descriptors,
        }
    }
}

#[derive(Debug, Serialize)]
struct UnreadableJson {
    pid: u32,
    command: Option<String>,
    reason: String,
}

impl From<&UnreadableTeam> for UnreadableJson {
    fn from(team: &UnreadableTeam) -> Self {
        UnreadableJson { pid: team.pid, command: team.command.clone(), reason: team.reason.clone() }
    }
}
