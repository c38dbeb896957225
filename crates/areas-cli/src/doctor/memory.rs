//! The machine's memory: what is left of it, and where pages go that are not locked.

use areas::Bytes;

use super::check::{Check, Group};
use super::facts::Facts;

pub(super) fn group(facts: &Facts) -> Group {
    Group { title: "memory", checks: vec![available(facts), swap(facts), compressed(facts)] }
}

fn available(facts: &Facts) -> Check {
    let (id, title) = ("memory.available", "available");
    let (total, left) = match (facts.meminfo("MemTotal"), facts.meminfo("MemAvailable")) {
        (Ok(total), Ok(left)) => (total, left),
        (Err(why), _) | (_, Err(why)) => return Check::unknown(id, title, why.to_string()),
    };
    let shared = facts
        .meminfo("Shmem")
        .map_or_else(|_| "an unknown part".to_owned(), |bytes| format!("{:#}", Bytes(bytes)));
    let finding = format!("{:#} of {:#}; {shared} is shared memory", Bytes(left), Bytes(total));
    match left.saturating_mul(100) / total.max(1) {
        0..5 => Check::remark(id, title, format!("{finding}: the machine is full"))
            .shell("areas ls --sort ram")
            .words("drop what is not needed; `areas scan` finds shared memory that no process holds"),
        _ => Check::fine(id, title, finding),
    }
}

fn swap(facts: &Facts) -> Check {
    let (id, title) = ("memory.swap", "swap");
    let (total, free) = match (facts.meminfo("SwapTotal"), facts.meminfo("SwapFree")) {
        (Ok(total), Ok(free)) => (total, free),
        (Err(why), _) | (_, Err(why)) => return Check::unknown(id, title, why.to_string()),
    };
    let eager = facts
        .number("/proc/sys/vm/swappiness")
        .map_or(String::new(), |value| format!("; vm.swappiness is {value}"));
    if total == 0 {
        return Check::fine(id, title, "none: pages of areas stay in RAM");
    }
    let used = total.saturating_sub(free);
    let finding =
        format!("{:#} of {:#} in use{eager}: areas without a lock may be in it", Bytes(used), Bytes(total));
    match used.saturating_mul(100) / total {
        50.. => Check::remark(id, title, finding)
            .words("lock what is to be fast: `--lock full`")
            .root("sysctl vm.swappiness=1"),
        _ => Check::fine(id, title, finding).words("lock what is to be fast: `--lock full`"),
    }
}

fn compressed(facts: &Facts) -> Check {
    let (id, title) = ("memory.zswap", "zswap");
    match facts.text("/sys/module/zswap/parameters/enabled").as_deref() {
        Ok("Y" | "1") => {
            let held = facts
                .meminfo("Zswap")
                .map_or(String::new(), |bytes| format!(", {:#} of RAM now", Bytes(bytes)));
            Check::fine(id, title, format!("on: what is swapped is kept in RAM, compressed{held}"))
                .root("echo N > /sys/module/zswap/parameters/enabled")
        }
        Ok("N" | "0") => Check::fine(id, title, "off"),
        Ok(other) => {
            Check::unknown(id, title, format!("/sys/module/zswap/parameters/enabled says {other:?}"))
        }
        Err(why) if facts.lacks(why) => Check::fine(id, title, "the kernel has none"),
        Err(why) => Check::unknown(id, title, why.to_string()),
    }
}
