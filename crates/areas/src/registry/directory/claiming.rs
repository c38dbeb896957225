//! Claiming slots for teams, and leasing ids of a slot.

use std::os::fd::{AsFd, BorrowedFd};

use super::{Directory, Joined, Link, any_below, problem};
use crate::error::{Error, ErrorKind, Result};
use crate::registry::table::{OWN_BLOCKS, SLOTS};
use crate::sys;

impl Directory {
    /// Makes a link in a slot that no team has, the link's own if it can be; returns the link with
    /// its slot. `announce` is called with each slot before a link names it. `is_dead` proves
    /// deaths: dead teams' links are cleared away when slots run short, and each time a few of
    /// those that no other process looks at.
    pub(in crate::registry) fn claim(
        &self,
        link: &Link,
        mut announce: impl FnMut(u32) -> Result<()>,
        mut is_dead: impl FnMut(&Link) -> bool,
    ) -> Result<Link> {
        let mut start = link.slot;
        let failed = |call, errno| problem(&self.path.join("teams"), call, errno);
        for attempt in 0..1000 {
            let mut taken = vec![false; SLOTS as usize];
            let links = self.all_links()?;
            for other in links.iter().filter(|other| !other.is_same_teams(link)) {
                taken[other.slot as usize] = true;
            }
            if attempt == 0 {
                self.clear_some_empty(&links, &mut is_dead);
            }
            let free = (0..SLOTS).map(|i| (start + i) % SLOTS).find(|&slot| !taken[slot as usize]);
            let Some(slot) = free else {
                let mut cleared = 0;
                for dead in links.iter().filter(|other| is_dead(other)) {
                    self.remove(dead);
                    cleared += 1;
                }
                if cleared == 0 {
                    return Err(Error::new(ErrorKind::Limit, "join the registry")
                        .with_facts(format!(
                            "all {SLOTS} slots of {} are taken by live teams",
                            self.path.display()
                        ))
                        .with_remedy(
                            "end some holders (`areas ls`), or give some a registry of their own (AREAS_DIR)",
                        ));
                }
                continue;
            };
            let mine = Link { slot, ..link.clone() };
            announce(slot)?;
            match sys::file::make_link(&mine.target(), self.teams.as_fd(), &mine.name()) {
                Ok(()) => {}
                Err(sys::Errno::EXIST) => {
                    start = slot + 1;
                    continue;
                }
                Err(errno) => return Err(failed("symlinkat", errno)),
            }
            match self.all_links() {
                Ok(links) if links.iter().any(|other| other.slot == slot && !other.is_same_teams(&mine)) => {
                    self.remove(&mine);
                    start = any_below(SLOTS);
                }
                Ok(_) => return Ok(mine),
                Err(error) => {
                    self.remove(&mine);
                    return Err(error);
                }
            }
        }
        Err(Error::new(ErrorKind::Registry, "join the registry")
            .with_facts("every slot that was tried was claimed concurrently"))
    }

    /// Clears away what dead teams left that had published nothing: a few of them, so that whoever
    /// comes removes more than one leaves.
    fn clear_some_empty(&self, links: &[Link], is_dead: &mut impl FnMut(&Link) -> bool) {
        const SOME: usize = 8;
        let empty: Vec<&Link> = links.iter().filter(|link| link.empty).collect();
        let start = any_below(u32::try_from(empty.len()).unwrap_or(u32::MAX).max(1)) as usize;
        let some = empty.iter().cycle().skip(start).take(SOME.min(empty.len()));
        some.filter(|link| is_dead(link)).for_each(|dead| self.remove(dead));
    }

    /// The next block of sequence numbers of a slot that we have claimed. It starts anywhere and
    /// goes round.
    pub(in crate::registry) fn lease(&self, slot: u32) -> Result<u32> {
        let failed = |call, errno| problem(&self.path.join("control"), call, errno);
        let Some(Joined { control }) = &self.joined else {
            return Err(failed("pread", sys::Errno::BADF));
        };
        let control = control.checked().map_err(|errno| failed("fstat", errno))?;
        let at = LEASES + u64::from(slot) * 4;
        let mut bytes = [0; 4];
        // The end of the file reads as zeros: never leased.
        sys::file::read_at(control, &mut bytes, at).map_err(|errno| failed("pread", errno))?;
        let block = match u32::from_le_bytes(bytes) {
            0 => any_below(OWN_BLOCKS),
            // Whoever wrote it: any block is a good one to try.
            next => (next - 1) % OWN_BLOCKS,
        };
        let next = (block + 1) % OWN_BLOCKS + 1;
        sys::file::write_at(control, &next.to_le_bytes(), at).map_err(|errno| failed("pwrite", errno))?;
        Ok(block)
    }
}

/// Offset of the words in the control file that say where each slot's sequence numbers go on.
const LEASES: u64 = 64;

/// The size of the control file: a futex needs its page whole.
pub(super) const CONTROL_BYTES: u64 = (LEASES + SLOTS as u64 * 4).next_multiple_of(4096);

/// Makes the control file as large as it is meant to be. Where that cannot be done, those who wait
/// look more often.
pub(super) fn lay_out(control: BorrowedFd<'_>) {
    let short = sys::file::stat(control).is_ok_and(|stat| stat.size < CONTROL_BYTES);
    let permitted =
        sys::limits::limit(sys::limits::Limit::FileSize).is_none_or(|limit| limit >= CONTROL_BYTES);
    if short && permitted {
        let _ = sys::object::set_size(control, CONTROL_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;
    use crate::sys::checked_fd::CheckedFd;
    use crate::sys::file::CWD;

    /// A reader that follows a link looks whether the table behind it names the same slot.
    #[test]
    fn a_slot_is_announced_before_a_link_names_it() {
        let path = std::env::temp_dir().join(format!("areas-claim-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let name = CString::new(path.to_str().unwrap()).unwrap();
        let open = || CheckedFd::new(sys::file::open_folder(CWD, &name).unwrap()).unwrap();
        let directory = Directory {
            path: path.clone(),
            remark: None,
            is_fixed: true,
            user: sys::process::user(),
            space: open(),
            teams: open(),
            counts: false,
            joined: None,
        };
        let other = Link { slot: 7, start_time: 1, inode: 1, pid: 1, descriptor: 3, empty: true };
        sys::file::make_link(&other.target(), directory.teams.as_fd(), &other.name()).unwrap();
        let mut announced = Vec::new();
        let ours = Link { start_time: 2, ..other };
        let announce = |slot| {
            announced.push((slot, directory.all_links().unwrap().iter().any(|link| link.start_time == 2)));
            Ok(())
        };
        let claimed = directory.claim(&ours, announce, |_| false).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!((claimed.slot, announced), (8, vec![(8, false)]));
    }
}
