//! Descriptors that are kept for long, in a process whose other parts may do with descriptors what
//! they like.
//!
//! A program may close all the numbers that it does not know (`close_range(3, ~0)`), and soon other
//! files are open under them. So before such a descriptor is closed, or used for anything that
//! changes a file, it is asked what it is.

#![expect(unsafe_code, reason = "asks what is open under a number; the block has its proof")]

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};

use super::file::{self, Identity};
use super::memory::last_errno;
use super::{Errno, Result};

/// What is open under a number; EBADF where nothing is.
pub(crate) fn open_under(number: i32) -> Result<Identity> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel writes one `struct stat` to where there is room for one, which outlives
    // the call.
    let status = unsafe { libc::fstat(number, stat.as_mut_ptr()) };
    if status != 0 {
        return Err(last_errno());
    }
    // SAFETY: the call succeeded, and has filled all of it.
    let stat = unsafe { stat.assume_init() };
    Ok(Identity { device: stat.st_dev, inode: stat.st_ino })
}

/// A descriptor that is closed only if it still is what it was.
///
/// # Invariants
/// `fd` is there until the value is dropped.
#[derive(Debug)]
pub(crate) struct CheckedFd {
    fd: Option<OwnedFd>,
    identity: Identity,
}

impl CheckedFd {
    pub(crate) fn new(fd: OwnedFd) -> Result<Self> {
        let identity = file::stat(fd.as_fd())?.identity;
        Ok(CheckedFd { fd: Some(fd), identity })
    }

    /// One of which it was just asked what it is.
    pub(crate) fn of(fd: OwnedFd, identity: Identity) -> Self {
        CheckedFd { fd: Some(fd), identity }
    }

    /// Closes it, unlooked at: for the very call in which the kernel gave it.
    pub(crate) fn close_fresh(mut self) {
        drop(self.fd.take());
    }

    /// What it was opened on.
    #[inline]
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether it still is that; an error where the kernel does not report it.
    pub(crate) fn look(&self) -> Result<bool> {
        match file::stat(self.as_fd()) {
            Ok(stat) => Ok(stat.identity == self.identity),
            Err(Errno::BADF) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Whether it still is that, as far as is known.
    pub(crate) fn is_intact(&self) -> bool {
        self.look().unwrap_or(false)
    }

    /// The descriptor, after a look at what it is; EBADF where it was closed, whatever its number
    /// means by now.
    ///
    /// Another thread that closes it between the look and the use cannot be guarded against.
    pub(crate) fn checked(&self) -> Result<BorrowedFd<'_>> {
        if self.look()? { Ok(self.as_fd()) } else { Err(Errno::BADF) }
    }

    /// Puts another open file of the same object under its number, in one step.
    pub(crate) fn replace(&mut self, with: BorrowedFd<'_>) -> Result<()> {
        self.checked()?;
        match &mut self.fd {
            Some(fd) => file::replace(with, fd),
            None => Err(Errno::BADF),
        }
    }
}

impl AsFd for CheckedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // Only `drop` takes it.
        self.fd.as_ref().map_or(file::CWD, AsFd::as_fd)
    }
}

impl Drop for CheckedFd {
    fn drop(&mut self) {
        // What stays open by mistake stays permanently: that it is no longer ours is looked at
        // twice.
        if self.fd.is_some()
            && !self.is_intact()
            && !self.is_intact()
            && let Some(another_users) = self.fd.take()
        {
            let _ = another_users.into_raw_fd();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn what_the_kernel_just_gave_is_closed() {
        let object = super::super::object::create(c"checked", super::super::object::Pages::Base).unwrap();
        let checked = CheckedFd::new(object).unwrap();
        let (number, identity) = (checked.as_fd().as_raw_fd(), checked.identity());
        checked.close_fresh();
        // Another thread may have the number by now, but not the object.
        assert_ne!(open_under(number).ok(), Some(identity));
    }

    #[test]
    fn another_owners_file_is_left_open() {
        let object = super::super::object::create(c"checked", super::super::object::Pages::Base).unwrap();
        let mut checked = CheckedFd::new(object).unwrap();
        let number = checked.as_fd().as_raw_fd();
        assert!(checked.is_intact());
        // As if it had been closed, and the number taken by a file that was opened.
        let file = File::open("/proc/self/stat").unwrap();
        file::replace(file.as_fd(), checked.fd.as_mut().unwrap()).unwrap();
        assert_eq!(checked.checked().err(), Some(Errno::BADF));
        assert_eq!(checked.replace(file.as_fd()), Err(Errno::BADF));
        drop(checked);
        let path = format!("/proc/self/fd/{number}");
        assert!(std::fs::read_link(&path).unwrap().ends_with("stat"), "it is still open");
    }

    #[test]
    fn what_is_ours_is_closed() {
        assert_eq!(open_under(-1), Err(Errno::BADF));
        let object =
            super::super::object::create(c"checked: ours", super::super::object::Pages::Base).unwrap();
        let checked = CheckedFd::new(object).unwrap();
        assert_eq!(open_under(checked.as_fd().as_raw_fd()), Ok(checked.identity()));
        let path = format!("/proc/self/fd/{}", checked.as_fd().as_raw_fd());
        drop(checked);
        let now = std::fs::read_link(path);
        assert!(!now.is_ok_and(|now| now.to_string_lossy().contains("checked: ours")));
    }
}
