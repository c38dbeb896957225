//! `areas ls`: every area that can be seen, and who cannot be looked into.

use std::collections::BTreeMap;
use std::process::ExitCode;

use areas::registry::{self, Listing, UnreadableTeam};
use areas::{Bytes, Kind, NodeSet};
use serde::Serialize;

use crate::args::Ls;
use crate::failure::Result;
use crate::output::style::{Look, Terminal};
use crate::output::table::{Holds, Table};
use crate::output::{self, json};
use crate::report::{AreaJson, Commands, Report};

pub(crate) fn run(ls: &Ls, quiet: bool) -> Result<ExitCode> {
    let listing = registry::list()?;
    if quiet && !ls.json {
        let ids: String = listing.areas.iter().map(|area| format!("{}\n", area.id())).collect();
        output::print(&ids)?;
        return Ok(ExitCode::SUCCESS);
    }
    let reports = reports(&listing)?;
    let total = Total::of(&reports);
    if ls.json {
        let unreadable = listing.unreadable.iter().map(UnreadableJson::from).collect();
        let areas = reports.iter().map(Report::to_json).collect();
        json::print(ListJson { areas, unreadable, total }, false)?;
        return Ok(ExitCode::SUCCESS);
    }
    let terminal = Terminal::stdout();
    let mut text = String::new();
    if !reports.is_empty() {
        text = table(&reports).render(terminal);
    }
    output::print(&(text + &terminal.paint(Look::Dim, &total.to_string()) + "\n"))?;
    for team in &listing.unreadable {
        let command = team.command.as_deref().map_or(String::new(), |command| format!(" ({command})"));
        output::complain(&format!(
            "process {}{command} holds areas that cannot be read: {}",
            team.pid, team.reason
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// What can be told of each. Areas that go while we look are left out: they are gone.
fn reports(listing: &Listing) -> areas::Result<Vec<Report>> {
    let mut reports = Vec::with_capacity(listing.areas.len());
    let mut commands = Commands::default();
    for area in &listing.areas {
        match Report::among(area, &mut commands) {
            Ok(report) => reports.push(report),
            Err(error) if error.kind() == Kind::NoSuchArea => {}
            Err(error) => return Err(error),
        }
    }
    Ok(reports)
}

/// Areas as a table, one a row.
pub(crate) fn table(reports: &[Report]) -> Table {
    let mut table = Table::new([
        ("ID", Holds::Numbers),
        ("NAME", Holds::Text),
        ("SIZE", Holds::Numbers),
        ("IN RAM", Holds::Numbers),
        ("NODES", Holds::Words),
        ("LOCK", Holds::Words),
        ("PROT", Holds::Words),
        ("PID", Holds::Numbers),
        ("COMMAND", Holds::Text),
    ]);
    for report in reports {
        let info = &report.info;
        let nodes = report.nodes.as_ref().map_or("?".to_owned(), |nodes| {
            let nodes: NodeSet = nodes.iter().map(|&(node, _)| node).collect();
            if nodes.is_empty() { String::new() } else { nodes.to_string() }
        });
        table.row([
            info.id.to_string(),
            info.name.to_string(),
            format!("{:#}", Bytes::from(info.size)),
            report.resident.map_or("?".to_owned(), |bytes| format!("{:#}", Bytes(bytes))),
            nodes,
            info.lock.to_string(),
            // Frozen says more than that it may not be written here.
            if report.frozen == Some(true) { "frozen".to_owned() } else { info.protection.to_string() },
            info.pid.to_string(),
            report.command.clone().unwrap_or_else(|| "?".to_owned()),
        ]);
    }
    table
}

/// All areas together. Memory that several of them share counts once.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Total {
    areas: usize,
    /// `None` where it is not known of all of them.
    resident: Option<u64>,
    locked: Option<u64>,
}

impl Total {
    fn of(reports: &[Report]) -> Self {
        let mut objects: BTreeMap<(u64, u64), (Option<u64>, Option<u64>)> = BTreeMap::new();
        for report in reports {
            let (_, locked) = objects.entry(report.info.object).or_insert((report.resident, Some(0)));
            *locked = locked.zip(report.locked()).map(|(one, other)| one.max(other));
        }
        Total {
            areas: reports.len(),
            resident: objects.values().map(|(resident, _)| *resident).sum(),
            locked: objects.values().map(|(_, locked)| *locked).sum(),
        }
    }
}

impl std::fmt::Display for Total {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = |bytes: Option<u64>| bytes.map_or("?".to_owned(), |bytes| format!("{:#}", Bytes(bytes)));
        let noun = if self.areas == 1 { "area" } else { "areas" };
        write!(f, "{} {noun}, {} in RAM", self.areas, bytes(self.resident))?;
        match self.locked {
            Some(0) => Ok(()),
            locked => write!(f, ", {} locked", bytes(locked)),
        }
    }
}

#[derive(Debug, Serialize)]
struct ListJson {
    areas: Vec<AreaJson>,
    unreadable: Vec<UnreadableJson>,
    total: Total,
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
