//! All that is reported of one area: what its holder published, and what was measured now.

use std::collections::BTreeMap;

use areas::registry::{Info, Locked, Locks, Measured, Source};
use areas::{ErrorKind, Extent, Lock, Node, PageSize, Policy, Residency};
use jiff::{Timestamp, Unit};
use serde::Serialize;

use crate::output::json::in_order;
use crate::target;

/// An area, as it is at this moment. What could not be found out is `None`.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) info: Info,
    /// Bytes in RAM.
    pub(crate) resident: Option<u64>,
    /// Bytes in RAM by node.
    pub(crate) nodes: Option<Vec<(Node, u64)>>,
    /// Bytes in RAM on a node that is not known.
    pub(crate) node_unknown: Option<u64>,
    /// Whether the node of each page is known, and not only how many bytes are on each.
    pub(crate) knows_pages: Option<bool>,
    /// Bytes in RAM by the size of their pages.
    pub(crate) page_sizes: Option<Vec<(PageSize, u64)>>,
    /// Bytes that are swapped out.
    pub(crate) swapped: Option<u64>,
    /// Bytes in RAM that are not where its policy now would have them; `None` where that was not
    /// asked, or is not known.
    pub(crate) misplaced: Option<u64>,
    /// What its lock does.
    pub(crate) locked: Option<Locked>,
    pub(crate) frozen: Option<bool>,
    /// Where new pages come from, as the kernel has it, where it was asked: most areas have one
    /// policy.
    policies: Option<Vec<Policy>>,
    /// What its holder's program is called.
    pub(crate) command: Option<String>,
}

/// What is asked of processes, and not of areas: each once, though it hold many areas.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    /// What their programs are called.
    commands: BTreeMap<u32, Option<String>>,
    locks: Locks,
}

impl Holders {
    pub(crate) fn command(&mut self, info: &Info) -> Option<String> {
        self.commands.entry(info.pid).or_insert_with(|| command_of(info)).clone()
    }
}

impl Report {
    /// Asks about an area.
    ///
    /// # Errors
    /// `ErrorKind::NoSuchArea` if it was dropped concurrently. What merely cannot be found out is
    /// not an error.
    pub(crate) fn of(source: &Source) -> areas::Result<Self> {
        let measured = source.measure();
        let residency = measured.as_ref().ok().and_then(|measured| measured.residency.as_ref().ok()).cloned();
        let mut report = Report::measured(source, measured, &mut Holders::default())?.with_policy(source);
        report.misplaced = residency.and_then(|residency| report.misplaced_of(residency));
        Ok(report)
    }

    /// Asks where new pages come from, too.
    pub(crate) fn with_policy(mut self, source: &Source) -> Self {
        self.policies = source.policies().ok();
        self
    }

    /// Where new pages come from, as the kernel has it now; `None` where it does not report that.
    /// Memory that was reserved belongs to no node, and has what was asked.
    pub(crate) fn policy(&self) -> Option<String> {
        let asked = self.info.placement;
        if self.info.physical.is_some() {
            return Some(asked.to_string());
        }
        Some(match self.policies.as_deref()? {
            // With its home node, which the kernel does not show.
            [policy] if *policy == asked.policy() => asked.to_string(),
            policies => policies.iter().map(Policy::to_string).collect::<Vec<_>>().join(", "),
        })
    }

    /// What is elsewhere than where the one policy that the area has now puts pages.
    fn misplaced_of(&self, residency: Residency) -> Option<u64> {
        let [policy] = self.policies.as_deref()? else { return None };
        Some(self.info.verify(residency, *policy).ok()?.elsewhere())
    }

    /// The same for one that was measured, of many.
    ///
    /// # Errors
    /// As [`of`](Report::of).
    pub(crate) fn measured(
        source: &Source,
        measured: areas::Result<Measured>,
        holders: &mut Holders,
    ) -> areas::Result<Self> {
        let Some(measured) = known(measured)? else {
            let info = source.info()?;
            let (command, locked) = (holders.command(&info), holders.locks.of(&info).ok());
            let (nodes, page_sizes) = (None, None);
            return Ok(Report {
                info,
                locked,
                resident: None,
                nodes,
                node_unknown: None,
                knows_pages: None,
                page_sizes,
                swapped: None,
                misplaced: None,
                frozen: None,
                policies: None,
                command,
            });
        };
        let residency = known(measured.residency)?;
        Ok(Report {
            command: holders.command(&measured.info),
            locked: holders.locks.of(&measured.info).ok(),
            info: measured.info,
            resident: measured.resident,
            nodes: residency.as_ref().map(|residency| residency.nodes().collect()),
            node_unknown: residency.as_ref().map(Residency::node_unknown),
            knows_pages: residency.as_ref().map(Residency::knows_pages),
            page_sizes: residency.as_ref().and_then(Residency::page_sizes).map(Iterator::collect),
            swapped: residency.as_ref().and_then(Residency::swapped),
            misplaced: None,
            frozen: Some(measured.frozen),
            policies: None,
        })
    }

