//! Control groups: the memory limits on a process, of its own group and of those above, and whether
//! it is held back by one of them now.
//!
//! A group at `memory.high` is not killed: each page that it takes makes it wait, until it seems to
//! hang. A group at its limit without any page that could be reclaimed is killed from.

use std::path::Path;

use areas::Bytes;
use areas::machine::{self, Room, Version};

use super::check::{Check, Group, State};
use super::facts::Facts;
use super::huge;

pub(super) fn group(facts: &Facts) -> Group {
    let mut checks = vec![membership(facts)];
    checks.extend(memory(facts, "self"));
    Group { title: "control groups", checks }
}

fn membership(facts: &Facts) -> Check {
    let (id, title) = ("groups.membership", "group");
    let text = match facts.text("/proc/self/cgroup") {
        Ok(text) => text,
        Err(why) if facts.lacks(&why) => return Check::fine(id, title, "the kernel has no control groups"),
        Err(why) => return Check::unknown(id, title, why.to_string()),
    };
    match machine::path_of(text.as_bytes(), "memory") {
        Some((version, path)) => {
            let path = String::from_utf8_lossy(path);
            let version = match version {
                Version::One => 1,
                Version::Two => 2,
            };
            let limits = machine::memory_rooms_of(facts.root(), "self");
            if limits.is_none() {
                return Check::unknown(
                    id,
                    title,
                    format!(
                        "{path} (version {version}), and its files are not mounted here: which limits there are is not seen"
                    ),
                );
            }
            Check::fine(id, title, format!("{path} (version {version})"))
        }
        None => Check::fine(id, title, "memory is in no control group"),
    }
}

/// The limits on a process, one check each.
pub(super) fn memory(facts: &Facts, process: &str) -> Vec<Check> {
    let Some(rooms) = machine::memory_rooms_of(facts.root(), process) else { return Vec::new() };
    if rooms.is_empty() {
        return vec![Check::fine("groups.memory", "memory limit", "no group sets one")];
    }
    rooms.iter().map(|room| limit(facts, room)).collect()
}

/// A share of a limit, in percent.
const FULL: u64 = 95;
const TIGHT: u64 = 80;

fn limit(facts: &Facts, room: &Room) -> Check {
    let file = room.file.file_name().unwrap_or_default().to_string_lossy();
    let (id, title) = match &*file {
        "memory.high" => ("groups.high", "memory.high"),
        _ => ("groups.memory", "memory limit"),
    };
    let folder = room.file.parent().unwrap_or(Path::new("/"));
    let hits = Hits::of(facts, folder, &file);
    let percent = room.used.saturating_mul(100) / room.limit.max(1);
    let mut finding = format!(
        "group {}: {file} is {:#}, {:#} in use beyond what can be reclaimed",
        room.group,
        Bytes(room.limit),
        Bytes(room.used)
    );
    let held_back = match id {
        "groups.high" => ": it makes this group wait for each page that it takes",
        _ => ": what it takes more has to be swapped out, or it is killed from",
    };
    let what = match (percent, hits.count, hits.stalled) {
        (FULL.., ..) => {
            finding += held_back;
            Check::broken
        }
        (_, Some(1..), Some(10..)) | (TIGHT.., ..) => Check::remark,
        _ => Check::fine,
    };
    finding += &hits.in_words();
    let check = what(id, title, finding);
    if check.state == State::Fine { check } else { huge::lines(facts, check, room) }
}

/// What a group's files say of how often its limit was met.
struct Hits {
    /// How often.
    count: Option<u64>,
    /// Which share of the last minute some of its processes waited for memory, in percent.
    stalled: Option<u64>,
}

impl Hits {
    fn of(facts: &Facts, folder: &Path, file: &str) -> Self {
        let shown = facts.shown(folder).into_owned();
        let events = |name: &str| {
            let text = facts.text(shown.join("memory.events")).ok()?;
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.parse().ok()
        };
        let count = match file {
            "memory.high" => events("high"),
            "memory.max" => events("max"),
            "memory.limit_in_bytes" => facts.number(shown.join("memory.failcnt")).ok(),
            "memory.memsw.limit_in_bytes" => facts.number(shown.join("memory.memsw.failcnt")).ok(),
            _ => None,
        };
        let pressure = facts.text(shown.join("memory.pressure")).ok();
        let stalled = pressure.as_deref().and_then(|text| {
            let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
            let share = some.split(' ').find_map(|word| word.strip_prefix("avg60="))?;
            // 12.34: whole percents do.
            share.split('.').next()?.parse().ok()
        });
        Hits { count, stalled }
    }

    fn in_words(&self) -> String {
        let mut words = String::new();
        match self.count {
            Some(0) => words += "; never met",
            Some(1) => words += "; met once",
            Some(count) => words += &format!("; met {count} times"),
            None => {}
        }
        if let Some(percent) = self.stalled.filter(|percent| *percent > 0) {
            words += &format!("; waiting for memory {percent} % of the last minute");
        }
        words
    }
}
