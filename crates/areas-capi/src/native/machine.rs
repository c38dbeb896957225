//! The machine: its nodes.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_void};

use areas::topology::Topology;

use super::errors::{invalid, number};
use super::nodes::node;

/// A node of this machine.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct MachineNode {
    /// sizeof(areas_node).
    pub size_of_this: usize,
    /// Its number.
    pub node: u32,
    /// Whether this process may take memory from it: 1 or 0.
    pub allowed: u32,
    /// Whether it has CPUs: 1 or 0.
    pub has_cpus: u32,
    /// 0.
    pub reserved: u32,
    /// Bytes of memory; 0 where the kernel does not tell.
    pub total: u64,
    /// Bytes that nobody uses; 0 where the kernel does not tell.
    pub free: u64,
    /// Bytes that a new area can still get without swapping, about; 0 where the kernel does not tell.
    pub available: u64,
}

/// Is told of a node, in order. Whatever it returns but 0 ends the walk.
pub type OnNode = Option<unsafe extern "C" fn(node: *const MachineNode, context: *mut c_void) -> c_int>;

/// Tells the nodes of this machine. How many were told.
///
/// AREAS_ERROR_INVALID_INPUT if the function is NULL, AREAS_ERROR_IO where sysfs cannot be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn areas_nodes(on_node: OnNode, context: *mut c_void) -> c_int {
    number(|| {
        let Some(tell) = on_node else {
            return Err(invalid("tell the machine's nodes", "the function to tell is NULL"));
        };
        let machine = Topology::read()?;
        let allowed = areas::allowed_nodes()?;
        let mut told = 0;
        for info in machine.nodes() {
            let memory = info.memory.unwrap_or_default();
            let described = MachineNode {
                size_of_this: size_of::<MachineNode>(),
                node: info.node.get(),
                allowed: u32::from(allowed.contains(info.node)),
                has_cpus: u32::from(info.has_cpus()),
                reserved: 0,
                total: memory.total.unwrap_or(0),
                free: memory.free.unwrap_or(0),
                available: memory.available().unwrap_or(0),
            };
            told += 1;
            // SAFETY: C's own function, with its context, and a structure that lives as long as the call.
            if unsafe { tell(&raw const described, context) } != 0 {
                break;
            }
        }
        Ok(told)
    })
}

/// How far it is from one node to another, 10 being a node itself (SLIT).
///
/// AREAS_ERROR_NODE_NOT_ALLOWED if the machine does not have both, or does not tell.
#[unsafe(no_mangle)]
pub extern "C" fn areas_distance(from: u32, to: u32) -> c_int {
    number(|| {
        let (from, to) = (node(from)?, node(to)?);
        let distance = Topology::read()?.distance(from, to);
        distance.and_then(|distance| c_int::try_from(distance).ok()).ok_or_else(|| {
            areas::Error::new(
                areas::Kind::NodeNotAllowed,
                format!("tell the distance from node {from} to node {to}"),
            )
            .detail("the machine does not have both, or does not tell")
        })
    })
}
