//! What the layers that place a mapping part by part have in common.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Backing, Provider, Request};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::Mapping;

/// Maps, with `place` called before any page is there: hugetlb pages are taken as soon as they are
/// placed, and a layer that wraps this may write to them. `what` is what is being done, for errors.
pub(super) fn map_placed_by(
    inner: &impl Provider,
    request: &Request<'_>,
    what: impl Fn() -> String,
    place: impl Fn(&mut Mapping) -> Result<()> + Sync,
) -> Result<Mapping> {
    if let Some(placement) = request.placement().filter(|placement| !placement.is_default()) {
        return Err(Error::new(ErrorKind::InvalidInput, what())
            .with_facts(format!("the request wants its pages placed as {placement}"))
            .with_remedy("ask either for a placement, or for this layer"));
    }
    if request.placer().is_some() {
        return Err(Error::new(ErrorKind::InvalidInput, what())
            .with_facts("a layer above places the parts already")
            .with_remedy("use one such layer"));
    }
    if let Backing::File { shared: true, .. } = request.backing() {
        return Err(Error::new(ErrorKind::Unsupported, what())
            .with_facts("the page cache ignores memory policies")
            .with_remedy("map the file privately, or put it into an area: `areas put FILE`"));
    }
    let placed = AtomicBool::new(false);
    let placer = |mapping: &mut Mapping| {
        placed.store(true, Ordering::Relaxed);
        place(mapping)
    };
    let mut mapping = inner.map(&request.clone().placed_by(&placer))?;
    if !placed.load(Ordering::Relaxed) {
        // A provider below made a request of its own and did not pass it on.
        place(&mut mapping)?;
    }
    Ok(mapping)
}
