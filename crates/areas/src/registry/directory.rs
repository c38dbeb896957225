//! The registry's folder: where teams leave one link each, and nothing that would have to be repaired.
//!
//! ```text
//! areas-UID/                      0700, ours
//!   pid-4026531836/               one a pid namespace; whoever is in it holds a shared flock on it
//!     control                     where the sequence numbers of each slot go on
//!     teams/
//!       SLOT.STARTTIME.INODE  ->  /proc/PID/fd/N
//! ```
//!
//! A link's name is made from what no other team can have: the slot, the owner's start time and the inode of its table.
//! So a link can be taken away without any mutual exclusion: whoever removes it removes that very team's, however late
//! they come. A slot is claimed by making the link and looking whether another link names the same slot: of two that come
//! at once, the later one sees the other, and goes elsewhere. Nobody ever waits for anybody, stopped processes included.

use std::ffi::CString;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use super::id::SLOTS;
use super::table::BLOCKS;
use crate::error::{Error, Kind, Result};
use crate::sys;
use crate::sys::file::{CWD, OFlags, Stat};
use crate::sys::guarded::Guarded;

/// What a team's link says, before anything is believed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Link {
    pub(super) slot: u32,
    /// In clock ticks since boot.
    pub(super) start_time: u64,
    /// The table's inode.
    pub(super) inode: u64,
    pub(super) pid: u32,
    /// The number of the table's descriptor in the owner.
    pub(super) descriptor: i32,
}

impl Link {
    pub(super) fn name(&self) -> CString {
        let Link { slot, start_time, inode, .. } = self;
        CString::new(format!("{slot}.{start_time}.{inode}")).unwrap_or_default()
    }

    pub(super) fn target(&self) -> CString {
        CString::new(format!("/proc/{}/fd/{}", self.pid, self.descriptor)).unwrap_or_default()
    }

    /// `None` for what no team of this format makes: it is left alone.
    pub(super) fn parse(name: &[u8], target: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(name).ok()?.split('.');
        let mut next = || number::<u64>(parts.next()?);
        let (slot, start_time, inode) = (next()?, next()?, next()?);
        let (pid, descriptor) =
            std::str::from_utf8(target).ok()?.strip_prefix("/proc/")?.split_once("/fd/")?;
        let link = Link {
            slot: u32::try_from(slot).ok().filter(|&slot| slot < SLOTS)?,
            start_time,
            inode,
            pid: number::<u32>(pid).filter(|&pid| pid != 0 && i32::try_from(pid).is_ok())?,
            descriptor: number(descriptor)?,
        };
        // One spelling each: "007.1.2" would be a second name for slot 7.
        (link.name().as_bytes() == name).then_some(link)
    }
}

/// Digits and nothing else.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// What only those have who joined: their flock on the folder says that it is in use.
#[derive(Debug)]
struct Joined {
    control: Guarded,
}

/// The registry's folder of our pid namespace, open.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    space: Guarded,
    teams: Guarded,
    joined: Option<Joined>,
}

impl Directory {
    /// The folder, if it is there. Nothing is made.
    pub(super) fn open() -> Result<Option<Self>> {
        let Some((path, root)) = find_root(false)? else { return Ok(None) };
        let name = space_name()?;
        let failed = |what: &str, errno| problem(&path.join(what), "openat", errno);
        let space = match sys::file::open_folder(root.as_fd(), &name) {
            Err(sys::Errno::NOENT) => return Ok(None),
            other => other.map_err(|errno| failed(&lossy(&name), errno))?,
        };
        let teams = match sys::file::open_folder(space.as_fd(), c"teams") {
            Err(sys::Errno::NOENT) => return Ok(None),
            other => other.map_err(|errno| failed("teams", errno))?,
        };
        let (space, teams) = (guarded(space, &path)?, guarded(teams, &path)?);
        Ok(Some(Directory { path: path.join(lossy(&name)), space, teams, joined: None }))
    }

