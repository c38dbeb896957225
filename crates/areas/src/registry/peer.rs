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
mod missing;
mod object;
mod taking;

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::anothers;
use super::directory::Link;
use super::door;
use super::id::AreaId;
use super::offer::Offer;
use super::order::Order;
use super::process::ProcessStat;
use super::table::{Owner, Record, TABLE_BYTES, VERSION, View};
use crate::error::{Error, ErrorKind, Result, in_words};
use crate::mapping::{Mapping, Plan, Sharing};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::sys;
use crate::sys::file::{OFlags, Stat};
use crate::sys::guarded::Guarded;
use crate::sys::memory::{At, MapFlags};
use crate::sys::number_path::NumberPath;
use crate::sys::object::SealFlags;
pub(super) use folders::Folders;
use missing::Missing;
pub(crate) use object::OWN_DESCRIPTORS;
pub(crate) use object::Rights;
pub(crate) use object::is_memory;
pub(super) use object::is_shown;
use object::{Folder, Looked, look, open_looked, open_object_in};
pub(super) use object::{Opened, is_object, known_pages, open_object_at};
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

/// Where a team's descriptors can be seen.
#[derive(Debug)]
enum Place {
    /// In this folder of `/proc`.
    At(String),
    Unreadable(Reason),
    Dead,
}

fn locate(link: &Link) -> Place {
    let process = format!("/proc/{}", link.pid);
    let stat = match ProcessStat::read(&format!("{process}/stat")) {
        Ok(stat) => stat,
        Err(_) if !sys::process::exists(link.pid) => return Place::Dead,
        Err(error) => {
            let why = if is_shown() { "hidepid?" } else { "no /proc is mounted here (a chroot?)" };
            let text = format!("{process}/stat cannot be read ({}): {why}", in_words(&error));
            return Place::Unreadable(Reason::of_file(text, &error));
        }
    };
    if stat.start_time != link.start_time {
        return Place::Dead;
    }
    let shows_table = |folder: &str| match stat_under(folder, link.descriptor) {
        Ok(stat) => Ok(is_table(&stat, link)),
        Err(sys::Errno::NOENT | sys::Errno::SRCH) => Ok(false),
        Err(errno) => Err(errno),
    };
    let folder = format!("{process}/fd");
    if let Ok(true) = shows_table(&folder) {
        return Place::At(folder);
    }
    match among_threads(&process, shows_table) {
        Among::At(folder) => Place::At(folder),
        Among::Nowhere => Place::Dead,
        Among::Unreadable(_) if !sys::process::exists(link.pid) => Place::Dead,
        Among::Unreadable(reason) => Place::Unreadable(reason),
    }
}

/// What a process's threads show of its table.
enum Among {
    /// In this folder of `/proc`.
    At(String),
    Nowhere,
    Unreadable(Reason),
}

/// The leader may have left while other threads live, and a thread can have descriptors of its own.
fn among_threads(process: &str, shows_table: impl Fn(&str) -> sys::Result<bool>) -> Among {
    /// How often its threads are looked at: one that came while we looked may have been started by
    /// one that has ended since.
    const LOOKS: usize = 16;
    let mut known = HashSet::new();
    let mut refused = None;
    for _ in 0..LOOKS {
        let threads = match sys::text::names_in(format!("{process}/task"), usize::MAX) {
            Ok(threads) => threads,
            Err(error) => {
                let text = format!("{process}/task cannot be read ({})", in_words(&error));
                return Among::Unreadable(Reason::of_file(text, &error));
            }
        };
        let mut any_new = false;
        for thread in threads {
            let folder = format!("{process}/task/{}/fd", thread.display());
            if !known.insert(thread) {
                continue;
            }
            any_new = true;
            match shows_table(&folder) {
                Ok(true) => return Among::At(folder),
                Ok(false) => {}
                Err(errno) => {
                    let thread = folder.trim_end_matches("/fd");
                    match ProcessStat::read(&format!("{thread}/stat")) {
                        // The kernel shows a zombie's descriptors, of which there are none, to root
                        // alone.
                        Ok(stat) if stat.holds_nothing() => {}
                        // A thread that has ended concurrently.
                        Err(_) if std::fs::metadata(thread).is_err() => {}
                        _ => refused = Some(errno),
                    }
                }
            }
        }
        if !any_new {
            let Some(errno) = refused else { return Among::Nowhere };
            return Among::Unreadable(Reason::new(
                format!(
                    "{process}/fd cannot be read ({}): another group, a capability that we lack, not dumpable (a process that has changed its user is \
                     not, until it calls prctl(PR_SET_DUMPABLE, 1)), or another user namespace",
                    crate::Errno::from(errno)
                ),
                Some(errno),
            ));
        }
    }
    Among::Unreadable(Reason::new(
        format!("{process}/task: its threads come and go faster than they can be looked at"),
        None,
    ))
}

