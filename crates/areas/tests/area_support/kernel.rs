//! What the kernel says of memory: mincore, st_blocks; and access as a peer in C has it. What
//! `/proc` says is in `areas-testing`. Never what the library remembers.

#![expect(unsafe_code, reason = "mincore and raw reads; each block has its proof")]

use std::os::fd::AsFd;

/// Bytes from `address` on that are in RAM, by mincore: for shared memory, whoever brought them in.
pub(crate) fn in_core(address: *const u8, len: usize) -> usize {
    let page = rustix::param::page_size();
    let mut pages = vec![0_u8; len.div_ceil(page)];
    // SAFETY: the vector has a byte for each page of the range; mincore reads no memory of the
    // range.
    let status = unsafe { libc::mincore(address.cast_mut().cast(), len, pages.as_mut_ptr()) };
    assert_eq!(status, 0, "mincore: {}", std::io::Error::last_os_error());
    pages.iter().filter(|page| **page & 1 == 1).count() * page
}

/// Bytes of memory that an object has.
#[expect(clippy::cast_sign_loss, reason = "a count")]
pub(crate) fn allocated(object: impl AsFd) -> u64 {
    rustix::fs::fstat(object).unwrap().st_blocks as u64 * 512
}

/// Reads a byte as a peer in C would: no look at any size, no call of the library.
///
/// # Safety
/// `address` is mapped, readable, and backed by an object that reaches that far.
pub(crate) unsafe fn peek(address: *const u8) -> u8 {
    // SAFETY: mapped, readable and backed (the caller's promise); any byte is a u8.
    unsafe { address.read_volatile() }
}

/// Writes a byte as a peer in C would.
///
/// # Safety
/// `address` is mapped, writable, shared memory of which there is no reference, and backed by an
/// object that reaches that far.
pub(crate) unsafe fn poke(address: *mut u8, value: u8) {
    // SAFETY: mapped, writable, backed, and referred to by nothing (the caller's promise).
    unsafe { address.write_volatile(value) }
}
