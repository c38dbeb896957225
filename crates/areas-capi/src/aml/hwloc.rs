//! AML's hwloc areas: the same memory of the kernel as linux areas, placed by hwloc's policies on
//! the nodes of hwloc's sets. Of a set only the numbers are read (`hwloc_sets.rs`); mapping and
//! placing are the library's own.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_char, c_int, c_void};

use areas::{Error, ErrorKind, Result, range};

use super::area::{Area, Data, Ops, Options, prefix};
use super::asked::{Asked, RequestedPolicy, check_allowed};
use super::error::{SUCCESS, broken, failed, failed_for, invalid, no_memory, null, print_line};
use super::hwloc_sets::{self, Bitmap};
use super::linux::{check, map_placed, unmap};
use super::nodes;
use crate::edge::catch_panic;

/// `struct aml_area_hwloc_data`.
#[derive(Debug)]
#[repr(C)]
struct HwlocData {
    nodeset: *mut Bitmap,
    /// `hwloc_membind_policy_t`; a plain number here, because C can put any into it.
    policy: c_int,
}

// SAFETY: its pointer is NULL in the statics that there are.
unsafe impl Sync for HwlocData {}

/// An area of `create`, with its data behind it.
#[derive(Debug)]
#[repr(C)]
struct Made {
    area: Area,
    data: HwlocData,
}

/// `HWLOC_MEMBIND_*`.
const DEFAULT: c_int = 0;
const FIRST_TOUCH: c_int = 1;
const BIND: c_int = 2;
const INTERLEAVE: c_int = 3;
/// Since hwloc 2.11.
const WEIGHTED_INTERLEAVE: c_int = 5;

/// What a policy of hwloc's asks for.
fn requested(policy: c_int) -> Result<RequestedPolicy> {
    match policy {
        DEFAULT => Ok(RequestedPolicy::Default),
        FIRST_TOUCH => Ok(RequestedPolicy::Local),
        BIND => Ok(RequestedPolicy::Bind),
        INTERLEAVE => Ok(RequestedPolicy::Interleave),
        WEIGHTED_INTERLEAVE => Ok(RequestedPolicy::WeightedInterleave),
        other => Err(Error::new(ErrorKind::Unsupported, format!("use policy {other} of hwloc's"))
            .with_facts("Linux has nothing that does it")
            .with_remedy(
                "take one of HWLOC_MEMBIND_{DEFAULT,FIRSTTOUCH,BIND,INTERLEAVE,WEIGHTED_INTERLEAVE}",
            )),
    }
}

#[unsafe(no_mangle)]
static mut aml_area_hwloc_ops: Ops =
    Ops { mmap: Some(aml_area_hwloc_mmap), munmap: Some(aml_area_hwloc_munmap), fprintf: Some(fprintf) };

/// On all nodes that are allowed when it is used.
const fn everywhere(policy: c_int) -> HwlocData {
    HwlocData { nodeset: std::ptr::null_mut(), policy }
}

static DATA: [HwlocData; 3] = [everywhere(DEFAULT), everywhere(INTERLEAVE), everywhere(FIRST_TOUCH)];

const fn area(data: &'static HwlocData) -> Area {
    Area { ops: &raw const aml_area_hwloc_ops, data: std::ptr::from_ref(data).cast() }
}

#[unsafe(no_mangle)]
static mut aml_area_hwloc_default: Area = area(&DATA[0]);
#[unsafe(no_mangle)]
static mut aml_area_hwloc_interleave: Area = area(&DATA[1]);
#[unsafe(no_mangle)]
static mut aml_area_hwloc_firsttouch: Area = area(&DATA[2]);

/// Reads what an area asks.
///
/// # Safety
/// `data` is NULL or an area's data, whose nodeset is NULL or a set of hwloc's.
unsafe fn asked(data: *const HwlocData) -> Result<Asked> {
    // SAFETY: NULL or data (the caller's promise).
    let Some(data) = (unsafe { data.as_ref() }) else {
        return Err(Error::new(ErrorKind::InvalidInput, "use an hwloc area").with_facts("its data is NULL"));
    };
    let policy = requested(data.policy)?;
    // The default has no nodes, whatever is there.
    let nodes = match policy {
        RequestedPolicy::Default => None,
        // SAFETY: NULL or a set (the caller's promise).
        _ => unsafe { hwloc_sets::nodes(data.nodeset) }?,
    };
    match (policy, nodes) {
        // By the node of the thread that touches a page: of all nodes, or of some, which is what
        // the kernel does of a binding.
        (RequestedPolicy::Local, Some(nodes)) if check_allowed(nodes)? != areas::allowed_nodes()? => {
            Ok(Asked::of(RequestedPolicy::Bind, Some(nodes), true))
        }
        (RequestedPolicy::Local, _) => Ok(Asked::of(RequestedPolicy::Local, None, false)),
        (policy, Some(nodes)) => {
            Ok(Asked::of(policy, Some(nodes), nodes::is_known(data.nodeset.cast(), nodes)))
        }
        (policy, None) => Ok(Asked::of(policy, None, false)),
    }
}

