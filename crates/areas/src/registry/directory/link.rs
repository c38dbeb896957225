//! What a link in the folder says of a team.

use std::ffi::CString;
use std::fmt;

use crate::registry::table::SLOTS;

/// What a team's link says, before anything is believed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::registry) struct Link {
    pub(in crate::registry) slot: u32,
    /// In clock ticks since boot.
    pub(in crate::registry) start_time: u64,
    /// The table's inode.
    pub(in crate::registry) inode: u64,
    pub(in crate::registry) pid: u32,
    /// The number of the table's descriptor in the owner.
    pub(in crate::registry) descriptor: i32,
    /// Whether the team has published nothing yet: who looks for areas need not look into it.
    pub(in crate::registry) empty: bool,
}

/// How the names of links end whose teams have published nothing yet.
const EMPTY: &str = "empty";

impl Link {
    pub(in crate::registry) fn name(&self) -> CString {
        let Link { slot, start_time, inode, empty, .. } = self;
        let end = if *empty { ".empty" } else { "" };
        CString::new(format!("{slot}.{start_time}.{inode}{end}")).unwrap_or_default()
    }

    /// Whether a name is that of a link of a team that has published nothing yet: without a look at
    /// where it leads.
    pub(in crate::registry) fn is_empty_teams(name: &[u8]) -> bool {
        name.rsplit(|&byte| byte == b'.').next() == Some(EMPTY.as_bytes())
    }

    /// Whether it is the same team's: it has two for a moment when it publishes for the first time,
    /// or moves to another slot.
    pub(in crate::registry) fn is_same_teams(&self, other: &Link) -> bool {
        (self.start_time, self.inode, self.pid) == (other.start_time, other.inode, other.pid)
    }

    pub(in crate::registry) fn target(&self) -> CString {
        CString::new(format!("/proc/{}/fd/{}", self.pid, self.descriptor)).unwrap_or_default()
    }

    /// `None` for what no team of this format makes: it is left alone.
    pub(in crate::registry) fn parse(name: &[u8], target: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(name).ok()?.split('.');
        let mut next = || number::<u64>(parts.next()?);
        let (slot, start_time, inode) = (next()?, next()?, next()?);
        let empty = match parts.next() {
            None => false,
            Some(EMPTY) => true,
            Some(_) => return None,
        };
        let (pid, descriptor) =
            std::str::from_utf8(target).ok()?.strip_prefix("/proc/")?.split_once("/fd/")?;
        let link = Link {
            slot: u32::try_from(slot).ok().filter(|&slot| slot < SLOTS)?,
            start_time,
            inode,
            pid: number::<u32>(pid).filter(|&pid| pid != 0 && i32::try_from(pid).is_ok())?,
            descriptor: number(descriptor)?,
            empty,
        };
        // One spelling each: "007.1.2" would be a second name for slot 7.
        (link.name().as_bytes() == name).then_some(link)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name().to_string_lossy())
    }
}

/// Digits and nothing else.
pub(super) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_of_ours_are_links() {
        let good = Link { slot: 7, start_time: 123, inode: 99, pid: 42, descriptor: 5, empty: false };
        let empty = Link { empty: true, ..good.clone() };
        assert_eq!(Link::parse(b"7.123.99.empty", b"/proc/42/fd/5"), Some(empty.clone()));
        assert_eq!(empty.name().as_bytes(), b"7.123.99.empty");
        assert!(
            Link::is_empty_teams(empty.name().as_bytes()) && !Link::is_empty_teams(good.name().as_bytes())
        );
        assert!(good.is_same_teams(&empty));
        assert_eq!(Link::parse(b"7.123.99", b"/proc/42/fd/5"), Some(good.clone()));
        assert_eq!(
            (good.name().as_bytes(), good.target().as_bytes()),
            (&b"7.123.99"[..], &b"/proc/42/fd/5"[..])
        );
        let bad: [(&[u8], &[u8]); 15] = [
            (b"7.123", b"/proc/42/fd/5"),
            (b"7.123.99.1", b"/proc/42/fd/5"),
            (b"7.123.99.", b"/proc/42/fd/5"),
            (b"7.123.empty", b"/proc/42/fd/5"),
            (b"7.123.99.empty.empty", b"/proc/42/fd/5"),
            (b"07.123.99", b"/proc/42/fd/5"),
            (b"4096.123.99", b"/proc/42/fd/5"),
            (b"-7.123.99", b"/proc/42/fd/5"),
            (b"+7.123.99", b"/proc/42/fd/5"),
            (b"7.123.99", b"/proc/0/fd/5"),
            (b"7.123.99", b"/proc/4294967295/fd/5"),
            (b"7.123.99", b"/proc/self/fd/5"),
            (b"7.123.99", b"/proc/42/fd/5/../../1/fd/0"),
            (b"7.123.99", b"/dev/tty"),
            (b"\xff.123.99", b"/proc/42/fd/5"),
        ];
        for (name, target) in bad {
            assert_eq!(Link::parse(name, target), None, "{name:?} {target:?}");
        }
    }
}
