//! The older interface, AML 0.1: the functions whose signatures differ. Its headers
//! (`include/aml-0.1/`) know them by the names of their day; the symbols are `aml01_…`.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};

use areas::{Error, ErrorKind, Result, range};

use super::area::{Area, Data, Munmap, operation};
use super::asked::{Asked, RequestedPolicy};
use super::bitmap::Bitmap;
use super::error::{SUCCESS, broken, failed, failed_for, invalid, no_memory, null};
use super::linux::{allowed, bind, check, forget, in_the_block, make, map_placed, unmap};
use super::nodes::{self, Bitmask, Owned};
use crate::edge::catch_panic;

type Mmap = unsafe extern "C" fn(*const Data, *mut c_void, usize) -> *mut c_void;

/// `struct aml_area_ops` of 0.1.
#[derive(Debug)]
#[repr(C)]
struct Ops {
    mmap: Option<Mmap>,
    munmap: Option<Munmap>,
}

/// `struct aml_area_linux_data` of 0.1.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct LinuxData {
    nodeset: *mut Bitmask,
    binding_flags: c_int,
    mmap_flags: c_int,
}

// SAFETY: its pointer is NULL in the one static that there is.
unsafe impl Sync for LinuxData {}

const PRIVATE: c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
const SHARED: c_int = libc::MAP_SHARED | libc::MAP_ANONYMOUS;

/// From `MPOL_*`.
fn policy(binding_flags: c_int) -> Result<RequestedPolicy> {
    match binding_flags {
        libc::MPOL_DEFAULT => Ok(RequestedPolicy::Default),
        libc::MPOL_PREFERRED => Ok(RequestedPolicy::Preferred),
        libc::MPOL_BIND => Ok(RequestedPolicy::Bind),
        libc::MPOL_INTERLEAVE => Ok(RequestedPolicy::Interleave),
        other => Err(Error::new(ErrorKind::InvalidInput, format!("use binding flags {other}"))
            .with_facts("no policy of AML 0.1 has that number")
            .with_remedy("take one of AML_AREA_LINUX_BINDING_FLAG_{BIND,INTERLEAVE,PREFERRED}")),
    }
}

fn check_mmap_flags(flags: c_int) -> Result<()> {
    match flags {
        PRIVATE | SHARED => Ok(()),
        other => Err(Error::new(ErrorKind::InvalidInput, format!("use mmap flags {other:#x}"))
            .with_facts("AML 0.1 has areas that are private or shared with children")
            .with_remedy("take one of AML_AREA_LINUX_MMAP_FLAG_{PRIVATE,SHARED}")),
    }
}

/// Flags that an area can be made with.
fn check_flags(mmap_flags: c_int, binding_flags: c_int) -> Result<()> {
    check_mmap_flags(mmap_flags)?;
    match policy(binding_flags)? {
        // There is no name for it in 0.1: only the default area has it.
        RequestedPolicy::Default => Err(Error::new(ErrorKind::InvalidInput, "use binding flags 0")
            .with_remedy("take one of AML_AREA_LINUX_BINDING_FLAG_{BIND,INTERLEAVE,PREFERRED}")),
        _ => Ok(()),
    }
}

#[unsafe(no_mangle)]
static aml01_area_linux_data_default: LinuxData =
    LinuxData { nodeset: std::ptr::null_mut(), binding_flags: libc::MPOL_DEFAULT, mmap_flags: PRIVATE };

/// A C program may put operations of its own into it: nothing here writes to it, and who uses an
/// area looks at it for that moment only.
#[unsafe(no_mangle)]
static mut aml01_area_linux_ops: Ops =
    Ops { mmap: Some(aml01_area_linux_mmap_mbind), munmap: Some(aml01_area_linux_munmap) };

#[unsafe(no_mangle)]
static mut aml01_area_linux: Area<Ops> =
    Area { ops: &raw const aml01_area_linux_ops, data: (&raw const aml01_area_linux_data_default).cast() };

/// # Safety
/// NULL or a place for a pointer, NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml01_area_linux_create(
    out: *mut *mut Area<Ops>,
    mmap_flags: c_int,
    nodemask: *const Bitmap,
    binding_flags: c_int,
) -> c_int {
    catch_panic(broken(), || {
        let data = |nodeset| {
            check_flags(mmap_flags, binding_flags)?;
            Ok(LinuxData { nodeset, binding_flags, mmap_flags })
        };
        let ops = &raw const aml01_area_linux_ops;
        // SAFETY: `out` is NULL or a place for a pointer, `nodemask` NULL or a bitmap (the caller).
        unsafe { make(out, nodemask, ops, data) }
    })
}

