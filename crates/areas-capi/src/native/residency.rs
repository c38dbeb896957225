//! Where each page is, and at which page size: measured.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use areas::closed::ClosedPageLocation;
use areas::registry;
use areas::{AreaId, Residency, Result};

use super::area::{Handle, each, look};
use super::errors::{invalid, status};
use super::sized::{Room, Versioned, read, room};

/// Where the pages of an area are. Initialise with AREAS_RESIDENCY. All numbers are bytes, of whole
/// pages.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Measured {
    /// sizeof(areas_residency).
    pub struct_size: usize,
    /// How much was looked at: the size, rounded up to whole pages.
    pub size: u64,
    /// How much is in RAM.
    pub resident: u64,
    /// How much is nowhere: holes that take no memory until they are touched.
    pub absent: u64,
    /// How much is swapped out, where the kernel reports it.
    pub swapped: u64,
    /// How much of what is in RAM is mapped with pages larger than the base page, where the kernel
    /// reports it.
    pub huge: u64,
    /// Whether the kernel reports what is swapped out; if not, that counts as absent.
    pub knows_swapped: u32,
    /// Whether the kernel reports page sizes.
    pub knows_huge: u32,
    /// Runs of pages that are in the same place.
    pub runs: usize,
    /// The caller's array, or NULL: it is given the bytes on node 0, on node 1, and so on.
    pub on_node: *mut u64,
    /// How many numbers the array has.
    pub nodes: usize,
    /// How much of what is in RAM is on a node that is not known, not even as a part of a total.
    pub node_unknown: u64,
    /// Whether it is known of each page in RAM which node it is on. If not, a sandbox forbids
    /// move_pages, and `on_node` has totals.
    pub knows_pages: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: numbers and addresses, the first a `usize`.
unsafe impl Versioned for Measured {
    const NAME: &'static str = "areas_residency";
    const FIRST: usize = 80;
}

/// The node of pages that are nowhere.
pub const AREAS_ABSENT: i32 = -1;
/// The node of pages that are swapped out.
pub const AREAS_SWAPPED: i32 = -2;
/// The node of pages that are in RAM, where a sandbox forbids to ask for it page by page.
pub const AREAS_NODE_UNKNOWN: i32 = -3;

/// Neighbouring bytes that are in the same place.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Stretch {
    /// Bytes from the beginning of the area.
    pub offset: usize,
    /// Bytes.
    pub size: usize,
    /// The node that they are on, or AREAS_ABSENT, AREAS_SWAPPED, AREAS_NODE_UNKNOWN.
    pub node: i32,
    /// 0.
    pub reserved: u32,
    /// Bytes of the pages that they are mapped with; 0 where they are not in RAM.
    pub page_size: usize,
}

/// Called with each run, in order. A return value other than 0 ends the walk.
pub type OnRun = Option<unsafe extern "C" fn(run: *const Stretch, context: *mut c_void) -> c_int>;

/// Room for what is measured, and the caller's array.
#[derive(Debug)]
struct Wanted {
    room: Room<Measured>,
    on_node: *mut u64,
    nodes: usize,
}

/// Looks whether a program has room for the answer, before anything is measured.
///
/// # Safety
/// As C promises: `to` is NULL, or has as many bytes as it says.
unsafe fn wanted(to: *mut Measured) -> Result<Wanted> {
    // SAFETY: `to` is NULL, or points to as many writable bytes as its first member says (the
    // caller).
    let room = unsafe { room(to) }?;
    // SAFETY: not NULL (`room` looked), and then as many readable bytes as its first member says
    // (the caller).
    let Measured { on_node, nodes, .. } = unsafe { read(to.cast_const()) }?;
    Ok(Wanted { room, on_node, nodes })
}

