//! Memory of others, which is not an area: what the command needs to look at it, and to free what
//! no process holds (`areas scan`, `areas reap`).
//!
//! Processes are looked at by [`registry::Shown`](crate::registry::Shown).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys;
pub use crate::sys::listening::{Credentials, peer};

/// Whether memory is a table of the registry, the registry's own: by how it is labelled and by its
/// size, which any process can choose.
#[must_use]
pub fn looks_like_a_table(label: &[u8], size: u64) -> bool {
    label == crate::registry::TABLE_LABEL.to_bytes() && size == crate::registry::TABLE_BYTES as u64
}

/// A write lease on a file: the kernel's proof that no other process has it open or mapped, for as
/// long as it is undisturbed. What the proof leaves out are descriptors that open nothing
/// (`O_PATH`).
///
/// It is released when it is dropped.
#[derive(Debug)]
pub struct Lease {
    file: OwnedFd,
}

impl Lease {
    /// Takes it on a file that was opened for reading alone.
    ///
    /// # Errors
    /// `EAGAIN`: another process has the file open. `EACCES`: it is another user's. `EINVAL`: its
    /// file system has no leases.
    pub fn take(file: OwnedFd) -> io::Result<Self> {
        sys::lease::take(file.as_fd())?;
        Ok(Lease { file })
    }

    /// Whether no process has tried to open the file since: one that does waits until the lease is
    /// dropped.
    ///
    /// # Errors
    /// The kernel's.
    pub fn is_undisturbed(&self) -> io::Result<bool> {
        Ok(sys::lease::is_whole(self.file.as_fd())?)
    }
}

impl AsFd for Lease {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // It goes with the descriptor, too.
        let _ = sys::lease::give_back(self.file.as_fd());
    }
}

pub use sys::sysv::Segment;

impl Segment {
    /// Asks the kernel after a segment of System V shared memory.
    ///
    /// # Errors
    /// `EINVAL`, `EIDRM`: there is none of that number. `EACCES`: it may not be read.
    pub fn look(id: i32) -> io::Result<Self> {
        Ok(sys::sysv::look(id)?)
    }

    /// Removes a segment: it is not found any more, and its memory goes with the last process that
    /// has it attached.
    ///
    /// # Errors
    /// `EINVAL`, `EIDRM`: there is none of that number. `EPERM`: it is another user's.
    pub fn remove(id: i32) -> io::Result<()> {
        Ok(sys::sysv::remove(id)?)
    }
}

/// Bytes of a memory file that are in RAM, and bytes that are swapped out.
///
/// # Errors
/// `ENOSYS` before Linux 6.5 and in sandboxes; `EOPNOTSUPP` of hugetlb pages; `EPERM` for who
/// neither owns it nor may write it.
pub fn cached(file: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let cached = sys::pages::cache_of(file, 0, 0)?;
    let page = sys::page_size() as u64;
    Ok((cached.resident.saturating_mul(page), cached.evicted.saturating_mul(page)))
}

/// What a path of `/proc` leads to: device, inode, and the rest. Only what the kernel knows already
/// is asked, and nothing is opened.
///
/// # Errors
/// The kernel's.
pub fn look_through(path: &str) -> io::Result<Look> {
    let path = std::ffi::CString::new(path)?;
    let stat = sys::file::look_through(&path)?;
    Ok(Look {
        object: (stat.identity.device, stat.identity.inode),
        is_file: stat.is_file(),
        size: stat.size,
        allocated: stat.allocated,
        links: stat.links,
        owner: stat.uid,
    })
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Device and inode.
    pub object: (u64, u64),
    /// Whether it is a regular file.
    pub is_file: bool,
    /// Bytes.
    pub size: u64,
    /// Bytes for which there is memory, or disk.
    pub allocated: u64,
    /// How many names it has.
    pub links: u64,
    /// The user that owns it.
    pub owner: u32,
}
