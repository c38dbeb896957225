//! `areas show`: everything about one area.

pub(crate) mod args;

use std::process::ExitCode;

use areas::closed::ClosedExtent;
use areas::registry::{self, Holder, Source};
use areas::{Bytes, Lock, PageSize, escape_invisible};
use serde::Serialize;

use crate::failure::Result;
use crate::map::{Map, PartJson};
use crate::output::style::{Look, Terminal};
use crate::output::{self, json};
use crate::report::{AreaJson, Report};
use crate::users;
use args::Show;

pub(crate) fn run(show: &Show) -> Result<ExitCode> {
    users::look_into(show.user.as_deref())?;
    let source = show.area.find()?;
    let report = Report::of(&source)?;
    let listing = registry::list()?.areas;
    let holders = holders(&source, &report, &listing);
    let namesakes = namesakes(&report, &listing);
    let map = if show.map { Some(Map::new(source.residency()?, report.is_locked())) } else { None };
    if show.json {
        let holders = holders.iter().map(HolderJson::from).collect();
        let map = map.as_ref().map(Map::to_json);
        json::print(
            ShowJson {
                area: report.to_json(),
                swapped: report.swapped,
                misplaced: report.misplaced,
                holders,
                namesakes,
                map,
            },
            false,
        )?;
    } else {
        let terminal = Terminal::stdout();
        output::print(&text(&report, &holders, &namesakes, terminal))?;
        if let Some(map) = map {
            output::print(&format!("\n{}", map.draw(terminal)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The holders of the memory, and the areas that they have published over it.
fn holders(source: &Source, report: &Report, listing: &[Source]) -> Vec<(Holder, Vec<i32>)> {
    let same: Vec<(u32, i32)> = listing
        .iter()
        .filter(|area| area.info().is_ok_and(|info| info.object == report.info.object))
        .map(|area| (area.pid(), area.id().get()))
        .collect();
    let ids = |pid| same.iter().filter(|(holder, _)| *holder == pid).map(|&(_, id)| id).collect();
    source.holders().into_iter().map(|holder| (holder.clone(), ids(holder.pid))).collect()
}

/// Areas of the same name over other memory: whoever asks for the name finds the oldest.
fn namesakes(report: &Report, listing: &[Source]) -> Vec<i32> {
    let mut ids: Vec<i32> = listing
        .iter()
        .filter(|area| *area.name() == report.info.name)
        .filter(|area| area.info().is_ok_and(|info| info.object != report.info.object))
        .map(|area| area.id().get())
        .collect();
    ids.sort_unstable();
    ids
}

/// A line: its label, and what is said.
type Line = (&'static str, String);

fn text(report: &Report, holders: &[(Holder, Vec<i32>)], namesakes: &[i32], terminal: Terminal) -> String {
    let title = format!("area {} {:?}", report.info.id, report.info.name);
    let mut text = terminal.paint(Look::Bold, &title) + "\n";
    let lines = [bytes(report), terms(report), holding(report, holders, namesakes)];
    let mut before = "";
    for (label, value) in lines.into_iter().flatten() {
        let shown = if label == before { "" } else { label };
        // What programs are called is not ours.
        let value = escape_invisible(&value);
        text += &format!("  {}  {value}\n", terminal.paint(Look::Dim, &format!("{shown:<10}")));
        before = label;
    }
    text
}

/// As people read it, and exactly.
fn both(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        _ => format!("{:#} ({bytes} B)", Bytes(bytes)),
    }
}

fn both_if_known(bytes: Option<u64>) -> String {
    bytes.map_or("unknown".to_owned(), both)
}

/// How large it is, and where its bytes are.
fn bytes(report: &Report) -> Vec<Line> {
    let info = &report.info;
    let mut lines = vec![("size", both(info.size as u64)), ("mapped", both(info.mapped as u64))];
    match ClosedExtent::from(info.extent) {
        ClosedExtent::Fixed => {}
        ClosedExtent::Growable { max } => lines.push(("grows to", both(max as u64))),
        ClosedExtent::Resizable { max } => lines.push(("resizes to", both(max as u64))),
    }
    lines.push(("in RAM", both_if_known(report.resident)));
    if report.swapped != Some(0) {
        lines.push(("swapped", both_if_known(report.swapped)));
    }
    lines.extend(on_nodes(report));
    lines.extend(report.misplaced.filter(|bytes| *bytes > 0).map(|bytes| {
        let of = report.resident.map_or(String::new(), |resident| format!(" of {:#}", Bytes(resident)));
        ("misplaced", format!("{:#}{of}: `areas doctor {}` shows why", Bytes(bytes), info.id))
    }));
    lines.push(("pages", pages(report)));
    lines
}

/// What was asked of its memory, and what may be done with it.
fn terms(report: &Report) -> Vec<Line> {
    let info = &report.info;
    let policy = report.policy().unwrap_or_else(|| format!("unknown; {} was asked for", info.placement));
    let mut lines = vec![("policy", policy), ("lock", report.lock())];
    if info.lock != Lock::None {
        lines.push(("locked", both_if_known(report.locked.map(|locked| locked.bytes))));
    }
    lines.push(("protection", info.protection.to_string()));
    let frozen = report.frozen.map_or("unknown", |frozen| if frozen { "yes" } else { "no" });
    lines.push(("frozen", frozen.to_owned()));
    if info.retired {
        lines.push(("retired", "yes: its holders keep it, no other process gets it".to_owned()));
    }
    if !info.note.is_empty() {
        lines.push(("note", format!("{} ({} B)", info.note, info.note.as_bytes().len())));
    }
    lines
}

/// Its holder, since when, and what else has its name.
fn holding(report: &Report, holders: &[(Holder, Vec<i32>)], namesakes: &[i32]) -> Vec<Line> {
    let info = &report.info;
    let created = report.created().map_or("unknown".to_owned(), |created| created.to_string());
    let command = report.command.as_deref().unwrap_or("?");
    let mapped_at = format!("{:#x} in process {} ({command})", info.address, info.pid);
    let mut lines = vec![("created", created), ("mapped at", mapped_at)];
    lines.extend(holders.iter().map(|(holder, ids)| ("held by", held_by(holder, ids))));
    if !namesakes.is_empty() {
        let ids: Vec<String> = namesakes.iter().map(i32::to_string).collect();
        lines
            .push(("same name", format!("other memory: area {}; the name finds the oldest", ids.join(", "))));
    }
    lines
}

/// What of it is on which node.
fn on_nodes(report: &Report) -> Vec<Line> {
    let mut lines = Vec::new();
    match &report.nodes {
        Some(nodes) => {
            let unknown = report.node_unknown.unwrap_or(0);
            let total = (nodes.iter().map(|(_, bytes)| bytes).sum::<u64>() + unknown).max(1);
            let mut on = |node: &dyn std::fmt::Display, bytes: u64| {
                let percent = bytes * 100 / total;
                lines.push(("on node", format!("{node}: {:#}, {percent} %", Bytes(bytes))));
            };
            nodes.iter().for_each(|(node, bytes)| on(node, *bytes));
            if unknown > 0 {
                on(&"unknown", unknown);
            }
            if report.knows_pages == Some(false) && !nodes.is_empty() {
                lines.push((
                    "on node",
                    "which page is where is unknown: move_pages is forbidden here".to_owned(),
                ));
            }
        }
        None => lines.push(("on node", "unknown".to_owned())),
    }
    lines
}

fn pages(report: &Report) -> String {
    let base = report.info.page_size.to_string();
    let huge = report.page_sizes.iter().flatten().filter(|(page, _)| *page > report.info.page_size);
    let parts: Vec<String> =
        huge.map(|(page, bytes): &(PageSize, u64)| format!("{:#} of it in {page}", Bytes(*bytes))).collect();
    match parts.is_empty() {
        true => base,
        false => format!("{base}, {}", parts.join(", ")),
    }
}

fn held_by(holder: &Holder, ids: &[i32]) -> String {
    let mut text = format!("process {holder}");
    match holder.mapped {
        Some(protection) => text += &format!(", mapped {protection}"),
        None => text += ", open but not mapped",
    }
    match ids {
        [] => text += ", not published",
        [id] => text += &format!(", as area {id}"),
        ids => {
            let ids: Vec<String> = ids.iter().map(i32::to_string).collect();
            text += &format!(", as areas {}", ids.join(", "));
        }
    }
    text
}

#[derive(Debug, Serialize)]
struct ShowJson {
    #[serde(flatten)]
    area: AreaJson,
    swapped: Option<u64>,
    /// Bytes in RAM that are not where its policy would have them.
    misplaced: Option<u64>,
    holders: Vec<HolderJson>,
    /// Areas of the same name over other memory.
    namesakes: Vec<i32>,
    /// Its parts in order, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<Vec<PartJson>>,
}

#[derive(Debug, Serialize)]
struct HolderJson {
    pid: u32,
    command: Option<String>,
    /// What its mappings allow; null if it has none.
    protection: Option<String>,
    descriptors: usize,
    /// Its published areas over this memory.
    ids: Vec<i32>,
}

impl From<&(Holder, Vec<i32>)> for HolderJson {
    fn from((holder, ids): &(Holder, Vec<i32>)) -> Self {
        HolderJson {
            pid: holder.pid,
            command: holder.command.clone(),
            protection: holder.mapped.map(|protection| protection.to_string()),
            descriptors: holder.descriptors,
            ids: ids.clone(),
        }
    }
}
