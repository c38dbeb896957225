//! Memory objects: memfds, their size, seals and contents.

#![expect(unsafe_code, reason = "sets a flag; the block has its proof")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

pub(crate) use rustix::fs::SealFlags;
use rustix::fs::{self, FallocateFlags, MemfdFlags};
use rustix::path::Arg;

use super::descriptor::own_new;
use super::file::Stat;
use super::retry::retry;
use super::{Errno, Result};

/// Which pages an object is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pages {
    /// Base pages (which may be collapsed into transparent huge ones).
    Base,
    /// Pages of the hugetlb pool, by the logarithm of their size.
    Pool(u32),
}

/// Makes a memory object of size 0: close-on-exec, sealable, never executable as a file where the
/// kernel can promise that (`MFD_NOEXEC_SEAL`, 6.3).
pub(crate) fn create(name: impl Arg + Copy, pages: Pages) -> Result<OwnedFd> {
    let mut flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    if let Pages::Pool(log2) = pages {
        flags |= MemfdFlags::HUGETLB | MemfdFlags::from_bits_retain(log2 << 26);
    }
    own_new(|| match fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // A kernel that does not know the flag.
        Err(Errno::INVAL) => fs::memfd_create(name, flags),
        other => other,
    })
}

/// The device on which objects of these pages are: the kernel's own, which is never mounted.
pub(crate) fn device(pages: Pages) -> Result<u64> {
    let object = create(c"areas", pages)?;
    super::file::stat(object.as_fd()).map(|stat| stat.identity.device)
}

/// Sets the size. The caller has looked at RLIMIT_FSIZE: going over it is a signal, not an error.
pub(crate) fn set_size(object: BorrowedFd<'_>, size: u64) -> Result<()> {
    retry(|| fs::ftruncate(object, size))
}

/// Makes sure that all bytes of the range have memory.
pub(crate) fn allocate(object: BorrowedFd<'_>, offset: u64, len: u64) -> Result<()> {
    retry(|| fs::fallocate(object, FallocateFlags::empty(), offset, len))
}

/// Gives the memory of a range back: it is a hole then.
pub(crate) fn punch(object: BorrowedFd<'_>, offset: u64, len: u64) -> Result<()> {
    retry(|| fs::fallocate(object, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, len))
}

/// Marks an object, once and for all: others than its maker have it. (The flag is dump(8)'s, which
/// never meets such a file; to set it is atomic, and takes no right to write.
/// [`look`](super::file::look) returns it. ENOTTY before 6.1, and where the kernel was built
/// without.)
pub(crate) fn mark_held(object: BorrowedFd<'_>) -> Result<()> {
    // The kernel reads an int; by its number it is a long, which is what valgrind looks at.
    let flags = libc::c_long::from(linux_raw_sys::general::FS_NODUMP_FL);
    // SAFETY: the kernel reads a number that outlives the call, and writes nothing.
    match unsafe { libc::ioctl(object.as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const flags) } {
        0 => Ok(()),
        _ => Err(super::memory::last_errno()),
    }
}

/// The size of the hugetlb pages that an object is made of; `None` for base pages.
pub(crate) fn pool_page(object: BorrowedFd<'_>) -> Result<Option<usize>> {
    const HUGETLBFS_MAGIC: u64 = 0x9584_58f6;
    let system = fs::fstatfs(object)?;
    let pool = u64::try_from(system.f_type) == Ok(HUGETLBFS_MAGIC);
    Ok(usize::try_from(system.f_bsize).ok().filter(|_| pool))
}

/// Seals, once and for all.
pub(crate) fn seal(object: BorrowedFd<'_>, seals: SealFlags) -> Result<()> {
    fs::fcntl_add_seals(object, seals)
}

/// The seals that are on; EINVAL for what is not a memory object.
pub(crate) fn seals(object: BorrowedFd<'_>) -> Result<SealFlags> {
    fs::fcntl_get_seals(object)
}

/// What an open object is: its seals, and then the rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SealedStat {
    /// An error for what cannot be sealed: EINVAL for no memory object, EBADF for a descriptor that
    /// is open for nothing (O_PATH).
    pub(crate) seals: Result<SealFlags>,
    /// Looked at after the seals: a size that they protect is the size for good.
    pub(crate) stat: Stat,
}

/// Looks at what is open, in the only order that proves a size: first the seals, then the size.
///
/// A size that was read before the seals proves nothing: another process can cut the object and
/// then seal it concurrently. The descriptor stays the same, so that what it was opened on (device
/// and inode, in the same answer) cannot change between the two. It may be anything, on any file
/// system: neither call waits for another process.
pub(crate) fn sealed_stat(object: BorrowedFd<'_>) -> Result<SealedStat> {
    let seals = seals(object);
    let stat = super::file::look(object)?;
    Ok(SealedStat { seals, stat })
}

/// The next range at or after `from` that holds data, as (start, end); `None` if only a hole
/// follows.
///
/// Moves the descriptor's file position, which nothing in this library uses.
pub(crate) fn next_data(object: BorrowedFd<'_>, from: u64) -> Result<Option<(u64, u64)>> {
    let Some(start) = first_data(object, from)? else { return Ok(None) };
    Ok(Some((start, fs::seek(object.as_fd(), fs::SeekFrom::Hole(start))?)))
}

/// Where that range begins: where it ends takes a walk through all of it.
pub(crate) fn first_data(object: BorrowedFd<'_>, from: u64) -> Result<Option<u64>> {
    match fs::seek(object, fs::SeekFrom::Data(from)) {
        Ok(start) => Ok(Some(start)),
        Err(Errno::NXIO) => Ok(None),
        Err(other) => Err(other),
    }
}
