//! The listing in JSON.

use areas::registry::{self, Unpublished, UnreadableTeam};
use serde::Serialize;

use super::args::Ls;
use super::total::Total;
use crate::failure::Result;
use crate::output::json;
use crate::report::{AreaJson, Report, object_of};
use crate::target;

pub(super) fn print(
    ls: &Ls,
    reports: &[Report],
    unpublished: Option<&[Unpublished]>,
    unreadable: &[UnreadableTeam],
    total: Total,
) -> Result<()> {
    let not_published = unpublished.map(|memories| NotPublished {
        memories: memories.len(),
        allocated: memories.iter().map(|memory| memory.allocated).sum(),
    });
    let content = ListJson {
        areas: reports.iter().map(Report::to_json).collect(),
        unpublished: unpublished
            .filter(|_| ls.all)
            .map(|memories| memories.iter().map(UnpublishedJson::from).collect()),
        unreadable: unreadable.iter().map(UnreadableJson::from).collect(),
        total: TotalJson { total, not_published },
        registry: registry::path()?.map(|path| path.display().to_string()),
    };
    json::print(content, false)
}

#[derive(Debug, Serialize)]
struct ListJson {
    areas: Vec<AreaJson>,
    /// Only where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    unpublished: Option<Vec<UnpublishedJson>>,
    unreadable: Vec<UnreadableJson>,
    total: TotalJson,
    /// The folder that was looked in; null where there is none.
    registry: Option<String>,
}

#[derive(Debug, Serialize)]
struct TotalJson {
    #[serde(flatten)]
    total: Total,
    /// Null where it is not counted: of very many areas only where that is asked for (`--all`).
    not_published: Option<NotPublished>,
}

/// What no process publishes, all together: reported whether it is listed or not.
#[derive(Debug, Serialize)]
struct NotPublished {
    memories: usize,
    /// Bytes; null where it is not known of all of them.
    allocated: Option<u64>,
}

/// Memory that no process publishes.
#[derive(Debug, Serialize)]
struct UnpublishedJson {
    label: String,
    /// A label that is not UTF-8, as `name_bytes`.
    label_bytes: Option<String>,
    /// Device and inode of the memory object.
    object: String,
    size: Option<u64>,
    allocated: Option<u64>,
    holders: Vec<HolderJson>,
}

impl From<&Unpublished> for UnpublishedJson {
    fn from(memory: &Unpublished) -> Self {
        UnpublishedJson {
            label: String::from_utf8_lossy(&memory.label).into_owned(),
            label_bytes: target::bytes_in_hex(&memory.label),
            object: object_of(memory.object),
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