    /// When it was published: to the millisecond, in UTC.
    pub(crate) fn created(&self) -> Option<Timestamp> {
        Timestamp::try_from(self.info.created()).ok()?.round(Unit::Millisecond).ok()
    }

    /// Its lock as a word, and the outcome where that is not what was asked.
    pub(crate) fn lock(&self) -> String {
        let lock = self.info.lock;
        match self.locked {
            _ if lock == Lock::None => lock.to_string(),
            Some(locked) if locked.is_whole() => lock.to_string(),
            Some(locked) if locked.lost >= self.info.mapped as u64 => format!("{lock} (unlocked)"),
            Some(_) => format!("{lock} (in part)"),
            None => format!("{lock} (asked)"),
        }
    }

    /// Whether its pages are locked, or said to be where it cannot be seen.
    pub(crate) fn is_locked(&self) -> bool {
        self.info.lock != Lock::None && self.locked.is_none_or(|locked| locked.is_whole())
    }

    pub(crate) fn to_json(&self) -> AreaJson {
        let info = &self.info;
        AreaJson {
            id: info.id.get(),
            name: String::from_utf8_lossy(info.name.as_bytes()).into_owned(),
            name_bytes: target::in_hex(&info.name),
            size: info.size,
            mapped: info.mapped,
            resident: self.resident,
            reserve: info.reserve,
            growable: info.extent != Extent::Fixed,
            resizable: matches!(info.extent, Extent::Resizable { .. }),
            lock: info.lock.name(),
            locked: self.locked.map(|locked| locked.bytes),
            unlocked: self.locked.map(|locked| locked.lost),
            protection: info.protection.to_string(),
            note: std::str::from_utf8(info.note.as_bytes())
                .ok()
                .map(str::to_owned)
                .filter(|_| !info.note.is_empty()),
            note_bytes: target::bytes_in_hex(info.note.as_bytes()),
            frozen: self.frozen,
            retired: info.retired,
            pid: info.pid,
            command: self.command.clone(),
            address: info.address,
            policy: self.policy(),
            nodes: self.nodes.clone(),
            node_unknown: self.node_unknown,
            page_nodes_known: self.knows_pages,
            page_size: info.page_size.bytes(),
            created: self.created().map(|created| created.to_string()),
            object: object_of(info.object),
            offset: info.offset,
        }
    }
}

/// What a holder's program is called; of this command itself with what it runs behind `--`, for
/// which it holds the area.
fn command_of(info: &Info) -> Option<String> {
    let command = info.command()?;
    if command != "areas" {
        return Some(command);
    }
    let line = std::fs::read(format!("/proc/{}/cmdline", info.pid)).unwrap_or_default();
    let mut arguments = line.split(|&byte| byte == 0).skip_while(|&argument| argument != b"--").skip(1);
    let run = arguments.next().filter(|run| !run.is_empty());
    Some(match run.map(|run| run.rsplit(|&byte| byte == b'/').next().unwrap_or(run)) {
        Some(run) => format!("{command} -- {}", String::from_utf8_lossy(run)),
        None => command,
    })
}

/// A memory object, by device and inode: `1:4711`.
pub(crate) fn object_of((device, inode): (u64, u64)) -> String {
    format!("{device}:{inode}")
}

/// An answer, or `None` where the question cannot be answered for this area.
fn known<T>(answer: areas::Result<T>) -> areas::Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.kind() == ErrorKind::NoSuchArea => Err(error),
        Err(_) => Ok(None),
    }
}

/// An area in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct AreaJson {
    id: i32,
    name: String,
    /// A name that is not UTF-8, as the command takes it; null where `name` says it all.
    name_bytes: Option<String>,
    size: usize,
    mapped: usize,
    resident: Option<u64>,
    reserve: usize,
    growable: bool,
    resizable: bool,
    lock: &'static str,
    /// Bytes that the lock keeps in RAM, and bytes that it was asked for and does not hold any
    /// more; null where that cannot be seen.
    locked: Option<u64>,
    unlocked: Option<u64>,
    protection: String,
    /// What its holder has noted beside it, where it is UTF-8; null where there is nothing.
    note: Option<String>,
    /// The same where it is not UTF-8: `hex:` and its bytes.
    note_bytes: Option<String>,
    frozen: Option<bool>,
    /// Whether no process but its holders gets it any more.
    retired: bool,
    pid: u32,
    command: Option<String>,
    address: usize,
    /// Where new pages come from now; null where the kernel does not report it.
    policy: Option<String>,
    #[serde(serialize_with = "in_order")]
    nodes: Option<Vec<(Node, u64)>>,
    /// Bytes in RAM on a node that is not known.
    node_unknown: Option<u64>,
    /// Whether the node of each page is known; if not, `nodes` are totals.
    page_nodes_known: Option<bool>,
    page_size: usize,
    created: Option<String>,
    /// Device and inode of the memory object: areas with the same one share their memory.
    object: String,
    /// Where in the object the area begins.
    offset: usize,
}
