//! What another team has open under a number: it is looked at before it is opened, as it may be
//! anything.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ErrorKind, Result};
use crate::object::Extent;
use crate::page::PageSize;
use crate::registry::process::{OWN_DESCRIPTORS, is_shown};
use crate::registry::table::Record;
use crate::sys;
use crate::sys::file::{CWD, OFlags, Stat};
use crate::sys::number_path::NumberPath;
use crate::sys::object::{Pages, SealFlags, SealedStat};

/// What a process has open under a number, so far only looked at.
pub(super) struct Looked {
    /// Open for nothing (O_PATH).
    pub(super) fd: OwnedFd,
    pub(super) stat: Stat,
}

/// A folder of descriptors: a path, or an open folder and a path in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folder<'a> {
    at: BorrowedFd<'a>,
    path: &'a str,
}

impl<'a> Folder<'a> {
    pub(super) fn path(path: &'a str) -> Self {
        Folder { at: CWD, path }
    }

    pub(super) fn open(folder: BorrowedFd<'a>) -> Self {
        Folder { at: folder, path: "." }
    }
}

/// The call that failed, and what the kernel said.
type Failure = (&'static str, sys::Errno);

/// Looks at what a process has open under a number; `None` if it is not what we expect.
///
/// It may be a terminal, a FIFO, or a file of a file system that never answers: none of these is
/// opened.
pub(super) fn look(
    folder: Folder<'_>,
    descriptor: i32,
    expected: impl Fn(&Stat) -> sys::Result<bool>,
) -> Result<Option<Looked>, Failure> {
    let failed = |errno| ("open", errno);
    let path = NumberPath::new(folder.path, descriptor).map_err(failed)?;
    let fd = match sys::file::open_at(folder.at, path.as_c_str().map_err(failed)?, OFlags::PATH, 0) {
        Err(sys::Errno::NOENT | sys::Errno::SRCH) => return Ok(None),
        other => other.map_err(failed)?,
    };
    let stat = sys::file::look(fd.as_fd()).map_err(|errno| ("statx", errno))?;
    let expected = expected(&stat).map_err(|errno| ("memfd_create, fstat, to compare with", errno))?;
    Ok(expected.then_some(Looked { fd, stat }))
}

/// Whether an open file is what the record says, and of what areas are made of.
pub(in crate::registry) fn is_object(stat: &Stat, record: &Record) -> sys::Result<bool> {
    if stat.identity != record.object {
        return Ok(false);
    }
    match record.physical {
        Some(_) => {
            Ok(sys::file::look_through(c"/dev/mem").is_ok_and(|memory| memory.identity == stat.identity))
        }
        None => is_memory(stat, record.page),
    }
}

/// The devices of memory objects, by the logarithm of their page size; 0 is not known yet. (No
/// mutex: a forked child could inherit it held.)
static DEVICES: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];

/// The pages of an area's object, where its device shows them.
pub(in crate::registry) fn known_pages(stat: &Stat, record: &Record) -> Option<PageSize> {
    let device = DEVICES[usize::from(record.page.log2()) % 64].load(Ordering::Relaxed);
    (device != 0 && device == stat.identity.device).then_some(record.page)
}

/// Whether it is a memory object of such pages: those have a device of their own, on which no
/// process can make anything else.
pub(crate) fn is_memory(stat: &Stat, page: PageSize) -> sys::Result<bool> {
    let known = &DEVICES[usize::from(page.log2()) % 64];
    let mut device = known.load(Ordering::Relaxed);
    if device == 0 {
        let base = page == PageSize::base();
        let pages = if base { Pages::Base } else { Pages::Pool(page.log2().into()) };
        device = match sys::object::device(pages) {
            // There are no such pages here, so that nothing is made of them.
            Err(errno) if !base && ![sys::Errno::MFILE, sys::Errno::NFILE].contains(&errno) => {
                return Ok(false);
            }
            // A sandbox that lets us make none: what has no name is the next best.
            Err(sys::Errno::NOSYS | sys::Errno::PERM | sys::Errno::ACCESS) => {
                return Ok(stat.is_file() && stat.links == 0);
            }
            other => other?,
        };
        known.store(device, Ordering::Relaxed);
    }
    Ok(stat.is_file() && stat.identity.device == device)
}

/// Opens for real what was looked at.
pub(super) fn open_looked(looked: &Looked, flags: OFlags) -> sys::Result<OwnedFd> {
    open_looked_in(Folder::path(OWN_DESCRIPTORS), looked, flags)
}

