//! The module's functions: making areas, finding them, and the machine's nodes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use areas::registry;
use areas::{Error, ErrorKind, Lock, Protection, Topology};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::core::Any;
use crate::errors::raised;
use crate::holding::Holding;
use crate::names::{self, name_to_python};
use crate::opening::{self, open};
use crate::placing::{pages, placement};
use crate::progress::Reporter;

/// How long is waited at a time before signals are looked for.
const SLICE: Duration = Duration::from_millis(100);

/// Makes an area of so many bytes. It is published when it is complete.
#[pyfunction]
#[pyo3(signature = (nbytes, name=None, note=None, exclusive=false, *, max_nbytes=None, policy=None, nodes=None, home=None, huge=None, lock=None, populate=false, dump=true, progress=None))]
#[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
pub(crate) fn create(
    py: Python<'_>,
    nbytes: usize,
    name: Option<&[u8]>,
    note: Option<&[u8]>,
    exclusive: bool,
    max_nbytes: Option<usize>,
    policy: Option<&str>,
    nodes: Option<&str>,
    home: Option<u32>,
    huge: Option<&str>,
    lock: Option<&str>,
    populate: bool,
    dump: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<Holding> {
    let mut reporter = Reporter::new(progress);
    let made: Result<_, Error> = py.detach(|| {
        let lock = lock.map_or(Ok(Lock::None), str::parse)?;
        // A full lock brings all pages in: in two steps, so that signals are heard between them.
        // (Without mlock2 there is no first one.)
        let steps = lock == Lock::Full && max_nbytes.is_none();
        let populate = populate || steps;
        let builder = areas::builder(nbytes).place(placement(policy, nodes, home)?).pages(pages(huge)?);
        let mut builder = builder.lock(if steps { Lock::Lazy } else { lock }).dump(dump);
        if let Some(max) = max_nbytes {
            builder = builder.growable(max);
        }
        if let Some(note) = note {
            builder = builder.note(note);
        }
        // Zeros are complete; what is populated is published behind that.
        let early = name.filter(|_| !populate);
        if let Some(name) = early {
            builder = builder.name(name);
            if exclusive {
                builder = builder.exclusive();
            }
        }
        let mut area = match builder.shared_or_empty() {
            Err(error) if steps && error.kind() == ErrorKind::Unsupported => {
                builder.lock(lock).shared_or_empty()?
            }
            made => made?,
        };
        if populate {
            match reporter.watch(|report| area.populate_with(report)) {
                Some(populated) => populated?,
                // What was raised is reported below, and the area goes.
                None => return Ok(None),
            }
        }
        if steps {
            area.complete_lock()?;
        }
        let mut area = Any::Shared(area);
        if let (None, Some(name)) = (early, name) {
            names::publish(&mut area, name, exclusive)?;
        }
        Ok(Some(area))
    });
    reporter.finish()?;
    match made {
        Ok(Some(area)) => Ok(Holding::over(area)),
        Ok(None) => Err(PyKeyboardInterrupt::new_err("making an area was interrupted")),
        Err(error) => Err(raised(py, &error)),
    }
}

/// The oldest area of that name, opened.
#[pyfunction]
#[pyo3(signature = (name, write=false, keep_name=true))]
pub(crate) fn find(py: Python<'_>, name: &[u8], write: bool, keep_name: bool) -> PyResult<Holding> {
    let found = py.detach(|| opening::found(name, write, keep_name));
    found.map(Holding::over).map_err(|error| raised(py, &error))
}

/// The same once there is one.
#[pyfunction]
#[pyo3(signature = (name, timeout=None, *, write=false, keep_name=true))]
pub(crate) fn wait(
    py: Python<'_>,
    name: &[u8],
    timeout: Option<f64>,
    write: bool,
    keep_name: bool,
) -> PyResult<Holding> {
    let begun = Instant::now();
    let whole = timeout.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO));
    loop {
        let left = whole.map(|whole| whole.saturating_sub(begun.elapsed()));
        let slice = left.map_or(SLICE, |left| left.min(SLICE));
        let found = py.detach(|| open(&registry::wait(name, Some(slice))?, write, keep_name));
        py.check_signals()?;
        match found {
            Ok(area) => return Ok(Holding::over(area)),
            // It went as it was opened: another one may come.
            Err(error) if error.kind() == ErrorKind::NoSuchArea && left != Some(Duration::ZERO) => {}
            Err(error) if error.kind() == ErrorKind::TimedOut && left != Some(Duration::ZERO) => {}
            Err(error) => return Err(raised(py, &error)),
        }
    }
}

