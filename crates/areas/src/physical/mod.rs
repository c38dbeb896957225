//! Physical memory: pages side by side, or below a limit, as some locks demand it.
//!
//! The kernel gives no process a say in which page frames it gets. So frames are looked at
//! (`/proc/self/pagemap`), and chosen: among the hugetlb pages ([`pool`]), whose free list is last
//! in, first out; by having the kernel collapse base pages ([`collapse`]); or out of a range that
//! the kernel leaves alone since it booted ([`reserved`], [`claim`]).

mod choose;
pub(crate) mod claim;
pub(crate) mod collapse;
mod frames;
pub(crate) mod pool;
mod reserved;

use crate::error::{Error, ErrorKind, Result};
use crate::lock::{Demand, Lock};
use crate::mapping::Mapping;
use crate::page::PageSize;
use crate::size::Bytes;

impl Demand {
    /// Whether any one page will do.
    fn any_page_will_do(self, pages: usize) -> bool {
        self.below.is_none() && (pages <= 1 || !self.contiguous)
    }

    /// What is wrong with page frames, in the order of the pages that have them; `None` if all is
    /// well. Each page has `unit` frames.
    fn unmet(self, frames: &[u64], unit: u64) -> Option<String> {
        if let Some(below) = self.below
            && let Some(high) = frames.iter().position(|&frame| !is_below(frame, unit, below))
        {
            return Some(format!(
                "page {high} of {} is at physical address {:#x}, not below {}",
                frames.len(),
                frames[high] * PageSize::base().bytes() as u64,
                Bytes(below)
            ));
        }
        let apart = |pair: &[u64]| pair[0].checked_add(unit) != Some(pair[1]);
        let at = frames.windows(2).position(apart).filter(|_| self.contiguous)?;
        Some(format!(
            "page {} of {} does not lie behind page {at}, but {} page frames further",
            at + 1,
            frames.len(),
            i128::from(frames[at + 1]) - i128::from(frames[at])
        ))
    }
}

fn is_below(frame: u64, unit: u64, below: u64) -> bool {
    let end = frame.saturating_add(unit);
    end.checked_mul(PageSize::base().bytes() as u64).is_some_and(|end| end <= below)
}

/// Looks once more at the first `len` bytes of a mapping, once they are locked: what no longer
/// holds, if they were moved before.
pub(crate) fn moved(mapping: &Mapping, len: usize, demand: Demand) -> Result<Option<String>> {
    let page = mapping.page_size();
    if demand.any_page_will_do(len.div_ceil(page.bytes())) {
        return Ok(None);
    }
    Ok(demand.unmet(&frames::of(mapping, len, page)?, unit(page)))
}

/// Holds the claim of another process, that its memory meets a lock's demand, against the first
/// `len` bytes of a mapping, which are locked.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] where it does not hold; [`ErrorKind::NotPermitted`] for processes
/// that may not know page frames.
pub(crate) fn prove(mapping: &Mapping, len: usize, lock: Lock, what: &str) -> Result<()> {
    let Some(demand) = lock.demand() else { return Ok(()) };
    let Some(why) = moved(mapping, len, demand)? else { return Ok(()) };
    Err(Error::new(ErrorKind::InvalidInput, what.to_owned())
        .with_facts(format!("it is said to be locked as {lock}, and is not {demand}: {why}"))
        .with_remedy("do not rely on the other side's word; take its bytes with a lock that demands nothing"))
}

/// How many page frames a page has.
fn unit(page: PageSize) -> u64 {
    (page.bytes() / PageSize::base().bytes()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_reported() {
        let below = |contiguous, mib: u64| Demand { contiguous, below: Some(mib << 20) };
        let side_by_side = Demand { contiguous: true, below: None };
        let scattered = Demand { contiguous: false, below: None };
        let cases: [(Demand, &[u64], u64, Option<&str>); 9] = [
            (side_by_side, &[], 1, None),
            (side_by_side, &[7], 1, None),
            (side_by_side, &[7, 8, 9], 1, None),
            (side_by_side, &[512, 1024], 512, None),
            (
                side_by_side,
                &[7, 8, 10],
                1,
                Some("page 2 of 3 does not lie behind page 1, but 2 page frames further"),
            ),
            (
                side_by_side,
                &[8, 7],
                1,
                Some("page 1 of 2 does not lie behind page 0, but -1 page frames further"),
            ),
            (scattered, &[8, 7], 1, None),
            (below(false, 16), &[1, 4095], 1, None),
            (
                below(true, 16),
                &[3584, 4096],
                512,
                Some("page 1 of 2 is at physical address 0x1000000, not below 16 MiB"),
            ),
        ];
        for (demand, frames, unit, expected) in cases {
            assert_eq!(demand.unmet(frames, unit).as_deref(), expected, "{demand} {frames:?}");
        }
        assert!(!is_below(4095, 2, 16 << 20), "a page ends below it, too");
    }
}
