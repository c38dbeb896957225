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
pub(crate) const BEFORE_MOVING: c_int = 1;
pub(crate) const AFTER: c_int = 2;

/// What is called for it: what is said, the first address and the bytes of the range.
pub(crate) type Look = extern "C" fn(what: c_int, start: *mut c_void, length: usize) -> c_int;

unsafe extern "C" {
    static areas_cut_registrar: Option<extern "C" fn(Look) -> c_int>;
}

/// Whether there is one: then areas are cut at once, and no call need ask whether the memory of one
/// is still there.
pub(crate) fn is_there() -> bool {
    // SAFETY: a word of this object, which the loader has filled in and nothing writes: 0, which is
    // `None`, or the address of a function of this type.
    unsafe { areas_cut_registrar }.is_some()
}

/// Has the interposer call `look` from now on, if there is one. Before the first area, and once.
pub(crate) fn register(look: Look) {
    // SAFETY: a word of this object, which the loader has filled in before any code of ours ran,
    // and nothing writes. 0 is `None`; another value is the address of the interposer's function,
    // which has this type.
    if let Some(register) = unsafe { areas_cut_registrar } {
        // It has room for more copies of this library than there are; one too many is reported at
        // its next call that changes an area.
        let _ = register(look);
    }
}
