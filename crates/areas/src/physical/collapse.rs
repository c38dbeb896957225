//! Base pages that are physically contiguous, or below a limit: where there is no pool.
//!
//! The kernel makes one transparent huge page of a memory object's base pages when asked to
//! (`MADV_COLLAPSE`, 6.1), and that one is contiguous. What is not needed of it is cut off again,
//! which moves nothing. Several huge pages, and page frames below a limit, are a matter of luck:
//! those that do not fit are kept while others are tried, so that the kernel gives new ones. And a
//! page that is isolated at that moment (for compaction, for reclaim, in another processor's batch)
//! is waited for, a little longer each time.

use std::thread::sleep;
use std::time::Duration;

use super::{Demand, frames, unit};
use crate::error::{Errno, Error, ErrorKind, Result, remedy};
use crate::nodes::Placement;
use crate::object::{Extent, FileLabel, Object};
use crate::page::PageSize;
use crate::populate::{self, Job, Refused};
use crate::provider::{Provider, Request, System};
use crate::size::Bytes;
use crate::sys;

/// How often it is tried.
const ATTEMPTS: usize = 8;
/// How long the first wait for isolated pages is. Each one is twice as long as the one before: 127
/// ms in all.
const WAIT: Duration = Duration::from_millis(1);

/// A fixed object of base pages that meet a demand. They are in RAM, and not locked yet.
pub(crate) fn arrange(
    demand: Demand,
    label: &FileLabel,
    size: usize,
    placement: Placement,
) -> Result<Object> {
    let (base, huge) = (PageSize::base(), PageSize::transparent());
    let what = || format!("collapse base pages, {demand}");
    let too_large = || {
        Error::new(ErrorKind::InvalidInput, what()).with_facts("the size is more than there are addresses")
    };
    let used = base.round_up(size).ok_or_else(too_large)?;
    if demand.any_page_will_do(used / base.bytes()) {
        return Object::make(label, size, Extent::Fixed, base);
    }
    let collapse_base_pages = demand.contiguous && used > base.bytes();
    let whole = if collapse_base_pages { huge.round_up(size) } else { Some(used) }.ok_or_else(too_large)?;
    let mut tried = Vec::new();
    let mut why = String::new();
    while tried.len() < ATTEMPTS {
        let mut object = Object::make(label, whole, Extent::Resizable { max: whole }, base)?;
        let mut request = Request::object(&object).aligned(huge.bytes());
        if !placement.is_default() {
            request = request.placed(placement);
        }
        let mapping = System::new().map(&request)?;
        let job = Job {
            mapping: &mapping,
            object: Some(&object),
            len: whole,
            placement: Some(placement),
            collapse: collapse_base_pages,
            whose: "pages to choose from",
        };
        let done = populate::run(&job, &mut |_| {})?;
        let found = frames::of(&mapping, used, base)?;
        match demand.unmet(&found, unit(base)) {
            None => {
                drop(mapping);
                object.fix(size)?;
                return Ok(object);
            }
            Some(reason) => why = reason,
        }
        tried.push((mapping, object));
        match done.refused {
            Some(why) if passes(why) && tried.len() < ATTEMPTS => sleep(WAIT * (1 << (tried.len() - 1))),
            Some(refused) => {
                let error = Error::new(ErrorKind::NoMemory, what());
                let error = match refused {
                    Refused::ByKernel(errno) => error.with_system_call("madvise(MADV_COLLAPSE)", errno),
                    refused => error.with_facts(refused.to_string()),
                };
                let why = format!("{why}; attempt {} of {ATTEMPTS}", tried.len());
                return Err(remedy::contiguous_base(error.with_facts(why)));
            }
            None => {}
        }
    }
    Err(remedy::contiguous_base(Error::new(ErrorKind::NoMemory, what()).with_facts(format!(
        "in {ATTEMPTS} attempts of {} the kernel gave none that fit; the last time, {why}",
        Bytes::from(whole)
    ))))
}

/// Whether it is only at this moment that pages could not be collapsed.
fn passes(refused: Refused) -> bool {
    let passing = [sys::Errno::AGAIN, sys::Errno::BUSY].map(Errno::from);
    matches!(refused, Refused::ByKernel(errno) if passing.contains(&errno))
}
