//! Measuring by windows: what our page tables have, what the page cache says of the rest, and what
//! is looked at again.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::cache::{Cache, Piece, State};
use super::table::{Table, View};
use super::{Builder, PageLocation, Residency};
use crate::error::{Error, ErrorKind, Result};
use crate::page::PageSize;
use crate::size::Bytes;
use crate::sys;
use crate::sys::memory::Advice;

/// How often is looked again at what may be being moved, and how long is waited before: twice as
/// long each time, 63 ms in all.
pub(super) const LOOKS: u32 = 6;

pub(super) const WAIT: Duration = Duration::from_millis(1);

/// How much is looked at in one go: what the buffers must hold, and what a temporary mapping takes.
pub(super) const WINDOW: usize = 128 << 20;

/// What a measurement works with: the page tables, the buffers, and what it has found so far.
#[derive(Debug)]
pub(super) struct Ruler {
    pub(super) table: Table,
    page: PageSize,
    pieces: Vec<Piece>,
    cores: Vec<u8>,
    pub(super) built: Builder,
    /// Bytes in transparent huge pages, where it is not reported page by page; `None` once it is
    /// unknown.
    huge: Option<u64>,
}

impl Ruler {
    pub(super) fn new(page: PageSize) -> Self {
        Ruler {
            table: Table::new(page),
            page,
            pieces: Vec::new(),
            cores: Vec::new(),
            built: Builder::default(),
            huge: Some(0),
        }
    }

    /// All of a view, a window at a time; at once where only our page tables are asked.
    pub(super) fn windows(&mut self, view: &View, cache: &Cache<'_>) -> Result<()> {
        let step = if cache.is_asked() { WINDOW.max(self.page.bytes()) } else { view.range.len().max(1) };
        let mut start = view.range.start;
        while start < view.range.end {
            let range = start..view.range.end.min(start.saturating_add(step));
            start = range.end;
            self.window(view, range, cache)?;
        }
        self.built.add_totals(view.range.start, self.table.totals(view).into_iter());
        Ok(())
    }

    /// A window: looked at again where pages seem to be swapped out that may be being moved
    /// (compaction, balancing), which is over in a moment.
    ///
    /// What is truly swapped out stays so at each look. So where nothing of the machine is, the
    /// kernel has the pages isolated for migration; elsewhere one more look has to do. It costs no
    /// one anything whose pages are there or were never touched.
    fn window(&mut self, view: &View, range: Range<usize>, cache: &Cache<'_>) -> Result<()> {
        let mut found = self.look(view, range.clone(), cache)?;
        let mut doubtful = self.table.doubts();
        for look in 0..LOOKS {
            if doubtful.is_empty() || (look > 0 && !cache.is_asked() && sys::process::is_swapping()) {
                break;
            }
            std::thread::sleep(WAIT * (1 << look));
            self.table.look_again();
            found = found.or(self.look(view, range.clone(), cache)?);
            doubtful = both(&doubtful, &self.table.doubts());
        }
        self.built.append(found);
        Ok(())
    }

    /// What a window looks like now.
    fn look(&mut self, view: &View, range: Range<usize>, cache: &Cache<'_>) -> Result<Builder> {
        let mut built = Builder::at(range.start);
        self.pieces.clear();
        // What our page tables have is in RAM: of a window that they have all of, the page cache
        // need not be asked.
        let present = if cache.is_asked() { self.table.present(view, range.clone())? } else { 0 };
        if present < range.len() {
            cache.look(view, range.clone(), &mut self.cores, &mut self.pieces)?;
            let resident: usize = self.resident_pieces().map(|piece| piece.range.len()).sum();
            if present < resident {
                for piece in self.resident_pieces() {
                    bring_in_view(view, &piece.range)?;
                }
                self.table.look_again();
            }
        }
        // What our page tables do not have is what the page cache says: swapped out, or nowhere.
        let mut pieces = self.pieces.as_slice();
        self.table
            .locate(view, range, &mut built, |gap, built, doubt| fill(&mut pieces, gap, built, doubt))?;
        Ok(built)
    }

    fn resident_pieces(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter().filter(|piece| piece.state == State::Resident)
    }

    /// Adds the totals of a view that is about to go, where the kernel does not report page sizes
    /// one by one.
    pub(super) fn count_huge(&mut self, view: &View) {
        if !self.table.scans && self.page == PageSize::base() {
            self.huge = self.huge.zip(Table::huge_by_totals(view)).map(|(sum, more)| sum + more);
        }
    }

    pub(super) fn finish(mut self, view: &View, knows_swap: bool) -> Result<Residency> {
        self.count_huge(view);
        Ok(self.done(knows_swap))
    }