/// # Safety
/// NULL or a place for a pointer, NULL or a set of hwloc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_hwloc_create(
    out: *mut *mut Area,
    nodeset: *const Bitmap,
    policy: c_int,
) -> c_int {
    catch_panic(broken(), || {
        const WHAT: &str = "make an hwloc area";
        if out.is_null() {
            return invalid(WHAT, "the place for it is NULL");
        }
        // SAFETY: a place for a pointer (the caller's promise) that is not null (checked).
        unsafe { out.write(std::ptr::null_mut()) };
        let looked_at = requested(policy).and_then(|_| {
            // SAFETY: NULL or a set (the caller's promise).
            let nodes = unsafe { hwloc_sets::nodes(nodeset) }?;
            nodes.map(check_allowed).transpose()
        });
        // SAFETY: `nodeset` is NULL or one of hwloc's sets (the caller).
        let copied = looked_at.and_then(|nodes| Ok((nodes, unsafe { hwloc_sets::copy(nodeset) }?)));
        let (nodes, copy) = match copied {
            Ok((nodes, Some(copy))) => (nodes, copy),
            Ok((_, None)) => return no_memory(WHAT),
            Err(error) => return failed(error),
        };
        // SAFETY: asks for memory of that size; what is given is checked.
        let made = unsafe { libc::malloc(size_of::<Made>()) }.cast::<Made>();
        if made.is_null() {
            // SAFETY: the copy of above, which nothing else knows of.
            unsafe { hwloc_sets::free(copy) };
            return no_memory(WHAT);
        }
        let data = HwlocData { nodeset: copy, policy };
        let at = made.wrapping_byte_add(std::mem::offset_of!(Made, data));
        let area = Area { ops: &raw const aml_area_hwloc_ops, data: at.cast_const().cast() };
        // SAFETY: new memory of the right size, which malloc aligned for every basic type.
        unsafe { made.write(Made { area, data }) };
        if let Some(nodes) = nodes {
            nodes::remember(copy.cast_const().cast(), nodes);
        }
        // SAFETY: as at the beginning; the area comes first.
        unsafe { out.write(made.cast()) };
        SUCCESS
    })
}

/// # Safety
/// NULL, or a place that has NULL or an area that was made.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_hwloc_destroy(area: *mut *mut Area) {
    catch_panic((), || {
        if area.is_null() {
            return;
        }
        // SAFETY: a place for a pointer (the caller's promise) that is not null (checked).
        let made = unsafe { area.replace(std::ptr::null_mut()) }.cast::<Made>();
        // SAFETY: NULL or an area that was made (the caller's promise).
        let Some(data) = (unsafe { made.as_ref() }).map(|made| &made.data) else { return };
        let nodeset = data.nodeset;
        // Before the address can belong to others.
        let _ = nodes::forget(nodeset.cast_const().cast());
        // SAFETY: the copy that `create` made, and nothing uses it again.
        unsafe { hwloc_sets::free(nodeset) };
        // SAFETY: memory of malloc (the caller's promise), which nothing uses again.
        unsafe { libc::free(made.cast()) };
    });
}

/// Maps and places. The options mean nothing, as in AML.
///
/// # Safety
/// NULL or an area's data.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_hwloc_mmap(
    data: *const Data,
    size: usize,
    _options: *mut Options,
) -> *mut c_void {
    catch_panic(std::ptr::null_mut(), || {
        // SAFETY: `data` is NULL, or the data of an area, whose nodeset is NULL or a bitmask with
        // its words (the caller).
        let asked = unsafe { asked(data.cast()) };
        // SAFETY: without MAP_FIXED nothing is replaced.
        match asked.and_then(|asked| unsafe { map_placed(&range::Mmap::private(size), &asked) }) {
            Ok(start) => start.as_ptr().cast(),
            Err(error) => null(failed_for(error, size)),
        }
    })
}

/// # Safety
/// What was mapped, and nothing uses it again.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_hwloc_munmap(_data: *const Data, start: *mut c_void, size: usize) -> c_int {
    // SAFETY: `start` and `size` are what was mapped, and nothing uses it again (the caller).
    catch_panic(broken(), || unsafe { unmap(start, size) })
}

/// # Safety
/// NULL or an hwloc area.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_hwloc_check_binding(
    area: *const Area,
    start: *mut c_void,
    size: usize,
) -> c_int {
    catch_panic(broken(), || {
        // SAFETY: NULL or an area (the caller's promise).
        match unsafe { area.as_ref() } {
            None => invalid("check a binding", "the area is NULL"),
            // SAFETY: NULL or an hwloc area's data (the caller's promise).
            Some(area) => check(unsafe { asked(area.data.cast()) }, start, size),
        }
    })
}

/// # Safety
/// NULL or an area's data, a stream, NULL or a string.
unsafe extern "C" fn fprintf(data: *const Data, stream: *mut libc::FILE, before: *const c_char) -> c_int {
    catch_panic(broken(), || {
        // SAFETY: `data` is NULL, or the data of an area, whose nodeset is NULL or a bitmask with
        // its words (the caller).
        let asked = match unsafe { asked(data.cast()) } {
            Ok(asked) => asked,
            Err(error) => return failed(error),
        };
        // SAFETY: `before` is NULL, or a string that stays for the call (the caller).
        let before = unsafe { prefix(before) };
        print_line(stream, before, format_args!("hwloc area: {asked}"))
    })
}
