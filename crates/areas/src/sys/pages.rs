//! Asking the kernel where pages are. Nothing here faults a page in.

#![expect(unsafe_code, reason = "system calls that no kept crate wraps; each block has its proof")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use super::memory::last_errno;
use super::{Errno, Result, sandbox};

/// For each page: the node it is on (0 or more), or a negative error number (-ENOENT: not in this
/// address space).
///
/// `move_pages` without targets, for this process.
pub(crate) fn nodes_of(pages: &[*const u8], status: &mut [i32]) -> Result<()> {
    nodes_in(0, pages, status)
}

/// The same for another process, which has to let us look into it; 0 is this one.
pub(crate) fn nodes_in(pid: u32, pages: &[*const u8], status: &mut [i32]) -> Result<()> {
    assert_eq!(pages.len(), status.len(), "one answer a page");
    let count = pages.len();
    // SAFETY: both arrays hold `count` elements and outlive the call; without targets nothing is
    // moved, and the addresses are looked up, never accessed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            pid.cast_signed(),
            count,
            pages.as_ptr(),
            std::ptr::null::<libc::c_int>(),
            status.as_mut_ptr(),
            0,
        )
    };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Moves each page to the node beside it, in a process that has it mapped (0 is this one); `status`
/// has for each the node that it is on afterwards, or a negative error number. Where the kernel
/// gives up early, the rest of `status` is left as it was. The answer is how many were not moved.
///
/// `all` moves pages that other processes have mapped too (CAP_SYS_NICE, else EPERM).
pub(crate) fn move_to(
    pid: u32,
    pages: &[*const u8],
    nodes: &[i32],
    status: &mut [i32],
    all: bool,
) -> Result<usize> {
    assert!(pages.len() == nodes.len() && pages.len() == status.len(), "one target and one answer a page");
    if !sandbox::may(sandbox::Call::MovePages) {
        return Err(Errno::PERM);
    }
    let flags =
        if all { linux_raw_sys::mempolicy::MPOL_MF_MOVE_ALL } else { linux_raw_sys::mempolicy::MPOL_MF_MOVE };
    // SAFETY: the three arrays have the same length, which is passed, and outlive the call; moving
    // a page changes neither its content nor its address.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            pid.cast_signed(),
            pages.len(),
            pages.as_ptr(),
            nodes.as_ptr(),
            status.as_mut_ptr(),
            flags,
        )
    };
    usize::try_from(result).map_err(|_| last_errno())
}

/// Whether this process may move pages that other processes have mapped too (CAP_SYS_NICE).
pub(crate) fn may_move_all() -> bool {
    move_to(0, &[], &[], &mut [], true).is_ok()
}

/// For each base page of the range: bit 0 says that it is in RAM, in the page cache for shared
/// memory.
///
/// `address` begins at a page; `resident` holds one byte a page.
pub(crate) fn in_core(address: NonNull<u8>, len: usize, resident: &mut [u8]) -> Result<()> {
    assert!(resident.len() >= len.div_ceil(super::page_size()), "one byte a page");
    if !sandbox::may(sandbox::Call::Mincore) {
        return Err(Errno::NOSYS);
    }
    // SAFETY: the vector has a byte for each page of the range and outlives the call.
    let status = unsafe { libc::syscall(libc::SYS_mincore, address.as_ptr(), len, resident.as_mut_ptr()) };
    if status == 0 { Ok(()) } else { Err(last_errno()) }
}

/// A run of pages that the kernel describes alike (`struct page_region`,
/// `include/uapi/linux/fs.h`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Region {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) categories: u64,
}

/// In RAM and mapped here.
pub(crate) const PRESENT: u64 = 1 << 3;
/// Swapped out.
pub(crate) const SWAPPED: u64 = 1 << 4;
/// The zero page, which costs nothing.
pub(crate) const ZERO_PAGE: u64 = 1 << 5;
/// Mapped by a huge page-table entry: transparent or from the pool.
pub(crate) const HUGE: u64 = 1 << 6;
/// A guard marker (`MADV_GUARD_INSTALL`), which counts as swapped where this flag is not known
/// (before 6.15).
pub(crate) const GUARD: u64 = 1 << 8;

/// `struct pm_scan_arg`, `include/uapi/linux/fs.h`.
#[derive(Debug, Default)]
#[repr(C)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

/// `_IOWR('f', 16, struct pm_scan_arg)`.
pub(super) const PAGEMAP_SCAN: u32 = 0xc060_6610;

