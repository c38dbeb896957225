//! Where the user's folder may be, and what is there.
//!
//! What `AREAS_DIR` says, or else the first of these that is ours or can be made: sixteen names in
//! a folder that all users share, where another user may own any of them; then one where no other
//! user can make anything. Where the shared folder takes no new names (read-only, say), it has none
//! of ours.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::meeting::{Places, Seen};
use super::own_files::{make_folder, open_own_folder};
use super::root::{clear_space, is_of_space};
use super::{anothers, is_removed, problem};
use crate::error::{Error, ErrorKind, Result};
use crate::sys;
use crate::sys::file::{CWD, Stat};

/// How many names are tried in the folder that all users share.
const SHARED_NAMES: u32 = 16;

/// A folder at one of the places.
enum Folder {
    Ours(OwnedFd),
    Missing,
    /// Another user's, or a link, or not a folder.
    Foreign(Error),
}

/// The places of one user, as one process looks at them.
pub(super) struct Candidates {
    user: u32,
    /// The name of our namespace's folder.
    space: CString,
    paths: Vec<PathBuf>,
    /// How many of them, from the end on, lie where only this user can make anything: where that is
    /// missing, they cannot be made.
    own: usize,
    /// Why a place cannot be used, as far as it was looked at.
    refusals: Vec<Option<Error>>,
}

/// Whether a folder that all users share takes no new name: read-only, full, or open to root alone.
fn forbids_names(errno: sys::Errno) -> bool {
    use sys::Errno;
    [Errno::ROFS, Errno::NOSPC, Errno::DQUOT, Errno::ACCESS, Errno::PERM].contains(&errno)
}

/// Our namespace's folder at one of the places.
pub(super) struct Space {
    place: usize,
    pub(super) root: OwnedFd,
    pub(super) fd: OwnedFd,
}

/// Where a user's folder may be if AREAS_DIR says nothing, and how many of these paths, from the
/// end on, lie where only this user can make anything. `root` is `/`, but for those who look at
/// another machine's files.
pub fn usual_places(root: &Path, user: u32) -> (Vec<PathBuf>, usize) {
    let base = if root.join("dev/shm").is_dir() { root.join("dev/shm") } else { root.join("tmp") };
    let mut paths = vec![base.join(format!("areas-{user}"))];
    paths.extend((1..SHARED_NAMES).map(|i| base.join(format!("areas-{user}.{i}"))));
    let shared = paths.len();
    // logind makes the folder above it, for this user alone.
    paths.push(root.join(format!("run/user/{user}/areas")));
    if user == 0 {
        // Where there is no logind: no other user makes anything in /run.
        paths.push(root.join("run/areas-0"));
    }
    let own = paths.len() - shared;
    (paths, own)
}

/// What is at a place where a user's folder may be.
#[derive(Debug)]
pub enum Place {
    /// The user's own folder.
    Ours,
    /// Nothing.
    Missing,
    /// What cannot be the folder, so that the next place is looked at; and why.
    Foreign(Error),
}

/// Looks at a place where a user's folder may be.
///
/// # Errors
/// What is wrong with the user's own folder, and what to do: no other place is looked at then.
pub fn examine_place(path: &Path, user: u32) -> Result<Place> {
    refuse_relative(path)?;
    Ok(match open_root(path, &c_path(path)?, user)? {
        Folder::Ours(_) => Place::Ours,
        Folder::Missing => Place::Missing,
        Folder::Foreign(error) => Place::Foreign(error),
    })
}

/// An error for a path that leads somewhere else from each process's own folder: processes that
/// should find each other's areas would not, without an error.
fn refuse_relative(path: &Path) -> Result<()> {
    if path.is_absolute() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Registry, format!("use {} as the registry", path.display()))
        .with_facts(
            "AREAS_DIR is a relative path, which is another folder for each process that runs elsewhere",
        )
        .with_remedy(format!(
            "set AREAS_DIR to the whole path, from / on: `export AREAS_DIR=\"$PWD/{}\"`",
            path.display()
        )))
}

