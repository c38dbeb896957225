//! The area allocator: each allocation is a mapping of its own.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::collections::HashMap;
use std::ffi::{c_int, c_void};

use super::allocator::{Allocator, Data, Ops, State, allocate, create, destroy, free};
use super::area::{Area, Options};
use super::error::{SUCCESS, broken, invalid};
use crate::edge::catch_panic;

/// The bytes of each mapping that is out.
type Table = HashMap<usize, usize>;

#[unsafe(no_mangle)]
static mut aml_allocator_area_ops: Ops = Ops {
    alloc: Some(aml_allocator_area_alloc),
    free: Some(aml_allocator_area_free),
    alloc_chunk: None,
    free_chunk: None,
};

/// # Safety
/// NULL or a place for a pointer, an area that outlives the allocator, the options of its
/// mmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_allocator_area_create(
    out: *mut *mut Allocator,
    area: *const Area,
    options: *mut Options,
) -> c_int {
    catch_panic(broken(), || {
        let ops = &raw const aml_allocator_area_ops;
        // SAFETY: `out` is NULL or a place for a pointer; `area` is NULL, or outlives the allocator
        // and takes these options (the caller).
        unsafe { create(out, area, options, ops, Table::new()) }
    })
}

/// Unmaps all that is still out.
///
/// # Safety
/// NULL, or a place that has NULL or an allocator that nothing uses again.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_allocator_area_destroy(allocator: *mut *mut Allocator) -> c_int {
    catch_panic(broken(), || {
        let ops = &raw const aml_allocator_area_ops;
        // SAFETY: `allocator` is NULL, or a place with NULL or an allocator that nothing uses again
        // (the caller); `ops` are those that it was made with, if it is of this type.
        unsafe { destroy(allocator, ops, |source, table: &mut Table| source.unmap_all(table)) }
    })
}

/// # Safety
/// The data of such an allocator.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_allocator_area_alloc(data: *mut Data, size: usize) -> *mut c_void {
    let take = |state: &State<Table>| {
        if size == 0 {
            return Err(invalid("allocate", "the size is 0"));
        }
        let start = state.source.map(size)?;
        let twice = state.table.with(|table| table.insert(start, size)).is_some();
        debug_assert!(!twice, "an area gives no address that is in use");
        Ok(start)
    };
    // SAFETY: `data` is NULL, or that of an allocator of this type (the caller).
    unsafe { allocate(data, take) }
}

/// # Safety
/// The data of such an allocator, and what it gave, which nothing uses again.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_allocator_area_free(data: *mut Data, start: *mut c_void) -> c_int {
    let give_back = |state: &State<Table>, start| {
        // Out of the table first: once it is unmapped, another thread may be given the same
        // address.
        let Some(size) = state.table.with(|table| table.remove(&start)) else {
            return invalid("free", "the allocator did not hand out that address, or it was freed already");
        };
        match state.source.unmap(start, size) {
            Ok(()) => SUCCESS,
            Err(failure) => {
                state.table.with(|table| table.insert(start, size));
                failure
            }
        }
    };
    // SAFETY: `data` is NULL, or that of an allocator of this type, and nothing uses again what is
    // freed (the caller).
    unsafe { free(data, start, give_back) }
}
