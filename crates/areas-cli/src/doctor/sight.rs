//! Who may look at whom: areas of others are opened through `/proc`, and security modules,
//! namespaces and mount options decide what is seen there. And what takes a capability.

use std::path::Path;

use areas::machine::Answer;

use super::check::{Check, Group, State};
use super::facts::{Facts, Unread};

pub(super) fn group(facts: &Facts) -> Group {
    let checks = vec![
        proc_is_ours(facts),
        hidden(facts),
        namespace(facts),
        users(facts),
        yama(facts),
        landlock(facts),
        others(facts),
        capabilities(facts),
        low_memory(facts),
    ];
    Group { title: "looking at others", checks }
}

/// Whether `/proc` shows the processes of our own pid namespace.
fn proc_is_ours(facts: &Facts) -> Check {
    let (id, title) = ("sight.proc", "/proc");
    let link = match std::fs::read_link(facts.path("/proc/self")) {
        Ok(link) => link.to_string_lossy().into_owned(),
        Err(_) => {
            return Check::broken(
                id,
                title,
                "/proc is not mounted: no area of another process can be found or opened",
            )
            .root("mount -t proc proc /proc");
        }
    };
    if facts.is_here() && link != std::process::id().to_string() {
        let finding = format!(
            "it shows this process as {link}, which is {}: it is another pid namespace's",
            std::process::id()
        );
        return Check::broken(id, title, finding)
            .root("mount -t proc proc /proc")
            .words("`unshare --mount-proc`");
    }
    match facts.status("Name") {
        Ok(_) => Check::fine(id, title, "it shows this process's own pid namespace"),
        Err(why) => {
            Check::broken(id, title, format!("it cannot be read: {why}")).root("mount -t proc proc /proc")
        }
    }
}

/// What of `/proc` is hidden from others.
fn hidden(facts: &Facts) -> Check {
    let (id, title) = ("sight.hidepid", "hidden processes");
    let mounts = match facts.mounts() {
        Ok(mounts) => mounts,
        Err(why) => return Check::unknown(id, title, why.to_string()),
    };
    let Some(mount) = mounts.iter().find(|mount| mount.point == "/proc" && mount.kind == "proc") else {
        return Check::unknown(id, title, "no mount of /proc is shown");
    };
    if mount.value("subset").is_some() {
        return Check::remark(
            id,
            title,
            "/proc is mounted with subset=pid: nothing of the machine is shown, nor its limits",
        )
        .root("mount -t proc proc /proc");
    }
    match mount.value("hidepid") {
        None | Some("0" | "off") => Check::fine(id, title, "/proc is mounted without hidepid"),
        Some(mode) => Check::remark(
            id,
            title,
            format!(
                "/proc is mounted with hidepid={mode}: holders that run as another user or group are not seen"
            ),
        )
        .root("mount -o remount,hidepid=0 /proc"),
    }
}

fn namespace(facts: &Facts) -> Check {
    let (id, title) = ("sight.pid-namespace", "pid namespace");
    match facts.status("NSpid") {
        Ok(numbers) => match numbers.split_ascii_whitespace().count() {
            // That of /proc and those below it: of those above nothing is known.
            0 | 1 => Check::fine(
                id,
                title,
                "areas of processes in other pid namespaces are not seen, and not by them",
            ),
            depth => Check::remark(
                id,
                title,
                format!("/proc is that of a namespace {} above this process's own: {numbers}", depth - 1),
            )
            .root("mount -t proc proc /proc"),
        },
        Err(why) => Check::unknown(id, title, why.to_string()),
    }
}

