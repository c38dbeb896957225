//! Ranges of addresses that a program has reserved: areas are put into them at exact addresses, and
//! nothing else can come to be there.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use areas::Reservation;

use super::clearing::{at_exact, clear_reserves};
use super::errors::{BAD_VALUE, ERROR, OK, Status, status_of, wrong};
use super::layout;
use super::spec::{Spec, page, refuse_the_kernels, whole_pages};
use crate::edge::catch_panic;
use crate::held::Entered;

/// By first address and bytes: where a part was released, another range may begin that lies in it.
type Ranges = BTreeMap<(usize, usize), Arc<Reservation>>;

static RANGES: Mutex<Ranges> = Mutex::new(BTreeMap::new());

/// For threads that have entered: so none holds it at a fork.
fn all(_: &Entered) -> MutexGuard<'static, Ranges> {
    RANGES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The reserved range that holds an address, and where in it that is.
pub(super) fn holding(entered: &Entered, address: usize) -> Option<(Arc<Reservation>, usize)> {
    let ranges = all(entered);
    ranges.range(..=(address, usize::MAX)).rev().find_map(|(&(start, span), range)| {
        let offset = address - start;
        (offset < span && range.still_has(offset)).then(|| (range.clone(), offset))
    })
}

/// The reserved ranges that have a part of these addresses.
pub(super) fn overlapping(entered: &Entered, addresses: &Range<usize>) -> Vec<Arc<Reservation>> {
    let ranges = all(entered);
    let below = ranges.range(..(addresses.end, 0));
    below
        .filter(|((start, span), _)| start + span > addresses.start)
        .map(|(_, range)| range.clone())
        .collect()
}

/// Forgets those of some ranges of which nothing is reserved any more.
pub(super) fn forget_released(entered: &Entered, some: &[Arc<Reservation>]) {
    let mut ranges = all(entered);
    for range in some.iter().filter(|range| range.is_released()) {
        ranges.remove(&(range.address(), range.span()));
    }
}

/// What `_kern_reserve_address_range` does.
///
/// # Safety
/// `address` is NULL, or points to an address that may be read and written.
unsafe fn reserve(address: *mut usize, spec: u32, size: usize) -> Result<Status, Status> {
    const WHAT: &str = "reserve addresses";
    refuse_the_kernels(spec)?;
    // SAFETY: C's promise: NULL or a pointer.
    let wanted = unsafe { layout::wanted(address, WHAT) }?;
    let spec = Spec::new(spec, wanted)?;
    let size = whole_pages(WHAT, size)?;
    let form = spec.address(size)?;
    let entered = Entered::new().map_err(status_of)?;
    if spec == Spec::Clone {
        return Err(wrong(BAD_VALUE, WHAT, "only a clone has a source's address"));
    }
    let place = || Reservation::placed(form, size);
    let range = match spec {
        // What is reserved is so for all that ask.
        Spec::Exact(exact) if holding(&entered, exact).is_none() => at_exact(&entered, exact, size, place),
        _ => place(),
    };
    let range = range.map_err(status_of)?;
    // SAFETY: `address` is NULL, or points to room for the value (the caller).
    unsafe { layout::put(address, range.address()) };
    all(&entered).insert((range.address(), range.span()), range);
    Ok(OK)
}

fn unreserve(address: usize, size: usize) -> Result<Status, Status> {
    const WHAT: &str = "release reserved addresses";
    let entered = Entered::new().map_err(status_of)?;
    let end = address.checked_add(size).and_then(|end| end.checked_next_multiple_of(page()));
    let (Some(start), Some(end)) = (address.checked_next_multiple_of(page()), end) else {
        return Err(wrong(BAD_VALUE, WHAT, "the range ends beyond all addresses"));
    };
    // What is reserved of it, if anything is. Areas inside stay.
    let some = overlapping(&entered, &(start..end));
    if !some.is_empty() {
        clear_reserves(&entered, &(start..end));
    }
    for range in &some {
        let part = start.saturating_sub(range.address())..end - range.address();
        range.release(part).map_err(status_of)?;
    }
    forget_released(&entered, &some);
    Ok(OK)
}

/// Reserves addresses.
///
/// # Safety
/// `address` is NULL or points to an address.
#[unsafe(no_mangle)]
unsafe extern "C" fn _kern_reserve_address_range(address: *mut usize, spec: u32, size: usize) -> i32 {
    // SAFETY: `address` is NULL, or points to an address that may be read and written (the caller).
    catch_panic(ERROR, || unsafe { reserve(address, spec, size) }.unwrap_or_else(|status| status))
}

/// Gives reserved addresses back.
#[unsafe(no_mangle)]
extern "C" fn _kern_unreserve_address_range(address: *mut c_void, size: usize) -> i32 {
    catch_panic(ERROR, || unreserve(address.addr(), size).unwrap_or_else(|status| status))
}
