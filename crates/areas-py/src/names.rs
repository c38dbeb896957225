//! Names and notes: what others find an area by, and what they read beside it.

use areas::{AreaId, Error};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::core::{Any, of_any};

/// What is noted beside it: bytes that another process may have written.
pub(crate) fn note_of(any: &Any) -> Vec<u8> {
    of_any!(any, area => area.note().as_bytes().to_vec())
}

/// Notes something beside it, for those who find it by way of this process.
pub(crate) fn set_note(any: &mut Any, note: &[u8]) -> Result<(), Error> {
    of_any!(any, area => area.set_note(note))
}

/// Publishes it; `exclusive`: unless there is one of that name.
pub(crate) fn publish(any: &mut Any, name: &[u8], exclusive: bool) -> Result<AreaId, Error> {
    of_any!(any, area => match exclusive {
        true => area.publish_exclusive(name),
        false => area.publish(name),
    })
}

/// Takes its name back: the mapping stays.
pub(crate) fn withdraw(any: &mut Any) {
    of_any!(any, area => drop(area.unpublish()));
}

/// A name as Python has it: text where it is text, else bytes.
pub(crate) fn name_to_python<'py>(py: Python<'py>, name: &areas::Name) -> PyResult<Bound<'py, PyAny>> {
    match std::str::from_utf8(name.as_bytes()) {
        Ok(text) => Ok(text.into_pyobject(py)?.into_any()),
        Err(_) => Ok(PyBytes::new(py, name.as_bytes()).into_any()),
    }
}
