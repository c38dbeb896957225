//! Ranges of addresses that a program has reserved: areas are put into them at exact addresses, and nothing else can come to
//! be there.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use areas::Reservation;

use super::errors::{BAD_VALUE, ERROR, OK, Status, status_of, wrong};
use super::layout;
use super::places::{Spec, page, refuse_the_kernels, whole_pages};
use crate::edge::guarded;
use crate::held::Entered;

/// By first address.
static RANGES: Mutex<BTreeMap<usize, Arc<Reservation>>> = Mutex::new(BTreeMap::new());

/// For who has entered: so no thread holds it at a fork.
fn all(_: &Entered) -> MutexGuard<'static, BTreeMap<usize, Arc<Reservation>>> {
    RANGES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The reserved range that holds an address, and where in it that is.
pub(super) fn holding(entered: &Entered, address: usize) -> Option<(Arc<Reservation>, usize)> {
    let ranges = all(entered);
    let (&start, range) = ranges.range(..=address).next_back()?;
    let offset = address - start;
    (offset < range.span()).then(|| (range.clone(), offset))
}

/// What `_kern_reserve_address_range` does.
///
/// # Safety
/// As C's.
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
    let range = Reservation::placed(form, size).map_err(status_of)?;
    // SAFETY: C's promise, as above.
    unsafe { layout::put(address, range.address()) };
    all(&entered).insert(range.address(), range);
    Ok(OK)
}

fn unreserve(address: usize, size: usize) -> Result<Status, Status> {
    const WHAT: &str = "give reserved addresses back";
    let entered = Entered::new().map_err(status_of)?;
    let size = size.checked_next_multiple_of(page()).unwrap_or(usize::MAX);
    let mut ranges = all(&entered);
    match ranges.get(&address) {
        Some(range) if range.span() == size => {
            // Areas inside keep it until they go.
            ranges.remove(&address);
            Ok(OK)
        }
        _ => Err(wrong(BAD_VALUE, WHAT, "no range was reserved there with that size")),
    }
}

/// Reserves addresses.
///
/// # Safety
/// `address` is NULL or points to an address.
#[unsafe(no_mangle)]
unsafe extern "C" fn _kern_reserve_address_range(address: *mut usize, spec: u32, size: usize) -> i32 {
    // SAFETY: the caller's promise.
    guarded(ERROR, || unsafe { reserve(address, spec, size) }.unwrap_or_else(|status| status))
}

/// Gives reserved addresses back.
#[unsafe(no_mangle)]
extern "C" fn _kern_unreserve_address_range(address: *mut c_void, size: usize) -> i32 {
    guarded(ERROR, || unreserve(address.addr(), size).unwrap_or_else(|status| status))
}
