//! The calls that move pages: in large batches, for this process or another one, and what the
//! kernel says of each.

use std::fmt;
use std::ops::Range;

use crate::error::{Errno, Error, ErrorKind, Result};
use crate::nodes::Node;
use crate::sys;

/// Pages for one call: large enough that the calls do not count.
pub(crate) const BATCH: usize = 32 * 1024;
/// What the kernel leaves in the answer of a page that it did not come to.
const NOT_REACHED: i32 = i32::MIN;

/// Why a page would not move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnmovedReason {
    /// It is pinned (by DMA, for instance), or being written back.
    Busy,
    /// Other processes have it mapped too, and moving such pages takes `CAP_SYS_NICE`.
    MappedByOthers,
    /// The node that it was to move to has no room.
    NoRoom,
    /// It went while it was looked at.
    Gone,
    /// Something else: the kernel's error number.
    Other(Errno),
}

impl fmt::Display for UnmovedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnmovedReason::Busy => f.write_str("in use (pinned, or being written back)"),
            UnmovedReason::MappedByOthers => {
                f.write_str("mapped by other processes too, which takes CAP_SYS_NICE")
            }
            UnmovedReason::NoRoom => f.write_str("the node has no room"),
            UnmovedReason::Gone => f.write_str("freed concurrently"),
            UnmovedReason::Other(errno) => errno.fmt(f),
        }
    }
}

/// A page, huge or not, and where it is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Bytes from the beginning of the area.
    pub(crate) range: Range<usize>,
    pub(crate) target: Node,
}

/// Whose pages are moved, and which of them may be.
#[derive(Debug)]
pub(crate) struct Mover {
    /// In which process; 0 is this one.
    pid: u32,
    /// Whether pages may be moved that others have mapped: until the kernel says no.
    all: bool,
}

impl Mover {
    /// Moves pages that this process has mapped; those that others have mapped too, where that is
    /// allowed.
    pub(crate) fn here() -> Self {
        Mover { pid: 0, all: true }
    }

    /// Moves pages that another process has mapped, and no other.
    pub(crate) fn through(pid: u32) -> Self {
        Mover { pid, all: false }
    }

    /// Moves pages: `address` says where the page is that begins at a byte. For each page: why it
    /// is not on its target, if it is not.
    pub(crate) fn shift(
        &mut self,
        batch: &[Wanted],
        address: impl Fn(usize) -> *const u8,
    ) -> Result<Vec<Option<UnmovedReason>>> {
        let addresses: Vec<*const u8> = batch.iter().map(|page| address(page.range.start)).collect();
        let nodes: Vec<i32> = batch.iter().map(|page| page.target.get().cast_signed()).collect();
        let mut status = vec![NOT_REACHED; batch.len()];
        let mut start = 0;
        while start < batch.len() {
            let answer = sys::pages::move_to(
                self.pid,
                &addresses[start..],
                &nodes[start..],
                &mut status[start..],
                self.all,
            );
            match answer {
                Ok(0) => break,
                Err(sys::Errno::PERM) if self.all => {
                    self.all = false;
                    continue;
                }
                // Some were not moved, or it gave up: at the first page that has no answer, if
                // there is one.
                Ok(_) | Err(sys::Errno::NOMEM | sys::Errno::BUSY | sys::Errno::AGAIN) => {}
                Err(errno) => return Err(self.refused(batch.len() - start, errno)),
            }
            let Some(reached) = status[start..].iter().position(|&answer| answer == NOT_REACHED) else {
                break;
            };
            // The pages for one node that it failed at are not tried again; what comes behind them
            // is. It does not report why they stayed, but for a lack of memory.
            let at = start + reached;
            let errno = answer.err().unwrap_or(sys::Errno::BUSY).raw_os_error();
            start = at;
            while start < batch.len() && nodes[start] == nodes[at] && status[start] == NOT_REACHED {
                status[start] = -errno;
                start += 1;
            }
        }
        self.ask_again(&addresses, &nodes, &mut status)?;
        let reasons = batch.iter().zip(status).map(|(page, answer)| reason(answer, page.target, self.all));
        Ok(reasons.collect())
    }

    /// An error may be about another page: the kernel gives one answer for pages that it moves
    /// together, and calls a part of a transparent huge page busy that it is moving as a whole. So
    /// it is asked where those pages are.
    fn ask_again(&self, addresses: &[*const u8], nodes: &[i32], status: &mut [i32]) -> Result<()> {
        let failed: Vec<usize> = (0..status.len()).filter(|&index| status[index] < 0).collect();
        if failed.is_empty() {
            return Ok(());
        }
        let asked: Vec<*const u8> = failed.iter().map(|&index| addresses[index]).collect();
        let mut now = vec![0; asked.len()];
        sys::pages::nodes_in(self.pid, &asked, &mut now).map_err(|errno| {
            Error::new(ErrorKind::System, "ask which node pages are on").with_system_call(
                format!("move_pages({}, {}, {:p}, …)", self.pid, asked.len(), asked[0]),
                errno,
            )
        })?;
        for (&index, node) in failed.iter().zip(now) {
            if node == nodes[index] {
                status[index] = node;
            }
        }
        Ok(())
    }

    fn refused(&self, pages: usize, errno: sys::Errno) -> Error {
        let error = |kind| {
            Error::new(kind, format!("move {pages} pages"))
                .with_system_call(format!("move_pages({}, {pages}, …)", self.pid), errno)
        };
        match (self.pid, errno) {
            (0, _) => error(ErrorKind::NotPermitted)
                .with_remedy("containers need CAP_SYS_NICE or a seccomp profile that allows move_pages"),
            (pid, sys::Errno::SRCH) => error(ErrorKind::NoSuchArea)
                .with_facts(format!("process {pid}, which has them mapped, has gone")),
            (pid, sys::Errno::PERM | sys::Errno::ACCESS) => error(ErrorKind::NotPermitted)
                .with_facts(format!("process {pid} has them mapped, and may not be looked into"))
                .with_remedy(
                    "as root, or as that process's user; containers: CAP_SYS_NICE, or a profile with move_pages",
                ),
            _ => error(ErrorKind::System),
        }
    }
}

/// Why a page is not on its target, by the kernel's answer; `None` if it is.
fn reason(answer: i32, target: Node, all: bool) -> Option<UnmovedReason> {
    match answer {
        node if node == target.get().cast_signed() => None,
        // It is on another node, and no error was reported: another process moved it, or the kernel
        // could not.
        0.. => Some(UnmovedReason::Busy),
        error => Some(match -error {
            libc::EBUSY | libc::EAGAIN => UnmovedReason::Busy,
            libc::EACCES if !all => UnmovedReason::MappedByOthers,
            libc::ENOMEM => UnmovedReason::NoRoom,
            libc::ENOENT | libc::EFAULT => UnmovedReason::Gone,
            errno => UnmovedReason::Other(Errno::from_raw(errno)),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons() {
        let node = Node::new(1).unwrap();
        let cases = [
            (1, true, None),
            (0, true, Some(UnmovedReason::Busy)),
            (-libc::EBUSY, true, Some(UnmovedReason::Busy)),
            (-libc::EACCES, false, Some(UnmovedReason::MappedByOthers)),
            (-libc::ENOMEM, true, Some(UnmovedReason::NoRoom)),
            (-libc::ENOENT, true, Some(UnmovedReason::Gone)),
            (-libc::EINVAL, true, Some(UnmovedReason::Other(Errno::from_raw(libc::EINVAL)))),
        ];
        for (answer, all, expected) in cases {
            assert_eq!(reason(answer, node, all), expected, "{answer}");
        }
    }
}
