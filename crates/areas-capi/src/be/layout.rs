//! The structures of `OS.h` as they lie in memory, on machines with 64-bit addresses, and moving
//! them over the edge.

#![expect(unsafe_code, reason = "reads and writes what C points to; each block has its proof")]

use std::ffi::{c_char, c_void};

use super::errors::{BAD_ADDRESS, Status, wrong};

pub(super) const NAME_LENGTH: usize = 32;

#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct AreaInfo {
    pub(super) area: i32,
    pub(super) name: [u8; NAME_LENGTH],
    pub(super) size: usize,
    pub(super) lock: u32,
    pub(super) protection: u32,
    pub(super) team: i32,
    pub(super) ram_size: u32,
    pub(super) copy_count: u32,
    pub(super) in_count: u32,
    pub(super) out_count: u32,
    pub(super) address: usize,
}
const _: () = assert!(size_of::<AreaInfo>() == 88);

#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct TeamInfo {
    pub(super) team: i32,
    pub(super) thread_count: i32,
    pub(super) image_count: i32,
    pub(super) area_count: i32,
    pub(super) debugger_nub_thread: i32,
    pub(super) debugger_nub_port: i32,
    pub(super) argc: i32,
    pub(super) args: [u8; 64],
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) real_uid: u32,
    pub(super) real_gid: u32,
    pub(super) group_id: i32,
    pub(super) session_id: i32,
    pub(super) parent: i32,
    pub(super) name: [u8; NAME_LENGTH],
    pub(super) start_time: i64,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct ThreadInfo {
    pub(super) thread: i32,
    pub(super) team: i32,
    pub(super) name: [u8; NAME_LENGTH],
    pub(super) state: u32,
    pub(super) priority: i32,
    pub(super) sem: i32,
    pub(super) user_time: i64,
    pub(super) kernel_time: i64,
    pub(super) stack_base: usize,
    pub(super) stack_end: usize,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct SystemInfo {
    pub(super) boot_time: i64,
    pub(super) cpu_count: u32,
    pub(super) max_pages: u64,
    pub(super) used_pages: u64,
    pub(super) cached_pages: u64,
    pub(super) block_cache_pages: u64,
    pub(super) ignored_pages: u64,
    pub(super) needed_memory: u64,
    pub(super) free_memory: u64,
    pub(super) max_swap_pages: u64,
    pub(super) free_swap_pages: u64,
    pub(super) page_faults: u32,
    pub(super) max_sems: u32,
    pub(super) used_sems: u32,
    pub(super) max_ports: u32,
    pub(super) used_ports: u32,
    pub(super) max_threads: u32,
    pub(super) used_threads: u32,
    pub(super) max_teams: u32,
    pub(super) used_teams: u32,
    pub(super) kernel_name: [u8; 256],
    pub(super) kernel_build_date: [u8; 32],
    pub(super) kernel_build_time: [u8; 32],
    pub(super) kernel_version: i64,
    pub(super) abi: u32,
}

/// Bytes as a field of fixed length: cut, and ended by NUL.
pub(super) fn field<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut field = [0; N];
    let len = bytes.len().min(N - 1);
    field[..len].copy_from_slice(&bytes[..len]);
    field
}

/// At most `N` bytes of a C string, up to its NUL. `None` for NULL.
///
/// # Safety
/// `text` is NULL or points to a string that ends with a NUL, or to at least `N` bytes.
pub(super) unsafe fn text<const N: usize>(text: *const c_char) -> Option<([u8; N], usize)> {
    if text.is_null() {
        return None;
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        // SAFETY: no NUL came before, so that this byte belongs to the string (the caller).
        let at = unsafe { text.add(index) };
        // SAFETY: `at` is a byte of that string.
        let found = unsafe { at.read() };
        if found == 0 {
            return Some((bytes, index));
        }
        *byte = found.cast_unsigned();
    }
    Some((bytes, N))
}

/// Reads a value that C points to; `None` for NULL.
///
/// # Safety
/// `from` is NULL, or points to a value of that type, aligned or not.
pub(super) unsafe fn get<T: Copy>(from: *const T) -> Option<T> {
    // SAFETY: not NULL, and then it is readable (the caller).
    (!from.is_null()).then(|| unsafe { from.read_unaligned() })
}

/// The address that C points to, which says where something is wanted.
///
/// # Safety
/// `address` is NULL, or points to a value of that type, aligned or not.
pub(super) unsafe fn wanted<T: Copy>(address: *const T, what: &'static str) -> Result<T, Status> {
    // SAFETY: `address` is NULL, or points to a value of that type (the caller).
    unsafe { get(address) }.ok_or_else(|| wrong(BAD_ADDRESS, what, "the pointer to the address is NULL"))
}

/// Writes a value to where C wants it. Nothing happens for NULL.
///
/// # Safety
/// `to` is NULL, or points to room for a value of that type, aligned or not.
pub(super) unsafe fn put<T: Copy>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: not NULL, and then it is writable (the caller).
        unsafe { to.write_unaligned(value) };
    }
}

/// Writes the first `size` bytes of a structure: programs may have been built with a shorter one.
///
/// # Safety
/// `to` points to `size` writable bytes, and `size` is at most that of the structure.
pub(super) unsafe fn put_prefix<T: Copy>(to: *mut c_void, value: &T, size: usize) {
    debug_assert!(size <= size_of::<T>());
    let from = std::ptr::from_ref(value).cast::<u8>();
    // SAFETY: `size` bytes are readable there (at most the structure's own) and writable here (the
    // caller); C's memory is not part of a value of ours.
    unsafe { std::ptr::copy_nonoverlapping(from, to.cast::<u8>(), size) };
}
