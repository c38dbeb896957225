//! What the kernel does, asked directly: the facts that the library is built on (docs/kernel.md).
//! Where one of these fails on a new kernel, what relies on it has to change.

#![expect(unsafe_code, reason = "raw mappings and system calls; each block has its proof")]

mod huge;
mod objects;
mod policies;

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use crate::support::PAGE;
use crate::support::pages::{nodes_of, touch};

/// Mapped memory, unmapped when it is dropped.
pub(super) struct Map(pub(super) *mut u8, pub(super) usize);

impl Map {
    pub(super) fn new(len: usize, flags: i32, fd: Option<&OwnedFd>) -> Self {
        let fd = fd.map_or(-1, |fd| fd.as_raw_fd());
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: new addresses, of the kernel's choice.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, access, flags, fd, 0) };
        assert_ne!(start, libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
        Map(start.cast(), len)
    }

    pub(super) fn private(len: usize) -> Self {
        Map::new(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, None)
    }

    pub(super) fn of(fd: &OwnedFd, len: usize) -> Self {
        Map::new(len, libc::MAP_SHARED, Some(fd))
    }

    pub(super) fn touch(&self, page: usize) {
        // SAFETY: mapped, writable, and ours until the drop; nothing refers to it.
        unsafe { touch(self.0, self.1, page) };
    }

    pub(super) fn nodes(&self) -> Vec<u32> {
        nodes_of(self.0, self.1, PAGE)
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: mapped by us, and nothing refers to it.
        unsafe { libc::munmap(self.0.cast(), self.1) };
    }
}

pub(super) fn memfd(len: usize, flags: u32) -> OwnedFd {
    // SAFETY: the name is a C string.
    let fd = unsafe { libc::memfd_create(c"kernel".as_ptr(), flags) };
    assert!(fd >= 0, "memfd_create: {}", std::io::Error::last_os_error());
    // SAFETY: a new descriptor that nothing else has.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::ftruncate(fd.as_raw_fd(), len.try_into().unwrap()) }, 0);
    fd
}

/// Bytes that an object has.
pub(super) fn allocated(fd: &OwnedFd) -> u64 {
    let file = std::fs::File::from(fd.try_clone().unwrap());
    std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()) * 512
}