/// Whether it is proven that the team that a link names is no more: without opening its table.
pub(super) fn is_proven_dead(link: &Link) -> bool {
    matches!(locate(link), Place::Dead)
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
    table: Arc<Guarded>,
    /// Where its descriptors were seen last: the thread through which we looked may have ended
    /// since.
    folder: Mutex<Arc<str>>,
    /// Whether it was seen to be no more. A process that ends has no descriptors that could be
    /// opened some time before its record lock goes: the kernel takes them all away first, and then
    /// closes each.
    gone: AtomicBool,
    /// A handle for `pidfd_getfd`, where there is one.
    handle: OnceLock<Option<Guarded>>,
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

    /// Why an area's object is not under its number: it went, or we may not look any more, or the
    /// number leads elsewhere.
    #[cold]
    fn explain(&self, record: &Record, what: impl FnOnce() -> String) -> Error {
        let went = |what| {
            Error::new(ErrorKind::NoSuchArea, what)
                .detail("it was released concurrently: its holder dropped it or died")
                .help("look for the name again: another holder may be there")
        };
        let folder = match self.locate() {
            Place::At(folder) => folder,
            Place::Dead => return went(what()),
            Place::Unreadable(reason) => {
                return Error::new(ErrorKind::Unreadable, what())
                    .detail(format!(
                        "its holder, process {}, cannot be read any more: {}",
                        self.link.pid, reason.text
                    ))
                    .help("run with the same user, group and capabilities, and with /proc mounted");
            }
        };
        let found = stat_under(&folder, record.descriptor).ok().filter(|stat| stat.identity == record.object);
        // After the number: a holder takes the record back before it closes the descriptor.
        if !self.view.lists(record.id) {
            return went(what());
        }
        let why = match found {
            Some(stat) if is_object(&stat, record).is_ok_and(|yes| !yes) => {
                "is not memory that areas are made of"
            }
            // It came back.
            Some(_) => return went(what()),
            None => {
                "is not the area's memory any more: the program closed it, or another file has the number"
            }
        };
        self.missing.add(record.id);
        Error::new(ErrorKind::NoSuchArea, what())
            .detail(format!(
                "process {} lists it as its descriptor {}, which {why}",
                self.link.pid, record.descriptor
            ))
            .help("look for the name again: such areas are passed over then; where it is mapped it stays usable")
    }

    /// Opens an area's object.
    ///
    /// The first time it is looked at through `/proc` before it is opened, so that nothing of a
    /// file that is no area's is opened or closed. Later it is taken by its number, which is
    /// faster.
    pub(super) fn open_object(&self, record: &Record, rights: Rights) -> Result<Opened> {
        if let Some(opened) = self.take_object(record, rights) {
            return Ok(opened);
        }
        let opened = open_object_at(&self.folder(), record, rights).or_else(|error| match error.kind() {
            ErrorKind::NoSuchArea | ErrorKind::Unreadable => match self.moved() {
                Some(folder) => open_object_at(&folder, record, rights),
                None => Err(error),
            },
            _ => Err(error),
        });
        let opened = opened.or_else(|error| match error.kind() {
            ErrorKind::NoSuchArea => Err(self.explain(record, || error.what().to_owned())),
            ErrorKind::Unreadable => self.open_old_users(record, rights, error),
            _ => Err(error),
        })?;
        self.taking.remember(record);
        Ok(opened)
    }

    /// The same for one of many that are looked at one after the other: by way of folders that stay
    /// open, where that does.
    pub(super) fn open_object_among(
        &self,
        record: &Record,
        rights: Rights,
        folders: &mut Folders,
    ) -> Result<Opened> {
        if !self.taking.may_take(record)
            && let Some(folders) = folders.of(&self.folder())
            && let Ok(Some(opened)) = open_object_in(folders, record, rights, false)
        {
            self.taking.remember(record);
            return Ok(opened);
        }
        self.open_object(record, rights)
    }

    /// Takes an object that may not be opened by its name, as it is another user's: it came over a
    /// socket, or was made before its holder changed its user. For reading only it can be had where
    /// its holder has it so: else it would have to be opened.
    fn open_old_users(&self, record: &Record, rights: Rights, error: Error) -> Result<Opened> {
        let Some(stat) = self.stat(record).ok().filter(|stat| stat.uid != sys::process::user()) else {
            return Err(error);
        };
        self.taking.remember(record);
        self.take_object(record, rights).ok_or_else(|| {
            error.detail(format!(
                "it belongs to user {}, and we are user {}: it came over a socket, or was made before its holder changed its user",
                stat.uid,
                sys::process::user()
            ))
        })
    }

    /// Takes what the peer has under the number of an area's object, where it was that object
    /// before.
    fn take_object(&self, record: &Record, rights: Rights) -> Option<Opened> {
        // Once an area is gone from the table, its number may be any file's.
        if !self.taking.may_take(record) || !self.view.lists(record.id) {
            return None;
        }
        let fd = match sys::process::take_descriptor(self.handle()?, record.descriptor) {
            Ok(fd) => fd,
            Err(errno) => {
                if [sys::Errno::PERM, sys::Errno::ACCESS, sys::Errno::NOSYS].contains(&errno) {
                    self.taking.give_up();
                }
                return None;
            }
        };
        let looked = match sys::object::sealed_stat(fd.as_fd()) {
            Ok(looked)
                if looked.stat.identity == record.object
                    && is_object(&looked.stat, record).is_ok_and(|yes| yes) =>
            {
                looked
            }
            // Another file has the number by now, or cannot be distinguished from one.
            _ => {
                // Another area's memory is often no more than one that came as ours went.
                if !sys::foreign::close_memory(fd) {
                    self.taking.give_up();
                }
                return None;
            }
        };
        let pages = known_pages(&looked.stat, record);
        if rights != Rights::Reading {
            return Some(Opened { fd, looked, pages });
        }
        // The kernel holds a reader to that if it was opened so; by way of our own number, which is
        // shorter than the owner's. It is the same object: its seals and size are what they were.
        let found = Looked { fd, stat: looked.stat };
        match open_looked(&found, OFlags::RDONLY) {
            Ok(fd) => Some(Opened { fd, looked, pages }),
            // Another user's, of which the owner was given no more than this.
            Err(_) => sys::file::is_writable(found.fd.as_fd())
                .is_ok_and(|writable| !writable)
                .then_some(Opened { fd: found.fd, looked, pages }),
        }
    }

    /// Whether areas can be offered to it, in offers of this library's version.
    pub(super) fn has_door(&self) -> bool {
        self.view.door(Offer::VERSION).is_some()
    }

    /// Whether its table says the slot that its link does: it may have moved to another one since.
    pub(super) fn is_in_its_slot(&self) -> bool {
        self.view.owner().is_ok_and(|owner| owner.slot == self.link.slot)
    }

    /// Sends an area to its door; `None` if it has none.
    pub(super) fn offer(
        &self,
        bytes: &[u8; Offer::BYTES],
        descriptors: &[BorrowedFd<'_>],
    ) -> Option<Result<(), door::Refused>> {
        let door = self.view.door(Offer::VERSION)?;
        let offer = |folder: Arc<str>| door::offer(&folder, door, bytes, descriptors);
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
            let handle = Guarded::new(sys::process::open(self.link.pid).ok()?).ok()?;
            // A process that lives now lived when the handle was made: the number was not another
            // process's.
            self.is_live().then_some(handle)
        });
        // Unlooked at: what comes of it is held against the record, whatever the number has come to
        // lead to.
        handle.as_ref().map(AsFd::as_fd)
    }
}