impl Candidates {
    /// # Errors
    /// `AREAS_DIR` is no whole path.
    pub(super) fn new(user: u32, space: CString) -> Result<Self> {
        let (paths, own) = match sys::process::variable("AREAS_DIR") {
            Some(path) => (vec![PathBuf::from(path)], 0),
            None => usual_places(Path::new("/"), user),
        };
        paths.iter().try_for_each(|path| refuse_relative(path))?;
        let refusals = paths.iter().map(|_| None).collect();
        Ok(Candidates { user, space, paths, own, refusals })
    }

    /// Whether there is only one place.
    pub(super) fn is_fixed(&self) -> bool {
        self.paths.len() == 1
    }

    /// Whether the only place cannot be used.
    pub(super) fn is_refused(&self) -> bool {
        self.is_fixed() && self.refusals[0].is_some()
    }

    /// Whether our namespace's folder is there.
    pub(super) fn is_visited(&mut self, place: usize) -> Result<bool> {
        Ok(self.look(place)? == Seen::Visited)
    }

    /// Where our namespace's folder is at a place.
    pub(super) fn space_path(&self, place: usize) -> PathBuf {
        self.paths[place].join(&*self.space.to_string_lossy())
    }

    /// The folder at a place.
    fn root(&self, place: usize) -> Result<Folder> {
        let path = &self.paths[place];
        open_root(path, &c_path(path)?, self.user)
    }

    /// Our namespace's folder at a place, if both are there.
    pub(super) fn open_space(&self, place: usize) -> Result<Option<Space>> {
        let root = match self.root(place)? {
            Folder::Ours(root) => root,
            // It was ours a moment ago, and is the only place.
            Folder::Foreign(error) if self.is_fixed() => return Err(error),
            Folder::Foreign(_) | Folder::Missing => return Ok(None),
        };
        let fd = match open_own_folder(root.as_fd(), &self.space, self.user) {
            Err(sys::Errno::NOENT) => return Ok(None),
            other => other.map_err(|errno| problem(&self.space_path(place), "openat", errno))?,
        };
        Ok(Some(Space { place, root, fd }))
    }

    /// Whether a place lies where only this user can make anything.
    fn is_own(&self, place: usize) -> bool {
        place >= self.paths.len() - self.own
    }

    /// Whether it was tried in vain.
    fn cannot_be_made(&self, place: usize) -> bool {
        let Some(refusal) = &self.refusals[place] else { return false };
        self.is_own(place)
            || refusal.errno().is_some_and(|errno| forbids_names(sys::Errno::from_raw_os_error(errno.raw())))
    }

    /// The error where no place is ours.
    pub(super) fn none(mut self) -> Error {
        if self.is_fixed()
            && let Some(error) = self.refusals[0].take()
        {
            return error;
        }
        let shared = self.paths.len() - self.own;
        let reported = |(path, refusal): (&PathBuf, &Option<Error>)| {
            let why = refusal.as_ref().and_then(Error::facts).unwrap_or("it appears and disappears");
            format!("{}: {why}", path.display())
        };
        let all: Vec<String> = self.paths.iter().zip(&self.refusals).map(reported).collect();
        let (first, own) = (all.first().cloned().unwrap_or_default(), all.get(shared..).unwrap_or_default());
        Error::new(ErrorKind::Registry, "join the registry")
            .with_facts(format!(
                "all {shared} names of its folder are taken, or cannot be made ({first} …); {}",
                own.join("; ")
            ))
            .with_remedy(
                "set AREAS_DIR to a folder of your own, or have what blocks it removed (`ls -ld`, root)",
            )
    }

