//! A pool that ran dry while its pages were taken: of which nodes, and how many had come in before.

use std::ops::Range;

use super::{Job, mixed, placement};
use crate::error::{Error, pool};
use crate::mapping::Mapping;
use crate::nodes::Placement;
use crate::residency::{self, PageLocation, Residency};

/// For a job of which a part could not be had.
pub(super) fn of_job(error: Error, job: &Job<'_>, range: &Range<usize>) -> Error {
    let page = job.mapping.page_size();
    let (len, placed) = (page.round_up(job.len).unwrap_or(job.len), placement(job));
    let Ok(found) = residency::measure(job.mapping, job.object, job.len) else {
        return pool::too_few(error, pool::Wanted::new(page, len).placed(Some(&placed)));
    };
    let parts = mixed(job).unwrap_or_else(|| vec![(0..len, placed)]);
    let short = short_of(&found, &parts, range.start);
    pool::too_few(error, short.wanted(page))
}

/// For a mapping of hugetlb pages of which some of the first ones could not be had. `elsewhere` is
/// the placement of what was not placed by itself.
pub(crate) fn pool_ran_dry(
    error: Error,
    mapping: &Mapping,
    range: Range<usize>,
    elsewhere: Placement,
) -> Error {
    // What is behind it is not asked: our own page tables have what was taken just now.
    let job =
        Job { mapping, object: None, len: range.end, placement: Some(elsewhere), collapse: false, whose: "" };
    of_job(error, &job, &range)
}

/// What could not be had, and what was had beside it.
#[derive(Debug, PartialEq, Eq)]
struct Short {
    len: usize,
    taken: usize,
    placement: Placement,
}

impl Short {
    fn wanted(&self, page: crate::PageSize) -> pool::Wanted<'_> {
        pool::Wanted::taking(page, self.len, self.taken).placed(Some(&self.placement))
    }
}

/// The kernel takes pages in order: the first one that is missing from `start` on is the one that
/// could not be had. All that is placed as that one is comes from the same nodes.
fn short_of(found: &Residency, parts: &[(Range<usize>, Placement)], start: usize) -> Short {
    let is_absent = |run: &&residency::Run| run.place == PageLocation::Absent && run.range.end > start;
    let at = found.runs().iter().find(is_absent).map_or(start, |run| run.range.start.max(start));
    let placement =
        parts.iter().find(|(part, _)| part.contains(&at)).map_or_else(Placement::default, |(_, its)| *its);
    let same = || parts.iter().filter(|(_, its)| *its == placement).map(|(part, _)| part);
    let taken = super::room::resident(found, same());
    Short {
        len: same().map(Range::len).sum(),
        taken: usize::try_from(taken).unwrap_or(usize::MAX),
        placement,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nodes::Policy;
    use crate::residency::made_up;

    #[test]
    fn the_first_that_is_missing_says_whose_pool_it_was() {
        let page = crate::PageSize::base().bytes();
        let bind = |nodes: &str| Placement::new(Policy::Bind(nodes.parse().unwrap()));
        // Blocks of two pages, on nodes 0 and 1 in turn; the second one of node 1 could not be had.
        let parts: Vec<_> = (0..4)
            .map(|block| {
                (2 * block * page..2 * (block + 1) * page, bind(if block % 2 == 0 { "0" } else { "1" }))
            })
            .collect();
        let found = made_up(&[(2, Some(0)), (2, Some(1)), (2, Some(0)), (2, None)]);
        let short = short_of(&found, &parts, 0);
        assert_eq!(short, Short { len: 4 * page, taken: 2 * page, placement: bind("1") });
        // Another thread took later ones: what is missing before does not count.
        let found = made_up(&[(1, None), (3, Some(1)), (1, None), (3, Some(1))]);
        let short = short_of(&found, &parts, 4 * page);
        assert_eq!(short, Short { len: 4 * page, taken: 2 * page, placement: bind("0") });
        // All is there by now.
        let found = made_up(&[(8, Some(0))]);
        assert_eq!(short_of(&found, &parts, 0).taken, 4 * page);
    }
}
