//! Areas that other teams have transferred to this process.

use std::time::Duration;

use super::{Transferred, join, state, wait};
use crate::error::{Error, ErrorKind, Result};

/// The areas that other teams have transferred to this process and that the program has not taken
/// yet, in the order in which they came. [`Transferred::take`] takes one.
///
/// Every call into the registry that asks the kernel anyway accepts what was transferred: it is
/// mapped and published from then on, whether or not the program takes it.
///
/// ```
/// for transferred in areas::registry::transferred()? {
///     let area = transferred.take()?;
///     println!("{area:?} is ours");
/// }
/// # Ok::<(), areas::Error>(())
/// ```
///
/// # Errors
/// Where there is none, and one that was transferred cannot be accepted: as for new areas, for
/// instance [`ErrorKind::Limit`] for its lock. It is tried again at each call; [`refuse_transfer`]
/// drops it.
pub fn transferred() -> Result<Vec<Transferred>> {
    let mut state = state::state()?;
    let stuck = state.look();
    let arrivals = state.arrivals();
    match stuck {
        Some(error) if arrivals.is_empty() => Err(error),
        _ => Ok(arrivals),
    }
}

/// Waits until another team has transferred an area to this process, and gives the first that was
/// not taken yet. Joins the registry. Without a time-out it waits forever.
///
/// # Errors
/// [`ErrorKind::TimedOut`]; else as [`join`](super::join) and [`transferred()`].
pub fn wait_transferred(timeout: Option<Duration>) -> Result<Transferred> {
    join()?;
    let first = || Ok(transferred()?.into_iter().next());
    wait::wait_until(timeout, first)?.ok_or_else(|| {
        Error::new(ErrorKind::TimedOut, "wait for an area from another team")
            .with_facts(format!("no process transferred one within {:?}", timeout.unwrap_or_default()))
    })
}

/// Drops the area that was transferred to this process and cannot be accepted ([`transferred()`]
/// says why): the next one is accepted then. Returns whether there was one.
///
/// # Errors
/// As [`list`](super::list).
pub fn refuse_transfer() -> Result<bool> {
    Ok(state::state()?.refuse())
}
