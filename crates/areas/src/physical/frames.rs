//! Which page frames the pages of a mapping have: what `/proc/self/pagemap` shows those that may
//! know.

use std::os::fd::{AsFd, BorrowedFd};
use std::thread::sleep;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result, remedy};
use crate::mapping::Mapping;
use crate::page::PageSize;
use crate::size::Bytes;
use crate::sys;
use crate::sys::memory::Advice;

/// How often the table is read: a page that is being moved (compaction) has no frame at that
/// moment, and a huge one is in no page tables when it has been, until it is touched.
const ATTEMPTS: usize = 8;
/// How long the first wait is. Each one is twice as long as the one before: 127 ms in all.
const WAIT: Duration = Duration::from_millis(1);

/// The number of the first page frame of each page in the first `len` bytes. The pages are there.
pub(super) fn of(mapping: &Mapping, len: usize, page: PageSize) -> Result<Vec<u64>> {
    let what = || format!("see which page frames {} have", Bytes::from(len));
    let failed = |errno| {
        Error::new(ErrorKind::System, what()).with_system_call("pread(/proc/thread-self/pagemap)", errno)
    };
    let opened = sys::pages::open_table();
    let table = opened.map_err(|errno| {
        Error::new(ErrorKind::System, what()).with_system_call("open(/proc/thread-self/pagemap)", errno)
    })?;
    let base = mapping.check(0, len, mapping.span())?;
    let count = len.div_ceil(page.bytes());
    let mut found = Vec::new();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            sleep(WAIT * (1 << (attempt - 1)));
            // What comes of it is seen in the table.
            _ = sys::memory::advise(base, count * page.bytes(), Advice::PopulateRead);
        }
        found = look(table.as_fd(), base.addr().get(), count, page).map_err(failed)?;
        if !found.contains(&None) {
            break;
        }
    }
    let frames: Vec<u64> = found.into_iter().flatten().collect();
    if frames.len() < count {
        return Err(Error::new(ErrorKind::System, what())
            .with_facts(format!(
                "{} of {count} pages are not in RAM, although they were brought in",
                count - frames.len()
            ))
            .with_remedy("the machine may be short of memory: try again"));
    }
    // What those see that may not know. (Frame 0 is never used.)
    if frames.contains(&0) {
        return Err(remedy::frame_numbers(Error::new(ErrorKind::NotPermitted, what())));
    }
    Ok(frames)
}

/// What the table says now of `count` pages from `base` on.
fn look(table: BorrowedFd<'_>, base: usize, count: usize, page: PageSize) -> sys::Result<Vec<Option<u64>>> {
    let mut words = vec![[0; 8]; count];
    if page == PageSize::base() {
        let got = sys::pages::table_words(table, base, &mut words)?;
        // Of what is left out nothing is known.
        words[got..].fill([0; 8]);
    } else {
        // Only the first of the many entries that a huge page has.
        for (index, word) in words.iter_mut().enumerate() {
            sys::pages::table_words(table, base + index * page.bytes(), std::slice::from_mut(word))?;
        }
    }
    Ok(words.into_iter().map(|word| frame(u64::from_le_bytes(word))).collect())
}

/// The page frame in a word of pagemap (`Documentation/admin-guide/mm/pagemap.rst`); `None` if the
/// page is not in RAM.
fn frame(word: u64) -> Option<u64> {
    const PRESENT: u64 = 1 << 63;
    const NUMBER: u64 = (1 << 55) - 1;
    (word & PRESENT != 0).then_some(word & NUMBER)
}
