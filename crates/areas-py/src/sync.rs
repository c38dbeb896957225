//! Mutexes, events and sequence locks in areas. What a person sees is Python, in
//! `python/areas/_sync.py`.
//!
//! They work on a mapping of their own: a wait has the memory for as long as it takes, while other
//! threads use the area.

use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::sync::{Mutex as Slot, PoisonError};
use std::time::{Duration, Instant};

use areas::sync::{DetachedWriter, Event, Locked, Mutex, Owner, SeqLock};
use areas::{AnyArea, Area, Error, ErrorKind, Shared};
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::core::Any;
use crate::errors::raised;
use crate::holding::Holding;
use crate::memory::Memory;

/// How long is waited at a time before signals are looked for.
const SLICE: Duration = Duration::from_millis(100);
const WHAT: &str = "use a lock in an area";

/// An area's memory, for the locks in it. As long as it lives, the area counts as one that may be
/// written.
#[pyclass(frozen, weakref, module = "areas._areas")]
#[derive(Debug)]
pub(crate) struct Words {
    area: Area<Shared>,
    _memory: Py<Memory>,
}

/// How a step of a wait went.
enum Step<T> {
    Done(T),
    Late(Error),
}

fn step<T>(result: Result<T, Error>) -> Result<Step<T>, Error> {
    match result {
        Ok(done) => Ok(Step::Done(done)),
        Err(error) if error.kind() == ErrorKind::TimedOut => Ok(Step::Late(error)),
        Err(error) => Err(error),
    }
}

/// Waits in steps, with the interpreter released; signals are handled between the steps.
fn in_steps<T: Send>(
    py: Python<'_>,
    timeout: Option<f64>,
    late: &str,
    call: impl Fn(Duration) -> Result<T, Error> + Sync,
) -> PyResult<T> {
    let begun = Instant::now();
    let whole = timeout.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO));
    loop {
        let left = whole.map(|whole| whole.saturating_sub(begun.elapsed()));
        let slice = left.map_or(SLICE, |left| left.min(SLICE));
        match py.detach(|| step(call(slice))).map_err(|error| raised(py, &error))? {
            Step::Done(done) => return Ok(done),
            Step::Late(error) if left == Some(slice) => {
                // The step's own text has the time of the step.
                let reported = Error::new(ErrorKind::TimedOut, error.what().to_owned())
                    .with_facts(format!("{late} within {:?}", whole.unwrap_or_default()));
                py.check_signals()?;
                return Err(raised(py, &reported));
            }
            Step::Late(_) => py.check_signals()?,
        }
    }
}

/// Python says itself when it unlocks. Whether an owner before died.
fn kept(locked: Locked<'_>) -> bool {
    ManuallyDrop::new(locked).owner_died()
}

