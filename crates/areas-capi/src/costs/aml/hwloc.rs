//! AML's hwloc areas. Sets of hwloc's are NULL here, which is all nodes: they are read by hwloc's
//! own functions, if the program has them.

use std::ffi::{c_int, c_uint, c_void};

use areas::place::Targets;
use areas::range;
use areas::topology::{CpuSet, Topology};
use areas::{Node, NodeSet, Policy};

use super::super::counting::{Row, Sides, functions};
use super::{
    Area, NONE, SIZE, bound_range, by_operation, data_of, done, holds, map_and_place, mapped, unmap,
};

unsafe extern "C" {
    static aml_area_hwloc_interleave: Area;
}

functions! {
    fn aml_area_hwloc_create(out: *mut *mut Area, nodes: *const c_void, policy: c_int) -> c_int;
    fn aml_area_hwloc_destroy(area: *mut *mut Area);
    fn aml_area_hwloc_mmap(data: *const c_void, size: usize, options: *mut c_void) -> *mut c_void;
    fn aml_area_hwloc_munmap(data: *const c_void, start: *mut c_void, size: usize) -> c_int;
    fn aml_area_hwloc_check_binding(area: *const Area, start: *mut c_void, size: usize) -> c_int;
    fn aml_area_hwloc_ranked_create(out: *mut *mut Area, cpus: *const c_void, rank: c_uint) -> c_int;
    fn aml_area_hwloc_preferred_local_create(out: *mut *mut Area, kind: c_uint) -> c_int;
    fn aml_area_hwloc_preferred_destroy(area: *mut *mut Area) -> c_int;
    fn aml_area_hwloc_preferred_mmap(data: *const c_void, size: usize, options: *mut c_void) -> *mut c_void;
    fn aml_area_hwloc_preferred_munmap(data: *const c_void, start: *mut c_void, size: usize) -> c_int;
}

pub(super) const ROWS: &[Row] = &[
    Row::new(&["aml_area_hwloc_create", "aml_area_hwloc_destroy"], create_hwloc),
    Row::new(&["aml_area_hwloc_mmap", "aml_area_hwloc_munmap"], map_hwloc),
    Row::new(&["aml_area_hwloc_check_binding"], check_hwloc),
    Row::new(&["aml_area_hwloc_ranked_create", "aml_area_hwloc_preferred_destroy"], rank),
    Row::new(&["aml_area_hwloc_preferred_local_create", "aml_area_hwloc_preferred_destroy"], rank_locally)
        .dearer(0, 2, "AML ranks from several nodes at once: what is found from each is put into one order"),
    Row::new(&["aml_area_hwloc_preferred_mmap", "aml_area_hwloc_preferred_munmap"], map_in_order),
];

const BIND: c_int = 2;

fn create_hwloc(sides: &mut Sides) {
    let edge = &mut || {
        let mut area = std::ptr::null_mut();
        // SAFETY: a place for a pointer, and all nodes.
        done(unsafe { aml_area_hwloc_create(&raw mut area, NONE, BIND) });
        // SAFETY: just made, and not used again.
        unsafe { aml_area_hwloc_destroy(&raw mut area) };
    };
    sides.count(edge, &mut || {});
}

/// Over all nodes, which are asked for each time.
fn interleaved() -> Policy {
    Policy::Interleave(areas::allowed_nodes().unwrap())
}

fn map_hwloc(sides: &mut Sides) {
    let data = data_of(&raw const aml_area_hwloc_interleave);
    let edge = &mut || by_operation(data, aml_area_hwloc_mmap, aml_area_hwloc_munmap);
    sides.count(edge, &mut || map_and_place(&interleaved().into()));
}

fn check_hwloc(sides: &mut Sides) {
    let area = &raw const aml_area_hwloc_interleave;
    let start = bound_range(interleaved());
    let edge = &mut || {
        // SAFETY: an area of this library's, and what the row mapped.
        assert_eq!(unsafe { aml_area_hwloc_check_binding(area, start.as_ptr().cast(), SIZE) }, 1);
    };
    sides.count(edge, &mut || assert!(holds(start, interleaved())));
}

/// Nodes by distance.
fn ranked() -> *mut Area {
    let mut area = std::ptr::null_mut();
    // SAFETY: a place for a pointer, and all CPUs.
    done(unsafe { aml_area_hwloc_ranked_create(&raw mut area, NONE, 0) });
    area
}

fn destroy_ranked(mut area: *mut Area) {
    // SAFETY: an area of the row's, which is not used again.
    done(unsafe { aml_area_hwloc_preferred_destroy(&raw mut area) });
}

fn rank(sides: &mut Sides) {
    sides.count(&mut || destroy_ranked(ranked()), &mut || {
        let machine = Topology::read().unwrap();
        let question = Targets::of(&machine).within(areas::allowed_nodes().unwrap()).or_distance();
        let nodes: Vec<Node> = question.nearest().unwrap().iter().map(|ranked| ranked.node).collect();
        assert!(!nodes.is_empty());
    });
}

fn rank_locally(sides: &mut Sides) {
    // On one node, as AML wants it.
    let first = CpuSet::of_this_thread().unwrap().iter().next().unwrap() as usize;
    let mut mask = [0_u64; 128];
    mask[first / 64] = 1 << (first % 64);
    // SAFETY: as many bytes as it says, of this thread's own.
    done(unsafe { libc::sched_setaffinity(0, size_of_val(&mask), mask.as_ptr().cast()) });
    let edge = &mut || {
        let mut area = std::ptr::null_mut();
        // SAFETY: a place for a pointer.
        done(unsafe { aml_area_hwloc_preferred_local_create(&raw mut area, 0) });
        destroy_ranked(area);
    };
    sides.count(edge, &mut || {
        let machine = Topology::read().unwrap();
        let cpus = CpuSet::of_this_thread().unwrap();
        let origin: NodeSet = cpus.iter().filter_map(|cpu| machine.node_of_cpu(cpu)).collect();
        let question = Targets::of(&machine).within(areas::allowed_nodes().unwrap()).or_distance();
        let ranked = question.from_node(origin.first().unwrap()).nearest().unwrap();
        let nodes: Vec<Node> = ranked.iter().map(|ranked| ranked.node).collect();
        assert!(!nodes.is_empty());
    });
}

fn map_in_order(sides: &mut Sides) {
    let data = data_of(ranked());
    let nodes: Vec<Node> = areas::allowed_nodes().unwrap().into_iter().collect();
    let edge = &mut || by_operation(data, aml_area_hwloc_preferred_mmap, aml_area_hwloc_preferred_munmap);
    sides.count(edge, &mut || {
        let start = mapped();
        range::place_in_order(start, SIZE, &nodes.clone()).unwrap();
        unmap(start);
    });
}
