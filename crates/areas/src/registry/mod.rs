//! The registry: which processes hold which areas, by what names and ids.
//!
//! **Each process publishes one table of its own areas; no process writes another's memory; the
//! kernel frees everything.** A process that holds areas is a *team*. Its table is a memory object
//! that goes with it; others find the object through one symbolic link into `/proc`, which leads
//! nowhere once the process is gone. There is no daemon, nothing to repair after a crash, and no
//! mutual exclusion between processes.
//!
//! "System-wide" means one user and one pid namespace: other users cannot see or disturb what is
//! here. A process that changes its user (`setuid`) is a new team in the new user's registry, with
//! all that it holds, from its next call on that publishes, or looks for what it has not found
//! before ([`join`], [`ensure_published`] and [`list`] notice every change; a change to root is
//! noticed by these, and by one publication in 1,024). The user is the process's: a thread that
//! alone has another one is not supported.
//!
//! Reading the registry makes nothing; a process joins with the first area that it publishes, or by
//! [`join`] ([`join_once`]). Then others can hand areas over to it:
//! [`Area::transfer`](crate::Area::transfer).

// What each folder has. It imports from folders that stand before it, and from no others:
//
// | folder | what |
// |---|---|
// | `table/` | records of areas, their ids, names and notes, and the table of them that a team has |
// | `process/` | what `/proc` shows: who lives, who holds an object |
// | `directory/` | the registry's folder: links, the control file, where it may be |
// | `transfer/` | what is sent of an area on its way, its id there, the socket that it waits in |
// | `peer/` | another team: whether it lives, its table, its objects |
// | `own/` | this process's own team, what it has published, and at which addresses |
// | `source/` | an area that was found, and its description |
// | `state/` | what this process knows of all these, behind one mutex; finding, publishing, giving |
// | `memory/` | the memory of an area that was found: opened, measured |
//
// Beside them what programs call: this file, `arrivals.rs`, `publication.rs`, `wait.rs`,
// `keeper.rs`.

mod arrivals;
mod directory;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod keeper;
mod memory;
mod own;
mod peer;
mod process;
mod publication;
mod source;
mod state;
mod table;
mod transfer;
mod wait;

use std::path::PathBuf;
use std::time::Duration;

pub use arrivals::{refuse_transfer, transferred, wait_transferred};
#[doc(hidden)]
pub use directory::anothers::user as looked_into;
#[doc(hidden)]
pub use directory::{Place, examine_place, usual_places};
pub use keeper::Keeper;
pub use memory::{Inspection, Locked, Locks, Measured, Unpublished, unpublished};
pub(crate) use memory::{LABEL, Mapped};
pub(crate) use own::TABLE_LABEL;
use own::by_address;
#[doc(hidden)]
pub use own::by_address::AtAddress;
pub(crate) use peer::{Rights, is_memory};
pub use process::Holder;
#[doc(hidden)]
pub use process::{MapLine, ProcessStat, Shown, command_of, may_hold, open_in, processes};
pub(crate) use process::{OWN_DESCRIPTORS, writers};
pub(crate) use publication::Publication;
pub use source::{Info, Listing, Source, UnreadableTeam};
pub(crate) use state::Arrival;
pub use state::Transferred;
#[doc(hidden)]
pub use state::look_into;
pub(crate) use table::{Announcement, Record, TABLE_BYTES};
pub use table::{AreaId, Name, Note};
#[doc(hidden)]
pub use wait::Publications;

use crate::error::{Error, ErrorKind, Result};
use crate::sys;
use crate::sys::file::Identity;

/// The older name of [`Inspection`].
#[deprecated(since = "0.2.0", note = "use `Inspection`")]
pub type Look = Inspection;

/// The oldest live area of that name that this process may read.
///
/// Names need not be unique. A name that was found once is found again by its holder's table alone.
/// An area whose holder has closed the descriptor of its memory is passed over once an attempt to
/// open it has shown that; so is one that was [retired](crate::Area::retire), which is looked at
/// when a name is found for the first time.
///
/// ```
/// let area = areas::builder(4096).name("doc: found").shared()?;
/// let source = areas::registry::find("doc: found")?;
/// assert_eq!((source.id(), source.pid()), (area.id().unwrap(), std::process::id()));
/// let clone = source.open()?;
/// # Ok::<(), areas::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::NoSuchArea`] if there is none, [`ErrorKind::Limit`] if there is none that can be
/// read and a limit of this process (descriptors, addresses, locked memory) kept it from reading
/// some team; [`ErrorKind::InvalidInput`] for a bad name, [`ErrorKind::Registry`] if the registry's
/// folder is not as it must be.
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
/// [`ErrorKind::NoSuchArea`] if no live area has it, [`ErrorKind::Unreadable`] if its holder may
/// not be read, [`ErrorKind::Limit`] if a limit of this process is in the way.
pub fn get(id: AreaId) -> Result<Source> {
    state::state()?.get(id)
}