/// All areas that can be seen, as dictionaries; and the processes that cannot be looked into.
#[pyfunction]
pub(crate) fn list(py: Python<'_>) -> PyResult<(Bound<'_, PyList>, Bound<'_, PyList>)> {
    let listing = py
        .detach(|| {
            let listing = registry::list()?;
            let infos: Vec<_> = listing.areas.iter().filter_map(|source| source.info().ok()).collect();
            Ok((infos, listing.unreadable))
        })
        .map_err(|error: Error| raised(py, &error))?;
    let areas = PyList::empty(py);
    for info in &listing.0 {
        let area = PyDict::new(py);
        area.set_item("id", info.id.get())?;
        area.set_item("name", name_to_python(py, &info.name)?)?;
        area.set_item("pid", info.pid)?;
        area.set_item("nbytes", info.size)?;
        area.set_item("max_nbytes", info.extent.max())?;
        area.set_item("writable", info.protection.contains(Protection::WRITE))?;
        area.set_item("lock", info.lock.name())?;
        area.set_item("placement", info.placement.to_string())?;
        area.set_item("page_size", info.page_size.bytes())?;
        area.set_item("note", PyBytes::new(py, info.note.as_bytes()))?;
        areas.append(area)?;
    }
    let unreadable = PyList::empty(py);
    for team in &listing.1 {
        let dict = PyDict::new(py);
        dict.set_item("pid", team.pid)?;
        dict.set_item("command", team.command.as_deref())?;
        dict.set_item("reason", team.reason.as_str())?;
        unreadable.append(dict)?;
    }
    Ok((areas, unreadable))
}

/// The machine's nodes, as dictionaries: number, bytes of memory, CPUs.
#[pyfunction]
pub(crate) fn nodes(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let topology = py.detach(Topology::read).map_err(|error| raised(py, &error))?;
    let allowed = areas::allowed_nodes().map_err(|error| raised(py, &error))?;
    let nodes = PyList::empty(py);
    for info in topology.nodes() {
        let node = PyDict::new(py);
        node.set_item("node", info.node.get())?;
        node.set_item("allowed", allowed.contains(info.node))?;
        node.set_item("online", info.online)?;
        node.set_item("cpus", info.cpus.to_string())?;
        node.set_item("total", info.memory.and_then(|memory| memory.total))?;
        node.set_item("free", info.memory.and_then(|memory| memory.free))?;
        node.set_item("available", info.memory.and_then(|memory| memory.available()))?;
        let distances = PyDict::new(py);
        for (to, distance) in info.distances() {
            distances.set_item(to.get(), distance)?;
        }
        node.set_item("distances", distances)?;
        nodes.append(node)?;
    }
    Ok(nodes)
}

/// The registry's folder, which this process joins; `None` where there is none.
#[pyfunction]
pub(crate) fn registry_path(py: Python<'_>) -> PyResult<Option<PathBuf>> {
    let path = registry::join().and_then(|()| registry::path());
    path.map_err(|error| raised(py, &error))
}

/// The nodes that this process may use, as the kernel writes them: `0-3,8`.
#[pyfunction]
pub(crate) fn allowed_nodes(py: Python<'_>) -> PyResult<String> {
    areas::allowed_nodes().map(|nodes| nodes.to_string()).map_err(|error| raised(py, &error))
}
