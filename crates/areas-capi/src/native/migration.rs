//! Changing the placement of an area, and moving its pages.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};

use areas::Migration;
use areas::closed::ClosedUnmovedReason;
use areas::registry::{self, AreaId};

use super::area::{Handle, change, each};
use super::changes::{OnProgress, reporter};
use super::errors::{invalid, status};
use super::placement::{Placed, placement_at};
use super::provider::{Part, parts_at};
use super::sized::{Versioned, room};
use super::verification::Verified;

/// The outcome of a migration, measured before and after. Initialise with AREAS_MIGRATION. Numbers
/// of bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Moved {
    /// sizeof(areas_migration).
    pub struct_size: usize,
    /// On another node than before.
    pub moved: u64,
    /// Would not move.
    pub stayed: u64,
    /// In RAM, and in place now.
    pub in_place: u64,
    /// In RAM, and still elsewhere.
    pub elsewhere: u64,
    /// Not in RAM.
    pub not_in_ram: u64,
    /// 1 if nothing is elsewhere now, 0 otherwise.
    pub holds: u32,
    /// 1 if new pages come from the new place now; 0 where there was something to move and nothing
    /// of it would: then the policy is as it was.
    pub placed: u32,
}

// SAFETY: numbers, the first a `usize`.
unsafe impl Versioned for Moved {
    const NAME: &'static str = "areas_migration";
    const FIRST: usize = 56;
}

/// The pages are pinned (by DMA, for instance), or are being written back.
pub const AREAS_UNMOVED_BUSY: u32 = 1;
/// Other processes have them mapped too, and moving such pages takes CAP_SYS_NICE.
pub const AREAS_UNMOVED_MAPPED_BY_OTHERS: u32 = 2;
/// The node that they were to move to has no room.
pub const AREAS_UNMOVED_NO_ROOM: u32 = 3;
/// They were freed concurrently.
pub const AREAS_UNMOVED_GONE: u32 = 4;
/// Something else: see the kernel's error number.
pub const AREAS_UNMOVED_OTHER: u32 = 5;

/// Pages that would not move.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Unmoved {
    /// Bytes from the beginning of the area.
    pub offset: usize,
    /// Bytes.
    pub size: usize,
    /// The node that they were to move to.
    pub target: u32,
    /// AREAS_UNMOVED_BUSY or another reason.
    pub why: u32,
    /// The kernel's error number, where the reason is AREAS_UNMOVED_OTHER; 0 otherwise.
    pub number: i32,
    /// 0.
    pub reserved: u32,
}

/// Called with each range of pages that would not move, in order. A return value other than 0 ends
/// the walk.
pub type OnUnmoved = Option<unsafe extern "C" fn(unmoved: *const Unmoved, context: *mut c_void) -> c_int>;

/// From now on, new pages of a part of an area come from there: `size` bytes from `offset` on, in
/// whole pages. Pages that are there already stay: areas_migrate moves them.
///
/// AREAS_ERROR_NODE_NOT_ALLOWED for nodes that may not be used, AREAS_ERROR_INVALID_INPUT for a
/// part that does not begin at a page, AREAS_ERROR_OUT_OF_RANGE beyond its addresses,
/// AREAS_ERROR_UNSUPPORTED for what this kernel does not know.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_place(
    area: Option<&mut Handle>,
    offset: usize,
    size: usize,
    placement: *const Placed,
) -> c_int {
    status(|| {
        const WHAT: &str = "place a part of an area";
        let area = change(area, WHAT)?;
        // SAFETY: NULL or a placement (C's promise).
        let placement = unsafe { placement_at(placement) }?;
        let end = offset.checked_add(size).ok_or_else(|| invalid(WHAT, "it exceeds the address space"))?;
        each!(area, area => area.place(offset..end, placement))
    })
}

/// Divides a part of an area, `size` bytes from `offset` on, in whole pages, into contiguous pieces
/// in the order given, as large as their weights say, each bound to its node: new pages come from
/// there from now on. The pieces begin between huge pages where each has room for one, else at the
/// nearest page. Pages that are there already stay: areas_verify lists those that are elsewhere.
/// Where the kernel refuses a piece, all is placed as before.
///
/// AREAS_ERROR_INVALID_INPUT for no pieces, more than 1024, or a weight of 0; otherwise as
/// areas_place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_place_split(
    area: Option<&mut Handle>,
    offset: usize,
    size: usize,
    parts: *const Part,
    count: usize,
) -> c_int {
    status(|| {
        const WHAT: &str = "split a part of an area";
        let area = change(area, WHAT)?;
        // SAFETY: NULL, or as many as C says.
        let parts = unsafe { parts_at(parts, count, WHAT) }?;
        let end = offset.checked_add(size).ok_or_else(|| invalid(WHAT, "it exceeds the address space"))?;
        each!(area, area => area.place_split(offset..end, parts))
    })
}

