//! Populate: fault pages in now, in parallel, instead of one by one at the first touch.
//!
//! It is the guarantee that there is memory: what plainly cannot fit is refused before the first
//! page is taken ([`admission`]), because a policy that confines pages to nodes, or a control
//! group's limit, ends in the out-of-memory killer, not in an error. Others who take the same room
//! are seen along the way ([`promise`], [`watch`]). The threads ([`workers`]) end before the call
//! does.

pub(crate) mod admission;
mod collapse;
mod dry;
mod fill;
pub(crate) mod promise;
pub(crate) mod room;
mod watch;
mod workers;

use std::ops::Range;
use std::ptr::NonNull;

use collapse::Collapse;
pub(crate) use collapse::Refused;
pub(crate) use dry::pool_ran_dry;
pub(crate) use fill::run as fill;
use workers::Workers;

use crate::error::{Error, ErrorKind, Result, remedy};
use crate::mapping::{Mapping, Sharing};
use crate::nodes::{Placement, Policy};
use crate::object::Object;
use crate::page::PageSize;
use crate::protection::Protection;
use crate::residency;
use crate::size::Bytes;
use crate::sys;
use crate::sys::memory::Advice;

/// What one thread takes at a time: small enough to share out evenly and to report, large enough to
/// cost nothing.
const CHUNK: usize = 8 << 20;

/// How far populating has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes that are in RAM, of those that this call looks after.
    pub done: usize,
    /// Bytes that this call looks after. The last report has `done == total`.
    pub total: usize,
}

/// What is to be populated, and how.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) mapping: &'a Mapping,
    /// What lies behind the mapping, if it is an object: from its first byte on.
    pub(crate) object: Option<&'a Object>,
    /// Bytes from the beginning.
    pub(crate) len: usize,
    /// Where the pages were asked to be, resolved against the allowed nodes. It has been set
    /// already (mbind).
    pub(crate) placement: Option<Placement>,
    /// Whether to collapse the pages into transparent huge ones: the parts inside `len` that are
    /// aligned.
    pub(crate) collapse: bool,
    /// For messages: `area "ring"`.
    pub(crate) whose: &'a str,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Populated {
    /// How many threads did it.
    pub(crate) threads: usize,
    /// Bytes that are in transparent huge pages because this call collapsed them (or found them
    /// so).
    pub(crate) collapsed_bytes: usize,
    /// Why not all that is aligned was collapsed, if it was not.
    pub(crate) refused: Option<Refused>,
}

