//! Page frames, by `/proc/self/pagemap` (Documentation/admin-guide/mm/pagemap.rst). Only root sees
//! their numbers.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Bit 63: the page is in RAM, and mapped here.
const PRESENT: u64 = 1 << 63;
/// Bits 0 to 54: its frame.
const FRAME: u64 = (1 << 55) - 1;

/// The page frame of each base page of so many bytes from an address on; 0 where none is mapped.
#[track_caller]
pub fn frames(address: usize, len: usize) -> Vec<u64> {
    let page = rustix::param::page_size();
    let mut words = vec![0_u8; len.div_ceil(page) * 8];
    let read = File::open("/proc/self/pagemap")
        .and_then(|table| table.read_exact_at(&mut words, (address / page * 8) as u64));
    read.unwrap_or_else(|error| panic!("/proc/self/pagemap: {error}"));
    let (words, _) = words.as_chunks::<8>();
    words.iter().map(|&word| frame(u64::from_ne_bytes(word))).collect()
}

fn frame(word: u64) -> u64 {
    if word & PRESENT == 0 { 0 } else { word & FRAME }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_present_has_no_frame() {
        assert_eq!(frame(0x123), 0);
        assert_eq!(frame(PRESENT | 1 << 55 | 0x123), 0x123);
        // Swapped out: where to is no frame.
        assert_eq!(frame(1 << 62 | 0x123), 0);
    }

    #[test]
    fn each_page_has_an_entry() {
        let page = rustix::param::page_size();
        let bytes = vec![1_u8; 4 * page];
        let start = bytes.as_ptr().addr().next_multiple_of(page);
        assert_eq!(frames(start, 2 * page).len(), 2);
        assert_eq!(frames(start, page + 1).len(), 2);
    }
}
