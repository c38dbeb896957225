//! The holders of an object: what `/proc` shows of them.

use std::fmt;
use std::ops::Range;

use super::command_of;
use super::maps::{fields, shared_mapping};
use super::shown::Shown;
use crate::object::Object;
use crate::protection::Protection;
use crate::sys::file::Identity;
use crate::text::Escaped;

/// A process that has an area's memory: mapped, or as an open descriptor, which keeps it alive just
/// as well.
///
/// It prints as `1234 (command)`, with what cannot be seen escaped
/// ([`escape_invisible`](crate::escape_invisible)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// Its command name, where it can be read.
    pub command: Option<String>,
    /// What it may do with the memory through its mappings, all of them together; `None` if it has
    /// none.
    pub mapped: Option<Protection>,
    /// How many descriptors of it it has open.
    pub descriptors: usize,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.command {
            Some(command) => write!(f, "{} ({})", self.pid, Escaped(command)),
            None => write!(f, "{}", self.pid),
        }
    }
}

/// The processes that have the memory of that identity, by number: those that this process may look
/// into. Of physical memory it is a part, and only processes that have a share of that count.
///
/// What is on its way through a socket, or belongs to a process that cannot be read, does not show.
pub(in crate::registry) fn holders(identity: Identity, physical: Option<&Range<u64>>) -> Vec<Holder> {
    processes()
        .into_iter()
        .filter_map(|pid| {
            let shown = Shown::of(pid);
            let mapped = shown.mapped(identity, physical);
            let descriptors = shown.descriptors(identity, physical);
            (mapped.is_some() || descriptors > 0).then(|| Holder {
                pid,
                command: command_of(pid),
                mapped,
                descriptors,
            })
        })
        .collect()
}

impl Object {
    /// The processes that have it, published or not: as long as one of them is there, the memory
    /// is.
    ///
    /// Only those that this process may look into; none where it has no descriptor left to look
    /// with.
    #[must_use]
    pub fn holders(&self) -> Vec<Holder> {
        let physical = self.physical().map(|start| start..start.saturating_add(self.size() as u64));
        holders(self.identity(), physical.as_ref())
    }
}

/// The processes that keep an object from being sealed: those that can write it through a mapping,
/// or could after a change of its protection.
pub(crate) fn writers(object: &Object) -> Vec<Holder> {
    let identity = object.identity();
    let writes = |shown: &Shown, mapped: Protection| {
        mapped.contains(Protection::WRITE)
            || crate::sys::text::read(format!("{}/smaps", shown.folder))
                .is_ok_and(|smaps| may_be_written(&smaps, identity.inode))
    };
    // Descriptors do not write; of the processes that have it mapped, which are few, they are
    // counted.
    processes()
        .into_iter()
        .filter_map(|pid| {
            let shown = Shown::of(pid);
            let mapped = shown.mapped(identity, None).filter(|&mapped| writes(&shown, mapped))?;
            let descriptors = shown.descriptors(identity, None);
            Some(Holder { pid, command: command_of(pid), mapped: Some(mapped), descriptors })
        })
        .collect()
}

