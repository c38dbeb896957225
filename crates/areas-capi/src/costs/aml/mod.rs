//! AML's calls, of both interfaces. The library maps and places ranges of addresses; what AML has
//! besides (bitmaps, allocators) is held against nothing, and against what it maps.

use std::ffi::{c_char, c_int, c_ulong, c_void};
use std::io::Write;
use std::ptr::NonNull;

use areas::range::{self, Mmap};
use areas::{Placement, Policy};

use super::counting::{Row, Sides, functions};

mod allocators;
mod bitmaps;
mod hwloc;
mod older;

#[repr(C)]
struct Area {
    ops: *const c_void,
    data: *const c_void,
}

unsafe extern "C" {
    static aml_area_linux: Area;
    fn fopen(path: *const c_char, mode: *const c_char) -> *mut c_void;
}

functions! {
    fn aml_area_mmap(area: *const Area, size: usize, options: *mut c_void) -> *mut c_void;
    fn aml_area_munmap(area: *const Area, start: *mut c_void, size: usize) -> c_int;
    fn aml_area_fprintf(stream: *mut c_void, prefix: *const c_char, area: *const Area) -> c_int;
    fn aml_area_linux_create(out: *mut *mut Area, nodes: *const c_void, policy: c_int) -> c_int;
    fn aml_area_linux_destroy(area: *mut *mut Area);
    fn aml_area_linux_mmap(data: *const c_void, size: usize, options: *mut c_void) -> *mut c_void;
    fn aml_area_linux_mmap_mbind(data: *const c_void, size: usize, options: *mut c_void) -> *mut c_void;
    fn aml_area_linux_munmap(data: *const c_void, start: *mut c_void, size: usize) -> c_int;
    fn aml_area_linux_mbind(data: *mut c_void, start: *mut c_void, size: usize) -> c_int;
    fn aml_area_linux_check_binding(data: *const c_void, start: *mut c_void, size: usize) -> c_int;
    fn aml_area_linux_fprintf(data: *const c_void, stream: *mut c_void, prefix: *const c_char) -> c_int;
    safe fn aml_init(count: *mut c_int, arguments: *mut *mut *mut c_char) -> c_int;
    safe fn aml_finalize() -> c_int;
    safe fn aml_errno_location() -> *mut c_int;
    safe fn aml_strerror(code: c_int) -> *const c_char;
    fn aml_perror(message: *const c_char);
    safe fn aml_support_backends(backends: c_ulong) -> c_int;
}

const LINE: &str = "the line is put together";

pub(super) const ROWS: &[&[Row]] =
    &[LINUX, hwloc::ROWS, older::ROWS, OTHERS, allocators::ROWS, bitmaps::ROWS];

const LINUX: &[Row] = &[
    Row::new(&["aml_area_mmap", "aml_area_munmap"], map),
    Row::new(&["aml_area_linux_mmap", "aml_area_linux_munmap"], map_plainly),
    Row::new(&["aml_area_linux_create", "aml_area_linux_destroy"], create),
    Row::new(&["aml_area_linux_mmap_mbind", "aml_area_linux_munmap"], map_bound),
    Row::new(&["aml_area_linux_mbind"], bind),
    Row::new(&["aml_area_linux_check_binding"], check_binding),
    Row::new(&["aml_area_fprintf", "aml_area_linux_fprintf"], print).dearer(0, 2, LINE),
];

const OTHERS: &[Row] = &[
    Row::new(&["aml_init", "aml_finalize", "aml_errno_location", "aml_strerror"], nothing),
    Row::new(&["aml_perror"], print_error).dearer(0, 1, LINE),
    Row::new(&["aml_support_backends"], support),
];

const SIZE: usize = 4096;
const NONE: *mut c_void = std::ptr::null_mut();
const LINUX_BIND: c_int = 1;

/// What a function gives that succeeds.
#[track_caller]
fn done(status: c_int) {
    assert_eq!(status, 0);
}

fn policy() -> Policy {
    Policy::Bind(areas::allowed_nodes().unwrap())
}

/// A range that the library maps.
fn mapped() -> NonNull<u8> {
    // SAFETY: anywhere, so over nothing.
    unsafe { Mmap::private(SIZE).map() }.unwrap()
}

fn unmap(start: NonNull<u8>) {
    // SAFETY: what the row mapped, and does not use again.
    unsafe { range::unmap(start, SIZE) }.unwrap();
}

fn map_and_unmap() {
    unmap(mapped());
}

/// The same, placed where the library says.
fn map_and_place(placement: &Placement) {
    let start = mapped();
    range::place(start, SIZE, placement).unwrap();
    unmap(start);
}

fn map(sides: &mut Sides) {
    let area = &raw const aml_area_linux;
    let edge = &mut || {
        // SAFETY: an area of this library's, and no options.
        let start = unsafe { aml_area_mmap(area, SIZE, NONE) };
        assert!(!start.is_null());
        // SAFETY: what was just mapped, and is not used again.
        done(unsafe { aml_area_munmap(area, start, SIZE) });
    };
    sides.count(edge, &mut map_and_unmap);
}

type Mapper = unsafe fn(*const c_void, usize, *mut c_void) -> *mut c_void;
type Unmapper = unsafe fn(*const c_void, *mut c_void, usize) -> c_int;

