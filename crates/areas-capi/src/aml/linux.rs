//! Linux areas: the kernel's memory, placed on NUMA nodes.
//!
//! What AML got wrong is right here: the nodes of a mask are exactly those that are bound, the last
//! one too; a binding is checked page by page; mapping moves nothing, as there is nothing yet; the
//! real cause of a failure is reported; several preferred nodes take one call.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_char, c_int, c_void};
use std::ptr::NonNull;

use areas::{Error, ErrorKind, NodeSet, Result, range};

use super::area::{Area, Data, Ops, Options, prefix};
use super::asked::{Asked, RequestedPolicy, check_allowed};
use super::bitmap::Bitmap;
use super::error::{
    ADDRESSES, SUCCESS, broken, failed, failed_at, failed_for, invalid, no_memory, null, print_line,
};
use super::nodes::{self, Bitmask, Owned, of_bitmap};
use crate::edge::catch_panic;

/// `struct aml_area_linux_data`.
#[derive(Debug)]
#[repr(C)]
struct LinuxData {
    nodeset: *mut Bitmask,
    /// `enum aml_area_linux_policy`; a plain number here, because C can put any into it.
    policy: c_int,
}

/// `struct aml_area_linux_mmap_options`.
#[derive(Debug)]
#[repr(C)]
struct LinuxOptions {
    ptr: *mut c_void,
    flags: c_int,
    mode: c_int,
    fd: c_int,
    offset: libc::off_t,
}

// SAFETY: its pointer is NULL in the one static that there is.
unsafe impl Sync for LinuxData {}

/// The nodes of a mask, all of them allowed; of none, those that are.
///
/// # Safety
/// `nodemask` is NULL or a bitmap.
pub(super) unsafe fn allowed(nodemask: *const Bitmap) -> Result<NodeSet> {
    // SAFETY: NULL or a bitmap (the caller's promise).
    match unsafe { nodemask.as_ref() } {
        None => areas::allowed_nodes(),
        Some(map) => of_bitmap(map).and_then(check_allowed),
    }
}

/// A bound area's data, in one block with the area: what [`make`] makes and [`forget`] frees.
#[derive(Debug)]
#[repr(C)]
struct Block<O, D> {
    area: Area<O>,
    data: D,
    nodeset: Owned,
}

/// Makes an area with that data, given the place of its nodeset.
///
/// # Safety
/// `out` is NULL or a place for a pointer; `nodemask` is NULL or a bitmap. (The operations outlive
/// the area: they are statics.)
pub(super) unsafe fn make<O, D>(
    out: *mut *mut Area<O>,
    nodemask: *const Bitmap,
    ops: *const O,
    data: impl FnOnce(*mut Bitmask) -> Result<D>,
) -> c_int {
    if out.is_null() {
        return invalid("make an area", "the place for it is NULL");
    }
    // SAFETY: a place for a pointer (the caller's promise) that is not null (checked).
    unsafe { out.write(std::ptr::null_mut()) };
    // SAFETY: NULL or a bitmap (the caller's promise).
    let nodes = match unsafe { allowed(nodemask) } {
        Ok(nodes) => nodes,
        Err(error) => return failed(error),
    };
    // SAFETY: asks for memory of that size; what is given is checked.
    let block = unsafe { libc::malloc(size_of::<Block<O, D>>()) }.cast::<Block<O, D>>();
    if block.is_null() {
        return no_memory("make an area");
    }
    // SAFETY: the block is one whole value's memory, so that its fields have places.
    let place = unsafe { &raw mut (*block).nodeset };
    // SAFETY: it may be written, and stays as long as the area does.
    let nodeset = unsafe { Owned::write(place, nodes) };
    match data(nodeset) {
        Ok(data) => {
            // SAFETY: the block is one whole value's memory, so that its fields have places.
            let at = unsafe { &raw mut (*block).data };
            // SAFETY: it may be written: new memory of the right size, which malloc aligned for
            // every basic type.
            unsafe { at.write(data) };
            let area = Area { ops, data: at.cast_const().cast() };
            let made = block.cast::<Area<O>>();
            // SAFETY: the block is one whole value's memory, which nothing else knows of, and the
            // area comes first in it.
            unsafe { made.write(area) };
            // SAFETY: `out` is a place for a pointer: written above, and the caller's for all of
            // the call.
            unsafe { out.write(made) };
            nodes::remember(nodeset, nodes);
            SUCCESS
        }
        Err(error) => {
            // SAFETY: made by malloc above, and nothing else knows of it.
            unsafe { libc::free(block.cast()) };
            failed(error)
        }
    }
}

