//! `libareas-cut.so`: a program that is linked with it, or started with it in `LD_PRELOAD`, has the
//! areas library notified at once of all memory that it unmaps, maps over or moves.
//!
//! It interposes `munmap`, `mmap`, `mremap` and `shmat`. Each does what it did, by the function
//! that comes next or by the kernel; a library that has areas there is notified before and
//! afterwards ([`listeners`]). Afterwards it compares what the kernel has with what it holds, so
//! that what another thread has put there concurrently is not touched; until then it returns no
//! address there without a look. `errno` is left as the call left it.
//!
//! It allocates nothing, takes no lock, and has no thread-local values: it may be called before the
//! first constructor, inside of `malloc`, in signal handlers, in forked children. Why it is built
//! so: docs/design/cutting-at-once.md.

#![expect(unsafe_code, reason = "interposes functions of C; each block has its proof")]

mod listeners;
mod next;

use std::ffi::{c_int, c_void};

use listeners::{Taken, What, before};
use next::Next;

/// To the end of all addresses.
const ALL: usize = usize::MAX;
/// No page is larger (x86 and most others). What a call in such pages takes is rounded up to them.
const LARGEST_PAGE: usize = 1 << 30;

/// Unmaps.
///
/// # Safety
/// The caller owns the range, and nothing uses it again: munmap(2).
#[unsafe(no_mangle)]
unsafe extern "C" fn munmap(start: *mut c_void, length: usize) -> c_int {
    let taken = before(What::Before, start.addr(), length);
    // SAFETY: the program unmaps what it owns and does not use again (the caller).
    let status = unsafe { next::munmap(start, length) };
    taken.after();
    status
}

/// Maps; with `MAP_FIXED`, over what is there.
///
/// # Safety
/// With MAP_FIXED in `flags` the caller owns the range that is mapped over, and nothing uses again
/// what was there: mmap(2).
#[unsafe(no_mangle)]
unsafe extern "C" fn mmap(
    start: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: i64,
) -> *mut c_void {
    // SAFETY: with MAP_FIXED the caller owns what is mapped over, and does not use it again; else
    // the kernel maps over nothing.
    unsafe { map_by(&next::MMAP, start, length, protection, flags, file, offset) }
}

/// The same: offsets have 64 bits here.
///
/// # Safety
/// With MAP_FIXED in `flags` the caller owns the range that is mapped over, and nothing uses again
/// what was there: mmap(2).
#[unsafe(no_mangle)]
unsafe extern "C" fn mmap64(
    start: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: i64,
) -> *mut c_void {
    // SAFETY: with MAP_FIXED the caller owns what is mapped over, and does not use it again; else
    // the kernel maps over nothing.
    unsafe { map_by(&next::MMAP64, start, length, protection, flags, file, offset) }
}

/// Maps by one of the two functions for it, and has the library look where something was replaced.
///
/// # Safety
/// With MAP_FIXED in `flags` the caller owns the range that is mapped over, and nothing uses again
/// what was there: mmap(2).
unsafe fn map_by(
    function: &Next,
    start: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: i64,
) -> *mut c_void {
    let taken = over(start, length, flags);
    // SAFETY: with MAP_FIXED the caller owns what is mapped over, and does not use it again; else
    // the kernel maps over nothing.
    let mapped = unsafe { next::map(function, start, length, protection, flags, file, offset) };
    if let Some(taken) = taken {
        taken.after();
    }
    mapped
}

/// What a mapping at fixed addresses may replace. A call that fails may unmap what is there, too.
fn over(start: *mut c_void, length: usize, flags: c_int) -> Option<Taken> {
    if flags & libc::MAP_FIXED == 0 || flags & libc::MAP_FIXED_NOREPLACE == libc::MAP_FIXED_NOREPLACE {
        return None;
    }
    // Of huge pages the kernel maps whole ones. Whether those of a file are huge is not asked: a
    // look at more addresses costs less.
    let huge = flags & libc::MAP_HUGETLB != 0 || flags & libc::MAP_ANONYMOUS == 0;
    let length = if huge { length.checked_next_multiple_of(LARGEST_PAGE).unwrap_or(ALL) } else { length };
    Some(before(What::Before, start.addr(), length))
}

/// Makes a mapping longer or shorter, or moves it. The fifth argument is there only where the flags
/// say so: this is a function with a variable list of arguments in C, whose first words are passed
/// as those of any other, on all machines that Linux and this crate know.
///
/// # Safety
/// The caller owns what is moved, and with MREMAP_FIXED what is mapped over, and nothing uses them
/// again where they were: mremap(2).
#[unsafe(no_mangle)]
unsafe extern "C" fn mremap(
    start: *mut c_void,
    length: usize,
    new_length: usize,
    flags: c_int,
    new_start: *mut c_void,
) -> *mut c_void {
    // It may move, or double (a length of 0), what is there: then the memory is elsewhere, too, or
    // only.
    let what = if flags & libc::MREMAP_MAYMOVE != 0 { What::BeforeMoving } else { What::Before };
    let from = before(what, start.addr(), length.max(1));
    let fixed = flags & libc::MREMAP_FIXED != 0;
    let to = fixed.then(|| before(What::Before, new_start.addr(), new_length));
    // SAFETY: what is moved, and with MREMAP_FIXED what is mapped over, the caller owns and does
    // not use at its old address.
    let moved = unsafe { next::mremap(start, length, new_length, flags, new_start) };
    from.after();
    if let Some(to) = to {
        to.after();
    }
    moved
}

/// Maps a segment of System V's shared memory; with `SHM_REMAP`, over what is there.
///
/// # Safety
/// With SHM_REMAP in `flags` the caller owns what is mapped over, and nothing uses again what was
/// there: shmat(2).
#[unsafe(no_mangle)]
unsafe extern "C" fn shmat(segment: c_int, start: *const c_void, flags: c_int) -> *mut c_void {
    // How long it is not every process may ask. The address may be rounded down (SHM_RND), by 64
    // KiB at most.
    let over = flags & libc::SHM_REMAP != 0;
    let taken = over.then(|| before(What::Before, start.addr() & !0xffff, ALL));
    // SAFETY: with SHM_REMAP nothing uses what is mapped over (the caller); else the kernel
    // attaches over nothing.
    let mapped = unsafe { next::shmat(segment, start, flags) };
    if let Some(taken) = taken {
        taken.after();
    }
    mapped
}
