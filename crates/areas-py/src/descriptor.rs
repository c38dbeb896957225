//! Descriptors that Python gives by their numbers.

use std::os::fd::{BorrowedFd, RawFd};

use areas::{Error, ErrorKind};
use pyo3::prelude::*;

use crate::errors::raised;

/// A descriptor that Python has open for as long as the call takes.
#[expect(unsafe_code, reason = "a number of Python's becomes a descriptor")]
pub(crate) fn borrowed<'fd>(py: Python<'_>, descriptor: RawFd) -> PyResult<BorrowedFd<'fd>> {
    if descriptor < 0 {
        return Err(raised(
            py,
            &Error::new(ErrorKind::InvalidInput, format!("use descriptor {descriptor}"))
                .with_facts("it is closed")
                .with_remedy("give a socket or file that is open"),
        ));
    }
    // SAFETY: it is not -1. That it stays open is Python's to see to: the caller holds the socket
    // or file whose number it is; and where another thread closes it concurrently, the calls made
    // with it fail or reach another file, as they do with any number in Python: no memory depends
    // on it.
    Ok(unsafe { BorrowedFd::borrow_raw(descriptor) })
}
