//! Retiring: nobody finds an area's memory any more, by whatever holder.

use areas::Error;
use pyo3::prelude::*;

use crate::core::{Any, of_any};
use crate::errors::raised;
use crate::holding::Holding;

fn retired(any: &Any) -> Result<bool, Error> {
    of_any!(any, area => area.object().is_retired())
}

/// Whether its memory is retired.
#[pyfunction]
pub(crate) fn is_retired(py: Python<'_>, holding: &Bound<'_, Holding>) -> PyResult<bool> {
    let looked = holding.get().core().look(py, retired)?;
    looked.map_err(|error| raised(py, &error))
}

/// Retires its memory. Whether it was not retired before.
#[pyfunction]
pub(crate) fn retire(py: Python<'_>, holding: &Bound<'_, Holding>) -> PyResult<bool> {
    let done = holding.get().core().run(py, "retire", |mut any| {
        let done = match retired(&any) {
            Ok(false) => of_any!(&mut any, area => area.retire()).map(|()| true),
            Ok(true) => Ok(false),
            Err(error) => Err(error),
        };
        (any, done)
    })?;
    done.map_err(|error| raised(py, &error))
}
