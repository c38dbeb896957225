//! What is done where the interposer says that the program takes addresses away.

use std::ffi::{c_int, c_void};

use areas::{range, registry};

use super::unreconciled::{begin_taking, end_taking, note_moved};
use super::{Entered, gate};
use crate::edge;
use crate::interposer::{AFTER, BEFORE_MOVING};

/// The program calls something that may take addresses away from areas. Before: whether some are
/// there, so that it has to be called afterwards, too; from then to the end of that, who asks for
/// an address gets what the kernel has. Afterwards: what was an area's, and is not there any more,
/// is cut from it.
///
/// Called at any moment, by whatever thread.
pub(super) extern "C" fn look(what: c_int, start: *mut c_void, length: usize) -> c_int {
    let start = start.addr();
    // Where the end is in the middle of a page, all of that is meant: areas begin and end at pages.
    let range = start..start.saturating_add(length);
    if what != AFTER {
        // In this order: a search without thread-local values first, as this may be the thread's
        // first call, from inside of `malloc`, which their making might call.
        if !registry::may_overlap(start, length) || range::is_unmapping_its_own() {
            return 0;
        }
        begin_taking();
        if what == BEFORE_MOVING {
            entered(|entered| entered.note_copies(&range));
        }
        return 1;
    }
    if !entered(|entered| entered.look_at(&range)) {
        note_moved();
    }
    end_taking();
    0
}

/// Does something as any call does; whether it could be done. In the middle of another call, or of
/// a fork, this thread may hold mutexes.
fn entered(what: impl FnOnce(&Entered)) -> bool {
    !edge::is_inside()
        && !gate::is_forking()
        && edge::catch_panic(false, || Entered::new().map(|entered| what(&entered)).is_ok())
}
