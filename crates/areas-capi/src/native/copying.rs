//! Bytes in and out, checked: for who would rather have an error than a fault.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};
use std::os::fd::BorrowedFd;

use areas::{Error, Kind, Result};

use super::area::{Any, Handle, change, look};
use super::changes::{OnProgress, teller};
use super::errors::{invalid, status};

/// Copies bytes of an area out, from `offset` on, into memory of the caller's own that is no part of an area.
///
/// What others write meanwhile may be seen in part. Of a resizable area the kernel copies, so that who shrinks it meanwhile makes it an error, not a
/// fault. AREAS_ERROR_OUT_OF_RANGE beyond the size, AREAS_ERROR_READ_ONLY where its protection forbids it, AREAS_ERROR_INVALID_INPUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_read_at(
    area: *const Handle,
    offset: usize,
    into: *mut c_void,
    size: usize,
) -> c_int {
    status(|| {
        const WHAT: &str = "read from an area";
        // SAFETY: C's promise.
        let area = unsafe { look(area, WHAT) }?;
        let into = match size {
            0 => &mut [],
            _ => {
                check(into.cast_const(), size, WHAT)?;
                // SAFETY: not NULL and of a size that memory can have (checked), and then so many bytes of the caller's own (C's promise).
                unsafe { std::slice::from_raw_parts_mut(into.cast::<u8>(), size) }
            }
        };
        match area {
            Any::Private(area) => {
                part(area.as_bytes()?, offset, size).map(|bytes| into.copy_from_slice(bytes))
            }
            Any::Frozen(area) => part(area.as_bytes(), offset, size).map(|bytes| into.copy_from_slice(bytes)),
            Any::Shared(area) => area.read_at(offset, into),
            Any::Resizable(area) => area.read_at(offset, into),
        }
    })
}

/// Copies bytes into an area, from `offset` on, of memory of the caller's own that is no part of an area. It never makes it larger.
///
/// AREAS_ERROR_OUT_OF_RANGE beyond the size, AREAS_ERROR_READ_ONLY where its protection forbids it, AREAS_ERROR_FROZEN,
/// AREAS_ERROR_INVALID_INPUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_write_at(
    area: *mut Handle,
    offset: usize,
    bytes: *const c_void,
    size: usize,
) -> c_int {
    status(|| {
        const WHAT: &str = "write to an area";
        // SAFETY: C's promise.
        let area = unsafe { change(area, WHAT) }?;
        let bytes = match size {
            0 => &[],
            _ => {
                check(bytes, size, WHAT)?;
                // SAFETY: not NULL and of a size that memory can have (checked), and then so many bytes of the caller's own (C's promise).
                unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), size) }
            }
        };
        put(area, offset, bytes, WHAT)
    })
}

/// Copies bytes from one area to another, or within one where the two ranges do not overlap.
///
/// Between a resizable area and a shared one it cannot be done in one go: areas_read_at, areas_write_at (AREAS_ERROR_UNSUPPORTED).
/// Otherwise errors as theirs; AREAS_ERROR_INVALID_INPUT for ranges that overlap, by way of clones as well.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_copy(
    from: *const Handle,
    offset: usize,
    to: *mut Handle,
    at: usize,
    size: usize,
) -> c_int {
    status(|| {
        const WHAT: &str = "copy from one area to another";
        if std::ptr::eq(from, to) {
            // SAFETY: C's promise.
            return match unsafe { change(to, WHAT) }? {
                Any::Shared(area) => area.copy_to(offset, area, at, size),
                Any::Private(area) => {
                    let bytes = area.as_bytes_mut()?;
                    part(bytes, offset, size)?;
                    part(bytes, at, size)?;
                    if offset.abs_diff(at) < size {
                        return Err(invalid(WHAT, "the two ranges overlap"));
                    }
                    bytes.copy_within(offset..offset + size, at);
                    Ok(())
                }
                Any::Frozen(area) => Err(frozen(area.to_string())),
                Any::Resizable(_) => Err(not_in_one()),
            };
        }
        // SAFETY: C's promise; the two are not the same (looked at).
        let from = unsafe { look(from, WHAT) }?;
        // SAFETY: as above.
        let to = unsafe { change(to, WHAT) }?;
        match (from, to) {
            (Any::Private(from), to) => put(to, at, part(from.as_bytes()?, offset, size)?, WHAT),
            (Any::Frozen(from), to) => put(to, at, part(from.as_bytes(), offset, size)?, WHAT),
            (_, Any::Frozen(to)) => Err(frozen(to.to_string())),
            (Any::Shared(from), Any::Shared(to)) => from.copy_to(offset, to, at, size),
            (Any::Shared(from), Any::Private(to)) => {
                part_mut(to.as_bytes_mut()?, at, size).and_then(|into| from.read_at(offset, into))
            }
            (Any::Resizable(from), Any::Private(to)) => {
                // First a look, so that nothing is copied that is not all there. (Who shrinks it after the look makes it a part.)
                let all = from.size();
                if offset.checked_add(size).is_none_or(|end| end > all) {
                    return Err(out_of_range(offset, size, all));
                }
                part_mut(to.as_bytes_mut()?, at, size).and_then(|into| from.read_at(offset, into))
            }
            (Any::Shared(_), Any::Resizable(_)) | (Any::Resizable(_), Any::Shared(_) | Any::Resizable(_)) => {
                Err(not_in_one())
            }
        }
    })
}

