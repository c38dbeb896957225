//! Choosing among pages that were taken for the purpose.

use super::{Demand, is_below};

/// Why no choice is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Short {
    /// How many of the pages are below the limit; all where there is none.
    pub(super) below: usize,
    /// How many of those lie side by side at most.
    pub(super) longest: usize,
}

/// Which pages meet a demand: `count` indices into `frames`, in the order in which the pages have
/// to follow each other. Each page has `unit` frames.
pub(super) fn choose(frames: &[u64], unit: u64, count: usize, demand: Demand) -> Result<Vec<usize>, Short> {
    let good = |frame: u64| demand.below.is_none_or(|below| is_below(frame, unit, below));
    let mut sorted: Vec<usize> = (0..frames.len()).filter(|&index| good(frames[index])).collect();
    sorted.sort_unstable_by_key(|&index| frames[index]);
    let mut short = Short { below: sorted.len(), longest: 0 };
    if !demand.contiguous && sorted.len() >= count {
        sorted.truncate(count);
        return Ok(sorted);
    }
    let follows = |one: &usize, next: &usize| frames[*one].checked_add(unit) == Some(frames[*next]);
    for run in sorted.chunk_by(follows) {
        short.longest = short.longest.max(run.len());
        if demand.contiguous && run.len() >= count {
            return Ok(run[..count].to_vec());
        }
    }
    Err(short)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_choice_is_made_whenever_there_is_one(
            places in prop::collection::hash_set(0_u64..40, 0..30),
            count in 1_usize..6,
            contiguous in any::<bool>(),
            below in prop::option::of(1_u64..50),
        ) {
            const UNIT: u64 = 512;
            let frames: Vec<u64> = places.iter().map(|place| place * UNIT).collect();
            let bytes = crate::PageSize::base().bytes() as u64 * UNIT;
            let demand = Demand { contiguous, below: below.map(|pages| pages * bytes) };
            let good = |place: u64| places.contains(&place) && below.is_none_or(|below| place < below);
            let run_from = |start: u64| (start..start + count as u64).all(good);
            let possible = match contiguous {
                true => (0..40).any(run_from),
                false => (0..40).filter(|&place| good(place)).count() >= count,
            };
            match choose(&frames, UNIT, count, demand) {
                Ok(chosen) => {
                    prop_assert!(possible);
                    let mut once = chosen.clone();
                    once.sort_unstable();
                    once.dedup();
                    prop_assert_eq!(once.len(), count);
                    let chosen: Vec<u64> = chosen.iter().map(|&index| frames[index]).collect();
                    prop_assert_eq!(demand.unmet(&chosen, UNIT), None);
                }
                Err(short) => {
                    prop_assert!(!possible);
                    prop_assert_eq!(short.below, (0..40).filter(|&place| good(place)).count());
                    prop_assert!(short.longest <= short.below);
                }
            }
        }
    }
}
