//! AML's allocators. They map what they give from an area, and no more: one that gives mappings has
//! a mapping for each, and the others cut what they have.

use std::ffi::{c_int, c_void};

use super::super::counting::{Row, Sides, functions};
use super::{Area, NONE, aml_area_linux, done, map_and_unmap};

/// `struct aml_allocator`.
#[repr(C)]
struct Allocator {
    data: *mut c_void,
    ops: *const c_void,
}

functions! {
    fn aml_allocator_area_create(out: *mut *mut Allocator, area: *const Area, options: *mut c_void) -> c_int;
    fn aml_allocator_area_destroy(allocator: *mut *mut Allocator) -> c_int;
    fn aml_allocator_area_alloc(data: *mut c_void, size: usize) -> *mut c_void;
    fn aml_allocator_area_free(data: *mut c_void, start: *mut c_void) -> c_int;
    fn aml_allocator_buddy_create(out: *mut *mut Allocator, area: *const Area, options: *mut c_void) -> c_int;
    fn aml_allocator_buddy_destroy(allocator: *mut *mut Allocator) -> c_int;
    fn aml_allocator_buddy_alloc(data: *mut c_void, size: usize) -> *mut c_void;
    fn aml_allocator_buddy_free(data: *mut c_void, start: *mut c_void) -> c_int;
    fn aml_allocator_buddy_alloc_chunk(data: *mut c_void, size: usize) -> *mut c_void;
    fn aml_allocator_buddy_free_chunk(data: *mut c_void, chunk: *mut c_void) -> c_int;
    fn aml_allocator_sized_create(
        out: *mut *mut Allocator,
        size: usize,
        area: *const Area,
        options: *mut c_void,
    ) -> c_int;
    fn aml_allocator_sized_destroy(allocator: *mut *mut Allocator) -> c_int;
    fn aml_allocator_sized_alloc(data: *mut c_void, size: usize) -> *mut c_void;
    fn aml_allocator_sized_free(data: *mut c_void, start: *mut c_void) -> c_int;
    fn aml_alloc(allocator: *mut Allocator, size: usize) -> *mut c_void;
    fn aml_free(allocator: *mut Allocator, start: *mut c_void) -> c_int;
    fn aml_allocator_alloc_chunk(allocator: *mut Allocator, size: usize) -> *mut c_void;
    fn aml_allocator_free_chunk(allocator: *mut Allocator, chunk: *mut c_void) -> c_int;
}

const MADE: &str = "the allocator, and its table, which a forked child has to find whole";
const CHUNK: &str = "the chunk, which C reads";

pub(super) const ROWS: &[Row] = &[
    Row::new(&["aml_alloc", "aml_free", "aml_allocator_area_alloc", "aml_allocator_area_free"], area),
    Row::new(&["aml_alloc", "aml_free", "aml_allocator_buddy_alloc", "aml_allocator_buddy_free"], buddy),
    Row::new(&["aml_alloc", "aml_free", "aml_allocator_sized_alloc", "aml_allocator_sized_free"], sized),
    Row::new(&["aml_allocator_alloc_chunk", "aml_allocator_free_chunk"], chunk).dearer(0, 1, CHUNK),
    Row::new(&["aml_allocator_buddy_alloc_chunk", "aml_allocator_buddy_free_chunk"], buddy_chunk)
        .dearer(0, 1, CHUNK),
    Row::new(&["aml_allocator_area_create", "aml_allocator_area_destroy"], make_area).dearer(0, 2, MADE),
    Row::new(&["aml_allocator_buddy_create", "aml_allocator_buddy_destroy"], make_buddy).dearer(0, 2, MADE),
    Row::new(&["aml_allocator_sized_create", "aml_allocator_sized_destroy"], make_sized).dearer(0, 2, MADE),
];

/// What is asked for.
const BYTES: usize = 256;

type Create = unsafe fn(*mut *mut Allocator, *const Area, *mut c_void) -> c_int;
type Destroy = unsafe fn(*mut *mut Allocator) -> c_int;
type Alloc = unsafe fn(*mut c_void, usize) -> *mut c_void;
type Free = unsafe fn(*mut c_void, *mut c_void) -> c_int;

