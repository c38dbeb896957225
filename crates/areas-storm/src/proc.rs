//! What `/proc` shows of a process: which objects of areas it has open or mapped.

use std::fs;

/// How the kernel shows an area's object (its label follows), and how a team's table.
const OBJECT: &str = "/memfd:area:";
const TABLE: &str = "/memfd:areas table";

/// The objects of areas that a process has open or mapped, tables not counted.
pub(crate) fn objects_of(process: &str) -> Vec<String> {
    shown(process, |target| target.starts_with(OBJECT))
}

/// The same of one storm's areas alone, by their label.
pub(crate) fn tagged_objects_of(process: &str, tag: &str) -> Vec<String> {
    let label = format!("{OBJECT}{tag}-");
    shown(process, |target| target.starts_with(&label))
}

/// Mappings of teams' tables.
pub(crate) fn tables_of(process: &str) -> usize {
    shown(process, |target| target.starts_with(TABLE)).len()
}

fn shown(process: &str, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let folder = format!("/proc/{process}/fd");
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        if let Some(target) = target.to_str()
            && wanted(target)
        {
            found.push(format!("descriptor {} of {target}", entry.file_name().display()));
        }
    }
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap_or_default();
    found.extend(
        maps.lines().filter(|line| line.find('/').is_some_and(|at| wanted(&line[at..]))).map(str::to_owned),
    );
    found
}

/// Whether the kernel is tearing a process down, or it is gone.
pub(crate) fn is_exiting(pid: u64) -> bool {
    /// `PF_EXITING` of the kernel's `sched.h`, in the flags of proc_pid_stat(5), field 9.
    const EXITING: u64 = 4;
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    let Some((_, fields)) = text.rsplit_once(')') else { return true };
    let mut fields = fields.split_ascii_whitespace();
    let zombie = fields.next().is_none_or(|state| state == "Z" || state == "X");
    zombie || fields.nth(5).and_then(|flags| flags.parse().ok()).is_none_or(|flags: u64| flags & EXITING != 0)
}

/// All processes.
pub(crate) fn processes() -> Vec<u32> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.parse().ok()).collect()
}

/// Bytes of shared memory on the machine: of all processes.
pub(crate) fn shared_memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Shmem:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0) * 1024
}

/// What the kernel says that a process is doing: for one that hangs.
pub(crate) fn doing(pid: u64) -> String {
    let mut text = String::new();
    for name in ["status", "wchan", "syscall", "stack"] {
        let said =
            fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_else(|error| error.to_string());
        let said: Vec<&str> = match name {
            "status" => {
                said.lines().filter(|line| line.starts_with("State") || line.starts_with("PPid")).collect()
            }
            _ => said.lines().collect(),
        };
        text += &format!("{name}: {}; ", said.join(" | "));
    }
    text
}