/// The same by way of `own`, the folder of our descriptors.
fn open_looked_in(own: Folder<'_>, looked: &Looked, flags: OFlags) -> sys::Result<OwnedFd> {
    let again = NumberPath::new(own.path, looked.fd.as_raw_fd())?;
    // A lease that its owner has on it would hold us for most of a minute.
    sys::file::open_at(own.at, again.as_c_str()?, flags | OFlags::NONBLOCK, 0)
}

/// What an area's object is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    /// The descriptor can be used for nothing else.
    Reading,
    /// The rights that the owner's descriptor has.
    Writing,
    /// To ask the kernel about it: whichever are to be had soonest.
    Looking,
}

/// An area's object, open, and what it was when it was looked at.
pub(in crate::registry) struct Opened {
    pub(in crate::registry) fd: OwnedFd,
    pub(in crate::registry) looked: SealedStat,
    /// `None` where its device does not show them.
    pub(in crate::registry) pages: Option<PageSize>,
}

/// The seals of what was looked at before it could be opened, and its size behind them.
///
/// A size from before the seals were seen is asked for again, unless it holds all the same: the
/// size of our own area, which was behind its seals when the area was made or taken over; and one
/// that no seal protects, which may change at any moment anyway.
fn behind_seals(fd: &OwnedFd, before: Stat, record: &Record, own: bool) -> sys::Result<SealedStat> {
    let seals = sys::object::seals(fd.as_fd());
    let has = |seal| seals.is_ok_and(|seals| seals.contains(seal));
    let holds = match own {
        // What may grow can have been frozen since: larger.
        true => record.extent == Extent::Fixed || !has(SealFlags::GROW),
        false => !has(SealFlags::SHRINK),
    };
    let stat = if holds { before } else { sys::file::stat(fd.as_fd())? };
    // Another thread may have closed the number by which it was opened.
    if stat.identity == before.identity { Ok(SealedStat { seals, stat }) } else { Err(sys::Errno::STALE) }
}

/// Opens an area's object through a folder that shows its holder's descriptors, and one that shows
/// ours: by looking at it first. `None` if it is not what the record says.
pub(super) fn open_object_in(
    (folder, ours): (Folder<'_>, Folder<'_>),
    record: &Record,
    rights: Rights,
    own: bool,
) -> Result<Option<Opened>, Failure> {
    let flags = if rights == Rights::Writing { OFlags::RDWR } else { OFlags::RDONLY };
    let Some(looked) = look(folder, record.descriptor, |stat| is_object(stat, record))? else {
        return Ok(None);
    };
    let fd = open_looked_in(ours, &looked, flags).map_err(|errno| ("open", errno))?;
    let looked = behind_seals(&fd, looked.stat, record, own).map_err(|errno| ("fstat", errno))?;
    Ok(Some(Opened { pages: known_pages(&looked.stat, record), fd, looked }))
}

/// Opens an area's object through a folder of `/proc`.
pub(in crate::registry) fn open_object_at(folder: &str, record: &Record, rights: Rights) -> Result<Opened> {
    let what = || format!("open area {} {:?}", record.id, record.name);
    let flag = if rights == Rights::Writing { "O_RDWR" } else { "O_RDONLY" };
    let folders = (Folder::path(folder), Folder::path(OWN_DESCRIPTORS));
    match open_object_in(folders, record, rights, folder == OWN_DESCRIPTORS) {
        Ok(Some(fd)) => Ok(fd),
        Ok(None) if !is_shown() => Err(Error::new(ErrorKind::System, what())
            .with_facts("/proc does not show our descriptors: none is mounted, or another pid namespace's")
            .with_remedy("`mount -t proc proc /proc`, in a chroot as well; or open areas before")),
        Ok(None) => Err(Error::new(ErrorKind::NoSuchArea, what())
            .with_facts("it was released concurrently: its holder dropped it or died")
            .with_remedy("look for the name again: another holder may be there")),
        Err((call, errno)) => {
            let kind = match errno {
                sys::Errno::ACCESS | sys::Errno::PERM => ErrorKind::Unreadable,
                sys::Errno::MFILE | sys::Errno::NFILE => ErrorKind::Limit,
                sys::Errno::AGAIN => ErrorKind::Busy,
                _ => ErrorKind::System,
            };
            let error = Error::new(kind, what())
                .with_system_call(format!("{call}({folder}/{}, {flag})", record.descriptor), errno);
            Err(match kind {
                ErrorKind::Limit => crate::error::remedy::open_files(error),
                ErrorKind::Busy => error
                    .with_facts("another process has a lease on it (F_SETLEASE), and may keep it for most of a minute")
                    .with_remedy("try again later"),
                ErrorKind::Unreadable => error.with_remedy(
                    "run with its user, group and capabilities, or pass it over a socket; frozen, it can be read",
                ),
                _ => error,
            })
        }
    }
}