/// A process's published area that begins at the lowest address above `after`; `None` at the end,
/// however often it is asked.
///
/// Start with 0 and continue with the [address](Source::address) of the last one. Whatever comes or
/// goes concurrently, an area that stays is met once, because addresses stay while ids and places
/// in a table may be given to others.
///
/// ```
/// let pid = std::process::id();
/// let mut after = 0;
/// while let Some(area) = areas::registry::next(pid, after)? {
///     println!("{} {:#x}", area.name(), area.address());
///     after = area.address();
/// }
/// # Ok::<(), areas::Error>(())
/// ```
///
/// What comes while a walk is under way may be met or not. One's own areas cost a look into a
/// sorted map each; another team's table is sorted once for as long as nothing comes or goes there,
/// and a few times a walk where something does.
///
/// # Errors
/// [`ErrorKind::NoSuchTeam`] if no live process has that number (a live one that publishes nothing
/// is at the end at once); [`ErrorKind::Unreadable`] if it holds areas and may not be read;
/// [`ErrorKind::Registry`] if the registry's folder is not as it must be.
#[doc(alias = "get_next_area_info")]
pub fn next(pid: u32, after: usize) -> Result<Option<Source>> {
    // What was offered is accepted before a walk, not at each of its steps.
    let mut state = if after == 0 { state::state_up_to_date()? } else { state::state()? };
    state.next(pid, after as u64)
}

/// All published areas that can be seen, and the teams that cannot be looked into.
///
/// ```
/// let _area = areas::builder(4096).name("doc: listed").shared()?;
/// let listing = areas::registry::list()?;
/// for area in &listing.areas {
///     println!("{} {} in process {}", area.id(), area.name(), area.pid());
/// }
/// for team in &listing.unreadable {
///     println!("process {} cannot be read: {}", team.pid, team.reason);
/// }
/// # Ok::<(), areas::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Registry`] if the registry's folder is not as it must be. A missing folder is not
/// an error: nothing is published.
pub fn list() -> Result<Listing> {
    state::state_up_to_date()?.list()
}

/// The published areas of all teams over one object, and the teams that cannot be asked.
pub(crate) fn list_of(object: Identity) -> Result<Listing> {
    state::state_up_to_date()?.list_of(Some(object))
}

/// An error where another area has that name already: before anything is made for it.
pub(crate) fn refuse_taken(name: &Name) -> Result<()> {
    let mut state = state::state()?;
    match state.find(name.as_bytes())? {
        // It was found before it was retired.
        Some(source) if source.is_retired() => state.pass_over(&source),
        Some(source) => return Err(state::taken(format!("publish area {name:?} exclusively"), &source)),
        None => {}
    }
    Ok(())
}

/// Withdraws all areas of this process over an object that is retired.
pub(crate) fn retire_own(object: Identity) -> Result<()> {
    state::state()?.retire_own(object);
    Ok(())
}

/// Measures areas one after the other, as [`Source::measure`] does, and reports each: for callers
/// that ask about many, as each takes two walks through `/proc` less. In the order of [`list`] it
/// is cheapest.
///
/// # Errors
/// Those that `report` returns: the first one ends it.
pub fn measure_each<E>(
    areas: impl IntoIterator<Item = Source>,
    mut report: impl FnMut(&Source, Result<Measured>) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let mut folders = peer::Folders::default();
    areas.into_iter().try_for_each(|area| {
        let measured = area.measure_among(&mut folders);
        report(&area, measured)
    })
}

/// This process's own published area that holds an address: any byte of its whole pages, not of a
/// reserve behind them.
///
/// Where its id is all that is wanted, [`id_at`] is cheaper.
///
/// ```
/// let area = areas::builder(4096).name("doc: at").shared()?;
/// let source = areas::registry::at(area.as_ptr().addr() + 100)?;
/// assert_eq!(source.id(), area.id().unwrap());
/// # Ok::<(), areas::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::NoSuchArea`] if there is none.
pub fn at(address: usize) -> Result<Source> {
    let mut state = state::state()?;
    if let Some(source) = state.at(address as u64) {
        return Ok(source);
    }
    // It may be one that another team has just transferred.
    let _ = state.look();
    state.at(address as u64).ok_or_else(|| {
        let error = Error::new(ErrorKind::NoSuchArea, format!("find the area at {address:#x}"));
        match state.lost_at(address as u64) {
            Some(name) => state::lost(error, &name),
            None => error.with_facts("no published area of this process has that address"),
        }
    })
}

/// The id of this process's own published area that holds an address, as [`at`] finds it.
///
/// It never waits, and mostly makes no system call: threads that look up addresses do not disturb
/// each other, and however many areas there are, it is two searches in sorted arrays. Beyond the
/// first page of an area that may shrink, and where one that grows has just grown, it takes an
/// `fstat`.
///
/// # Errors
/// [`ErrorKind::NoSuchArea`] if there is none.
#[doc(alias = "area_for")]
#[inline]
pub fn id_at(address: usize) -> Result<AreaId> {
    match known_id_at(address) {
        Some(id) => Ok(id),
        None => at(address).map(|source| source.id()),
    }
}

