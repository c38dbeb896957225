//! The registry's folder: where teams leave one link each, and nothing that would have to be
//! repaired.
//!
//! ```text
//! areas-UID/                      0700, ours
//!   pid-4026531836/               one a pid namespace; whoever is in it holds a shared flock on it
//!     control                     where the sequence numbers of each slot go on
//!     teams/
//!       SLOT.STARTTIME.INODE  ->  /proc/PID/fd/N
//!       SLOT.STARTTIME.INODE.empty             of a team that has published nothing yet
//! ```
//!
//! A link's name is made from what no other team can have: the slot, the owner's start time and the
//! inode of its table. So a link can be taken away without any mutual exclusion: whoever removes it
//! removes that very team's, however late they come. A slot is claimed by making the link and
//! looking whether another link names the same slot: of two that come at once, the later one sees
//! the other, and goes elsewhere. No process ever waits for another one, stopped ones included.

pub(super) mod anothers;
mod claiming;
mod control;
mod link;
mod meeting;
mod own_files;
mod places;
mod root;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use super::table::SLOTS;
use crate::error::{Error, ErrorKind, Result};
use crate::sys;
use crate::sys::checked_fd::CheckedFd;
use crate::sys::file::{Identity, OFlags, Stat};
use claiming::{CONTROL_BYTES, lay_out};
pub(super) use control::Control;
pub(super) use link::Link;
use meeting::Met;
use places::Candidates;
pub use places::{Place, examine_place, usual_places};
pub(super) use root::SOCKET_NAME;
#[cfg(fuzzing)]
pub(super) use root::namespace;
use root::{clear_dead_spaces, space_name};

/// What only those have who joined: their flock on the folder says that it is in use.
#[derive(Debug)]
struct Joined {
    control: CheckedFd,
}

/// When something happened in a folder: nanoseconds since 1970, a clock tick coarse in some
/// kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) teams: Coming,
    /// Teams came or went, or a process has [reported](Directory::notify) news.
    pub(super) news: i128,
}

/// What is another one when teams have come or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coming {
    /// When they last did.
    pub(super) time: i128,
    /// How many there are, in the kernel's measure.
    size: u64,
}

impl Times {
    /// On tmpfs a folder's size counts its entries, so that the time at which its contents changed
    /// can be believed, which anybody may set back: who hides one that came would have to remove
    /// another one, and who removes links hides as much without. Elsewhere the time of any change
    /// is taken, which no process can set, and news count as a coming or going.
    fn of(stat: &Stat, counts: bool) -> Self {
        let teams = match counts {
            true => Coming { time: stat.modified, size: stat.size },
            false => Coming { time: stat.changed, size: 0 },
        };
        Times { teams, news: stat.changed }
    }
}

/// What has become of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Now {
    /// It is there.
    Here(Times),
    /// It was removed, or our descriptor of it closed.
    Gone,
    /// This process works for another user than when it was opened.
    OtherUsers,
    /// The kernel did not say.
    Unknown,
}

/// The registry's folder of our pid namespace, open.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Why it is not where it is looked for first.
    remark: Option<String>,
    /// Whether it is the one that was named, and can be nowhere else.
    is_fixed: bool,
    /// The user for whom it was opened.
    user: u32,
    space: CheckedFd,
    teams: CheckedFd,
    /// Whether its size counts the teams in it.
    counts: bool,
    joined: Option<Joined>,
}

impl Directory {
    /// The folder, if it is there. Nothing is made.
    ///
    /// # Errors
    /// It is another user's, or `/proc` does not show our own processes: then nothing could be said
    /// of what is there.
    pub(super) fn open() -> Result<Option<Self>> {
        let user = anothers::user();
        let mut places = Candidates::new(user, space_name()?)?;
        let mut attempts = 0..100;
        let (place, space) = loop {
            let Some(place) = meeting::choose(&mut places)? else {
                // Of the one place that was named, an error says why.
                return if places.is_refused() { Err(places.none()) } else { Ok(None) };
            };
            match places.open_space(place)? {
                Some(space) => break (place, space),
                // No process has come yet; or it went concurrently, and the next choice is another
                // one.
                None if places.is_fixed() || attempts.next().is_none() || !places.is_visited(place)? => {
                    return Ok(None);
                }
                None => {}
            }
        };
        let path = places.space_path(place);
        let teams = match own_files::open_own_folder(space.fd.as_fd(), c"teams", user) {
            Err(sys::Errno::NOENT) => return Ok(None),
            other => other.map_err(|errno| problem(&path.join("teams"), "openat", errno))?,
        };
        let (remark, is_fixed) = (places.why_not_first(place), places.is_fixed());
        let (space, teams) = (checked(space.fd, &path)?, checked(teams, &path)?);
        let counts = sys::file::is_on_tmpfs(teams.as_fd());
        Ok(Some(Directory { path, remark, is_fixed, user, space, teams, counts, joined: None }))
    }

