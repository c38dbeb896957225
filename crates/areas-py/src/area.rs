//! What `areas.Area` is made of, and the calls that are made for each area: making, finding and
//! closing one takes one call of the extension each.
//!
//! What is asked for plainly is done here: a name of ASCII, a size or a shape of plain integers, a
//! dtype that is known. For everything else these calls answer that they have done nothing, or only
//! opened what was found, and Python does the rest and words what is wrong.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyList, PyString, PyTuple, PyType};

use crate::core::{Any, of_any};
use crate::errors::raised;
use crate::holding::Holding;
use crate::opening::found;

/// The base of `areas.Area`: what it holds, and what its array is.
#[pyclass(subclass, frozen, weakref, module = "areas._areas")]
#[derive(Debug)]
pub(crate) struct Base {
    /// `None` once it was closed.
    holding: Mutex<Option<Py<Holding>>>,
    shape: Mutex<Py<PyTuple>>,
    dtype: Py<PyAny>,
    text: Mutex<Option<Py<PyString>>>,
}

/// Only the thread that has the interpreter comes here, and nothing is called with it: no thread
/// waits, and none has it at a fork.
fn unlocked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[pymethods]
impl Base {
    #[new]
    fn new(
        py: Python<'_>,
        holding: Py<Holding>,
        shape: Py<PyTuple>,
        dtype: Py<PyAny>,
        text: Option<Py<PyString>>,
    ) -> PyResult<Self> {
        // Bytes of others' as addresses of objects would crash the interpreter, whoever calls this.
        if dtype.getattr(py, pyo3::intern!(py, "hasobject"))?.is_truthy(py)? {
            return Err(PyTypeError::new_err("an area's items are not Python objects"));
        }
        Ok(Base {
            holding: Mutex::new(Some(holding)),
            shape: Mutex::new(shape),
            dtype,
            text: Mutex::new(text),
        })
    }

    /// What is held; None once it was closed.
    #[getter]
    fn _holding(&self, py: Python<'_>) -> Option<Py<Holding>> {
        unlocked(&self.holding).as_ref().map(|holding| holding.clone_ref(py))
    }

    /// The shape of its array, in items.
    #[getter]
    fn shape(&self, py: Python<'_>) -> Py<PyTuple> {
        unlocked(&self.shape).clone_ref(py)
    }

    /// The dtype of its array.
    #[getter]
    fn dtype(&self, py: Python<'_>) -> Py<PyAny> {
        self.dtype.clone_ref(py)
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        unlocked(&self.holding).is_none()
    }

    /// The text of its note.
    #[getter]
    fn _text(&self, py: Python<'_>) -> Option<Py<PyString>> {
        unlocked(&self.text).as_ref().map(|text| text.clone_ref(py))
    }

    fn _set_text(&self, text: Option<Py<PyString>>) {
        // (What was there goes behind the lock.)
        let _before = std::mem::replace(&mut *unlocked(&self.text), text);
    }

    fn _set_shape(&self, shape: Py<PyTuple>) {
        let _before = std::mem::replace(&mut *unlocked(&self.shape), shape);
    }

    /// Takes the name back, and drops this object's reference to the memory. May be called twice.
    ///
    /// Arrays, memoryviews and capsules over it stay valid: the memory goes with the last of them.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let holding = unlocked(&self.holding).take();
        holding.map_or(Ok(()), |holding| holding.get().withdraw(py))
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close(py)
    }
}

/// More dimensions are not plain.
const DIMS: usize = 8;

/// A shape of few dimensions.
#[derive(Clone, Copy, Default)]
pub(crate) struct Shape {
    dims: [usize; DIMS],
    ndim: usize,
}