/// All processes that can be seen, by number.
#[must_use]
pub fn processes() -> Vec<u32> {
    let processes = crate::sys::text::names_in("/proc", usize::MAX).unwrap_or_default();
    let mut pids: Vec<u32> = processes.into_iter().filter_map(|name| name.to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// Whether a process may make a shared mapping of an object writable: `mw` among its flags, from
/// the text of `smaps`.
pub(in crate::registry) fn may_be_written(smaps: &[u8], inode: u64) -> bool {
    let mut ours = false;
    smaps.split(|&byte| byte == b'\n').any(|line| match line.strip_prefix(b"VmFlags:") {
        Some(flags) => ours && fields(flags).any(|flag| flag == b"mw"),
        None => {
            // All other lines but those that begin a mapping are a name with a colon, and a value.
            let names_value = fields(line).next().is_some_and(|word| word.ends_with(b":"));
            if !names_value {
                ours = shared_mapping(line, inode, None).is_some();
            }
            false
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::process::maps::has_share;

    #[test]
    fn reads_lines_of_maps() {
        let line = |permissions: &str, path: &str| {
            format!("7f0000000000-7f0000001000 {permissions} 00000000 00:01 4711                      {path}")
        };
        let cases = [
            (line("rw-s", "/memfd:area:ring (deleted)"), Some(Protection::READ_WRITE)),
            (line("r--s", "/memfd:area:ring (deleted)"), Some(Protection::READ)),
            (line("---s", "/memfd:area:ring (deleted)"), Some(Protection::empty())),
            (line("rw-p", "/memfd:area:ring (deleted)"), None),
            (line("rw-s", "/dev/shm/ring"), None),
            (line("s", "/memfd:x"), None),
            (String::new(), None),
            ("7f0000000000-7f0000001000 rw-s".to_owned(), None),
        ];
        for (line, expected) in cases {
            assert_eq!(shared_mapping(line.as_bytes(), 4711, None), expected, "{line}");
        }
        assert_eq!(shared_mapping(line("rw-s", "/memfd:x").as_bytes(), 4712, None), None);
        let no_text = [line("rw-s", "/memfd:area:").as_bytes(), b"\xc3 (deleted)"].concat();
        assert_eq!(shared_mapping(&no_text, 4711, None), Some(Protection::READ_WRITE));
        let smaps =
            [b"1-2 r--p 0 00:01 7 /x\xff\n", &no_text[..], b"\nVmFlags: rd sh mr mw me ms\n"].concat();
        assert!(may_be_written(&smaps, 4711));
    }

    #[test]
    fn a_commands_name_does_nothing_to_a_terminal() {
        let command = Some("a\x1b[31m\u{202e}\u{200b}".to_owned());
        let holder = Holder { pid: 7, command, mapped: None, descriptors: 1 };
        assert_eq!(holder.to_string(), r"7 (a\u{1b}[31m\u{202e}\u{200b})");
    }

    #[test]
    fn of_physical_memory_only_the_part_counts() {
        let line = |offset: &str| {
            format!("7f0000000000-7f0000001000 rw-s {offset} 00:05 7                      /dev/mem")
        };
        let range = 0x80_0000..0x80_2000;
        for (offset, expected) in
            [("00800000", true), ("00801000", true), ("00802000", false), ("00000000", false)]
        {
            let found = shared_mapping(line(offset).as_bytes(), 7, Some(&range));
            assert_eq!(found, expected.then_some(Protection::READ_WRITE), "{offset}");
        }
        assert_eq!(shared_mapping(line("00800000").as_bytes(), 7, None), None);
        let removed = line("00800000") + " (deleted)";
        assert_eq!(shared_mapping(removed.as_bytes(), 7, Some(&range)), Some(Protection::READ_WRITE));
        let info = |lock: &str| format!("pos:\t0\nflags:\t02100002\nmnt_id:\t24\nino:\t7\nlock:\t{lock}\n");
        for (lock, expected) in [
            ("1: OFDLCK  ADVISORY  READ -1 00:05:7 8388608 8396799", true),
            ("1: OFDLCK  ADVISORY  WRITE -1 00:05:7 0 EOF", true),
            ("1: OFDLCK  ADVISORY  READ -1 00:05:7 8396800 8400895", false),
            ("1: POSIX  ADVISORY  READ -1 00:05:7 8388608 8396799", false),
            ("nonsense", false),
        ] {
            assert_eq!(has_share(&info(lock), &range), expected, "{lock}");
        }
    }

    #[test]
    fn a_mapping_that_may_become_writable_is_in_the_way() {
        let smaps = |flags: &str| {
            format!(
                "7f0000000000-7f0000001000 r--s 00000000 00:01 4711      /memfd:area:ring (deleted)\n\
                 Size:                  4 kB\nVmFlags: {flags}\n\
                 7f0000002000-7f0000003000 rw-p 00000000 00:00 0\nVmFlags: rd wr mr mw me ac\n"
            )
        };
        assert!(may_be_written(smaps("rd sh mr mw me ms").as_bytes(), 4711));
        assert!(!may_be_written(smaps("rd sh mr me ms").as_bytes(), 4711));
        assert!(!may_be_written(smaps("rd sh mr mw me ms").as_bytes(), 4712));
        let mut area = crate::builder(4096).shared().unwrap();
        area.protect(Protection::READ).unwrap();
        assert_eq!(writers(area.object()).len(), 1);
    }

    #[test]
    fn this_process_holds_what_it_has() {
        let area = crate::builder(4096).shared().unwrap();
        let found = holders(area.object().identity(), None);
        let [holder] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(holder.pid, std::process::id());
        assert_eq!((holder.mapped, holder.descriptors), (Some(Protection::READ_WRITE), 1));
        assert_eq!(writers(area.object()), found);
        let identity = area.object().identity();
        drop(area);
        assert_eq!(holders(identity, None), []);
    }
}
