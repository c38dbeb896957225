//! Comparing where pages are with where they were asked to be.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};

use areas::Verification;

use super::area::{Handle, each, look};
use super::errors::status;
use super::nodes::Nodes;
use super::sized::{Versioned, room};

/// Whether the pages of an area are where they were asked to be. Initialise with
/// AREAS_VERIFICATION. Numbers of bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Verified {
    /// sizeof(areas_verification).
    pub struct_size: usize,
    /// 1 if nothing is elsewhere, 0 otherwise.
    pub holds: u32,
    /// 0.
    pub reserved: u32,
    /// In RAM, and in place.
    pub in_place: u64,
    /// In RAM, and elsewhere.
    pub elsewhere: u64,
    /// Not in RAM: nowhere, and not out of place.
    pub not_in_ram: u64,
    /// The share of what is in RAM that is in place, 0 to 1; 1 where nothing is in RAM.
    pub share: f64,
}

// SAFETY: numbers, the first a `usize`.
unsafe impl Versioned for Verified {
    const NAME: &'static str = "areas_verification";
    const FIRST: usize = 48;
}

impl Verified {
    pub(super) fn of(found: &Verification) -> Self {
        Verified {
            struct_size: 0,
            holds: u32::from(found.holds()),
            reserved: 0,
            in_place: found.in_place(),
            elsewhere: found.elsewhere(),
            not_in_ram: found.not_in_ram(),
            share: found.share(),
        }
    }
}

/// Pages that are on a node where they were not asked to be.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Elsewhere {
    /// Bytes from the beginning of the area.
    pub offset: usize,
    /// Bytes.
    pub size: usize,
    /// Where they are.
    pub node: u32,
    /// 0.
    pub reserved: u32,
    /// Where they were asked to be; of interleaved pages, the node whose turn it is.
    pub asked: Nodes,
}

/// Called with each range of pages that is elsewhere, in order. A return value other than 0 ends
/// the walk.
pub type OnMisplaced =
    Option<unsafe extern "C" fn(misplaced: *const Elsewhere, context: *mut c_void) -> c_int>;

/// Reports to C what is elsewhere.
fn report(found: &Verification, on_misplaced: OnMisplaced, context: *mut c_void) {
    let Some(call) = on_misplaced else { return };
    for part in found.misplaced() {
        let elsewhere = Elsewhere {
            offset: part.range.start,
            size: part.range.len(),
            node: part.node.get(),
            reserved: 0,
            asked: Nodes::of(part.asked),
        };
        // SAFETY: C's own function, with its context, and a structure that lives as long as the
        // call.
        if unsafe { call(&raw const elsewhere, context) } != 0 {
            break;
        }
    }
}

/// Measures an area, and compares with what was asked of it and of its parts: a page is in place on
/// any node of its policy, with interleaving on the node whose turn it is. `on_misplaced` may be
/// NULL.
///
/// Pages that are elsewhere are not an error: see `holds`. Errors as areas_measure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_verify(
    area: Option<&Handle>,
    verification: *mut Verified,
    on_misplaced: OnMisplaced,
    context: *mut c_void,
) -> c_int {
    status(|| {
        // SAFETY: NULL, or as many bytes as it says (C's promise).
        let room = unsafe { room(verification) }?;
        let found = each!(look(area, "verify an area")?, area => area.verify())?;
        // SAFETY: C's structure is the one that `room` looked at, and stays writable until this
        // call returns.
        unsafe { room.fill(&Verified::of(&found)) };
        report(&found, on_misplaced, context);
        Ok(())
    })
}
