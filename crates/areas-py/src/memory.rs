//! Memory that Python objects refer to: the buffer that arrays and memoryviews are made over.

#![expect(unsafe_code, reason = "fills the interpreter's buffer structure; each block has its proof")]

use std::os::raw::c_int;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use areas::{Area, Error, ErrorKind, Shared};
use areas_slab::{Lease, Slice};
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::core::{Any, Core, of_any};
use crate::errors::raised;
use crate::names::name_to_python;

/// A reference to an area's memory, or to a block of a slab. Arrays, memoryviews and capsules over
/// it keep it alive, and it keeps the mapping.
///
/// It exports the buffer protocol: one dimension of bytes (format `B`), read-only where the area
/// was opened for reading or is frozen. The number of bytes is that of the moment in which it was
/// made.
#[pyclass(frozen, weakref, module = "areas._areas")]
#[derive(Debug)]
pub(crate) struct Memory {
    of: Of,
    /// Of its first byte.
    address: usize,
    size: usize,
    write: bool,
}

/// What keeps the memory mapped, and is kept for that.
#[derive(Debug)]
enum Of {
    /// An area, and the `Holding` that it was leased from.
    Area(Arc<Core>, Py<PyAny>),
    Slice(Slice),
    Lease(Lease),
}

impl Memory {
    /// Of an area, leased from what holds it. To be called where the area is looked at, so that it
    /// is not being frozen.
    pub(crate) fn new(holding: &Bound<'_, PyAny>, core: &Arc<Core>, size: usize, write: bool) -> Self {
        if write {
            core.writers().fetch_add(1, Ordering::AcqRel);
        }
        let of = Of::Area(Arc::clone(core), holding.clone().unbind());
        Memory { address: core.address(), of, size, write }
    }

    /// A block of a slab of this process.
    pub(crate) fn of_slice(slice: Slice) -> Self {
        let (address, size) = (slice.as_ptr().expose_provenance(), slice.len());
        Memory { of: Of::Slice(slice), address, size, write: true }
    }

    /// A block of another process's slab.
    pub(crate) fn of_lease(lease: Lease) -> Self {
        let (address, size) = (lease.as_ptr().expose_provenance(), lease.len());
        Memory { of: Of::Lease(lease), address, size, write: true }
    }

    pub(crate) fn first(&self) -> usize {
        self.address
    }

    pub(crate) fn len(&self) -> usize {
        self.size
    }

    /// The id and inode of a whole area that is published.
    pub(crate) fn located(&self, py: Python<'_>) -> PyResult<Option<(i32, u64)>> {
        let Of::Area(core, _) = &self.of else { return Ok(None) };
        let id = core.look(py, |any| of_any!(any, area => area.id()))?;
        Ok(id.map(|id| (id.get(), core.inode())))
    }

    /// The area, or the slab's.
    fn whole(&self) -> Result<&Core, &Area<Shared>> {
        match &self.of {
            Of::Area(core, _) => Ok(core),
            Of::Slice(slice) => Err(slice.area()),
            Of::Lease(lease) => Err(lease.area()),
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.write
            && let Ok(core) = self.whole()
        {
            core.writers().fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[pymethods]
impl Memory {
    /// Its bytes.
    #[getter]
    fn nbytes(&self) -> usize {
        self.size
    }

    fn __len__(&self) -> usize {
        self.size
    }

    /// Whether it may not be written through this object.
    #[getter]
    fn readonly(&self) -> bool {
        !self.write
    }

    /// Whether no process can write it any more.
    #[getter]
    fn frozen(&self, py: Python<'_>) -> PyResult<bool> {
        // Of a slab's area each process has a mapping for writing.
        self.whole().map_or(Ok(false), |core| core.look(py, Any::is_frozen))
    }

    /// The address of its first byte in this process.
    #[getter]
    fn address(&self) -> usize {
        self.address
    }

    /// The handle of a block of a slab: 40 bytes; None for a whole area. It holds nothing.
    #[getter]
    fn handle<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let handle = match &self.of {
            Of::Area(..) => return None,
            Of::Slice(slice) => slice.handle(),
            Of::Lease(lease) => lease.handle(),
        };
        Some(PyBytes::new(py, &handle.to_bytes()))
    }

    /// The id of its area, or None where that is not published.
    #[getter]
    fn id(&self, py: Python<'_>) -> PyResult<Option<i32>> {
        let id = match self.whole() {
            Ok(core) => core.look(py, |any| of_any!(any, area => area.id()))?,
            Err(area) => area.id(),
        };
        Ok(id.map(areas::AreaId::get))
    }

    /// The name of its area, or None.
    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let name = match self.whole() {
            Ok(core) => core.look(py, |any| of_any!(any, area => area.name().cloned()))?,
            Err(area) => area.name().cloned(),
        };
        name.map(|name| name_to_python(py, &name)).transpose()
    }

    /// The inode of its memory object, by which processes know that they have the same.
    #[getter]
    fn inode(&self) -> u64 {
        self.whole().map_or_else(|area| area.object().file_id().1, Core::inode)
    }

    /// What this process holds, of which this is a part. Raises InvalidInput for a block of a slab.
    #[getter]
    fn holding(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match &self.of {
            Of::Area(_, holding) => Ok(holding.clone_ref(py)),
            Of::Slice(_) | Of::Lease(_) => {
                let error = Error::new(ErrorKind::InvalidInput, "use the area of an array")
                    .with_facts("the array lies in a slab, whose area is not its own")
                    .with_remedy("copy it into one: `areas.put(array)`");
                Err(raised(py, &error))
            }
        }
    }

    /// Fills a view: the view owns a reference to this object, which is all that keeps the memory.
    ///
    /// # Safety
    /// The interpreter calls it with a view that is to be filled.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("cannot lend memory: there is no view to fill"));
        }
        let memory = slf.get();
        if !memory.write && flags & ffi::PyBUF_WRITABLE == ffi::PyBUF_WRITABLE {
            return Err(PyBufferError::new_err(
                "cannot lend memory for writing: the area is frozen, or was opened without write=True",
            ));
        }
        let size = isize::try_from(memory.size)
            .map_err(|_| PyBufferError::new_err("cannot lend memory: it has more bytes than a view can"))?;
        let address = std::ptr::with_exposed_provenance_mut(memory.address);
        // SAFETY:
        // - `view` is not null (checked), and the interpreter's to be filled;
        // - `address..address+size` is mapped as long as `slf` lives, of which the view gets a
        //   reference: of an area the size never shrinks below what it was (sealed), and the
        //   address never changes (`Core`'s invariants); a slice or lease keeps its slab mapped,
        //   and lies in it;
        // - it is lent for writing only where `write` is set, and then stays writable as long as
        //   `slf` lives (`writers`; a slab's area is never frozen in this process, and by no other
        //   one while it is mapped for writing here).
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), address, size, c_int::from(!memory.write), flags)
        };
        match filled {
            0 => Ok(()),
            _ => Err(PyErr::fetch(slf.py())),
        }
    }
}