impl Words {
    fn mutex(&self, py: Python<'_>, offset: usize) -> PyResult<Mutex<'_>> {
        Mutex::new(&self.area, offset).map_err(|error| raised(py, &error))
    }

    fn event(&self, py: Python<'_>, offset: usize) -> PyResult<Event<'_>> {
        Event::new(&self.area, offset).map_err(|error| raised(py, &error))
    }

    fn seqlock(&self, py: Python<'_>, offset: usize, nbytes: usize) -> PyResult<SeqLock<'_>> {
        SeqLock::new(&self.area, offset, nbytes).map_err(|error| raised(py, &error))
    }
}

#[pymethods]
impl Words {
    /// Of what this process holds of an area. Raises Frozen where no process can write it.
    #[new]
    fn new(holding: &Bound<'_, Holding>) -> PyResult<Self> {
        let py = holding.py();
        let failed = |error: Error| raised(py, &error);
        let memory = Py::new(py, Holding::lease(holding, None)?)?;
        let refused = |detail: &'static str| {
            failed(
                Error::new(ErrorKind::Frozen, WHAT)
                    .with_facts(detail)
                    .with_remedy("put locks into an area of their own, or one that is not frozen"),
            )
        };
        let copied = holding.get().core().look(py, |any| match any {
            Any::Frozen(_) => None,
            Any::Shared(area) => Some((area.as_fd().try_clone_to_owned(), area.object().file_id())),
        })?;
        let Some((copied, file)) = copied else {
            return Err(refused("it is frozen: no process can write it any more"));
        };
        match AnyArea::from_descriptor(copied?).map_err(|rejected| failed(rejected.error))? {
            AnyArea::Shared(area) if area.object().file_id() == file => Ok(Words { area, _memory: memory }),
            AnyArea::Frozen(area) if area.object().file_id() == file => {
                Err(refused("another process has just frozen it"))
            }
            _ => Err(failed(
                Error::new(ErrorKind::System, WHAT)
                    .with_facts(
                        "the program has closed the area's descriptor, whose number is another file's now",
                    )
                    .with_remedy("close only descriptors that you opened; find the area again"),
            )),
        }
    }

    /// Looks whether there can be a mutex.
    fn check_mutex(&self, py: Python<'_>, offset: usize) -> PyResult<()> {
        self.mutex(py, offset).map(drop)
    }

    /// Locks a mutex. Whether its owner before died with it. Without a timeout it waits for as long
    /// as it takes; 0: not at all.
    #[pyo3(signature = (offset, timeout=None))]
    fn lock(&self, py: Python<'_>, offset: usize, timeout: Option<f64>) -> PyResult<bool> {
        let mutex = self.mutex(py, offset)?;
        // Mostly it is free, and then takes no time.
        if let Some(locked) = mutex.try_lock().map_err(|error| raised(py, &error))? {
            return Ok(kept(locked));
        }
        in_steps(py, timeout, "its owner is alive, and did not unlock it", |time| mutex.lock(time).map(kept))
    }

    /// Unlocks a mutex that this thread has.
    fn unlock(&self, py: Python<'_>, offset: usize) -> PyResult<()> {
        self.mutex(py, offset)?.unlock_forgotten().map_err(|error| raised(py, &error))
    }

    /// Says that what a mutex guards is consistent again.
    fn mark_consistent(&self, py: Python<'_>, offset: usize) -> PyResult<()> {
        self.mutex(py, offset)?.mark_consistent_forgotten().map_err(|error| raised(py, &error))
    }

    /// Whose a mutex is.
    fn owner(&self, py: Python<'_>, offset: usize) -> PyResult<&'static str> {
        let owner = self.mutex(py, offset)?.owner().map_err(|error| raised(py, &error))?;
        Ok(match owner {
            Owner::Unlocked => "unlocked",
            Owner::ThisThread => "this thread",
            Owner::Dead => "dead",
            _ => "living",
        })
    }

    /// The count of an event.
    fn count(&self, py: Python<'_>, offset: usize) -> PyResult<u32> {
        self.event(py, offset)?.load().map_err(|error| raised(py, &error))
    }

    /// Adds 1 to an event's count, and wakes who waits.
    fn signal(&self, py: Python<'_>, offset: usize) -> PyResult<()> {
        self.event(py, offset)?.signal().map_err(|error| raised(py, &error))
    }

    /// Waits until an event's count is another one than `seen`: the count then.
    #[pyo3(signature = (offset, seen, timeout=None))]
    fn wait(&self, py: Python<'_>, offset: usize, seen: u64, timeout: Option<f64>) -> PyResult<u32> {
        let seen = u32::try_from(seen)
            .map_err(|_| PyOverflowError::new_err("cannot wait for an event: a count has 32 bits"))?;
        let event = self.event(py, offset)?;
        in_steps(py, timeout, &format!("it was not signalled at count {seen}"), |time| event.wait(seen, time))
    }

    /// Looks whether there can be a sequence lock.
    fn check_seqlock(&self, py: Python<'_>, offset: usize, nbytes: usize) -> PyResult<()> {
        self.seqlock(py, offset, nbytes).map(drop)
    }

    /// What was written last into a sequence lock, and how often it was written.
    fn read<'py>(
        &self,
        py: Python<'py>,
        offset: usize,
        nbytes: usize,
    ) -> PyResult<(u64, Bound<'py, PyBytes>)> {
        let lock = self.seqlock(py, offset, nbytes)?;
        let mut version = 0;
        let bytes = PyBytes::new_with(py, nbytes, |into| {
            version = py.detach(|| lock.read(into)).map_err(|error| raised(py, &error))?;
            Ok(())
        })?;
        Ok((version, bytes))
    }

    /// Whether a sequence lock has a writer that lives.
    fn has_writer(&self, py: Python<'_>, offset: usize, nbytes: usize) -> PyResult<bool> {
        self.seqlock(py, offset, nbytes)?.has_living_writer().map_err(|error| raised(py, &error))
    }

    /// Becomes the writer of a sequence lock.
    fn writer(slf: &Bound<'_, Self>, offset: usize, nbytes: usize) -> PyResult<Writing> {
        let py = slf.py();
        let writer = slf.get().seqlock(py, offset, nbytes)?.writer().map_err(|error| raised(py, &error))?;
        Ok(Writing { words: slf.clone().unbind(), writer: Slot::new(Some(writer.detach())) })
    }
}

/// The writer of a sequence lock, as long as it lives or until `end`.
#[pyclass(frozen, module = "areas._areas")]
#[derive(Debug)]
pub(crate) struct Writing {
    words: Py<Words>,
    /// Nothing while a thread writes, and behind the end. The mutex is never held while the
    /// interpreter is released.
    writer: Slot<Option<DetachedWriter>>,
}

impl Writing {
    fn slot(&self) -> std::sync::MutexGuard<'_, Option<DetachedWriter>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self) {
        if let Some(mut writer) = self.slot().take() {
            writer.end(Some(&self.words.get().area));
        }
    }
}

#[pymethods]
impl Writing {
    /// Writes all of it.
    fn write(&self, py: Python<'_>, bytes: &Bound<'_, PyBytes>) -> PyResult<()> {
        let Some(mut writer) = self.slot().take() else {
            return Err(raised(
                py,
                &Error::new(ErrorKind::Busy, "write a sequence lock")
                    .with_facts("this writer was ended, or another thread is just writing with it")
                    .with_remedy("become its writer again; or have threads take turns"),
            ));
        };
        let (area, bytes) = (&self.words.get().area, bytes.as_bytes());
        let written = py.detach(|| writer.write(area, bytes));
        *self.slot() = Some(writer);
        written.map_err(|error| raised(py, &error))
    }

    /// Whether the writer before died in the middle of a write, and nothing was written since.
    #[getter]
    fn interrupted(&self) -> bool {
        self.slot().as_ref().is_some_and(DetachedWriter::is_interrupted)
    }

    /// Lets another one come.
    fn end(&self) {
        self.finish();
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.finish();
    }
}
