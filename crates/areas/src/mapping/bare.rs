//! Addresses that are taken and have nothing behind them.

use std::ptr::NonNull;

use crate::protection::Protection;
use crate::sys;
use crate::sys::memory::{At, MapFlags};

/// How addresses are mapped that nothing lies behind.
pub(super) const RESERVED: MapFlags = MapFlags::PRIVATE.union(MapFlags::NORESERVE);

/// After an mmap with `MAP_FIXED` that failed: it may have removed what was there before (it does
/// so for an object in pages of an empty pool, Linux 6.18), and then inaccessible addresses take
/// the place, so that they stay ours. Whether that was so.
pub(super) fn refill(base: NonNull<u8>, span: usize) -> bool {
    let nothing = Protection::empty().for_mmap();
    sys::memory::map(At::Exactly(base.addr().get()), span, nothing, RESERVED, None).is_ok()
}

/// Whether all of a range is addresses without memory, as far as the kernel shows.
pub(super) fn still_reserved(start: usize, len: usize) -> bool {
    let end = start + len;
    let mut covered = start;
    for region in sys::maps::within(start..end).unwrap_or_default() {
        let bare = !(region.readable || region.writable || region.executable || region.shared);
        if !bare || region.file.inode != 0 || region.start > covered {
            return false;
        }
        covered = region.end;
    }
    covered >= end
}
