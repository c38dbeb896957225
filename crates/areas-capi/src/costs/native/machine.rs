//! The machine: its nodes, and sets of them.

use std::ffi::{c_char, c_int, c_void};

use areas::place::{Space, Targets};
use areas::topology::Topology;
use areas::{Node, NodeSet};

use super::super::counting::{Row, Sides, functions};
use super::super::record::Record;
use super::{CONTEXT, done};

functions! {
    fn areas_nodes(on_node: On, context: *mut c_void) -> c_int;
    safe fn areas_distance(from: u32, to: u32) -> c_int;
    fn areas_rank(targets: *const c_void, on_ranked: On, context: *mut c_void) -> c_int;
    fn areas_space(targets: *const c_void, nodes: *mut c_void, unknown: *mut c_void) -> c_int;
    fn areas_nodes_parse(words: *const c_char, nodes: *mut c_void) -> c_int;
    fn areas_nodes_format(nodes: *const c_void, to: *mut c_char, room: usize) -> c_int;
    fn areas_nodes_allowed(nodes: *mut c_void) -> c_int;
}

type On = unsafe extern "C" fn(reported: *const c_void, context: *mut c_void) -> c_int;

pub(super) const ROWS: &[Row] = &[
    Row::new(&["areas_nodes"], nodes),
    Row::new(&["areas_distance"], distance),
    Row::new(&["areas_rank"], rank),
    Row::new(&["areas_space"], space),
    Row::new(&["areas_nodes_parse", "areas_nodes_format"], words),
    Row::new(&["areas_nodes_allowed"], allowed),
];

/// Goes on.
unsafe extern "C" fn reported(_told: *const c_void, _context: *mut c_void) -> c_int {
    0
}

fn nodes(sides: &mut Sides) {
    // SAFETY: a callback.
    sides.count(&mut || assert!(unsafe { areas_nodes(reported, CONTEXT) } > 0), &mut || {
        let machine = Topology::read().unwrap();
        assert!(!machine.nodes().is_empty() && !areas::allowed_nodes().unwrap().is_empty());
    });
}

fn distance(sides: &mut Sides) {
    let node = Node::new(0).unwrap();
    sides.count(&mut || assert_eq!(areas_distance(0, 0), 10), &mut || {
        assert_eq!(Topology::read().unwrap().distance(node, node), Some(10));
    });
}

fn rank(sides: &mut Sides) {
    let nearest = Record::begun("areas_targets");
    // SAFETY: as many bytes as it says, and a callback.
    sides.count(&mut || assert!(unsafe { areas_rank(nearest.as_ptr(), reported, CONTEXT) } > 0), &mut || {
        assert!(!Targets::of(&Topology::read().unwrap()).nearest().unwrap().is_empty());
    });
}

fn space(sides: &mut Sides) {
    const ALL_NODES: u64 = 5;
    let wanted = Record::begun("areas_targets").set("by", ALL_NODES);
    let mut set = Record::zeroed("areas_nodeset");
    let edge = &mut || {
        let (wanted, set) = (wanted.as_ptr(), set.as_mut_ptr());
        // SAFETY: as many bytes as it says, a place for a set, and no place for the other one.
        assert!(unsafe { areas_space(wanted, set, CONTEXT) } > 0);
    };
    sides.count(edge, &mut || {
        let machine = Topology::read().unwrap();
        assert!(!Targets::of(&machine).space(Space::All).unwrap().nodes().is_empty());
    });
}

fn words(sides: &mut Sides) {
    let mut set = Record::zeroed("areas_nodeset");
    let mut text = [0; 16];
    let edge = &mut || {
        // SAFETY: a string, and a place for a set.
        done(unsafe { areas_nodes_parse(c"0-3,8".as_ptr(), set.as_mut_ptr()) });
        // SAFETY: a set, and as many bytes.
        assert_eq!(unsafe { areas_nodes_format(set.as_ptr(), text.as_mut_ptr(), text.len()) }, 5);
    };
    sides.count(edge, &mut || {
        let set: NodeSet = "0-3,8".parse().unwrap();
        assert_eq!(set.to_string().len(), 5);
    });
}

fn allowed(sides: &mut Sides) {
    let mut set = Record::zeroed("areas_nodeset");
    // SAFETY: a place for a set.
    sides.count(&mut || done(unsafe { areas_nodes_allowed(set.as_mut_ptr()) }), &mut || {
        assert!(!areas::allowed_nodes().unwrap().is_empty());
    });
}
