//! Memory of the machine, by `/proc/meminfo`, and of a node, by the file of that name below
//! `/sys/devices/system/node`. What others on this machine take or give shows, too.

use std::fs;

/// A field in kB (`MemTotal`, `Shmem`), in bytes.
#[track_caller]
pub fn bytes(field: &str) -> u64 {
    read("/proc/meminfo", |text| in_text(text, field))
}

/// The same of one node: `MemFree`.
#[track_caller]
pub fn of_node(node: u32, field: &str) -> u64 {
    let before = format!("Node {node} {field}");
    read(&format!("/sys/devices/system/node/node{node}/meminfo"), |text| in_text(text, &before))
}

#[track_caller]
fn read(path: &str, find: impl FnOnce(&str) -> Option<u64>) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    find(&text).unwrap_or_else(|| panic!("{path} has no such field: {text}"))
}

fn in_text(text: &str, field: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(value.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilobytes_become_bytes() {
        let text =
            "MemTotal:       16 kB\nShmem:           3 kB\nShmemHugePages:  1 kB\nHugePages_Total:   7\n";
        assert_eq!(in_text(text, "Shmem"), Some(3072));
        assert_eq!(in_text(text, "HugePages_Total"), None);
        assert_eq!(in_text("Node 0 MemFree:      2 kB\n", "Node 0 MemFree"), Some(2048));
        assert!(bytes("MemTotal") > 1 << 20);
    }
}
