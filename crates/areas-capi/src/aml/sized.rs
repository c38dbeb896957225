//! The sized allocator: chunks of one size, cut from pools.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::collections::{HashMap, HashSet};
use std::ffi::{c_int, c_void};

use super::allocator::{Allocator, Data, Ops, State, allocate, create, destroy, free};
use super::area::{Area, Options};
use super::error::{SUCCESS, broken, invalid};
use super::pool::Source;
use crate::edge::catch_panic;

/// What a first pool has room for, if chunks are not larger.
const FIRST: usize = 1 << 20;
/// What pools grow to, if chunks are not larger.
const LARGEST: usize = 64 << 20;

/// The owners of chunks.
#[derive(Debug)]
struct Table {
    size: usize,
    /// The bytes of each, by its address.
    pools: HashMap<usize, usize>,
    free: Vec<usize>,
    used: HashSet<usize>,
    /// Bytes of the next pool, before they are cut to whole chunks.
    next: usize,
}

impl Table {
    fn take(&mut self, source: &Source) -> Result<usize, c_int> {
        if self.free.is_empty() {
            self.grow(source)?;
        }
        let start = self.free.pop().ok_or_else(broken)?;
        self.used.insert(start);
        Ok(start)
    }

    fn grow(&mut self, source: &Source) -> Result<(), c_int> {
        let (start, mapped) = source.map_rather(self.next.max(self.size), self.size)?;
        self.pools.insert(start, mapped);
        self.next = mapped.saturating_mul(2).min(LARGEST);
        // The lowest address is given out first.
        self.free.extend((0..mapped / self.size).rev().map(|index| start + index * self.size));
        Ok(())
    }

    /// Chunks of pools that are gone are neither given out nor taken back, should another pool
    /// stay.
    fn forget_the_gone(&mut self) {
        let Table { pools, free, used, .. } = self;
        let stays = |at: &usize| pools.iter().any(|(&start, &size)| (start..start + size).contains(at));
        free.retain(stays);
        used.retain(stays);
    }

    fn give_back(&mut self, start: usize) -> c_int {
        match self.used.remove(&start) {
            true => {
                self.free.push(start);
                SUCCESS
            }
            false => invalid("free", "the allocator did not hand out that address, or it was freed already"),
        }
    }
}

#[unsafe(no_mangle)]
static mut aml_allocator_sized_ops: Ops = Ops {
    alloc: Some(aml_allocator_sized_alloc),
    free: Some(aml_allocator_sized_free),
    alloc_chunk: None,
    free_chunk: None,
};

/// # Safety
/// NULL or a place for a pointer, an area that outlives the allocator, the options of its
/// mmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_allocator_sized_create(
    out: *mut *mut Allocator,
    size: usize,
    area: *const Area,
    options: *mut Options,
) -> c_int {
    catch_panic(broken(), || {
        if size == 0 {
            if !out.is_null() {
                // SAFETY: a place for a pointer (the caller's promise) that is not null (checked).
                // It may never have been written.
                unsafe { out.write(std::ptr::null_mut()) };
            }
            return invalid("make an allocator", "the size of its chunks is 0");
        }
        let table =
            Table { size, pools: HashMap::new(), free: Vec::new(), used: HashSet::new(), next: FIRST };
        let ops = &raw const aml_allocator_sized_ops;
        // SAFETY: `out` is NULL or a place for a pointer; `area` is NULL, or outlives the allocator
        // and takes these options (the caller).
        unsafe { create(out, area, options, ops, table) }
    })
}

/// Unmaps all pools, whether their chunks were released or not.
///
/// # Safety
/// NULL, or a place that has NULL or an allocator that nothing uses again.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_allocator_sized_destroy(allocator: *mut *mut Allocator) -> c_int {
    catch_panic(broken(), || {
        let ops = &raw const aml_allocator_sized_ops;
        // SAFETY: `allocator` is NULL, or a place with NULL or an allocator that nothing uses again
        // (the caller); `ops` are those that it was made with, if it is of this type.
        unsafe {
            destroy(allocator, ops, |source, table: &mut Table| {
                let status = source.unmap_all(&mut table.pools);
                table.forget_the_gone();
                status
            })
        }
    })
}

/// # Safety
/// The data of such an allocator.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn aml_allocator_sized_alloc(data: *mut Data, size: usize) -> *mut c_void {
    let take = |state: &State<Table>| {
        state.table.with(|table| match size == table.size {
            true => table.take(&state.source),
            false => Err(invalid("allocate", "the size is not that of the allocator's chunks")),
        })
    };
    // SAFETY: `data` is NULL, or that of an allocator of this type (the caller).
    unsafe { allocate(data, take) }
}

/// # Safety
/// The data of such an allocator, and what it gave, which nothing uses again.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn aml_allocator_sized_free(data: *mut Data, start: *mut c_void) -> c_int {
    let give_back = |state: &State<Table>, start| state.table.with(|table| table.give_back(start));
    // SAFETY: `data` is NULL, or that of an allocator of this type, and nothing uses again what is
    // freed (the caller).
    unsafe { free(data, start, give_back) }
}