impl Shape {
    /// What was given, where it is plain: an integer, or a tuple or list of them.
    fn given(shape: &Bound<'_, PyAny>) -> Option<Self> {
        let mut made = Shape::default();
        if let Ok(tuple) = shape.cast_exact::<PyTuple>() {
            tuple.iter_borrowed().try_for_each(|dim| made.push(size(&dim)?))?;
        } else if let Ok(list) = shape.cast_exact::<PyList>() {
            list.iter().try_for_each(|dim| made.push(size(&dim)?))?;
        } else {
            made.push(size(shape)?)?;
        }
        Some(made)
    }

    pub(crate) fn push(&mut self, dim: usize) -> Option<()> {
        *self.dims.get_mut(self.ndim)? = dim;
        self.ndim += 1;
        Some(())
    }

    pub(crate) fn dims(&self) -> &[usize] {
        self.dims.get(..self.ndim).unwrap_or_default()
    }

    /// The bytes of so large an array, where there can be so many.
    pub(crate) fn nbytes(&self, itemsize: usize) -> Option<usize> {
        let nbytes = self.dims().iter().try_fold(itemsize, |all, &dim| all.checked_mul(dim))?;
        isize::try_from(nbytes).ok()?;
        Some(nbytes)
    }
}

/// An integer that is a size: no subclass of one, and nothing that is only like one.
fn size(number: &Bound<'_, PyAny>) -> Option<usize> {
    number.cast_exact::<PyInt>().ok()?.extract().ok()
}

/// A dtype that is known.
pub(crate) struct Known<'py> {
    pub(crate) dtype: Bound<'py, PyAny>,
    pub(crate) itemsize: usize,
    pub(crate) text: Bound<'py, PyString>,
}

impl<'py> Known<'py> {
    /// What Python has put down: `(dtype, itemsize, text)` by what was given, or by the text.
    pub(crate) fn of(dtypes: &Bound<'py, PyDict>, key: &Bound<'py, PyAny>) -> Option<Self> {
        // (What cannot be a key raises.)
        let (dtype, itemsize, text) = dtypes.get_item(key).ok()??.extract().ok()?;
        Some(Known { dtype, itemsize, text })
    }

    /// Of what a caller has given: text, a class or a dtype. A dtype that is like one that is known
    /// may know more.
    fn given(dtypes: &Bound<'py, PyDict>, given: &Bound<'py, PyAny>) -> Option<Self> {
        let known = Self::of(dtypes, given)?;
        let plain = given.is_none()
            || given.is_exact_instance_of::<PyString>()
            || given.is_exact_instance_of::<PyType>()
            || known.dtype.is(given);
        plain.then_some(known)
    }
}

/// A name's bytes, where it is ASCII, which each encoding of file names writes so.
fn plain_name<'a>(name: &'a Bound<'_, PyAny>) -> Option<&'a [u8]> {
    let bytes = match name.cast_exact::<PyString>() {
        Ok(text) => text.to_str().ok()?.as_bytes(),
        Err(_) => name.cast_exact::<PyBytes>().ok()?.as_bytes(),
    };
    bytes.is_ascii().then_some(bytes)
}

/// Makes an area that is asked for plainly, as `class`; None where something is not plain, and
/// nothing was done.
#[pyfunction]
#[pyo3(signature = (class, dtypes, name, nbytes, shape, dtype, exclusive, /))]
pub(crate) fn make<'py>(
    class: &Bound<'py, PyType>,
    dtypes: &Bound<'py, PyDict>,
    name: &Bound<'py, PyAny>,
    nbytes: &Bound<'py, PyAny>,
    shape: &Bound<'py, PyAny>,
    dtype: &Bound<'py, PyAny>,
    exclusive: bool,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = class.py();
    let Some(known) = Known::given(dtypes, dtype) else { return Ok(None) };
    let shape = match (nbytes.is_none(), shape.is_none()) {
        (true, false) => Shape::given(shape),
        // Of larger items it is a number that has to be whole.
        (false, true) if known.itemsize == 1 => size(nbytes).and_then(|nbytes| {
            let mut made = Shape::default();
            made.push(nbytes)?;
            Some(made)
        }),
        _ => None,
    };
    let Some(shape) = shape else { return Ok(None) };
    let Some(nbytes) = shape.nbytes(known.itemsize) else { return Ok(None) };
    let name = match name.is_none() {
        true => None,
        false => match plain_name(name) {
            Some(name) => Some(name),
            None => return Ok(None),
        },
    };
    let Some(note) = Note::of(known.text.to_str()?, shape.dims()) else { return Ok(None) };
    let made = py.detach(|| {
        let mut builder = areas::builder(nbytes).note(note.bytes());
        if let Some(name) = name {
            builder = builder.name(name);
            if exclusive {
                builder = builder.exclusive();
            }
        }
        builder.shared_or_empty()
    });
    let area = made.map_err(|error| raised(py, &error))?;
    let holding = Holding::over(Any::Shared(area));
    let dims = PyTuple::new(py, shape.dims())?;
    class.call1((holding, dims, known.dtype, py.None())).map(Some)
}

