//! Areas whose lock demands something of the page frames: pages side by side, or below a limit.
//!
//! A lock says what has to hold, not how. So the ways to get there are tried in the order of what
//! they promise, and if none does, the error reports each.

use super::builder::{AreaBuilder, Wanted};
use super::{Area, Clonable};
use crate::error::{Error, ErrorKind, Result, remedy};
use crate::lock::{Demand, Lock};
use crate::mapping::Mapping;
use crate::nodes::Placement;
use crate::object::Object;
use crate::page::{PageSize, Pages};
use crate::physical::{self, claim, collapse, pool};
use crate::size::Bytes;

/// A way to memory that meets a demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Hugetlb pages: locked ones are not moved.
    Pool(PageSize),
    /// Base pages, collapsed where they have to be contiguous.
    Base,
    /// A part of a range that was reserved when the machine booted: it cannot be moved.
    Reserved,
}

/// How often it is retried where pages were moved before they were locked.
const ATTEMPTS: usize = 4;

impl AreaBuilder<'_> {
    /// An area in memory that meets the lock's demand, locked: what holds then was promised.
    pub(super) fn arranged<K: Clonable>(&self, demand: Demand, placement: &Placement) -> Result<Area<K>> {
        let mut why = String::new();
        for _ in 0..ATTEMPTS {
            let (mapping, object) = self.arrange(demand, placement)?;
            let area: Area<K> = self.finish(mapping, object, placement)?;
            if area.is_physical() {
                return Ok(area);
            }
            match physical::moved(&area.mapping, area.used(), demand)? {
                None => return Ok(area),
                Some(reason) => why = reason,
            }
        }
        Err(Error::new(ErrorKind::NoMemory, format!("{} {demand}", self.what("shared")))
            .with_facts(format!(
                "{ATTEMPTS} times the kernel moved it before it was locked; the last time, {why}"
            ))
            .with_remedy("try again; hugetlb pages are not moved"))
    }

    /// The object, in memory that meets the lock's demand.
    fn arrange(&self, demand: Demand, placement: &Placement) -> Result<(Mapping, Object)> {
        let what = || format!("{} {demand}", self.what("shared"));
        if self.extent != Wanted::Fixed {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .with_facts("what it grew by would be elsewhere")
                .with_remedy("choose a fixed size: `.shared()` without `.growable()`"));
        }
        let mut refused: Vec<Error> = Vec::new();
        for way in self.ways(demand, placement, &what)? {
            match (self.by_way(way, demand, placement), refused.pop()) {
                (Ok((mut mapping, object)), first) => {
                    // Side by side all the same, but of less use against those who move pages.
                    if let (Way::Base, Some(because)) = (way, first) {
                        let given = "base pages that are contiguous now";
                        mapping.record_fallback("contiguous hugetlb pages", given, because);
                    }
                    return Ok((mapping, object));
                }
                (Err(error), first) => refused.extend(first.into_iter().chain([error])),
            }
        }
        let kind = refused.first().map_or(ErrorKind::Unsupported, Error::kind);
        let reported: Vec<String> = refused.iter().map(ToString::to_string).collect();
        let error = Error::new(kind, what()).with_facts(reported.join("; "));
        Err(remedy::physical(error, &refused))
    }

    /// The ways to try, the one that promises most first.
    fn ways(&self, demand: Demand, placement: &Placement, what: &dyn Fn() -> String) -> Result<Vec<Way>> {
        let small = self.size <= PageSize::base().bytes();
        if self.lock == Lock::Low {
            let wrong = match (self.pages, placement.is_default()) {
                (Pages::Pool(_), _) => Some("reserved memory has no huge pages"),
                (Pages::Base | Pages::PreferPool(_) | Pages::Auto, false) => {
                    Some("reserved memory belongs to no node")
                }
                (Pages::Base | Pages::PreferPool(_) | Pages::Auto, true) => None,
            };
            return match wrong {
                Some(why) => Err(Error::new(ErrorKind::Unsupported, what()).with_facts(why)),
                None => Ok(vec![Way::Reserved]),
            };
        }
        let mut ways = Vec::new();
        match self.pages {
            Pages::Pool(page) => return Ok(vec![Way::Pool(page)]),
            Pages::PreferPool(page) => ways.push(Way::Pool(page)),
            // One page is contiguous, and of the pool's pages some lie high.
            Pages::Base | Pages::Auto if small || !demand.contiguous => {}
            Pages::Base | Pages::Auto => ways.push(Way::Pool(PageSize::HUGE_2M)),
        }
        ways.push(Way::Base);
        if ways == [Way::Base] && demand.below.is_some() {
            ways.push(Way::Pool(PageSize::HUGE_2M));
        }
        if demand.below.is_some() && placement.is_default() {
            ways.push(Way::Reserved);
        }
        Ok(ways)
    }

    fn by_way(&self, way: Way, demand: Demand, placement: &Placement) -> Result<(Mapping, Object)> {
        match way {
            Way::Pool(page) => {
                let count = self.size.div_ceil(page.bytes());
                pool::arrange(demand, page, count, *placement, &|| self.object_of(page, placement))
            }
            Way::Base => {
                let object = collapse::arrange(demand, &self.label(), self.size, *placement)?;
                self.map_object(object, placement)
            }
            Way::Reserved => self.map_object(claim::claim(self.size, demand)?, placement),
        }
    }

    /// Refuses locks that a private area cannot keep.
    pub(super) fn refuse_private(&self) -> Result<()> {
        let Some(demand) = self.lock.demand() else { return Ok(()) };
        Err(Error::new(ErrorKind::Unsupported, format!("{} {demand}", self.what("private")))
            .with_facts(format!(
                "after a fork, the process that writes {} first gets a copy, which is elsewhere",
                Bytes::from(self.size)
            ))
            .with_remedy("make it shared, without a name if no process is to find it: `.shared()`"))
    }
}
