//! What this process holds of one area, as Python has it: what `areas.Area` calls.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use areas::{Error, ErrorKind, Rejected};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::core::{Any, Core, Freezing, SLICE, known, of_any};
use crate::descriptor::borrowed;
use crate::errors::raised;
use crate::measured::{self, Given};
use crate::memory::Memory;
use crate::names::{self, name_to_python};
use crate::placing::placement;
use crate::progress::Reporter;

/// What this process holds of an area: `areas.Area` is made over it.
#[pyclass(frozen, weakref, module = "areas._areas")]
#[derive(Debug)]
pub(crate) struct Holding {
    core: Arc<Core>,
}

impl Holding {
    pub(crate) fn over(area: Any) -> Self {
        let write = area.is_writable();
        let core = Arc::new(Core::new(area));
        known::remember(&core, write);
        Holding { core }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }
}

/// The memory of that inode, where this process has it already.
#[pyfunction]
pub(crate) fn held(inode: u64, write: bool) -> Option<Holding> {
    known::find(inode, write).map(|core| Holding { core })
}

#[pymethods]
impl Holding {
    /// A reference to its memory, for writing where that may be and is asked for.
    ///
    /// Raises ReadOnly or Frozen where writing is asked for and cannot be.
    #[pyo3(signature = (write=None))]
    pub(crate) fn lease(slf: &Bound<'_, Self>, write: Option<bool>) -> PyResult<Memory> {
        let py = slf.py();
        if write != Some(false) {
            slf.get().core.wait_for_freezing(py)?;
        }
        let leased = slf.get().core.look(py, |any| {
            let write = write.unwrap_or_else(|| any.is_writable());
            if write && !any.is_writable() {
                let kind = if any.is_frozen() { ErrorKind::Frozen } else { ErrorKind::ReadOnly };
                let name = of_any!(any, area => area.to_string());
                return Err(Error::new(kind, format!("write {name}"))
                    .with_facts(match any.is_frozen() {
                        true => "it is frozen: no process writes it any more",
                        false => "it was opened for reading",
                    })
                    .with_remedy(match any.is_frozen() {
                        true => "copy it: `a.array.copy()`",
                        false => "open it for writing: `areas.find(name, write=True)`",
                    }));
            }
            let size = of_any!(any, area => area.size());
            Ok(Memory::new(slf.as_any(), &slf.get().core, size, write))
        })?;
        leased.map_err(|error| raised(py, &error))
    }

    /// Its bytes now.
    #[getter]
    fn nbytes(&self, py: Python<'_>) -> PyResult<usize> {
        self.core.look(py, |any| of_any!(any, area => area.size()))
    }

    /// Whether no process can write it any more.
    #[getter]
    fn frozen(&self, py: Python<'_>) -> PyResult<bool> {
        self.core.look(py, Any::is_frozen)
    }

    /// Whether this process may not write it.
    #[getter]
    fn readonly(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(!self.core.look(py, Any::is_writable)?)
    }

    /// Its id, or None where it is not published.
    #[getter]
    fn id(&self, py: Python<'_>) -> PyResult<Option<i32>> {
        self.core.look(py, |any| of_any!(any, area => area.id().map(areas::AreaId::get)))
    }

