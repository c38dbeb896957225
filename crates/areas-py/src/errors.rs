//! Errors of the library as exceptions of the package: the hierarchy itself is Python, in
//! `areas/_errors.py`.

use areas::Error;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// `areas._errors._made`, which makes an exception of the library's error.
static MADE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// The exception for an error of the library.
pub(crate) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    let kind = format!("{:?}", error.kind());
    let errno = error.errno().map(areas::Errno::raw);
    let made = MADE
        .get_or_try_init(py, || Ok::<_, PyErr>(py.import("areas._errors")?.getattr("_made")?.unbind()))
        .and_then(|made| made.call1(py, (kind, errno, error.to_string(), error.remedy())));
    match made {
        Ok(exception) => PyErr::from_value(exception.into_bound(py)),
        Err(error) => error,
    }
}
