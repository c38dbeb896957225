//! Where processes have an object mapped, and which policy such a mapping has: what
//! `/proc/PID/maps` and `/proc/PID/numa_maps` show.

use std::ops::Range;

use crate::nodes::{NodeSet, Policy};
use crate::registry::process::{Shown, processes};
use crate::registry::source::Source;
use crate::sys::file::Identity;
use crate::sys::text;

/// Where a process has a part of an object mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapped {
    pub(crate) pid: u32,
    /// Its first address there.
    pub(crate) address: usize,
    /// The bytes of the object.
    pub(crate) range: Range<usize>,
}

impl Mapped {
    /// Whether all of a range of the object can be seen there.
    pub(crate) fn shows(&self, range: &Range<usize>) -> bool {
        self.range.start <= range.start && range.end <= self.range.end
    }

    /// Where a byte of the object is there.
    pub(crate) fn address_of(&self, at: usize) -> usize {
        self.address.wrapping_add(at.wrapping_sub(self.range.start))
    }
}

impl Source {
    /// Where its holder has its memory mapped, if this process may look into that one.
    pub(crate) fn mapped_by_holder(&self) -> Vec<Mapped> {
        mapped_in(&Shown::of(self.pid()).maps, self.pid(), self.record().object)
    }

    /// Where other processes than its holder have it mapped, those that this one may look into: a
    /// look at every process of the machine.
    pub(crate) fn mapped_by_others(&self) -> Vec<Mapped> {
        let others = processes().into_iter().filter(|&pid| pid != self.pid());
        others.flat_map(|pid| mapped_in(&Shown::of(pid).maps, pid, self.record().object)).collect()
    }

    /// The policy of its holder's mapping, where that can be seen. (The table says which address;
    /// `maps` says whether it is this memory.)
    pub(crate) fn policy_by_holder(&self) -> Option<Policy> {
        let shown = Shown::of(self.pid());
        let address = usize::try_from(self.record().address).ok()?;
        let known = mapped_in(&shown.maps, self.pid(), self.record().object);
        known.iter().find(|mapped| mapped.address == address)?;
        policy_in(&text::read(format!("{}/numa_maps", shown.folder)).ok()?, address)
    }
}

/// The shared mappings of an object in the text of `maps`.
fn mapped_in(maps: &[u8], pid: u32, object: Identity) -> Vec<Mapped> {
    let lines = maps.split(|&byte| byte == b'\n');
    lines
        .filter_map(|line| mapped_by(line, object).map(|(address, range)| Mapped { pid, address, range }))
        .collect()
}

