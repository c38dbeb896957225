//! A run of hugetlb pages that lie side by side, or below a limit.
//!
//! The pool's free list is last in, first out, one list a node. So more pages than needed are
//! taken, those that fit are chosen among them and freed in reverse, and the next ones taken are
//! those, in order. Another process may take some concurrently: it is looked at again, and tried
//! again a few times.

use super::choose::choose;
use super::{Demand, frames, unit};
use crate::error::{Error, ErrorKind, Result, remedy};
use crate::mapping::Mapping;
use crate::nodes::Placement;
use crate::object::{Extent, Object};
use crate::page::PageSize;
use crate::provider::{Provider, Request, System};
use crate::size::Bytes;
use crate::sys;
use crate::sys::memory::Advice;

/// How often pages are taken and chosen from, each time twice as many, until all that are free have
/// been.
const ATTEMPTS: usize = 24;
/// How often that may fail because another process took some concurrently.
const LOST_RACES: usize = 4;

/// Has `make` take hugetlb pages that meet a demand: `count` of them, in order. What it makes is
/// mapped, and its pages are there.
pub(crate) fn arrange(
    demand: Demand,
    page: PageSize,
    count: usize,
    placement: Placement,
    make: &dyn Fn() -> Result<(Mapping, Object)>,
) -> Result<(Mapping, Object)> {
    let what = || format!("take {count} pages of {page} from the pool, {demand}");
    let first = make()?;
    if demand.any_page_will_do(count) || meets(&first.0, demand, count)? {
        return Ok(first);
    }
    drop(first);
    let (mut wanted, mut in_between) = (count, 0);
    for _ in 0..ATTEMPTS {
        wanted = wanted.saturating_mul(2).max(wanted + 8);
        let spare = Spare::take(page, wanted, placement)?;
        match choose(&spare.frames, unit(page), count, demand) {
            Ok(chosen) => {
                spare.give_back(&chosen)?;
                let made = make()?;
                if meets(&made.0, demand, count)? {
                    return Ok(made);
                }
                in_between += 1;
                if in_between == LOST_RACES {
                    break;
                }
            }
            // All that are free were among them.
            Err(short) if spare.frames.len() < wanted => {
                let kept = demand.below.map_or(String::new(), |below| {
                    format!("{} of them lie below {}, ", short.below, Bytes(below))
                });
                return Err(remedy::pool_run(
                    Error::new(ErrorKind::NoMemory, what()).with_facts(format!(
                        "{} hugetlb pages were free; {kept}at most {} contiguous",
                        spare.frames.len(),
                        short.longest
                    )),
                    page,
                    &placement,
                ));
            }
            Err(_) => {}
        }
    }
    Err(remedy::pool_run(
        Error::new(ErrorKind::NoMemory, what())
            .with_facts("other processes took and released pages concurrently, again and again"),
        page,
        &placement,
    ))
}

fn meets(mapping: &Mapping, demand: Demand, count: usize) -> Result<bool> {
    let page = mapping.page_size();
    Ok(demand.unmet(&frames::of(mapping, count * page.bytes(), page)?, unit(page)).is_none())
}

/// Pages that were taken to be chosen from. Dropping it releases them.
#[derive(Debug)]
struct Spare {
    object: Object,
    mapping: Mapping,
    page: PageSize,
    /// As many as could be had.
    frames: Vec<u64>,
}

impl Spare {
    /// At most `count` pages.
    fn take(page: PageSize, count: usize, placement: Placement) -> Result<Self> {
        // Not more addresses than the pool has pages.
        let count = count.min(pages_of_pool(page).max(1));
        let size = count.saturating_mul(page.bytes());
        // Growable, so that nothing is reserved: it takes what is there.
        let object = Object::create("area: spare pages", 0, Extent::Growable { max: size }, page)?;
        sys::object::set_size(object.fd(), size as u64).map_err(|errno| {
            Error::new(ErrorKind::System, "take spare pages").with_system_call("ftruncate", errno)
        })?;
        let mut request = Request::object(&object);
        if !placement.is_default() {
            request = request.placed(placement);
        }
        let mapping = System::new().map(&request)?;
        let mut taken = 0;
        while taken < count {
            let address = mapping.check(taken * page.bytes(), page.bytes(), mapping.span())?;
            match sys::memory::advise(address, page.bytes(), Advice::PopulateWrite) {
                Ok(()) => taken += 1,
                Err(sys::Errno::INTR | sys::Errno::AGAIN) => {}
                Err(_) => break,
            }
        }
        let frames = frames::of(&mapping, taken * page.bytes(), page)?;
        Ok(Spare { object, mapping, page, frames })
    }

    /// Gives the chosen pages back so that the next ones who take some get them in that order, then
    /// the others, which have to wait until that has happened: they go when this is dropped.
    fn give_back(&self, chosen: &[usize]) -> Result<()> {
        debug_assert!(self.mapping.span() >= self.frames.len() * self.page.bytes());
        for &index in chosen.iter().rev() {
            let (offset, len) = (index * self.page.bytes(), self.page.bytes());
            sys::object::punch(self.object.fd(), offset as u64, len as u64).map_err(|errno| {
                Error::new(ErrorKind::System, "return a page to the pool")
                    .with_system_call(format!("fallocate({offset}, PUNCH_HOLE)"), errno)
            })?;
        }
        Ok(())
    }
}

/// How many pages the pool has, free or not.
fn pages_of_pool(page: PageSize) -> usize {
    let file = format!("/sys/kernel/mm/hugepages/hugepages-{}kB/nr_hugepages", page.bytes() / 1024);
    sys::text::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