#[unsafe(no_mangle)]
static aml_area_linux_data_default: LinuxData = LinuxData { nodeset: std::ptr::null_mut(), policy: 0 };

/// A C program may put operations of its own into it: nothing here writes to it, and who uses an
/// area looks at it for that moment only.
#[unsafe(no_mangle)]
static mut aml_area_linux_ops: Ops = Ops {
    mmap: Some(aml_area_linux_mmap_mbind),
    munmap: Some(aml_area_linux_munmap),
    fprintf: Some(aml_area_linux_fprintf),
};

#[unsafe(no_mangle)]
static mut aml_area_linux: Area =
    Area { ops: &raw const aml_area_linux_ops, data: (&raw const aml_area_linux_data_default).cast() };

/// # Safety
/// NULL or a place for a pointer, NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_linux_create(
    out: *mut *mut Area,
    nodemask: *const Bitmap,
    policy: c_int,
) -> c_int {
    catch_panic(broken(), || {
        let data = |nodeset| RequestedPolicy::of(policy).map(|_| LinuxData { nodeset, policy });
        let ops = &raw const aml_area_linux_ops;
        // SAFETY: `out` is NULL or a place for a pointer, `nodemask` NULL or a bitmap (the caller).
        unsafe { make(out, nodemask, ops, data) }
    })
}

/// # Safety
/// NULL, or a place that has NULL or an area that was made.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_linux_destroy(area: *mut *mut Area) {
    // SAFETY: `area` is NULL, or a place with NULL or an area that `make` made with these types
    // (the caller).
    catch_panic((), || unsafe { forget::<Ops, LinuxData>(area) });
}

/// Frees an area of either interface's create, and forgets where it was. What was mapped from it
/// stays.
///
/// # Safety
/// NULL, or a place that has NULL or the beginning of a block of [`make`] with these types.
pub(super) unsafe fn forget<O, D>(area: *mut *mut Area<O>) {
    if area.is_null() {
        return;
    }
    // SAFETY: a place for a pointer (the caller's promise) that is not null (checked).
    let made = unsafe { area.replace(std::ptr::null_mut()) };
    // Before the address can belong to others.
    let _ = nodes::forget(in_the_block::<O, D>(made).cast());
    // SAFETY: NULL or memory of malloc (the caller's promise), which nothing uses again.
    unsafe { libc::free(made.cast()) };
}

/// Where the nodeset of an area of [`make`] is.
pub(super) fn in_the_block<O, D>(made: *const Area<O>) -> *const u8 {
    made.wrapping_byte_add(std::mem::offset_of!(Block<O, D>, nodeset)).cast()
}

/// Reads what an area asks.
///
/// # Safety
/// `data` is NULL or an area's data, whose nodeset is NULL or a bitmask with its words.
unsafe fn asked(data: *const LinuxData) -> Result<Asked> {
    // SAFETY: NULL or data (the caller's promise).
    let Some(data) = (unsafe { data.as_ref() }) else {
        return Err(Error::new(ErrorKind::InvalidInput, "use a linux area").with_facts("its data is NULL"));
    };
    let policy = RequestedPolicy::of(data.policy)?;
    // SAFETY: the nodeset of an area's data is NULL, or a bitmask with its words (the caller).
    unsafe { Asked::new(policy, data.nodeset) }
}

/// Places a range as an area asks, the pages that are there included, or says why not.
pub(super) fn bind(asked: Result<Asked>, start: *mut c_void, size: usize) -> c_int {
    let Some(start) = NonNull::new(start.cast::<u8>()) else {
        return invalid("place a range", "its address is NULL");
    };
    let placed = asked.and_then(|asked| match size > ADDRESSES {
        // For the default policy, the kernel passes over whatever is not mapped, as far as it goes.
        true => Err(Error::new(ErrorKind::OutOfRange, "place a range")),
        false => asked.place_and_move(start, size),
    });
    match placed {
        Ok(()) => SUCCESS,
        Err(error) => failed_at(error, start, size),
    }
}

