//! Handles of plain arrays, written and opened in one call each. `areas/_handles.py` says what a
//! handle is, and does whatever is not plain: strides, structures, memory in slabs and memory
//! without a name; and it words each error. What these calls leave to it they have not touched.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple, PyType};

use crate::area::{Known, Shape};
use crate::holding::{Holding, held};
use crate::memory::{Layout, Memory};
use crate::passing::opened;

/// Version and flags, boot id, pid namespace, process, area, inode: `_HEAD` of `_handles.py`.
const HEAD: usize = 1 + 6 + 4 + 4 + 4 + 8;
const VERSION: u8 = 0x10;
const WRITE: u8 = 1;
/// Text of a dtype, at most.
const TEXT: usize = 16;

/// The handle of a plain array that lies in an area with a name; else None.
#[pyfunction]
#[pyo3(signature = (array, dtypes, boot, namespace, /))]
pub(crate) fn handle<'py>(
    array: &Bound<'py, PyAny>,
    dtypes: &Bound<'py, PyDict>,
    boot: &[u8],
    namespace: u32,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let py = array.py();
    let base = array.getattr(pyo3::intern!(py, "base"))?;
    let Ok(memory) = base.cast_exact::<Memory>() else { return Ok(None) };
    let memory = memory.get();
    let Some((id, inode)) = memory.located(py)? else { return Ok(None) };
    let dtype = array.getattr(pyo3::intern!(py, "dtype"))?;
    let Some(known) = Known::of(dtypes, &dtype).filter(|known| known.dtype.is(&dtype)) else {
        return Ok(None);
    };
    let Some(layout) = Layout::of(array)? else { return Ok(None) };
    let Some(offset) = layout.address.checked_sub(memory.first()) else { return Ok(None) };
    if !layout.is_contiguous(known.itemsize) {
        return Ok(None);
    }
    let text = known.text.to_str()?;
    let mut out = Vec::with_capacity(HEAD + TEXT + 24);
    out.push(VERSION | if layout.readonly { 0 } else { WRITE });
    out.extend_from_slice(boot);
    out.extend_from_slice(&namespace.to_le_bytes());
    out.extend_from_slice(&std::process::id().to_le_bytes());
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&inode.to_le_bytes());
    put(&mut out, offset);
    put(&mut out, text.len());
    out.extend_from_slice(text.as_bytes());
    put(&mut out, layout.dims().len());
    layout.dims().iter().for_each(|&dim| put(&mut out, dim));
    Ok(Some(PyBytes::new(py, &out)))
}

/// Seven bits a byte, the lowest first.
fn put(out: &mut Vec<u8>, number: usize) {
    let mut rest = number;
    loop {
        let [low, ..] = rest.to_le_bytes();
        if rest <= 0x7f {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
        rest >>= 7;
    }
}

/// Opens a handle of a plain array of this machine, as `class`; None for all others, and where it
/// leads nowhere.
#[pyfunction]
#[pyo3(signature = (class, dtypes, handle, boot, namespace, /))]
pub(crate) fn open_handle<'py>(
    class: &Bound<'py, PyType>,
    dtypes: &Bound<'py, PyDict>,
    handle: &Bound<'py, PyAny>,
    boot: &[u8],
    namespace: u32,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = class.py();
    let Ok(bytes) = handle.cast_exact::<PyBytes>() else { return Ok(None) };
    let Some(read) = Read::from(bytes.as_bytes(), dtypes, boot, namespace) else { return Ok(None) };
    let there = match held(read.inode, read.write) {
        Some(holding) => holding,
        None => {
            let found = py.detach(|| opened(read.pid, read.id, read.inode, read.write, true));
            let Ok(found) = found else { return Ok(None) };
            match held(read.inode, read.write) {
                // Another thread was faster: one mapping is enough.
                Some(holding) => {
                    py.detach(|| drop(found));
                    holding
                }
                None => Holding::over(found),
            }
        }
    };
    let holding = Bound::new(py, there)?;
    let memory = Holding::lease(&holding, Some(read.write))?;
    let fits = read.shape.nbytes(read.known.itemsize).and_then(|nbytes| nbytes.checked_add(read.offset));
    if fits.is_none_or(|end| end > memory.len()) {
        return Ok(None);
    }
    let dims = PyTuple::new(py, read.shape.dims())?;
    class.call1((dims, read.known.dtype, memory, read.offset)).map(Some)
}

/// What a handle says: what another process wrote.
struct Read<'py> {
    write: bool,
    pid: u32,
    id: i32,
    inode: u64,
    offset: usize,
    known: Known<'py>,
    shape: Shape,
}

impl<'py> Read<'py> {
    fn from(bytes: &[u8], dtypes: &Bound<'py, PyDict>, boot: &[u8], namespace: u32) -> Option<Self> {
        let mut reader = Reader(bytes);
        let [flags] = reader.array()?;
        // Strides and structures are others'.
        if flags & !WRITE != VERSION
            || reader.array::<6>()? != boot
            || u32::from_le_bytes(reader.array()?) != namespace
        {
            return None;
        }
        let (pid, id) = (u32::from_le_bytes(reader.array()?), i32::from_le_bytes(reader.array()?));
        let inode = u64::from_le_bytes(reader.array()?);
        let offset = reader.number()?;
        let length = reader.number().filter(|&length| length <= TEXT)?;
        let text = std::str::from_utf8(reader.bytes(length)?).ok()?;
        let known = Known::of(dtypes, PyString::new(dtypes.py(), text).as_any())?;
        // By its own text, and not by one that stands for it on this machine.
        if known.text.to_str().ok()? != text {
            return None;
        }
        let mut shape = Shape::default();
        for _ in 0..reader.number()? {
            // (Arrays without items lie anywhere.)
            shape.push(reader.number().filter(|&dim| dim > 0)?)?;
        }
        let write = flags & WRITE != 0;
        reader.0.is_empty().then_some(Read { write, pid, id, inode, offset, known, shape })
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(part)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    /// A number as [`put`] writes it; eight bytes of it at most.
    fn number(&mut self) -> Option<usize> {
        let mut number = 0;
        for shift in (0..56).step_by(7) {
            let [byte] = self.array()?;
            number |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}
