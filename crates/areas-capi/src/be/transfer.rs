//! Areas handed over to another team, or to other addresses: `_kern_transfer_area`.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::c_void;
use std::ops::Range;
use std::sync::Arc;

use areas::{Address, AreaId, Error, ErrorKind, Reservation, registry};

use super::areas::with_own_of;
use super::clearing::make_way;
use super::errors::{BAD_TEAM_ID, BAD_VALUE, ERROR, Status, number, status_of, wrong};
use super::layout;
use super::places::reserved_place;
use super::reserves::{trim_for, untrim};
use super::spec::{Spec, refuse_the_kernels};
use crate::edge::catch_panic;
use crate::held::{Entered, Held, Keeping};

/// Where an area is to be handed over to.
#[derive(Clone, Copy)]
struct Target {
    team: i32,
    spec: Spec,
}

/// What `_kern_transfer_area` does. The id that it has from now on; in another team, as soon as
/// that has taken it in.
///
/// # Safety
/// `address` is NULL, or points to an address that may be read and written.
unsafe fn transfer(id: i32, address: *mut *mut c_void, spec: u32, team: i32) -> Result<i32, Status> {
    refuse_the_kernels(spec)?;
    // SAFETY: C's promise: NULL or a pointer.
    let wanted = unsafe { layout::wanted(address, "transfer an area") }?;
    let target = Target { team, spec: Spec::new(spec, wanted.addr())? };
    let mut blocked = None;
    // SAFETY: `address` is NULL, or points to an address that may be read and written (the caller).
    let attempt = |blocked: &mut _| unsafe { transfer_once(id, address, target, blocked) };
    let done = attempt(&mut blocked);
    match blocked.take() {
        // Not in the middle of that: other areas are looked at, and this one's reserve may be what
        // is there.
        Some(Range { start, end }) => {
            make_way(start, end - start).map_err(status_of)?;
            attempt(&mut blocked)
        }
        None => done,
    }
}

/// Tries to. Where addresses of this team are not free that the caller chose, they are reported.
///
/// # Safety
/// `address` is NULL, or points to an address that may be read and written.
unsafe fn transfer_once(
    id: i32,
    address: *mut *mut c_void,
    Target { team, mut spec }: Target,
    blocked: &mut Option<Range<usize>>,
) -> Result<i32, Status> {
    let entered = Entered::new().map_err(status_of)?;
    let (mut moved, mut keeping) = (None, None);
    let given = with_own_of(&entered, id, "transfer an area", |held| {
        let Some(number) = u32::try_from(team).ok().filter(|&team| team > 0) else {
            return Err(wrong(BAD_TEAM_ID, "transfer an area", "no team has that number: 0 or less"));
        };
        let Some(mut area) = held.take() else { return Err(BAD_VALUE) };
        let span = area.reserve();
        if spec == Spec::Clone {
            spec = Spec::Exact(area.as_ptr().addr());
        }
        // How large it is, is the kernel's to say: it is asked where that makes a difference.
        let mapped = if spec == Spec::Any { 0 } else { area.mapped() };
        let at = match spec.address(mapped) {
            Ok(at) => at,
            Err(status) => {
                *held = Some(area);
                return Err(status);
            }
        };
        let is_here = number == std::process::id();
        let inside = if is_here { reserved_place(&entered, spec, mapped) } else { None };
        if let (Spec::Exact(start), true) = (spec, is_here)
            && registry::may_overlap(start, mapped)
        {
            // The program has unmapped what is said to be there, or it is in the way.
            entered.look_at(&(start..start + mapped));
        }
        trim_for(spec, &mut area);
        keeping = Some(Keeping::new());
        match hand_over(area, number, at, inside, held) {
            Ok(given) => {
                moved = held.take();
                Ok(given)
            }
            Err(error) => {
                if let (Spec::Exact(start), true, ErrorKind::AddressInUse | ErrorKind::OutOfRange) =
                    (spec, is_here, error.kind())
                {
                    *blocked = Some(start..start + mapped);
                }
                if let Some(area) = held {
                    untrim(area, span);
                }
                Err(status_of(error))
            }
        }
    })?;
    match (given, moved) {
        (Some(id), _) => Ok(id.get()),
        // Not in the middle of that: what was there may have to be waited for.
        (None, Some(area)) => {
            // SAFETY: `address` is NULL, or points to an address that may be read and written (the
            // caller).
            unsafe { report_address(address, &area) };
            let kept = entered.keep(area).map_err(status_of);
            drop(keeping);
            kept
        }
        (None, None) => Err(ERROR),
    }
}

/// Hands an area over to addresses of a team, or into reserved addresses of this one: its id there,
/// or `None` where it is this one's again. Then it is put into `here`, as is what could not be
/// handed over.
fn hand_over(
    area: Held,
    team: u32,
    at: Address,
    inside: Option<(Arc<Reservation>, usize)>,
    here: &mut Option<Held>,
) -> Result<Option<AreaId>, Error> {
    macro_rules! hand_over {
        ($area:expr, $kind:path) => {{
            let done = match inside {
                Some((range, offset)) => $area.transfer_inside(&range, offset).map(areas::Transfer::Own),
                None => $area.transfer(team, at),
            };
            match done {
                Ok(areas::Transfer::Own(area)) => {
                    *here = Some($kind(area));
                    Ok(None)
                }
                Ok(areas::Transfer::Given(id)) => Ok(Some(id)),
                // No other outcome is known to this edge: the area is not here any more.
                Ok(_) => Err(Error::new(ErrorKind::System, "transfer an area")),
                Err(rejected) => {
                    *here = Some($kind(rejected.value));
                    Err(rejected.error)
                }
            }
        }};
    }
    match area {
        Held::Resizable(area) => hand_over!(area, Held::Resizable),
        Held::Shared(area) => hand_over!(area, Held::Shared),
        Held::Frozen(area) => hand_over!(area, Held::Frozen),
        // BeOS's calls make none, and none has an id.
        Held::Private(_) | Held::Stored(_) => {
            *here = Some(area);
            Err(Error::new(ErrorKind::Unsupported, "transfer an area"))
        }
    }
}

/// Writes where an area is to where C wants it.
///
/// # Safety
/// `address` is NULL, or points to room for an address.
unsafe fn report_address(address: *mut *mut c_void, held: &Held) {
    // SAFETY: `address` is NULL, or points to room for the value (the caller).
    unsafe { layout::put(address, held.as_ptr().cast()) };
}

/// Hands an area over to a team.
///
/// # Safety
/// `address` is NULL or a pointer to a pointer.
#[unsafe(no_mangle)]
unsafe extern "C" fn _kern_transfer_area(id: i32, address: *mut *mut c_void, spec: u32, team: i32) -> i32 {
    // SAFETY: `address` is NULL, or points to an address that may be read and written (the caller).
    catch_panic(ERROR, || number(unsafe { transfer(id, address, spec, team) }))
}
