//! Where pages are, asked of the kernel without the library: `move_pages`, and `areas-testing`.

#![expect(unsafe_code, reason = "raw system calls and touching raw memory; each block has its proof")]

use areas_testing::numa_maps::{self, Placed};
use areas_testing::smaps;

/// For each page of so many bytes from `start` on: its node, or a negative error number.
#[track_caller]
pub(crate) fn status(start: *const u8, len: usize, page: usize) -> Vec<i32> {
    let addresses: Vec<*const u8> = (0..len).step_by(page).map(|at| start.wrapping_add(at)).collect();
    let mut status = vec![i32::MIN; addresses.len()];
    // SAFETY: both arrays have that many elements; without targets nothing is moved, and no address
    // is accessed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            0,
            addresses.len(),
            addresses.as_ptr(),
            std::ptr::null::<i32>(),
            status.as_mut_ptr(),
            0,
        )
    };
    assert_eq!(result, 0, "move_pages: {}", std::io::Error::last_os_error());
    status
}

/// The node of each page, all of which are in RAM. The kernel says of a page that it is moving just
/// then that there is none: it is asked again.
#[track_caller]
pub(crate) fn nodes_of(start: *const u8, len: usize, page: usize) -> Vec<u32> {
    nodes_after(start, len, page, || ())
}

/// The same, and does something before each time that the kernel is asked. Of a page that it has
/// marked to see who uses it, it says that there is none until it is touched.
#[track_caller]
pub(crate) fn nodes_after(start: *const u8, len: usize, page: usize, before: impl Fn()) -> Vec<u32> {
    let ask = || {
        before();
        status(start, len, page)
    };
    let mut found = ask();
    for _ in 0..200 {
        if !found.contains(&-libc::ENOENT) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
        found = ask();
    }
    found
        .iter()
        .map(|&node| u32::try_from(node).unwrap_or_else(|_| panic!("not all in RAM: {found:?}")))
        .collect()
}

/// The bytes of the mappings that begin in a range that are mapped as transparent huge pages.
pub(crate) fn huge_bytes(start: *const u8, len: usize) -> u64 {
    let range = start.addr()..start.addr() + len;
    let inside = smaps::own().into_iter().filter(|one| range.contains(&one.start));
    inside.map(|one| (one.bytes("AnonHugePages") + one.bytes("ShmemPmdMapped")) as u64).sum()
}

/// Writes to a byte of each page, as any program that uses memory does.
///
/// # Safety
/// The range is mapped and writable, and no reference into it is alive.
pub(crate) unsafe fn touch(start: *mut u8, len: usize, page: usize) {
    for at in (0..len).step_by(page) {
        // SAFETY: inside the range (the caller's promise); what else is written there is a byte as
        // well.
        unsafe { start.wrapping_add(at).write_volatile(7) };
    }
}

/// The policies and pages of the mappings that begin in a range of addresses, in order.
pub(crate) fn numa_maps(start: *const u8, len: usize) -> Vec<Placed> {
    numa_maps::within(start.addr()..start.addr() + len)
}

/// mbind as it is: a mask of one word, and how many bits the kernel is given.
pub(crate) fn mbind(
    start: *mut u8,
    len: usize,
    mode: i32,
    mask: u64,
    maxnode: usize,
    flags: i32,
) -> Result<(), i32> {
    // SAFETY: the mask is alive during the call and `maxnode` is at most 64; a policy changes no
    // content.
    let status = unsafe { libc::syscall(libc::SYS_mbind, start, len, mode, &raw const mask, maxnode, flags) };
    if status == 0 { Ok(()) } else { Err(errno()) }
}

/// Moves a page of this process to a node, and fails unless it is there.
#[track_caller]
pub(crate) fn move_to(page: *const u8, node: u32) {
    const MOVE: i32 = 2;
    let (target, mut now) = (node.cast_signed(), i32::MIN);
    // SAFETY: one page, one target and one answer, all of which outlive the call; moving changes no
    // content.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            0,
            1_usize,
            &raw const page,
            &raw const target,
            &raw mut now,
            MOVE,
        )
    };
    assert_eq!((result, now), (0, target), "move_pages: {}", std::io::Error::last_os_error());
}

/// madvise with advice that changes no content.
pub(crate) fn advise(start: *mut u8, len: usize, advice: i32) -> Result<(), i32> {
    assert!(
        [
            libc::MADV_POPULATE_WRITE,
            libc::MADV_POPULATE_READ,
            libc::MADV_NOHUGEPAGE,
            libc::MADV_PAGEOUT,
            25, // MADV_COLLAPSE
        ]
        .contains(&advice)
    );
    // SAFETY: none of these changes content or makes an address invalid.
    let status = unsafe { libc::madvise(start.cast(), len, advice) };
    if status == 0 { Ok(()) } else { Err(errno()) }
}

pub(crate) fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// The mode and the flags of the policy at an address (`get_mempolicy`).
pub(crate) fn mode(at: *const u8) -> i32 {
    let mut mode = -1;
    // SAFETY: the number outlives the call; without a mask nothing else is written, and no page is
    // touched.
    let result = unsafe {
        libc::syscall(libc::SYS_get_mempolicy, &raw mut mode, std::ptr::null_mut::<u64>(), 0, at, 2)
    };
    assert_eq!(result, 0, "get_mempolicy: {}", std::io::Error::last_os_error());
    mode
}

/// Pages that a pipe holds on to, as a transfer does, until this goes.
#[derive(Debug)]
pub(crate) struct Held(
    #[expect(dead_code, reason = "it holds them")] (std::io::PipeReader, std::io::PipeWriter),
);

/// Holds pages of this process, up to 16 of them.
pub(crate) fn hold(start: *mut u8, len: usize) -> Held {
    use std::os::fd::AsRawFd as _;
    let (from, to) = std::io::pipe().unwrap();
    let part = libc::iovec { iov_base: start.cast(), iov_len: len };
    // SAFETY: the kernel takes references to pages that are mapped, and fails where none are;
    // nothing reads what is in the pipe.
    let spliced = unsafe { libc::vmsplice(to.as_raw_fd(), &raw const part, 1, 0) };
    assert_eq!(usize::try_from(spliced).unwrap(), len);
    Held((from, to))
}
