//! Bytes in and out, checked: for who would rather have an error than a fault.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};
use std::os::fd::BorrowedFd;

use areas::{Area, Error, ErrorKind, Frozen, Private, Protection, Result};

use super::area::{Any, Handle, change, look};
use super::changes::{OnProgress, reporter};
use super::errors::{invalid, status};

/// Copies bytes of an area out, from `offset` on, into memory of the caller's own that is not a
/// part of an area.
///
/// What others write concurrently may be seen in part. No other thread may write the bytes of a
/// private area concurrently, as with memcpy. The kernel copies from a resizable area, so that
/// shrinking it concurrently is an error, not a fault. AREAS_ERROR_OUT_OF_RANGE beyond the size,
/// AREAS_ERROR_READ_ONLY where its protection forbids it, AREAS_ERROR_INVALID_INPUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_read_at(
    area: Option<&Handle>,
    offset: usize,
    into: *mut c_void,
    size: usize,
) -> c_int {
    status(|| {
        const WHAT: &str = "read from an area";
        let area = look(area, WHAT)?;
        let into = match size {
            0 => &mut [],
            _ => {
                check(into.cast_const(), size, WHAT)?;
                // SAFETY: not NULL and of a size that memory can have (checked), and then so many
                // bytes of the caller's own, no part of an area (C's promise). Whatever is in them
                // are bytes, and none is read before it is written.
                unsafe { std::slice::from_raw_parts_mut(into.cast::<u8>(), size) }
            }
        };
        match area {
            Any::Private(area) => {
                let from = private(area, offset, size, Protection::READ, WHAT)?;
                // SAFETY: `size` bytes that are mapped and readable (`private`), and that nothing
                // writes concurrently (C's promise); `into` is as long, and no part of an area (C's
                // promise).
                unsafe { std::ptr::copy_nonoverlapping(from, into.as_mut_ptr(), size) };
                Ok(())
            }
            Any::Frozen(area) => sealed(area, offset, size, WHAT).map(|bytes| into.copy_from_slice(bytes)),
            Any::Shared(area) => area.read_at(offset, into),
            Any::Resizable(area) => area.read_at(offset, into),
            Any::Stored(area) => area.read_at(offset, into),
        }
    })
}

/// Copies bytes into an area, from `offset` on, of memory of the caller's own that is not a part of
/// an area. It never makes it larger. No other thread may use the bytes of a private area
/// concurrently, as with memcpy.
///
/// AREAS_ERROR_OUT_OF_RANGE beyond the size, AREAS_ERROR_READ_ONLY where its protection forbids it,
/// AREAS_ERROR_FROZEN, AREAS_ERROR_INVALID_INPUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_write_at(
    area: Option<&mut Handle>,
    offset: usize,
    bytes: *const c_void,
    size: usize,
) -> c_int {
    status(|| {
        const WHAT: &str = "write to an area";
        let area = change(area, WHAT)?;
        let bytes = match size {
            0 => &[],
            _ => {
                check(bytes, size, WHAT)?;
                // SAFETY: not NULL and of a size that memory can have (checked), and then so many
                // bytes of the caller's own (C's promise).
                unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), size) }
            }
        };
        put(area, offset, bytes, WHAT)
    })
}

/// Copies bytes from one area to another, or within one where the two ranges do not overlap.
///
/// Between a resizable or stored area and one that is not private it cannot be done in one go:
/// areas_read_at, areas_write_at (AREAS_ERROR_UNSUPPORTED). Otherwise errors as theirs;
/// AREAS_ERROR_INVALID_INPUT for ranges that overlap, by way of clones as well.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_copy(
    from: *const Handle,
    offset: usize,
    to: *mut Handle,
    at: usize,
    size: usize,
) -> c_int {
    status(|| {
        if std::ptr::eq(from, to) {
            // SAFETY: C passes NULL, or a handle that no other call uses now.
            let area = change(unsafe { to.as_mut() }, COPY)?;
            // SAFETY: nothing uses the area's memory concurrently, as this call writes it (C's
            // promise).
            return unsafe { copy_within(area, offset, at, size) };
        }
        // SAFETY: C passes NULL, or a handle that no other call changes now; it is not `to` (looked
        // at), which this call changes.
        let from = look(unsafe { from.as_ref() }, COPY)?;
        // SAFETY: C passes NULL, or a handle that no other call uses now; it is not `from`, which
        // is used too: that was looked at above.
        let to = change(unsafe { to.as_mut() }, COPY)?;
        // SAFETY: nothing writes what is read, and nothing uses what is written, concurrently (C's
        // promise).
        unsafe { copy_between(from, offset, to, at, size) }
    })
}

