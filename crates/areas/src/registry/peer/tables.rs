//! Opening the tables of other teams.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use super::TABLE_SEALS;
use super::object::{Looked, open_looked};
use crate::registry::table::TABLE_BYTES;
use crate::sys;
use crate::sys::checked_fd::CheckedFd;
use crate::sys::file::OFlags;

/// Tables of this process's own that were opened: of a second copy of this library in it. Closing
/// any descriptor of one would drop its owner's record lock, so that each is opened once, and
/// stays.
static KEPT: Mutex<Vec<Arc<CheckedFd>>> = Mutex::new(Vec::new());

pub(super) fn kept_table(looked: &Looked) -> sys::Result<Option<Arc<CheckedFd>>> {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let known =
        kept.iter().find(|table| table.identity() == looked.stat.identity && table.is_intact()).cloned();
    let table = match known {
        Some(known) => known,
        None => {
            let table = Arc::new(CheckedFd::new(open_looked(looked, OFlags::RDONLY)?)?);
            // Also what turns out to be none: its owner may just be making it.
            kept.push(table.clone());
            table
        }
    };
    Ok(is_table_behind_seals(table.as_fd(), looked)?.then_some(table))
}

/// Opens a table; `None` for what is none.
pub(super) fn open_table(looked: &Looked) -> sys::Result<Option<Arc<CheckedFd>>> {
    let fd = open_looked(looked, OFlags::RDONLY)?;
    let is_table = is_table_behind_seals(fd.as_fd(), looked)?;
    Ok(is_table.then(|| Arc::new(CheckedFd::of(fd, looked.stat.identity))))
}

/// Whether it is sealed as a table, and has the size of one behind its seals. What it was looked at
/// with proves nothing of its size: it may have been cut since, and sealed then.
fn is_table_behind_seals(fd: BorrowedFd<'_>, looked: &Looked) -> sys::Result<bool> {
    let now = sys::object::sealed_stat(fd)?;
    Ok(now.seals.is_ok_and(|seals| seals.contains(TABLE_SEALS))
        && now.stat.size == TABLE_BYTES as u64
        && now.stat.identity == looked.stat.identity)
}

/// In a forked child: the parent's tables are not this process's own. They would stay in memory
/// beyond the parent's death.
pub(in crate::registry) fn forget_kept_tables() {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).clear();
}