/// Maps by an operation, and unmaps.
fn by_operation(data: *const c_void, map: Mapper, unmap: Unmapper) {
    // SAFETY: an area's operation with its data, and no options.
    let start = unsafe { map(data, SIZE, NONE) };
    assert!(!start.is_null());
    // SAFETY: what was just mapped, and is not used again.
    done(unsafe { unmap(data, start, SIZE) });
}

/// The data of one of this library's areas.
fn data_of(area: *const Area) -> *const c_void {
    // SAFETY: an area of this library's (the caller is one of this file's).
    unsafe { (*area).data }
}

fn map_plainly(sides: &mut Sides) {
    let data = data_of(&raw const aml_area_linux);
    let edge = &mut || by_operation(data, aml_area_linux_mmap, aml_area_linux_munmap);
    sides.count(edge, &mut map_and_unmap);
}

/// Bound to all nodes that are allowed.
fn bound() -> *mut Area {
    let mut area = std::ptr::null_mut();
    // SAFETY: a place for a pointer, and all nodes.
    done(unsafe { aml_area_linux_create(&raw mut area, NONE, LINUX_BIND) });
    area
}

fn create(sides: &mut Sides) {
    let edge = &mut || {
        let mut area = bound();
        // SAFETY: just made, and not used again.
        unsafe { aml_area_linux_destroy(&raw mut area) };
    };
    sides.count(edge, &mut || assert!(!areas::allowed_nodes().unwrap().is_empty()));
}

fn map_bound(sides: &mut Sides) {
    let (data, placement) = (data_of(bound()), policy().into());
    let edge = &mut || by_operation(data, aml_area_linux_mmap_mbind, aml_area_linux_munmap);
    sides.count(edge, &mut || map_and_place(&placement));
}

/// Binds a range, by either interface's call.
fn count_binding(sides: &mut Sides, data: *const c_void, bind: Binder) {
    let (start, own, placement) = (mapped(), mapped(), policy().into());
    // SAFETY: an area's data, and what the row mapped.
    let edge = &mut || done(unsafe { bind(data.cast_mut(), start.as_ptr().cast(), SIZE) });
    sides.count(edge, &mut || range::place_and_move(own, SIZE, &placement).unwrap());
}

type Binder = unsafe fn(*mut c_void, *mut c_void, usize) -> c_int;

fn bind(sides: &mut Sides) {
    count_binding(sides, data_of(bound()), aml_area_linux_mbind);
}

/// Holds a range against a policy.
fn holds(start: NonNull<u8>, asked: Policy) -> bool {
    let nodes = asked.nodes().unwrap();
    let policies = range::policies(start, SIZE).unwrap();
    let found = range::residency(start, SIZE).unwrap();
    policies.iter().all(|(_, policy)| *policy == asked) && found.nodes().all(|(node, _)| nodes.contains(node))
}

/// A range that is bound, and there.
fn bound_range(asked: Policy) -> NonNull<u8> {
    let start = mapped();
    range::place(start, SIZE, &asked.into()).unwrap();
    range::populate(start, SIZE, true).unwrap();
    start
}

/// Looks at a range, by either interface's call.
fn count_check(sides: &mut Sides, data: *const c_void, check: Unmapper) {
    let start = bound_range(policy());
    let asked = policy();
    // SAFETY: an area's data, and what the row mapped.
    let edge = &mut || assert_eq!(unsafe { check(data, start.as_ptr().cast(), SIZE) }, 1);
    sides.count(edge, &mut || assert!(holds(start, asked)));
}

fn check_binding(sides: &mut Sides) {
    count_check(sides, data_of(bound()), aml_area_linux_check_binding);
}

/// Nothing is written yet: the stream keeps it.
fn print(sides: &mut Sides) {
    let area = &raw const aml_area_linux;
    // SAFETY: two strings.
    let stream = unsafe { fopen(c"/dev/null".as_ptr(), c"w".as_ptr()) };
    assert!(!stream.is_null());
    let edge = &mut || {
        // SAFETY: a stream, a string, and an area of this library's.
        done(unsafe { aml_area_fprintf(stream, c"# ".as_ptr(), area) });
        // SAFETY: an area's data, a stream, and a string.
        done(unsafe { aml_area_linux_fprintf(data_of(area), stream, c"# ".as_ptr()) });
    };
    sides.count(edge, &mut || {});
}

fn nothing(sides: &mut Sides) {
    let edge = &mut || {
        done(aml_init(std::ptr::null_mut(), std::ptr::null_mut()));
        done(aml_finalize());
        assert!(!aml_errno_location().is_null() && !aml_strerror(3).is_null());
    };
    sides.count(edge, &mut || {});
}

fn print_error(sides: &mut Sides) {
    // What is printed here is not read.
    let nowhere = std::fs::File::options().write(true).open("/dev/null").unwrap();
    nix::unistd::dup2_stderr(nowhere).unwrap();
    // SAFETY: a string.
    sides.count(&mut || unsafe { aml_perror(c"costs".as_ptr()) }, &mut || {
        std::io::stderr().write_all(b"costs: Success\n").unwrap();
    });
}

fn support(sides: &mut Sides) {
    const LIBNUMA: c_ulong = 1 << 1;
    sides.count(&mut || assert_eq!(aml_support_backends(LIBNUMA), 1), &mut || {
        assert!(!areas::allowed_nodes().unwrap().is_empty());
    });
}

#[test]
fn amls_calls_cost_what_the_library_does() {
    super::counting::check(ROWS.iter().copied().flatten());
}