    /// The folder, made where it is missing, and marked as in use by us. Folders of pid namespaces
    /// that are gone are cleared away on this occasion.
    pub(super) fn join() -> Result<Self> {
        anothers::only_look()?;
        let user = sys::process::user();
        let name = space_name()?;
        let mut places = Candidates::new(user, name.clone())?;
        // A folder can be removed between any two of these steps: then once more.
        for _ in 0..100 {
            let (place, space) = match meeting::meet(&mut places)? {
                Met::At(place, space) => (place, space),
                Met::NoPlace => return Err(places.none()),
                Met::Restless => break,
            };
            let path = places.space_path(place);
            match own_files::make_folder(space.fd.as_fd(), c"teams", user) {
                Ok(()) => {}
                Err(sys::Errno::NOENT) => continue,
                Err(errno) => return Err(problem(&path.join("teams"), "mkdirat(0700)", errno)),
            }
            let teams = match own_files::open_own_folder(space.fd.as_fd(), c"teams", user) {
                Err(sys::Errno::NOENT) => continue,
                other => other.map_err(|errno| problem(&path.join("teams"), "openat", errno))?,
            };
            let control = match own_files::open_own_file(space.fd.as_fd(), c"control", user) {
                Err(sys::Errno::NOENT) => continue,
                other => other.map_err(|errno| problem(&path.join("control"), "openat", errno))?,
            };
            lay_out(control.as_fd());
            clear_dead_spaces(space.root.as_fd(), &name);
            let (remark, is_fixed) = (places.why_not_first(place), places.is_fixed());
            let (space, teams) = (checked(space.fd, &path)?, checked(teams, &path)?);
            let joined = Some(Joined { control: checked(control, &path)? });
            let counts = sys::file::is_on_tmpfs(teams.as_fd());
            return Ok(Directory { path, remark, is_fixed, user, space, teams, counts, joined });
        }
        Err(Error::new(ErrorKind::Registry, "join the registry")
            .with_facts("its folder is removed again and again, or held by processes that do not go on")
            .with_remedy("see which process removes it, or set AREAS_DIR to a folder of your own"))
    }