/// Finds and opens an area: it, as `class`, where its note describes a plain array; else what is
/// held of it. None where the name is not plain, and nothing was done.
#[pyfunction]
#[pyo3(signature = (class, dtypes, name, write, keep_name, /))]
pub(crate) fn look_up<'py>(
    class: &Bound<'py, PyType>,
    dtypes: &Bound<'py, PyDict>,
    name: &Bound<'py, PyAny>,
    write: bool,
    keep_name: bool,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = class.py();
    let Some(name) = plain_name(name) else { return Ok(None) };
    let found = py.detach(|| found(name, write, keep_name));
    let found = found.map_err(|error| raised(py, &error))?;
    let described = of_any!(&found, area => described(dtypes, area.note().as_bytes(), area.size()));
    let holding = Holding::over(found);
    match described {
        Some((known, shape)) => {
            let dims = PyTuple::new(py, shape.dims())?;
            class.call1((holding, dims, known.dtype, py.None())).map(Some)
        }
        None => Ok(Some(Bound::new(py, holding)?.into_any())),
    }
}

/// What a note says of a plain array that lies in so many bytes: what another process wrote, and so
/// exactly what is written here or nothing.
fn described<'py>(dtypes: &Bound<'py, PyDict>, note: &[u8], nbytes: usize) -> Option<(Known<'py>, Shape)> {
    let (text, dims) = read(note)?;
    let mut shape = Shape::default();
    for dim in dims.split(',').filter(|_| !dims.is_empty()) {
        // As numbers are written: not 007, not +7.
        if dim.len() > 18
            || !dim.bytes().all(|byte| byte.is_ascii_digit())
            || (dim.len() > 1 && dim.starts_with('0'))
        {
            return None;
        }
        shape.push(dim.parse().ok()?)?;
    }
    let known = Known::of(dtypes, PyString::new(dtypes.py(), text).as_any())?;
    // By its own text, and not by one that stands for it on this machine.
    if known.text.to_str().ok()? != text {
        return None;
    }
    (shape.nbytes(known.itemsize)? <= nbytes).then_some((known, shape))
}

/// The text of the dtype, and that of the dimensions.
fn read(note: &[u8]) -> Option<(&str, &str)> {
    let inner = note.strip_prefix(b"numpy:[\"")?.strip_suffix(b"]]")?;
    std::str::from_utf8(inner).ok()?.split_once("\",[")
}

/// A note of a plain array.
struct Note {
    bytes: [u8; Note::MAX],
    length: usize,
}

impl Note {
    /// As many as the library's.
    const MAX: usize = areas::Note::MAX;

    fn of(dtype: &str, dims: &[usize]) -> Option<Self> {
        use std::io::Write as _;

        let mut bytes = [0; Self::MAX];
        let mut rest = bytes.as_mut_slice();
        write!(rest, "numpy:[\"{dtype}\",[").ok()?;
        for (at, dim) in dims.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(rest, "{comma}{dim}").ok()?;
        }
        rest.write_all(b"]]").ok()?;
        let length = Self::MAX - rest.len();
        Some(Note { bytes, length })
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}
