//! Progress of long calls: reported to a Python function; and the moments at which a signal, or
//! what the function raises, ends them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use areas::Progress;
use pyo3::prelude::*;

/// How often a signal is looked for, and how often a function is called, at most.
const INTERVAL: Duration = Duration::from_millis(50);

/// Reports to a Python function how far a call is. Lives outside of the interpreter, and goes into
/// it from time to time.
pub(crate) struct Reporter {
    function: Option<Py<PyAny>>,
    last: Instant,
    /// What the function raised, or a signal handler (`KeyboardInterrupt`): the first one.
    raised: Option<PyErr>,
}

/// What a call is unwound with, as far as [`Reporter::watch`].
struct Enough;

impl Reporter {
    pub(crate) fn new(function: Option<Py<PyAny>>) -> Self {
        Reporter { function, last: Instant::now(), raised: None }
    }

    /// Makes a call that reports its progress, outside of the interpreter. `None` where it was
    /// ended by what was raised, which [`finish`](Reporter::finish) gives: the library's long calls
    /// bear it that their progress function unwinds.
    pub(crate) fn watch<R>(&mut self, call: impl FnOnce(&mut dyn FnMut(Progress)) -> R) -> Option<R> {
        if self.raised.is_some() {
            return None;
        }
        match catch_unwind(AssertUnwindSafe(|| call(&mut |progress| self.report(progress)))) {
            Ok(result) => Some(result),
            Err(panic) if panic.is::<Enough>() => None,
            Err(panic) => resume_unwind(panic),
        }
    }

    fn report(&mut self, progress: Progress) {
        let ends = progress.done >= progress.total;
        if !ends && self.last.elapsed() < INTERVAL {
            return;
        }
        self.last = Instant::now();
        let reported = Python::attach(|py| {
            py.check_signals()?;
            match &self.function {
                Some(function) => function.call1(py, (progress.done, progress.total)).map(drop),
                None => Ok(()),
            }
        });
        if let Err(raised) = reported {
            self.raised = Some(raised);
            // Not `panic!`: it is none that anybody should read of.
            resume_unwind(Box::new(Enough));
        }
    }

    /// What was raised on the way.
    pub(crate) fn finish(self) -> PyResult<()> {
        self.raised.map_or(Ok(()), Err)
    }
}