/// Where an array is, and of which shape, as it says by the buffer protocol.
pub(crate) struct Layout {
    pub(crate) address: usize,
    pub(crate) readonly: bool,
    dims: [usize; Self::DIMS],
    strides: [isize; Self::DIMS],
    ndim: usize,
}

impl Layout {
    /// More dimensions are not looked at.
    const DIMS: usize = 8;

    /// `None` for an array of many dimensions. (It takes NumPy a fourteenth of the time that its
    /// array interface does.)
    pub(crate) fn of(array: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        let mut view = std::mem::MaybeUninit::<ffi::Py_buffer>::uninit();
        // SAFETY: the exporter fills the structure, or says that it has not. It is asked for
        // strides and not for a format, which some dtypes have none of.
        let filled =
            unsafe { ffi::PyObject_GetBuffer(array.as_ptr(), view.as_mut_ptr(), ffi::PyBUF_STRIDES) };
        if filled != 0 {
            return Err(PyErr::fetch(array.py()));
        }
        // SAFETY: it was filled, as the call says.
        let mut view = unsafe { view.assume_init() };
        let ndim = usize::try_from(view.ndim).unwrap_or(usize::MAX);
        let (mut dims, mut strides) = ([0; Self::DIMS], [0; Self::DIMS]);
        let few = ndim <= Self::DIMS && (ndim == 0 || !(view.shape.is_null() || view.strides.is_null()));
        if few {
            for (at, (dim, stride)) in dims.iter_mut().zip(&mut strides).enumerate().take(ndim) {
                // SAFETY: with strides asked for, `shape` has `ndim` items (PEP 3118), is not null
                // (checked), and stays until the view is released.
                *dim = unsafe { *view.shape.wrapping_add(at) }.unsigned_abs();
                // SAFETY: with strides asked for, `strides` has `ndim` items (PEP 3118), is not
                // null (checked), and stays until the view is released.
                *stride = unsafe { *view.strides.wrapping_add(at) };
            }
        }
        let (address, readonly) = (view.buf.expose_provenance(), view.readonly != 0);
        // SAFETY: it was filled by the call above, and is released once. Nothing of it is used
        // behind this.
        unsafe { ffi::PyBuffer_Release(&raw mut view) };
        Ok(few.then_some(Layout { address, readonly, dims, strides, ndim }))
    }

    pub(crate) fn dims(&self) -> &[usize] {
        self.dims.get(..self.ndim).unwrap_or_default()
    }

    /// Whether it lies row by row, without gaps.
    pub(crate) fn is_contiguous(&self, itemsize: usize) -> bool {
        let mut step = itemsize;
        let mut row_by_row = true;
        for (&dim, &stride) in self.dims().iter().zip(&self.strides).rev() {
            if dim == 0 {
                return true;
            }
            row_by_row &= dim == 1 || usize::try_from(stride) == Ok(step);
            step = step.wrapping_mul(dim);
        }
        row_by_row
    }
}

/// The address of an array's first item.
#[pyfunction]
pub(crate) fn address_of(array: &Bound<'_, PyAny>) -> PyResult<usize> {
    if let Some(layout) = Layout::of(array)? {
        return Ok(layout.address);
    }
    array.getattr("__array_interface__")?.get_item("data")?.get_item(0)?.extract()
}
