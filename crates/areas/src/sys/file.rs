//! Files and folders: relative to an open folder, never following a link unless the name says so.

#![expect(unsafe_code, reason = "asks after a descriptor by its number; the block has its proof")]

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, AtFlags, Mode};
pub(crate) use rustix::fs::{CWD, OFlags};

use super::descriptor::own;
use super::limits::{Limit, limit};
use super::retry::retry;
use super::{Errno, Result};

/// What `stat` returns, as far as we ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Device and inode: which file it is.
    pub(crate) identity: Identity,
    pub(crate) size: u64,
    /// Allocated memory or disk, in bytes.
    pub(crate) allocated: u64,
    pub(crate) links: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    /// Whether it is marked as [`mark_held`](super::object::mark_held) does; `None` where that was
    /// not asked, or cannot be.
    pub(crate) held: Option<bool>,
    /// Time of the last change of anything, in nanoseconds since 1970: it cannot be set back, as
    /// that of contents.
    pub(crate) changed: i128,
    /// Time of the last change of its contents, alike: of a folder, when something in it came or
    /// went.
    pub(crate) modified: i128,
}

/// Device and inode: two descriptors with the same identity are the same file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl Stat {
    pub(crate) fn is_file(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFREG
    }

    pub(crate) fn is_socket(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFSOCK
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFDIR
    }

    pub(crate) fn is_link(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFLNK
    }
}

#[expect(clippy::cast_sign_loss, reason = "sizes and block counts are never negative")]
fn stat_of(raw: &fs::Stat) -> Stat {
    Stat {
        identity: Identity { device: raw.st_dev, inode: raw.st_ino },
        size: raw.st_size as u64,
        allocated: raw.st_blocks as u64 * 512,
        #[expect(clippy::useless_conversion, reason = "u32 on some architectures")]
        links: raw.st_nlink.into(),
        mode: raw.st_mode,
        uid: raw.st_uid,
        held: None,
        changed: i128::from(raw.st_ctime) * 1_000_000_000 + i128::from(raw.st_ctime_nsec),
        modified: i128::from(raw.st_mtime) * 1_000_000_000 + i128::from(raw.st_mtime_nsec),
    }
}

/// A device, as `stat` returns it, of the two numbers that it is shown with elsewhere.
pub(crate) fn device(major: u32, minor: u32) -> u64 {
    fs::makedev(major, minor)
}

/// What an open file is.
pub(crate) fn stat(file: BorrowedFd<'_>) -> Result<Stat> {
    fs::fstat(file).map(|raw| stat_of(&raw))
}

/// The numbers of a device, if it is one of characters.
pub(crate) fn device_numbers(file: BorrowedFd<'_>) -> Result<Option<(u32, u32)>> {
    let raw = fs::fstat(file)?;
    let is_device = raw.st_mode & libc::S_IFMT == libc::S_IFCHR;
    Ok(is_device.then(|| (fs::major(raw.st_rdev), fs::minor(raw.st_rdev))))
}

/// What the file of a descriptor's number is, even if it was closed concurrently: then an error, or
/// another file.
pub(crate) fn stat_number(number: i32) -> Result<Stat> {
    if number < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: the number is borrowed for one question that changes nothing; of one that is not open
    // the kernel says EBADF. (It is not -1: checked.)
    let file = unsafe { BorrowedFd::borrow_raw(number) };
    stat(file)
}

/// A copy of a descriptor of this process, by its number; never 0, 1 or 2. The caller has looked at
/// what it is.
pub(crate) fn copy_of_number(number: i32) -> Result<OwnedFd> {
    if number < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: the number is borrowed for one call, and of one that is not open the kernel says
    // EBADF. (It is not -1: checked.)
    let file = unsafe { BorrowedFd::borrow_raw(number) };
    copy_of(file)
}

/// A copy of a descriptor of this process: close-on-exec, and never 0, 1 or 2.
pub(crate) fn copy_of(file: BorrowedFd<'_>) -> Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(file, 3)
}

/// What a path leads to, through links (for `/proc/PID/fd/N`: the open file itself).
///
/// It may be anybody's, on a file system that answers late or never (FUSE, NFS): only what the
/// kernel knows already is asked.
pub(crate) fn look_through(path: &CStr) -> Result<Stat> {
    look_at(CWD, path, AtFlags::empty()).or_else(|errno| match errno {
        // Before 4.11, and in sandboxes that are older than the call.
        Errno::NOSYS | Errno::PERM => fs::stat(path).map(|raw| stat_of(&raw)),
        other => Err(other),
    })
}

/// What an open file is that may be anybody's, as [`look_through`] does.
pub(crate) fn look(file: BorrowedFd<'_>) -> Result<Stat> {
    look_at(file, c"", AtFlags::EMPTY_PATH).or_else(|errno| match errno {
        Errno::NOSYS | Errno::PERM => stat(file),
        other => Err(other),
    })
}

fn look_at(folder: BorrowedFd<'_>, path: &CStr, flags: AtFlags) -> Result<Stat> {
    let raw = fs::statx(folder, path, flags | AtFlags::STATX_DONT_SYNC, fs::StatxFlags::BASIC_STATS)?;
    Ok(Stat {
        identity: Identity { device: fs::makedev(raw.stx_dev_major, raw.stx_dev_minor), inode: raw.stx_ino },
        size: raw.stx_size,
        allocated: raw.stx_blocks * 512,
        links: raw.stx_nlink.into(),
        mode: raw.stx_mode.into(),
        uid: raw.stx_uid,
        held: raw
            .stx_attributes_mask
            .contains(fs::StatxAttributes::NODUMP)
            .then(|| raw.stx_attributes.contains(fs::StatxAttributes::NODUMP)),
        changed: i128::from(raw.stx_ctime.tv_sec) * 1_000_000_000 + i128::from(raw.stx_ctime.tv_nsec),
        modified: i128::from(raw.stx_mtime.tv_sec) * 1_000_000_000 + i128::from(raw.stx_mtime.tv_nsec),
    })
}

