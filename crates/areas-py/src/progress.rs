//! Progress of long calls: told to a Python function, and the moment at which signals are looked for.

use std::time::{Duration, Instant};

use areas::Progress;
use pyo3::prelude::*;

/// How often a signal is looked for, and how often a function is told, at most.
const INTERVAL: Duration = Duration::from_millis(50);

/// Tells a Python function how far a call is. Lives outside of the interpreter, and goes into it from time to time.
pub(crate) struct Told {
    function: Option<Py<PyAny>>,
    last: Option<Instant>,
    /// What the function raised, or a signal handler (`KeyboardInterrupt`): the first one.
    raised: Option<PyErr>,
}

impl Told {
    pub(crate) fn new(function: Option<Py<PyAny>>) -> Self {
        Told { function, last: None, raised: None }
    }

    /// To be called outside of the interpreter.
    pub(crate) fn tell(&mut self, progress: Progress) {
        let ends = progress.done >= progress.total;
        if self.raised.is_some() || (!ends && self.last.is_some_and(|last| last.elapsed() < INTERVAL)) {
            return;
        }
        self.last = Some(Instant::now());
        let told = Python::attach(|py| {
            py.check_signals()?;
            match &self.function {
                Some(function) => function.call1(py, (progress.done, progress.total)).map(drop),
                None => Ok(()),
            }
        });
        self.raised = told.err();
    }

    /// What was raised on the way.
    pub(crate) fn finish(self) -> PyResult<()> {
        self.raised.map_or(Ok(()), Err)
    }
}
