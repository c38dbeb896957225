//! AML's "preferred" hwloc areas: nodes in the order of how good they are for some CPUs, filled one
//! after the other. AML asks hwloc for the order; here it is the library's own ([`Targets`]), from
//! what the kernel reports.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_uint, c_void};

use areas::closed::ClosedRankedBy;
use areas::place::{Ranked, Targets};
use areas::topology::{CpuSet, Topology};
use areas::{Error, ErrorKind, Node, NodeSet, Result, range};

use super::area::{Area, Data, Ops, Options, prefix};
use super::error::{SUCCESS, broken, failed, failed_for, invalid, no_memory, null, print_line};
use super::hwloc_sets::{self, Bitmap};
use super::linux::unmap;
use crate::edge::catch_panic;

/// `struct aml_area_hwloc_preferred_data`.
#[derive(Debug)]
#[repr(C)]
struct RankedData {
    num_nodes: c_uint,
    /// One of hwloc's objects for each node: what the header's code fills in, where it has a
    /// topology. Not looked at here.
    numanodes: *mut *mut c_void,
    /// The nodes, best first.
    os_indexes: *mut c_uint,
}

/// An area, with its data behind it, and the two arrays behind that.
#[derive(Debug)]
#[repr(C)]
struct Made {
    area: Area,
    data: RankedData,
}

/// `enum aml_area_hwloc_rank`.
const NEAREST: c_uint = 0;
const BANDWIDTH: c_uint = 1;
const LATENCY: c_uint = 2;
const FREE: c_uint = 3;

/// `HWLOC_DISTANCES_KIND_MEANS_*`.
const MEANS_LATENCY: c_uint = 1 << 2;
const MEANS_BANDWIDTH: c_uint = 1 << 3;

#[unsafe(no_mangle)]
static mut aml_area_hwloc_preferred_ops: Ops = Ops {
    mmap: Some(aml_area_hwloc_preferred_mmap),
    munmap: Some(aml_area_hwloc_preferred_munmap),
    fprintf: Some(fprintf),
};

/// The nodes that CPUs are on; those that are not online are on none.
fn nodes_of(topology: &Topology, cpus: impl IntoIterator<Item = u32>) -> NodeSet {
    cpus.into_iter().filter_map(|cpu| topology.node_of_cpu(cpu)).collect()
}

fn ranking(question: &Targets<'_>, rank: c_uint) -> Result<Vec<Ranked>> {
    match rank {
        NEAREST => question.nearest(),
        BANDWIDTH => question.highest_bandwidth(),
        LATENCY => question.lowest_latency(),
        FREE => question.most_free(),
        other => Err(Error::new(ErrorKind::InvalidInput, format!("rank nodes by {other}"))
            .with_facts("there is no such ranking")
            .with_remedy("take one of AML_AREA_HWLOC_RANK_{DISTANCE,BANDWIDTH,LATENCY,FREE}")),
    }
}

/// Nodes that are allowed, best first, seen from the nodes of `origin`; from no node in particular
/// if that is `None`. From several, each counts by what it is for the one that it is best for.
fn best(topology: &Topology, origin: Option<NodeSet>, rank: c_uint) -> Result<Vec<Node>> {
    let question = Targets::of(topology).within(areas::allowed_nodes()?).or_distance();
    let Some(origin) = origin else {
        return Ok(ranking(&question, rank)?.iter().map(|ranked| ranked.node).collect());
    };
    let mut found: BTreeMap<Node, (bool, Reverse<u64>, u64)> = BTreeMap::new();
    for from in origin {
        for ranked in ranking(&question.from_node(from), rank)? {
            let by_distance = matches!(ClosedRankedBy::from(ranked.source), ClosedRankedBy::Distance);
            // What is more of is better, or less of; never both.
            let (more, less) = match !by_distance && (rank == BANDWIDTH || rank == FREE) {
                true => (ranked.value, 0),
                false => (0, ranked.value),
            };
            let value = (by_distance, Reverse(more), less);
            found.entry(ranked.node).and_modify(|best| *best = value.min(*best)).or_insert(value);
        }
    }
    let mut nodes: Vec<_> = found.into_iter().collect();
    nodes.sort_by_key(|&(node, value)| (value, node));
    Ok(nodes.into_iter().map(|(node, _)| node).collect())
}

