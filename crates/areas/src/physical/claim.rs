//! Parts of a reserved physical range, each of which belongs to one area and its clones.
//!
//! Owners of parts are known by record locks of open files on `/dev/mem`, byte for byte the
//! physical range: the kernel drops them with the last descriptor or mapping, however it goes. A
//! part is taken alone, zeroed, and shared from then on; a clone takes its own share while the area
//! that it is cloned from still has one. So no two areas come to have a part, and none is lost.

use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{Demand, reserved};
use crate::error::{Error, ErrorKind, Result, remedy};
use crate::mapping::{Mapping, Plan, Sharing};
use crate::object::Object;
use crate::page::PageSize;
use crate::protection::Protection;
use crate::size::Bytes;
use crate::sys;
use crate::sys::file::OFlags;
use crate::sys::memory::{At, MapFlags};
use crate::sys::range_lock::{self, Hold};

/// How often another process may come first before we give up.
const ATTEMPTS: usize = 1000;

/// Takes a part for a new area, and zeroes it.
pub(crate) fn claim(size: usize, demand: Demand) -> Result<Object> {
    let what = || format!("claim {} of physical memory, {demand}", Bytes::from(size));
    let span = PageSize::base().round_up(size.max(1)).ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, what()).with_facts("the size is more than there are addresses")
    })? as u64;
    let below = demand.below.unwrap_or(u64::MAX);
    let ranges = reserved::ranges()?;
    let memory = sys::file::open_at(sys::file::CWD, c"/dev/mem", OFlags::RDWR, 0).map_err(|errno| {
        let kind = match errno {
            sys::Errno::ACCESS | sys::Errno::PERM => ErrorKind::NotPermitted,
            sys::Errno::NOENT | sys::Errno::NXIO | sys::Errno::NODEV => ErrorKind::Unsupported,
            _ => ErrorKind::System,
        };
        remedy::low_memory(Error::new(kind, what()).with_system_call("open(/dev/mem, O_RDWR)", errno))
    })?;
    for range in &ranges {
        if let Some(start) = take_part(memory.as_fd(), range, below, span, &what)? {
            let part = start..start + span;
            zero(memory.as_fd(), &part, &what)?;
            range_lock::take(memory.as_fd(), Hold::Shared, &part).map_err(|errno| {
                Error::new(ErrorKind::System, what()).with_system_call("fcntl(F_OFD_SETLK, F_RDLCK)", errno)
            })?;
            return Object::of_physical(memory, start, size as u64);
        }
    }
    let free = "none of it has that many bytes left in a row";
    Err(remedy::low_memory(
        Error::new(ErrorKind::NoMemory, what())
            .with_facts(format!("{} reserved, {free}", reserved::in_words(&ranges))),
    ))
}

/// The first free part of a range: ours alone from now on.
fn take_part(
    memory: BorrowedFd<'_>,
    range: &Range<u64>,
    below: u64,
    span: u64,
    what: &impl Fn() -> String,
) -> Result<Option<u64>> {
    let page = PageSize::base().bytes() as u64;
    let failed =
        |call: &'static str| move |errno| Error::new(ErrorKind::System, what()).with_system_call(call, errno);
    let mut at = range.start;
    for _ in 0..ATTEMPTS {
        let Some(start) = at.checked_next_multiple_of(page) else { return Ok(None) };
        let part = match start.checked_add(span) {
            Some(end) if end <= range.end.min(below) => start..end,
            _ => return Ok(None),
        };
        match range_lock::in_the_way(memory, &part).map_err(failed("fcntl(F_OFD_GETLK)"))? {
            Some(other) => at = other.end,
            None => match range_lock::take(memory, Hold::Alone, &part) {
                Ok(()) => return Ok(Some(part.start)),
                // Another process was quicker: look again.
                Err(sys::Errno::AGAIN | sys::Errno::ACCESS) => {}
                Err(errno) => return Err(failed("fcntl(F_OFD_SETLK, F_WRLCK)")(errno)),
            },
        }
    }
    Ok(None)
}

fn zero(memory: BorrowedFd<'_>, part: &Range<u64>, what: &impl Fn() -> String) -> Result<()> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let len = usize::try_from(part.end - part.start).unwrap_or(usize::MAX);
    let mapping = Mapping::new(&Plan {
        at: At::Anywhere,
        size: len,
        span: len,
        page: PageSize::base(),
        protection: Protection::READ_WRITE,
        sharing: Sharing::Shared,
        flags: MapFlags::SHARED,
        file: Some((memory, part.start)),
        placement: None,
    })
    .map_err(|error| remedy::dev_mem(Error::new(error.kind(), what()).caused_by(error), part))?;
    let mut at = 0;
    while at < len {
        let piece = ZEROS.len().min(len - at);
        mapping.write(at, &ZEROS[..piece], len)?;
        at += piece;
    }
    Ok(())
}

/// A clone's share of a part, through an open file of its own. Its holder has to be asked again
/// afterwards: only if he still has it was it never anybody else's.
pub(crate) fn share(memory: OwnedFd, start: u64, size: u64) -> Result<Object> {
    let what = || format!("share {} of physical memory at {start:#x}", Bytes(size));
    let wrong = || Error::new(ErrorKind::Registry, what()).with_facts("its table names no range of memory");
    let span = usize::try_from(size).ok().and_then(|size| PageSize::base().round_up(size.max(1)));
    let end = span.and_then(|span| start.checked_add(span as u64)).ok_or_else(wrong)?;
    // A table is only another process's word.
    let known = reserved::ranges()?.iter().any(|range| range.start <= start && end <= range.end);
    if !known || !start.is_multiple_of(PageSize::base().bytes() as u64) {
        return Err(wrong());
    }
    range_lock::take(memory.as_fd(), Hold::Shared, &(start..end)).map_err(|errno| match errno {
        sys::Errno::AGAIN | sys::Errno::ACCESS => Error::new(ErrorKind::NoSuchArea, what())
            .with_facts("it was released concurrently, and another area has it now"),
        _ => Error::new(ErrorKind::System, what()).with_system_call("fcntl(F_OFD_SETLK, F_RDLCK)", errno),
    })?;
    Object::of_physical(memory, start, size)
}