/// Fills in an area of the program's own, whose data is a place. Its nodeset is made, and all else
/// is the program's.
///
/// # Safety
/// NULL or an area whose data is NULL or a place for such data, which need not be filled
/// in; NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml01_area_linux_init(
    area: *mut Area<Ops>,
    mmap_flags: c_int,
    nodemask: *const Bitmap,
    binding_flags: c_int,
) -> c_int {
    catch_panic(broken(), || {
        // SAFETY: NULL or an area (the caller's promise).
        let Some(area) = (unsafe { area.as_mut() }) else {
            return invalid("initialise an area", "the area is NULL");
        };
        let place = area.data.cast_mut().cast::<LinuxData>();
        if place.is_null() {
            return invalid(
                "initialise an area",
                "its data is NULL: AML_AREA_LINUX_DECL makes a place for it",
            );
        }
        // Nothing that could be mapped from, should it fail.
        let empty = LinuxData { nodeset: std::ptr::null_mut(), binding_flags: 0, mmap_flags: 0 };
        // SAFETY: a place for data (the caller's promise) that is not null (checked).
        unsafe { place.write(empty) };
        // SAFETY: NULL or a bitmap (the caller's promise).
        let nodes = check_flags(mmap_flags, binding_flags).and_then(|()| unsafe { allowed(nodemask) });
        let nodes = match nodes {
            Ok(nodes) => nodes,
            Err(error) => return failed(error),
        };
        let Some(nodeset) = Owned::on_the_heap(nodes) else { return no_memory("initialise an area") };
        nodes::remember(nodeset, nodes);
        // SAFETY: `place` is a place for data: written above, and the caller's for all of the call.
        unsafe { place.write(LinuxData { nodeset, binding_flags, mmap_flags }) };
        if area.ops.is_null() {
            area.ops = &raw const aml01_area_linux_ops;
        }
        SUCCESS
    })
}

/// Frees what [`aml01_area_linux_init`] made. A nodeset that the program put there itself stays the
/// program's.
///
/// # Safety
/// NULL or an area whose data is NULL or was initialised.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml01_area_linux_fini(area: *mut Area<Ops>) {
    catch_panic((), || {
        // SAFETY: NULL or an area (the caller's promise).
        let Some(area) = (unsafe { area.as_ref() }) else { return };
        let place = area.data.cast_mut().cast::<LinuxData>();
        // SAFETY: NULL or such data (the caller's promise).
        let Some(data) = (unsafe { place.as_mut() }) else { return };
        let nodeset = std::mem::replace(&mut data.nodeset, std::ptr::null_mut());
        // That of an area of `create` is a part of the area, and goes with it.
        let apart = nodeset.cast_const().cast::<u8>() != in_the_block::<Ops, LinuxData>(area);
        if !nodeset.is_null() && nodes::forget(nodeset) && apart {
            // SAFETY: it was known, so `Owned::on_the_heap` made it, and nothing uses it again.
            unsafe { Owned::free(nodeset) };
        }
    });
}

/// The data of an area, looked at.
///
/// # Safety
/// NULL or an area's data.
unsafe fn looked_at<'a>(data: *const LinuxData) -> Result<&'a LinuxData> {
    // SAFETY: NULL or data (the caller's promise).
    unsafe { data.as_ref() }
        .ok_or_else(|| Error::new(ErrorKind::InvalidInput, "use a linux area").with_facts("its data is NULL"))
}

/// Reads what an area asks.
///
/// # Safety
/// `data` is NULL or an area's data, whose nodeset is NULL or a bitmask with its words.
unsafe fn asked(data: *const LinuxData) -> Result<Asked> {
    // SAFETY: the nodeset of an area's data is NULL, or a bitmask with its words (the caller).
    let data = unsafe { looked_at(data) }?;
    let policy = policy(data.binding_flags)?;
    // SAFETY: the nodeset of an area's data is NULL, or a bitmask with its words (the caller).
    unsafe { Asked::new(policy, data.nodeset) }
}

/// # Safety
/// NULL or an area's data.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml01_area_linux_mbind(data: *mut LinuxData, start: *mut c_void, size: usize) -> c_int {
    // SAFETY: `data` is NULL, or the data of an area, whose nodeset is NULL or a bitmask with its
    // words (the caller).
    catch_panic(broken(), || bind(unsafe { asked(data) }, start, size))
}

/// # Safety
/// NULL or an area's data.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml01_area_linux_check_binding(
    data: *const LinuxData,
    start: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: `data` is NULL, or the data of an area, whose nodeset is NULL or a bitmask with its
    // words (the caller).
    catch_panic(broken(), || check(unsafe { asked(data) }, start, size))
}