fn users(facts: &Facts) -> Check {
    let (id, title) = ("sight.user-namespace", "user namespace");
    let map = match facts.text("/proc/self/uid_map") {
        Ok(map) => map,
        Err(why) if facts.lacks(&why) => return Check::fine(id, title, "the kernel has no user namespaces"),
        Err(why) => return Check::unknown(id, title, why.to_string()),
    };
    let numbers: Vec<u64> = map.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers.as_slice() {
        [0, 0, count] if *count >= u64::from(u32::MAX) => Check::fine(id, title, "the machine's own"),
        [] => Check::remark(id, title, "this one maps no users: every user is `nobody` here")
            .words("map them: `unshare --map-root-user`, `--userns` of the container"),
        _ => Check::remark(
            id,
            title,
            format!(
                "one of its own ({}): processes outside cannot be looked into, nor their areas opened",
                map.replace('\n', "; ")
            ),
        )
        .words("pass areas over a socket: `areas offer`, `areas take`"),
    }
}

fn yama(facts: &Facts) -> Check {
    let (id, title) = ("sight.yama", "Yama");
    match facts.number("/proc/sys/kernel/yama/ptrace_scope") {
        Ok(0) => Check::fine(id, title, "kernel.yama.ptrace_scope is 0"),
        Ok(scope) => Check::fine(
            id,
            title,
            format!(
                "kernel.yama.ptrace_scope is {scope}: descriptors of others are not taken (pidfd_getfd); areas are opened \
                 through /proc, two calls more"
            ),
        )
        .in_state(if scope > 1 { State::Remark } else { State::Fine })
        .root("sysctl kernel.yama.ptrace_scope=0"),
        Err(why) if facts.lacks(&why) => Check::fine(id, title, "the kernel has no Yama"),
        Err(why) => Check::unknown(id, title, why.to_string()),
    }
}

fn landlock(facts: &Facts) -> Check {
    let (id, title) = ("sight.landlock", "Landlock");
    const UNREPORTED: &str =
        "and does not report whether it restricts this process: what it hides shows at `other processes`";
    match facts.answer("landlock_create_ruleset") {
        Some(Answer::Works(version)) => {
            return Check::fine(id, title, format!("the kernel has it (version {version}), {UNREPORTED}"));
        }
        Some(Answer::Refused(errno)) if errno.to_string() == "ENOSYS" => {
            return Check::fine(id, title, "the kernel does not have it");
        }
        Some(Answer::Refused(errno)) if errno.to_string() == "EOPNOTSUPP" => {
            return Check::fine(id, title, "it is not in use on this machine");
        }
        // Another machine's, or a filter's answer.
        _ => {}
    }
    match facts.text("/sys/kernel/security/lsm") {
        Ok(modules) if modules.split(',').any(|name| name == "landlock") => {
            Check::fine(id, title, format!("the kernel has it, {UNREPORTED}"))
        }
        Ok(_) => Check::fine(id, title, "it is not in use on this machine"),
        Err(why) if facts.lacks(&why) => {
            Check::unknown(id, title, "securityfs is not mounted, which lists security modules")
                .root("mount -t securityfs securityfs /sys/kernel/security")
        }
        Err(why) => Check::unknown(id, title, why.to_string()),
    }
}

/// More are not looked at.
const MAX_PROCESSES: usize = 10_000;

