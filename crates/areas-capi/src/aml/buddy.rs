//! The buddy allocator: blocks of powers of two from 64 bytes, with chunks that can carry a word
//! for the program.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use areas::{Error, ErrorKind};

use super::allocator::{Allocator, Chunk, Data, Ops, State, allocate, create, destroy, free, no_data, state};
use super::area::{Area, Options};
use super::blocks::{Blocks, ByAddress};
use super::error::{SUCCESS, broken, failed, invalid, null};
use super::pool::Source;
use crate::edge::catch_panic;

/// A first pool is 1 MiB, if nothing larger is wanted.
const FIRST: u32 = 20;
/// Pools grow to 64 MiB, if nothing larger is wanted.
const LARGEST: u32 = 26;

/// The owners of blocks, and the chunks that are allocated.
#[derive(Debug)]
struct Table {
    blocks: Blocks,
    /// The chunk of a block, by its address.
    chunks: ByAddress<NonNull<Chunk>>,
    /// The block of a chunk, by the chunk's own address.
    owners: ByAddress<usize>,
}

// SAFETY: the chunks are boxes of this table alone, which frees them; what C writes into them is
// C's to order.
unsafe impl Send for Table {}

impl Table {
    /// A block that is large enough, and how large it is.
    fn take(&mut self, source: &Source, size: usize) -> Result<(usize, usize), c_int> {
        let Some(order) = Blocks::order_of(size) else {
            return Err(match size {
                0 => invalid("allocate", "the size is 0"),
                _ => failed(
                    Error::new(ErrorKind::NoMemory, format!("allocate {size} bytes"))
                        .with_facts("that is more than the addresses of a process"),
                ),
            });
        };
        if let Some(start) = self.blocks.take(order) {
            return Ok((start, 1 << order));
        }
        let next = self.blocks.largest_pool().map_or(FIRST, |order| (order + 1).min(LARGEST));
        let (start, mapped) = source.map_rather(1 << next.max(order), 1 << order)?;
        if !self.blocks.add_pool(start, mapped.ilog2()) {
            // The one that is here already stays.
            return Err(failed(
                Error::new(ErrorKind::AddressInUse, format!("allocate {size} bytes"))
                    .with_facts(format!("the area has mapped {start:#x} twice")),
            ));
        }
        self.blocks.take(order).map(|start| (start, 1 << order)).ok_or_else(broken)
    }

    /// The same, with a chunk that describes it.
    fn take_chunk(&mut self, source: &Source, size: usize) -> Result<NonNull<Chunk>, c_int> {
        let (start, size) = self.take(source, size)?;
        let ptr = std::ptr::with_exposed_provenance_mut(start);
        let chunk = NonNull::from(Box::leak(Box::new(Chunk { ptr, size, user_data: std::ptr::null_mut() })));
        self.chunks.insert(start, chunk);
        self.owners.insert(chunk.addr().get(), start);
        Ok(chunk)
    }

    /// Takes a block back, its chunk with it.
    fn give_back(&mut self, source: &Source, start: usize) -> c_int {
        let Some(spare) = self.blocks.give_back(start) else {
            return invalid("free", "the allocator did not hand out that address, or it was freed already");
        };
        if !self.chunks.is_empty()
            && let Some(chunk) = self.chunks.remove(&start)
        {
            self.owners.remove(&chunk.addr().get());
            // SAFETY: a box of ours that was in the table until now.
            drop(unsafe { Box::from_raw(chunk.as_ptr()) });
        }
        // One pool that is wholly free is kept for what comes; a second one is released. Where that
        // fails, it stays.
        if let Some((base, order)) = spare
            && source.unmap(base, 1 << order).is_ok()
        {
            self.blocks.remove_pool(base, order);
        }
        SUCCESS
    }
}

#[unsafe(no_mangle)]
static mut aml_allocator_buddy_ops: Ops = Ops {
    alloc: Some(aml_allocator_buddy_alloc),
    free: Some(aml_allocator_buddy_free),
    alloc_chunk: Some(aml_allocator_buddy_alloc_chunk),
    free_chunk: Some(aml_allocator_buddy_free_chunk),
};

