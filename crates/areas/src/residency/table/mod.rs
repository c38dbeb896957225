//! Reading this process's page tables: which pages are present or swapped, on which node, at which
//! size.

mod nodes;

use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use super::totals::{self, Totals};
use super::{Builder, PageLocation};
use crate::error::{Error, ErrorKind, Result, remedy};
use crate::page::PageSize;
use crate::size::Bytes;
use crate::sys;
use crate::sys::pages::{GUARD, HUGE, PRESENT, Region, SWAPPED, ZERO_PAGE};

/// Regions for one scan: neighbouring pages in the same state are one.
const REGIONS: usize = 4096;
/// Pages for one call of `move_pages`: so many that the calls do not count.
const BATCH: usize = 16 * 1024;
/// How often pages that are said to be present and not to be found are asked for again: they are
/// being moved.
const ATTEMPTS: usize = 3;
/// The status of a page that is there, and whose node may not be asked.
const UNKNOWN: i32 = -libc::EPERM;

/// What fails when `move_pages` does.
pub(in crate::residency) const WHAT: &str = "ask which node pages are on";
/// What to do where it is forbidden.
pub(in crate::residency) const MOVE_PAGES_FORBIDDEN: &str =
    "the sandbox forbids it: containers need CAP_SYS_NICE, or a profile with move_pages";

/// A part of an area, mapped here: its bytes `range` begin at `base`.
#[derive(Clone, Debug)]
pub(in crate::residency) struct View {
    pub(in crate::residency) base: NonNull<u8>,
    pub(in crate::residency) range: Range<usize>,
}

impl View {
    /// The address of a byte of the area.
    pub(in crate::residency) fn address(&self, at: usize) -> NonNull<u8> {
        debug_assert!(self.range.start <= at && at <= self.range.end);
        self.base.map_addr(|base| base.saturating_add(at - self.range.start))
    }

    fn number(&self, at: usize) -> usize {
        self.address(at).addr().get()
    }

    fn offset(&self, address: u64) -> usize {
        let address = usize::try_from(address).unwrap_or(usize::MAX);
        let inside = address.saturating_sub(self.base.addr().get()).min(self.range.len());
        self.range.start + inside
    }
}

/// The page tables of this process, with the buffers for asking them.
#[derive(Debug)]
pub(in crate::residency) struct Table {
    /// `None` before the first look.
    pagemap: Option<OwnedFd>,
    /// Whether the kernel has `PAGEMAP_SCAN` (6.7); else the words of the file are read, which do
    /// not report page sizes.
    pub(in crate::residency) scans: bool,
    /// The pages that the mapping is made of.
    page: PageSize,
    regions: Vec<Region>,
    /// What was walked last, how many of `regions` that filled, and how far it came: as long as
    /// they hold it.
    last: Option<(Range<usize>, usize, usize)>,
    words: Vec<[u8; 8]>,
    addresses: Vec<*const u8>,
    status: Vec<i32>,
    /// Whether the kernel may not be asked for the nodes of pages. Then `totals` has what the last
    /// look found of the mappings.
    forbidden: bool,
    totals: Vec<Totals>,
    /// What was neither in RAM nor certainly elsewhere: swapped out, or being moved. In order.
    doubtful: Vec<Range<usize>>,
}

impl Table {
    /// Takes nothing before the first look.
    pub(in crate::residency) fn new(page: PageSize) -> Self {
        Table {
            pagemap: None,
            scans: true,
            page,
            regions: Vec::new(),
            last: None,
            words: Vec::new(),
            addresses: Vec::new(),
            status: Vec::new(),
            forbidden: !sys::sandbox::may(sys::sandbox::Call::MovePages),
            totals: Vec::new(),
            doubtful: Vec::new(),
        }
    }