/// Fills in what was measured, and reports the runs. Nothing of what was measured is borrowed any
/// more: what C does with its handle in the callback is C's affair.
///
/// # Safety
/// What was promised to [`wanted`] still holds, and the array is NULL or has as many numbers as C
/// says.
unsafe fn report(asked: Wanted, found: &Residency, on_run: OnRun, context: *mut c_void) -> Result<()> {
    let runs = found.runs();
    let base = areas::PageSize::base();
    let huge =
        found.page_sizes().map(|sizes| sizes.filter(|&(page, _)| page != base).map(|(_, bytes)| bytes).sum());
    let measured = Measured {
        struct_size: 0,
        size: found.size(),
        resident: found.resident(),
        absent: found.absent(),
        swapped: found.swapped().unwrap_or(0),
        huge: huge.unwrap_or(0),
        knows_swapped: u32::from(found.swapped().is_some()),
        knows_huge: u32::from(huge.is_some()),
        runs: runs.len(),
        on_node: asked.on_node,
        nodes: asked.nodes,
        node_unknown: found.node_unknown(),
        knows_pages: u32::from(found.knows_pages()),
        reserved: 0,
    };
    if !asked.on_node.is_null() {
        for (index, node) in (0..asked.nodes).zip(0_u32..) {
            let bytes = areas::Node::new(node).map_or(0, |node| found.on(node));
            // SAFETY: the array has `nodes` numbers (the caller).
            let place = unsafe { asked.on_node.add(index) };
            // SAFETY: `place` is one of as many numbers as C says that its array has (the caller).
            unsafe { place.write_unaligned(bytes) };
        }
    }
    // SAFETY: the structure is the one that `wanted` looked at, and stays writable until this call
    // returns (the caller).
    unsafe { asked.room.fill(&measured) };
    let Some(call) = on_run else { return Ok(()) };
    for run in runs {
        let (node, page_size) = match ClosedPageLocation::from(run.place) {
            ClosedPageLocation::On { node, page } => (node.get().cast_signed(), page.bytes()),
            ClosedPageLocation::InRam { page } => (AREAS_NODE_UNKNOWN, page.bytes()),
            ClosedPageLocation::Swapped => (AREAS_SWAPPED, 0),
            ClosedPageLocation::Absent => (AREAS_ABSENT, 0),
        };
        let stretch =
            Stretch { offset: run.range.start, size: run.range.len(), node, reserved: 0, page_size };
        // SAFETY: C's own function, with its context, and a structure that lives as long as the
        // call.
        if unsafe { call(&raw const stretch, context) } != 0 {
            break;
        }
    }
    Ok(())
}

/// Measures where each page of an area is, and how large it is. Faults nothing in. `on_run` may be
/// NULL.
///
/// Where a sandbox forbids move_pages, the nodes are reported as totals, and those of single pages
/// only if all are on one. AREAS_ERROR_UNSUPPORTED for low areas, whose memory belongs to no node,
/// AREAS_ERROR_INVALID_INPUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_measure(
    area: Option<&Handle>,
    residency: *mut Measured,
    on_run: OnRun,
    context: *mut c_void,
) -> c_int {
    status(|| {
        // SAFETY: C passes NULL, or a handle that it has not released and that no other call
        // changes now.
        let asked = unsafe { wanted(residency) }?;
        let found = each!(look(area, "measure an area")?, area => area.residency())?;
        // SAFETY: C's structure and its array are those that `wanted` looked at, and stay writable
        // for this call.
        unsafe { report(asked, &found, on_run, context) }
    })
}

/// The same for the area of that id, whichever process holds it, without mapping it.
///
/// AREAS_ERROR_NO_SUCH_AREA, AREAS_ERROR_UNREADABLE; otherwise as areas_measure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_measure_id(
    id: i32,
    residency: *mut Measured,
    on_run: OnRun,
    context: *mut c_void,
) -> c_int {
    status(|| {
        // SAFETY: C passes NULL, or as many writable bytes as the structure's first member says.
        let asked = unsafe { wanted(residency) }?;
        let found = AreaId::new(id).and_then(registry::get)?.residency()?;
        // SAFETY: C's structure and its array are those that `wanted` looked at, and stay writable
        // for this call.
        unsafe { report(asked, &found, on_run, context) }
    })
}

/// The same for any memory of this process: what AML, malloc or mmap gave. `start` is rounded down
/// to a page.
///
/// AREAS_ERROR_OUT_OF_RANGE where not all of it is mapped; otherwise as areas_measure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_measure_range(
    start: *const c_void,
    size: usize,
    residency: *mut Measured,
    on_run: OnRun,
    context: *mut c_void,
) -> c_int {
    status(|| {
        const WHAT: &str = "measure a range of addresses";
        let page = areas::PageSize::base().bytes();
        let into_page = start.addr() % page;
        let first = start.cast_mut().cast::<u8>().wrapping_sub(into_page);
        let Some(first) = NonNull::new(first) else { return Err(invalid(WHAT, "it begins at NULL")) };
        let whole = size.checked_add(into_page).and_then(|size| size.checked_next_multiple_of(page));
        let Some(whole) = whole.filter(|&whole| size > 0 && first.addr().get().checked_add(whole).is_some())
        else {
            return Err(invalid(WHAT, "its size is 0, or more than there are addresses"));
        };
        // SAFETY: C passes NULL, or as many writable bytes as the structure's first member says.
        let asked = unsafe { wanted(residency) }?;
        let found = areas::range::residency(first, whole)?;
        // SAFETY: C's structure and its array are those that `wanted` looked at, and stay writable
        // for this call.
        unsafe { report(asked, &found, on_run, context) }
    })
}