    /// The folder, made where it is missing, and marked as in use by us. Folders of pid namespaces that are gone are
    /// cleared away on this occasion.
    pub(super) fn join() -> Result<Self> {
        let name = space_name()?;
        // A folder can be removed between any two of these steps (its last user goes as we come): then once more.
        for _ in 0..100 {
            let Some((path, root)) = find_root(true)? else { continue };
            let full = path.join(lossy(&name));
            let made = sys::file::make_folder(root.as_fd(), &name, 0o700);
            if let Err(errno) = made
                && errno != sys::Errno::EXIST
                && errno != sys::Errno::NOENT
            {
                return Err(problem(&full, "mkdirat", errno));
            }
            let space = match sys::file::open_folder(root.as_fd(), &name) {
                Err(sys::Errno::NOENT) => continue,
                other => other.map_err(|errno| problem(&full, "openat", errno))?,
            };
            match sys::file::share_folder(space.as_fd()) {
                Ok(()) => {}
                // Somebody is removing it.
                Err(sys::Errno::AGAIN) => {
                    std::thread::yield_now();
                    continue;
                }
                Err(errno) => return Err(problem(&full, "flock", errno)),
            }
            if is_removed(space.as_fd()) {
                continue;
            }
            match sys::file::make_folder(space.as_fd(), c"teams", 0o700) {
                Ok(()) | Err(sys::Errno::EXIST) => {}
                Err(sys::Errno::NOENT) => continue,
                Err(errno) => return Err(problem(&full.join("teams"), "mkdirat", errno)),
            }
            let teams = match sys::file::open_folder(space.as_fd(), c"teams") {
                Err(sys::Errno::NOENT) => continue,
                other => other.map_err(|errno| problem(&full.join("teams"), "openat", errno))?,
            };
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            let control = match sys::file::open_at(space.as_fd(), c"control", flags, 0o600) {
                Err(sys::Errno::NOENT) => continue,
                other => other.map_err(|errno| problem(&full.join("control"), "openat", errno))?,
            };
            lay_out(control.as_fd());
            clear_dead_spaces(root.as_fd(), &name);
            let (space, teams) = (guarded(space, &full)?, guarded(teams, &full)?);
            let joined = Some(Joined { control: guarded(control, &full)? });
            return Ok(Directory { path: full, teams, space, joined });
        }
        Err(Error::new(Kind::Registry, "join the registry").detail("its folder is removed again and again"))
    }

