//! Areas for other users and for containers: offered at a socket with a path, and taken there.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use areas::gate::{self, OfferOptions, Outcome, TakeOptions};
use areas::{AnyArea, AreaId, Error, ErrorKind, ReceiveOptions, registry};
use pyo3::prelude::*;

use crate::core::Any;
use crate::errors::raised;
use crate::holding::Holding;

/// How long is waited at a time before signals are looked for.
const SLICE: Duration = Duration::from_millis(100);

/// An area that is offered at a socket: `areas.Offer` is made over it.
#[pyclass(frozen, module = "areas._areas")]
#[derive(Debug)]
pub(crate) struct Offer {
    /// `None` once it was closed.
    offer: Mutex<Option<gate::Offer>>,
}

impl Offer {
    fn offer(&self) -> MutexGuard<'_, Option<gate::Offer>> {
        self.offer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outcome of a connection, who it was (user, process), and why not.
type Answered = (&'static str, Option<u32>, Option<u32>, Option<String>);

fn in_python(answer: gate::Answer) -> Answered {
    let (outcome, reason) = match answer.outcome {
        Outcome::Given => ("given", None),
        Outcome::Refused(why) => ("refused", Some(why.to_string())),
        Outcome::Failed(error) => ("failed", Some(error.to_string())),
        _ => ("left", None),
    };
    (outcome, answer.peer.user, answer.peer.process, reason)
}

#[pymethods]
impl Offer {
    /// Answers the next one who connects; None where no process came in time, or it was closed.
    #[pyo3(signature = (timeout=None))]
    fn answer(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Option<Answered>> {
        let begun = Instant::now();
        let whole = timeout.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO));
        loop {
            let left = whole.map(|whole| whole.saturating_sub(begun.elapsed()));
            let slice = left.map_or(SLICE, |left| left.min(SLICE));
            let answered = py.detach(|| match self.offer().as_mut() {
                Some(offer) => offer.answer(Some(slice)).map(Some),
                None => Ok(None),
            });
            py.check_signals()?;
            match answered.map_err(|error| raised(py, &error))? {
                Some(Some(answer)) => return Ok(Some(in_python(answer))),
                None => return Ok(None),
                Some(None) if left == Some(Duration::ZERO) => return Ok(None),
                Some(None) => {}
            }
        }
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        py.detach(|| self.offer().is_none())
    }

    /// Takes the socket away.
    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.offer().take()));
    }
}

/// Offers a published area at a path, or at a supervisor's socket.
#[pyfunction]
#[pyo3(signature = (id, path, *, to=None, any_user=false, read_only=false, seal=false))]
pub(crate) fn offer(
    py: Python<'_>,
    id: i32,
    path: Option<PathBuf>,
    to: Option<Vec<u32>>,
    any_user: bool,
    read_only: bool,
    seal: bool,
) -> PyResult<Offer> {
    let opened = py.detach(|| {
        let source = AreaId::new(id).and_then(registry::get)?;
        let mut options = to.unwrap_or_default().into_iter().fold(OfferOptions::new(), OfferOptions::to);
        if any_user {
            options = options.to_any_user();
        }
        if read_only {
            options = options.read_only();
        }
        if seal {
            options = options.seal();
        }
        match path {
            Some(path) => options.open(&source, path),
            None => options.open_inherited(&source)?.ok_or_else(|| {
                Error::new(ErrorKind::InvalidInput, format!("offer area {id}"))
                    .with_facts("no supervisor has given this process a socket (LISTEN_PID, LISTEN_FDS), and there is no path")
                    .with_remedy("say where: `areas.offer(area, path)`")
            }),
        }
    });
    Ok(Offer { offer: Mutex::new(Some(opened.map_err(|error| raised(py, &error))?)) })
}

/// Takes an area that is offered at a path.
#[pyfunction]
#[pyo3(signature = (path, timeout=0.0, *, users=None, any_user=false, max_nbytes=None))]
pub(crate) fn take(
    py: Python<'_>,
    path: PathBuf,
    timeout: Option<f64>,
    users: Option<Vec<u32>>,
    any_user: bool,
    max_nbytes: Option<usize>,
) -> PyResult<Holding> {
    let mut options = users.unwrap_or_default().into_iter().fold(TakeOptions::new(), TakeOptions::from);
    if any_user {
        options = options.from_any_user();
    }
    if let Some(bytes) = max_nbytes {
        options = options.bounds(ReceiveOptions::new().max_bytes(bytes));
    }
    options = options.wait(match timeout {
        Some(seconds) => Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO),
        None => Duration::MAX,
    });
    let mut interrupted = None;
    let taken = py.detach(|| {
        options.take_while(&path, &mut || match Python::attach(|py| py.check_signals()) {
            Ok(()) => true,
            Err(error) => {
                interrupted = Some(error);
                false
            }
        })
    });
    if let Some(error) = interrupted {
        return Err(error);
    }
    match taken {
        Ok(AnyArea::Shared(area)) => Ok(Holding::over(Any::Shared(area))),
        Ok(AnyArea::Frozen(area)) => Ok(Holding::over(Any::Frozen(area))),
        Ok(other) => {
            py.detach(|| drop(other));
            let error =
                Error::new(ErrorKind::Unsupported, format!("take the area that is offered at {path:?}"));
            Err(raised(
                py,
                &error.with_facts("its size may shrink, and an array over it could lose its memory"),
            ))
        }
        Err(error) => Err(raised(py, &error)),
    }
}
