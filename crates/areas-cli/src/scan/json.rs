//! The listing in JSON.

use serde::Serialize;

use super::blind::Blind;
use super::memory::{Holder, Memory, Published};
use super::{Sum, Survey, Total};
use crate::failure::Result;
use crate::output::json;
use crate::report::object_of;
use crate::target;

pub(super) fn print(survey: &Survey, total: &Total) -> Result<()> {
    let content = ScanJson {
        memories: survey.memories.iter().map(MemoryJson::from).collect(),
        unseen: UnseenJson::from(&survey.blind),
        total: TotalJson {
            all: total.all.into(),
            leaked: total.leaked.into(),
            idle: total.idle.into(),
            unknown: total.unknown.into(),
            registry: total.registry.into(),
        },
        trouble: &survey.trouble,
    };
    json::print(content, false)
}

#[derive(Debug, Serialize)]
struct ScanJson<'a> {
    memories: Vec<MemoryJson>,
    unseen: UnseenJson,
    /// Of all memories, listed or not; one that has several names counts once.
    total: TotalJson,
    /// What could not be looked at.
    trouble: &'a [String],
}

#[derive(Debug, Serialize)]
struct MemoryJson {
    kind: &'static str,
    name: String,
    /// A name that is not UTF-8, as the command takes it; null where `name` says it all.
    name_bytes: Option<String>,
    /// What it was called before an interrupted `areas reap`; null of all else.
    was: Option<String>,
    was_bytes: Option<String>,
    /// Device and inode; null of segments.
    object: Option<String>,
    /// The number of the user that owns it; null where it is not known.
    user: Option<u32>,
    size: Option<u64>,
    /// Bytes for which there is memory, swapped ones included.
    allocated: Option<u64>,
    resident: Option<u64>,
    /// `leaked`, `idle`, `unknown`, `held`.
    state: &'static str,
    /// What else is to be said of that.
    why: Option<String>,
    /// Where its file is; null where it has no name in a file system.
    path: Option<String>,
    /// A process of another mount namespace, in whose /dev/shm it is; null of what is here.
    inside: Option<u32>,
    holders: Vec<HolderJson>,
    areas: Vec<PublishedJson>,
    /// The command that frees it; null of what is not leaked.
    free_with: Option<String>,
}

impl From<&Memory> for MemoryJson {
    fn from(memory: &Memory) -> Self {
        MemoryJson {
            kind: memory.kind.word(),
            name: String::from_utf8_lossy(&memory.name).into_owned(),
            name_bytes: target::bytes_in_hex(&memory.name),
            was: memory.was().map(|was| String::from_utf8_lossy(was.name).into_owned()),
            was_bytes: memory.was().and_then(|was| target::bytes_in_hex(was.name)),
            object: memory.object.map(object_of),
            user: memory.owner,
            size: memory.size,
            allocated: memory.allocated,
            resident: memory.resident,
            state: memory.state.word(),
            why: memory.why.clone(),
            path: memory.path.as_ref().map(|path| path.display().to_string()),
            inside: memory.inside,
            holders: memory.holders.iter().map(HolderJson::from).collect(),
            areas: memory.areas.iter().map(PublishedJson::from).collect(),
            free_with: memory.free_with(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct HolderJson {
    pid: u32,
    command: Option<String>,
    mapped: bool,
    descriptors: usize,
}

impl From<&Holder> for HolderJson {
    fn from(holder: &Holder) -> Self {
        HolderJson {
            pid: holder.pid,
            command: holder.command.clone(),
            mapped: holder.mapped,
            descriptors: holder.descriptors,
        }
    }
}

/// An area over the memory.
#[derive(Debug, Serialize)]
struct PublishedJson {
    id: i32,
    name: String,
    name_bytes: Option<String>,
    pid: u32,
    user: u32,
}

impl From<&Published> for PublishedJson {
    fn from(area: &Published) -> Self {
        PublishedJson {
            id: area.id,
            name: String::from_utf8_lossy(area.name.as_bytes()).into_owned(),
            name_bytes: target::in_hex(&area.name),
            pid: area.pid,
            user: area.user,
        }
    }
}

/// Who might hold something without being seen.
#[derive(Debug, Serialize)]
struct UnseenJson {
    /// Processes that may not be looked into.
    processes: Vec<u32>,
    /// Whether `/proc` hides processes of others.
    hidden: bool,
    /// Whether there may be processes outside of this pid namespace.
    outside: bool,
    /// Descriptors that wait in the queues of sockets.
    in_sockets: u64,
    /// Files that are registered with io_uring.
    in_rings: u64,
}

impl From<&Blind> for UnseenJson {
    fn from(blind: &Blind) -> Self {
        let sum = |parts: &[(u32, u64)]| parts.iter().map(|&(_, count)| count).sum();
        UnseenJson {
            processes: blind.refused.clone(),
            hidden: blind.hides,
            outside: blind.nested,
            in_sockets: sum(&blind.on_the_way),
            in_rings: sum(&blind.registered),
        }
    }
}

#[derive(Debug, Serialize)]
struct TotalJson {
    all: SumJson,
    leaked: SumJson,
    idle: SumJson,
    unknown: SumJson,
    registry: SumJson,
}

#[derive(Debug, Serialize)]
struct SumJson {
    memories: usize,
    /// Bytes, as far as they are known.
    allocated: u64,
}

impl From<Sum> for SumJson {
    fn from(sum: Sum) -> Self {
        SumJson { memories: sum.memories, allocated: sum.allocated }
    }
}