    /// Its name, or None.
    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let name = self.core.look(py, |any| of_any!(any, area => area.name().cloned()))?;
        name.map(|name| name_to_python(py, &name)).transpose()
    }

    /// The address of its first byte in this process.
    #[getter]
    fn address(&self) -> usize {
        self.core.address()
    }

    /// How many living objects of this process may write it: arrays, memoryviews and the like.
    #[getter]
    fn writers(&self) -> usize {
        self.core.writers().load(Ordering::Acquire)
    }

    /// Makes all of it read-only for all processes. Waits for so many seconds for writers.
    fn freeze(&self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or(Duration::ZERO);
        let deadline = Instant::now().checked_add(timeout);
        let _freezing = Freezing::begin(&self.core);
        self.wait_for_writers(py, deadline)?;
        let left = deadline.map_or(timeout, |end| end.saturating_duration_since(Instant::now()));
        let frozen = self.core.turn(py, "freeze", |any| match any {
            Any::Frozen(area) => {
                let error = Error::new(ErrorKind::Frozen, format!("freeze {area}"))
                    .with_facts("it is frozen already");
                (Any::Frozen(area), Err(error))
            }
            Any::Shared(area) if self.writers() > 0 => {
                let error = self.still_written(&area.to_string());
                (Any::Shared(area), Err(error))
            }
            Any::Shared(area) => match area.freeze_within(left) {
                Ok(area) => (Any::Frozen(area), Ok(())),
                Err(Rejected { error, value }) => (Any::Shared(value), Err(error)),
            },
        })?;
        frozen.map_err(|error| raised(py, &error))
    }

    /// Grows it to so many bytes.
    fn grow(&self, py: Python<'_>, nbytes: usize) -> PyResult<()> {
        let grown = self.core.turn(py, "grow", |any| match any {
            Any::Shared(area) => {
                let grown = area.grow(nbytes);
                (Any::Shared(area), grown)
            }
            Any::Frozen(area) => {
                let error = Error::new(ErrorKind::Frozen, format!("grow {area}")).with_facts("it is frozen");
                (Any::Frozen(area), Err(error))
            }
        })?;
        grown.map_err(|error| raised(py, &error))
    }

    /// Brings all of its pages into memory. `progress` is called with bytes done and bytes in all.
    #[pyo3(signature = (progress=None))]
    fn populate(&self, py: Python<'_>, progress: Option<Py<PyAny>>) -> PyResult<()> {
        let mut reporter = Reporter::new(progress);
        let done = self.core.run(py, "populate", |any| {
            reporter.watch(|report| of_any!(any, area => area.populate_with(report)))
        })?;
        reporter.finish()?;
        done.unwrap_or(Ok(())).map_err(|error| raised(py, &error))
    }

    /// Takes its contents from a file, from the file's first byte on: as many bytes as it has.
    #[pyo3(signature = (file, progress=None))]
    fn fill_from(&self, py: Python<'_>, file: RawFd, progress: Option<Py<PyAny>>) -> PyResult<()> {
        let file = borrowed(py, file)?;
        let mut reporter = Reporter::new(progress);
        let done = self.core.turn(py, "fill_from", |any| match any {
            Any::Shared(mut area) => {
                let done = reporter.watch(|report| area.fill_from(file, report));
                (Any::Shared(area), done)
            }
            Any::Frozen(area) => {
                let error = Error::new(ErrorKind::Frozen, format!("fill {area}")).with_facts("it is frozen");
                (Any::Frozen(area), Some(Err(error)))
            }
        })?;
        reporter.finish()?;
        done.unwrap_or(Ok(())).map_err(|error| raised(py, &error))
    }

    /// Measures where its pages are.
    fn residency<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let measured = self.core.run(py, "residency", |any| of_any!(any, area => area.residency()))?;
        measured::residency(py, &measured.map_err(|error| raised(py, &error))?)
    }

    /// Measures whether its pages are where they were asked to be.
    fn verify<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let measured = self.core.run(py, "verify", |any| of_any!(any, area => area.verify()))?;
        measured::verification(py, &measured.map_err(|error| raised(py, &error))?)
    }

    /// Changes its placement, and moves the pages that are elsewhere.
    #[pyo3(name = "move", signature = (policy=None, nodes=None, home=None, progress=None))]
    fn migrate<'py>(
        &self,
        py: Python<'py>,
        policy: Option<&str>,
        nodes: Option<&str>,
        home: Option<u32>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let placement = placement(policy, nodes, home).map_err(|error| raised(py, &error))?;
        let mut reporter = Reporter::new(progress);
        let moved = self.core.run(py, "move", |any| {
            reporter.watch(|report| of_any!(any, area => area.migrate_with(placement, report)))
        })?;
        reporter.finish()?;
        match moved {
            Some(Ok(moved)) => measured::migration(py, &moved),
            Some(Err(error)) => Err(raised(py, &error)),
            None => Ok(PyDict::new(py)),
        }
    }

    /// What was granted: page size, bytes, and what was given instead of what was asked first.
    #[getter]
    fn granted<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.core.look(py, |any| of_any!(any, area => Given::of(&area.granted())))?.to_python(py)
    }

    /// What was asked of its place: `interleave:0-3`.
    #[getter]
    fn placement(&self, py: Python<'_>) -> PyResult<String> {
        self.core.look(py, |any| of_any!(any, area => area.placement().to_string()))
    }

    /// Its lock: `none`, `lazy`, `full` …
    #[getter]
    fn lock(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.core.look(py, |any| of_any!(any, area => area.lock().name()))
    }

    /// How far it may grow, in bytes; None where it may not.
    #[getter]
    fn max_nbytes(&self, py: Python<'_>) -> PyResult<Option<usize>> {
        self.core.look(py, |any| of_any!(any, area => area.object().extent().max()))
    }

    /// The inode of its memory object, by which processes know that they have the same.
    #[getter]
    fn inode(&self) -> u64 {
        self.core.inode()
    }

    /// Its descriptor, which stays the area's, and the device and inode that it was: who uses it
    /// looks first whether it still is.
    #[getter]
    fn descriptor(&self, py: Python<'_>) -> PyResult<(RawFd, u64, u64)> {
        self.core.look(py, |any| {
            of_any!(any, area => {
                let (device, inode) = area.object().file_id();
                (area.as_fd().as_raw_fd(), device, inode)
            })
        })
    }

    /// The processes that have its memory: number, command, whether mapped for writing or reading,
    /// and how many descriptors.
    fn holders<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let holders = self.core.run(py, "holders", |any| of_any!(any, area => area.object().holders()))?;
        let list = PyList::empty(py);
        for holder in holders {
            let mapped = holder.mapped.map(|protection| protection.to_string());
            list.append((holder.pid, holder.command, mapped, holder.descriptors))?;
        }
        Ok(list)
    }

    /// Sends it over a connected Unix socket, given by its descriptor: with the rights that it has
    /// here, or for reading only.
    #[pyo3(signature = (socket, read_only=false))]
    fn send(&self, py: Python<'_>, socket: RawFd, read_only: bool) -> PyResult<()> {
        let socket = borrowed(py, socket)?;
        let sent = self.core.run(py, "send", |any| match any {
            Any::Shared(area) if read_only => area.send_read_only(socket),
            Any::Shared(area) => area.send(socket),
            Any::Frozen(area) => area.send(socket),
        })?;
        sent.map_err(|error| raised(py, &error))
    }

    /// What is noted beside it, for those who find it.
    #[getter]
    fn note<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let note = self.core.look(py, names::note_of)?;
        Ok(PyBytes::new(py, &note))
    }

    /// Notes something else beside it.
    fn set_note(&self, py: Python<'_>, note: &[u8]) -> PyResult<()> {
        let noted = self.core.run(py, "set_note", |any| names::set_note(any, note))?;
        noted.map_err(|error| raised(py, &error))
    }

    /// Publishes it under a name; its id.
    #[pyo3(signature = (name, exclusive=false))]
    fn publish(&self, py: Python<'_>, name: &[u8], exclusive: bool) -> PyResult<i32> {
        let id = self.core.run(py, "publish", |any| names::publish(any, name, exclusive))?;
        id.map(areas::AreaId::get).map_err(|error| raised(py, &error))
    }

    /// Whether the memory itself is marked: no process finds it any more.
    #[getter]
    fn retired(&self, py: Python<'_>) -> PyResult<bool> {
        let retired = self.core.look(py, |any| of_any!(any, area => area.object().is_retired()))?;
        retired.map_err(|error| raised(py, &error))
    }

    /// Marks the memory itself, and takes the name back: no process finds it any more, by whatever
    /// holder. Its holders keep it. Whether it was not marked before.
    fn retire(&self, py: Python<'_>) -> PyResult<bool> {
        let first = self.core.run(py, "retire", |any| {
            of_any!(any, area => {
                area.object().is_retired().and_then(|before| area.retire().map(|()| !before))
            })
        })?;
        first.map_err(|error| raised(py, &error))
    }

    /// Takes its name back: no process finds it by way of this process any more. The memory stays.
    pub(crate) fn withdraw(&self, py: Python<'_>) -> PyResult<()> {
        // A few words in this process's own table.
        self.core.change(py, names::withdraw)
    }
}

impl Holding {
    /// Waits until no object of this process may write it, or until the deadline.
    fn wait_for_writers(&self, py: Python<'_>, deadline: Option<Instant>) -> PyResult<()> {
        let mut collected = false;
        while self.writers() > 0 {
            if !collected {
                // Objects in cycles go when they are looked for.
                py.import("gc")?.call_method0("collect")?;
                collected = true;
                continue;
            }
            if deadline.is_some_and(|end| Instant::now() >= end) {
                let name = self.core.look(py, |any| of_any!(any, area => area.to_string()))?;
                return Err(raised(py, &self.still_written(&name)));
            }
            py.detach(|| std::thread::sleep(SLICE));
            py.check_signals()?;
        }
        Ok(())
    }

    fn still_written(&self, name: &str) -> Error {
        let detail = match self.writers() {
            1 => "an object of this process can still write it: an array, a view of one, or a memoryview"
                .to_owned(),
            some => format!(
                "{some} objects of this process can still write it: arrays, views of them, or memoryviews"
            ),
        };
        Error::new(ErrorKind::Busy, format!("freeze {name}")).with_facts(detail).with_remedy(
            "drop them first (`del`, or return from their function); write by `a.array[…] = …` instead",
        )
    }
}
