//! Who holds an area, and what of that is in the way of freezing or moving it.

use areas::registry::Holder;

use super::super::check::Check;
use super::super::facts::{Facts, Unread};
use super::Looked;

const SYS_NICE: u32 = 23;

pub(super) fn checks(looked: &Looked<'_>) -> Vec<Check> {
    let mut checks = vec![alive(looked)];
    if looked.info.physical.is_none() {
        checks.extend([freezing(looked), pinned(looked), moving(looked)]);
    }
    checks
}

/// `1234 (python3), 1235 (python3)`, and how many more.
fn list(holders: &[&Holder]) -> String {
    const MAX: usize = 8;
    let mut words: Vec<String> = holders.iter().take(MAX).map(ToString::to_string).collect();
    if holders.len() > MAX {
        words.push(format!("{} more", holders.len() - MAX));
    }
    words.join(", ")
}

/// Whether those who hold it can answer.
fn alive(looked: &Looked<'_>) -> Check {
    let (id, title) = ("area.holders", "holders");
    let all: Vec<&Holder> = looked.holders.iter().collect();
    let stopped: Vec<&Holder> = all
        .iter()
        .filter(|holder| {
            let state = looked.facts.status_of(&holder.pid.to_string(), "State");
            state.is_ok_and(|state| state.starts_with(['T', 't']))
        })
        .copied()
        .collect();
    if all.is_empty() {
        return Check::unknown(id, title, format!("process {} cannot be looked into", looked.info.pid))
            .words("ask as the user who runs it, or as root");
    }
    let mut finding = list(&all);
    match unseen(looked.facts) {
        0 => {}
        1 => finding += "; one process cannot be looked into, and may have it too",
        count => finding += &format!("; {count} processes cannot be looked into, and may have it too"),
    }
    if stopped.is_empty() {
        return Check::fine(id, title, finding);
    }
    let line = format!(
        "kill -CONT {}",
        stopped.iter().map(|holder| holder.pid.to_string()).collect::<Vec<_>>().join(" ")
    );
    Check::remark(id, title, format!("{finding}; stopped, so that it cannot answer: {}", list(&stopped)))
        .shell(line)
}

/// How many programs there are that this process may not look into: those of other users, mostly.
fn unseen(facts: &Facts) -> usize {
    /// More are not counted.
    const MAX: usize = 10_000;
    let processes = facts.names("/proc").unwrap_or_default();
    let hides = |pid: &&String| {
        // Threads of the kernel, and processes that have ended, have no command line and no memory.
        matches!(facts.names(format!("/proc/{pid}/fd")), Err(Unread::Failed(..)))
            && facts.text(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
    };
    let processes = processes.iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    processes.take(MAX).filter(hides).count()
}

/// Who keeps it from being frozen, but for its holder, who does it.
fn freezing(looked: &Looked<'_>) -> Check {
    let (id, title) = ("area.freezing", "freezing");
    if looked.look.is_frozen() {
        return Check::fine(id, title, "it is frozen: no process can write it any more");
    }
    if looked.look.is_sealed_shut() == Some(true) {
        return Check::remark(
            id,
            title,
            "a holder has sealed it against further seals (F_SEAL_SEAL): it can never be frozen",
        )
        .shell(format!("areas cat {} | areas put - --name NEW --freeze", looked.target()));
    }
    let writers = match looked.source.writers() {
        Ok(writers) => writers,
        Err(error) => return Check::unknown(id, title, error.to_string()),
    };
    let others: Vec<&Holder> = writers.iter().filter(|writer| writer.pid != looked.info.pid).collect();
    if others.is_empty() {
        return Check::fine(id, title, "no process except its holder is seen to have it mapped for writing");
    }
    let pids: Vec<String> = others.iter().map(|writer| writer.pid.to_string()).collect();
    Check::remark(
        id,
        title,
        format!(
            "it is kept from being frozen by processes that have it mapped for writing, or may: {}",
            list(&others)
        ),
    )
    .shell(format!("kill {}", pids.join(" ")))
    .words("or have them drop it, or clone it for reading only")
}

/// Pages that a transfer has pinned can be neither sealed nor moved. The kernel reports how many
/// there are, and of each process what it has pinned for long; not which pages these are.
fn pinned(looked: &Looked<'_>) -> Check {
    let (id, title) = ("area.pinned", "pinned pages");
    let pins: Vec<&Holder> = looked.holders.iter().filter(|holder| pins(looked.facts, holder.pid)).collect();
    if !pins.is_empty() {
        let finding = format!(
            "{} have pinned pages (VmPin, buffers of io_uring): if they are of this area, it can be neither frozen nor moved",
            list(&pins)
        );
        return Check::remark(id, title, finding).words("have them unregister their buffers");
    }
    match on_the_machine(looked.facts) {
        Some(0) => Check::fine(id, title, "no page of the machine is pinned"),
        Some(count) => Check::fine(
            id,
            title,
            format!(
                "none by its holders for long; {count} on the machine, of any memory: a transfer in progress pins for a moment"
            ),
        ),
        None => Check::unknown(
            id,
            title,
            "none by its holders for long; the kernel does not report those of the machine",
        ),
    }
}

fn pins(facts: &Facts, pid: u32) -> bool {
    if facts.bytes(format!("/proc/{pid}/status"), "VmPin").is_ok_and(|bytes| bytes > 0) {
        return true;
    }
    // A ring's descriptor says how many buffers are registered with it.
    let numbers = facts.names(format!("/proc/{pid}/fd")).unwrap_or_default();
    numbers.iter().any(|number| {
        let is_ring = std::fs::read_link(facts.path(format!("/proc/{pid}/fd/{number}")))
            .is_ok_and(|target| target.to_string_lossy().starts_with("anon_inode:[io_uring]"));
        is_ring
            && facts
                .field(format!("/proc/{pid}/fdinfo/{number}"), "UserBufs")
                .is_ok_and(|count| count.parse::<u64>().is_ok_and(|count| count > 0))
    })
}

/// Pins that were taken and not released.
fn on_the_machine(facts: &Facts) -> Option<u64> {
    let text = facts.text("/proc/vmstat").ok()?;
    let value = |name: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.parse().ok()
    };
    Some(value("nr_foll_pin_acquired")?.saturating_sub(value("nr_foll_pin_released")?))
}

fn moving(looked: &Looked<'_>) -> Check {
    let (id, title) = ("area.moving", "moving");
    let mapped: Vec<&Holder> = looked.holders.iter().filter(|holder| holder.mapped.is_some()).collect();
    if looked.info.page_size != areas::PageSize::base() {
        return Check::fine(
            id,
            title,
            "hugetlb pages move where the pool of the other node has some free: `areas nodes`",
        );
    }
    match (mapped.as_slice(), looked.facts.has_capability(SYS_NICE)) {
        ([] | [_], _) => Check::fine(id, title, "no two processes are seen to have it mapped"),
        (several, Ok(true)) => Check::fine(
            id,
            title,
            format!("{} processes have it mapped, which CAP_SYS_NICE goes beyond", several.len()),
        ),
        (several, _) => {
            let finding = format!(
                "pages that several have mapped move only with CAP_SYS_NICE, which this process does not have: {}",
                list(several)
            );
            Check::remark(id, title, finding)
                .root(format!("areas move {} --nodes N", looked.target()))
                .words("in a container: `--cap-add SYS_NICE`")
        }
    }
}
