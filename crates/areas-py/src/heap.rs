//! Which bytes of a slab are taken: the process that made the slab decides, and keeps the books in memory of its own, so that what other
//! processes write into the slab cannot spoil them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use offset_allocator::{Allocation, Allocator};
use pyo3::prelude::*;

/// Bytes that are given out together: a cache line, and what any dtype and any vector instruction wants.
const UNIT: usize = 64;
/// At most so many blocks at once.
const MAX_BLOCKS: u32 = 1 << 17;

/// Hands out ranges of so many bytes, in units of 64.
#[pyclass(frozen, module = "areas._areas")]
pub(crate) struct Heap(Mutex<Books>);

struct Books {
    allocator: Allocator<u32>,
    /// By the block's first unit.
    blocks: std::collections::HashMap<u32, (Allocation<u32>, u32)>,
    used: usize,
}

impl Heap {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Heap {
    /// Over `nbytes` bytes; what is beyond the last unit is left out.
    #[new]
    fn new(nbytes: usize) -> PyResult<Self> {
        let units = u32::try_from(nbytes / UNIT).map_err(|_| {
            pyo3::exceptions::PyValueError::new_err(format!(
                "a slab of {nbytes} bytes is too large: at most 256 GiB"
            ))
        })?;
        // No more blocks than units.
        let most = units.clamp(2, MAX_BLOCKS);
        let allocator = Allocator::with_max_allocs(units, most);
        Ok(Heap(Mutex::new(Books { allocator, blocks: std::collections::HashMap::new(), used: 0 })))
    }

    /// The offset of so many bytes that nobody has, or None where there are none.
    fn allocate(&self, nbytes: usize) -> Option<usize> {
        let units = u32::try_from(nbytes.div_ceil(UNIT).max(1)).ok()?;
        let mut books = self.books();
        let allocation = books.allocator.allocate(units)?;
        let first = allocation.offset;
        books.blocks.insert(first, (allocation, units));
        books.used += units as usize * UNIT;
        Some(first as usize * UNIT)
    }

    /// Takes a block back. False where there is none at that offset.
    fn free(&self, offset: usize) -> bool {
        let Some(first) = u32::try_from(offset / UNIT).ok().filter(|_| offset.is_multiple_of(UNIT)) else {
            return false;
        };
        let mut books = self.books();
        let Some((allocation, units)) = books.blocks.remove(&first) else { return false };
        books.allocator.free(allocation);
        books.used -= units as usize * UNIT;
        true
    }

    /// The bytes of all blocks.
    #[getter]
    fn used(&self) -> usize {
        self.books().used
    }

    /// How many blocks there are.
    #[getter]
    fn blocks(&self) -> usize {
        self.books().blocks.len()
    }

    /// The bytes of the largest block that could be had.
    #[getter]
    fn largest(&self) -> usize {
        self.books().allocator.storage_report().largest_free_region as usize * UNIT
    }
}

impl std::fmt::Debug for Heap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let books = self.books();
        f.debug_struct("Heap")
            .field("blocks", &books.blocks.len())
            .field("used", &books.used)
            .finish_non_exhaustive()
    }
}