    /// Opens the page tables, and takes the memory for the answers about so many bytes.
    fn open(&mut self, bytes: usize) -> Result<()> {
        if self.pagemap.is_none() {
            let opened = sys::pages::open_table().map_err(|errno| {
                let error = |kind| {
                    Error::new(kind, "look at this process's page tables")
                        .with_system_call("open(\"/proc/thread-self/pagemap\")", errno)
                };
                match errno {
                    sys::Errno::MFILE | sys::Errno::NFILE => remedy::open_files(error(ErrorKind::Limit)),
                    sys::Errno::ACCESS | sys::Errno::PERM => error(ErrorKind::NotPermitted).with_remedy(
                        "after a change of user call prctl(PR_SET_DUMPABLE, 1); or a sandbox forbids it",
                    ),
                    _ => error(ErrorKind::System).with_remedy("/proc must be mounted"),
                }
            })?;
            self.pagemap = Some(opened);
        }
        let pages = (bytes / sys::page_size()).max(1);
        if self.regions.len() < pages.min(REGIONS) {
            self.regions.resize(pages.min(REGIONS), Region::default());
        }
        if self.status.len() < pages.min(BATCH) {
            self.status.resize(pages.min(BATCH), 0);
        }
        Ok(())
    }

    /// The same as [`walk`](Table::walk), or what that has just said of the very same range.
    fn walk_again(&mut self, start: usize, end: usize) -> Result<(usize, usize)> {
        match self.last.take() {
            Some((range, found, to)) if range == (start..end) => Ok((found, to)),
            _ => self.walk(start, end),
        }
    }

    /// Fills `regions` from `start` on: how many, and how far it came.
    fn walk(&mut self, start: usize, end: usize) -> Result<(usize, usize)> {
        self.open(end - start)?;
        self.last = None;
        let (found, to) = self.walk_now(start, end)?;
        self.last = Some((start..end, found, to));
        Ok((found, to))
    }

    fn walk_now(&mut self, start: usize, end: usize) -> Result<(usize, usize)> {
        let Some(pagemap) = &self.pagemap else { return Ok((0, end)) };
        if self.scans {
            match sys::pages::scan(pagemap.as_fd(), start, end, &mut self.regions) {
                // The kernel does not know the request.
                Err(sys::Errno::NOTTY | sys::Errno::INVAL | sys::Errno::OPNOTSUPP) => self.scans = false,
                other => {
                    return other.map(|(found, to)| (found, if to > start { to } else { end })).map_err(
                        |errno| {
                            Error::new(
                                ErrorKind::System,
                                format!("look at {} of page tables", Bytes::from(end - start)),
                            )
                            .with_system_call(
                                format!("ioctl(pagemap, PAGEMAP_SCAN, {start:#x}..{end:#x})"),
                                errno,
                            )
                        },
                    );
                }
            }
        }
        self.walk_words(start, end)
    }

    /// The same from the words of `/proc/thread-self/pagemap`, without page sizes and zero pages.
    fn walk_words(&mut self, start: usize, end: usize) -> Result<(usize, usize)> {
        let page = sys::page_size();
        let Some(pagemap) = &self.pagemap else { return Ok((0, end)) };
        let wanted = ((end - start) / page).min(self.regions.len());
        self.words.resize(wanted.max(self.words.len()), [0; 8]);
        let words = &mut self.words[..wanted];
        let got = sys::pages::table_words(pagemap.as_fd(), start, words).map_err(|errno| {
            Error::new(ErrorKind::System, format!("look at {} of page tables", Bytes::from(end - start)))
                .with_system_call(
                    format!("pread(\"/proc/thread-self/pagemap\", page {:#x})", start / page),
                    errno,
                )
        })?;
        let mut found = 0;
        for (index, word) in words[..got].iter().enumerate() {
            let word = u64::from_ne_bytes(*word);
            let categories = match (word >> 63 & 1, word >> 62 & 1) {
                (1, _) => PRESENT,
                (_, 1) => SWAPPED,
                _ => continue,
            };
            let address = (start + index * page) as u64;
            match self.regions[..found].last_mut() {
                Some(last) if last.end == address && last.categories == categories => last.end += page as u64,
                _ => {
                    self.regions[found] = Region { start: address, end: address + page as u64, categories };
                    found += 1;
                }
            }
        }
        // A short read ends where user addresses end.
        Ok((found, if got < wanted { end } else { start + got * page }))
    }

    /// Forgets what was walked last: the tables have other entries now.
    pub(in crate::residency) fn look_again(&mut self) {
        self.last = None;
    }

    /// A range of the area that may be in RAM all the same: the next look says.
    pub(in crate::residency) fn doubt(&mut self, part: Range<usize>) {
        match self.doubtful.last_mut() {
            Some(last) if last.end == part.start => last.end = part.end,
            _ => self.doubtful.push(part),
        }
    }

    /// What was doubtful since this was asked last.
    pub(in crate::residency) fn doubts(&mut self) -> Vec<Range<usize>> {
        std::mem::take(&mut self.doubtful)
    }

