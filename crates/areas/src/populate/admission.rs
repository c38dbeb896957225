//! Who is admitted to take pages: what plainly cannot fit is refused before the first one is taken.

use std::ops::Range;

use super::room::{Asked, Short, resident, supply};
use super::watch::Watch;
use super::{Job, missing, pages};
use crate::error::Result;
use crate::nodes::{NodeSet, Placement, Policy};
use crate::page::PageSize;
use crate::residency;
use crate::size::Bytes;
use crate::sys;

/// Below this the question costs more than it is worth: even a small machine has it.
const WORTH_ASKING: usize = 1 << 20;

/// Refuses what cannot fit, and keeps an eye on the rest: what is not in RAM yet, placed like that.
pub(super) fn admit(job: &Job<'_>, placement: Placement) -> Result<Watch> {
    let missing = missing(job)?;
    // A pool says itself that it is empty, by an error.
    if missing < WORTH_ASKING || job.mapping.page_size() != PageSize::base() {
        return Ok(Watch::none());
    }
    // All other policies spill, but not out of the cpuset.
    let nodes = placement.confined_to().or_else(|| sys::policy::allowed_nodes().ok());
    let what = if placement.is_default() { "it".to_owned() } else { placement.to_string() };
    let asked = Asked { what, nodes };
    let watch = Watch::admit(asked.clone(), missing as u64, pages(job) as u64)
        .map_err(|short| short.refuse(job, &asked, "populate"))?;
    super::mixed(job).map_or(Ok(()), |parts| check_parts(job, &parts))?;
    Ok(watch)
}

/// Whether so many bytes plainly cannot be had from the nodes and control groups of this process:
/// for programs that take pages by writing, as bytes come in, and do not know how many will come.
///
/// # Errors
/// [`ErrorKind::NoMemory`](crate::ErrorKind::NoMemory), with what there is.
pub fn refuse_what_cannot_fit(bytes: u64) -> Result<()> {
    let asked = Asked { what: "it".to_owned(), nodes: sys::policy::allowed_nodes().ok() };
    match Watch::admit(asked.clone(), bytes, bytes) {
        Ok(_) => Ok(()),
        Err(short) => Err(short.error(format!("take {:#}", Bytes(bytes)), &asked)),
    }
}

/// The same for parts that are placed each in its own way: what is confined to some nodes has to
/// fit there.
fn check_parts(job: &Job<'_>, parts: &[(Range<usize>, Placement)]) -> Result<()> {
    let mut sets: Vec<NodeSet> = parts.iter().filter_map(|(_, placement)| placement.confined_to()).collect();
    sets.sort_unstable_by_key(|nodes| *nodes.words());
    sets.dedup();
    // Asked only where it matters, since it takes a look at every page.
    let mut measured = None;
    for nodes in sets {
        let inside = || {
            parts
                .iter()
                .filter(|(_, placement)| placement.confined_to().is_some_and(|part| part.is_subset(&nodes)))
        };
        let all: u64 = inside().map(|(range, _)| range.len() as u64).sum();
        let Some(supply) = supply(Some(nodes)).filter(|supply| all > supply.bytes) else { continue };
        let residency = match measured.take() {
            Some(residency) => residency,
            None => residency::measure(job.mapping, job.object, job.len)?,
        };
        let missing = all.saturating_sub(resident(&residency, inside().map(|(range, _)| range)));
        if missing > supply.bytes {
            let asked = Asked { what: Placement::new(Policy::Bind(nodes)).to_string(), nodes: Some(nodes) };
            let (room, whose) = (supply.bytes, supply.to_string());
            let short = Short { needed: missing, room, taken: 0, whose, raise: None };
            return Err(short.refuse(job, &asked, "populate"));
        }
        measured = Some(residency);
    }
    Ok(())
}
