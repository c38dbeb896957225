//! What the kernel does with memory objects and the files around them.

#![expect(unsafe_code, reason = "raw system calls; each block has its proof")]

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use super::{Map, memfd};
use crate::support::child::{Ended, in_child};
use crate::support::machine::{pool, pool_free};
use crate::support::pages::errno;
use crate::support::{HUGE, PAGE, guest};

fn identity(fd: &OwnedFd) -> (u64, u64) {
    let metadata = std::fs::File::from(fd.try_clone().unwrap()).metadata().unwrap();
    (metadata.dev(), metadata.ino())
}

#[test]
fn device_and_inode_name_a_memfd() {
    guest!();
    let _pool = pool(0, HUGE, 1);
    let all: Vec<_> = (0..100).map(|index| memfd(index * PAGE, 0)).collect();
    let mut identities: Vec<_> = all.iter().map(identity).collect();
    identities.sort_unstable();
    identities.dedup();
    assert_eq!(identities.len(), 100);
    let device = |fd: &OwnedFd| identity(fd).0;
    assert!(all.iter().all(|fd| device(fd) == device(&all[0])));
    assert_ne!(device(&memfd(HUGE, libc::MFD_HUGETLB)), device(&all[0]), "hugetlb pages are another device");
}

/// mmap rounds up, munmap does not.
#[test]
fn pool_pages_are_unmapped_whole() {
    guest!();
    let _pool = pool(0, HUGE, 2);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
    let mut map = Map::new(HUGE + PAGE, flags, None);
    // SAFETY: our own mapping; it is to be refused.
    let status = unsafe { libc::munmap(map.0.cast(), HUGE + PAGE) };
    assert_eq!((status, errno()), (-1, libc::EINVAL));
    assert_eq!(pool_free(0, HUGE), 2, "nothing was touched");
    map.touch(HUGE);
    assert_eq!(pool_free(0, HUGE), 0);
    map.1 = 2 * HUGE;
    drop(map);
    assert_eq!(pool_free(0, HUGE), 2);
}

/// A writable mapping moves the end of an object of hugetlb pages, and reserves pages; one that
/// becomes writable later, and asks for no pages, does neither. One for reading sets aside, and
/// moves nothing.
#[test]
fn a_writable_mapping_makes_a_pool_object_longer() {
    guest!();
    const LEN: libc::off_t = 2 << 20;
    let _pool = pool(0, HUGE, 4);
    let reserved = || -> usize {
        let text = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages");
        text.unwrap().trim().parse().unwrap()
    };
    let size = |fd: &OwnedFd| std::fs::File::from(fd.try_clone().unwrap()).metadata().unwrap().len();
    let fd = memfd(HUGE, libc::MFD_HUGETLB);
    let plain = Map::of(&fd, 3 * HUGE);
    assert_eq!((size(&fd), reserved()), (3 * HUGE as u64, 3));
    drop((plain, fd));
    assert_eq!(reserved(), 0);

    let fd = memfd(HUGE, libc::MFD_HUGETLB);
    let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
    // SAFETY: new addresses, of the kernel's choice.
    let start =
        unsafe { libc::mmap(std::ptr::null_mut(), 3 * HUGE, libc::PROT_READ, flags, fd.as_raw_fd(), 0) };
    assert_ne!(start, libc::MAP_FAILED);
    let late = Map(start.cast(), 3 * HUGE);
    // SAFETY: our own mapping, to which nothing refers.
    assert_eq!(unsafe { libc::mprotect(start, 3 * HUGE, libc::PROT_READ | libc::PROT_WRITE) }, 0);
    assert_eq!((size(&fd), reserved()), (HUGE as u64, 0));
    // SAFETY: new addresses, of the kernel's choice.
    let aside = unsafe {
        libc::mmap(std::ptr::null_mut(), HUGE, libc::PROT_READ, libc::MAP_SHARED, fd.as_raw_fd(), LEN)
    };
    assert_ne!(aside, libc::MAP_FAILED);
    let aside = Map(aside.cast(), HUGE);
    assert_eq!((size(&fd), reserved()), (HUGE as u64, 1));
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::fallocate(fd.as_raw_fd(), 0, LEN, LEN) }, 0);
    assert_eq!((size(&fd), reserved(), pool_free(0, HUGE)), (2 * HUGE as u64, 0, 3));
    drop((late, aside));
    drop(fd);
    assert_eq!((reserved(), pool_free(0, HUGE)), (0, 4));
}

/// Sealing against writing never waits: a writable mapping anywhere is in the way, one for private
/// copies is not.
#[test]
fn a_write_seal_wants_no_writable_mapping() {
    guest!();
    let fd = memfd(PAGE, libc::MFD_ALLOW_SEALING);
    // SAFETY: no memory is involved.
    let seal =
        |fd: &OwnedFd| match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_WRITE) } {
            0 => Ok(()),
            _ => Err(errno()),
        };
    let shared = Map::of(&fd, PAGE);
    assert_eq!(seal(&fd), Err(libc::EBUSY));
    drop(shared);
    let _copy = Map::new(PAGE, libc::MAP_PRIVATE, Some(&fd));
    assert_eq!(seal(&fd), Ok(()));
}

fn record_lock(fd: &OwnedFd) -> libc::flock {
    let mut lock = libc::flock { l_type: 0, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
    lock.l_type = i16::try_from(libc::F_WRLCK).unwrap();
    // SAFETY: the structure outlives the call.
    assert_eq!(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETLK, &raw mut lock) }, 0);
    lock
}

/// Record locks stay with the process that took them; flock locks go along with the descriptor.
#[test]
fn record_locks_are_not_inherited_and_flock_is() {
    guest!();
    let fd = memfd(PAGE, 0);
    let mut lock = record_lock(&fd);
    assert_eq!(i32::from(lock.l_type), libc::F_UNLCK, "no process has it");
    lock.l_type = i16::try_from(libc::F_WRLCK).unwrap();
    // SAFETY: the structure outlives the call.
    assert_eq!(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETLK, &raw const lock) }, 0);
    // SAFETY: no memory is involved.
    assert_eq!(unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX) }, 0);
    let parent = i32::try_from(std::process::id()).unwrap();
    let ended = in_child(|| {
        let held = record_lock(&fd);
        assert_eq!(
            (i32::from(held.l_type), held.l_pid),
            (libc::F_WRLCK, parent),
            "the child sees the parent's"
        );
        // SAFETY: no memory is involved.
        assert_eq!(unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }, 0, "it has it too");
    });
    assert_eq!(ended, Ended::Well);
    // Closing any other descriptor of the object drops it.
    drop(std::fs::File::open(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap());
    let ended = in_child(|| assert_eq!(i32::from(record_lock(&fd).l_type), libc::F_UNLCK));
    assert_eq!(ended, Ended::Well);
}
