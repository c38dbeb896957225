//! Segments of System V shared memory. They have no descriptors: the kernel counts how often each
//! is attached, wherever its processes are.

use areas::registry::{self, ProcessStat};

use super::args::Kind;
use super::memory::{Memory, State};
use super::namespace::namespace;
use super::walk::{Found, Walk};

/// A line of `/proc/sysvipc/shm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) id: i32,
    pub(super) size: u64,
    pub(super) maker: u32,
    pub(super) last: u32,
    pub(super) attached: u64,
    pub(super) owner: u32,
    /// When it was made: seconds since 1970.
    pub(super) changed: i64,
    pub(super) resident: u64,
    pub(super) swapped: u64,
}

pub(super) fn memories(walk: &mut Walk, trouble: &mut Vec<String>) -> Vec<Memory> {
    let here = namespace("/proc/self", "ipc").unwrap_or_default();
    let lines = match areas::files::read_to_string("/proc/sysvipc/shm") {
        Ok(text) => text.lines().skip(1).filter_map(parse).collect(),
        Err(error) => {
            trouble.push(format!(
                "segments of System V cannot be listed: /proc/sysvipc/shm: {}",
                areas::in_words(&error)
            ));
            Vec::new()
        }
    };
    let mut memories: Vec<Memory> = Vec::new();
    for line in lines {
        let number = u64::try_from(line.id).unwrap_or(0);
        // Whose namespace may not be asked is taken to be here: of those that have it, the kernel's
        // count shows it.
        let seen = walk.segments.remove(&(here.clone(), number)).unwrap_or_default();
        memories.push(memory(line, seen));
    }
    for ((space, number), found) in std::mem::take(&mut walk.segments) {
        if space != here {
            memories.push(elsewhere(number, &space.to_string_lossy(), found));
        }
    }
    memories
}

fn memory(line: Line, seen: Found) -> Memory {
    let (state, why) = match line.attached {
        0 => match user_of(line.maker, line.last, line.changed) {
            None => (State::Leaked, None),
            Some(user) => (State::Idle, Some(user)),
        },
        _ if seen.holders.is_empty() => (State::Held, Some(super::UNSEEN.to_owned())),
        _ => (State::Held, None),
    };
    Memory {
        kind: Kind::Sysv,
        name: line.id.to_string().into_bytes(),
        object: None,
        owner: Some(line.owner),
        size: Some(line.size),
        allocated: Some(line.resident.saturating_add(line.swapped)),
        resident: Some(line.resident),
        state,
        why,
        holders: seen.holders,
        path: None,
        opening_path: None,
        inside: None,
        is_unpublished: false,
        areas: Vec::new(),
    }
}

/// A segment that only another IPC namespace has: no number of ours, and nothing but its mappings
/// is known of it.
fn elsewhere(number: u64, space: &str, found: Found) -> Memory {
    Memory {
        kind: Kind::Sysv,
        name: number.to_string().into_bytes(),
        object: None,
        owner: None,
        size: Some(found.end),
        allocated: None,
        resident: None,
        state: State::Held,
        why: Some(format!("in another IPC namespace ({space})")),
        holders: found.holders,
        path: None,
        opening_path: None,
        inside: None,
        is_unpublished: false,
        areas: Vec::new(),
    }
}

/// Who made a segment, or had it last, and still runs: it can attach it again.
pub(super) fn user_of(maker: u32, last: u32, changed: i64) -> Option<String> {
    let reported = |pid: u32, what: &str| {
        // A process that began after that has the number of one that is gone.
        let lives = pid != 0 && began(pid).is_some_and(|began| began <= changed.saturating_add(1));
        lives.then(|| {
            let command = registry::command_of(pid).unwrap_or_else(|| "?".to_owned());
            format!("process {pid} ({command}), which {what}, still runs")
        })
    };
    reported(maker, "made it").or_else(|| reported(last, "had it last"))
}

/// Bytes that a segment takes, in RAM and in swap.
pub(super) fn allocated(id: i32) -> Option<u64> {
    let text = areas::files::read_to_string("/proc/sysvipc/shm").ok()?;
    let line = text.lines().skip(1).filter_map(parse).find(|line| line.id == id)?;
    Some(line.resident.saturating_add(line.swapped))
}

/// When a process began, in seconds since 1970; `None` if there is none, or only one that has
/// ended.
fn began(pid: u32) -> Option<i64> {
    let stat = ProcessStat::of(pid).ok().filter(|stat| !stat.holds_nothing())?;
    let since_boot = i64::try_from(stat.start_time / rustix::param::clock_ticks_per_second().max(1)).ok()?;
    Some(boot()?.saturating_add(since_boot))
}

/// When the machine was booted.
fn boot() -> Option<i64> {
    let text = areas::files::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

/// `key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap`, see
/// proc_sysvipc(5).
fn parse(line: &str) -> Option<Line> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let at = |number: usize| fields.get(number).and_then(|field| field.parse::<u64>().ok());
    let pid = |number: usize| at(number).and_then(|pid| u32::try_from(pid).ok());
    Some(Line {
        id: fields.get(1)?.parse().ok()?,
        size: at(3)?,
        maker: pid(4)?,
        last: pid(5)?,
        attached: at(6)?,
        owner: pid(7)?,
        changed: fields.get(13)?.parse().ok()?,
        resident: at(14).unwrap_or(0),
        swapped: at(15).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines() {
        let text = "         0      32769   600                  4194304  1234  1300      2  1000  1000  1000  1000 1700000001 0 1700000000  8192  4096";
        let line = parse(text).unwrap();
        assert_eq!((line.id, line.size, line.attached, line.owner), (32769, 4 << 20, 2, 1000));
        assert_eq!((line.maker, line.last, line.changed), (1234, 1300, 1_700_000_000));
        assert_eq!((line.resident, line.swapped), (8192, 4096));
        assert_eq!(parse("key shmid perms"), None);
    }

    #[test]
    fn a_number_given_again_is_no_user() {
        let pid = std::process::id();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let now = i64::try_from(now).unwrap();
        assert!(user_of(pid, 0, now).unwrap().contains("which made it"));
        assert!(user_of(0, pid, now).unwrap().contains("had it last"));
        assert_eq!(user_of(pid, pid, now - 1_000_000), None);
        assert_eq!(user_of(0, 0, now), None);
    }
}