    /// Why the folder is not where it is looked for first; `None` where it is.
    pub(super) fn why_not_first(&self, place: usize) -> Option<String> {
        let taken: Vec<&Path> =
            (0..place).filter(|&i| self.refusals[i].is_some()).map(|i| &*self.paths[i]).collect();
        let first = taken.first()?;
        let why = self.refusals.iter().find_map(|refusal| refusal.as_ref().and_then(Error::facts))?;
        Some(match taken.len() {
            1 => format!("{} cannot be used: {why}", first.display()),
            n => format!("{} and {} other names cannot be used: {why}", first.display(), n - 1),
        })
    }
}

fn c_path(path: &Path) -> Result<CString> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes()).map_err(|_| unusable(path, "the path holds a NUL".to_owned()))
}

fn unusable(path: &Path, detail: String) -> Error {
    Error::new(ErrorKind::Registry, format!("use {} as the registry", path.display())).with_facts(detail)
}

impl Places for Candidates {
    type Error = Error;
    type Space = Space;

    fn count(&self) -> usize {
        self.paths.len()
    }

    fn look(&mut self, place: usize) -> Result<Seen> {
        let root = match self.root(place)? {
            Folder::Ours(root) => root,
            Folder::Missing if self.cannot_be_made(place) => return Ok(Seen::Unusable),
            Folder::Missing => {
                self.refusals[place] = None;
                return Ok(Seen::Missing);
            }
            Folder::Foreign(error) => {
                self.refusals[place] = Some(error);
                return Ok(Seen::Unusable);
            }
        };
        self.refusals[place] = None;
        match open_own_folder(root.as_fd(), &self.space, self.user) {
            Ok(_) => Ok(Seen::Visited),
            Err(sys::Errno::NOENT) => Ok(Seen::Empty),
            Err(errno) => Err(problem(&self.space_path(place), "openat", errno)),
        }
    }

    fn is_in_use(&mut self, place: usize, clear: bool) -> Result<bool> {
        let Some(Space { root, fd, .. }) = self.open_space(place)? else { return Ok(false) };
        match sys::file::claim_folder(fd.as_fd()) {
            Ok(()) => {
                // No process is there, and none can enter as long as we hold the lock.
                if clear {
                    clear_space(root.as_fd(), fd.as_fd(), &self.space);
                }
                Ok(false)
            }
            Err(sys::Errno::AGAIN) => Ok(true),
            Err(errno) => Err(problem(&self.space_path(place), "flock", errno)),
        }
    }

    fn make(&mut self, place: usize) -> Result<bool> {
        let path = &self.paths[place];
        match make_folder(CWD, &c_path(path)?, self.user) {
            Ok(()) => Ok(true),
            Err(errno) if self.is_own(place) || !self.is_fixed() && forbids_names(errno) => {
                let why = unusable(path, format!("it cannot be made ({})", crate::Errno::from(errno)));
                self.refusals[place] = Some(why.with_system_call("mkdir(0700)", errno));
                Ok(false)
            }
            Err(errno) => Err(problem(path, "mkdir(0700)", errno)),
        }
    }

