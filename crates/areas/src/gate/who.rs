//! Who is at the other end, and who may be: the kernel's word, read so that no process is taken for
//! another.

use std::collections::BTreeSet;
use std::fmt;
use std::os::fd::BorrowedFd;

use crate::error::{Error, ErrorKind, Result};
use crate::sys;

/// Who is at the other end of a connection, as the kernel noted when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Peer {
    /// Its effective user; `None` for one that has no number in this process's user namespace.
    pub user: Option<u32>,
    /// The process; `None` for one that is not in this process's pid namespace. It may have ended,
    /// and another have its number.
    pub process: Option<u32>,
}

impl Peer {
    /// Who is at the other end of a socket.
    pub(super) fn of(socket: BorrowedFd<'_>) -> sys::Result<Self> {
        let found = sys::listening::peer(socket)?;
        Ok(Peer { user: known(found.user), process: (found.pid != 0).then_some(found.pid) })
    }
}

/// As in a sentence: "process 12 of user 1000".
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.process {
            Some(process) => write!(f, "process {process} of ")?,
            None => f.write_str("a process of another pid namespace, of ")?,
        }
        match self.user {
            Some(user) => write!(f, "user {user}"),
            None => f.write_str("a user without a number in this user namespace"),
        }
    }
}

/// The users that may be at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Users {
    /// No user was named: the default of the side.
    Default,
    These(BTreeSet<u32>),
    /// Any user, with a number here or without.
    Any,
}

impl Users {
    pub(super) fn add(&mut self, user: u32) {
        match self {
            Users::These(users) => drop(users.insert(user)),
            Users::Default => *self = Users::These(BTreeSet::from([user])),
            Users::Any => {}
        }
    }

    /// Whether that user is one of them; `default` are those of the side.
    pub(super) fn include(&self, user: Option<u32>, default: &[u32]) -> bool {
        match (self, user) {
            (Users::Any, _) => true,
            (_, None) => false,
            (Users::These(users), Some(user)) => users.contains(&user),
            (Users::Default, Some(user)) => default.contains(&user),
        }
    }

    /// Refuses a number that stands for all that have none.
    pub(super) fn check(&self, what: impl Fn() -> String) -> Result<()> {
        let Users::These(users) = self else { return Ok(()) };
        match users.iter().find(|&&user| known(user).is_none()) {
            None => Ok(()),
            Some(user) => Err(Error::new(ErrorKind::InvalidInput, what())
                .with_facts(format!(
                    "{user} is not a user here: it stands for all users without a number in this namespace"
                ))
                .with_remedy(
                    "do it outside of the user namespace; or map that user into it (/proc/PID/uid_map)",
                )),
        }
    }
}

/// This process's own user; `None` for one that has no number in its user namespace.
pub(super) fn own() -> Option<u32> {
    known(sys::process::user())
}

/// The user of that number; `None` where the number stands for all that have none, or may.
fn known(user: u32) -> Option<u32> {
    (overflow().is_some_and(|overflow| user != overflow) || all_have_numbers())
        .then_some(user)
        .filter(|&user| user != u32::MAX)
}

/// The number that the kernel says of users who have none; `None` where that cannot be read.
fn overflow() -> Option<u32> {
    sys::text::read_to_string("/proc/sys/kernel/overflowuid").ok()?.trim().parse().ok()
}

/// Whether all users of the machine have a number in our user namespace: as outside of all of them.
/// What cannot be read is not proof.
fn all_have_numbers() -> bool {
    sys::text::read_to_string("/proc/thread-self/uid_map").is_ok_and(|map| maps_all(&map))
}

/// Lines of three numbers: the first one here, the first one there, how many. The kernel lets none
/// overlap.
fn maps_all(map: &str) -> bool {
    let count = |line: &str| line.split_ascii_whitespace().nth(2)?.parse::<u64>().ok();
    let total: u64 = map.lines().filter_map(count).fold(0, u64::saturating_add);
    // -1 is no user's.
    total >= u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_map_of_all_has_a_number_for_each() {
        for (map, all) in [
            ("         0          0 4294967295\n", true),
            ("0 0 4294967294\n", false),
            ("0 1000 1\n", false),
            ("0 1000 1\n1 100000 65536\n", false),
            ("0 0 65534\n65534 65534 1\n65535 65535 4294901760\n", true),
            ("", false),
            ("nonsense", false),
            ("0 0 99999999999999999999\n", false),
        ] {
            assert_eq!(maps_all(map), all, "{map:?}");
        }
    }

    #[test]
    fn who_has_no_number_is_no_particular_user() {
        let mut users = Users::Default;
        assert!(users.include(Some(5), &[5]) && !users.include(Some(6), &[5]) && !users.include(None, &[5]));
        users.add(7);
        users.add(65534);
        assert!(users.include(Some(7), &[5]) && !users.include(Some(5), &[5]));
        assert!(!users.include(None, &[65534]));
        assert!(Users::Any.include(None, &[]) && Users::Any.include(Some(9), &[]));
        assert_eq!(known(u32::MAX), None);
    }
}
