//! Record locks on ranges of a file that belong to an *open file*, not to a process (OFD, fcntl(2),
//! Linux 3.15).
//!
//! Such a record lock lasts as long as the open file does, and that is as long as there is a
//! descriptor or a mapping of it in any process: forked children included, `kill -9` included.

#![expect(unsafe_code, reason = "no wrapper at hand knows them; each block has its proof")]

use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::memory::last_errno;
use super::{Errno, Result};

/// Who else may have a record lock on the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// No process.
    Alone,
    /// Those who share it, too.
    Shared,
}

#[expect(clippy::cast_possible_truncation, reason = "the constants are 0 and 1")]
fn request(hold: Hold, range: &Range<u64>) -> Result<libc::flock> {
    let kind = match hold {
        Hold::Alone => libc::F_WRLCK,
        Hold::Shared => libc::F_RDLCK,
    };
    Ok(libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: i64::try_from(range.start).map_err(|_| Errno::OVERFLOW)?,
        // A length of 0 would mean all that follows.
        l_len: i64::try_from(range.end - range.start).ok().filter(|&len| len > 0).ok_or(Errno::INVAL)?,
        l_pid: 0,
    })
}

/// Takes the record lock, or changes the one that the open file has; EAGAIN if another open file is
/// in the way.
pub(crate) fn take(file: BorrowedFd<'_>, hold: Hold, range: &Range<u64>) -> Result<()> {
    let request = request(hold, range)?;
    // SAFETY: the structure outlives the call, which only reads it.
    let status =
        unsafe { libc::syscall(libc::SYS_fcntl, file.as_raw_fd(), libc::F_OFD_SETLK, &raw const request) };
    if status == 0 { Ok(()) } else { Err(last_errno()) }
}

/// A range that another open file has and that is in the way of having this one alone; `None` if
/// there is none.
pub(crate) fn in_the_way(file: BorrowedFd<'_>, range: &Range<u64>) -> Result<Option<Range<u64>>> {
    let mut question = request(Hold::Alone, range)?;
    // SAFETY: the structure outlives the call, which writes only into it.
    let status =
        unsafe { libc::syscall(libc::SYS_fcntl, file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut question) };
    if status != 0 {
        return Err(last_errno());
    }
    if i32::from(question.l_type) == libc::F_UNLCK {
        return Ok(None);
    }
    let start = u64::try_from(question.l_start).unwrap_or(0);
    let end = match u64::try_from(question.l_len) {
        Ok(len) if len > 0 => start.saturating_add(len),
        // To the end of the file, wherever that is.
        _ => u64::MAX,
    };
    Ok(Some(start..end))
}

/// Whether another open file has the range, or a part of it, alone. Who shares it, as may do who
/// can only read the file, does not show.
pub(crate) fn is_alone(file: BorrowedFd<'_>, range: &Range<u64>) -> Result<bool> {
    let mut question = request(Hold::Shared, range)?;
    // SAFETY: the structure outlives the call, which writes only into it.
    let status =
        unsafe { libc::syscall(libc::SYS_fcntl, file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut question) };
    if status == 0 { Ok(i32::from(question.l_type) != libc::F_UNLCK) } else { Err(last_errno()) }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys;

    #[test]
    fn they_belong_to_the_open_file_and_its_mappings() {
        let object = sys::object::create(c"locked", sys::object::Pages::Base).unwrap();
        sys::object::set_size(object.as_fd(), 1 << 20).unwrap();
        let path = format!("/proc/thread-self/fd/{}\0", object.as_raw_fd());
        let path = std::ffi::CStr::from_bytes_with_nul(path.as_bytes()).unwrap();
        let open = || sys::file::open_at(sys::file::CWD, path, sys::file::OFlags::RDWR, 0).unwrap();
        let (one, other) = (open(), open());
        take(one.as_fd(), Hold::Alone, &(4096..8192)).unwrap();
        assert_eq!(take(other.as_fd(), Hold::Shared, &(8191..9000)), Err(Errno::AGAIN));
        assert_eq!(in_the_way(other.as_fd(), &(0..1 << 20)), Ok(Some(4096..8192)));
        assert_eq!(in_the_way(one.as_fd(), &(0..1 << 20)), Ok(None), "not in its own way");
        assert_eq!(is_alone(other.as_fd(), &(4096..4097)), Ok(true));
        assert_eq!(is_alone(one.as_fd(), &(4096..4097)), Ok(false), "its own does not show");
        take(other.as_fd(), Hold::Alone, &(8192..8193)).unwrap();
        // Shared from now on: with those that share it, and with none that wants it alone.
        take(one.as_fd(), Hold::Shared, &(4096..8192)).unwrap();
        take(other.as_fd(), Hold::Shared, &(4096..8192)).unwrap();
        let third = open();
        assert_eq!(is_alone(third.as_fd(), &(4096..8192)), Ok(false), "it is shared");
        assert_eq!(take(third.as_fd(), Hold::Alone, &(4096..4097)), Err(Errno::AGAIN));
        drop(other);
        // Its mapping keeps it, without a descriptor.
        let mapping = sys::memory::map(
            sys::memory::At::Anywhere,
            4096,
            sys::memory::ProtFlags::READ,
            sys::memory::MapFlags::SHARED,
            Some((one.as_fd(), 0)),
        );
        drop(one);
        assert_eq!(in_the_way(third.as_fd(), &(0..1 << 20)), Ok(Some(4096..8192)));
        // SAFETY: mapped above, and nothing else knows of it.
        unsafe { sys::memory::unmap(mapping.unwrap(), 4096) }.unwrap();
        assert_eq!(in_the_way(third.as_fd(), &(0..1 << 20)), Ok(None));
        assert_eq!(take(third.as_fd(), Hold::Alone, &(0..0)), Err(Errno::INVAL), "not all that follows");
    }
}