    pub(super) fn done(self, knows_swap: bool) -> Residency {
        let mut residency = self.built.finish(knows_swap);
        if !self.table.scans && self.page == PageSize::base() {
            let resident = residency.resident();
            residency.page_sizes = self.huge.map(|huge| {
                let huge = huge.min(resident);
                let sizes = [(PageSize::base(), resident - huge), (PageSize::transparent(), huge)];
                sizes.into_iter().filter(|(_, bytes)| *bytes > 0).collect::<BTreeMap<_, _>>()
            });
        }
        residency
    }
}

/// What is in both of two ordered lists of ranges.
fn both(one: &[Range<usize>], other: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut i, mut k) = (0, 0);
    let mut common = Vec::new();
    while let (Some(a), Some(b)) = (one.get(i), other.get(k)) {
        let part = a.start.max(b.start)..a.end.min(b.end);
        if !part.is_empty() {
            common.push(part);
        }
        if a.end <= b.end { i += 1 } else { k += 1 }
    }
    common
}

/// Puts a gap of our page tables into `built`, as what `pieces` (in order, from the gap's beginning
/// or earlier) say of it; `doubt` receives what they have in RAM.
fn fill(pieces: &mut &[Piece], gap: Range<usize>, built: &mut Builder, doubt: &mut dyn FnMut(Range<usize>)) {
    let mut at = gap.start;
    while at < gap.end {
        let Some((piece, rest)) = pieces.split_first() else { break };
        if piece.range.end <= at {
            *pieces = rest;
            continue;
        }
        let end = piece.range.end.min(gap.end);
        let place = match piece.state {
            State::Swapped => PageLocation::Swapped,
            State::Absent => PageLocation::Absent,
            // What was in RAM and is not in our page tables has gone since, or been moved: a huge
            // page of an object is in none then.
            State::Resident => {
                doubt(at..end);
                PageLocation::Absent
            }
        };
        built.push(end - at, place);
        at = end;
    }
    built.push(gap.end - at, PageLocation::Absent);
}

pub(super) fn bring_in_view(view: &View, range: &Range<usize>) -> Result<()> {
    let (address, len) = (view.address(range.start), range.len());
    loop {
        match sys::memory::advise(address, len, Advice::PopulateRead) {
            Ok(()) => return Ok(()),
            Err(sys::Errno::INTR | sys::Errno::AGAIN) => {}
            // The object has become shorter since: what was beyond its end is in RAM no more.
            Err(sys::Errno::FAULT) => return Ok(()),
            Err(errno) => {
                let error = |kind| {
                    Error::new(kind, format!("look up {} that are in RAM", Bytes::from(len)))
                        .with_system_call(format!("madvise({address:p}, {len}, MADV_POPULATE_READ)"), errno)
                };
                return Err(match errno {
                    sys::Errno::INVAL => error(ErrorKind::Unsupported).with_remedy(
                        "measuring shared memory needs Linux 5.14, which brought MADV_POPULATE_READ",
                    ),
                    sys::Errno::HWPOISON => error(ErrorKind::Io)
                        .with_facts("a page of it lies in RAM that is broken")
                        .with_remedy("the kernel's log names the address; drop the area and make it again"),
                    sys::Errno::NOMEM => {
                        error(ErrorKind::NoMemory).with_facts("there is no memory for page tables")
                    }
                    _ => error(ErrorKind::System),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ptr::NonNull;

    use super::*;

    /// Another holder makes it shorter while it is measured.
    #[test]
    fn what_lies_beyond_the_end_by_now_is_not_brought_in() {
        let page = PageSize::base().bytes();
        let mut area = crate::builder(16 * page).resizable(16 * page).unwrap();
        area.write_at(0, &vec![1; 16 * page]).unwrap();
        let view = View { base: NonNull::new(area.as_ptr()).unwrap(), range: 0..16 * page };
        bring_in_view(&view, &(0..16 * page)).unwrap();
        area.resize(page).unwrap();
        bring_in_view(&view, &(0..16 * page)).unwrap();
        assert_eq!(area.residency().unwrap().resident(), page as u64);
    }

    #[test]
    fn what_is_in_both_lists() {
        let ranges =
            |list: &[(usize, usize)]| list.iter().map(|&(start, end)| start..end).collect::<Vec<_>>();
        let check = |one: &[(usize, usize)], other: &[(usize, usize)], expected: &[(usize, usize)]| {
            assert_eq!(both(&ranges(one), &ranges(other)), ranges(expected));
            assert_eq!(both(&ranges(other), &ranges(one)), ranges(expected));
        };
        check(&[], &[(0, 9)], &[]);
        check(&[(0, 4), (6, 8)], &[(4, 6), (8, 9)], &[]);
        check(&[(0, 4), (6, 8)], &[(2, 7)], &[(2, 4), (6, 7)]);
        check(&[(0, 9)], &[(1, 2), (3, 4), (8, 12)], &[(1, 2), (3, 4), (8, 9)]);
    }
}