/// Opens; close-on-exec always.
pub(crate) fn open_at(folder: BorrowedFd<'_>, name: &CStr, flags: OFlags, mode: u32) -> Result<OwnedFd> {
    own(|| retry(|| fs::openat(folder, name, flags | OFlags::CLOEXEC, Mode::from_raw_mode(mode))))
}

/// Opens a folder for what the `*_at` calls need of it.
pub(crate) fn open_folder(folder: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    open_at(folder, name, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY, 0)
}

/// Whether a folder is on tmpfs, where its size is a constant number of bytes for each of its
/// entries.
pub(crate) fn is_on_tmpfs(folder: BorrowedFd<'_>) -> bool {
    #[expect(clippy::useless_conversion, reason = "of another type on some architectures")]
    fs::fstatfs(folder).is_ok_and(|reported| i64::from(reported.f_type) == libc::TMPFS_MAGIC)
}

/// Makes a folder.
pub(crate) fn make_folder(folder: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<()> {
    fs::mkdirat(folder, name, Mode::from_raw_mode(mode))
}

/// Makes a symbolic link; EEXIST if the name is taken.
pub(crate) fn make_link(target: &CStr, folder: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    fs::symlinkat(target, folder, name)
}

/// What a symbolic link says.
pub(crate) fn read_link(folder: BorrowedFd<'_>, name: &CStr) -> Result<CString> {
    fs::readlinkat(folder, name, Vec::new())
}

/// Removes a name.
pub(crate) fn unlink(folder: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    fs::unlinkat(folder, name, AtFlags::empty())
}

/// Removes an empty folder.
pub(crate) fn remove_folder(folder: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    fs::unlinkat(folder, name, AtFlags::REMOVEDIR)
}

/// The names in a folder, without `.` and `..`; at most `limit` of them.
pub(crate) fn names_in(folder: BorrowedFd<'_>, limit: usize) -> Result<Vec<CString>> {
    // A descriptor of its own: this one's position is shared by all that have it.
    names_of(open_at(folder, c".", OFlags::DIRECTORY | OFlags::RDONLY, 0)?, limit)
}

/// The same of a folder that was opened for that.
pub(super) fn names_of(folder: OwnedFd, limit: usize) -> Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in fs::Dir::new(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            if names.len() == limit {
                return Err(Errno::OVERFLOW);
            }
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Changes who may open a file.
pub(crate) fn set_mode(file: BorrowedFd<'_>, mode: u32) -> Result<()> {
    fs::fchmod(file, Mode::from_raw_mode(mode))
}

/// The same for what a path leads to, through links.
pub(crate) fn set_mode_of(path: &CStr, mode: u32) -> Result<()> {
    fs::chmod(path, Mode::from_raw_mode(mode))
}

/// Gives what a path leads to, through links, an access list in the kernel's form ([`crate::gate`]
/// writes it).
pub(crate) fn set_access_list(path: &CStr, list: &[u8]) -> Result<()> {
    fs::setxattr(path, c"system.posix_acl_access", list, fs::XattrFlags::empty())
}

/// Whether an open file is one of `/proc`, where a link need not lead to where it says.
pub(crate) fn is_of_proc(file: BorrowedFd<'_>) -> Result<bool> {
    Ok(u64::try_from(fs::fstatfs(file)?.f_type) == Ok(u64::from(linux_raw_sys::general::PROC_SUPER_MAGIC)))
}

/// Reads at an offset; less than asked at the end only.
pub(crate) fn read_at(file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match retry(|| rustix::io::pread(file, &mut buffer[done..], offset + done as u64))? {
            0 => break,
            got => done += got,
        }
    }
    Ok(done)
}

/// Writes all bytes at an offset. Over RLIMIT_FSIZE that is EFBIG, and not the signal that the
/// kernel would send.
pub(crate) fn write_at(file: BorrowedFd<'_>, bytes: &[u8], offset: u64) -> Result<()> {
    let end = offset.saturating_add(bytes.len() as u64);
    if limit(Limit::FileSize).is_some_and(|limit| limit < end) {
        return Err(Errno::FBIG);
    }
    let mut done = 0;
    while done < bytes.len() {
        match retry(|| rustix::io::pwrite(file, &bytes[done..], offset + done as u64))? {
            0 => return Err(Errno::NOSPC),
            put => done += put,
        }
    }
    Ok(())
}

/// Marks a folder as in use by us, for as long as the descriptor (or a copy in a forked child) is
/// open.
pub(crate) fn share_folder(folder: BorrowedFd<'_>) -> Result<()> {
    fs::flock(folder, fs::FlockOperation::NonBlockingLockShared)
}

/// Whether no process marks the folder as in use; it stays ours until the descriptor is closed.
pub(crate) fn claim_folder(folder: BorrowedFd<'_>) -> Result<()> {
    fs::flock(folder, fs::FlockOperation::NonBlockingLockExclusive)
}

/// Puts a copy of `from` in place of the descriptor `to`, in one step.
pub(crate) fn replace(from: BorrowedFd<'_>, to: &mut OwnedFd) -> Result<()> {
    rustix::io::dup3(from.as_fd(), to, rustix::io::DupFlags::CLOEXEC)
}

/// Whether a descriptor is open for writing.
pub(crate) fn is_writable(file: BorrowedFd<'_>) -> Result<bool> {
    let flags = fs::fcntl_getfl(file)? & OFlags::RWMODE;
    Ok(flags == OFlags::RDWR || flags == OFlags::WRONLY)
}
