//! What an area's pages are: in RAM or swapped out, locked, huge; and why not.

use areas::machine;
use areas::{Bytes, Lock, PageSize};

use super::super::check::Check;
use super::Looked;

pub(super) fn checks(looked: &Looked<'_>) -> Vec<Check> {
    vec![resident(looked), locked(looked), huge(looked)]
}

fn resident(looked: &Looked<'_>) -> Check {
    let (id, title) = ("area.resident", "in RAM");
    let size = Bytes(looked.info.size as u64);
    let residency = match &looked.residency {
        Ok(residency) => residency,
        Err(error) => {
            return match looked.look.resident() {
                Ok(bytes) => Check::fine(id, title, format!("{:#} of {size:#}", Bytes(bytes))),
                Err(_) => Check::unknown(id, title, error.to_string()),
            };
        }
    };
    let finding = format!("{:#} of {size:#}", Bytes(residency.resident()));
    match residency.swapped() {
        Some(0) => Check::fine(id, title, finding),
        None => Check::fine(id, title, format!("{finding}; whether the rest is swapped out or was never touched is not reported")),
        Some(swapped) => Check::remark(
            id,
            title,
            format!("{finding}; {:#} are swapped out: each touch of them waits for the disk", Bytes(swapped)),
        )
        .words("make it with `--lock full`, which keeps it in RAM; see what takes the memory: `areas doctor`, `areas ls --sort ram`"),
    }
}

fn locked(looked: &Looked<'_>) -> Check {
    let (id, title) = ("area.lock", "lock");
    let lock = looked.info.lock;
    if lock == Lock::None {
        return Check::fine(id, title, "none was asked for").words("make it with `--lock full`");
    }
    let locked = match looked.info.locked() {
        Ok(locked) if locked.is_whole() => {
            return Check::fine(id, title, format!("{lock}: {:#} are locked", Bytes(locked.bytes)));
        }
        Ok(locked) => locked,
        Err(error) => return Check::unknown(id, title, format!("{lock} was asked for; {error}")),
    };
    let pid = looked.info.pid;
    let mut finding = format!(
        "{lock} was asked for, and {:#} of it are not locked any more: {} has undone it (munlock), or is a child made by fork",
        Bytes(locked.lost),
        looked.holder()
    );
    let limit = looked.facts.limit_of(&pid.to_string(), "Max locked memory");
    let used = looked.facts.bytes(format!("/proc/{pid}/status"), "VmLck").unwrap_or(0);
    let mut check = Check::broken(id, title, "");
    if let Ok((Some(limit), _)) = limit
        && limit.saturating_sub(used) < locked.lost
    {
        finding += &format!("; its RLIMIT_MEMLOCK is {:#}, {:#} in use", Bytes(limit), Bytes(used));
        check = check.root(format!("prlimit --pid {pid} --memlock={}", used.saturating_add(locked.lost)));
    }
    check.finding = finding;
    check.words("have that process lock it again, or make it again: `areas create --lock full`")
}

/// What is smaller gains little.
const WORTH_IT: u64 = 64 << 20;

fn huge(looked: &Looked<'_>) -> Check {
    let (id, title) = ("area.huge", "huge pages");
    if looked.info.page_size != PageSize::base() {
        return Check::fine(id, title, format!("hugetlb pages, {} each", looked.info.page_size));
    }
    let Ok(residency) = &looked.residency else {
        return Check::unknown(id, title, "its pages cannot be measured");
    };
    let Some(sizes) = residency.page_sizes() else {
        return Check::unknown(id, title, "the kernel does not report the sizes of its pages");
    };
    let huge: u64 = sizes.filter(|(page, _)| *page > looked.info.page_size).map(|(_, bytes)| bytes).sum();
    let resident = residency.resident();
    let finding = format!("{:#} of {:#} in RAM are in transparent huge pages", Bytes(huge), Bytes(resident));
    if resident < WORTH_IT || huge >= resident / 2 {
        return Check::fine(id, title, finding);
    }
    let reason = match machine::transparent_forbidden(looked.facts.root(), true) {
        Some(why) => format!("{finding}: {why}"),
        None => format!(
            "{finding}: none were asked for, or no run of free memory was long enough when its pages came"
        ),
    };
    Check::remark(id, title, reason)
        .words("make it with `--huge auto` (or 2M, from the pool): the table of pages gets 512 times smaller, and far-flung accesses faster")
}