/// One over areas of the kernel.
fn made(create: Create) -> *mut Allocator {
    let mut allocator = std::ptr::null_mut();
    // SAFETY: a place for a pointer, an area of this library's, and no options.
    done(unsafe { create(&raw mut allocator, &raw const aml_area_linux, NONE) });
    allocator
}

/// For blocks of one size.
fn made_sized() -> *mut Allocator {
    let mut allocator = std::ptr::null_mut();
    let area = &raw const aml_area_linux;
    // SAFETY: a place for a pointer, and an area that outlives the allocator.
    done(unsafe { aml_allocator_sized_create(&raw mut allocator, BYTES, area, NONE) });
    allocator
}

fn ended(mut allocator: *mut Allocator, destroy: Destroy) {
    // SAFETY: an allocator of the row's, which is not used again.
    done(unsafe { destroy(&raw mut allocator) });
}

/// Allocates and frees, by the general calls and by the allocator's own.
fn use_it(allocator: *mut Allocator, alloc: Alloc, free: Free) {
    // SAFETY: an allocator of the row's.
    let start = unsafe { aml_alloc(allocator, BYTES) };
    assert!(!start.is_null());
    // SAFETY: what it gave, which is not used again.
    done(unsafe { aml_free(allocator, start) });
    by_data(allocator, alloc, free);
}

fn by_data(allocator: *mut Allocator, alloc: Alloc, free: Free) {
    // SAFETY: an allocator of the row's.
    let data = unsafe { (*allocator).data };
    // SAFETY: its data.
    let start = unsafe { alloc(data, BYTES) };
    assert!(!start.is_null());
    // SAFETY: what it gave, which is not used again.
    done(unsafe { free(data, start) });
}

fn area(sides: &mut Sides) {
    let allocator = made(aml_allocator_area_create);
    let edge = &mut || use_it(allocator, aml_allocator_area_alloc, aml_allocator_area_free);
    sides.count(edge, &mut || (0..2).for_each(|_| map_and_unmap()));
}

fn buddy(sides: &mut Sides) {
    let allocator = made(aml_allocator_buddy_create);
    let edge = &mut || use_it(allocator, aml_allocator_buddy_alloc, aml_allocator_buddy_free);
    sides.count(edge, &mut || {});
}

fn sized(sides: &mut Sides) {
    let allocator = made_sized();
    let edge = &mut || use_it(allocator, aml_allocator_sized_alloc, aml_allocator_sized_free);
    sides.count(edge, &mut || {});
}

fn chunk(sides: &mut Sides) {
    let allocator = made(aml_allocator_buddy_create);
    let edge = &mut || {
        // SAFETY: an allocator of this row's.
        let chunk = unsafe { aml_allocator_alloc_chunk(allocator, BYTES) };
        assert!(!chunk.is_null());
        // SAFETY: what it gave, which is not used again.
        done(unsafe { aml_allocator_free_chunk(allocator, chunk) });
    };
    sides.count(edge, &mut || {});
}

fn buddy_chunk(sides: &mut Sides) {
    let allocator = made(aml_allocator_buddy_create);
    let (alloc, free): (Alloc, Free) = (aml_allocator_buddy_alloc_chunk, aml_allocator_buddy_free_chunk);
    sides.count(&mut || by_data(allocator, alloc, free), &mut || {});
}

fn make_area(sides: &mut Sides) {
    let edge = &mut || ended(made(aml_allocator_area_create), aml_allocator_area_destroy);
    sides.count(edge, &mut || {});
}

fn make_buddy(sides: &mut Sides) {
    let edge = &mut || ended(made(aml_allocator_buddy_create), aml_allocator_buddy_destroy);
    sides.count(edge, &mut || {});
}

fn make_sized(sides: &mut Sides) {
    let edge = &mut || ended(made_sized(), aml_allocator_sized_destroy);
    sides.count(edge, &mut || {});
}
