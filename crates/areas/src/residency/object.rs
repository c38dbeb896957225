//! Measuring an object that is not mapped here, a window at a time; and how much of one is in RAM.

use std::ops::Range;
use std::os::fd::BorrowedFd;

use super::Residency;
use super::cache::{Behind, Cache, failed, its_own, next_data_step};
use super::ruler::{Ruler, WINDOW};
use super::table::View;
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::{Mapping, Plan, Sharing};
use crate::object::Object;
use crate::page::PageSize;
use crate::protection::Protection;
use crate::sys;
use crate::sys::file::Stat;
use crate::sys::memory::{At, MapFlags};

/// Where the first `len` bytes of an object are, by way of short read-only mappings of it. No page
/// is taken or brought in that was not in RAM.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a hugetlb object that has some of its pages: the kernel does not
/// report which; [`ErrorKind::Limit`] where there is no room for 128 MiB of addresses;
/// [`ErrorKind::System`] with what the kernel said.
pub(crate) fn measure_object(object: &Object, len: usize) -> Result<Residency> {
    let (fd, stat) = its_own(object)?;
    measure_looked(object, fd, &stat, len)
}

/// All of an object that was opened by this very call, of which it is known what the kernel said of
/// it then.
///
/// # Errors
/// As [`measure_object`].
pub(crate) fn measure_fresh(object: &Object, stat: &Stat) -> Result<Residency> {
    measure_looked(object, object.fd(), stat, object.size_in_pages())
}

fn measure_looked(object: &Object, fd: BorrowedFd<'_>, stat: &Stat, len: usize) -> Result<Residency> {
    let page = object.page_size();
    let whole = |bytes: usize| page.round_up(bytes).unwrap_or(usize::MAX / page.bytes() * page.bytes());
    let end = whole(len);
    let _now = object.size();
    let mapped_end = end.min(whole(object.file_size()));
    let mut ruler = Ruler::new(page);
    let cache = Cache::of_looked(object, fd, stat, &mut ruler.table, None)?;
    let step = WINDOW.max(page.bytes());
    let mut start = 0;
    while start < mapped_end && !matches!(cache, Cache::Empty) {
        // Another holder may have made it larger than any machine: what has no page is not looked
        // at window by window.
        start = cache.next_used(start, mapped_end, step)?;
        if start == mapped_end {
            break;
        }
        let range = start..mapped_end.min(start.saturating_add(step));
        start = range.end;
        ruler.built.push(range.start - ruler.built.end, super::PageLocation::Absent);
        let mapping = map_window(object, &range)?;
        let view = View { base: mapping.base(), range };
        ruler.windows(&view, &cache)?;
        ruler.count_huge(&view);
        mapping.unmap()?;
    }
    ruler.built.push(end - ruler.built.end, super::PageLocation::Absent);
    Ok(ruler.done(cache.knows_swap()))
}

/// A read-only mapping of a part of an object, aligned so that huge pages can be mapped as such,
/// reserving no page.
pub(crate) fn map_window(object: &Object, range: &Range<usize>) -> Result<Mapping> {
    let plan = Plan {
        at: At::Anywhere,
        size: range.len(),
        span: range.len(),
        page: object.page_size(),
        protection: Protection::READ,
        sharing: Sharing::Shared,
        flags: MapFlags::SHARED | MapFlags::NORESERVE,
        file: Some((
            object.own_fd().map_err(|_| crate::object::closed("measure an area".to_owned()))?,
            object.offset() + range.start as u64,
        )),
        placement: None,
    };
    let transparent = PageSize::transparent().bytes();
    if object.page_size() == PageSize::base() && range.len() >= transparent {
        Mapping::aligned(&plan, transparent)
    } else {
        Mapping::new(&plan)
    }
}

/// How many bytes of an object are in RAM now, swapped ones not counted. One call where there is
/// `cachestat` (6.5).
///
/// # Errors
/// [`ErrorKind::Unsupported`] for another process's object on an older kernel;
/// [`ErrorKind::System`] with what the kernel said.
pub(crate) fn resident_bytes(object: &Object) -> Result<u64> {
    let (fd, stat) = its_own(object)?;
    // Of a part no more than it has.
    let allocated = match object.piece().is_whole() {
        true => stat.allocated,
        false => stat.allocated.min(object.piece().of(stat.size)),
    };
    if stat.allocated == 0 || object.page_size() != PageSize::base() {
        // Hugetlb pages are never swapped.
        return Ok(allocated);
    }
    if !sys::sandbox::may(sys::sandbox::Call::Cachestat) {
        // In a sandbox, where mincore may be deadly as well: what is swapped counts, too.
        return Ok(allocated);
    }
    let part = object.piece();
    // A length of 0 is up to the end.
    let len = part.limit.unwrap_or(0);
    match sys::pages::cache_of(fd, part.first, len) {
        Ok(cached) => Ok(cached.resident * sys::page_size() as u64),
        Err(errno @ (sys::Errno::NOSYS | sys::Errno::PERM | sys::Errno::OPNOTSUPP)) => {
            if [stat.uid, 0].contains(&sys::process::user()) {
                return resident_by_core(object);
            }
            Err(Error::new(ErrorKind::Unsupported, "ask how much of an object is in RAM")
                .with_system_call("cachestat", errno)
                .with_facts("the object belongs to another user, and the kernel answers only its owner")
                .with_remedy("ask as that user, or with Linux 6.5 or later"))
        }
        Err(errno) => Err(failed("cachestat", errno)),
    }
}

/// The same by mincore over short mappings, which fault nothing in.
pub(super) fn resident_by_core(object: &Object) -> Result<u64> {
    let _now = object.size();
    let page = sys::page_size();
    let end = object.page_size().round_up(object.file_size()).unwrap_or(0);
    let mut cores = vec![0; WINDOW.min(end) / page];
    let mut pages = 0;
    let mut start = 0;
    while start < end {
        let behind = Behind { first: object.offset(), ..object.fd().into() };
        start = next_data_step(behind, start, end, WINDOW)?;
        if start == end {
            break;
        }
        let range = start..end.min(start.saturating_add(WINDOW));
        start = range.end;
        let mapping = map_window(object, &range)?;
        let cores = &mut cores[..range.len() / page];
        sys::pages::in_core(mapping.base(), range.len(), cores).map_err(|errno| failed("mincore", errno))?;
        pages += cores.iter().filter(|core| **core & 1 == 1).count();
        mapping.unmap()?;
    }
    Ok((pages * page) as u64)
}
