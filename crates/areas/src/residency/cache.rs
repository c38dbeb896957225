//! What the page cache has of an object, mapped or not.
//!
//! Which pages of an object are in RAM is asked of `cachestat` (6.5): it distinguishes resident,
//! swapped and absent without mapping, and counts pages that `fallocate` took and that were never
//! touched, which mincore and SEEK_DATA do not. On older kernels, mincore and SEEK_DATA together
//! give the rest. mincore claims that all is in RAM if the file is another user's, so it is only
//! believed about files of our own.

use std::ops::Range;
use std::os::fd::BorrowedFd;

use super::table::{Table, View};
use crate::error::{Error, ErrorKind, Result};
use crate::object::Object;
use crate::page::PageSize;
use crate::size::Bytes;
use crate::sys;
use crate::sys::file::Stat;
use crate::sys::pages::Cached;

/// Where the page cache has a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Resident,
    Swapped,
    Absent,
}

/// Neighbouring bytes of an object in the same state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) range: Range<usize>,
    pub(super) state: State,
}

/// What is behind a mapping: a file, from one of its bytes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behind<'a> {
    pub(super) file: BorrowedFd<'a>,
    pub(super) first: u64,
}

/// All of a file.
impl<'a> From<BorrowedFd<'a>> for Behind<'a> {
    fn from(file: BorrowedFd<'a>) -> Self {
        Behind { file, first: 0 }
    }
}

impl Behind<'_> {
    fn cached(self, at: usize, len: usize) -> sys::Result<Cached> {
        sys::pages::cache_of(self.file, self.first + at as u64, len as u64)
    }

    fn first_data(self, from: usize) -> sys::Result<Option<u64>> {
        let found = sys::object::first_data(self.file, self.first + from as u64)?;
        Ok(found.map(|at| at.saturating_sub(self.first)))
    }

    fn next_data(self, from: usize) -> sys::Result<Option<(u64, u64)>> {
        let found = sys::object::next_data(self.file, self.first + from as u64)?;
        Ok(found.map(|(start, end)| (start.saturating_sub(self.first), end.saturating_sub(self.first))))
    }
}

