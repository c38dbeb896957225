//! hwloc's sets of numbers (`hwloc_bitmap_t`), as programs hand them in. What such a set looks like
//! in memory is hwloc's own business, so it is read, copied and freed by hwloc's functions: those
//! that the program has. This library does not need hwloc, and does not load it.
//!
//! The linker fills in where they are: references that may stay empty ("weak" ones), which no
//! program has to satisfy. They are found wherever the program's own calls of hwloc are, in a
//! shared libhwloc as in an archive; a look-up by name at run time would not find those of an
//! archive.

#![expect(
    unsafe_code,
    reason = "calls functions of another library, if they are there; each block has its proof"
)]

use std::ffi::c_int;

use areas::{Error, ErrorKind, Node, NodeSet, Result};

/// `struct hwloc_bitmap_s`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Bitmap {
    _opaque: [u8; 0],
}

/// The least number of a set above one (-1 for the first), or -1.
type Next = unsafe extern "C" fn(*const Bitmap, c_int) -> c_int;
type Dup = unsafe extern "C" fn(*const Bitmap) -> *mut Bitmap;
type Free = unsafe extern "C" fn(*mut Bitmap);

/// hwloc's functions, where the program has them.
#[repr(C)]
struct Functions {
    next: Option<Next>,
    dup: Option<Dup>,
    free: Option<Free>,
}

// As many bytes as an address has on the machines that this library is built for.
const _: () = assert!(size_of::<Functions>() == 24);

std::arch::global_asm!(
    ".weak hwloc_bitmap_next",
    ".weak hwloc_bitmap_dup",
    ".weak hwloc_bitmap_free",
    ".pushsection .data.rel.ro.areas_hwloc_functions, \"aw\"",
    ".balign 8",
    ".globl areas_hwloc_functions",
    ".hidden areas_hwloc_functions",
    "areas_hwloc_functions:",
    ".8byte hwloc_bitmap_next",
    ".8byte hwloc_bitmap_dup",
    ".8byte hwloc_bitmap_free",
    ".popsection",
);

unsafe extern "C" {
    static areas_hwloc_functions: Functions;
}

fn functions() -> &'static Functions {
    // SAFETY: three addresses, above, which the linker has filled in, or left NULL, before anything
    // runs; nothing writes to them.
    unsafe { &areas_hwloc_functions }
}

fn missing(what: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, what)
        .with_facts("it is an hwloc bitmap, and the program has no hwloc_bitmap_next, _dup and _free")
        .with_remedy("link with -lhwloc, behind libareas.a if that is used; or give NULL for all nodes")
}

/// The numbers of a set below `end`, in ascending order, as long as `visit` wants more; whether
/// there are others above them.
///
/// # Safety
/// `set` is one of hwloc's.
unsafe fn each(set: *const Bitmap, end: u32, mut visit: impl FnMut(u32)) -> Result<bool> {
    let next = functions().next.ok_or_else(|| missing("read a set of hwloc's"))?;
    let mut at = -1;
    loop {
        // SAFETY: the function of that name in hwloc, which has that type in all of its versions,
        // and a set (the caller's promise).
        at = unsafe { next(set, at) };
        match u32::try_from(at) {
            Err(_) => return Ok(false),
            Ok(number) if number >= end => return Ok(true),
            Ok(number) => visit(number),
        }
    }
}

/// The nodes of a set; `None` for NULL.
///
/// # Errors
/// [`ErrorKind::NodeNotAllowed`] for a node that no Linux has: one of a set without an end, for
/// instance.
///
/// # Safety
/// `set` is NULL or one of hwloc's.
pub(super) unsafe fn nodes(set: *const Bitmap) -> Result<Option<NodeSet>> {
    if set.is_null() {
        return Ok(None);
    }
    const END: u32 = Node::MAX.get() + 1;
    let mut words = [0_u64; END as usize / 64];
    // SAFETY: a set of hwloc's (the caller's promise; not NULL, checked).
    let more = unsafe { each(set, END, |node| words[node as usize / 64] |= 1 << (node % 64)) }?;
    if more {
        return Err(Error::new(ErrorKind::NodeNotAllowed, "use a set of hwloc's as nodes")
            .with_facts(format!("it has nodes from {END} on, and Linux has none of them"))
            .with_remedy("hwloc_topology_get_allowed_nodeset gives those that may be used"));
    }
    Ok(Some(NodeSet::from_words(words)))
}

/// The CPUs of a set, as far as Linux can have them.
///
/// # Safety
/// `set` is one of hwloc's.
pub(super) unsafe fn cpus(set: *const Bitmap) -> Result<Vec<u32>> {
    const CPUS: u32 = 8192;
    let mut cpus = Vec::new();
    // SAFETY: `set` is one of hwloc's (the caller).
    unsafe { each(set, CPUS, |cpu| cpus.push(cpu)) }?;
    Ok(cpus)
}

/// A copy, which [`free`] frees; NULL of NULL. `None` if hwloc has no memory for it.
///
/// # Safety
/// `set` is NULL or one of hwloc's.
pub(super) unsafe fn copy(set: *const Bitmap) -> Result<Option<*mut Bitmap>> {
    if set.is_null() {
        return Ok(Some(std::ptr::null_mut()));
    }
    let (Some(dup), Some(_)) = (functions().dup, functions().free) else {
        return Err(missing("copy a set of hwloc's"));
    };
    // SAFETY: the function of that name in hwloc, and a set (the caller's promise).
    let copy = unsafe { dup(set) };
    Ok(Some(copy).filter(|copy| !copy.is_null()))
}

/// Frees a copy; NULL is nothing to do.
///
/// # Safety
/// NULL or of [`copy`], and nothing uses it again.
pub(super) unsafe fn free(set: *mut Bitmap) {
    if let Some(free) = functions().free
        && !set.is_null()
    {
        // SAFETY: the function of that name in hwloc, and a set that `hwloc_bitmap_dup` made (the
        // caller's promise).
        unsafe { free(set) };
    }
}