const COPY: &str = "copy from one area to another";

/// Copies inside of one area.
///
/// # Safety
/// Of private memory, nothing uses concurrently what is read or written.
unsafe fn copy_within(area: &mut Any, offset: usize, at: usize, size: usize) -> Result<()> {
    match area {
        Any::Shared(area) => area.copy_to(offset, area, at, size),
        Any::Private(area) => {
            let from = private(area, offset, size, Protection::READ, COPY)?;
            let to = private(area, at, size, Protection::WRITE, COPY)?;
            if offset.abs_diff(at) < size {
                return Err(invalid(COPY, "the two ranges overlap"));
            }
            // SAFETY: `size` bytes each that are mapped, readable and writable (`private`),
            // do not overlap (checked), and that nothing uses concurrently (the caller).
            unsafe { std::ptr::copy_nonoverlapping(from, to, size) };
            Ok(())
        }
        Any::Frozen(area) => Err(frozen(area.to_string())),
        Any::Resizable(_) | Any::Stored(_) => Err(not_in_one()),
    }
}

/// Copies from one area to another one.
///
/// # Safety
/// Of private memory, nothing writes concurrently what is read, and nothing uses what is written.
unsafe fn copy_between(from: &Any, offset: usize, to: &mut Any, at: usize, size: usize) -> Result<()> {
    match (from, to) {
        (Any::Private(from), to) => {
            let from = private(from, offset, size, Protection::READ, COPY)?;
            // SAFETY: `size` bytes that are mapped and readable (`private`), of no other area,
            // and that nothing writes concurrently (the caller).
            put(to, at, unsafe { std::slice::from_raw_parts(from, size) }, COPY)
        }
        (Any::Frozen(from), to) => put(to, at, sealed(from, offset, size, COPY)?, COPY),
        (_, Any::Frozen(to)) => Err(frozen(to.to_string())),
        (Any::Shared(from), Any::Shared(to)) => from.copy_to(offset, to, at, size),
        (Any::Shared(from), Any::Private(to)) => {
            let into = private(to, at, size, Protection::WRITE, COPY)?;
            // SAFETY: `size` bytes that are mapped and writable (`private`), of no other area,
            // and that nothing uses concurrently (the caller).
            from.read_at(offset, unsafe { std::slice::from_raw_parts_mut(into, size) })
        }
        (Any::Stored(from), Any::Private(to)) => {
            let into = private(to, at, size, Protection::WRITE, COPY)?;
            // SAFETY: `size` bytes at `into` are `to`'s, inside its bounds (checked), and this
            // call has `to` to itself.
            from.read_at(offset, unsafe { std::slice::from_raw_parts_mut(into, size) })
        }
        (Any::Resizable(from), Any::Private(to)) => {
            // First a look, so that nothing is copied that is not all there. (Who shrinks it
            // after the look makes it a part.)
            let all = from.size();
            if offset.checked_add(size).is_none_or(|end| end > all) {
                return Err(out_of_range(offset, size, all));
            }
            let into = private(to, at, size, Protection::WRITE, COPY)?;
            // SAFETY: `size` bytes at `into` are `to`'s, inside its bounds (checked), and this
            // call has `to` to itself.
            from.read_at(offset, unsafe { std::slice::from_raw_parts_mut(into, size) })
        }
        (Any::Stored(_), _)
        | (_, Any::Stored(_) | Any::Resizable(_))
        | (Any::Resizable(_), Any::Shared(_)) => Err(not_in_one()),
    }
}