/// Faults in all pages of the first `len` bytes. Pages that are there already stay as they are.
///
/// `progress` is called on this thread, now and then, and at the end.
///
/// # Errors
/// - [`ErrorKind::NoMemory`] if it cannot fit: before anything is taken where that can be known,
///   else where a page could not be had (then those that could stay in).
/// - [`ErrorKind::ReadOnly`] for private memory that may not be written, and for memory without any
///   right.
/// - [`ErrorKind::OutOfRange`] beyond the mapping or the object.
/// - [`ErrorKind::Unsupported`] before Linux 5.14 (`MADV_POPULATE_READ`, `MADV_POPULATE_WRITE`;
///   madvise(2)).
/// - [`ErrorKind::Io`] for RAM that is broken; [`ErrorKind::System`] for what else the kernel said.
pub(crate) fn run(job: &Job<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Populated> {
    let total = job.len;
    let way = Way::of(job)?;
    let size = job.object.map_or(job.mapping.span(), Object::size_in_pages);
    job.mapping.check(0, total, size)?;
    let page = job.mapping.page_size();
    let pages = page.round_up(total).unwrap_or(total);
    job.mapping.check(0, pages, job.mapping.span())?;
    let placement = placement(job);
    let watch = admission::admit(job, placement)?;

    let parts = blocks_to_collapse(job);
    let collapse = (!parts.is_empty()).then(|| Collapse::new(job, way, placement));
    let step = if collapse.is_some() { PageSize::transparent().bytes() } else { page.bytes() };
    // A huge page lies in one chunk.
    let chunks = Chunks { total: pages, step: CHUNK.max(step), before: parts.start };
    let workers = if chunks.count() > 1 { Workers::of(placement)? } else { Workers::alone() };
    let work = |index| {
        let chunk = chunks.at(index);
        let mut at = chunk.start;
        while at < chunk.end {
            let end = piece(&chunk, at, watch.step(), &parts);
            let _piece = watch.take(job, end - at)?;
            if let Some(collapse) = &collapse {
                collapse.collapse_range(at.max(parts.start)..end.min(parts.end))?;
            }
            way.populate(job, at..end)?;
            at = end;
        }
        Ok(())
    };
    let mut done = 0;
    let threads = workers.for_each_chunk(chunks.count(), &work, &mut |index| {
        done += chunks.at(index).len();
        // The last report comes at the very end.
        if done < pages {
            progress(Progress { done, total });
        }
    })?;
    progress(Progress { done: total, total });
    let (collapsed_bytes, refused) = collapse.map_or((0, None), Collapse::outcome);
    Ok(Populated { threads, collapsed_bytes, refused })
}

/// The part of a job that is to be collapsed: whole, aligned blocks.
fn blocks_to_collapse(job: &Job<'_>) -> Range<usize> {
    match job.collapse && job.mapping.page_size() == PageSize::base() {
        true => collapsible(job.mapping.base(), job.len),
        false => 0..0,
    }
}

/// Up to where the next piece of a chunk reaches: no more than may be taken at once, and whole
/// blocks of what is collapsed.
fn piece(chunk: &Range<usize>, at: usize, step: usize, parts: &Range<usize>) -> usize {
    if parts.is_empty() {
        return chunk.end.min(at.saturating_add(step));
    }
    let huge = PageSize::transparent().bytes();
    let end = chunk.end.min(at.saturating_add(step.max(huge)));
    match end {
        end if end == chunk.end || end <= parts.start || end >= parts.end => end,
        end => (end - (end - parts.start) % huge).max(at + 1),
    }
}

/// Where the pages go: as was asked here, or else as the mapping's provider or another holder of
/// the object has set it, which the kernel knows.
fn placement(job: &Job<'_>) -> Placement {
    if let Some(parts) = mixed(job) {
        // Beside all of their nodes; where a part has none, beside the caller, who would have put
        // its pages there.
        let nodes = parts.iter().map(|(_, placement)| placement.policy().nodes());
        let all = nodes.reduce(|one, other| Some(one? | other?)).flatten();
        return all.map_or_else(Placement::default, |nodes| Policy::PreferredMany(nodes).into());
    }
    match job.placement {
        Some(placement) if !placement.is_default() => placement,
        // A kernel or a sandbox that does not report it leaves it at the default, which is what
        // most memory has.
        _ => job.mapping.policy().map_or_else(|_| Placement::default(), Placement::new),
    }
}

/// The parts that are placed each in its own way, without gaps; `None` where all is placed alike.
fn mixed(job: &Job<'_>) -> Option<Vec<(Range<usize>, Placement)>> {
    let elsewhere = job.placement.unwrap_or_default();
    let mut parts = Vec::new();
    let mut at = 0;
    for (range, placement) in job.mapping.asked().parts().filter(|(range, _)| range.start < job.len) {
        if range.start > at {
            parts.push((at..range.start, elsewhere));
        }
        at = range.end.min(job.len);
        parts.push((range.start..at, placement));
    }
    if at < job.len {
        parts.push((at..job.len, elsewhere));
    }
    (parts.len() > 1).then_some(parts)
}

/// How the pages of a job are brought in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By a write fault each, which changes no content.
    Write,
    /// By a read fault each: mappings that may not be written. Holes of objects get pages, too.
    Read,
    /// By `fallocate` and a read fault, chunk by chunk: with one thread the quickest, with two as
    /// quick (1 GiB, best of 8: one thread 0.38 s against 0.60 s by read and 0.65 s by write
    /// faults; two threads 0.34, 0.31 and 0.30 s; allocating all of it first 0.58 and 0.42 s), and
    /// a full file system is an error of its own.
    AllocateAndRead,
}

impl Way {
    fn of(job: &Job<'_>) -> Result<Self> {
        let protection = job.mapping.protection();
        let writable = protection.contains(Protection::WRITE);
        let readable = protection.contains(Protection::READ);
        let pool = job.mapping.page_size() != PageSize::base();
        let refuse = |detail: &'static str, help: &'static str| {
            Err(Error::new(ErrorKind::ReadOnly, format!("populate {}", job.whose))
                .with_facts(format!("its protection is {protection}; {detail}"))
                .with_remedy(help))
        };
        match (job.mapping.sharing(), job.object) {
            (Sharing::Shared, Some(_)) if writable && readable && !pool => Ok(Way::AllocateAndRead),
            _ if writable => Ok(Way::Write),
            (Sharing::Shared | Sharing::PrivateFile, _) if readable => Ok(Way::Read),
            (Sharing::Exclusive, _) if readable => refuse(
                "reading private memory that was never written takes no memory",
                "populate first, then remove the write access",
            ),
            _ => refuse(
                "pages that may not be accessed cannot be faulted in",
                "allow reading or writing first",
            ),
        }
    }

