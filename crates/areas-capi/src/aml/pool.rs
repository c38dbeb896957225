//! Where allocators have their memory from: an area and the options for its mmap.

#![expect(unsafe_code, reason = "calls C's operations; each block has its proof")]

use std::collections::HashMap;
use std::ffi::c_int;

use super::area::{Area, Options, aml_area_mmap, aml_area_munmap};
use super::error::{SUCCESS, reported_by_others, save_errors};

/// An area that outlives its allocator, as its maker promised.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) area: *const Area,
    pub(super) options: *mut Options,
}

impl Source {
    /// Maps, or gives what `aml_errno` says, negative.
    pub(super) fn map(&self, size: usize) -> Result<usize, c_int> {
        let before = save_errors();
        // SAFETY: the area and its options are those that the allocator was made with, and still
        // there (its maker's promise).
        let start = unsafe { aml_area_mmap(self.area, size, self.options) };
        if start.is_null() {
            before.give_way();
            return Err(reported_by_others());
        }
        before.put_back();
        Ok(start.addr())
    }

    /// Releases what was mapped.
    pub(super) fn unmap(&self, start: usize, size: usize) -> Result<(), c_int> {
        let start = std::ptr::with_exposed_provenance_mut(start);
        // SAFETY: this allocator mapped it from this area, and has no use for it any more.
        match unsafe { aml_area_munmap(self.area, start, size) } {
            SUCCESS => Ok(()),
            failure => Err(failure),
        }
    }

    /// Releases all that was mapped, by address and bytes. What the area does not take back stays;
    /// the last failure then.
    pub(super) fn unmap_all(&self, mapped: &mut HashMap<usize, usize>) -> c_int {
        let mut status = SUCCESS;
        mapped.retain(|&start, &mut size| match self.unmap(start, size) {
            Ok(()) => false,
            Err(failure) => {
                status = failure;
                true
            }
        });
        status
    }

    /// Maps for `wanted` bytes, rather more than less: halves what it asks for, down to what is
    /// needed.
    pub(super) fn map_rather(&self, mut wanted: usize, needed: usize) -> Result<(usize, usize), c_int> {
        let before = save_errors();
        loop {
            match self.map(wanted) {
                Ok(start) => {
                    before.put_back();
                    return Ok((start, wanted));
                }
                Err(failure) if wanted / 2 < needed => {
                    before.give_way();
                    return Err(failure);
                }
                Err(_) => wanted /= 2,
            }
        }
    }
}
