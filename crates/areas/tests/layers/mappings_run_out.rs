//! When a process has as many mappings as the kernel lets it: clear errors, nothing half-made,
//! refused mappings come back.

use std::sync::Arc;

use areas::{Address, Mapping, NodeSet, Protection, Provider, Request, Reservation, System};
use areas_testing::sysctl;

use crate::support::{child, in_child, node, page, shown, skipped};

const SYSTEM: System = System::new();

fn limit() -> usize {
    sysctl::number("vm/max_map_count")
}

/// Whether it is worth the time here.
fn affordable(test: &str) -> bool {
    let affordable = limit() <= 300_000;
    if !affordable {
        skipped(test, &format!("vm.max_map_count is {}: too many to use them up", limit()));
    }
    affordable
}

/// Maps every other page of a reservation until the kernel refuses.
fn use_all_up(whole: &Arc<Reservation>) -> Vec<Mapping> {
    let mut mappings = Vec::with_capacity(limit());
    for offset in (page()..whole.span()).step_by(2 * page()) {
        match SYSTEM.map(&Request::new(1).inside(whole, offset)) {
            Ok(mapping) => mappings.push(mapping),
            Err(_) => return mappings,
        }
    }
    panic!("{} mappings were not enough", mappings.len());
}

/// What the child says when all went well.
const DONE: &str = "came to its end";

#[track_caller]
fn in_a_process_of_its_own(test: &str) {
    let output = child(test, "alone");
    let reported = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && reported.contains(DONE), "{output:?}");
}

#[test]
fn a_refused_unmap_gives_the_mapping_back_through_all_layers() {
    const TEST: &str = "mappings_run_out::a_refused_unmap_gives_the_mapping_back_through_all_layers";
    if !affordable(TEST) {
        return;
    }
    if in_child().is_none() {
        return in_a_process_of_its_own(TEST);
    }
    let layers = SYSTEM.limited(1 << 30).or(SYSTEM).placed(areas::Policy::Bind(node().into()));
    let provider: &dyn Provider = &layers;
    let address = Reservation::new(3 * page(), 1).unwrap().address();
    // Three neighbours that are one to the kernel: to unmap the middle one is to make two of it.
    let [first, middle, last] = [0, 1, 2].map(|number| {
        provider.map(&Request::new(1).at(Address::Exactly(address + number * page()))).unwrap()
    });
    let whole = Reservation::new(2 * limit() * page(), 1).unwrap();
    let fillers = use_all_up(&whole);
    let rejected = provider.unmap(middle).unwrap_err();
    assert_eq!(rejected.error.errno(), Some(areas::Errno::NOMEM), "{rejected}");
    let mut middle = rejected.value;
    assert_eq!((middle.as_ptr().addr(), middle.size()), (address + page(), 1));
    // It is as good as before.
    middle.as_bytes_mut().unwrap()[0] = 5;
    assert_eq!(shown(middle.as_ptr().addr()).as_deref(), Some("rw-p"));
    drop(fillers);
    provider.unmap(middle).unwrap();
    assert_eq!(shown(address + page()), None);
    drop((first, last));
    println!("{DONE}");
}

#[test]
fn stripes_that_are_too_many_leave_nothing_mapped() {
    const TEST: &str = "mappings_run_out::stripes_that_are_too_many_leave_nothing_mapped";
    if !affordable(TEST) {
        return;
    }
    if in_child().is_none() {
        return in_a_process_of_its_own(TEST);
    }
    let striped = SYSTEM.striped(NodeSet::single(node()), 1);
    let mut spare: Vec<_> = [Protection::READ, Protection::READ | Protection::EXECUTE, Protection::EXECUTE]
        .map(|protection| SYSTEM.map(&Request::new(1).protection(protection)).unwrap())
        .into();
    let whole = Reservation::new(2 * limit() * page(), 1).unwrap();
    let fillers = use_all_up(&whole);
    // Either the addresses are refused, or, with a mapping to spare, a block; with two to spare,
    // nothing is.
    let mut seen = Vec::new();
    let worked = loop {
        // The allocator maps in between, but no other process maps what may only be written.
        match striped.map(&Request::new(8 * page()).protection(Protection::WRITE)) {
            Ok(mapping) => break shown(mapping.as_ptr().addr()).as_deref() == Some("-w-p"),
            Err(error) => {
                assert_eq!(error.errno(), Some(areas::Errno::NOMEM), "{error}");
                let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
                assert!(!maps.contains(" -w-p "), "{error}");
                seen.push(format!("{error:#}"));
            }
        }
        if spare.pop().is_none() {
            break false;
        }
    };
    assert!(worked, "{seen:?}");
    // A block was refused, and it says what to do.
    assert!(
        seen.iter().any(|text| text.contains("mbind(") && text.contains("use larger blocks")),
        "{seen:?}"
    );
    drop(fillers);
    println!("{DONE}");
}
