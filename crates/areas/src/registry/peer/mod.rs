//! Another team: whether it lives, its table, its objects.
//!
//! A team is *live*, *unreadable* or *dead*, and only a proven death is acted upon:
//!
//! | what we see | what it means |
//! |---|---|
//! | the owner holds the record lock of its table | live (one `fcntl`) |
//! | no process has that number, or the one that has it started at another time | dead |
//! | no thread of the process has the table at the descriptor that the link names | dead (it exited, or called exec) |
//! | the process is a zombie as a whole | dead: it holds nothing |
//! | the thread leader has exited, another thread has the table | live |
//! | the kernel refuses to show us (other group, capabilities, non-dumpable, user namespace, hidepid) | unreadable |

mod folders;
mod locating;
mod missing;
mod object;
mod opening;
mod tables;
mod taking;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::directory::{Link, anothers};
use super::table::{AreaId, Order, Owner, Record, TABLE_BYTES, VERSION, View};
use super::transfer::{self, PendingTransfer};
use crate::error::{ErrorKind, Result};
use crate::mapping::{Mapping, Plan, Sharing};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::sys;
use crate::sys::checked_fd::CheckedFd;
use crate::sys::file::Stat;
use crate::sys::memory::{At, MapFlags};
use crate::sys::number_path::NumberPath;
use crate::sys::object::SealFlags;
pub(super) use folders::Folders;
pub(super) use locating::is_proven_dead;
use locating::{Place, locate};
use missing::Missing;
pub(crate) use object::Rights;
pub(crate) use object::is_memory;
use object::{Folder, look};
pub(super) use object::{Opened, is_object, known_pages, open_object_at};
pub(super) use tables::forget_kept_tables;
use tables::{kept_table, open_table};
use taking::Taking;

/// What makes a table one that only its owner can write.
pub(super) const TABLE_SEALS: SealFlags =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE).union(SealFlags::SEAL);

/// What is known of a team.
#[derive(Debug)]
pub(super) enum State {
    Live(Box<Peer>),
    /// It lives, as far as is known, and we may not look into it.
    Unreadable(Reason),
    Dead,
}

/// Why a team cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    /// For people.
    pub(super) text: String,
    /// Whether it is for want of something in this very process (a descriptor, memory), and not
    /// because it is kept from us.
    pub(super) own_limit: bool,
}

impl Reason {
    fn new(text: impl Into<String>, errno: Option<sys::Errno>) -> Self {
        let own = [sys::Errno::MFILE, sys::Errno::NFILE, sys::Errno::NOMEM];
        Reason { text: text.into(), own_limit: errno.is_some_and(|errno| own.contains(&errno)) }
    }

    /// The kind of error that it makes of a look at that team.
    pub(super) fn kind(&self) -> ErrorKind {
        if self.own_limit { ErrorKind::Limit } else { ErrorKind::Unreadable }
    }

    fn of_file(text: String, error: &std::io::Error) -> Self {
        Reason::new(text, error.raw_os_error().map(sys::Errno::from_raw_os_error))
    }
}

/// What is open under a number, where a folder shows it.
fn stat_under(folder: &str, number: i32) -> sys::Result<Stat> {
    sys::file::look_through(NumberPath::new(folder, number)?.as_c_str()?)
}

/// Whether a file can be the table that the link names. Its seals are looked at once it is open.
fn is_table(stat: &Stat, link: &Link) -> bool {
    // A process that looks into another user's registry could be led to the table of a third one.
    let is_theirs = !anothers::is_anothers() || stat.uid == anothers::user();
    stat.is_file()
        && stat.links == 0
        && stat.size == TABLE_BYTES as u64
        && stat.identity.inode == link.inode
        && is_theirs
}

/// Another team that lives and lets itself be read.
#[derive(Debug)]
pub(super) struct Peer {
    link: Link,
    view: View,
    table: Arc<CheckedFd>,
    /// Where its descriptors were seen last: the thread through which we looked may have ended
    /// since.
    folder: Mutex<Arc<str>>,
    /// Whether it was seen to be no more. A process that ends has no descriptors that could be
    /// opened some time before its record lock goes: the kernel takes them all away first, and then
    /// closes each.
    gone: AtomicBool,
    /// A handle for `pidfd_getfd`, where there is one.
    handle: OnceLock<Option<CheckedFd>>,
    taking: Taking,
    missing: Missing,
    order: Mutex<Order>,
}

