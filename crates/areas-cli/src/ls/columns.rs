//! The columns of the listing: what each shows of an area, and how areas are sorted by it.

use std::cmp::{Ordering, Reverse};

use crate::column::Column;
use crate::output::table::Holds;
use crate::report::{Report, object_of};
use areas::{Bytes, Extent, NodeSet};

/// What is shown where nothing else is asked for.
pub(super) const USUAL: [Column; 9] = [
    Column::Id,
    Column::Name,
    Column::Size,
    Column::Ram,
    Column::Nodes,
    Column::Lock,
    Column::Prot,
    Column::Pid,
    Column::Command,
];

/// What areas are sorted by; what is not known comes last.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(u64),
    /// The largest first.
    Large(Reverse<u64>),
    Text(Vec<u8>),
    Unknown,
}

impl Column {
    pub(super) fn heading(self) -> (&'static str, Holds) {
        match self {
            Column::Id => ("ID", Holds::Numbers),
            Column::Name => ("NAME", Holds::Text),
            Column::Size => ("SIZE", Holds::Numbers),
            Column::Ram => ("IN RAM", Holds::Numbers),
            Column::Nodes => ("NODES", Holds::Words),
            Column::Lock => ("LOCK", Holds::Words),
            Column::Prot => ("PROT", Holds::Words),
            Column::Pid => ("PID", Holds::Numbers),
            Column::Command => ("COMMAND", Holds::Text),
            Column::Object => ("OBJECT", Holds::Numbers),
            Column::Mapped => ("MAPPED", Holds::Numbers),
            Column::Max => ("MAX", Holds::Numbers),
            Column::Created => ("CREATED", Holds::Words),
            Column::Policy => ("POLICY", Holds::Text),
            Column::Pages => ("PAGES", Holds::Numbers),
            Column::Address => ("ADDRESS", Holds::Numbers),
        }
    }

    /// What it shows of an area: bytes as they are, or as people read them.
    pub(super) fn content(self, report: &Report, exact: bool) -> String {
        let info = &report.info;
        match self {
            Column::Id => info.id.to_string(),
            Column::Name => info.name.to_string(),
            Column::Size => bytes(Some(info.size as u64), exact),
            Column::Ram => bytes(report.resident, exact),
            Column::Nodes => nodes(report),
            Column::Lock => report.lock(),
            // Retired and frozen say more than what may be done with it here.
            Column::Prot if info.retired => "retired".to_owned(),
            Column::Prot if report.frozen == Some(true) => "frozen".to_owned(),
            Column::Prot => info.protection.to_string(),
            Column::Pid => info.pid.to_string(),
            Column::Command => report.command.clone().unwrap_or_else(unknown),
            Column::Object => object_of(info.object),
            Column::Mapped => bytes(Some(info.mapped as u64), exact),
            Column::Max => most(report).map_or(String::new(), |max| bytes(Some(max as u64), exact)),
            Column::Created => report.created().map_or_else(unknown, |created| created.to_string()),
            Column::Policy => report.policy().unwrap_or_else(unknown),
            Column::Pages => match exact {
                true => info.page_size.bytes().to_string(),
                false => info.page_size.to_string(),
            },
            Column::Address => format!("{:#x}", info.address),
        }
    }

    /// Which of two areas comes first where the table is sorted by this: the larger one of sizes,
    /// else the lower number, or what is first in the alphabet, byte by byte.
    pub(super) fn order(self, one: &Report, other: &Report) -> Ordering {
        self.key(one).cmp(&self.key(other))
    }

    fn key(self, report: &Report) -> Key {
        let info = &report.info;
        let large = |bytes: Option<u64>| bytes.map_or(Key::Unknown, |bytes| Key::Large(Reverse(bytes)));
        match self {
            Column::Id => Key::Number(u64::from(info.id.get().unsigned_abs())),
            Column::Name => Key::Text(info.name.as_bytes().to_vec()),
            Column::Size => large(Some(info.size as u64)),
            Column::Ram => large(report.resident),
            Column::Mapped => large(Some(info.mapped as u64)),
            Column::Max => large(most(report).map(|max| max as u64)),
            Column::Pages => large(Some(info.page_size.bytes() as u64)),
            Column::Pid => Key::Number(u64::from(info.pid)),
            Column::Address => Key::Number(info.address as u64),
            Column::Created => Key::Number(info.created_since_boot),
            Column::Command => {
                report.command.as_ref().map_or(Key::Unknown, |command| Key::Text(command.clone().into()))
            }
            Column::Nodes | Column::Lock | Column::Prot | Column::Object | Column::Policy => {
                Key::Text(self.content(report, true).into_bytes())
            }
        }
    }
}

/// Bytes: all digits, or three of them and a unit.
pub(super) fn bytes(bytes: Option<u64>, exact: bool) -> String {
    match bytes {
        None => unknown(),
        Some(bytes) if exact => bytes.to_string(),
        Some(bytes) => format!("{:#}", Bytes(bytes)),
    }
}

pub(super) fn unknown() -> String {
    "?".to_owned()
}

/// The size up to which it may grow.
fn most(report: &Report) -> Option<usize> {
    match report.info.extent {
        Extent::Growable { max } | Extent::Resizable { max } => Some(max),
        _ => None,
    }
}

/// The nodes on which it has pages; `?` among them where there are pages on a node that is not
/// known.
fn nodes(report: &Report) -> String {
    let Some(nodes) = &report.nodes else { return unknown() };
    let known: NodeSet = nodes.iter().map(|&(node, _)| node).collect();
    let some_unknown = report.node_unknown.is_some_and(|bytes| bytes > 0);
    match (known.is_empty(), some_unknown) {
        (true, false) => String::new(),
        (true, true) => unknown(),
        (false, false) => known.to_string(),
        (false, true) => format!("{known},?"),
    }
}
