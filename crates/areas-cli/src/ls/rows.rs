//! The rows of the listing: an area each, or a memory each with all the areas over it.

use std::collections::BTreeMap;

use areas::registry::{self, Unpublished};

use super::args::Ls;
use super::columns::{bytes, unknown};
use super::total::Objects;
use crate::column::Column;
use crate::output::table::Table;
use crate::report::{Report, object_of};

/// Which rows there are, in which order, and what they show.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    ls: &'a Ls,
    columns: Vec<Column>,
    table: Table,
    /// Only where they are sorted, turned round or put together: of many areas, what is reported
    /// takes less memory than what is known.
    kept: Vec<Report>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(ls: &'a Ls, columns: Vec<Column>) -> Self {
        let table = Table::new(columns.iter().map(|column| column.heading()));
        Rows { ls, columns, table, kept: Vec::new() }
    }

    pub(super) fn add(&mut self, report: Report) {
        if self.ls.group || self.ls.sort.is_some() || self.ls.reverse {
            self.kept.push(report);
        } else {
            self.row(&report);
        }
    }

    /// Puts in what was kept, and then what no process publishes.
    pub(super) fn finish(mut self, unpublished: &[Unpublished]) -> Table {
        let mut kept = std::mem::take(&mut self.kept);
        sort(&mut kept, self.ls);
        if self.ls.group {
            self.groups(kept);
        } else {
            kept.iter().for_each(|report| self.row(report));
        }
        unpublished.iter().for_each(|memory| self.unpublished(memory));
        self.table
    }

    fn row(&mut self, report: &Report) {
        for column in &self.columns {
            self.table.cell(column.content(report, self.ls.bytes));
        }
    }

    /// A row a memory, where the first of its areas would stand.
    fn groups(&mut self, reports: Vec<Report>) {
        let mut places = BTreeMap::new();
        let mut groups: Vec<Vec<Report>> = Vec::new();
        for report in reports {
            let place = *places.entry(report.info.object).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => group.push(report),
                None => groups.push(vec![report]),
            }
        }
        for group in &groups {
            for column in &self.columns {
                self.table.cell(of_group(*column, group, self.ls.bytes));
            }
        }
    }

    /// Memory that no process publishes: without an id, and with all who hold it.
    fn unpublished(&mut self, memory: &Unpublished) {
        for column in &self.columns {
            self.table.cell(of_unpublished(*column, memory, self.ls.bytes));
        }
    }
}

/// Sorts areas as was asked.
pub(super) fn sort(reports: &mut [Report], ls: &Ls) {
    if let Some(column) = ls.sort {
        reports.sort_by(|one, other| {
            let order = column.order(one, other);
            if ls.reverse { order.reverse() } else { order }
        });
    } else if ls.reverse {
        reports.reverse();
    }
}

/// What a column shows of several areas over one memory: each thing once; of sizes the largest; of
/// what is in RAM all of it, once.
fn of_group(column: Column, group: &[Report], exact: bool) -> String {
    match column {
        Column::Size | Column::Mapped => {
            let of =
                |report: &Report| if column == Column::Size { report.info.size } else { report.info.mapped };
            bytes(group.iter().map(|report| of(report) as u64).max(), exact)
        }
        Column::Ram => {
            let mut objects = Objects::default();
            group.iter().for_each(|report| objects.add(report));
            bytes(objects.total().resident, exact)
        }
        _ => {
            let mut reported: Vec<String> = Vec::new();
            for report in group {
                let content = column.content(report, exact);
                if !reported.contains(&content) {
                    reported.push(content);
                }
            }
            reported.join(",")
        }
    }
}

fn of_unpublished(column: Column, memory: &Unpublished, exact: bool) -> String {
    let each = |what: &dyn Fn(&registry::Holder) -> String| {
        memory.holders.iter().map(what).collect::<Vec<String>>().join(",")
    };
    match column {
        Column::Id => "-".to_owned(),
        Column::Name => areas::escape_invisible_bytes(&memory.label).into_owned(),
        Column::Size => bytes(memory.size, exact),
        Column::Prot => memory
            .holders
            .iter()
            .filter_map(|holder| holder.mapped)
            .reduce(|one, other| one | other)
            .map_or_else(|| "---".to_owned(), |protection| protection.to_string()),
        Column::Pid => each(&|holder| holder.pid.to_string()),
        Column::Command => each(&|holder| holder.command.clone().unwrap_or_else(unknown)),
        Column::Object => object_of(memory.object),
        // What of it is swapped out, where it is, and what its holders asked for, is not asked.
        Column::Ram
        | Column::Nodes
        | Column::Lock
        | Column::Mapped
        | Column::Max
        | Column::Created
        | Column::Policy
        | Column::Pages
        | Column::Address => unknown(),
    }
}