/// Pages of `start..end` that are present or swapped, as runs: how many were written to `regions`,
/// and where the walk ended (`end`, or earlier when `regions` was full). Linux 6.7; ENOTTY before.
pub(crate) fn scan(
    pagemap: BorrowedFd<'_>,
    start: usize,
    end: usize,
    regions: &mut [Region],
) -> Result<(usize, usize)> {
    const ALWAYS: u64 = PRESENT | SWAPPED | ZERO_PAGE | HUGE;
    match scan_for(pagemap, start, end, regions, ALWAYS | GUARD) {
        // A kernel that does not know the category.
        Err(Errno::INVAL) => scan_for(pagemap, start, end, regions, ALWAYS),
        other => other,
    }
}

fn scan_for(
    pagemap: BorrowedFd<'_>,
    start: usize,
    end: usize,
    regions: &mut [Region],
    return_mask: u64,
) -> Result<(usize, usize)> {
    let mut request = Scan {
        size: size_of::<Scan>() as u64,
        start: start as u64,
        end: end as u64,
        vec: regions.as_mut_ptr().addr() as u64,
        vec_len: regions.len() as u64,
        category_anyof_mask: PRESENT | SWAPPED,
        return_mask,
        ..Scan::default()
    };
    // SAFETY: the request and the array that it names outlive the call, with the lengths that it
    // gives; without the write-protect flag the call only reads page tables.
    let found = unsafe {
        libc::syscall(libc::SYS_ioctl, pagemap.as_fd().as_raw_fd(), PAGEMAP_SCAN, &raw mut request)
    };
    match usize::try_from(found) {
        Ok(found) => Ok((found.min(regions.len()), usize::try_from(request.walk_end).unwrap_or(end))),
        Err(_) => Err(last_errno()),
    }
}

/// This process's page tables, to be asked by [`scan`] and [`table_words`].
pub(crate) fn open_table() -> Result<OwnedFd> {
    super::file::open_at(super::file::CWD, c"/proc/thread-self/pagemap", super::file::OFlags::RDONLY, 0)
}

/// For each base page from `start` on: 8 bytes, of which bit 63 says present and bit 62 swapped
/// (`Documentation/admin-guide/mm/pagemap.rst`). What kernels before 6.7 have instead of [`scan`].
///
/// As many pages as `words` has room for; gives how many there were.
pub(crate) fn table_words(pagemap: BorrowedFd<'_>, start: usize, words: &mut [[u8; 8]]) -> Result<usize> {
    let offset = (start / super::page_size() * 8) as u64;
    super::file::read_at(pagemap, words.as_flattened_mut(), offset).map(|bytes| bytes / 8)
}

/// What the page cache has of a range of an object, in base pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cached {
    /// In RAM, mapped or not, touched or only allocated.
    pub(crate) resident: u64,
    /// For memory objects: swapped out.
    pub(crate) evicted: u64,
}

/// The same for a descriptor of this process, by its number. The caller looks before and behind at
/// what it is.
pub(crate) fn cache_of_number(number: i32, offset: u64, len: u64) -> Result<Cached> {
    if number < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: the number is borrowed for one question that changes nothing; of one that is not open
    // the kernel says EBADF. (It is not -1: checked.)
    cache_of(unsafe { BorrowedFd::borrow_raw(number) }, offset, len)
}

/// What the page cache has of `len` bytes from `offset` on; to the end if `len` is 0. Faults
/// nothing in.
///
/// `cachestat`, Linux 6.5. EOPNOTSUPP for objects of hugetlb pages; EPERM for who neither owns the
/// object nor may write it.
pub(crate) fn cache_of(object: BorrowedFd<'_>, offset: u64, len: u64) -> Result<Cached> {
    use linux_raw_sys::general::{__NR_cachestat, cachestat, cachestat_range};
    if !sandbox::may(sandbox::Call::Cachestat) {
        return Err(Errno::NOSYS);
    }
    let range = cachestat_range { off: offset, len };
    let mut answer =
        cachestat { nr_cache: 0, nr_dirty: 0, nr_writeback: 0, nr_evicted: 0, nr_recently_evicted: 0 };
    // SAFETY: both structures have the kernel's layout and outlive the call, which reads the one,
    // writes the other and changes nothing else.
    let status = unsafe {
        libc::syscall(
            libc::c_long::from(__NR_cachestat),
            object.as_raw_fd(),
            &raw const range,
            &raw mut answer,
            0_u32,
        )
    };
    if status == 0 {
        Ok(Cached { resident: answer.nr_cache, evicted: answer.nr_evicted })
    } else {
        Err(last_errno())
    }
}