/// The same, as far as it is known without a mutex: `None` says nothing. It opens and closes
/// nothing, so that no thread is cancelled in it: for the C edge.
#[doc(hidden)]
#[must_use]
pub fn known_id_at(address: usize) -> Option<AreaId> {
    by_address::id_at(address as u64)
}

/// The same, and whether the kernel has the area's memory there: one system call, once
/// [`ask_by_address`] was called. For the C edge, whose programs unmap parts of areas themselves.
#[doc(hidden)]
#[must_use]
pub fn mapped_at(address: usize) -> AtAddress {
    by_address::mapped_at(address as u64)
}

/// Opens what [`mapped_at`] asks the kernel by, and keeps it open: a descriptor. Where there is
/// none, areas are believed to be where they were made.
#[doc(hidden)]
pub fn ask_by_address() {
    sys::maps::keep_open();
}

/// Whether the kernel is asked: for tests.
#[doc(hidden)]
#[must_use]
pub fn asks_by_address() -> bool {
    sys::maps::at(0) == sys::maps::At::Nothing
}

/// Whether a range of addresses may reach into a published area of this process, its reserve
/// included: `false` is sure. It never waits, and makes no system call: for the C edge.
#[doc(hidden)]
#[must_use]
pub fn may_overlap(start: usize, len: usize) -> bool {
    by_address::may_overlap(start as u64, len as u64)
}

/// Whether a published area of this process that begins at an address is said to reach to another
/// one, its reserve included: for the C edge.
#[doc(hidden)]
#[must_use]
pub fn reaches(start: usize, address: usize) -> bool {
    state::state().is_ok_and(|state| state.reaches(start as u64, address as u64))
}

/// Waits until there is an area of that name, and gives it as [`find`] does. Without a time-out it
/// waits forever.
///
/// ```
/// use std::time::Duration;
///
/// let maker = std::thread::spawn(|| {
///     std::thread::sleep(Duration::from_millis(20));
///     areas::builder(4096).name("doc: awaited").shared()
/// });
/// let source = areas::registry::wait("doc: awaited", Some(Duration::from_secs(10)))?;
/// # drop(maker.join());
/// assert_eq!(source.name().as_bytes(), b"doc: awaited");
/// # Ok::<(), areas::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::TimedOut`]; else as [`find`].
pub fn wait(name: impl AsRef<[u8]>, timeout: Option<Duration>) -> Result<Source> {
    wait::wait(&Name::new(name)?, timeout)
}

/// Joins the registry without an area, so that others can transfer areas to this process. A process
/// that has published one has joined.
///
/// # Errors
/// [`ErrorKind::Registry`], [`ErrorKind::Limit`] where it cannot be joined;
/// [`ErrorKind::NotPermitted`] where a sandbox forbids the socket to which areas are transferred.
pub fn join() -> Result<()> {
    state::state()?.join()
}

/// Joins the registry where this process, or this forked child, has not: for programs in which a
/// process that looks can be given areas, as in BeOS. The C calls of `OS.h` do so before they look;
/// [`find`] and the other calls of this module do not.
///
/// From the second time on it makes no system call. What keeps it from joining (no folder can be
/// made, no slot is free, no descriptor) is not an error: looking works without. It is tried again
/// a second later at the earliest; [`join`] returns the reason.
pub fn join_once() {
    if !by_address::is_team()
        && let Ok(mut state) = state::state()
    {
        state.join_once();
    }
}

/// Ensures that others find this process's areas: where the registry's folder was removed, or this
/// process's link in it, they are published again.
///
/// Publishing, and looking for areas, notices a removed folder too; a holder that makes no calls
/// calls this about once a second, or has a [`Keeper`] do it. In a forked child it publishes what
/// the child inherited: a daemon calls it right after its last fork, since no process finds the
/// areas of a parent that has ended. After a change of user it publishes in the new user's
/// registry.
///
/// # Errors
/// [`ErrorKind::Registry`] if the folder cannot be made again.
pub fn ensure_published() -> Result<()> {
    state::state_up_to_date()?.keep()
}

/// The older name of [`ensure_published`].
///
/// # Errors
/// As there.
#[deprecated(since = "0.2.0", note = "use `ensure_published`")]
pub fn keep() -> Result<()> {
    ensure_published()
}

/// Where the registry is, if it was found: for messages.
///
/// # Errors
/// As [`list`].
pub fn path() -> Result<Option<PathBuf>> {
    let mut state = state::state_up_to_date()?;
    state.list()?;
    Ok(state.path())
}

/// Why the registry is not in the folder where it is looked for first (`/dev/shm/areas-UID`): other
/// users own that name. `None` where it is there, or where there is no registry.
///
/// # Errors
/// As [`list`].
pub fn path_remark() -> Result<Option<String>> {
    state::state()?.remark()
}
