//! What `/proc` shows of a process: which objects of areas it has open or mapped.

use std::fs;

use areas_testing::{Process, descriptors, maps, meminfo, stat, status};

/// How the kernel shows an area's object (its label follows), and how a team's table.
const OBJECT: &str = "/memfd:area:";
const TABLE: &str = "/memfd:areas table";

/// The objects of areas that a process has open or mapped, tables not counted.
pub(crate) fn objects_of(process: Process) -> Vec<String> {
    shown(process, |target| target.starts_with(OBJECT))
}

/// The same of one storm's areas alone, by their label.
pub(crate) fn tagged_objects_of(process: Process, tag: &str) -> Vec<String> {
    let label = format!("{OBJECT}{tag}-");
    shown(process, |target| target.starts_with(&label))
}

/// Mappings of teams' tables.
pub(crate) fn tables_of(process: Process) -> usize {
    shown(process, |target| target.starts_with(TABLE)).len()
}

fn shown(process: Process, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let descriptors = descriptors::of(process).unwrap_or_default().into_iter();
    let open = descriptors.filter(|one| wanted(&one.target));
    let mut found: Vec<_> = open.map(|one| format!("descriptor {} of {}", one.number, one.target)).collect();
    let maps = maps::of(process).unwrap_or_default().into_iter();
    let mapped = maps.filter(|vma| wanted(&vma.path));
    found.extend(
        mapped.map(|vma| format!("{:x}-{:x} {} of {}", vma.start, vma.end, vma.permissions, vma.path)),
    );
    found
}

/// A process that the board names. None has the number 0.
fn by_number(pid: u64) -> Process {
    Process::Number(u32::try_from(pid).unwrap_or(0))
}

/// Whether the kernel is tearing a process down, or it is gone.
pub(crate) fn is_exiting(pid: u64) -> bool {
    stat::of(by_number(pid)).is_none_or(|stat| stat.is_exiting())
}

/// Bytes of shared memory on the machine: of all processes.
pub(crate) fn shared_memory() -> u64 {
    meminfo::bytes("Shmem")
}

/// What the kernel says that a process is doing: for one that hangs.
pub(crate) fn doing(pid: u64) -> String {
    let status = match status::of(by_number(pid)) {
        Ok(status) => ["State", "PPid"]
            .map(|name| format!("{name}: {}", status.field(name).unwrap_or_default()))
            .join(" | "),
        Err(error) => error.to_string(),
    };
    let mut text = format!("status: {status}; ");
    for name in ["wchan", "syscall", "stack"] {
        let said =
            fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_else(|error| error.to_string());
        text += &format!("{name}: {}; ", said.lines().collect::<Vec<_>>().join(" | "));
    }
    text
}
