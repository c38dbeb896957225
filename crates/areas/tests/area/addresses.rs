//! Where an area is mapped: anywhere, or exactly there or not at all.

use areas::{Address, ErrorKind, PageSize, Pages};
use areas_testing::maps;

use super::page;
use super::support::child::{Stage, test};
use super::support::held::Held;

/// An address at which there was room a moment ago. For processes that a test has to itself.
fn free(len: usize) -> usize {
    areas::builder(len).private().unwrap().as_ptr().addr()
}

#[test]
fn exactly_there() {
    test!("exactly_there").alone(Stage::default(), || {
        let at = free(3 * page());
        let private = areas::builder(5000).at(Address::Exactly(at)).private().unwrap();
        assert_eq!(private.as_ptr().addr(), at);
        drop(private);
        let shared = areas::builder(5000).at(Address::Exactly(at)).shared().unwrap();
        assert_eq!(shared.as_ptr().addr(), at);
        drop(shared);
        let growable = areas::builder(1).growable(3 * page()).at(Address::Exactly(at)).shared().unwrap();
        assert_eq!((growable.as_ptr().addr(), growable.reserve()), (at, 3 * page()));
        String::new()
    });
}

#[test]
fn what_is_there_is_never_touched() {
    test!("what_is_there_is_never_touched").alone(Stage::default(), || {
        let mut there = areas::builder(4 * page()).private().unwrap();
        there.fill(0xee);
        let base = there.as_ptr().addr();
        let held = Held::now();
        // On it, into its middle, across its beginning, across its end.
        for (at, pages) in
            [(base, 4), (base + page(), 1), (base.wrapping_sub(page()), 2), (base + 3 * page(), 5)]
        {
            let builder = areas::builder(pages * page()).at(Address::Exactly(at));
            for error in [builder.private().unwrap_err(), builder.shared().unwrap_err()] {
                assert_eq!(
                    (error.kind(), error.errno().map(|errno| errno.to_string()).as_deref()),
                    (ErrorKind::AddressInUse, Some("EEXIST"))
                );
            }
        }
        held.assert_no_more("refused addresses");
        assert!(there.iter().all(|&byte| byte == 0xee));
        // A reserve is in the way as well as bytes are.
        let growable = areas::builder(1).growable(1 << 20).shared().unwrap();
        let inside = Address::Exactly(growable.as_ptr().addr() + (1 << 19));
        assert_eq!(areas::builder(1).at(inside).private().unwrap_err().kind(), ErrorKind::AddressInUse);
        String::new()
    });
}

#[test]
fn addresses_that_no_process_has() {
    let cases = [
        (1, ErrorKind::InvalidInput),
        (page() + 1, ErrorKind::InvalidInput),
        (usize::MAX, ErrorKind::InvalidInput),
        (usize::MAX - page() + 1, ErrorKind::AddressInUse),
        (1 << 47, ErrorKind::AddressInUse),
        ((1 << 47) - page(), ErrorKind::AddressInUse),
    ];
    for (at, kind) in cases {
        let builder = areas::builder(2 * page()).at(Address::Exactly(at));
        assert_eq!(builder.private().unwrap_err().kind(), kind, "{at:#x}");
        assert_eq!(builder.shared().unwrap_err().kind(), kind, "{at:#x}");
    }
}

#[test]
fn address_0_and_its_neighbours_are_an_error_for_all_users() {
    // Below vm.mmap_min_addr only root may map, and at 0 no process can hold a pointer that is not
    // null.
    test!("address_0_and_its_neighbours_are_an_error_for_all_users").alone(Stage::ordinary(), || {
        let error = areas::builder(1).at(Address::Exactly(0)).private().unwrap_err();
        assert!(
            matches!(
                error.kind(),
                ErrorKind::NotPermitted | ErrorKind::AddressInUse | ErrorKind::InvalidInput
            ),
            "{error:?}"
        );
        String::new()
    });
    let error = areas::builder(1).at(Address::Exactly(0)).private().unwrap_err();
    assert_ne!(error.kind(), ErrorKind::System, "{error:?}");
    let left = maps::own().iter().any(|vma| vma.start == 0);
    assert!(!left, "a mapping at 0 was left behind");
}

#[test]
fn a_huge_page_needs_a_huge_alignment() {
    let at = Address::Exactly((1 << 21) + page());
    let error = areas::builder(1).pages(Pages::Pool(PageSize::HUGE_2M)).at(at).private().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("2 MiB"), "{error}");
}
