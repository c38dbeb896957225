//! Slabs: blocks of one area, by `areas-slab`. What a person sees is `areas.Slab`, in
//! `python/areas/_slab.py`.
//!
//! A [`Memory`] over a block owns the slice or lease of it: the block is free when the last array
//! over it, in whichever process, is gone.

use std::alloc::Layout;
use std::sync::{Mutex, PoisonError};

use areas::{Error, ErrorKind, Lock};
use areas_slab::{Handle, Heir, Slab};
use pyo3::prelude::*;

use crate::errors::raised;
use crate::memory::Memory;
use crate::names::name_to_python;
use crate::placing::{pages, placement};

/// What blocks begin at: a cache line, and what any dtype and any vector instruction wants.
const ALIGN: usize = 64;

/// A slab of this process.
#[pyclass(frozen, module = "areas._areas")]
#[derive(Debug)]
pub(crate) struct Blocks(Slab);

#[pymethods]
impl Blocks {
    /// A slab whose blocks have `nbytes` bytes in all, under a name.
    #[new]
    #[pyo3(signature = (nbytes, *, name, slots, readers, policy=None, nodes=None, home=None, huge=None, lock=None, populate=false, dump=true))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        nbytes: usize,
        name: Vec<u8>,
        slots: u32,
        readers: u32,
        policy: Option<&str>,
        nodes: Option<&str>,
        home: Option<u32>,
        huge: Option<&str>,
        lock: Option<&str>,
        populate: bool,
        dump: bool,
    ) -> PyResult<Self> {
        let made = py.detach(|| {
            let (builder, size) = Slab::builder().slots(slots).readers(readers).sized(nbytes);
            let mut area = areas::builder(size)
                .place(placement(policy, nodes, home)?)
                .pages(pages(huge)?)
                .lock(lock.map_or(Ok(Lock::None), str::parse)?)
                .dump(dump)
                .shared()?;
            if populate {
                area.populate()?;
            }
            let mut slab = builder.over(area).map_err(|rejected| rejected.error)?;
            // Not before it is whole: who finds it opens it.
            slab.publish(name)?;
            Ok(slab)
        });
        made.map(Blocks).map_err(|error: Error| raised(py, &error))
    }

    /// A block of so many bytes, or None where there is none that is free.
    fn take(&self, py: Python<'_>, nbytes: usize) -> PyResult<Option<Memory>> {
        let Ok(layout) = Layout::from_size_align(nbytes, ALIGN) else { return Ok(None) };
        match self.0.alloc(layout) {
            Ok(slice) => Ok(Some(Memory::of_slice(slice))),
            Err(error) if [ErrorKind::NoMemory, ErrorKind::Limit].contains(&error.kind()) => Ok(None),
            Err(error) => Err(raised(py, &error)),
        }
    }

    /// Frees what no process holds any more. How many blocks that is.
    fn collect(&self, py: Python<'_>) -> PyResult<usize> {
        py.detach(|| self.0.reclaim()).map_err(|error| raised(py, &error))
    }

    /// How full it is: bytes of all blocks, bytes of those that only others hold, bytes of the
    /// largest block that is sure to be had, blocks, and how many of them there can be.
    fn usage(&self, py: Python<'_>) -> PyResult<(usize, usize, usize, usize, usize)> {
        let usage = self.0.usage().map_err(|error| raised(py, &error))?;
        let others = usage.given + usage.read;
        Ok((usage.owned + others, others, usage.largest, usage.blocks, usage.slots))
    }

    /// The name of its area.
    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.area().name().map(|name| name_to_python(py, name)).transpose()
    }

    /// The inode of its memory object.
    #[getter]
    fn inode(&self) -> u64 {
        self.0.area().object().file_id().1
    }
}

/// Opens a block by its handle, and holds it: one of this process's own, or of another one.
#[pyfunction]
pub(crate) fn open_block(py: Python<'_>, handle: &[u8]) -> PyResult<Memory> {
    let opened = py.detach(|| {
        let handle = Handle::from_bytes(handle)?;
        match areas_slab::owned(&handle) {
            Some(slab) => slab.again(&handle).map(Memory::of_slice),
            None => areas_slab::open(&handle).map(Memory::of_lease),
        }
    });
    opened.map_err(|error| raised(py, &error))
}

/// Unmaps the slabs whose owner is dead, and of which this process holds nothing. How many.
#[pyfunction]
pub(crate) fn detach_dead(py: Python<'_>) -> usize {
    py.detach(areas_slab::detach_dead)
}

/// What a child that is about to be forked will have.
static HEIRS: Mutex<Vec<Heir>> = Mutex::new(Vec::new());

fn heirs() -> Vec<Heir> {
    std::mem::take(&mut *HEIRS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// To be called before this process forks: a child that is forked holds the blocks that its parent
/// holds. Why a child will not, where a slab has no seat for it: then these blocks are kept for
/// good.
#[pyfunction]
pub(crate) fn before_fork() -> Option<String> {
    // Not with the interpreter released: no other thread is to take or drop a block before the
    // fork.
    let (prepared, failed) = areas_slab::before_fork();
    HEIRS.lock().unwrap_or_else(PoisonError::into_inner).extend(prepared);
    failed.map(|error| format!("{error:#}"))
}

/// Behind the fork, in the parent.
#[pyfunction]
pub(crate) fn after_fork_in_parent() {
    heirs().into_iter().for_each(Heir::in_parent);
}

/// Behind the fork, in the child.
#[pyfunction]
pub(crate) fn after_fork_in_child() {
    heirs().into_iter().for_each(Heir::in_child);
}
