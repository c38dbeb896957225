//! Which page frames the pages of a mapping have: what `/proc/self/pagemap` tells those who may know.

use std::os::fd::AsFd;

use crate::error::{Error, Kind, Result, remedy};
use crate::mapping::Mapping;
use crate::page::PageSize;
use crate::size::Bytes;
use crate::sys;

/// The number of the first page frame of each page in the first `len` bytes. The pages are there.
pub(super) fn of(mapping: &Mapping, len: usize, page: PageSize) -> Result<Vec<u64>> {
    let what = || format!("see which page frames {} have", Bytes::from(len));
    let failed = |errno| Error::new(Kind::System, what()).call("pread(/proc/thread-self/pagemap)", errno);
    let opened = sys::pages::open_table();
    let table = opened
        .map_err(|errno| Error::new(Kind::System, what()).call("open(/proc/thread-self/pagemap)", errno))?;
    let base = mapping.check(0, len, mapping.span())?.addr().get();
    let count = len.div_ceil(page.bytes());
    let mut words = vec![[0; 8]; count];
    if page == PageSize::base() {
        let got = sys::pages::table_words(table.as_fd(), base, &mut words).map_err(failed)?;
        words.truncate(got);
    } else {
        // Only the first of the many entries that a huge page has.
        for (index, word) in words.iter_mut().enumerate() {
            let one = std::slice::from_mut(word);
            sys::pages::table_words(table.as_fd(), base + index * page.bytes(), one).map_err(failed)?;
        }
    }
    let frames: Vec<Option<u64>> = words.into_iter().map(|word| frame(u64::from_le_bytes(word))).collect();
    if frames.len() < count || frames.contains(&None) {
        return Err(Error::new(Kind::System, what())
            .detail("not all of the pages are in RAM, although they were brought in")
            .help("the machine may be short of memory: try again"));
    }
    // What those see who may not know. (Frame 0 is nobody's.)
    if frames.contains(&Some(0)) {
        return Err(remedy::frame_numbers(Error::new(Kind::NotPermitted, what())));
    }
    Ok(frames.into_iter().flatten().collect())
}

/// The page frame in a word of pagemap (`Documentation/admin-guide/mm/pagemap.rst`); `None` if the page is not in RAM.
fn frame(word: u64) -> Option<u64> {
    const PRESENT: u64 = 1 << 63;
    const NUMBER: u64 = (1 << 55) - 1;
    (word & PRESENT != 0).then_some(word & NUMBER)
}
