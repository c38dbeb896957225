//! What an allocator consists of: a table of operations and their data, ours or a C program's own.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};

use super::area::{Area, Options};
use super::error::{SUCCESS, broken, invalid, no_memory, null};
use super::pool::Source;
use super::tables::{self, Table};
use crate::edge::catch_panic_in_table;

/// `struct aml_allocator_data`: whatever an allocator's operations want to find there.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Data {
    _opaque: [u8; 0],
}

/// `struct aml_allocator_chunk`: what was given out, and a word for the program.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Chunk {
    pub(super) ptr: *mut c_void,
    pub(super) size: usize,
    pub(super) user_data: *mut c_void,
}

pub(super) type Alloc = unsafe extern "C" fn(*mut Data, usize) -> *mut c_void;
pub(super) type Free = unsafe extern "C" fn(*mut Data, *mut c_void) -> c_int;
pub(super) type AllocChunk = unsafe extern "C" fn(*mut Data, usize) -> *mut Chunk;
pub(super) type FreeChunk = unsafe extern "C" fn(*mut Data, *mut Chunk) -> c_int;

/// `struct aml_allocator_ops`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Ops {
    pub(super) alloc: Option<Alloc>,
    pub(super) free: Option<Free>,
    pub(super) alloc_chunk: Option<AllocChunk>,
    pub(super) free_chunk: Option<FreeChunk>,
}

/// `struct aml_allocator`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Allocator {
    pub(super) data: *mut Data,
    pub(super) ops: *const Ops,
}

/// An allocator of ours, with its state behind what C knows of it.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Handle<T: Send + 'static> {
    allocator: Allocator,
    state: State<T>,
}

/// What an allocator of ours works with: the area, and a table that one thread at a time has. The
/// memory that is handed out is never touched: an area may be no memory at all.
#[derive(Debug)]
pub(super) struct State<T: Send + 'static> {
    pub(super) source: Source,
    pub(super) table: Table<T>,
}

/// Makes an allocator of ours over an area.
///
/// # Safety
/// NULL or a place for a pointer; NULL or an area that outlives the allocator, with the
/// options that its mmap takes.
pub(super) unsafe fn create<T: Send + 'static>(
    out: *mut *mut Allocator,
    area: *const Area,
    options: *mut Options,
    ops: *const Ops,
    table: T,
) -> c_int {
    if out.is_null() {
        return invalid("make an allocator", "the place for it is NULL");
    }
    // SAFETY: a place for a pointer (the caller's promise) that is not null (checked).
    unsafe { out.write(std::ptr::null_mut()) };
    if area.is_null() {
        return invalid("make an allocator", "the area is NULL");
    }
    if tables::ready() != 0 {
        return no_memory("make an allocator");
    }
    let state = State { source: Source { area, options }, table: Table::new(table) };
    let allocator = Allocator { data: std::ptr::null_mut(), ops };
    let handle = Box::into_raw(Box::new(Handle { allocator, state }));
    // SAFETY: just made: its fields have places.
    let state = unsafe { &raw mut (*handle).state };
    // SAFETY: just made: its fields have places.
    let data = unsafe { &raw mut (*handle).allocator.data };
    // SAFETY: just made: it may be written, and nothing else knows of it.
    unsafe { data.write(state.cast()) };
    // SAFETY: `out` is a place for a pointer: written above, and the caller's for all of the call.
    unsafe { out.write(handle.cast()) };
    SUCCESS
}

/// Ends an allocator of ours, once `release` has unmapped what it had mapped.
///
/// # Safety
/// NULL, or a place that has NULL or an allocator, which nothing uses again where this
/// succeeds. Only allocators of this type have these operations.
pub(super) unsafe fn destroy<T: Send + 'static>(
    allocator: *mut *mut Allocator,
    ops: *const Ops,
    release: impl FnOnce(&Source, &mut T) -> c_int,
) -> c_int {
    if allocator.is_null() {
        return invalid("end an allocator", "its place is NULL");
    }
    // No reference to it: what unmaps is the program's own code, which may look at its variable.
    // SAFETY: a place that has a pointer (the caller's promise) that is not null (checked).
    let made = unsafe { allocator.read() };
    // SAFETY: NULL or an allocator (the caller's promise).
    match unsafe { made.as_ref() } {
        None => return invalid("end an allocator", "it is NULL"),
        Some(made) if !std::ptr::eq(made.ops, ops) => {
            return invalid("end an allocator", "it is of another type");
        }
        Some(_) => {}
    }
    let handle = made.cast::<Handle<T>>();
    // SAFETY: made by `create`, as its operations show, and nothing else uses it concurrently (the
    // caller's promise).
    let state = unsafe { &(*handle).state };
    let status = state.table.with(|table| release(&state.source, table));
    if status == SUCCESS {
        // SAFETY: `allocator` is a place for a pointer: it was read above, and is the caller's for
        // all of the call.
        unsafe { allocator.write(std::ptr::null_mut()) };
        // SAFETY: made by `Box::into_raw`, and nothing uses it again.
        drop(unsafe { Box::from_raw(handle) });
    }
    status
}

/// The state behind the data that an operation of ours is given.
///
/// # Safety
/// `data` is NULL or that of an allocator of this type.
pub(super) unsafe fn state<'a, T: Send + 'static>(data: *mut Data) -> Option<&'a State<T>> {
    // SAFETY: NULL or such a state (the caller's promise); it is only ever read, its table behind a
    // mutex.
    unsafe { data.cast::<State<T>>().as_ref() }
}

/// What an operation of ours that allocates does: the address that `take` has, or NULL. Its area's
/// operations catch panics, and nothing else is a cancellation point.
///
/// # Safety
/// `data` is NULL or that of an allocator of this type.
pub(super) unsafe fn allocate<T: Send + 'static>(
    data: *mut Data,
    take: impl FnOnce(&State<T>) -> Result<usize, c_int>,
) -> *mut c_void {
    catch_panic_in_table(std::ptr::null_mut(), || {
        // SAFETY: `data` is NULL, or that of an allocator with a table of type `T` (the caller).
        let Some(state) = (unsafe { state::<T>(data) }) else { return null(no_data("allocate")) };
        take(state).map_or_else(null, std::ptr::with_exposed_provenance_mut)
    })
}

/// What an operation of ours that frees does; NULL is nothing to do.
///
/// # Safety
/// `data` is NULL or that of an allocator of this type, and nothing uses again what is freed.
pub(super) unsafe fn free<T: Send + 'static>(
    data: *mut Data,
    start: *mut c_void,
    give_back: impl FnOnce(&State<T>, usize) -> c_int,
) -> c_int {
    catch_panic_in_table(broken(), || {
        // SAFETY: `data` is NULL, or that of an allocator with a table of type `T` (the caller).
        match unsafe { state::<T>(data) } {
            None => no_data("free"),
            Some(_) if start.is_null() => SUCCESS,
            Some(state) => give_back(state, start.addr()),
        }
    })
}

/// What an operation says that was called without its data.
pub(super) fn no_data(what: &'static str) -> c_int {
    invalid(what, "the allocator's data is NULL")
}