/// What an area's mmap asks of the kernel.
fn wanted(data: &LinuxData, hint: *mut c_void, size: usize) -> Result<range::Mmap> {
    check_mmap_flags(data.mmap_flags)?;
    Ok(range::Mmap { hint: hint.addr(), flags: data.mmap_flags, ..range::Mmap::private(size) })
}

/// Maps, and does not place.
///
/// # Safety
/// NULL or an area's data.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml01_area_linux_mmap(data: *const Data, hint: *mut c_void, size: usize) -> *mut c_void {
    catch_panic(std::ptr::null_mut(), || {
        // SAFETY: with MAP_FIXED the range is the caller's, so that nothing else is mapped over;
        // else the kernel chooses free addresses.
        let data = unsafe { looked_at(data.cast()) };
        let wanted = data.and_then(|data| wanted(data, hint, size));
        // SAFETY: MAP_FIXED is not among the flags that were let through.
        match wanted.and_then(|wanted| unsafe { wanted.map() }) {
            Ok(start) => start.as_ptr().cast(),
            Err(error) => null(failed_for(error, size)),
        }
    })
}

/// Maps and places: what `aml_area_mmap` does with a linux area.
///
/// # Safety
/// NULL or an area's data.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml01_area_linux_mmap_mbind(
    data: *const Data,
    hint: *mut c_void,
    size: usize,
) -> *mut c_void {
    catch_panic(std::ptr::null_mut(), || {
        let data: *const LinuxData = data.cast();
        // SAFETY: `data` is NULL, or the data of an area, whose nodeset is NULL or a bitmask with
        // its words (the caller).
        let asked = unsafe { asked(data) };
        // SAFETY: `data` is NULL, or an area's data (the caller).
        let wanted = unsafe { looked_at(data) }.and_then(|data| wanted(data, hint, size));
        let mapped = asked.and_then(|asked| {
            let wanted = wanted?;
            // SAFETY: MAP_FIXED is not among the flags that were let through.
            unsafe { map_placed(&wanted, &asked) }
        });
        match mapped {
            Ok(start) => start.as_ptr().cast(),
            Err(error) => null(failed_for(error, size)),
        }
    })
}

/// # Safety
/// NULL, or a place that has NULL or an area that was made.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml01_area_linux_destroy(area: *mut *mut Area<Ops>) {
    // SAFETY: `area` is NULL, or a place with NULL or an area that `make` made with these types
    // (the caller).
    catch_panic((), || unsafe { forget::<Ops, LinuxData>(area) });
}

/// # Safety
/// What was mapped, and nothing uses it again.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml01_area_linux_munmap(_data: *const Data, start: *mut c_void, size: usize) -> c_int {
    // SAFETY: `start` and `size` are what was mapped, and nothing uses it again (the caller).
    catch_panic(broken(), || unsafe { unmap(start, size) })
}

/// Maps from an area, if possible at the address that `hint` points to.
///
/// # Safety
/// An area or NULL, NULL or a place that has an address.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml01_area_mmap(
    area: *const Area<Ops>,
    hint: *mut *mut c_void,
    size: usize,
) -> *mut c_void {
    catch_panic(std::ptr::null_mut(), || {
        if size == 0 {
            return std::ptr::null_mut();
        }
        // SAFETY: NULL or a place that has an address (the caller's promise).
        let hint = unsafe { hint.as_ref() }.copied().unwrap_or(std::ptr::null_mut());
        // SAFETY: NULL or an area (the caller's promise).
        match unsafe { operation(area, "map from an area", |ops: &Ops| ops.mmap) } {
            // SAFETY: the area's own operation, with its data (the caller's promise).
            Ok((mmap, data)) => unsafe { mmap(data, hint, size) },
            Err(failure) => null(failure),
        }
    })
}

/// Releases what was mapped. NULL and no bytes are nothing to do.
///
/// # Safety
/// An area or NULL, and what it mapped.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml01_area_munmap(area: *const Area<Ops>, start: *mut c_void, size: usize) -> c_int {
    catch_panic(broken(), || {
        if start.is_null() || size == 0 {
            return SUCCESS;
        }
        // SAFETY: NULL or an area (the caller's promise).
        match unsafe { operation(area, "unmap from an area", |ops: &Ops| ops.munmap) } {
            // SAFETY: the area's own operation, with its data and what it mapped (the caller's
            // promise).
            Ok((munmap, data)) => unsafe { munmap(data, start, size) },
            Err(failure) => failure,
        }
    })
}