    /// Where it is, for people.
    pub(super) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The open folder of our pid namespace.
    pub(super) fn space(&self) -> sys::Result<BorrowedFd<'_>> {
        self.space.checked()
    }

    /// Whether it was removed under us, or our descriptor of it closed.
    pub(super) fn is_gone(&self) -> bool {
        // A folder goes after what is in it.
        match sys::file::stat(self.teams.as_fd()) {
            Ok(stat) => stat.identity != self.teams.identity() || stat.links == 0,
            // What comes next fails if it was.
            Err(errno) => errno == sys::Errno::BADF,
        }
    }

    /// Whether we joined, so that nobody clears the folder away while we live, and what that takes is still open.
    pub(super) fn is_joined(&self) -> bool {
        let control = self.joined.as_ref().is_some_and(|joined| joined.control.is_intact());
        control && self.space.is_intact()
    }

    /// When teams last came or went, if the folder is still there: [`is_gone`](Directory::is_gone) and
    /// [`changed`](Directory::changed) in one look.
    pub(super) fn look(&self) -> Option<i128> {
        let stat = sys::file::stat(self.teams.as_fd()).ok()?;
        (stat.identity == self.teams.identity() && stat.links > 0).then_some(stat.changed)
    }

    /// When teams last came or went: nanoseconds since 1970, a clock tick coarse.
    pub(super) fn changed(&self) -> Result<i128> {
        sys::file::stat(self.teams.as_fd())
            .map(|stat| stat.changed)
            .map_err(|errno| problem(&self.path.join("teams"), "fstat", errno))
    }

    /// All links that could be a team's. What is no team's link is left alone.
    pub(super) fn links(&self) -> Result<Vec<Link>> {
        /// More than there are slots, with room for what is dead and not yet cleared.
        const MOST: usize = 4 * SLOTS as usize;
        let names = sys::file::names_in(self.teams.as_fd(), MOST)
            .map_err(|errno| problem(&self.path.join("teams"), "openat, getdents64", errno))?;
        let mut links = Vec::new();
        for name in &names {
            match sys::file::read_link(self.teams.as_fd(), name) {
                Ok(target) => links.extend(Link::parse(name.as_bytes(), target.as_bytes())),
                // It went in between, or is no link.
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
        // Whoever is left to care looks at the folder again.
        let _ = sys::file::unlink(self.teams.as_fd(), &link.name());
    }

    /// Makes a link in a slot that nobody has, the link's own if it can be; gives back the link with its slot. `announce` is told
    /// each slot before a link names it. `is_dead` proves deaths: dead teams' links are cleared away when slots run short.
    pub(super) fn claim(
        &self,
        link: &Link,
        mut announce: impl FnMut(u32) -> Result<()>,
        mut is_dead: impl FnMut(&Link) -> bool,
    ) -> Result<Link> {
        let mut start = link.slot;
        let failed = |call, errno| problem(&self.path.join("teams"), call, errno);
        for _ in 0..1000 {
            let mut taken = vec![false; SLOTS as usize];
            let links = self.links()?;
            for other in &links {
                taken[other.slot as usize] = true;
            }
            let free = (0..SLOTS).map(|i| (start + i) % SLOTS).find(|&slot| !taken[slot as usize]);
            let Some(slot) = free else {
                let mut cleared = 0;
                for dead in links.iter().filter(|other| is_dead(other)) {
                    self.remove(dead);
                    cleared += 1;
                }
                if cleared == 0 {
                    return Err(Error::new(Kind::Limit, "join the registry")
                        .detail(format!("all {SLOTS} slots of {} are taken by live teams", self.path.display()))
                        .help("end some of the processes that hold areas (`areas ls`), or give some of them a registry \
                               of their own through AREAS_DIR"));
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
            match self.links() {
                Ok(links) if links.iter().any(|other| other.slot == slot && *other != mine) => {
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
        Err(Error::new(Kind::Registry, "join the registry")
            .detail("every slot that was tried went to somebody else"))
    }

    /// Wakes those who wait for a name, if there are any: after a record has become visible.
    pub(super) fn wake_waiters(&self) {
        if let Some(Joined { control }) = &self.joined {
            // Who waits looks again by itself after a second: a waker that fails costs time only.
            let _ = super::wait::wake(control.as_fd(), || control.is_intact());
        }
    }

    /// The control file, to wait on; `None` where there is none (yet).
    pub(super) fn control(&self) -> Option<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        sys::file::open_at(self.space.checked().ok()?, c"control", flags, 0).ok()
    }

    /// The next block of sequence numbers of a slot that we have claimed. It starts anywhere and goes round.
    pub(super) fn lease(&self, slot: u32) -> Result<u32> {
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
            0 => any_below(BLOCKS),
            // Whoever wrote it: any block is a good one to try.
            next => (next - 1) % BLOCKS,
        };
        let next = (block + 1) % BLOCKS + 1;
        sys::file::write_at(control, &next.to_le_bytes(), at).map_err(|errno| failed("pwrite", errno))?;
        Ok(block)
    }
}

/// Offset of the words in the control file that say where each slot's sequence numbers go on.
const LEASES: u64 = 64;
/// The size of the control file: a futex needs its page whole.
const CONTROL_BYTES: u64 = (LEASES + SLOTS as u64 * 4).next_multiple_of(4096);

/// Makes the control file as large as it is meant to be. Where that cannot be done, those who wait look more often.
fn lay_out(control: BorrowedFd<'_>) {
    let short = sys::file::stat(control).is_ok_and(|stat| stat.size < CONTROL_BYTES);
    let permitted =
        sys::process::limit(sys::process::Limit::FileSize).is_none_or(|limit| limit >= CONTROL_BYTES);
    if short && permitted {
        let _ = sys::object::set_size(control, CONTROL_BYTES);
    }
}

/// Any number below a limit: so that those who come at once do not all choose the same.
pub(super) fn any_below(limit: u32) -> u32 {
    u32::try_from(RandomState::new().build_hasher().finish() % u64::from(limit)).unwrap_or(0)
}

/// The folder of the user, and its path. `None`: it is not there, and not to be made.
fn find_root(make: bool) -> Result<Option<(PathBuf, OwnedFd)>> {
    let user = sys::process::user();
    if let Some(path) = std::env::var_os("AREAS_DIR").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return match open_root(&path, user, make)? {
            Root::Ours(fd) => Ok(Some((path, fd))),
            Root::Missing => Ok(None),
            Root::Foreign(error) => Err(error),
        };
    }
    let base = if std::path::Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
    let candidate = |i: u32| match i {
        0 => PathBuf::from(format!("{base}/areas-{user}")),
        i => PathBuf::from(format!("{base}/areas-{user}.{i}")),
    };
    // One that is ours, before a new one is made: everybody must come to the same.
    let mut squatters = Vec::new();
    for i in 0..16 {
        match open_root(&candidate(i), user, false)? {
            Root::Ours(fd) => return Ok(Some((candidate(i), fd))),
            Root::Missing => {}
            Root::Foreign(error) => squatters.push((i, error)),
        }
    }
    if !make {
        return Ok(None);
    }
    for i in (0..16).filter(|i| squatters.iter().all(|(taken, _)| taken != i)) {
        if let Root::Ours(fd) = open_root(&candidate(i), user, true)? {
            return Ok(Some((candidate(i), fd)));
        }
    }
    Err(squatters.into_iter().next().map_or_else(
        || Error::new(Kind::Registry, "join the registry").detail("its folder comes and goes"),
        |(_, error)| {
            error.help(
                "set AREAS_DIR to a folder of your own; all names under which one is looked for are taken",
            )
        },
    ))
}

enum Root {
    Ours(OwnedFd),
    Missing,
    /// It is there and is somebody else's, or a link, or no folder.
    Foreign(Error),
}

fn open_root(path: &std::path::Path, user: u32, make: bool) -> Result<Root> {
    use std::os::unix::ffi::OsStrExt;
    let invalid = |detail: &str| {
        Error::new(Kind::Registry, format!("use {} as the registry", path.display()))
            .detail(detail.to_owned())
    };
    let c_path = CString::new(path.as_os_str().as_bytes()).map_err(|_| invalid("the path holds a NUL"))?;
    if make {
        match sys::file::make_folder(CWD, &c_path, 0o700) {
            Ok(()) | Err(sys::Errno::EXIST) => {}
            Err(errno) => return Err(problem(path, "mkdir(0700)", errno)),
        }
    }
    let fd = match sys::file::open_folder(CWD, &c_path) {
        Ok(fd) => fd,
        Err(sys::Errno::NOENT) => return Ok(Root::Missing),
        Err(errno @ (sys::Errno::LOOP | sys::Errno::NOTDIR)) => {
            return Ok(Root::Foreign(
                invalid("it is a symbolic link, or no folder; a link is never followed")
                    .call("open(O_DIRECTORY | O_NOFOLLOW)", errno)
                    .help("remove it, or set AREAS_DIR to a folder of your own"),
            ));
        }
        Err(errno @ (sys::Errno::ACCESS | sys::Errno::PERM)) => {
            return Ok(Root::Foreign(
                invalid("it is somebody else's")
                    .call("open(O_DIRECTORY)", errno)
                    .help("set AREAS_DIR to a folder of your own"),
            ));
        }
        Err(errno) => return Err(problem(path, "open(O_DIRECTORY)", errno)),
    };
    let Stat { uid, mode, .. } =
        sys::file::stat(fd.as_fd()).map_err(|errno| problem(path, "fstat", errno))?;
    if uid != user {
        return Ok(Root::Foreign(
            invalid(&format!("it belongs to user {uid}, and we are user {user}"))
                .help("set AREAS_DIR to a folder of your own"),
        ));
    }
    if mode & 0o077 != 0 {
        return Err(invalid(&format!("its mode is {:04o}: others could reach into it", mode & 0o7777))
            .help(format!("make it yours alone: `chmod 700 {}`", path.display())));
    }
    Ok(Root::Ours(fd))
}

/// The name of our pid namespace's folder; refuses where `/proc` shows another namespace's processes, in which our
/// numbers would mean somebody else.
///
/// A time namespace has a folder of its own: the kernel tells those in it other start times for the very same processes, by
/// which they would take the living for dead.
fn space_name() -> Result<CString> {
    let refuse = |detail: String| {
        Error::new(Kind::Registry, "use the registry").detail(detail).help(
            "/proc must be mounted, and be that of our own pid namespace: `mount -t proc proc /proc`, or `unshare --mount-proc`",
        )
    };
    let read = |path: &'static std::ffi::CStr| {
        sys::file::read_link(CWD, path).map_err(|errno| {
            refuse(format!("there is no {}", path.to_string_lossy())).call("readlink", errno)
        })
    };
    let pid = sys::process::pid();
    let shown = read(c"/proc/self")?;
    if shown.to_str().ok().and_then(number::<u32>) != Some(pid) {
        return Err(refuse(format!(
            "/proc shows us as process {}, and we are process {pid}: it belongs to another pid namespace",
            shown.to_string_lossy()
        )));
    }
    // `/proc/self` is the leader's, which may have ended and is in no time namespace then.
    let space = read(c"/proc/thread-self/ns/pid")?;
    let pid = namespace(&space, "pid").ok_or_else(|| refuse(format!("our pid namespace is {space:?}")))?;
    // Kernels without time namespaces have no such file.
    let time = match sys::file::read_link(CWD, c"/proc/thread-self/ns/time") {
        Err(sys::Errno::NOENT) => None,
        other => Some(other.map_err(|errno| {
            refuse("our time namespace is not told".to_owned())
                .call("readlink(/proc/thread-self/ns/time)", errno)
        })?),
    };
    let name = match time.and_then(|time| namespace(&time, "time")) {
        None | Some(USUAL_TIME) => format!("pid-{pid}"),
        Some(time) => format!("pid-{pid}-time-{time}"),
    };
    CString::new(name).map_err(|_| refuse(format!("our pid namespace is {space:?}")))
}

/// The time namespace that a machine starts with: `TIME_NS_INIT_INO` of `linux/nsfs.h`.
const USUAL_TIME: u64 = 0xEFFF_FFFA;

/// The inode in what a link in `/proc/PID/ns` says: `pid:[4026531836]`.
pub(super) fn namespace(link: &CString, kind: &str) -> Option<u64> {
    number(link.to_str().ok()?.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')?)
}

fn is_removed(folder: BorrowedFd<'_>) -> bool {
    sys::file::stat(folder).is_ok_and(|stat| stat.links == 0)
}

/// Removes the folders of pid namespaces in which nobody is left. What cannot be removed stays for the next one who comes.
fn clear_dead_spaces(root: BorrowedFd<'_>, ours: &CString) {
    let Ok(names) = sys::file::names_in(root, 1024) else { return };
    for name in names.iter().filter(|name| *name != ours && name.as_bytes().starts_with(b"pid-")) {
        let Ok(space) = sys::file::open_folder(root, name) else { continue };
        if sys::file::claim_folder(space.as_fd()).is_err() {
            continue;
        }
        if let Ok(teams) = sys::file::open_folder(space.as_fd(), c"teams")
            && let Ok(links) = sys::file::names_in(teams.as_fd(), 4 * SLOTS as usize)
        {
            for link in links {
                let _ = sys::file::unlink(teams.as_fd(), &link);
            }
        }
        let _ = sys::file::remove_folder(space.as_fd(), c"teams");
        let _ = sys::file::unlink(space.as_fd(), c"control");
        for left in sys::file::names_in(space.as_fd(), 1024).unwrap_or_default() {
            if left.as_bytes().starts_with(super::door::NAME.as_bytes()) {
                let _ = sys::file::unlink(space.as_fd(), &left);
            }
        }
        let _ = sys::file::remove_folder(root, name);
    }
}

/// A descriptor that stays open as long as we are here.
fn guarded(fd: OwnedFd, path: &std::path::Path) -> Result<Guarded> {
    Guarded::new(fd).map_err(|errno| problem(path, "fstat", errno))
}

fn lossy(name: &CString) -> String {
    name.to_string_lossy().into_owned()
}

/// The error for a file of the registry.
fn problem(path: &std::path::Path, call: &'static str, errno: sys::Errno) -> Error {
    let error =
        Error::new(Kind::Registry, format!("use the registry's {}", path.display())).call(call, errno);
    match errno {
        sys::Errno::NOSPC | sys::Errno::DQUOT => {
            error.help("the file system is full: free some space, or set AREAS_DIR to a folder elsewhere")
        }
        sys::Errno::MFILE | sys::Errno::NFILE => crate::error::remedy::open_files(error),
        sys::Errno::FBIG => crate::error::remedy::file_size(error, CONTROL_BYTES),
        sys::Errno::NOENT => error.help("make the folder above it, or set AREAS_DIR to a folder of your own"),
        _ => error.help("set AREAS_DIR to a folder of your own"),
    }
}

/// What a path leads to, through links: for `/proc/PID/fd/N` the open file itself.
pub(super) fn stat_of(path: &str) -> sys::Result<Stat> {
    sys::file::look_through(&CString::new(path).map_err(|_| sys::Errno::INVAL)?)
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name().to_string_lossy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_of_ours_are_links() {
        let good = Link { slot: 7, start_time: 123, inode: 99, pid: 42, descriptor: 5 };
        assert_eq!(Link::parse(b"7.123.99", b"/proc/42/fd/5"), Some(good.clone()));
        assert_eq!(
            (good.name().as_bytes(), good.target().as_bytes()),
            (&b"7.123.99"[..], &b"/proc/42/fd/5"[..])
        );
        let bad: [(&[u8], &[u8]); 12] = [
            (b"7.123", b"/proc/42/fd/5"),
            (b"7.123.99.1", b"/proc/42/fd/5"),
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

    /// A reader that follows a link looks whether the table behind it names the same slot.
    #[test]
    fn a_slot_is_announced_before_a_link_names_it() {
        let path = std::env::temp_dir().join(format!("areas-claim-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let name = CString::new(path.to_str().unwrap()).unwrap();
        let open = || Guarded::new(sys::file::open_folder(CWD, &name).unwrap()).unwrap();
        let directory = Directory { path: path.clone(), space: open(), teams: open(), joined: None };
        let other = Link { slot: 7, start_time: 1, inode: 1, pid: 1, descriptor: 3 };
        sys::file::make_link(&other.target(), directory.teams.as_fd(), &other.name()).unwrap();
        let mut announced = Vec::new();
        let ours = Link { start_time: 2, ..other };
        let announce = |slot| {
            announced.push((slot, directory.links().unwrap().iter().any(|link| link.start_time == 2)));
            Ok(())
        };
        let claimed = directory.claim(&ours, announce, |_| false).unwrap();
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!((claimed.slot, announced), (8, vec![(8, false)]));
    }
}
