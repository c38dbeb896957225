//! Inaccessible pages around: who steps over the edge is ended at once, and all of it is released.

#![expect(unsafe_code, reason = "touches memory just outside of mappings, in processes of their own")]

use std::any::Any;
use std::ops::Range;
use std::os::unix::process::ExitStatusExt;

use areas::{Address, ErrorKind, PageSize, Pages, Policy, Provider, Request, Reservation, System};

use crate::support::{Pool, child, frees, in_child, node, one_at_a_time, page, range, shown, shown_all};

const SYSTEM: System = System::new();

/// Reads one byte.
fn touch(address: usize) -> u8 {
    // SAFETY: a read of plain memory that is mapped, or a fault that ends this process: a child,
    // which is there for that.
    unsafe { std::ptr::with_exposed_provenance::<u8>(address).read_volatile() }
}

/// What the children map (and keep), and where it begins and ends.
fn probe(kind: &str) -> (Box<dyn Any>, Range<usize>) {
    let guarded = SYSTEM.guarded(1);
    let request = Request::new(3 * page());
    let huge = PageSize::HUGE_2M;
    let mapping = match kind {
        "private" => guarded.map(&request),
        "prefer" => guarded.map(&request.pages(Pages::PreferPool(huge))),
        "auto" => guarded.map(&request.pages(Pages::Auto)),
        "pool" => guarded.map(&request.pages(Pages::Pool(huge))),
        "nested" => SYSTEM.placed(Policy::Bind(node().into())).guarded(1).limited(1 << 20).map(&request),
        _ => {
            let area = areas::builder(3 * page()).provider(&guarded).shared().unwrap();
            let start = area.as_ptr().expose_provenance();
            let range = start..start + area.mapped();
            return (Box::new(area), range);
        }
    };
    let mapping = mapping.unwrap();
    mapping.as_ptr().expose_provenance();
    let range = range(&mapping);
    (Box::new(mapping), range)
}

#[test]
fn a_step_over_the_edge_is_a_fault() {
    if let Some(what) = in_child() {
        let (kind, place) = what.split_once(' ').unwrap();
        let (_kept, range) = probe(kind);
        let address = match place {
            "before" => range.start - 1,
            "first" => range.start,
            "last" => range.end - 1,
            _ => range.end,
        };
        println!("touching");
        println!("found {}", touch(address));
        return;
    }
    for kind in ["private", "shared", "prefer", "auto", "nested"] {
        each_edge("guarded::a_step_over_the_edge_is_a_fault", kind);
    }
}

#[test]
fn machine_a_step_over_the_edge_of_huge_pages_is_a_fault() {
    const TEST: &str = "guarded::machine_a_step_over_the_edge_of_huge_pages_is_a_fault";
    if let Some(_pool) = Pool::with(1, TEST) {
        each_edge("guarded::a_step_over_the_edge_is_a_fault", "pool");
    }
}

/// Has children touch the first and the last byte, and those just outside.
#[track_caller]
fn each_edge(test: &str, kind: &str) {
    for (place, signal) in [("before", Some(11)), ("first", None), ("last", None), ("behind", Some(11))] {
        let output = child(test, &format!("{kind} {place}"));
        let reported = String::from_utf8_lossy(&output.stdout);
        assert!(reported.contains("touching"), "{kind} {place}: {output:?}");
        assert_eq!(output.status.signal(), signal, "{kind} {place}: {output:?}");
        assert_eq!(reported.contains("found 0"), signal.is_none(), "{kind} {place}: {output:?}");
    }
}

#[test]
fn the_kernel_shows_the_guards() {
    let _alone = one_at_a_time();
    for pages in [1, 3] {
        let guarded = SYSTEM.guarded(pages);
        let mapping = guarded.map(&Request::new(2 * page())).unwrap();
        let (inside, guard) = (range(&mapping), pages * page());
        let parts = [
            (inside.start - guard..inside.start, "---p"),
            (inside.clone(), "rw-p"),
            (inside.end..inside.end + guard, "---p"),
        ];
        for (part, expected) in parts {
            assert_eq!(shown_all(part), [Some(expected.to_owned())]);
        }
    }
    // No guard is no guard.
    let mapping = SYSTEM.guarded(0).map(&Request::new(page())).unwrap();
    assert_eq!(shown(mapping.as_ptr().addr()), Some("rw-p".to_owned()));
}

#[test]
fn guards_keep_to_the_alignment_that_was_asked_for() {
    let align = PageSize::HUGE_2M.bytes();
    for request in [Request::new(page()).aligned(align), Request::new(page()).pages(Pages::Auto)] {
        let mapping = SYSTEM.guarded(1).map(&request).unwrap();
        assert!(mapping.as_ptr().addr().is_multiple_of(align), "{mapping:?}");
        assert_eq!(shown(mapping.as_ptr().addr() - 1), Some("---p".to_owned()));
        assert_eq!(shown(range(&mapping).end), Some("---p".to_owned()));
    }
}

#[test]
fn all_addresses_are_given_back() {
    let _alone = one_at_a_time();
    let guarded = SYSTEM.guarded(2);
    let around = |mapping: &areas::Mapping| {
        let inside = range(mapping);
        inside.start - 2 * page()..inside.end + 2 * page()
    };
    frees(|| around(&guarded.map(&Request::new(5000)).unwrap()));
    frees(|| {
        let mapping = guarded.map(&Request::new(5000)).unwrap();
        let range = around(&mapping);
        guarded.unmap(mapping).unwrap();
        range
    });
    frees(|| {
        let area = areas::builder(5000).provider(&guarded).shared().unwrap();
        let start = area.as_ptr().addr();
        start - 2 * page()..start + area.mapped() + 2 * page()
    });
    let nested = SYSTEM.placed(Policy::Bind(node().into())).guarded(2).limited(1 << 20);
    frees(|| around(&nested.map(&Request::new(5000)).unwrap()));
    assert_eq!(nested.used(), 0);
}

#[test]
fn what_it_cannot_guard_it_refuses() {
    let reservation = Reservation::new(8 * page(), 1).unwrap();
    let guarded = SYSTEM.guarded(1);
    let request = Request::new(page());
    let cases = [
        (request.clone().inside(&reservation, 0), ErrorKind::Unsupported),
        (request.clone().at(Address::Exactly(1 << 40)), ErrorKind::Unsupported),
        (request.clone().aligned(5000), ErrorKind::InvalidInput),
        (request.clone().resized(0), ErrorKind::InvalidInput),
        (request.clone().resized(usize::MAX), ErrorKind::InvalidInput),
    ];
    for (request, kind) in cases {
        let error = guarded.map(&request).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    let error = SYSTEM.guarded(usize::MAX).map(&request).unwrap_err();
    assert!(error.to_string().contains("more than there are addresses"), "{error}");
}