/// # Safety
/// NULL or a place for a pointer, an area that outlives the allocator, the options of its
/// mmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_allocator_buddy_create(
    out: *mut *mut Allocator,
    area: *const Area,
    options: *mut Options,
) -> c_int {
    catch_panic(broken(), || {
        let table =
            Table { blocks: Blocks::new(), chunks: ByAddress::default(), owners: ByAddress::default() };
        let ops = &raw const aml_allocator_buddy_ops;
        // SAFETY: `out` is NULL or a place for a pointer; `area` is NULL, or outlives the allocator
        // and takes these options (the caller).
        unsafe { create(out, area, options, ops, table) }
    })
}

/// Refuses as long as anything is out.
///
/// # Safety
/// NULL, or a place that has NULL or an allocator that nothing uses again.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_allocator_buddy_destroy(allocator: *mut *mut Allocator) -> c_int {
    catch_panic(broken(), || {
        let ops = &raw const aml_allocator_buddy_ops;
        // SAFETY: `allocator` is NULL, or a place with NULL or an allocator that nothing uses again
        // (the caller); `ops` are those that it was made with, if it is of this type.
        unsafe {
            destroy(allocator, ops, |source, table: &mut Table| {
                if table.blocks.is_in_use() {
                    return failed(
                        Error::new(ErrorKind::Busy, "end a buddy allocator")
                            .with_facts("not all that it handed out was freed")
                            .with_remedy("free it first"),
                    );
                }
                for (base, order) in table.blocks.pools() {
                    if let Err(failure) = source.unmap(base, 1 << order) {
                        return failure;
                    }
                    table.blocks.remove_pool(base, order);
                }
                SUCCESS
            })
        }
    })
}

/// # Safety
/// The data of such an allocator.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn aml_allocator_buddy_alloc(data: *mut Data, size: usize) -> *mut c_void {
    let take = |state: &State<Table>| {
        state.table.with(|table| table.take(&state.source, size)).map(|(start, _)| start)
    };
    // SAFETY: `data` is NULL, or that of an allocator of this type (the caller).
    unsafe { allocate(data, take) }
}

/// # Safety
/// The data of such an allocator, and what it gave, which nothing uses again.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn aml_allocator_buddy_free(data: *mut Data, start: *mut c_void) -> c_int {
    let give_back =
        |state: &State<Table>, start| state.table.with(|table| table.give_back(&state.source, start));
    // SAFETY: `data` is NULL, or that of an allocator of this type, and nothing uses again what is
    // freed (the caller).
    unsafe { free(data, start, give_back) }
}

/// # Safety
/// The data of such an allocator.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_allocator_buddy_alloc_chunk(data: *mut Data, size: usize) -> *mut Chunk {
    catch_panic(std::ptr::null_mut(), || {
        // SAFETY: NULL or such data (the caller's promise).
        let Some(state) = (unsafe { state::<Table>(data) }) else { return null(no_data("allocate")) };
        match state.table.with(|table| table.take_chunk(&state.source, size)) {
            Ok(chunk) => chunk.as_ptr(),
            Err(failure) => null(failure),
        }
    })
}

/// # Safety
/// The data of such an allocator, and a chunk that it gave, which nothing uses again.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_allocator_buddy_free_chunk(data: *mut Data, chunk: *mut Chunk) -> c_int {
    catch_panic(broken(), || {
        // SAFETY: NULL or such data (the caller's promise).
        let Some(state) = (unsafe { state::<Table>(data) }) else { return no_data("free a chunk") };
        if chunk.is_null() {
            return SUCCESS;
        }
        state.table.with(|table| match table.owners.get(&chunk.addr()).copied() {
            // By its address alone: what is not a chunk of ours is not read.
            Some(start) => table.give_back(&state.source, start),
            None => {
                invalid("free a chunk", "the allocator did not hand out that chunk, or it was freed already")
            }
        })
    })
}