/// Looks at the team that a link names.
pub(super) fn examine(link: &Link) -> State {
    let folder = match locate(link) {
        Place::At(folder) => folder,
        Place::Unreadable(reason) => return State::Unreadable(reason),
        Place::Dead => return State::Dead,
    };
    match Peer::open(link, &folder) {
        Ok(Some(peer)) => State::Live(Box::new(peer)),
        // It changed as we came near, or is not a table of that team: what the link says no longer
        // holds.
        Ok(None) => match locate(link) {
            Place::At(_) => State::Unreadable(Reason::new("its table is not one that we can read", None)),
            Place::Unreadable(reason) => State::Unreadable(reason),
            Place::Dead => State::Dead,
        },
        Err(reason) => State::Unreadable(reason),
    }
}

/// Held by a thread that asks a peer for what it remembers, and by a thread that forks: areas are
/// cloned and looked at outside of the state's mutex, and a forked child would inherit a peer's own
/// mutexes as they are at that moment.
static ASKING: Mutex<()> = Mutex::new(());

pub(super) fn asking() -> MutexGuard<'static, ()> {
    ASKING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Peer {
    fn open(link: &Link, folder: &str) -> Result<Option<Self>, Reason> {
        let failed = |call: &str, errno| {
            let text = format!("{call} {folder}/{}: {}", link.descriptor, crate::Errno::from(errno));
            Reason::new(text, Some(errno))
        };
        let is_ours = |stat: &Stat| Ok(is_table(stat, link) && is_memory(stat, PageSize::base())?);
        let Some(looked) = look(Folder::path(folder), link.descriptor, is_ours)
            .map_err(|(call, errno)| failed(call, errno))?
        else {
            return Ok(None);
        };
        let table = match link.pid == sys::process::pid() {
            true => kept_table(&looked),
            false => open_table(&looked),
        }
        .map_err(|errno| failed("open, statx", errno))?;
        let Some(table) = table else { return Ok(None) };
        let mapping = Mapping::unlocked(&Plan {
            at: At::Anywhere,
            size: TABLE_BYTES,
            span: TABLE_BYTES,
            page: PageSize::base(),
            protection: Protection::READ,
            sharing: Sharing::Shared,
            flags: MapFlags::SHARED,
            file: Some((table.as_fd(), 0)),
            placement: None,
        })
        .map_err(|error| {
            let errno = error.errno().map(|errno| sys::Errno::from_raw_os_error(errno.raw()));
            let reason = Reason::new(error.to_string(), errno);
            // Or one on mappings, or on locked memory, where the program locks all that it maps.
            Reason { own_limit: reason.own_limit || error.kind() == ErrorKind::Limit, ..reason }
        })?;
        let view = View::new(mapping);
        let expected =
            Owner { slot: link.slot, pid: link.pid, start_time: link.start_time, table: table.identity() };
        match view.owner() {
            Ok(owner) if owner == expected => {}
            Ok(_) | Err(None) => return Ok(None),
            Err(Some(version)) => {
                let text = format!("its table has format {version}, and this library reads format {VERSION}");
                return Err(Reason::new(text, None));
            }
        }
        Ok(Some(Peer {
            link: link.clone(),
            view,
            table,
            folder: Mutex::new(folder.into()),
            gone: AtomicBool::new(false),
            handle: OnceLock::new(),
            taking: Taking::default(),
            missing: Missing::default(),
            order: Mutex::default(),
        }))
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    pub(super) fn view(&self) -> &View {
        &self.view
    }

    pub(super) fn pid(&self) -> u32 {
        self.link.pid
    }

    /// Where its descriptors can be seen now.
    fn locate(&self) -> Place {
        let place = locate(&self.link);
        if matches!(place, Place::Dead) {
            self.gone.store(true, Ordering::Relaxed);
        }
        place
    }

    /// Whether it lives now: one `fcntl` where it does.
    pub(super) fn is_live(&self) -> bool {
        if self.gone.load(Ordering::Relaxed) {
            return false;
        }
        // A record lock of our own would not show.
        if let Ok(Some(owner)) = sys::record_lock::owner(self.table.as_fd())
            && u32::try_from(owner) == Ok(self.link.pid)
        {
            return true;
        }
        // The record lock can be lost without a death: a process that closes a second descriptor of
        // the table drops it.
        match self.locate() {
            Place::At(folder) => stat_under(&folder, self.link.descriptor)
                .is_ok_and(|stat| stat.identity == self.table.identity()),
            Place::Unreadable(_) => true,
            Place::Dead => false,
        }
    }

    /// Its area that begins at the lowest address above `after`.
    pub(super) fn next(&self, after: u64) -> Option<Record> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner).next(&self.view, after)
    }

    pub(super) fn folder(&self) -> Arc<str> {
        let _asking = asking();
        self.folder.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where its descriptors can be seen now, if that is elsewhere than before.
    fn moved(&self) -> Option<Arc<str>> {
        let Place::At(folder) = self.locate() else { return None };
        let folder: Arc<str> = folder.into();
        let _asking = asking();
        let mut known = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        let moved = *known != folder;
        known.clone_from(&folder);
        moved.then_some(folder)
    }

    /// What the kernel says of an area's object now.
    pub(super) fn stat(&self, record: &Record) -> Result<Stat> {
        let look = |folder: Arc<str>| {
            stat_under(&folder, record.descriptor).ok().filter(|stat| stat.identity == record.object)
        };
        look(self.folder())
            .or_else(|| look(self.moved()?))
            .ok_or_else(|| self.explain(record, || format!("look at area {} {:?}", record.id, record.name)))
    }

    /// The oldest area of a name that is not missing.
    pub(super) fn find(&self, name: &[u8]) -> Option<(u32, u64, Record)> {
        let found = self.view.find(name)?;
        if !self.missing.has(found.2.id) {
            return Some(found);
        }
        self.view
            .records()
            .filter(|(_, _, record)| {
                record.name.as_bytes() == name && !record.claiming && !self.missing.has(record.id)
            })
            .min_by_key(|(_, _, record)| record.age())
    }

    /// Whether an area's memory was found not to be under its number.
    pub(super) fn is_missing(&self, id: AreaId) -> bool {
        self.missing.has(id)
    }

    /// Searches for a name pass over that area from now on.
    pub(super) fn pass_over(&self, id: AreaId) {
        self.missing.add(id);
    }

    /// Whether an area of that name was found so.
    pub(super) fn has_missing(&self, name: &[u8]) -> bool {
        self.missing.any()
            && self
                .view
                .records()
                .any(|(_, _, record)| record.name.as_bytes() == name && self.missing.has(record.id))
    }

    /// Whether areas can be offered to it, in offers of this library's version.
    pub(super) fn takes_transfers(&self) -> bool {
        self.view.transfer_socket(PendingTransfer::VERSION).is_some()
    }

    /// Whether its table says the slot that its link does: it may have moved to another one since.
    pub(super) fn is_in_its_slot(&self) -> bool {
        self.view.owner().is_ok_and(|owner| owner.slot == self.link.slot)
    }

    /// Sends an area to its transfer socket; `None` if it has none.
    pub(super) fn offer(
        &self,
        bytes: &[u8; PendingTransfer::BYTES],
        descriptors: &[BorrowedFd<'_>],
    ) -> Option<Result<(), transfer::Refused>> {
        let socket = self.view.transfer_socket(PendingTransfer::VERSION)?;
        let offer = |folder: Arc<str>| transfer::offer(&folder, socket, bytes, descriptors);
        Some(match offer(self.folder()) {
            Err(refused)
                if [sys::Errno::NOENT, sys::Errno::SRCH, sys::Errno::ACCESS].contains(&refused.errno) =>
            {
                self.moved().map_or(Err(refused), offer)
            }
            other => other,
        })
    }

    /// What it has mapped, as the kernel lists it; `None` where that may not be read.
    pub(super) fn maps(&self) -> Option<String> {
        sys::text::read_lossy(format!("{}/maps", self.folder().strip_suffix("/fd")?)).ok()
    }

    fn handle(&self) -> Option<BorrowedFd<'_>> {
        let _asking = asking();
        let handle = self.handle.get_or_init(|| {
            // To close a copy of our own table's descriptor would be to lose its record lock. And a
            // sandbox may kill for the call.
            if self.link.pid == sys::process::pid() || !sys::sandbox::may(sys::sandbox::Call::PidfdGetfd) {
                return None;
            }
            let handle = CheckedFd::new(sys::process::open(self.link.pid).ok()?).ok()?;
            // A process that lives now lived when the handle was made: the number was not another
            // process's.
            self.is_live().then_some(handle)
        });
        // Unlooked at: what comes of it is held against the record, whatever the number has come to
        // lead to.
        handle.as_ref().map(AsFd::as_fd)
    }
}