/// `ADDRESS-END PERMISSIONS OFFSET DEVICE INODE PATH`, see proc_pid_maps(5). Memory objects of base
/// pages and those of the pool are on different devices, and their inodes may have the same number.
fn mapped_by(line: &[u8], object: Identity) -> Option<(usize, Range<usize>)> {
    let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let mut word = || std::str::from_utf8(fields.next()?).ok();
    let (start, end) = word()?.split_once('-')?;
    let (permissions, offset, device, inode) = (word()?, word()?, word()?, word()?);
    let hex = |text: &str| usize::from_str_radix(text, 16).ok();
    let (start, end, offset) = (hex(start)?, hex(end)?, hex(offset)?);
    let (major, minor) = device.split_once(':')?;
    let number =
        rustix::fs::makedev(u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
    let ours = permissions.ends_with('s') && number == object.device && inode.parse() == Ok(object.inode);
    let len = end.checked_sub(start)?;
    ours.then_some((start, offset..offset.checked_add(len)?))
}

/// The policy that `numa_maps` has for the mapping that begins at an address.
fn policy_in(text: &[u8], address: usize) -> Option<Policy> {
    text.split(|&byte| byte == b'\n').find_map(|line| {
        let line = String::from_utf8_lossy(line);
        let (start, rest) = line.split_once(' ')?;
        (usize::from_str_radix(start, 16) == Ok(address)).then(|| policy_of(rest))?
    })
}

/// What stands behind the address: `interleave:0-3 file=…`, `prefer (many):0,2 anon=…`,
/// `bind=static:1 …` (`mpol_to_str`).
fn policy_of(line: &str) -> Option<Policy> {
    // One name has a blank in it, and another a bracket.
    const NAMES: [(&str, &str); 7] = [
        ("prefer (many)", "preferred-many"),
        ("prefer", "preferred"),
        ("weighted interleave", "weighted-interleave"),
        ("interleave", "interleave"),
        ("bind", "bind"),
        ("local", "local"),
        ("default", "default"),
    ];
    let (name, rest) =
        NAMES.iter().find_map(|(shown, name)| line.strip_prefix(shown).map(|rest| (*name, rest)))?;
    let word = rest.split(' ').next().unwrap_or_default();
    let nodes = match word.split_once(':') {
        // Flags stand between the name and the nodes.
        Some((flags, nodes)) if flags.is_empty() || flags.starts_with('=') => {
            Some(nodes.parse::<NodeSet>().ok()?)
        }
        None if word.is_empty() || word.starts_with('=') => None,
        _ => return None,
    };
    Policy::from_parts(name, nodes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines_of_maps() {
        let object = Identity { device: rustix::fs::makedev(0, 1), inode: 4711 };
        let line = |permissions: &str, device: &str, inode: &str| {
            let line = format!(
                "7f0000000000-7f0000003000 {permissions} 00200000 {device} {inode}    /memfd:a b (deleted)"
            );
            mapped_by(line.as_bytes(), object)
        };
        let found = Some((0x7f00_0000_0000, 0x20_0000..0x20_3000));
        assert_eq!(line("rw-s", "00:01", "4711"), found);
        assert_eq!(line("---s", "00:01", "4711"), found);
        assert_eq!(line("rw-p", "00:01", "4711"), None);
        assert_eq!(line("rw-s", "00:10", "4711"), None, "the pool's device");
        assert_eq!(line("rw-s", "00:01", "4712"), None);
        for odd in ["", "1-0 rw-s 0 00:01 4711 x", "2-1 rw-s 00000000 00:01 4711 x", "zz rw-s 0 00:01 4711"] {
            assert_eq!(mapped_by(odd.as_bytes(), object), None, "{odd}");
        }
        assert!(
            mapped_by(b"ffffffffffff-fffffffffffff rw-s ffffffffffffffff 00:01 4711 /x", object).is_none()
        );
    }

    #[test]
    fn reads_policies_of_numa_maps() {
        let policy = |text: &str| policy_of(text).map(|policy| policy.to_string());
        let cases = [
            ("default file=/memfd:x dirty=4 N0=4", Some("default")),
            ("interleave:0-3 file=/memfd:x", Some("interleave:0-3")),
            ("weighted interleave:0,2 anon=3", Some("weighted-interleave:0,2")),
            ("prefer (many):0-1 anon=3", Some("preferred-many:0-1")),
            ("prefer:2", Some("preferred:2")),
            ("bind=static:1 huge dirty=1", Some("bind:1")),
            ("local", Some("local")),
            ("bind:x", None),
            ("bind", None),
            ("bindings:1", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(policy(text).as_deref(), expected, "{text}");
        }
        let text =
            b"7f00 bind:0 file=/x\xff\n7f0000000000 interleave:0,2 file=/memfd:\xc3 huge dirty=2 N0=1 N2=1\n";
        assert_eq!(policy_in(text, 0x7f00_0000_0000).unwrap().to_string(), "interleave:0,2");
        assert_eq!(policy_in(text, 0x7f00_0000_1000), None);
    }

    #[test]
    fn this_process_has_what_it_has_mapped() {
        let area = crate::builder(3 * 4096).shared().unwrap();
        let maps = std::fs::read("/proc/self/maps").unwrap();
        let found = mapped_in(&maps, 7, area.object().identity());
        assert_eq!(found, [Mapped { pid: 7, address: area.as_ptr().addr(), range: 0..3 * 4096 }]);
        assert!(found[0].shows(&(4096..8192)) && !found[0].shows(&(8192..4 * 4096)));
        assert_eq!(found[0].address_of(4096), area.as_ptr().addr() + 4096);
    }
}
