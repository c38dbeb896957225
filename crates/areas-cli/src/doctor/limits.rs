//! Limits of this process (`RLIMIT_*`) and of the system.

use areas::Bytes;

use super::check::{Check, Group};
use super::facts::Facts;

pub(super) fn group(facts: &Facts) -> Group {
    let checks = vec![
        locked(facts),
        open_files(facts),
        addresses(facts),
        file_size(facts),
        threads(facts),
        machine_files(facts),
        mappings(facts),
        overcommit(facts),
        memfd_noexec(facts),
    ];
    Group { title: "limits", checks }
}

const MIB: u64 = 1 << 20;
/// What is no less than that serves most programs.
const PLENTY: u64 = 64 * MIB;

const IPC_LOCK: u32 = 14;

/// A line that raises a limit of this shell; or, where the hard limit is in the way, what raises
/// that.
fn raise(check: Check, flag: &str, soft: Option<u64>, hard: Option<u64>, elsewhere: &str) -> Check {
    match (soft, hard) {
        (Some(soft), None) if soft < u64::MAX => check.shell(format!("ulimit -S {flag} unlimited")),
        (Some(soft), Some(hard)) if soft < hard => check.shell(format!("ulimit -S {flag} hard")),
        _ => check,
    }
    .words(elsewhere)
}

fn locked(facts: &Facts) -> Check {
    let (id, title) = ("limits.memlock", "locked memory");
    let (soft, hard) = match facts.limit("Max locked memory") {
        Ok(limits) => limits,
        Err(why) => return Check::unknown(id, title, why.to_string()),
    };
    let used = facts.bytes("/proc/self/status", "VmLck").unwrap_or(0);
    let Some(limit) = soft else {
        return Check::fine(id, title, "RLIMIT_MEMLOCK is unlimited");
    };
    if facts.has_capability(IPC_LOCK) == Ok(true) {
        let finding = format!("RLIMIT_MEMLOCK is {:#}; CAP_IPC_LOCK goes beyond it", Bytes(limit));
        return Check::fine(id, title, finding);
    }
    let finding = format!(
        "RLIMIT_MEMLOCK is {:#}, {:#} in use: larger areas cannot be locked (`--lock`)",
        Bytes(limit),
        Bytes(used)
    );
    let check = match limit.saturating_sub(used) {
        left if left >= PLENTY => return Check::fine(id, title, finding),
        _ => Check::remark(id, title, finding),
    };
    raise(
        check,
        "-l",
        soft,
        hard,
        "LimitMEMLOCK=infinity in the systemd unit; `--ulimit memlock=-1` of the container; `* - memlock unlimited` \
         in /etc/security/limits.conf",
    )
}

fn open_files(facts: &Facts) -> Check {
    let (id, title) = ("limits.nofile", "open files");
    let (soft, hard) = match facts.limit("Max open files") {
        Ok(limits) => limits,
        Err(why) => return Check::unknown(id, title, why.to_string()),
    };
    // Less the one that counts.
    let open = facts.names("/proc/self/fd").map_or(0, |names| names.len().saturating_sub(1) as u64);
    let Some(limit) = soft else { return Check::fine(id, title, "RLIMIT_NOFILE is unlimited") };
    let finding = format!("RLIMIT_NOFILE is {limit}, {open} open; each shared area takes one");
    let check = match limit.saturating_sub(open) {
        0..16 => Check::broken(id, title, finding),
        16..512 => Check::remark(id, title, finding),
        _ => return Check::fine(id, title, finding),
    };
    raise(
        check,
        "-n",
        soft,
        hard,
        "LimitNOFILE=65536 in the systemd unit; `--ulimit nofile=65536` of the container",
    )
}

fn addresses(facts: &Facts) -> Check {
    let (id, title) = ("limits.as", "addresses");
    let (soft, hard) = match facts.limit("Max address space") {
        Ok(limits) => limits,
        Err(why) => return Check::unknown(id, title, why.to_string()),
    };
    let Some(limit) = soft else { return Check::fine(id, title, "RLIMIT_AS is unlimited") };
    let used = facts.bytes("/proc/self/status", "VmSize").unwrap_or(0);
    let finding = format!(
        "RLIMIT_AS is {:#}, {:#} in use: all mappings and reserves together have to fit",
        Bytes(limit),
        Bytes(used)
    );
    let check = match limit.saturating_sub(used) {
        left if left < PLENTY => Check::broken(id, title, finding),
        _ => Check::remark(id, title, finding),
    };
    raise(
        check,
        "-v",
        soft,
        hard,
        "LimitAS=infinity in the systemd unit; smaller sizes or reserves (`--growable`)",
    )
}

fn file_size(facts: &Facts) -> Check {
    let (id, title) = ("limits.fsize", "file size");
    let (soft, hard) = match facts.limit("Max file size") {
        Ok(limits) => limits,
        Err(why) => return Check::unknown(id, title, why.to_string()),
    };
    let Some(limit) = soft else { return Check::fine(id, title, "RLIMIT_FSIZE is unlimited") };
    let finding =
        format!("RLIMIT_FSIZE is {:#}: no shared area may be larger, it counts as a file", Bytes(limit));
    let check = match limit {
        0..MIB => Check::broken(id, title, finding),
        _ => Check::remark(id, title, finding),
    };
    raise(check, "-f", soft, hard, "LimitFSIZE=infinity in the systemd unit")
}

