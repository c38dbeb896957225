//! Areas from process to process: by where they are in the registry, and over sockets.

use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use areas::registry::{self, Source};
use areas::{AreaId, Error, ErrorKind, Protection, ReceiveOptions, Received};
use pyo3::prelude::*;

use crate::core::Any;
use crate::descriptor::borrowed;
use crate::errors::raised;
use crate::holding::Holding;
use crate::opening::open;

/// How long is waited at a time before signals are looked for.
const SLICE: Duration = Duration::from_millis(100);

/// What a handle leads to, opened: the area of that id, if it is of that process and that memory;
/// or, where its holder is gone, any area over the same memory.
pub(crate) fn opened(pid: u32, id: i32, inode: u64, write: bool, keep_name: bool) -> Result<Any, Error> {
    // What was opened is what was looked for: numbers are used again.
    let is_it = |area: &Any| crate::core::inode_of(area) == inode;
    let direct = AreaId::new(id).and_then(registry::get);
    if let Ok(source) = &direct
        && source.pid() == pid
        && let Ok(area) = open(source, write, keep_name)
        && is_it(&area)
    {
        return Ok(area);
    }
    let may_be = |source: &Source| {
        source.info().is_ok_and(|info| {
            info.object.1 == inode && (!write || info.protection.contains(Protection::WRITE))
        })
    };
    let Some(source) = registry::list()?.areas.into_iter().find(may_be) else {
        return Err(match direct {
            Err(error) => error,
            // It is another area's by now, or may not be written.
            Ok(_) => Error::new(ErrorKind::NoSuchArea, format!("find area {id} of process {pid}")),
        });
    };
    match open(&source, write, keep_name)? {
        area if is_it(&area) => Ok(area),
        _ => Err(Error::new(ErrorKind::NoSuchArea, format!("open area {id} of process {pid}"))
            .with_facts("it went as it was opened")),
    }
}

/// Opens what a handle leads to.
#[pyfunction]
pub(crate) fn open_located(
    py: Python<'_>,
    pid: u32,
    id: i32,
    inode: u64,
    write: bool,
    keep_name: bool,
) -> PyResult<Holding> {
    let opened = py.detach(|| opened(pid, id, inode, write, keep_name));
    opened.map(Holding::over).map_err(|error| raised(py, &error))
}

/// Releases what this process has of another one's registry table, where that process is gone: an
/// id of its is asked for.
#[pyfunction]
pub(crate) fn forget_dead(py: Python<'_>, id: i32) {
    // Whoever has the id by now is none of the caller's business.
    py.detach(|| drop(AreaId::new(id).and_then(registry::get)));
}

/// Takes an area from a connected Unix socket, given by its descriptor, which stays the caller's.
#[pyfunction]
#[pyo3(signature = (socket, timeout=None, *, max_nbytes=None))]
pub(crate) fn receive(
    py: Python<'_>,
    socket: RawFd,
    timeout: Option<f64>,
    max_nbytes: Option<usize>,
) -> PyResult<Holding> {
    let begun = Instant::now();
    let whole = timeout.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO));
    let descriptor = borrowed(py, socket)?;
    loop {
        let left = whole.map(|whole| whole.saturating_sub(begun.elapsed()));
        let slice = left.map_or(SLICE, |left| left.min(SLICE));
        let mut options = ReceiveOptions::new().timeout(slice);
        if let Some(bytes) = max_nbytes {
            options = options.max_bytes(bytes);
        }
        let received = py.detach(|| options.receive(descriptor));
        py.check_signals()?;
        match received {
            Ok(Received::Shared(area)) => return Ok(Holding::over(Any::Shared(area))),
            Ok(Received::Frozen(area)) => return Ok(Holding::over(Any::Frozen(area))),
            Ok(other) => {
                py.detach(|| drop(other));
                return Err(raised(
                    py,
                    &Error::new(ErrorKind::Unsupported, "receive an area over a socket")
                        .with_facts("it is resizable: an array over it could lose its memory at any moment")
                        .with_remedy("send an area of a fixed size, or one that only grows"),
                ));
            }
            Err(error) if error.kind() == ErrorKind::TimedOut && left != Some(Duration::ZERO) => {}
            Err(error) => return Err(raised(py, &error)),
        }
    }
}
