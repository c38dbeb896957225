//! Addresses that the program has taken away from areas itself.

#![expect(unsafe_code, reason = "the C edge: an exported name")]

use std::ffi::{c_int, c_void};

use areas::registry;

use super::errors::{invalid, status};
use crate::edge;
use crate::held;

/// These addresses are no longer any area's: what lies in them is cut from the areas of this
/// process that BeOS's calls have made (create_area, clone_area), at once, and nothing is unmapped.
/// For an allocator that unmaps parts of areas all the time and knows that its munmap will succeed:
/// without it the next call that changes or describes such an area notices what is gone. Who
/// interposes munmap and the like cannot know that, and does not call this: link with
/// libareas-cut.so (-lareas-cut), which does it (docs/design/cutting-at-once.md).
///
/// `start` is a multiple of the page size; `length` is rounded up to whole pages. What is cut off
/// the head or the tail makes an area smaller, what is cut out of its middle makes a second area of
/// what lies behind, with the same name and an id of its own; an area that lies inside whole is
/// gone. Areas that are held by a handle (areas_create, areas_clone) are not cut: their owner must
/// not unmap them.
///
/// Call it before the addresses are unmapped or mapped over: afterwards another thread's new area
/// may lie there. Where no area of this process lies in the range it is a search without mutex,
/// system call or allocation. Where one does, it takes the library's mutexes and allocates as
/// delete_area does. Called in the middle of another call of this library in the same thread (its
/// own munmap, or that of a malloc that it called), it takes none of them: for what is the
/// library's own there is nothing to do, and all else is looked at by the next call.
///
/// AREAS_ERROR_INVALID_INPUT for a start that is not a multiple of the page size and a range that
/// wraps around: nothing is cut then.
#[unsafe(no_mangle)]
pub extern "C" fn areas_forget_range(start: *mut c_void, length: usize) -> c_int {
    if !registry::may_overlap(start.addr(), length) {
        return 0;
    }
    if edge::is_inside() {
        held::note_moved();
        return 0;
    }
    status(|| {
        const WHAT: &str = "cut a range of addresses from areas";
        let page = areas::PageSize::base().bytes();
        let end = length.checked_next_multiple_of(page).and_then(|length| start.addr().checked_add(length));
        let Some(end) = end.filter(|_| start.addr().is_multiple_of(page)) else {
            return Err(invalid(
                WHAT,
                "the start is not a multiple of the page size, or the range wraps around",
            ));
        };
        held::forget_range(start.addr()..end)
    })
}
