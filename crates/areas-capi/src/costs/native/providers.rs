//! Providers, and layers over them. A C program has one by a handle, and areas keep what they need
//! of it: two allocations, where a Rust program has a value.

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

use areas::provider::{Fixed, Storage};
use areas::{Mapping, Node, NodeSet, Policy, Provider, Request, System};

use super::super::counting::{Row, Sides, functions};
use super::super::record::Record;
use super::{CONTEXT, NULL, PAGE, SHARED, attributes, create, done, release};

functions! {
    fn areas_provider_placed(inner: *const c_void, placement: *const c_void) -> *mut c_void;
    fn areas_provider_striped(inner: *const c_void, nodes: *const c_void, pages: usize) -> *mut c_void;
    fn areas_provider_spilled(inner: *const c_void, order: *const u32, count: usize) -> *mut c_void;
    fn areas_provider_split(inner: *const c_void, parts: *const c_void, count: usize) -> *mut c_void;
    fn areas_provider_limited(inner: *const c_void, bytes: usize) -> *mut c_void;
    fn areas_provider_counted(inner: *const c_void) -> *mut c_void;
    fn areas_provider_statistics(provider: *const c_void, statistics: *mut c_void) -> c_int;
    fn areas_provider_guarded(inner: *const c_void, pages: usize) -> *mut c_void;
    fn areas_provider_or(first: *const c_void, second: *const c_void) -> *mut c_void;
    fn areas_provider_fixed(
        memory: *mut c_void,
        size: usize,
        done: *const c_void,
        context: *mut c_void,
    ) -> *mut c_void;
    fn areas_provider_file(file: c_int, flags: u32) -> *mut c_void;
    fn areas_provider_custom(operations: *const c_void, context: *mut c_void) -> *mut c_void;
    fn areas_provider_release(provider: *mut c_void);
    fn areas_request_map(
        asked: *const c_void,
        from: *const c_void,
        placement: *const c_void,
    ) -> *mut c_void;
    fn areas_request_size(asked: *const c_void) -> usize;
    fn areas_request_protection(asked: *const c_void) -> u32;
    fn areas_request_shared(asked: *const c_void) -> c_int;
    fn areas_request_placement(asked: *const c_void, placement: *mut c_void) -> c_int;
    fn areas_mapping_address(mapping: *const c_void) -> *mut c_void;
    fn areas_mapping_size(mapping: *const c_void) -> usize;
    fn areas_mapping_unmap(mapping: *mut c_void);
}

const SHARING: &str = "the provider's handle, and what areas share of it";

pub(super) const ROWS: &[Row] = &[
    Row::new(
        &[
            "areas_provider_placed",
            "areas_provider_limited",
            "areas_provider_guarded",
            "areas_provider_or",
            "areas_provider_release",
        ],
        plain,
    )
    .dearer(0, 4 * 2, SHARING),
    Row::new(
        &[
            "areas_provider_striped",
            "areas_provider_spilled",
            "areas_provider_split",
            "areas_provider_release",
        ],
        with_nodes,
    )
    .dearer(0, 3 * 2, SHARING),
    Row::new(&["areas_provider_counted", "areas_provider_release"], counted).dearer(0, 2, SHARING),
    Row::new(&["areas_provider_statistics"], statistics),
    Row::new(&["areas_provider_fixed", "areas_provider_release"], fixed).dearer(
        0,
        4,
        "as above; who is notified of the end, and of no end where it is refused",
    ),
    Row::new(&["areas_provider_file", "areas_provider_release"], file).dearer(0, 2, SHARING),
    Row::new(&["areas_create", "areas_release"], make).handle(),
    Row::new(&["areas_provider_custom", "areas_provider_release"], custom).dearer(
        0,
        3,
        "as above; the table of functions, which each mapping keeps",
    ),
    Row::new(
        &[
            "areas_create",
            "areas_release",
            "areas_request_map",
            "areas_request_size",
            "areas_request_protection",
            "areas_request_shared",
            "areas_request_placement",
            "areas_mapping_address",
            "areas_mapping_size",
            "areas_mapping_unmap",
        ],
        make_by_custom,
    )
    .dearer(0, 3, "the handles of the area and of the two mappings"),
];

/// Lets a provider go that was made.
fn release_provider(provider: *mut c_void) {
    assert!(!provider.is_null());
    // SAFETY: a provider of this row's, which is not used again.
    unsafe { areas_provider_release(provider) };
}

fn on_node_0() -> (Record, Policy) {
    const BIND: u64 = 2;
    let placed = Record::zeroed("areas_placement").set("policy", BIND).node_0("nodes");
    (placed, Policy::Bind("0".parse().unwrap()))
}

fn plain(sides: &mut Sides) {
    let (wanted, policy) = on_node_0();
    let edge = &mut || {
        // SAFETY: the kernel, and a placement.
        release_provider(unsafe { areas_provider_placed(NULL, wanted.as_ptr()) });
        // SAFETY: the kernel.
        release_provider(unsafe { areas_provider_limited(NULL, PAGE) });
        // SAFETY: NULL, which is the kernel.
        release_provider(unsafe { areas_provider_guarded(NULL, 1) });
        // SAFETY: NULL, which is the kernel.
        release_provider(unsafe { areas_provider_or(NULL, NULL) });
    };
    sides.count(edge, &mut || {
        let (placed, limited) = (System::new().placed(policy), System::new().limited(PAGE));
        let (guarded, or) = (System::new().guarded(1), System::new().or(System::new()));
        drop((placed, limited, guarded, or));
    });
}

