//! The registry: which processes hold which areas, by what names and ids.
//!
//! **Each process publishes one table of its own areas; nobody writes anybody else's memory; the kernel frees everything.**
//! A process that holds areas is a *team*. Its table is a memory object that goes with it; others find the object through
//! one symbolic link into `/proc`, which leads nowhere once the process is gone. There is no daemon, nothing to repair
//! after a crash, and no mutual exclusion between processes.
//!
//! "System-wide" means one user and one pid namespace: other users cannot see or disturb what is here.
//!
//! Reading the registry makes nothing; a process joins with the first area that it publishes.

mod directory;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod holders;
mod id;
mod info;
mod name;
mod peer;
mod source;
mod state;
mod table;
mod team;
mod wait;

use std::path::PathBuf;
use std::time::Duration;

pub use holders::Holder;
pub(crate) use holders::writers;
pub use id::AreaId;
pub use info::{Info, Listing, UnreadableTeam};
pub use name::Name;
pub use source::Source;
pub(crate) use table::Announcement;

use crate::error::{Error, Kind, Result};
use crate::object::Extent;
use crate::place::Placement;
use crate::protection::Protection;

/// The oldest live area of that name that this process may read.
///
/// Names need not be unique. A name that was found once is found again without asking anybody but its holder's table.
///
/// # Errors
/// [`Kind::NoSuchArea`] if there is none, [`Kind::InvalidInput`] for a
/// bad name, [`Kind::Registry`] if the registry's folder is not as it must be.
#[doc(alias = "find_area")]
pub fn find(name: impl AsRef<[u8]>) -> Result<Source> {
    let name = name.as_ref();
    let mut state = state::state()?;
    match state.find(name)? {
        Some(source) => Ok(source),
        // Only now does it matter whether it could be a name at all.
        None => Err(state.no_such(&Name::new(name)?)),
    }
}

/// The area of that id.
///
/// # Errors
/// [`Kind::NoSuchArea`] if no live area has it,
/// [`Kind::Unreadable`] if its holder may not be read.
pub fn get(id: AreaId) -> Result<Source> {
    state::state()?.get(id)
}

/// All published areas that can be seen, and the teams that cannot be looked into.
///
/// # Errors
/// [`Kind::Registry`] if the registry's folder is not as it must be. No folder is no error: nothing
/// is published.
#[doc(alias = "get_next_area_info")]
pub fn list() -> Result<Listing> {
    state::state()?.list()
}

/// This process's own published area that holds an address: any byte of its whole pages, not of a reserve behind them.
///
/// # Errors
/// [`Kind::NoSuchArea`] if there is none.
#[doc(alias = "area_for")]
pub fn at(address: usize) -> Result<Source> {
    let none = || {
        Error::new(Kind::NoSuchArea, format!("find the area at {address:#x}"))
            .detail("no published area of this process has that address")
    };
    let source = state::state()?.at(address as u64).ok_or_else(none)?;
    // Only what can grow has addresses that are not its own yet.
    match source.record().extent {
        Extent::Fixed => Ok(source),
        Extent::Growable { .. } | Extent::Resizable { .. } => {
            let info = source.info()?;
            if address - info.address < info.mapped { Ok(source) } else { Err(none()) }
        }
    }
}

/// Waits until there is an area of that name, and gives it as [`find`] does. Without a time-out it waits for ever.
///
/// # Errors
/// [`Kind::TimedOut`]; else as [`find`].
pub fn wait(name: impl AsRef<[u8]>, timeout: Option<Duration>) -> Result<Source> {
    wait::wait(&Name::new(name)?, timeout)
}

/// Sees to it that others find this process's areas: where the registry's folder was removed, or this process's link in it,
/// they are published again.
///
/// Publishing, and looking for areas, notices a removed folder too; a holder that makes no calls calls this about once a second.
///
/// # Errors
/// [`Kind::Registry`] if the folder cannot be made again.
pub fn keep() -> Result<()> {
    state::state()?.keep()
}

/// Where the registry is, if it was found: for messages.
///
/// # Errors
/// As [`list`].
pub fn path() -> Result<Option<PathBuf>> {
    let mut state = state::state()?;
    state.list()?;
    Ok(state.path())
}

/// An area's place in the registry, in this process and in the children that inherit it. Dropping it takes the area back.
#[derive(Debug)]
pub(crate) struct Publication(state::Key);

impl Publication {
    pub(crate) fn new(area: Announcement) -> Result<Self> {
        state::state()?.publish(area).map(Publication)
    }

    /// The id, which is another one in a child that was forked since.
    pub(crate) fn id(&self) -> Option<AreaId> {
        state::state().ok()?.id_of(self.0)
    }

    pub(crate) fn set_placement(&self, placement: Placement) {
        if let Ok(mut state) = state::state() {
            state.update(self.0, |area| area.placement = placement);
        }
    }

    /// Tells how many bytes of addresses the area has now, and up to where it may grow.
    pub(crate) fn set_extent(&self, span: u64, extent: Extent) {
        if let Ok(mut state) = state::state() {
            state.update(self.0, |area| (area.span, area.extent) = (span, extent));
        }
    }

    /// Whether that area is this one.
    pub(crate) fn is(&self, id: AreaId) -> bool {
        self.id() == Some(id)
    }

    pub(crate) fn set_protection(&self, protection: Protection) {
        if let Ok(mut state) = state::state() {
            state.set_protection(self.0, protection);
        }
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        state::withdraw(self.0);
    }
}