    fn open(&mut self, place: usize) -> Result<Option<Space>> {
        let Folder::Ours(root) = self.root(place)? else { return Ok(None) };
        let path = self.space_path(place);
        match make_folder(root.as_fd(), &self.space, self.user) {
            Ok(()) => {}
            // The folder above it was removed.
            Err(sys::Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(problem(&path, "mkdirat(0700)", errno)),
        }
        match open_own_folder(root.as_fd(), &self.space, self.user) {
            Ok(fd) => Ok(Some(Space { place, root, fd })),
            Err(sys::Errno::NOENT) => Ok(None),
            Err(errno) => Err(problem(&path, "openat", errno)),
        }
    }

    fn enter(&mut self, space: &Space) -> Result<bool> {
        match sys::file::share_folder(space.fd.as_fd()) {
            Ok(()) => Ok(!is_removed(space.fd.as_fd())),
            // It is looked at, or being removed, at this moment.
            Err(sys::Errno::AGAIN) => Ok(false),
            Err(errno) => Err(problem(&self.space_path(space.place), "flock", errno)),
        }
    }

    fn leave(&mut self, space: Space) {
        if sys::file::claim_folder(space.fd.as_fd()).is_ok() {
            clear_space(space.root.as_fd(), space.fd.as_fd(), &self.space);
        }
    }

    fn wait(&mut self, attempt: u32) {
        match attempt {
            0..=3 => std::thread::yield_now(),
            _ => std::thread::sleep(std::time::Duration::from_micros(100 * u64::from(attempt.min(20)))),
        }
    }
}

fn open_root(path: &Path, c_path: &CStr, user: u32) -> Result<Folder> {
    let fd = match open_own_folder(CWD, c_path, user) {
        Ok(fd) => fd,
        Err(sys::Errno::NOENT) => return Ok(Folder::Missing),
        Err(errno @ (sys::Errno::LOOP | sys::Errno::NOTDIR)) => {
            return Ok(Folder::Foreign(
                unusable(path, "it is a symbolic link, or not a folder; a link is never followed".to_owned())
                    .with_system_call("open(O_DIRECTORY | O_NOFOLLOW)", errno)
                    .with_remedy("set AREAS_DIR to a folder of your own"),
            ));
        }
        Err(errno @ (sys::Errno::ACCESS | sys::Errno::PERM)) => {
            return Ok(Folder::Foreign(
                unusable(path, owner(path, c_path, user))
                    .with_system_call("open(O_DIRECTORY)", errno)
                    .with_remedy("set AREAS_DIR to a folder of your own"),
            ));
        }
        Err(errno) => return Err(problem(path, "open(O_DIRECTORY)", errno)),
    };
    let Stat { uid, mode, .. } =
        sys::file::stat(fd.as_fd()).map_err(|errno| problem(path, "fstat", errno))?;
    if uid != user {
        return Ok(Folder::Foreign(match anothers::is_anothers() {
            true => unusable(
                path,
                format!("it belongs to user {uid}, and the registry of user {user} was asked for"),
            )
            .with_remedy(format!(
                "set AREAS_DIR to the folder of user {user}, or leave it unset where that user does"
            )),
            false => unusable(path, format!("it belongs to user {uid}, and we are user {user}"))
                .with_remedy("set AREAS_DIR to a folder of your own"),
        }));
    }
    if mode & 0o077 != 0 {
        let error = unusable(path, format!("its mode is {:04o}: other users could access it", mode & 0o7777));
        // What is in use for something else (`/tmp`, `/etc`) must not be closed to others by who
        // believes us.
        return Err(match mode & 0o1000 == 0 && is_for_areas_alone(fd.as_fd()) {
            true => error.with_remedy(format!("make it private: `chmod 700 {}`", path.display())),
            false => error.with_remedy("set AREAS_DIR to a folder for areas alone: `mktemp -d` makes one"),
        });
    }
    Ok(Folder::Ours(fd))
}

/// Whether nothing but a registry is in a folder, as far as can be seen.
fn is_for_areas_alone(folder: BorrowedFd<'_>) -> bool {
    sys::file::names_in(folder, 1024).is_ok_and(|names| names.iter().all(|name| is_of_space(name)))
}

/// Whose a folder is that we may not open.
fn owner(path: &Path, c_path: &CStr, user: u32) -> String {
    match sys::file::look_through(c_path) {
        Ok(stat) if stat.uid != user => format!("it belongs to user {}, and we are user {user}", stat.uid),
        Ok(stat) if stat.mode & 0o077 != 0 => {
            format!(
                "its mode is {:04o}: other users could access it; `chmod 700` makes it private",
                stat.mode & 0o7777
            )
        }
        _ => match path.parent().map(Path::display) {
            Some(above) => format!("it may not be opened: {above}, or a folder above it, is another user's"),
            None => "it may not be opened".to_owned(),
        },
    }
}