    /// How many bytes of a range our page tables have in RAM, and of how many they say that they
    /// are swapped out or being moved.
    pub(in crate::residency) fn count(&mut self, view: &View, range: Range<usize>) -> Result<(usize, usize)> {
        let (mut at, end) = (view.number(range.start), view.number(range.end));
        let (mut present, mut away) = (0, 0);
        while at < end {
            let (found, to) = self.walk(at, end)?;
            for region in &self.regions[..found] {
                let bytes = view.offset(region.end) - view.offset(region.start);
                match region.categories {
                    page if page & (PRESENT | ZERO_PAGE) == PRESENT => present += bytes,
                    page if page & (SWAPPED | GUARD) == SWAPPED => away += bytes,
                    _ => {}
                }
            }
            at = to;
        }
        Ok((present, away))
    }

    /// How many bytes of a range our page tables have in RAM.
    pub(in crate::residency) fn present(&mut self, view: &View, range: Range<usize>) -> Result<usize> {
        self.count(view, range).map(|(present, _)| present)
    }

    /// Puts all of a range into `built`; `gap` does so for what our page tables have nothing of,
    /// and says what of that is doubtful.
    ///
    /// A page that is being moved has an entry like a swapped one's: that is a doubt, too.
    pub(in crate::residency) fn locate(
        &mut self,
        view: &View,
        range: Range<usize>,
        built: &mut Builder,
        mut gap: impl FnMut(Range<usize>, &mut Builder, &mut dyn FnMut(Range<usize>)),
    ) -> Result<()> {
        let (mut at, end) = (view.number(range.start), view.number(range.end));
        let mut done = range.start;
        if self.forbidden {
            self.totals = totals::of(&(at..end));
        }
        while at < end {
            let (found, to) = self.walk_again(at, end)?;
            for index in 0..found {
                let region = self.regions[index];
                let part = view.offset(region.start)..view.offset(region.end);
                gap(done..part.start, built, &mut |part| self.doubt(part));
                let has = |category| region.categories & category != 0;
                if has(PRESENT) && !has(ZERO_PAGE) {
                    self.ask(view, part.clone(), has(HUGE), built)?;
                } else if has(SWAPPED) && !has(GUARD) {
                    self.doubt(part.clone());
                    built.push(part.len(), PageLocation::Swapped);
                } else {
                    built.push(part.len(), PageLocation::Absent);
                }
                done = part.end;
            }
            at = to;
        }
        gap(done..range.end, built, &mut |part| self.doubt(part));
        Ok(())
    }
}

/// The bytes in transparent huge pages of a range of addresses, in the text of a `smaps` file.
pub(crate) fn huge_in(smaps: &str, range: Range<usize>) -> Option<u64> {
    let mut total = 0_u64;
    let mut entry = 0..0;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        if let Some((start, end)) = first.split_once('-')
            && let (Ok(start), Ok(end)) = (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16))
        {
            entry = start..end;
        } else if matches!(first, "AnonHugePages:" | "ShmemPmdMapped:" | "FilePmdMapped:") {
            let bytes = words.next()?.parse::<u64>().ok()?.checked_mul(1024)?;
            let overlaps = entry.start < range.end && range.start < entry.end;
            let inside = range.start <= entry.start && entry.end <= range.end;
            match (overlaps && bytes > 0, inside) {
                (false, _) => {}
                (true, true) => total = total.checked_add(bytes)?,
                (true, false) => return None,
            }
        }
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_of_smaps_only_where_they_are_ours_alone() {
        let smaps = "1000-3000 rw-p 00000000 00:00 0\nSize: 8 kB\nAnonHugePages: 4 kB\nShmemPmdMapped: 0 kB\n\
                     3000-4000 rw-s 00000000 00:01 7 /memfd:x (deleted)\nAnonHugePages: 0 kB\nShmemPmdMapped: 2 kB\n\
                     VmFlags: rd wr\n";
        let cases = [
            (0x1000..0x3000, Some(4096)),
            (0x1000..0x4000, Some(6144)),
            (0x3000..0x5000, Some(2048)),
            (0x5000..0x6000, Some(0)),
            (0x2000..0x4000, None),
        ];
        for (range, expected) in cases {
            assert_eq!(huge_in(smaps, range.clone()), expected, "{range:x?}");
        }
    }
}