    /// Where it is, for people.
    pub(super) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Why it is not where it is looked for first, for people.
    pub(super) fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// The open folder of our pid namespace.
    pub(super) fn space(&self) -> sys::Result<BorrowedFd<'_>> {
        self.space.checked()
    }

    /// The folder of teams: another one where it was removed and made again.
    pub(super) fn identity(&self) -> Identity {
        self.teams.identity()
    }

    /// What has become of it, in one look.
    ///
    /// And whether this process works for another user by now: the kernel is asked who that is,
    /// which takes a third of what it takes to ask for the folder by its own name in it (as whoever
    /// may not search it is refused).
    pub(super) fn now(&self) -> Now {
        if self.is_other_users() {
            return Now::OtherUsers;
        }
        match sys::file::stat(self.teams.as_fd()) {
            // A folder goes after what is in it.
            Ok(stat) if stat.identity == self.teams.identity() && stat.links > 0 => {
                Now::Here(Times::of(&stat, self.counts))
            }
            // Its number may be another file's by now.
            Ok(_) | Err(sys::Errno::BADF) => Now::Gone,
            Err(_) => Now::Unknown,
        }
    }

    /// Whether it is not to be used any more: removed under us, our descriptor of it closed, or
    /// another user's.
    pub(super) fn is_gone(&self) -> bool {
        // Where the kernel does not answer, what comes next fails.
        matches!(self.now(), Now::Gone | Now::OtherUsers)
    }

    /// Whether this process works for another user than when it was opened.
    pub(super) fn is_other_users(&self) -> bool {
        anothers::user() != self.user
    }

    /// Whether processes that come now would go elsewhere. Only before we have joined: no process
    /// settles elsewhere while we are here.
    pub(super) fn is_left(&self) -> Result<bool> {
        if self.is_fixed || self.joined.is_some() {
            return Ok(false);
        }
        let other = Directory::open()?;
        Ok(other.is_some_and(|other| other.teams.identity() != self.teams.identity()))
    }

    /// Whether we joined, so that the folder is not cleared away while we live, and what that takes
    /// is still open.
    pub(super) fn is_joined(&self) -> bool {
        let control = self.joined.as_ref().is_some_and(|joined| joined.control.is_intact());
        control && self.space.is_intact()
    }

    /// When something happened in it.
    pub(super) fn times(&self) -> Result<Times> {
        sys::file::stat(self.teams.as_fd())
            .map(|stat| Times::of(&stat, self.counts))
            .map_err(|errno| problem(&self.path.join("teams"), "fstat", errno))
    }

    /// All links that could be of a team that has published something. What is no team's link is
    /// left alone.
    pub(super) fn links(&self) -> Result<Vec<Link>> {
        self.read_links(false)
    }

    /// The same, and those of teams that have published nothing yet.
    pub(super) fn all_links(&self) -> Result<Vec<Link>> {
        self.read_links(true)
    }

    fn read_links(&self, empty_too: bool) -> Result<Vec<Link>> {
        /// More than there are slots, with room for what is dead and not yet cleared.
        const MAX: usize = 4 * SLOTS as usize;
        let names = sys::file::names_in(self.teams.as_fd(), MAX)
            .map_err(|errno| problem(&self.path.join("teams"), "openat, getdents64", errno))?;
        let mut links = Vec::new();
        for name in names.iter().filter(|name| empty_too || !Link::is_empty_teams(name.as_bytes())) {
            match sys::file::read_link(self.teams.as_fd(), name) {
                Ok(target) => links.extend(Link::parse(name.as_bytes(), target.as_bytes())),
                // It went concurrently, or is not a link.
                Err(sys::Errno::NOENT | sys::Errno::INVAL) => {}
                // A live team that is passed over would seem to be gone.
                Err(errno) => return Err(problem(&self.path.join("teams"), "readlinkat", errno)),
            }
        }
        Ok(links)
    }

    /// Whether a link is there.
    pub(super) fn has(&self, link: &Link) -> Result<bool> {
        match sys::file::read_link(self.teams.as_fd(), &link.name()) {
            Ok(target) => Ok(target == link.target()),
            Err(sys::Errno::NOENT | sys::Errno::INVAL) => Ok(false),
            // Whoever took that for a no would make a second link.
            Err(errno) => Err(problem(&self.path.join("teams"), "readlinkat", errno)),
        }
    }

    /// Takes away the link of a team that is proven dead. It may have gone already.
    pub(super) fn remove(&self, link: &Link) {
        if anothers::is_anothers() {
            return;
        }
        // Whoever is left to care looks at the folder again.
        let _ = sys::file::unlink(self.teams.as_fd(), &link.name());
    }

    /// Has its time say that there is news: a process waits for a name, or was given an area.
    /// Whoever publishes or looks for a name sees it at the look at the folder that it takes
    /// anyway.
    ///
    /// Where that cannot be done they see it within a second: nothing depends on it but who waits.
    pub(super) fn notify(&self) {
        if let Ok(teams) = self.teams.checked() {
            // To the mode that it has.
            let _ = sys::file::set_mode(teams, 0o700);
        }
    }

    /// Wakes those who wait for a name, if there are any: after a record has become visible.
    ///
    /// Whether that could be looked at: then no process waits that said so before.
    pub(super) fn wake_waiters(&self) -> bool {
        match &self.joined {
            // Who waits looks again by itself after a second: a waker that fails costs time only.
            Some(Joined { control }) => control::wake(control.as_fd(), || control.is_intact()).is_ok(),
            None => false,
        }
    }

    /// The control file, to wait on; `None` where there is none (yet).
    pub(super) fn control(&self) -> Option<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        sys::file::open_at(self.space.checked().ok()?, c"control", flags, 0).ok()
    }

    /// The control file that we joined with; EBADF where we did not, or the program closed it.
    pub(super) fn control_of_team(&self) -> sys::Result<BorrowedFd<'_>> {
        self.joined.as_ref().ok_or(sys::Errno::BADF)?.control.checked()
    }

    /// Which file that is.
    pub(super) fn control_identity(&self) -> Option<Identity> {
        self.joined.as_ref().map(|joined| joined.control.identity())
    }
}

/// Any number below a limit: so that those who come at once do not all choose the same.
pub(super) fn any_below(limit: u32) -> u32 {
    u32::try_from(RandomState::new().build_hasher().finish() % u64::from(limit)).unwrap_or(0)
}

fn is_removed(folder: BorrowedFd<'_>) -> bool {
    sys::file::stat(folder).is_ok_and(|stat| stat.links == 0)
}

/// A descriptor that stays open as long as we are here.
fn checked(fd: OwnedFd, path: &std::path::Path) -> Result<CheckedFd> {
    CheckedFd::new(fd).map_err(|errno| problem(path, "fstat", errno))
}

/// The error for a file of the registry.
fn problem(path: &std::path::Path, call: &'static str, errno: sys::Errno) -> Error {
    let error = Error::new(ErrorKind::Registry, format!("use the registry's {}", path.display()))
        .with_system_call(call, errno);
    match errno {
        sys::Errno::NOSPC | sys::Errno::DQUOT => error
            .with_remedy("the file system is full: free some space, or set AREAS_DIR to a folder elsewhere"),
        sys::Errno::MFILE | sys::Errno::NFILE => crate::error::remedy::open_files(error),
        sys::Errno::FBIG => crate::error::remedy::file_size(error, CONTROL_BYTES),
        sys::Errno::NOENT => {
            error.with_remedy("make the folder above it, or set AREAS_DIR to a folder of your own")
        }
        sys::Errno::OVERFLOW => error
            .with_facts("it has more entries than there can be teams")
            .with_remedy("stop the process that puts them there, and remove what is no live team's link"),
        _ => error.with_remedy("set AREAS_DIR to a folder of your own"),
    }
}
