//! Whether no process has a file open or mapped: asked of the kernel, which alone knows all of
//! them.
//!
//! What `/proc` shows is never all: processes of other users and of other pid namespaces,
//! descriptors on their way through a socket, files that a loop device or a ring of io_uring has. A
//! write lease ([`Lease`]) is refused for each of these.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use areas::others::Lease;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::memory::{Memory, Object};

/// How often, and after what time, it is asked again whether a process has a file.
const MOMENTS: u32 = 3;
const MOMENT: Duration = Duration::from_millis(2);

/// The kernel's answer.
#[derive(Debug)]
pub(super) enum Proof {
    /// No process has it open or mapped, for as long as the lease is undisturbed.
    Unheld(Lease),
    /// A process has.
    Held,
    /// It cannot be asked: why, for people.
    Unknown(String),
}

/// A file that was looked at, and not opened.
#[derive(Debug)]
pub(super) struct Looked {
    file: OwnedFd,
    pub(super) stat: Stat,
}

impl Looked {
    /// Looks at a name in an open folder, following no link.
    pub(super) fn at(folder: impl AsFd, name: &Path) -> rustix::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(folder, name, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&file)?;
        Ok(Looked { file, stat })
    }

    /// Looks at what a path of `/proc` leads to.
    fn through(opening_path: &str) -> rustix::io::Result<Self> {
        let file = rustix::fs::open(opening_path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let stat = rustix::fs::fstat(&file)?;
        Ok(Looked { file, stat })
    }

    pub(super) fn object(&self) -> Object {
        (self.stat.st_dev, self.stat.st_ino)
    }

    pub(super) fn is_file(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::RegularFile
    }

    /// How many names the file has now.
    pub(super) fn names(&self) -> rustix::io::Result<u64> {
        #[expect(clippy::useless_conversion, reason = "u32 on some architectures")]
        rustix::fs::statat(&self.file, "", AtFlags::EMPTY_PATH).map(|stat| stat.st_nlink.into())
    }

    /// Opens it for reading: this very file, whatever has its name by now, and without waiting.
    pub(super) fn open(&self) -> rustix::io::Result<OwnedFd> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty())
    }

    /// Asks the kernel whether anybody has it. Who only looks at it, as we do, has it for a moment:
    /// that is asked again.
    pub(super) fn prove(&self) -> Proof {
        for _ in 0..MOMENTS {
            match self.prove_now() {
                Proof::Held => std::thread::sleep(MOMENT),
                proof => return proof,
            }
        }
        self.prove_now()
    }

    fn prove_now(&self) -> Proof {
        if !self.is_file() {
            return Proof::Unknown("it is not a regular file".to_owned());
        }
        let opened = match self.open() {
            Ok(opened) => opened,
            // A process has a lease on it, and so has it open; or runs it, or swaps to it.
            Err(Errno::AGAIN | Errno::TXTBSY) => return Proof::Held,
            Err(errno) => return Proof::Unknown(self.because(&errno.into())),
        };
        match Lease::take(opened) {
            Ok(lease) => Proof::Unheld(lease),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Proof::Held,
            Err(error) => Proof::Unknown(self.because(&error)),
        }
    }

    fn because(&self, error: &io::Error) -> String {
        let raw = error.raw_os_error();
        let is = |errno: Errno| raw == Some(errno.raw_os_error());
        if is(Errno::ACCESS) || is(Errno::PERM) {
            format!("it belongs to user {}: only that user and root may ask the kernel", self.stat.st_uid)
        } else if is(Errno::INVAL) {
            "its file system has no leases, by which the kernel reports holders".to_owned()
        } else {
            format!("the kernel does not answer: {}", areas::in_words(error))
        }
    }
}

/// Asks about a file of which no holder of it is seen: by its path, if that still leads to it.
pub(super) fn ask(path: &Path, object: Object) -> Proof {
    match Looked::at(CWD, path) {
        Ok(looked) if looked.object() == object => looked.prove(),
        Ok(_) => Proof::Unknown("another file has its name by now".to_owned()),
        Err(errno) => Proof::Unknown(format!("it cannot be looked at: {}", areas::Errno::from(errno))),
    }
}

/// Bytes of a memory that are in RAM, where some may be swapped out: asked of an open file, if it
/// can be opened.
pub(super) fn resident(memory: &Memory) -> Option<u64> {
    let object = memory.object?;
    let looked = match (&memory.path, &memory.opening_path) {
        (Some(path), _) => Looked::at(CWD, path),
        (None, Some(opening_path)) => Looked::through(opening_path),
        (None, None) => return None,
    };
    let looked = looked.ok().filter(|looked| looked.object() == object && looked.is_file())?;
    match areas::others::cached(looked.open().ok()?.as_fd()) {
        Ok((resident, _)) => Some(resident),
        // Hugetlb pages are never swapped out.
        Err(error) if error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => memory.allocated,
        Err(_) => None,
    }
}