/// # Safety
/// NULL or an area's data.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_linux_mbind(data: *mut LinuxData, start: *mut c_void, size: usize) -> c_int {
    // SAFETY: `data` is NULL, or the data of an area, whose nodeset is NULL or a bitmask with its
    // words (the caller).
    catch_panic(broken(), || bind(unsafe { asked(data) }, start, size))
}

/// 1 if a range is placed as an area asks, 0 if not, or negative.
pub(super) fn check(asked: Result<Asked>, start: *mut c_void, size: usize) -> c_int {
    let Some(start) = NonNull::new(start.cast::<u8>()) else {
        return invalid("check a binding", "the address is NULL");
    };
    if size == 0 {
        return invalid("check a binding", "there are no bytes to look at");
    }
    // From the beginning of the first page.
    let before = start.addr().get() % areas::PageSize::base().bytes();
    let Some(start) = NonNull::new(start.as_ptr().wrapping_sub(before)) else {
        return invalid("check a binding", "nothing is mapped at the first page");
    };
    match asked.and_then(|asked| asked.holds(start, size.saturating_add(before))) {
        Ok(holds) => c_int::from(holds),
        Err(error) => failed_at(error, start, size),
    }
}

/// # Safety
/// NULL or an area's data.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_linux_check_binding(
    data: *const LinuxData,
    start: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: `data` is NULL, or the data of an area, whose nodeset is NULL or a bitmask with its
    // words (the caller).
    catch_panic(broken(), || check(unsafe { asked(data) }, start, size))
}

/// What a program asks of mmap.
///
/// # Safety
/// NULL or the options of a linux area.
unsafe fn wanted(size: usize, options: *const Options) -> range::Mmap {
    // SAFETY: NULL or such options (the caller's promise).
    match unsafe { options.cast::<LinuxOptions>().as_ref() } {
        None => range::Mmap::private(size),
        Some(&LinuxOptions { ptr, flags, mode, fd, offset }) => {
            range::Mmap { hint: ptr.addr(), len: size, protection: mode, flags, fd, offset }
        }
    }
}

/// Maps, and does not place.
///
/// # Safety
/// NULL or the options of a linux area; with MAP_FIXED, the range is the caller's.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_linux_mmap(
    _data: *const Data,
    size: usize,
    options: *mut Options,
) -> *mut c_void {
    catch_panic(std::ptr::null_mut(), || {
        // SAFETY: `options` is NULL, or the options of a linux area (the caller).
        let wanted = unsafe { wanted(size, options) };
        // SAFETY: with MAP_FIXED the range is the caller's, so that nothing else is mapped over;
        // else the kernel chooses free addresses.
        match unsafe { wanted.map() } {
            Ok(start) => start.as_ptr().cast(),
            Err(error) => null(failed_for(error, size)),
        }
    })
}

/// Maps and places: what `aml_area_mmap` does with a linux area.
///
/// # Safety
/// NULL or an area's data, NULL or the options of a linux area; with MAP_FIXED, the range
/// is the caller's.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_linux_mmap_mbind(
    data: *const Data,
    size: usize,
    options: *mut Options,
) -> *mut c_void {
    catch_panic(std::ptr::null_mut(), || {
        // SAFETY: `data` is NULL, or the data of an area, whose nodeset is NULL or a bitmask with
        // its words (the caller).
        let asked = unsafe { asked(data.cast()) };
        // SAFETY: `options` is NULL, or the options of a linux area (the caller).
        let wanted = unsafe { wanted(size, options) };
        // SAFETY: with MAP_FIXED in the options the range is the caller's (the caller).
        match asked.and_then(|asked| unsafe { map_placed(&wanted, &asked) }) {
            Ok(start) => start.as_ptr().cast(),
            Err(error) => null(failed_for(error, size)),
        }
    })
}