/// Fills a shared area from a file, from its first byte on: as many bytes as the area has, read in parallel by threads near to where the pages
/// are to be. All of it is in RAM then. `on_progress` may be NULL; it is called on this thread, and must not use the area's handle.
///
/// AREAS_ERROR_IO if the file cannot be read or has fewer bytes, AREAS_ERROR_NO_MEMORY as areas_populate, AREAS_ERROR_READ_ONLY,
/// AREAS_ERROR_FROZEN, AREAS_ERROR_LIMIT, AREAS_ERROR_UNSUPPORTED for private and resizable areas.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_fill(
    area: *mut Handle,
    file: c_int,
    on_progress: OnProgress,
    context: *mut c_void,
) -> c_int {
    status(|| {
        const WHAT: &str = "fill an area from a file";
        // SAFETY: C's promise.
        let area = unsafe { change(area, WHAT) }?;
        if file < 0 {
            return Err(invalid(WHAT, "the number of the file is negative"));
        }
        // SAFETY: not -1 (checked). It stays open for the call, or C's promise is broken and the kernel says EBADF, or another file of
        // the program's is read: nothing of ours relies on which one it is.
        let file = unsafe { BorrowedFd::borrow_raw(file) };
        match area {
            Any::Shared(area) => area.fill_from(file, &mut teller(on_progress, context)),
            Any::Frozen(area) => Err(frozen(area.to_string())),
            Any::Private(_) | Any::Resizable(_) => Err(Error::new(Kind::Unsupported, WHAT)
                .detail("it is private memory, or may shrink meanwhile")
                .help("read the file into it, or make it shared: kind AREAS_SHARED")),
        }
    })
}

/// Writes to an area of any kind.
fn put(area: &mut Any, offset: usize, bytes: &[u8], what: &'static str) -> Result<()> {
    match area {
        Any::Private(area) => part_mut(area.as_bytes_mut()?, offset, bytes.len())
            .map(|into| into.copy_from_slice(bytes))
            .map_err(|error| Error::new(error.kind(), what).caused_by(error)),
        Any::Shared(area) => area.write_at(offset, bytes),
        Any::Resizable(area) => area.write_at(offset, bytes),
        Any::Frozen(area) => Err(frozen(area.to_string())),
    }
}

/// Whether there can be memory of the program's there.
fn check(memory: *const c_void, size: usize, what: &'static str) -> Result<()> {
    match memory.is_null() || size > isize::MAX.unsigned_abs() {
        true => Err(invalid(what, "the memory is NULL, or larger than any can be")),
        false => Ok(()),
    }
}

fn out_of_range(offset: usize, size: usize, all: usize) -> Error {
    Error::new(Kind::OutOfRange, format!("access {size} bytes at offset {offset}"))
        .detail(format!("the size is {all} bytes"))
}

fn part(bytes: &[u8], offset: usize, size: usize) -> Result<&[u8]> {
    let end = offset.checked_add(size);
    end.and_then(|end| bytes.get(offset..end)).ok_or_else(|| out_of_range(offset, size, bytes.len()))
}

fn part_mut(bytes: &mut [u8], offset: usize, size: usize) -> Result<&mut [u8]> {
    let all = bytes.len();
    let end = offset.checked_add(size);
    end.and_then(|end| bytes.get_mut(offset..end)).ok_or_else(|| out_of_range(offset, size, all))
}

fn frozen(area: String) -> Error {
    Error::new(Kind::Frozen, format!("write to {area}")).detail("it is frozen: nobody can write it any more")
}

fn not_in_one() -> Error {
    Error::new(Kind::Unsupported, "copy from one area to another")
        .detail("one is resizable, and may shrink meanwhile")
        .help("copy by way of memory of your own: areas_read_at, areas_write_at")
}
