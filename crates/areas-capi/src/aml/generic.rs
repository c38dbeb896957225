//! The calls of any allocator, ours or a C program's own: each finds its operation in the table of
//! the allocator that it is given.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};

use areas::{Error, ErrorKind};

use super::allocator::{Alloc, Allocator, Chunk, Data, Free, Ops};
use super::buddy::{aml_allocator_buddy_alloc, aml_allocator_buddy_free};
use super::error::{SUCCESS, broken, failed, invalid, null};
use super::sized::{aml_allocator_sized_alloc, aml_allocator_sized_free};
use crate::edge::catch_panic;

/// An operation of an allocator, with the data that it wants.
///
/// # Safety
/// `allocator` is NULL or an allocator whose operations are NULL or a table.
unsafe fn operation<F>(
    allocator: *const Allocator,
    what: &'static str,
    pick: impl FnOnce(&Ops) -> Option<F>,
) -> Result<(F, *mut Data), c_int> {
    if allocator.is_null() {
        return Err(invalid(what, "the allocator is NULL"));
    }
    // SAFETY: NULL or an allocator (the caller's promise).
    match unsafe { table(allocator) } {
        Some((ops, data)) => match pick(ops) {
            Some(operation) => Ok((operation, data)),
            None => Err(failed(
                Error::new(ErrorKind::Unsupported, what)
                    .with_facts("the allocator does not have the operation"),
            )),
        },
        None => Err(invalid(what, "the allocator has no operations or no data")),
    }
}

/// Operations that guard themselves, and their area's operations, which are all that could end a
/// cancelled thread in there. (The operations, and not their tables, which C may write to.)
const ALLOC: [Alloc; 2] = [aml_allocator_buddy_alloc, aml_allocator_sized_alloc];

const FREE: [Free; 2] = [aml_allocator_buddy_free, aml_allocator_sized_free];

/// The table of operations of an allocator that has one, and data.
///
/// # Safety
/// `allocator` is NULL or an allocator whose operations are NULL or a table.
#[inline(always)]
unsafe fn table<'a>(allocator: *const Allocator) -> Option<(&'a Ops, *mut Data)> {
    // SAFETY: NULL or an allocator (the caller's promise).
    let allocator = unsafe { allocator.as_ref() }.filter(|allocator| !allocator.data.is_null())?;
    // SAFETY: NULL or a table (the caller's promise).
    unsafe { allocator.ops.as_ref() }.map(|ops| (ops, allocator.data))
}

/// # Safety
/// NULL or an allocator.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_alloc(allocator: *mut Allocator, size: usize) -> *mut c_void {
    // The short way to our own, which is asked for often.
    // SAFETY: NULL or an allocator (the caller's promise).
    if let Some((&Ops { alloc: Some(alloc), .. }, data)) = unsafe { table(allocator) }
        && ALLOC.iter().any(|&ours| std::ptr::fn_addr_eq(ours, alloc))
    {
        // SAFETY: the allocator's own operation, with its data (the caller's promise).
        return unsafe { alloc(data, size) };
    }
    catch_panic(std::ptr::null_mut(), || {
        // SAFETY: NULL or an allocator (the caller's promise).
        match unsafe { operation(allocator, "allocate", |ops| ops.alloc) } {
            // SAFETY: the allocator's own operation, with its data (the caller's promise).
            Ok((alloc, data)) => unsafe { alloc(data, size) },
            Err(failure) => null(failure),
        }
    })
}

/// # Safety
/// NULL or an allocator, NULL or what it gave, which nothing uses again.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_free(allocator: *mut Allocator, start: *mut c_void) -> c_int {
    // SAFETY: NULL or an allocator (the caller's promise).
    if let Some((&Ops { free: Some(free), .. }, data)) = unsafe { table(allocator) }
        && FREE.iter().any(|&ours| std::ptr::fn_addr_eq(ours, free))
    {
        // SAFETY: the allocator's own operation, with its data (the caller's promise).
        return unsafe { free(data, start) };
    }
    catch_panic(broken(), || {
        if start.is_null() {
            return SUCCESS;
        }
        // SAFETY: NULL or an allocator (the caller's promise).
        match unsafe { operation(allocator, "free", |ops| ops.free) } {
            // SAFETY: the allocator's own operation, with its data (the caller's promise).
            Ok((free, data)) => unsafe { free(data, start) },
            Err(failure) => failure,
        }
    })
}

/// # Safety
/// NULL or an allocator.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_allocator_alloc_chunk(allocator: *mut Allocator, size: usize) -> *mut Chunk {
    catch_panic(std::ptr::null_mut(), || {
        // SAFETY: NULL or an allocator (the caller's promise).
        match unsafe { operation(allocator, "allocate a chunk", |ops| ops.alloc_chunk) } {
            // SAFETY: the allocator's own operation, with its data (the caller's promise).
            Ok((alloc, data)) => unsafe { alloc(data, size) },
            Err(failure) => null(failure),
        }
    })
}

/// # Safety
/// NULL or an allocator, NULL or a chunk that it gave, which nothing uses again.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_allocator_free_chunk(allocator: *mut Allocator, chunk: *mut Chunk) -> c_int {
    catch_panic(broken(), || {
        if chunk.is_null() {
            return SUCCESS;
        }
        // SAFETY: NULL or an allocator (the caller's promise).
        match unsafe { operation(allocator, "free a chunk", |ops| ops.free_chunk) } {
            // SAFETY: the allocator's own operation, with its data (the caller's promise).
            Ok((free, data)) => unsafe { free(data, chunk) },
            Err(failure) => failure,
        }
    })
}
