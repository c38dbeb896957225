//! Memory that Python objects refer to: the buffer that arrays and memoryviews are made over.

#![expect(unsafe_code, reason = "fills the interpreter's buffer structure; each block has its proof")]

use std::os::raw::c_int;
use std::sync::atomic::Ordering;

use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::core::{Any, Core, of_any};
use crate::holding::{Holding, name_to_python};

/// A reference to an area's memory. Arrays, memoryviews and capsules over it keep it alive, and it keeps the mapping.
///
/// It exports the buffer protocol: one dimension of bytes (format `B`), read-only where the area was opened for reading or is
/// frozen. The number of bytes is that of the moment in which it was made.
#[pyclass(frozen, weakref, module = "areas._areas")]
#[derive(Debug)]
pub(crate) struct Memory {
    holding: Py<Holding>,
    /// Where in the area's memory it begins.
    offset: usize,
    size: usize,
    write: bool,
    token: Option<Py<PyAny>>,
}

impl Memory {
    /// To be called where the area is looked at, so that it is not being frozen.
    pub(crate) fn new(holding: &Bound<'_, Holding>, size: usize, write: bool) -> Self {
        if write {
            holding.get().core().writers().fetch_add(1, Ordering::AcqRel);
        }
        Memory { holding: holding.clone().unbind(), offset: 0, size, write, token: None }
    }

    fn core(&self) -> &Core {
        self.holding.get().core()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.write {
            self.core().writers().fetch_sub(1, Ordering::AcqRel);
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
        self.core().look(py, Any::is_frozen)
    }

    /// The address of its first byte in this process.
    #[getter]
    fn address(&self) -> usize {
        self.core().address() + self.offset
    }

    /// What was given with a part of memory, or None: it lives as long as the part does.
    #[getter]
    fn token(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.token.as_ref().map(|token| token.clone_ref(py))
    }

    /// A part of it: `nbytes` bytes from byte `offset` on. It keeps the memory as any reference does, and `token`, which is dropped as soon
    /// as the last array or view over the part is gone.
    #[pyo3(signature = (offset, nbytes, token=None))]
    fn part(
        &self,
        py: Python<'_>,
        offset: usize,
        nbytes: usize,
        token: Option<Py<PyAny>>,
    ) -> PyResult<Memory> {
        if offset.checked_add(nbytes).is_none_or(|end| end > self.size) {
            let text =
                format!("bytes {offset} and {nbytes} after it are not in memory of {} bytes", self.size);
            return Err(PyValueError::new_err(text));
        }
        // Not while it is being frozen: `self` is a writer itself, where it writes.
        let mut part = Memory::new(self.holding.bind(py), nbytes, self.write);
        part.offset = self.offset + offset;
        part.token = token;
        Ok(part)
    }

    /// The id of its area, or None where that is not published.
    #[getter]
    fn id(&self, py: Python<'_>) -> PyResult<Option<i32>> {
        self.core().look(py, |any| of_any!(any, area => area.id().map(areas::AreaId::get)))
    }

    /// The name of its area, or None.
    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let name = self.core().look(py, |any| of_any!(any, area => area.name().cloned()))?;
        name.map(|name| name_to_python(py, &name)).transpose()
    }

    /// The inode of its memory object, by which processes know that they have the same.
    #[getter]
    fn inode(&self) -> u64 {
        self.core().inode()
    }

    /// What this process holds, of which this is a part.
    #[getter]
    fn holding(&self, py: Python<'_>) -> Py<Holding> {
        self.holding.clone_ref(py)
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
                "cannot lend memory for writing: the area is frozen, or was opened for reading (open it with write=True)",
            ));
        }
        let size = isize::try_from(memory.size)
            .map_err(|_| PyBufferError::new_err("cannot lend memory: it has more bytes than a view can"))?;
        let address = std::ptr::with_exposed_provenance_mut(memory.core().address() + memory.offset);
        // SAFETY:
        // - `view` is not null (checked), and the interpreter's to be filled;
        // - `address..address+size` (a part is checked as it is made) is mapped as long as `slf` lives, of which the view gets a reference: the size never shrinks
        //   below what it was (sealed), and the address never changes (`Core`'s invariants);
        // - it is lent for writing only where `write` is set, and then stays writable as long as `slf` lives (`writers`).
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), address, size, c_int::from(!memory.write), flags)
        };
        match filled {
            0 => Ok(()),
            _ => Err(PyErr::fetch(slf.py())),
        }
    }
}