fn threads(facts: &Facts) -> Check {
    let (id, title) = ("limits.nproc", "processes");
    match facts.limit("Max processes") {
        Err(why) => Check::unknown(id, title, why.to_string()),
        Ok((None, _)) => Check::fine(id, title, "RLIMIT_NPROC is unlimited"),
        Ok((Some(limit), hard)) => {
            let finding = format!("RLIMIT_NPROC is {limit}, threads of this user counted");
            let check = match limit {
                0..64 => Check::remark(id, title, finding),
                _ => Check::fine(id, title, finding),
            };
            raise(check, "-u", Some(limit), hard, "TasksMax=infinity in the systemd unit")
        }
    }
}

fn machine_files(facts: &Facts) -> Check {
    let (id, title) = ("limits.file-max", "files of the machine");
    let text = match facts.text("/proc/sys/fs/file-nr") {
        Ok(text) => text,
        Err(why) => return Check::unknown(id, title, why.to_string()),
    };
    let numbers: Vec<u64> = text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [open, _, most] = numbers[..] else {
        return Check::unknown(id, title, format!("/proc/sys/fs/file-nr says {text:?}"));
    };
    let most_in_words = if most > 1 << 40 { "unlimited".to_owned() } else { most.to_string() };
    let finding = format!("fs.file-max is {most_in_words}, {open} open");
    match most.saturating_sub(open) {
        0..1024 => {
            Check::broken(id, title, finding).root(format!("sysctl fs.file-max={}", most.saturating_mul(2)))
        }
        _ => Check::fine(id, title, finding),
    }
}

/// What vm.max_map_count is, if no process changed it.
const USUAL_MAPPINGS: u64 = 65_530;
/// A sixteenth of the mappings is left to the rest of the program.
const PART: u64 = 16;

fn mappings(facts: &Facts) -> Check {
    let (id, title) = ("limits.mappings", "mappings");
    let limit = match facts.number("/proc/sys/vm/max_map_count") {
        Ok(limit) => limit,
        Err(why) => return Check::unknown(id, title, why.to_string()),
    };
    let used = facts.text("/proc/self/maps").map_or(0, |maps| maps.lines().count() as u64);
    let finding = format!("vm.max_map_count is {limit}, {used} in use by this process");
    let check = match used {
        _ if used >= limit - limit / PART => Check::broken(id, title, finding),
        _ if used > limit / 2 || limit < USUAL_MAPPINGS => Check::remark(id, title, finding),
        _ => {
            return Check::fine(id, title, finding)
                .root(format!("sysctl vm.max_map_count={}", limit.saturating_mul(4)));
        }
    };
    check.root(format!("sysctl vm.max_map_count={}", limit.max(USUAL_MAPPINGS).saturating_mul(4)))
}

fn overcommit(facts: &Facts) -> Check {
    let (id, title) = ("limits.overcommit", "promised memory");
    let finding = match facts.number("/proc/sys/vm/overcommit_memory") {
        Ok(0) => "vm.overcommit_memory is 0: a size that could never be had is refused",
        Ok(1) => "vm.overcommit_memory is 1: any size is promised",
        Ok(2) => return strict(facts),
        Ok(other) => return Check::unknown(id, title, format!("vm.overcommit_memory is {other}")),
        Err(why) => return Check::unknown(id, title, why.to_string()),
    };
    Check::fine(id, title, finding)
}

fn strict(facts: &Facts) -> Check {
    let (id, title) = ("limits.overcommit", "promised memory");
    let (limit, used) = match (facts.meminfo("CommitLimit"), facts.meminfo("Committed_AS")) {
        (Ok(limit), Ok(used)) => (limit, used),
        (Err(why), _) | (_, Err(why)) => return Check::unknown(id, title, why.to_string()),
    };
    let left = limit.saturating_sub(used);
    let finding = format!(
        "vm.overcommit_memory is 2, {:#} of {:#} promised: areas are backed as they are made, and what goes beyond \
         is refused",
        Bytes(used),
        Bytes(limit)
    );
    let check = match left {
        0..PLENTY => Check::broken(id, title, finding),
        _ => Check::remark(id, title, finding),
    };
    // Half as much again as is promised now.
    let kilobytes =
        used.saturating_add(used / 2).saturating_sub(facts.meminfo("SwapTotal").unwrap_or(0)) / 1024;
    check
        .root(format!("sysctl vm.overcommit_kbytes={}", kilobytes.max(limit / 1024)))
        .root("sysctl vm.overcommit_memory=0")
}

fn memfd_noexec(facts: &Facts) -> Check {
    let (id, title) = ("limits.memfd-noexec", "memory objects");
    let finding = match facts.number("/proc/sys/vm/memfd_noexec") {
        Ok(0) => "vm.memfd_noexec is 0; objects of areas are never executable as files",
        Ok(1) => "vm.memfd_noexec is 1: objects are not executable as files, nor are those of areas",
        Ok(2) => "vm.memfd_noexec is 2: executable objects are refused; those of areas never are",
        Ok(other) => return Check::unknown(id, title, format!("vm.memfd_noexec is {other}")),
        Err(why) if facts.lacks(&why) => "the kernel has no vm.memfd_noexec",
        Err(why) => return Check::unknown(id, title, why.to_string()),
    };
    Check::fine(id, title, finding)
}