    fn populate(self, job: &Job<'_>, range: Range<usize>) -> Result<()> {
        let advice = match self {
            Way::Write => Advice::PopulateWrite,
            Way::Read | Way::AllocateAndRead => Advice::PopulateRead,
        };
        if let (Way::AllocateAndRead, Some(object)) = (self, job.object) {
            // Not beyond the size, which a seal may forbid to change.
            let len = range.end.min(object.file_size()).saturating_sub(range.start);
            let allocated = object
                .own_fd()
                .and_then(|fd| sys::object::allocate(fd, object.offset() + range.start as u64, len as u64));
            allocated.map_err(|errno| {
                let call = format!("fallocate({}, {})", range.start, Bytes::from(len));
                match errno {
                    sys::Errno::NOSPC | sys::Errno::NOMEM => {
                        no_memory(job, &range).with_system_call(call, errno)
                    }
                    _ => Error::new(ErrorKind::System, format!("populate {}", job.whose))
                        .with_system_call(call, errno),
                }
            })?;
        }
        let address = job.mapping.check(range.start, range.len(), job.mapping.span())?;
        loop {
            match sys::memory::advise(address, range.len(), advice) {
                Ok(()) => return Ok(()),
                Err(sys::Errno::INTR | sys::Errno::AGAIN) => {}
                Err(errno) => return Err(explain(job, address, &range, advice, errno)),
            }
        }
    }
}

fn explain(
    job: &Job<'_>,
    address: NonNull<u8>,
    range: &Range<usize>,
    advice: Advice,
    errno: sys::Errno,
) -> Error {
    let name = if advice == Advice::PopulateWrite { "MADV_POPULATE_WRITE" } else { "MADV_POPULATE_READ" };
    let call = format!("madvise({address:p}, {}, {name})", Bytes::from(range.len()));
    let error =
        |kind| Error::new(kind, format!("populate {}", job.whose)).with_system_call(call.clone(), errno);
    let page = job.mapping.page_size();
    match errno {
        sys::Errno::FAULT | sys::Errno::NOMEM if page != PageSize::base() => {
            dry::of_job(error(ErrorKind::NoMemory), job, range)
        }
        sys::Errno::NOMEM => no_memory(job, range).with_system_call(call, errno),
        sys::Errno::FAULT => error(ErrorKind::System)
            .with_facts(format!("an access to bytes {}..{} would be a SIGBUS", range.start, range.end))
            .with_remedy("the file behind it is shorter than the mapping, or its file system is full"),
        sys::Errno::HWPOISON => error(ErrorKind::Io)
            .with_facts(format!("a page in bytes {}..{} lies in RAM that is broken", range.start, range.end))
            .with_remedy("the kernel's log names the address; drop the area and make it again"),
        sys::Errno::INVAL => error(ErrorKind::Unsupported)
            .with_remedy(format!("populating needs Linux 5.14, which brought {name}")),
        _ => error(ErrorKind::System),
    }
}

fn no_memory(job: &Job<'_>, range: &Range<usize>) -> Error {
    let free =
        remedy::available_memory().map_or_else(|| "unknown".to_owned(), |free| format!("{:#}", Bytes(free)));
    let error = Error::new(ErrorKind::NoMemory, format!("populate {}", job.whose))
        .with_facts(format!(
            "{} of {} were in; {free} available",
            Bytes::from(range.start),
            Bytes::from(job.len)
        ))
        .with_remedy("ask for less, or free some memory");
    remedy::committed(error, job.len.saturating_sub(range.start) as u64)
}

/// How many bytes are not in RAM yet, in whole pages: an upper bound, and cheap.
fn missing(job: &Job<'_>) -> Result<usize> {
    Ok(pages(job).saturating_sub(already(job)?))
}

/// The bytes of its pages.
fn pages(job: &Job<'_>) -> usize {
    job.mapping.page_size().round_up(job.len).unwrap_or(job.len)
}

/// How many bytes need no page any more: a lower bound, and cheap.
fn already(job: &Job<'_>) -> Result<usize> {
    match job.object {
        Some(object) => {
            let resident = residency::resident_bytes(object).or_else(|error| match error.kind() {
                // Another process's object on an old kernel: nothing is known to be there.
                ErrorKind::Unsupported => Ok(0),
                _ => Err(error),
            })?;
            Ok(usize::try_from(resident).unwrap_or(usize::MAX))
        }
        None => residency::present_bytes(job.mapping, job.len),
    }
}

/// A range in equal parts but for the last, and for the first, which has some bytes more.
#[derive(Clone, Copy, Debug)]
struct Chunks {
    total: usize,
    step: usize,
    /// So many.
    before: usize,
}

impl Chunks {
    fn count(self) -> usize {
        self.total.saturating_sub(self.before).div_ceil(self.step).max(usize::from(self.total > 0))
    }

    fn at(self, index: usize) -> Range<usize> {
        let start = if index == 0 { 0 } else { self.before + index * self.step };
        start..self.total.min((index + 1).saturating_mul(self.step).saturating_add(self.before))
    }
}

/// The bytes that whole, aligned huge pages could take, without one byte more: what lies beyond the
/// end would appear as stray contents when the object grows.
fn collapsible(base: NonNull<u8>, len: usize) -> Range<usize> {
    let page = PageSize::transparent().bytes();
    let first = base.addr().get().wrapping_neg() % page;
    if first > len {
        return 0..0;
    }
    first..first + (len - first) / page * page
}

#[cfg(test)]
mod tests;