/// Makes an area over nodes in that order.
///
/// # Safety
/// `out` is a place for a pointer.
unsafe fn make(out: *mut *mut Area, nodes: Result<Vec<Node>>) -> c_int {
    let nodes = match nodes {
        Ok(nodes) => nodes,
        Err(error) => return failed(error),
    };
    let count = nodes.len();
    let size = size_of::<Made>() + count * (size_of::<*mut c_void>() + size_of::<c_uint>());
    // SAFETY: asks for memory of that size, all of it zero; what is given is checked.
    let made = unsafe { libc::calloc(1, size) }.cast::<Made>();
    if made.is_null() {
        return no_memory("make an hwloc area");
    }
    let numanodes = made.wrapping_add(1).cast::<*mut c_void>();
    let os_indexes = numanodes.wrapping_add(count).cast::<c_uint>();
    for (index, node) in nodes.iter().enumerate() {
        // SAFETY: the block has room for as many numbers behind the objects.
        unsafe { os_indexes.wrapping_add(index).write(node.get()) };
    }
    let data = RankedData { num_nodes: c_uint::try_from(count).unwrap_or(0), numanodes, os_indexes };
    let at = made.wrapping_byte_add(std::mem::offset_of!(Made, data));
    let area = Area { ops: &raw const aml_area_hwloc_preferred_ops, data: at.cast_const().cast() };
    // SAFETY: new memory of the right size, which malloc aligned for every basic type.
    unsafe { made.write(Made { area, data }) };
    // SAFETY: a place for a pointer (the caller's promise); the area comes first.
    unsafe { out.write(made.cast()) };
    SUCCESS
}

/// Begins a call that makes an area: its place has NULL until it is there.
///
/// # Safety
/// NULL or a place for a pointer.
unsafe fn begun(out: *mut *mut Area) -> Result<(), c_int> {
    if out.is_null() {
        return Err(invalid("make an hwloc area", "the place for it is NULL"));
    }
    // SAFETY: a place for a pointer (the caller's promise) that is not null (checked).
    unsafe { out.write(std::ptr::null_mut()) };
    Ok(())
}

/// Nodes as seen from the CPUs of a set, or of the machine as a whole if that is NULL. (AML has it
/// by an object of hwloc's, whose CPUs the header's `aml_area_hwloc_preferred_create` looks up.)
///
/// # Safety
/// NULL or a place for a pointer, NULL or a set of hwloc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_hwloc_ranked_create(
    out: *mut *mut Area,
    cpus: *const Bitmap,
    rank: c_uint,
) -> c_int {
    catch_panic(broken(), || {
        // SAFETY: `out` is NULL or a place for a pointer (the caller).
        if let Err(failure) = unsafe { begun(out) } {
            return failure;
        }
        let nodes = Topology::read().and_then(|topology| {
            if cpus.is_null() {
                return best(&topology, None, rank);
            }
            // SAFETY: a set of hwloc's (the caller's promise; not NULL, checked).
            let origin = nodes_of(&topology, unsafe { hwloc_sets::cpus(cpus) }?);
            if origin.is_empty() {
                return Err(Error::new(ErrorKind::InvalidInput, "rank nodes for the CPUs of a set")
                    .with_facts(format!("none of them is online; CPUs {} are", topology.cpus())));
            }
            best(&topology, Some(origin), rank)
        });
        // SAFETY: a place for a pointer (the caller's promise; not NULL, checked).
        unsafe { make(out, nodes) }
    })
}

/// Nodes as seen from the node that the calling thread is bound to.
///
/// # Safety
/// NULL or a place for a pointer.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_hwloc_preferred_local_create(out: *mut *mut Area, kind: c_uint) -> c_int {
    catch_panic(broken(), || {
        // SAFETY: `out` is NULL or a place for a pointer (the caller).
        if let Err(failure) = unsafe { begun(out) } {
            return failure;
        }
        let rank = match kind {
            _ if kind & MEANS_BANDWIDTH != 0 => BANDWIDTH,
            _ if kind & MEANS_LATENCY != 0 => LATENCY,
            _ => NEAREST,
        };
        let nodes = Topology::read().and_then(|topology| {
            let cpus = CpuSet::of_this_thread()?;
            let origin = nodes_of(&topology, cpus.iter());
            if origin.len() != 1 {
                // AML says so, too: there is no number for it.
                return Err(Error::new(ErrorKind::System, "rank nodes for the calling thread")
                    .with_facts(format!(
                        "it may run on CPUs {cpus}, which are on nodes {origin}, and not on one node"
                    ))
                    .with_remedy(
                        "bind the thread to one node's CPUs, or use aml_area_hwloc_preferred_create",
                    ));
            }
            best(&topology, Some(origin), rank)
        });
        // SAFETY: a place for a pointer (the caller's promise; not NULL, checked).
        unsafe { make(out, nodes) }
    })
}

