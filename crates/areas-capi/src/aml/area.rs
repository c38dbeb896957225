//! Areas in general: a table of operations and their data, ours or a C program's own.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{CStr, c_char, c_int, c_void};

use areas::{Error, ErrorKind};

use super::error::{SUCCESS, broken, failed, invalid, null};
use crate::edge::catch_panic;

/// `struct aml_area_data`: whatever an area's operations want to find there.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Data {
    _opaque: [u8; 0],
}

/// `struct aml_area_mmap_options`: what an area's mmap takes beside a size, in a form that only it
/// knows.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Options {
    _opaque: [u8; 0],
}

type Mmap = unsafe extern "C" fn(*const Data, usize, *mut Options) -> *mut c_void;
pub(super) type Munmap = unsafe extern "C" fn(*const Data, *mut c_void, usize) -> c_int;
pub(super) type Fprintf = unsafe extern "C" fn(*const Data, *mut libc::FILE, *const c_char) -> c_int;

/// `struct aml_area_ops`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Ops {
    pub(super) mmap: Option<Mmap>,
    pub(super) munmap: Option<Munmap>,
    pub(super) fprintf: Option<Fprintf>,
}

/// `struct aml_area`. Both interfaces have it; the older one's operations begin with another mmap.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Area<O = Ops> {
    pub(super) ops: *const O,
    pub(super) data: *const Data,
}

impl<O> Clone for Area<O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O> Copy for Area<O> {}

// SAFETY: two addresses; what lies behind them is used by the functions that take an area, whose
// callers answer for it.
unsafe impl<O> Send for Area<O> {}
// SAFETY: nothing is done with a shared area but to copy its two addresses; who uses what is behind
// them answers for that.
unsafe impl<O> Sync for Area<O> {}

/// An operation of an area, with the data that it wants.
///
/// # Errors
/// What the caller of the area gets: no area, no operations, or not this one.
///
/// # Safety
/// `area` is NULL or an area whose operations are NULL or a table.
pub(super) unsafe fn operation<O, F>(
    area: *const Area<O>,
    what: &'static str,
    pick: impl FnOnce(&O) -> Option<F>,
) -> Result<(F, *const Data), c_int> {
    // SAFETY: NULL or an area (the caller's promise).
    let Some(area) = (unsafe { area.as_ref() }) else {
        return Err(invalid(what, "the area is NULL"));
    };
    // SAFETY: NULL or a table (the caller's promise).
    let Some(ops) = (unsafe { area.ops.as_ref() }) else {
        return Err(invalid(what, "the area has no operations: its ops is NULL"));
    };
    let missing = || {
        Error::new(ErrorKind::Unsupported, what)
            .with_facts("the area does not have the operation: it is NULL in its ops")
            .with_remedy("fill it in where the area is made")
    };
    pick(ops).map(|operation| (operation, area.data)).ok_or_else(|| failed(missing()))
}

/// Maps from an area. Mapping no bytes is not an error: NULL, with `aml_errno` as it was.
///
/// # Safety
/// An area or NULL, and the options that its mmap takes.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn aml_area_mmap(
    area: *const Area,
    size: usize,
    options: *mut Options,
) -> *mut c_void {
    catch_panic(std::ptr::null_mut(), || {
        if size == 0 {
            return std::ptr::null_mut();
        }
        // SAFETY: NULL or an area (the caller's promise).
        match unsafe { operation(area, "map from an area", |ops: &Ops| ops.mmap) } {
            // SAFETY: the area's own operation, with its data and its options (the caller's
            // promise).
            Ok((mmap, data)) => unsafe { mmap(data, size, options) },
            Err(failure) => null(failure),
        }
    })
}

/// Releases what was mapped. NULL and no bytes are nothing to do.
///
/// # Safety
/// An area or NULL, and what it mapped.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn aml_area_munmap(area: *const Area, start: *mut c_void, size: usize) -> c_int {
    catch_panic(broken(), || {
        if start.is_null() || size == 0 {
            return SUCCESS;
        }
        // SAFETY: NULL or an area (the caller's promise).
        match unsafe { operation(area, "unmap from an area", |ops: &Ops| ops.munmap) } {
            // SAFETY: the area's own operation, with its data and what it mapped (the caller's
            // promise).
            Ok((munmap, data)) => unsafe { munmap(data, start, size) },
            Err(failure) => failure,
        }
    })
}

/// Prints what an area is, each line behind a prefix (NULL is none).
///
/// # Safety
/// A stream, NULL or a string, an area or NULL.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_fprintf(
    stream: *mut libc::FILE,
    prefix: *const c_char,
    area: *const Area,
) -> c_int {
    catch_panic(broken(), || {
        if stream.is_null() {
            return invalid("print an area", "the stream is NULL");
        }
        let prefix = if prefix.is_null() { c"".as_ptr() } else { prefix };
        // SAFETY: NULL or an area (the caller's promise).
        match unsafe { operation(area, "print an area", |ops: &Ops| ops.fprintf) } {
            // SAFETY: the area's own operation, with its data, a stream and a string (the caller's
            // promise).
            Ok((fprintf, data)) => unsafe { fprintf(data, stream, prefix) },
            Err(failure) => failure,
        }
    })
}

/// A prefix, as text; NULL is none.
///
/// # Safety
/// NULL or a string that outlives the answer.
pub(super) unsafe fn prefix<'a>(text: *const c_char) -> &'a [u8] {
    match text.is_null() {
        true => b"",
        // SAFETY: a string (the caller's promise) that is not null (checked).
        false => unsafe { CStr::from_ptr(text) }.to_bytes(),
    }
}
