//! The descriptor of an object, which the program may have closed: it is looked at before it is
//! used for what changes or maps a file.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use super::Object;
use crate::error::{Error, ErrorKind, Result, remedy};
use crate::sys;

impl Object {
    /// Its descriptor, for this library's own calls.
    #[inline]
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The descriptor for what changes a file, or maps it: EBADF where it was closed.
    pub(crate) fn own_fd(&self) -> sys::Result<BorrowedFd<'_>> {
        if self.fresh.load(Ordering::Relaxed) {
            return Ok(self.fd.as_fd());
        }
        self.fd.checked()
    }

    /// To be mapped by the very call that has made or opened it: there is no look at the descriptor
    /// before it is in an area. (Another thread that closes all descriptors concurrently cannot be
    /// guarded against by a look either.)
    pub(crate) fn fresh(self) -> Self {
        self.fresh.store(true, Ordering::Relaxed);
        self
    }

    /// It is in an area: from now on the program may do what it likes, and its descriptor is looked
    /// at.
    pub(crate) fn hand_out(&self) {
        self.fresh.store(false, Ordering::Relaxed);
    }

    /// Releases it in the very call that has opened it: its descriptor is closed without a look.
    pub(crate) fn close_fresh(self) {
        self.fd.close_fresh();
    }

    /// Another open file of the same object, which the kernel lets read only.
    pub(crate) fn reopen_read_only(&self) -> Result<OwnedFd> {
        self.reopen(sys::file::OFlags::RDONLY, "open an object for reading only")
    }

    /// Another open file of the same object.
    pub(crate) fn reopen(&self, flags: sys::file::OFlags, what: &'static str) -> Result<OwnedFd> {
        use std::os::fd::AsRawFd;
        // A thread can have descriptors of its own, and the first one may have left: then
        // /proc/self shows others.
        let path = format!("/proc/thread-self/fd/{}", self.fd.as_fd().as_raw_fd());
        let failed = |errno| {
            let mode = if flags.contains(sys::file::OFlags::RDWR) { "O_RDWR" } else { "O_RDONLY" };
            let error =
                |kind| Error::new(kind, what).with_system_call(format!("open({path:?}, {mode})"), errno);
            match errno {
                sys::Errno::ACCESS | sys::Errno::PERM if mode == "O_RDWR" => error(ErrorKind::NotPermitted)
                    .with_remedy("it may be opened for reading only: ask for write access"),
                sys::Errno::MFILE | sys::Errno::NFILE => remedy::open_files(error(ErrorKind::Limit)),
                _ => error(ErrorKind::System).with_remedy("/proc must be mounted"),
            }
        };
        if !self.fd.is_intact() {
            return Err(closed(what.to_owned()));
        }
        let path = CString::new(path.as_str()).map_err(|_| failed(sys::Errno::INVAL))?;
        let again = sys::file::open_at(sys::file::CWD, &path, flags, 0).map_err(&failed)?;
        // Freezing relies on it that this is the same object.
        match sys::file::stat(again.as_fd()) {
            Ok(stat) if stat.identity == self.identity() => Ok(again),
            Ok(_) => Err(failed(sys::Errno::STALE)),
            Err(errno) => Err(Error::new(ErrorKind::System, what).with_system_call("fstat", errno)),
        }
    }

    /// Puts another open file of the same object under the descriptor's number.
    pub(crate) fn replace_descriptor(&mut self, with: &OwnedFd) -> sys::Result<()> {
        self.fd.replace(with.as_fd())
    }
}

/// For the program: from then on it may be had for reading only, and so other users cannot open it
/// for writing by way of a descriptor that they have. (Where the kernel refuses that, who gets this
/// one can write by it anyway.)
impl AsFd for Object {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let _ = self.close_to_others(|| "close an area to other users".to_owned());
        self.fd()
    }
}

/// The error for a descriptor that the program closed.
pub(crate) fn closed(what: String) -> Error {
    Error::new(ErrorKind::System, what)
        .with_system_call("fstat", sys::Errno::BADF)
        .with_facts("this process has closed the descriptor of its memory")
        .with_remedy("do not close descriptors that are not yours (close_range, closefrom)")
}