/// How to learn what is in RAM of the memory behind a mapping.
#[derive(Debug)]
pub(super) enum Cache<'a> {
    /// Our page tables have all.
    Table,
    /// `cachestat`, with mincore for quick answers about mixed ranges where it is to be believed.
    Stat { object: Behind<'a>, in_core: bool },
    /// mincore for what is in RAM, SEEK_DATA for what is swapped: before 6.5.
    Core { object: Behind<'a> },
    /// mincore alone: shared memory that has no descriptor.
    Anonymous,
    /// SEEK_DATA alone, for another process's object before 6.5: what is swapped is brought in.
    Data { object: Behind<'a> },
    /// A pool object all of whose pages are there.
    Full,
    /// An object without any page.
    Empty,
}

impl<'a> Cache<'a> {
    /// The way for an object, which is mapped at `view` if it is.
    pub(super) fn of(object: &'a Object, table: &mut Table, view: Option<&View>) -> Result<Self> {
        let (fd, stat) = its_own(object)?;
        Self::of_looked(object, fd, &stat, table, view)
    }

    /// The same where the kernel has just said what the object is.
    pub(super) fn of_looked(
        object: &'a Object,
        fd: BorrowedFd<'a>,
        stat: &Stat,
        table: &mut Table,
        view: Option<&View>,
    ) -> Result<Self> {
        if stat.allocated == 0 {
            return Ok(Cache::Empty);
        }
        if object.page_size() != PageSize::base() {
            return Self::of_pool(stat.allocated, stat.size, table, view);
        }
        let may_ask = sys::sandbox::may(sys::sandbox::Call::Mincore);
        let in_core = may_ask && [stat.uid, 0].contains(&sys::process::user());
        let behind = Behind { first: object.offset(), ..fd.into() };
        match behind.cached(0, 1) {
            Ok(_) => Ok(Cache::Stat { object: behind, in_core }),
            Err(sys::Errno::NOSYS | sys::Errno::PERM | sys::Errno::OPNOTSUPP) if in_core => {
                Ok(Cache::Core { object: behind })
            }
            Err(sys::Errno::NOSYS | sys::Errno::PERM | sys::Errno::OPNOTSUPP) => {
                Ok(Cache::Data { object: behind })
            }
            Err(errno) => Err(failed("cachestat", errno)),
        }
    }

    /// Hugetlb pages: no call reports which ones an object has. But it may have all, or we may have
    /// mapped all it has.
    fn of_pool(allocated: u64, size: u64, table: &mut Table, view: Option<&View>) -> Result<Self> {
        if allocated >= size {
            return Ok(Cache::Full);
        }
        let mapped = view.map_or(Ok(0), |view| table.present(view, view.range.clone()))? as u64;
        if mapped >= allocated {
            return Ok(Cache::Table);
        }
        Err(Error::new(ErrorKind::Unsupported, format!("measure an object of {}", Bytes(size)))
            .with_facts(format!(
                "{} of it are hugetlb pages, {} mapped here: the kernel reports no others",
                Bytes(allocated),
                Bytes(mapped)
            ))
            .with_remedy("measure it in the process that touched them, or populate it all"))
    }

    /// From where on a part of `step` bytes may have pages, `start` or a number of steps behind it;
    /// `end` if none has.
    pub(super) fn next_used(&self, start: usize, end: usize, step: usize) -> Result<usize> {
        let mut at = start;
        match *self {
            Cache::Stat { object, .. } => {
                // Twice as far each time that there is nothing, and from the beginning where there
                // is something.
                let mut wide = step;
                while at < end {
                    let len = wide.min(end - at);
                    let Cached { resident, evicted } =
                        object.cached(at, len).map_err(|errno| failed("cachestat", errno))?;
                    match (resident, evicted) {
                        (0, 0) => (at, wide) = (at + len, wide.saturating_mul(2)),
                        _ if len <= step => break,
                        _ => wide = step,
                    }
                }
            }
            Cache::Core { object } | Cache::Data { object } => at = next_data_step(object, start, end, step)?,
            Cache::Table | Cache::Anonymous | Cache::Full | Cache::Empty => {}
        }
        Ok(at)
    }

    /// Whether there is something to ask beside our page tables.
    pub(super) fn is_asked(&self) -> bool {
        !matches!(self, Cache::Table | Cache::Empty)
    }

    /// Whether swapped pages can be distinguished from absent ones.
    pub(super) fn knows_swap(&self) -> bool {
        !matches!(self, Cache::Anonymous | Cache::Data { .. })
    }

    /// Puts the pieces of a range into `pieces`, in order. Ways that leave it to the page tables
    /// put none.
    pub(super) fn look(
        &self,
        view: &View,
        range: Range<usize>,
        cores: &mut Vec<u8>,
        pieces: &mut Vec<Piece>,
    ) -> Result<()> {
        match *self {
            Cache::Table | Cache::Empty => {}
            Cache::Full => put(pieces, range, State::Resident),
            Cache::Stat { object, in_core } => {
                by_stat(object, range, in_core.then_some((view, cores)), pieces)?
            }
            Cache::Core { object } => by_core(view, range, cores, pieces, |gap, pieces| {
                by_data(object, gap, State::Swapped, pieces)
            })?,
            Cache::Anonymous => by_core(view, range, cores, pieces, |gap, pieces| {
                put(pieces, gap, State::Absent);
                Ok(())
            })?,
            Cache::Data { object } => by_data(object, range, State::Resident, pieces)?,
        }
        Ok(())
    }
}

/// The first step from `start` on in which an object has data; `end` if there is none.
pub(super) fn next_data_step(object: Behind<'_>, start: usize, end: usize, step: usize) -> Result<usize> {
    let data = object.first_data(start).map_err(|errno| failed("lseek(SEEK_DATA)", errno))?;
    let data = data.map_or(end, |data| usize::try_from(data).unwrap_or(end));
    Ok(if data >= end { end } else { start + data.saturating_sub(start) / step * step })
}

fn put(pieces: &mut Vec<Piece>, range: Range<usize>, state: State) {
    match pieces.last_mut() {
        Some(last) if last.state == state && last.range.end == range.start => last.range.end = range.end,
        _ if range.is_empty() => {}
        _ => pieces.push(Piece { range, state }),
    }
}

/// Asks `cachestat` about ever smaller parts until each is in one state, or mincore once if it is
/// to be believed.
pub(super) fn by_stat(
    object: Behind<'_>,
    range: Range<usize>,
    in_core: Option<(&View, &mut Vec<u8>)>,
    pieces: &mut Vec<Piece>,
) -> Result<()> {
    let page = sys::page_size();
    let count = range.len() / page;
    let Cached { resident, evicted } =
        object.cached(range.start, range.len()).map_err(|errno| failed("cachestat", errno))?;
    let state = match (resident, evicted) {
        (0, 0) => Some(State::Absent),
        _ if resident >= count as u64 => Some(State::Resident),
        _ if evicted >= count as u64 => Some(State::Swapped),
        _ => None,
    };
    if let Some(state) = state {
        put(pieces, range, state);
        return Ok(());
    }
    // mincore has pages in RAM that are in the swap cache, and `cachestat` has them evicted: it is
    // asked alone then.
    if let Some((view, cores)) = in_core.filter(|_| evicted == 0) {
        return by_core(view, range, cores, pieces, |gap, pieces| by_stat(object, gap, None, pieces));
    }
    let middle = range.start + count / 2 * page;
    by_stat(object, range.start..middle, None, pieces)?;
    by_stat(object, middle..range.end, None, pieces)
}

/// What mincore says is in RAM; `other` looks at the rest.
pub(super) fn by_core(
    view: &View,
    range: Range<usize>,
    cores: &mut Vec<u8>,
    pieces: &mut Vec<Piece>,
    mut other: impl FnMut(Range<usize>, &mut Vec<Piece>) -> Result<()>,
) -> Result<()> {
    let page = sys::page_size();
    cores.resize(range.len() / page, 0);
    let address = view.address(range.start);
    sys::pages::in_core(address, range.len(), cores).map_err(|errno| failed("mincore", errno))?;
    let mut at = range.start;
    for same in cores.chunk_by(|one, next| one & 1 == next & 1) {
        let part = at..at + same.len() * page;
        at = part.end;
        if same[0] & 1 == 1 {
            put(pieces, part, State::Resident);
        } else {
            other(part, pieces)?;
        }
    }
    Ok(())
}

/// What SEEK_DATA finds is `data`, the rest are holes.
pub(super) fn by_data(
    object: Behind<'_>,
    range: Range<usize>,
    data: State,
    pieces: &mut Vec<Piece>,
) -> Result<()> {
    let page = sys::page_size();
    let inside = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).clamp(range.start, range.end);
    let mut at = range.start;
    while at < range.end {
        let next = object.next_data(at).map_err(|errno| failed("lseek(SEEK_DATA)", errno))?;
        let (start, end) = next.map_or((range.end, range.end), |(start, end)| {
            // The last page of a file may be a part of one.
            (inside(start) / page * page, inside(end).next_multiple_of(page).min(range.end))
        });
        put(pieces, at..start.max(at), State::Absent);
        put(pieces, start.max(at)..end.max(at), data);
        at = if end > at { end } else { range.end };
    }
    Ok(())
}

pub(super) fn failed(call: &'static str, errno: sys::Errno) -> Error {
    Error::new(ErrorKind::System, "ask which pages of an object are in RAM").with_system_call(call, errno)
}

/// An object's descriptor, and what the kernel says of it: not of what another program has put
/// under its number.
pub(super) fn its_own(object: &Object) -> Result<(BorrowedFd<'_>, Stat)> {
    let fd = object.fd();
    match sys::file::stat(fd) {
        Ok(stat) if stat.identity == object.identity() => Ok((fd, stat)),
        Ok(_) | Err(sys::Errno::BADF) => Err(crate::object::closed("measure an area".to_owned())),
        Err(errno) => Err(failed("fstat", errno)),
    }
}