/// Fills a shared area from a file, from its first byte on: as many bytes as the area has, read in
/// parallel by threads near to where the pages are to be. All of it is in RAM then. `on_progress`
/// may be NULL; it is called on this thread, and must not use the area's handle.
///
/// AREAS_ERROR_IO if the file cannot be read or has fewer bytes, AREAS_ERROR_NO_MEMORY as
/// areas_populate, AREAS_ERROR_READ_ONLY, AREAS_ERROR_FROZEN, AREAS_ERROR_LIMIT,
/// AREAS_ERROR_UNSUPPORTED for private, resizable and stored areas.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_fill(
    area: Option<&mut Handle>,
    file: c_int,
    on_progress: OnProgress,
    context: *mut c_void,
) -> c_int {
    status(|| {
        const WHAT: &str = "fill an area from a file";
        let area = change(area, WHAT)?;
        if file < 0 {
            return Err(invalid(WHAT, "the number of the file is negative"));
        }
        // SAFETY: not -1 (checked). It stays open for the call, or C's promise is broken and the
        // kernel says EBADF, or another file of the program's is read: nothing of ours relies on
        // which one it is.
        let file = unsafe { BorrowedFd::borrow_raw(file) };
        match area {
            Any::Shared(area) => area.fill_from(file, &mut reporter(on_progress, context)),
            Any::Frozen(area) => Err(frozen(area.to_string())),
            Any::Private(_) | Any::Resizable(_) | Any::Stored(_) => {
                Err(Error::new(ErrorKind::Unsupported, WHAT)
                    .with_facts("it is private or stored memory, or may shrink concurrently")
                    .with_remedy("read the file into it, or make it shared: kind AREAS_SHARED"))
            }
        }
    })
}

/// Writes to an area of any kind.
fn put(area: &mut Any, offset: usize, bytes: &[u8], what: &'static str) -> Result<()> {
    match area {
        Any::Private(area) => {
            let into = private(area, offset, bytes.len(), Protection::WRITE, what)?;
            // SAFETY: as many bytes that are mapped and writable (`private`), and that nothing uses
            // concurrently (C's promise); those that are copied are not a part of this area: they
            // are the caller's own, or another area's.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), into, bytes.len()) };
            Ok(())
        }
        Any::Shared(area) => area.write_at(offset, bytes),
        Any::Resizable(area) => area.write_at(offset, bytes),
        Any::Stored(area) => area.write_at(offset, bytes),
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
    Error::new(ErrorKind::OutOfRange, format!("access {size} bytes at offset {offset}"))
        .with_facts(format!("the size is {all} bytes"))
}

/// Where `size` bytes of private memory begin, from `offset` on: they are mapped, and what is
/// `needed` is allowed.
///
/// No reference is made, to them or to the whole: C's threads may be at the rest of it
/// concurrently.
fn private(
    area: &Area<Private>,
    offset: usize,
    size: usize,
    needed: Protection,
    what: &'static str,
) -> Result<*mut u8> {
    allowed(area.protection(), needed, what)?;
    let all = area.size();
    match offset.checked_add(size) {
        Some(end) if end <= all => Ok(area.as_ptr().wrapping_add(offset)),
        _ => Err(out_of_range(offset, size, all)),
    }
}

/// A part of memory that is frozen.
fn sealed<'a>(area: &'a Area<Frozen>, offset: usize, size: usize, what: &'static str) -> Result<&'a [u8]> {
    allowed(area.protection(), Protection::READ, what)?;
    let bytes = area.as_bytes();
    let end = offset.checked_add(size);
    end.and_then(|end| bytes.get(offset..end)).ok_or_else(|| out_of_range(offset, size, bytes.len()))
}

fn allowed(protection: Protection, needed: Protection, what: &'static str) -> Result<()> {
    match protection.contains(needed) {
        true => Ok(()),
        false => {
            Err(Error::new(ErrorKind::ReadOnly, what).with_facts(format!("its protection is {protection}")))
        }
    }
}

fn frozen(area: String) -> Error {
    Error::new(ErrorKind::Frozen, format!("write to {area}"))
        .with_facts("it is frozen: no process can write it any more")
}

fn not_in_one() -> Error {
    Error::new(ErrorKind::Unsupported, "copy from one area to another")
        .with_facts("one is resizable, and may shrink concurrently")
        .with_remedy("copy by way of memory of your own: areas_read_at, areas_write_at")
}
