//! `libareas-cut.so` (`crates/areas-cut`), where a program has it: it interposes munmap and the
//! like, and has us look at what may be gone.
//!
//! It is found by a weak reference, which the loader fills in, or leaves 0: where it is not loaded,
//! that is all there is to it, whichever way this library came into the process (linked, contained,
//! loaded later). Why we seek it, and it does not seek us: docs/design/cutting-at-once.md.

#![expect(
    unsafe_code,
    reason = "a weak reference, and a function that another object calls; each block has its proof"
)]

use std::ffi::{c_int, c_void};

use areas::{range, registry};

use crate::edge;
use crate::held::{self, Entered};

// A word with the function's address, or 0. Rust has no weak references of its own that are stable;
// an address in data is the loader's to fill in, on every machine.
std::arch::global_asm!(
    ".pushsection .data.rel.ro.areas_cut_registrar,\"aw\",@progbits",
    ".balign 8",
    ".weak areas_cut_register",
    ".globl areas_cut_registrar",
    ".hidden areas_cut_registrar",
    ".type areas_cut_registrar,@object",
    ".size areas_cut_registrar,8",
    "areas_cut_registrar:",
    ".quad areas_cut_register",
    ".popsection",
);

/// What the interposer says of a range, as `areas-cut` has it; 0 is before a call.
const BEFORE_MOVING: c_int = 1;
const AFTER: c_int = 2;

type Look = extern "C" fn(what: c_int, start: *mut c_void, length: usize) -> c_int;

unsafe extern "C" {
    static areas_cut_registrar: Option<extern "C" fn(Look) -> c_int>;
}

/// The program calls something that may take addresses away from areas. Before: whether some are
/// there, so that it has to be called afterwards, too; from then to the end of that, who asks for
/// an address gets what the kernel has. Afterwards: what was an area's, and is not there any more,
/// is cut from it.
///
/// Called at any moment, by whatever thread.
extern "C" fn look(what: c_int, start: *mut c_void, length: usize) -> c_int {
    let start = start.addr();
    // Where the end is in the middle of a page, all of that is meant: areas begin and end at pages.
    let range = start..start.saturating_add(length);
    if what != AFTER {
        // In this order: a search without thread-local values first, as this may be the thread's
        // first call, from inside of `malloc`, which their making might call.
        if !registry::may_overlap(start, length) || range::is_unmapping_its_own() {
            return 0;
        }
        held::begin_taking();
        if what == BEFORE_MOVING {
            entered(|entered| entered.note_copies(&range));
        }
        return 1;
    }
    if !entered(|entered| entered.look_at(&range)) {
        held::note_moved();
    }
    held::end_taking();
    0
}

/// Does something as any call does; whether it could be done. In the middle of another call, or of
/// a fork, this thread may hold mutexes.
fn entered(what: impl FnOnce(&Entered)) -> bool {
    !edge::is_inside()
        && !held::is_forking()
        && edge::guarded(false, || Entered::new().map(|entered| what(&entered)).is_ok())
}

/// Whether there is one: then areas are cut at once, and no call need ask whether the memory of one
/// is still there.
pub(crate) fn is_there() -> bool {
    // SAFETY: as in `register`.
    unsafe { areas_cut_registrar }.is_some()
}

/// Has the interposer notify us from now on, if there is one. Before the first area.
pub(crate) fn register() {
    // SAFETY: a word of this object, which the loader has filled in before any code of ours ran,
    // and nothing writes. 0 is `None`; another value is the address of the interposer's function,
    // which has this type.
    if let Some(register) = unsafe { areas_cut_registrar } {
        // It has room for more copies of this library than there are; one too many is reported at
        // its next call that changes an area.
        let _ = register(look);
    }
}