/// Maps and places. Flags that would bring pages in at once wait until it is known from where they
/// are to come.
///
/// # Safety
/// With MAP_FIXED, the range is the caller's.
pub(super) unsafe fn map_placed(wanted: &range::Mmap, asked: &Asked) -> Result<NonNull<u8>> {
    if asked.policy == RequestedPolicy::Default {
        // SAFETY: with MAP_FIXED the range is the caller's, so that nothing else is mapped over;
        // else the kernel chooses free addresses.
        return unsafe { wanted.map() };
    }
    const LATER: c_int = libc::MAP_POPULATE | libc::MAP_LOCKED;
    let first = range::Mmap { flags: wanted.flags & !LATER, ..*wanted };
    // SAFETY: with MAP_FIXED the range is the caller's, so that nothing else is mapped over; else
    // the kernel chooses free addresses.
    let start = unsafe { first.map() }?;
    let done = asked.place(start, wanted.len).and_then(|()| match wanted.flags & LATER {
        0 => Ok(()),
        flags if flags & libc::MAP_LOCKED != 0 => range::lock(start, wanted.len),
        _ => {
            // As mmap does it: pages that cannot be had now are had at the first touch, or not.
            let _ = range::populate(start, wanted.len, wanted.protection & libc::PROT_WRITE != 0);
            Ok(())
        }
    });
    match done {
        Ok(()) => Ok(start),
        Err(error) => {
            // SAFETY: as it was mapped a few lines above.
            unsafe { withdraw(&first, start) };
            Err(error)
        }
    }
}

/// Takes a mapping back that could not be placed. At addresses that the program had before, nothing
/// can be reached any more, and they stay the program's: a hole would be given to whatever
/// maps next, over which the program would map again.
///
/// # Safety
/// `made` was mapped at `start`, and nothing uses it.
unsafe fn withdraw(made: &range::Mmap, start: NonNull<u8>) {
    let had_before = made.flags & libc::MAP_FIXED != 0;
    // Where the kernel refuses, it stays mapped: why it could not be placed is the error to return.
    if had_before {
        let page =
            match (made.flags & libc::MAP_HUGETLB, made.flags.cast_unsigned() >> libc::MAP_HUGE_SHIFT & 63) {
                (0, _) => areas::PageSize::base().bytes(),
                (_, 0) => areas::PageSize::HUGE_2M.bytes(),
                (_, log2) => 1 << log2,
            };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        let len = made.len.next_multiple_of(page);
        let cover = range::Mmap {
            hint: start.addr().get(),
            len,
            protection: libc::PROT_NONE,
            flags,
            fd: -1,
            offset: 0,
        };
        // SAFETY: over what was mapped there, which nothing uses (the caller).
        let _ = unsafe { cover.map() };
    } else {
        // SAFETY: what was mapped there, which nothing uses (the caller).
        let _ = unsafe { range::unmap(start, made.len) };
    }
}

/// # Safety
/// What was mapped, and nothing uses it again.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_linux_munmap(_data: *const Data, start: *mut c_void, size: usize) -> c_int {
    // SAFETY: `start` and `size` are what was mapped, and nothing uses it again (the caller).
    catch_panic(broken(), || unsafe { unmap(start, size) })
}

/// Unmaps.
///
/// # Safety
/// What was mapped, and nothing uses it again.
pub(super) unsafe fn unmap(start: *mut c_void, size: usize) -> c_int {
    let Some(start) = NonNull::new(start.cast::<u8>()) else {
        return invalid("unmap a range", "its address is NULL");
    };
    // SAFETY: it was mapped, and nothing uses it again (the caller).
    match unsafe { range::unmap(start, size) } {
        Ok(()) => SUCCESS,
        Err(error) => failed_at(error, start, size),
    }
}

/// # Safety
/// NULL or an area's data, a stream, NULL or a string.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_linux_fprintf(
    data: *const Data,
    stream: *mut libc::FILE,
    before: *const c_char,
) -> c_int {
    catch_panic(broken(), || {
        // SAFETY: `data` is NULL, or the data of an area, whose nodeset is NULL or a bitmask with
        // its words (the caller).
        let asked = match unsafe { asked(data.cast()) } {
            Ok(asked) => asked,
            Err(error) => return failed(error),
        };
        // SAFETY: `before` is NULL, or a string that stays for the call (the caller).
        let before = unsafe { prefix(before) };
        print_line(stream, before, format_args!("linux area: {asked}"))
    })
}