/// # Safety
/// NULL, or a place that has NULL or an area that was made.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_hwloc_preferred_destroy(area: *mut *mut Area) -> c_int {
    catch_panic(broken(), || {
        if !area.is_null() {
            // SAFETY: a place for a pointer (the caller's promise) that is not null (checked).
            let made = unsafe { area.replace(std::ptr::null_mut()) };
            // SAFETY: NULL or memory of calloc (the caller's promise), which nothing uses again.
            unsafe { libc::free(made.cast()) };
        }
        SUCCESS
    })
}

/// The nodes of an area, best first.
///
/// # Safety
/// NULL or such an area's data.
unsafe fn order(data: *const RankedData) -> Result<Vec<Node>> {
    // SAFETY: NULL or data (the caller's promise).
    let Some(data) = (unsafe { data.as_ref() }) else {
        return Err(
            Error::new(ErrorKind::InvalidInput, "use a preferred hwloc area").with_facts("its data is NULL")
        );
    };
    if data.os_indexes.is_null() {
        return Err(Error::new(ErrorKind::InvalidInput, "use a preferred hwloc area")
            .with_facts("its os_indexes are NULL")
            .with_remedy("aml_area_hwloc_preferred_create fills them in"));
    }
    // SAFETY: as many numbers as it says (the caller's promise).
    let number = |index| Node::new(unsafe { data.os_indexes.wrapping_add(index).read() });
    (0..data.num_nodes as usize).map(number).collect()
}

/// Maps, and fills the nodes one after the other. The options mean nothing, as in AML.
///
/// # Safety
/// NULL or an area's data.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_hwloc_preferred_mmap(
    data: *const Data,
    size: usize,
    _options: *mut Options,
) -> *mut c_void {
    catch_panic(std::ptr::null_mut(), || {
        // SAFETY: `data` is NULL, or the data of an area of these functions (the caller).
        let nodes = unsafe { order(data.cast()) };
        let mapped = nodes.and_then(|nodes| {
            // SAFETY: without MAP_FIXED nothing is replaced.
            let start = unsafe { range::Mmap::private(size).map() }?;
            range::place_in_order(start, size, &nodes).map(|()| start).inspect_err(|_| {
                // Why it cannot be placed is the error to return.
                // SAFETY: mapped above, and nothing uses it.
                let _ = unsafe { range::unmap(start, size) };
            })
        });
        match mapped {
            Ok(start) => start.as_ptr().cast(),
            Err(error) => null(failed_for(error, size)),
        }
    })
}

/// # Safety
/// What was mapped, and nothing uses it again.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_area_hwloc_preferred_munmap(
    _data: *const Data,
    start: *mut c_void,
    size: usize,
) -> c_int {
    // SAFETY: `start` and `size` are what was mapped, and nothing uses it again (the caller).
    catch_panic(broken(), || unsafe { unmap(start, size) })
}

/// # Safety
/// NULL or an area's data, a stream, NULL or a string.
unsafe extern "C" fn fprintf(data: *const Data, stream: *mut libc::FILE, before: *const c_char) -> c_int {
    catch_panic(broken(), || {
        // SAFETY: `data` is NULL, or the data of an area of these functions (the caller).
        let nodes = match unsafe { order(data.cast()) } {
            Ok(nodes) => nodes.iter().map(Node::to_string).collect::<Vec<_>>().join(", "),
            Err(error) => return failed(error),
        };
        // SAFETY: `before` is NULL, or a string that stays for the call (the caller).
        let before = unsafe { prefix(before) };
        print_line(stream, before, format_args!("hwloc area: one after the other, nodes {nodes}"))
    })
}
