//! `areas top --once`: one table, or JSON.

use std::process::ExitCode;
use std::time::Instant;

use areas::Node;
use serde::Serialize;

use super::args::{Order, Top};
use super::columns::{self, bytes, signed};
use super::reading::{History, Memory, Reading};
use super::view::View;
use crate::failure::Result;
use crate::output;
use crate::output::json::{self, in_order};
use crate::output::reader;
use crate::output::style::{Look, Terminal};
use crate::output::table::{Holds, Table};
use crate::report::object_of;
use crate::target;

pub(super) fn run(top: &Top) -> Result<ExitCode> {
    let mut history = History::default();
    let mut look = || -> Result<Reading> {
        let now = Instant::now();
        let mut reading = Reading::take()?;
        history.update(&mut reading.memories, now);
        Ok(reading)
    };
    let mut reading = look()?;
    // Only two looks show by how much it grows.
    if let Some(interval) = top.interval {
        reader::end_without_reader()?;
        std::thread::sleep(interval);
        reading = look()?;
    } else {
        reading.memories.iter_mut().for_each(|memory| memory.growth = Default::default());
    }
    let view = View::new(top);
    let rows = view.rows(&reading);
    if top.json {
        json::print(OnceJson::new(top, &reading, &rows), false)?;
    } else {
        let terminal = Terminal::stdout();
        let total = format!(
            "{} of {} memories, {} areas, {} in RAM",
            rows.len(),
            reading.memories.len(),
            reading.areas,
            bytes(reading.resident())
        );
        let text = if rows.is_empty() { String::new() } else { table(&rows).render(terminal) };
        output::print(&format!("{text}{}\n", terminal.paint(Look::Dim, &total)))?;
    }
    if reading.unreadable > 0 {
        let count = reading.unreadable;
        output::complain(&format!("{count} holders of areas cannot be looked into: `areas ls` says why"));
    }
    Ok(ExitCode::SUCCESS)
}

fn table(rows: &[&Memory]) -> Table {
    let mut table = Table::new([
        ("ID", Holds::Numbers),
        ("NAME", Holds::Text),
        ("SIZE", Holds::Numbers),
        ("IN RAM", Holds::Numbers),
        ("GROWTH", Holds::Numbers),
        ("PER S", Holds::Numbers),
        ("NODES", Holds::Words),
        ("HELD BY", Holds::Text),
    ]);
    for memory in rows {
        table.row([
            columns::content(Order::Id, memory),
            columns::content(Order::Name, memory),
            bytes(Some(memory.size)),
            bytes(memory.resident),
            signed(memory.growth.since_start, ""),
            signed(memory.growth.per_second, "/s"),
            columns::content(Order::Nodes, memory),
            columns::content(Order::Holders, memory),
        ]);
    }
    table.without_empty_columns()
}

#[derive(Debug, Serialize)]
struct OnceJson {
    /// Seconds between the two looks; null where there was one.
    interval: Option<f64>,
    memories: Vec<MemoryJson>,
    unreadable: usize,
    total: TotalJson,
}

#[derive(Debug, Serialize)]
struct TotalJson {
    memories: usize,
    areas: usize,
    resident: Option<u64>,
}

#[derive(Debug, Serialize)]
struct MemoryJson {
    object: String,
    offset: usize,
    size: u64,
    resident: Option<u64>,
    swapped: Option<u64>,
    growth: Option<i64>,
    growth_per_second: Option<i64>,
    #[serde(serialize_with = "in_order")]
    nodes: Option<Vec<(Node, u64)>>,
    node_unknown: Option<u64>,
    areas: Vec<AreaJson>,
}

#[derive(Debug, Serialize)]
struct AreaJson {
    id: i32,
    name: String,
    name_bytes: Option<String>,
    pid: u32,
    command: Option<String>,
}

impl OnceJson {
    fn new(top: &Top, reading: &Reading, rows: &[&Memory]) -> Self {
        OnceJson {
            interval: top.interval.map(|interval| interval.as_secs_f64()),
            memories: rows.iter().map(|memory| MemoryJson::from(*memory)).collect(),
            unreadable: reading.unreadable,
            total: TotalJson {
                memories: reading.memories.len(),
                areas: reading.areas,
                resident: reading.resident(),
            },
        }
    }
}

impl From<&Memory> for MemoryJson {
    fn from(memory: &Memory) -> Self {
        let areas = memory.areas.iter().map(|area| AreaJson {
            id: area.id.get(),
            name: String::from_utf8_lossy(area.name.as_bytes()).into_owned(),
            name_bytes: target::in_hex(&area.name),
            pid: area.pid,
            command: area.command.clone(),
        });
        let (object, offset) = memory.key;
        MemoryJson {
            object: object_of(object),
            offset,
            size: memory.size,
            resident: memory.resident,
            swapped: memory.swapped,
            growth: memory.growth.since_start,
            growth_per_second: memory.growth.per_second,
            nodes: memory.nodes.clone(),
            node_unknown: memory.node_unknown,
            areas: areas.collect(),
        }
    }
}
