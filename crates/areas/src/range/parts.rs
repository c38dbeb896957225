//! The mappings that a range of addresses is made of, as `/proc/self/maps` has them.

use std::ops::Range;
use std::ptr::NonNull;

use crate::error::{Error, ErrorKind, Result};
use crate::page::PageSize;
use crate::size::Bytes;
use crate::sys;

/// A part of a range: what one mapping has of it, in bytes from the beginning of the range, in
/// whole pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) range: Range<usize>,
    /// Whether other processes may have it mapped.
    pub(super) shared: bool,
    /// Whether all that is in RAM is to be looked up, and not only what our page tables have:
    /// memory that is shared with children and readable.
    pub(super) in_core: bool,
}

/// The parts of a range, in order and without gaps; it is taken to the end of its last page.
pub(super) fn of(start: NonNull<u8>, len: usize) -> Result<Vec<Part>> {
    let maps = sys::text::read_to_string("/proc/thread-self/maps")
        .map_err(|error| Error::new(ErrorKind::Io, "read /proc/thread-self/maps").caused_by(error))?;
    let base = start.addr().get();
    let end = base.checked_add(len).and_then(|end| end.checked_next_multiple_of(sys::page_size()));
    end.and_then(|end| parts_in(&maps, base..end)).ok_or_else(|| {
        Error::new(ErrorKind::OutOfRange, format!("look at {} at {start:p}", Bytes::from(len)))
            .with_facts("not all of the range is mapped")
    })
}

fn parts_in(maps: &str, wanted: Range<usize>) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut at = wanted.start;
    for line in maps.lines() {
        let Some((mapped, rest)) = entry(line) else { continue };
        if mapped.end <= at {
            continue;
        }
        if at >= wanted.end || mapped.start > at {
            break;
        }
        let end = mapped.end.min(wanted.end);
        let rights = rest.as_bytes();
        let shared = rights.get(3) == Some(&b's');
        let without_file = rest.ends_with(" /dev/zero (deleted)") || rest.contains(" [anon_shmem:");
        let in_core = shared && without_file && rights.first() == Some(&b'r');
        parts.push(Part { range: at - wanted.start..end - wanted.start, shared, in_core });
        at = end;
    }
    (at >= wanted.end).then_some(parts)
}

/// The addresses of a mapping's line, and what comes behind them.
fn entry(line: &str) -> Option<(Range<usize>, &str)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    Some((usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?, rest))
}

/// The size of the pages that an address is mapped with, from `/proc/self/smaps`. Slow: for when a
/// call was refused.
pub(super) fn page_size_at(address: NonNull<u8>) -> Option<PageSize> {
    let smaps = sys::text::read_to_string("/proc/thread-self/smaps").ok()?;
    page_size_in(&smaps, address.addr().get())
}

fn page_size_in(smaps: &str, address: usize) -> Option<PageSize> {
    let mut inside = false;
    for line in smaps.lines() {
        if let Some((mapped, _)) = entry(line) {
            inside = mapped.contains(&address);
        } else if let (true, Some(size)) = (inside, line.strip_prefix("KernelPageSize:")) {
            return PageSize::of(size.trim().strip_suffix(" kB")?.parse::<usize>().ok()?.checked_mul(1024)?);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "1000-3000 rw-p 00000000 00:00 0 \n\
                        3000-4000 rw-s 00000000 00:01 5    /dev/zero (deleted)\n\
                        4000-5000 ---s 00000000 00:01 5    /dev/zero (deleted)\n\
                        7000-8000 rw-s 00000000 00:01 6    /memfd:x (deleted)\n";

    #[test]
    fn a_range_is_cut_at_the_edges_of_mappings() {
        let part = |range, shared, in_core| Part { range, shared, in_core };
        let cases = [
            (0x1000..0x3000, Some(vec![part(0..0x2000, false, false)])),
            (0x2000..0x4000, Some(vec![part(0..0x1000, false, false), part(0x1000..0x2000, true, true)])),
            (0x4000..0x5000, Some(vec![part(0..0x1000, true, false)])),
            (0x7000..0x8000, Some(vec![part(0..0x1000, true, false)])),
            (0x4000..0x6000, None),
            (0x6000..0x8000, None),
            (0..0x2000, None),
            (0x8000..0x9000, None),
        ];
        for (wanted, expected) in cases {
            assert_eq!(parts_in(MAPS, wanted.clone()), expected, "{wanted:x?}");
        }
    }

    #[test]
    fn the_page_size_is_that_of_the_mapping() {
        let smaps = "1000-3000 rw-p 00000000 00:00 0 \nSize:  8 kB\nKernelPageSize:        4 kB\n\
                     200000-400000 rw-p 00000000 00:0f 9  /anon_hugepage (deleted)\nKernelPageSize:     2048 kB\n";
        assert_eq!(page_size_in(smaps, 0x2000), PageSize::of(4096));
        assert_eq!(page_size_in(smaps, 0x20_1000), Some(PageSize::HUGE_2M));
        assert_eq!(page_size_in(smaps, 0x5000), None);
    }
}