/// Changes the placement of a whole area, and moves the pages that are elsewhere, huge ones whole.
/// Both functions may be NULL; they must not use the area's handle.
///
/// Pages that stay are not an error: they are reported, with the reason. Moving pages that other
/// processes have mapped too takes CAP_SYS_NICE. Errors as areas_place and areas_measure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_migrate(
    area: Option<&mut Handle>,
    placement: *const Placed,
    migration: *mut Moved,
    on_unmoved: OnUnmoved,
    on_progress: OnProgress,
    context: *mut c_void,
) -> c_int {
    status(|| {
        // SAFETY: NULL, or as many bytes as it says (C's promise).
        let room = unsafe { room(migration) }?;
        let area = change(area, "move an area")?;
        // SAFETY: NULL or a placement (C's promise).
        let placement = unsafe { placement_at(placement) }?;
        let done = each!(area, area => area.migrate_with(placement, &mut reporter(on_progress, context)))?;
        // SAFETY: C's structure is the one that `room` looked at, and stays writable until this
        // call returns.
        unsafe { room.fill(&moved(&done)) };
        report(&done, on_unmoved, context);
        Ok(())
    })
}

/// The same for the area of that id, whichever process holds it, without mapping it: so an ordinary
/// user can move pages that one process of the same user has mapped.
///
/// AREAS_ERROR_NO_SUCH_AREA, AREAS_ERROR_UNREADABLE; otherwise as areas_migrate.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_migrate_id(
    id: i32,
    placement: *const Placed,
    migration: *mut Moved,
    on_unmoved: OnUnmoved,
    on_progress: OnProgress,
    context: *mut c_void,
) -> c_int {
    status(|| {
        // SAFETY: NULL, or as many bytes as it says (C's promise).
        let room = unsafe { room(migration) }?;
        // SAFETY: NULL or a placement (C's promise).
        let placement = unsafe { placement_at(placement) }?;
        let source = AreaId::new(id).and_then(registry::get)?;
        let done = source.migrate_with(placement, &mut reporter(on_progress, context))?;
        // SAFETY: C's structure is the one that `room` looked at, and stays writable until this
        // call returns.
        unsafe { room.fill(&moved(&done)) };
        report(&done, on_unmoved, context);
        Ok(())
    })
}

/// The numbers of a migration.
fn moved(done: &Migration) -> Moved {
    let now = Verified::of(done.verification());
    Moved {
        struct_size: 0,
        moved: done.moved(),
        stayed: done.stayed().iter().map(|part| part.range.len() as u64).sum(),
        in_place: now.in_place,
        elsewhere: now.elsewhere,
        not_in_ram: now.not_in_ram,
        holds: now.holds,
        placed: done.is_placed().into(),
    }
}

/// Reports to C what was not moved.
fn report(done: &Migration, on_unmoved: OnUnmoved, context: *mut c_void) {
    let Some(call) = on_unmoved else { return };
    for part in done.stayed() {
        let (why, number) = match ClosedUnmovedReason::from(part.why) {
            ClosedUnmovedReason::Busy => (AREAS_UNMOVED_BUSY, 0),
            ClosedUnmovedReason::MappedByOthers => (AREAS_UNMOVED_MAPPED_BY_OTHERS, 0),
            ClosedUnmovedReason::NoRoom => (AREAS_UNMOVED_NO_ROOM, 0),
            ClosedUnmovedReason::Gone => (AREAS_UNMOVED_GONE, 0),
            ClosedUnmovedReason::Other(errno) => (AREAS_UNMOVED_OTHER, errno.raw()),
        };
        let unmoved = Unmoved {
            offset: part.range.start,
            size: part.range.len(),
            target: part.target.get(),
            why,
            number,
            reserved: 0,
        };
        // SAFETY: C's own function, with its context, and a structure that lives as long as the
        // call.
        if unsafe { call(&raw const unmoved, context) } != 0 {
            break;
        }
    }
}