/// Tables of this process's own that were opened: of a second copy of this library in it. Closing
/// any descriptor of one would drop its owner's record lock, so that each is opened once, and
/// stays.
static KEPT: Mutex<Vec<Arc<Guarded>>> = Mutex::new(Vec::new());

fn kept_table(looked: &Looked) -> sys::Result<Option<Arc<Guarded>>> {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let known =
        kept.iter().find(|table| table.identity() == looked.stat.identity && table.is_intact()).cloned();
    let table = match known {
        Some(known) => known,
        None => {
            let table = Arc::new(Guarded::new(open_looked(looked, OFlags::RDONLY)?)?);
            // Also what turns out to be none: its owner may just be making it.
            kept.push(table.clone());
            table
        }
    };
    Ok(is_table_behind_seals(table.as_fd(), looked)?.then_some(table))
}

/// Opens a table; `None` for what is none.
fn open_table(looked: &Looked) -> sys::Result<Option<Arc<Guarded>>> {
    let fd = open_looked(looked, OFlags::RDONLY)?;
    let is_table = is_table_behind_seals(fd.as_fd(), looked)?;
    Ok(is_table.then(|| Arc::new(Guarded::of(fd, looked.stat.identity))))
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
pub(super) fn forget_kept_tables() {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).clear();
}