fn with_nodes(sides: &mut Sides) {
    let node = Node::new(0).unwrap();
    let set: NodeSet = "0".parse().unwrap();
    let nodes = Record::zeroed("areas_nodeset").node_0("words");
    let part = Record::zeroed("areas_part").set("weight", 1);
    let order = [0_u32];
    let edge = &mut || {
        // SAFETY: the kernel, and a set.
        release_provider(unsafe { areas_provider_striped(NULL, nodes.as_ptr(), 1) });
        // SAFETY: the kernel, and one number.
        release_provider(unsafe { areas_provider_spilled(NULL, order.as_ptr(), 1) });
        // SAFETY: the kernel, and one part.
        release_provider(unsafe { areas_provider_split(NULL, part.as_ptr(), 1) });
    };
    sides.count(edge, &mut || {
        let (striped, spilled) = (System::new().striped(set, 1), System::new().spilled(vec![node]));
        drop((striped, spilled, System::new().split(vec![(node, 1)])));
    });
}

fn counted(sides: &mut Sides) {
    // SAFETY: the kernel.
    sides.count(&mut || release_provider(unsafe { areas_provider_counted(NULL) }), &mut || {
        drop(System::new().counted());
    });
}

fn statistics(sides: &mut Sides) {
    // SAFETY: the kernel.
    let provider = unsafe { areas_provider_counted(NULL) };
    let (counted, mut reported) = (System::new().counted(), Record::begun("areas_statistics"));
    // SAFETY: a provider of this row's, and as many bytes as it says.
    let edge = &mut || done(unsafe { areas_provider_statistics(provider, reported.as_mut_ptr()) });
    sides.count(edge, &mut || assert_eq!(counted.statistics().maps, 0));
}

/// Memory for a provider: as long as the process.
fn memory() -> NonNull<u8> {
    // SAFETY: anywhere, so over nothing.
    unsafe { areas::range::Mmap::private(PAGE).map() }.unwrap()
}

fn fixed(sides: &mut Sides) {
    let (given, own) = (memory(), memory());
    let edge = &mut || {
        // SAFETY: memory of this row's, which nothing else uses.
        release_provider(unsafe { areas_provider_fixed(given.as_ptr().cast(), PAGE, NULL, CONTEXT) });
    };
    // SAFETY: memory of this row's, which nothing else uses.
    sides.count(edge, &mut || drop(unsafe { Fixed::from_raw_parts(own, PAGE, ()) }.unwrap()));
}

fn file(sides: &mut Sides) {
    let path = sides.folder().join("file");
    std::fs::write(&path, [1; PAGE]).unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    // SAFETY: an open file.
    let edge = &mut || release_provider(unsafe { areas_provider_file(file.as_raw_fd(), 0) });
    sides.count(edge, &mut || drop(Storage::of_number(file.as_raw_fd()).unwrap()));
}

/// An area over one that was made.
fn make(sides: &mut Sides) {
    // SAFETY: the kernel.
    let provider = unsafe { areas_provider_limited(NULL, 16 * PAGE) };
    let wanted = attributes(SHARED).point("provider", provider);
    let own = System::new().limited(16 * PAGE);
    sides.count(&mut || release(create(&wanted)), &mut || {
        drop(areas::builder(PAGE).provider(&own).shared().unwrap());
    });
}

/// What the provider of this row does: it looks at the request, maps twice, and unmaps one again.
unsafe extern "C" fn map(_: *mut c_void, asked: *const c_void, mapping: *mut *mut c_void) -> c_int {
    let mut placement = [0_u64; 18];
    // SAFETY: the request that this call was given.
    assert_eq!(unsafe { areas_request_size(asked) }, PAGE);
    // SAFETY: the request that this `map` was given, while it runs.
    assert_eq!(unsafe { areas_request_protection(asked) }, 3);
    // SAFETY: the request that this `map` was given, while it runs.
    assert_eq!(unsafe { areas_request_shared(asked) }, 1);
    // SAFETY: the request that this `map` was given, while it runs, and room for a placement.
    assert_eq!(unsafe { areas_request_placement(asked, placement.as_mut_ptr().cast()) }, 0);
    // SAFETY: the request that this `map` was given, while it runs; NULL is the kernel, and its own
    // placement.
    let [first, second] = [(); 2].map(|()| unsafe { areas_request_map(asked, NULL, NULL) });
    // SAFETY: just made.
    assert!(!unsafe { areas_mapping_address(first) }.is_null());
    // SAFETY: made above, and not unmapped yet.
    assert_eq!(unsafe { areas_mapping_size(first) }, PAGE);
    // SAFETY: made above, and not used again.
    unsafe { areas_mapping_unmap(first) };
    // SAFETY: room for a pointer (the caller).
    unsafe { mapping.write(second) };
    0
}

/// The same in Rust.
#[derive(Debug)]
struct Twice;

impl Provider for Twice {
    fn map(&self, request: &Request<'_>) -> areas::Result<Mapping> {
        assert!(request.size() == PAGE && request.placement().is_none());
        drop(System::new().map(request)?);
        System::new().map(request)
    }
}

fn operations() -> Record {
    Record::begun("areas_provider_operations").point("map", map as *const c_void)
}

fn custom(sides: &mut Sides) {
    let table = operations();
    // SAFETY: as many bytes as it says, and a function that is one.
    sides.count(
        &mut || release_provider(unsafe { areas_provider_custom(table.as_ptr(), CONTEXT) }),
        &mut || {},
    );
}

fn make_by_custom(sides: &mut Sides) {
    let table = operations();
    // SAFETY: as many bytes as it says, and a function that is one.
    let provider = unsafe { areas_provider_custom(table.as_ptr(), CONTEXT) };
    let wanted = attributes(SHARED).point("provider", provider);
    sides.count(&mut || release(create(&wanted)), &mut || {
        drop(areas::builder(PAGE).provider(&Twice).shared().unwrap());
    });
}