/// Whether processes of the same user can be looked into.
fn others(facts: &Facts) -> Check {
    let (id, title) = ("sight.others", "other processes");
    let (Ok(processes), Ok(ours), Ok(groups), Ok(own)) =
        (facts.names("/proc"), facts.status("Uid"), facts.status("Gid"), facts.status("Pid"))
    else {
        return Check::unknown(id, title, "/proc cannot be read");
    };
    let same = |pid: &String| {
        *pid != own
            && facts.status_of(pid, "Uid").as_ref() == Ok(&ours)
            && facts.status_of(pid, "Gid").as_ref() == Ok(&groups)
    };
    let same: Vec<&String> = processes
        .iter()
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .take(MAX_PROCESSES)
        .filter(|pid| same(pid))
        .collect();
    // A process that has just ended is not a process that hides.
    let hides = |pid: &&&String| {
        matches!(facts.names(Path::new("/proc").join(pid.as_str()).join("fd")), Err(Unread::Failed(..)))
    };
    let hidden: Vec<&&String> = same.iter().filter(hides).collect();
    match (same.len(), hidden.as_slice()) {
        (0, _) => Check::unknown(id, title, "no other process of this user is there to be looked at"),
        (count, []) => Check::fine(id, title, format!("all {count} of this user and group can be looked into")),
        (count, [first, ..]) => Check::fine(
            id,
            title,
            format!(
                "{} of {count} of this user and group cannot be looked into ({first}, for one): they have more rights, are not \
                 dumpable, or a security module forbids it; their areas are not found",
                hidden.len()
            ),
        )
        .in_state(if hidden.len() * 2 > count { State::Remark } else { State::Fine })
        .words("run with the same user, group and capabilities; or have areas handed over: `areas offer`"),
    }
}

/// Capabilities that areas have a use for: number, name, what for.
const CAPABILITIES: [(u32, &str, &str); 5] = [
    (23, "CAP_SYS_NICE", "moving pages that several processes have mapped"),
    (14, "CAP_IPC_LOCK", "locks beyond RLIMIT_MEMLOCK"),
    (19, "CAP_SYS_PTRACE", "areas of processes with more rights"),
    (21, "CAP_SYS_ADMIN", "page frame numbers, for the locks `contiguous` and `low`"),
    (17, "CAP_SYS_RAWIO", "/dev/mem, for the lock `low`"),
];

fn capabilities(facts: &Facts) -> Check {
    let (id, title) = ("sight.capabilities", "capabilities");
    let mut missing = Vec::new();
    for (number, name, what) in CAPABILITIES {
        match facts.has_capability(number) {
            Ok(true) => {}
            Ok(false) => missing.push(format!("{name} ({what})")),
            Err(why) => return Check::unknown(id, title, why.to_string()),
        }
    }
    if missing.is_empty() {
        return Check::fine(id, title, "all that areas have a use for");
    }
    Check::fine(id, title, format!("it does not have: {}", missing.join(", ")))
        .root("setcap cap_sys_nice+ep PROGRAM")
        .words("AmbientCapabilities=CAP_SYS_NICE in the systemd unit; `--cap-add SYS_NICE` of the container")
}

/// Memory that was reserved at boot, for locks that demand low memory.
fn low_memory(facts: &Facts) -> Check {
    let (id, title) = ("sight.low-memory", "reserved memory");
    let parameters = match facts.text("/proc/cmdline") {
        Ok(text) => text,
        Err(why) => return Check::unknown(id, title, why.to_string()),
    };
    let aside: Vec<&str> = parameters
        .split_ascii_whitespace()
        .filter(|word| word.starts_with("memmap=") && word.contains('$'))
        .collect();
    let locked_down = match facts.chosen("/sys/kernel/security/lockdown").as_deref() {
        Ok(mode @ ("integrity" | "confidentiality")) => {
            format!("; the kernel's lockdown ({mode}) forbids /dev/mem")
        }
        _ => String::new(),
    };
    match aside.as_slice() {
        [] => Check::fine(id, title, format!("none: the lock `low` is unavailable{locked_down}"))
            .words("on the kernel's command line: memmap=4M$8M takes 4 MiB from 8 MiB on (in GRUB's files the $ is written \\$)")
            .words(
                "CONFIG_STRICT_DEVMEM keeps what is not reserved, CONFIG_IO_STRICT_DEVMEM what drivers have (iomem=relaxed), \
                 lockdown all",
            )
            .shell("export AREAS_LOW_MEMORY=800000-bfffff"),
        some if locked_down.is_empty() => Check::fine(id, title, some.join(" ")),
        some => Check::remark(id, title, format!("{}{locked_down}", some.join(" ")))
            .words("boot without lockdown (Secure Boot may set it)"),
    }
}
