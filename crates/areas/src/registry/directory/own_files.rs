//! Folders and files of this user's alone, made and opened.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::registry::process::OWN_DESCRIPTORS;
use crate::sys;
use crate::sys::file::{OFlags, Stat};

/// Makes a folder for us alone, whatever the umask: [`open_own_folder`] sets right what it took
/// away. One that is there is left as it is.
pub(super) fn make_folder(folder: BorrowedFd<'_>, name: &CStr, user: u32) -> sys::Result<()> {
    match sys::file::make_folder(folder, name, 0o700) {
        Err(sys::Errno::EXIST) => return Ok(()),
        other => other?,
    }
    // It disturbs no other process to do that at once: root opens such folders whatever their mode
    // is, and other processes of root may not.
    match open_own_folder(folder, name, user) {
        Ok(_) => Ok(()),
        // It was removed, or replaced: who opens it next reports that.
        Err(sys::Errno::NOENT | sys::Errno::LOOP | sys::Errno::NOTDIR | sys::Errno::ACCESS) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Opens a folder. Where it is ours, and lacks rights of its owner that it was made with (an odd
/// umask took them), they are set.
pub(super) fn open_own_folder(folder: BorrowedFd<'_>, name: &CStr, user: u32) -> sys::Result<OwnedFd> {
    match sys::file::open_folder(folder, name) {
        Err(sys::Errno::ACCESS) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            let looked = sys::file::open_at(folder, name, flags, 0)?;
            mend(looked.as_fd(), user, 0o700)?;
            // The very folder that was looked at.
            sys::file::open_folder(looked.as_fd(), c".")
        }
        Ok(fd) => {
            let Stat { uid, mode, .. } = sys::file::stat(fd.as_fd())?;
            if uid == user && mode & 0o777 == mode & 0o700 && mode & 0o700 != 0o700 {
                sys::file::set_mode(fd.as_fd(), 0o700)?;
            }
            Ok(fd)
        }
        other => other,
    }
}

/// Opens a file of ours for reading and writing, made where it is missing, with the rights that it
/// is to have, whatever the umask.
pub(super) fn open_own_file(folder: BorrowedFd<'_>, name: &CStr, user: u32) -> sys::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let open = |flags| sys::file::open_at(folder, name, flags, 0o600);
    let fd = match open(flags | OFlags::CREATE) {
        Err(sys::Errno::ACCESS) => {
            let looked = open(OFlags::PATH | OFlags::NOFOLLOW)?;
            mend(looked.as_fd(), user, 0o600)?;
            open(flags)?
        }
        other => other?,
    };
    let Stat { uid, mode, .. } = sys::file::stat(fd.as_fd())?;
    if uid == user && mode & 0o600 != 0o600 {
        sys::file::set_mode(fd.as_fd(), 0o600)?;
    }
    Ok(fd)
}

/// Sets the mode of what was opened for nothing (O_PATH), if it is ours and lacks rights of its
/// owner. Else it is as the kernel said.
fn mend(looked: BorrowedFd<'_>, user: u32, mode: u32) -> sys::Result<()> {
    let stat = sys::file::stat(looked)?;
    let for_others = stat.mode & 0o077 != 0;
    if stat.uid != user || for_others || stat.mode & mode == mode {
        return Err(sys::Errno::ACCESS);
    }
    // By way of our number for it: no other file can come between.
    let path = CString::new(format!("{OWN_DESCRIPTORS}/{}", looked.as_raw_fd())).unwrap_or_default();
    sys::file::set_mode_of(&path, mode)
}
