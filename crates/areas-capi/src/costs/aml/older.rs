//! AML 0.1: what is linked by other names, because its signature differs.

use std::ffi::{c_int, c_void};

use super::super::counting::{Row, Sides, functions};
use super::{
    Area, NONE, SIZE, count_binding, count_check, data_of, done, map_and_place, map_and_unmap, policy,
};

unsafe extern "C" {
    static aml01_area_linux: Area;
}

functions! {
    fn aml01_area_mmap(area: *const Area, hint: *mut *mut c_void, size: usize) -> *mut c_void;
    fn aml01_area_munmap(area: *const Area, start: *mut c_void, size: usize) -> c_int;
    fn aml01_area_linux_create(
        out: *mut *mut Area,
        flags: c_int,
        nodes: *const c_void,
        binding: c_int,
    ) -> c_int;
    fn aml01_area_linux_destroy(area: *mut *mut Area);
    fn aml01_area_linux_init(area: *mut Area, flags: c_int, nodes: *const c_void, binding: c_int) -> c_int;
    fn aml01_area_linux_fini(area: *mut Area);
    fn aml01_area_linux_mmap(data: *const c_void, hint: *mut c_void, size: usize) -> *mut c_void;
    fn aml01_area_linux_mmap_mbind(data: *const c_void, hint: *mut c_void, size: usize) -> *mut c_void;
    fn aml01_area_linux_munmap(data: *const c_void, start: *mut c_void, size: usize) -> c_int;
    fn aml01_area_linux_mbind(data: *mut c_void, start: *mut c_void, size: usize) -> c_int;
    fn aml01_area_linux_check_binding(data: *const c_void, start: *mut c_void, size: usize) -> c_int;
}

pub(super) const ROWS: &[Row] = &[
    Row::new(&["aml01_area_mmap", "aml01_area_munmap"], map_older),
    Row::new(&["aml01_area_linux_mmap", "aml01_area_linux_munmap"], map_older_plainly),
    Row::new(&["aml01_area_linux_create", "aml01_area_linux_destroy"], create_older),
    Row::new(&["aml01_area_linux_init", "aml01_area_linux_fini"], fill_in_older),
    Row::new(&["aml01_area_linux_mmap_mbind", "aml01_area_linux_munmap"], map_older_bound),
    Row::new(&["aml01_area_linux_mbind"], bind_older),
    Row::new(&["aml01_area_linux_check_binding"], check_older),
];

fn map_older(sides: &mut Sides) {
    let area = &raw const aml01_area_linux;
    let edge = &mut || {
        // SAFETY: an area of this library's, and no hint.
        let start = unsafe { aml01_area_mmap(area, std::ptr::null_mut(), SIZE) };
        assert!(!start.is_null());
        // SAFETY: what was just mapped, and is not used again.
        done(unsafe { aml01_area_munmap(area, start, SIZE) });
    };
    sides.count(edge, &mut map_and_unmap);
}

type OlderMapper = unsafe fn(*const c_void, *mut c_void, usize) -> *mut c_void;

fn by_older_operation(data: *const c_void, map: OlderMapper) {
    // SAFETY: an area's operation with its data, and no hint.
    let start = unsafe { map(data, NONE, SIZE) };
    assert!(!start.is_null());
    // SAFETY: what was just mapped, and is not used again.
    done(unsafe { aml01_area_linux_munmap(data, start, SIZE) });
}

fn map_older_plainly(sides: &mut Sides) {
    let data = data_of(&raw const aml01_area_linux);
    sides.count(&mut || by_older_operation(data, aml01_area_linux_mmap), &mut map_and_unmap);
}

const PRIVATE: c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;

fn older_bound() -> *mut Area {
    let mut area = std::ptr::null_mut();
    // SAFETY: a place for a pointer, and all nodes.
    done(unsafe { aml01_area_linux_create(&raw mut area, PRIVATE, NONE, libc::MPOL_BIND) });
    area
}

fn create_older(sides: &mut Sides) {
    let edge = &mut || {
        let mut area = older_bound();
        // SAFETY: just made, and not used again.
        unsafe { aml01_area_linux_destroy(&raw mut area) };
    };
    sides.count(edge, &mut || assert!(!areas::allowed_nodes().unwrap().is_empty()));
}

fn fill_in_older(sides: &mut Sides) {
    // The pointer and the two numbers of its data.
    let mut data = [0_u64; 2];
    let mut area = Area { ops: std::ptr::null(), data: data.as_mut_ptr().cast_const().cast() };
    let edge = &mut || {
        // SAFETY: an area with a place for its data, and all nodes.
        done(unsafe { aml01_area_linux_init(&raw mut area, PRIVATE, NONE, libc::MPOL_BIND) });
        assert!(!area.ops.is_null());
        // SAFETY: just filled in.
        unsafe { aml01_area_linux_fini(&raw mut area) };
    };
    sides.count(edge, &mut || assert!(!areas::allowed_nodes().unwrap().is_empty()));
}

fn map_older_bound(sides: &mut Sides) {
    let (data, placement) = (data_of(older_bound()), policy().into());
    let edge = &mut || by_older_operation(data, aml01_area_linux_mmap_mbind);
    sides.count(edge, &mut || map_and_place(&placement));
}

fn bind_older(sides: &mut Sides) {
    count_binding(sides, data_of(older_bound()), aml01_area_linux_mbind);
}

fn check_older(sides: &mut Sides) {
    count_check(sides, data_of(older_bound()), aml01_area_linux_check_binding);
}
