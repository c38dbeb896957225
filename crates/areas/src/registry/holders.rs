//! Who has an object mapped: what `/proc` shows of it.

use crate::object::Object;

/// The processes that have an object mapped for shared writing, as "1234 (command)": those that can be seen.
///
/// A process that cannot be read does not show, and neither does a descriptor that is open but not mapped.
pub(crate) fn holders(object: &Object) -> Vec<String> {
    let identity = object.identity();
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mut pids: Vec<u32> =
        processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids.into_iter()
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/maps")).is_ok_and(|maps| {
                maps.split(|&byte| byte == b'\n').any(|line| maps_for_writing(line, identity.inode))
            })
        })
        .map(|pid| match super::info::command_of(pid) {
            Some(command) => format!("{pid} ({command})"),
            None => pid.to_string(),
        })
        .collect()
}

/// Whether a line of `maps` is a shared, writable mapping of a memory object with that inode.
///
/// `ADDRESS PERMISSIONS OFFSET DEVICE INODE PATH`, see proc_pid_maps(5). Inodes of memory objects are unique on
/// their device, and the path says that it is one.
fn maps_for_writing(line: &[u8], inode: u64) -> bool {
    let Ok(line) = std::str::from_utf8(line) else { return false };
    let mut fields = line.split_ascii_whitespace();
    let permissions = fields.nth(1).unwrap_or_default();
    let found = fields.nth(2).and_then(|text| text.parse::<u64>().ok());
    permissions.as_bytes().get(1) == Some(&b'w')
        && permissions.as_bytes().get(3) == Some(&b's')
        && found == Some(inode)
        && fields.next().is_some_and(|path| path.starts_with("/memfd:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_of_maps() {
        let line = |permissions: &str, path: &str| {
            format!("7f0000000000-7f0000001000 {permissions} 00000000 00:01 4711                      {path}")
        };
        let cases = [
            (line("rw-s", "/memfd:area:ring (deleted)"), true),
            (line("r--s", "/memfd:area:ring (deleted)"), false),
            (line("rw-p", "/memfd:area:ring (deleted)"), false),
            (line("rw-s", "/dev/shm/ring"), false),
            (String::new(), false),
            ("7f0000000000-7f0000001000 rw-s".to_owned(), false),
        ];
        for (line, expected) in cases {
            assert_eq!(maps_for_writing(line.as_bytes(), 4711), expected, "{line}");
        }
        assert!(!maps_for_writing(line("rw-s", "/memfd:x").as_bytes(), 4712));
    }
}
