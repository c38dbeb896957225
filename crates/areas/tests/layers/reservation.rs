//! Addresses taken in advance: mappings fit exactly, go again, and the range is released in one
//! piece.

use std::sync::Arc;

use areas::{
    ErrorKind, Extent, Mapping, Object, PageSize, Pages, Provider, Request, Reservation, Result, System,
};

use crate::support::{Pool, frees, is_free, one_at_a_time, page, range, shown, shown_all, skipped};

const SYSTEM: System = System::new();

fn map(reservation: &Arc<Reservation>, size: usize, offset: usize) -> Result<Mapping> {
    SYSTEM.map(&Request::new(size).inside(reservation, offset))
}

fn none() -> Option<String> {
    Some("---p".to_owned())
}

#[test]
fn mappings_are_where_they_were_asked_to_be() {
    let whole = Reservation::new(8 * page(), 1).unwrap();
    assert_eq!(whole.span(), 8 * page());
    assert!(whole.address().is_multiple_of(page()));
    for (size, offset) in [(1, 0), (2 * page(), page()), (page(), 7 * page())] {
        let mapping = map(&whole, size, offset).unwrap();
        assert_eq!(mapping.as_ptr().addr(), whole.address() + offset);
        assert_eq!(mapping.size(), size);
        assert_eq!(shown_all(range(&mapping)), [Some("rw-p".to_owned())]);
    }
    let object = Object::create("reserved", 2 * page(), Extent::Fixed, PageSize::base()).unwrap();
    let mapping = SYSTEM.map(&Request::object(&object).inside(&whole, 3 * page())).unwrap();
    assert_eq!(mapping.as_ptr().addr(), whole.address() + 3 * page());
    assert_eq!(shown_all(range(&mapping)), [Some("rw-s".to_owned())]);
    drop(mapping);
    assert_eq!(shown_all(whole.address()..whole.address() + whole.span()), [none()]);
}

#[test]
fn parts_are_given_back_before_the_whole() {
    let whole = Reservation::new(16 * page(), 1).unwrap();
    let start = whole.address();
    let shown =
        |from: usize, to: usize| (from..to).map(|number| shown(start + number * page())).collect::<Vec<_>>();
    let pages = |from: usize, to: usize| from * page()..to * page();
    let mapping = map(&whole, 2 * page(), 6 * page()).unwrap();
    for part in [pages(0, 2), pages(14, 16), pages(5, 7), pages(15, 99)] {
        whole.release(part).unwrap();
    }
    assert_eq!(shown(0, 2), [None, None]);
    assert_eq!(shown(2, 5), [none(), none(), none()]);
    assert_eq!(shown(5, 8), [None, Some("rw-p".to_owned()), Some("rw-p".to_owned())]);
    assert_eq!(shown(13, 16), [none(), None, None]);
    let reserved: Vec<_> = (0..17).filter(|&page_number| whole.still_has(page_number * page())).collect();
    assert_eq!(reserved, [2, 3, 4, 7, 8, 9, 10, 11, 12, 13]);
    assert_eq!([0, 2, 6, 8].map(|offset| whole.room_at(offset * page()) / page()), [0, 3, 0, 6]);
    assert_eq!(map(&whole, page(), 0).unwrap_err().kind(), ErrorKind::AddressInUse);
    assert_eq!(whole.release(1..page()).unwrap_err().kind(), ErrorKind::InvalidInput);
    // What was in use goes with its mapping, and what was not released is reserved again.
    drop(mapping);
    assert_eq!(shown(5, 8), [None, None, none()]);
    let stranger = Reservation::at(start + 5 * page(), 2 * page()).unwrap();
    assert!(!whole.is_released());
    whole.release(pages(0, 16)).unwrap();
    assert!(whole.is_released());
    assert_eq!(shown(4, 8), [None, none(), none(), None], "what is another's stays");
    drop(whole);
    assert_eq!(shown(4, 8), [None, none(), none(), None]);
    drop(stranger);
    assert_eq!(shown(4, 8), [None, None, None, None]);
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let whole = Reservation::new(8 * page(), 1).unwrap();
    let mut first = map(&whole, 2 * page(), 2 * page()).unwrap();
    first.as_bytes_mut().unwrap().fill(7);
    let cases = [
        // Over it, into it from both sides, inside it.
        (2, 2, ErrorKind::AddressInUse),
        (2, 1, ErrorKind::AddressInUse),
        (2, 3, ErrorKind::AddressInUse),
        (1, 3, ErrorKind::AddressInUse),
        (8, 0, ErrorKind::AddressInUse),
        // Over the end, behind the end, far behind it.
        (2, 7, ErrorKind::OutOfRange),
        (1, 8, ErrorKind::OutOfRange),
        (9, 0, ErrorKind::OutOfRange),
        (1, usize::MAX / page(), ErrorKind::OutOfRange),
    ];
    for (pages, offset, kind) in cases {
        let error = map(&whole, pages * page(), offset * page()).unwrap_err();
        assert_eq!(error.kind(), kind, "{pages} pages at {offset}: {error}");
    }
    assert_eq!(map(&whole, 1, 1).unwrap_err().kind(), ErrorKind::InvalidInput);
    let aligned = Request::new(1).inside(&whole, 0).aligned(1 << 30);
    if !whole.address().is_multiple_of(1 << 30) {
        assert_eq!(SYSTEM.map(&aligned).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert!(first.as_bytes().unwrap().iter().all(|&byte| byte == 7));
    // Neighbours fit without a gap.
    let _neighbours = (map(&whole, 2 * page(), 0).unwrap(), map(&whole, 4 * page(), 4 * page()).unwrap());
}

#[test]
fn parts_are_reserved_again_and_come_back_empty() {
    let whole = Reservation::new(4 * page(), 1).unwrap();
    let at = whole.address() + page();
    for round in 0..4 {
        let mut mapping = map(&whole, page(), page()).unwrap();
        assert!(mapping.as_bytes().unwrap().iter().all(|&byte| byte == 0), "round {round}");
        mapping.as_bytes_mut().unwrap().fill(9);
        assert_eq!(shown(at), Some("rw-p".to_owned()));
        if round % 2 == 0 {
            drop(mapping)
        } else {
            mapping.unmap().unwrap()
        }
        assert_eq!(shown(at), none());
    }
}

#[test]
fn the_range_goes_when_the_last_of_them_goes() {
    let _alone = one_at_a_time();
    frees(|| {
        let whole = Reservation::new(4 * page(), 1).unwrap();
        whole.address()..whole.address() + whole.span()
    });
    // A mapping that outlives all handles keeps all of it.
    frees(|| {
        let whole = Reservation::new(4 * page(), 1).unwrap();
        let all = whole.address()..whole.address() + whole.span();
        let (first, second) = (map(&whole, page(), 0).unwrap(), map(&whole, page(), 2 * page()).unwrap());
        drop(whole);
        drop(first);
        assert_eq!(shown_all(all.start..all.start + 2 * page()), [none()]);
        assert!(!is_free(&all));
        assert_eq!(second.as_bytes().unwrap().len(), page());
        second.unmap().unwrap();
        all
    });
}

#[test]
fn at_an_address_of_ones_choice() {
    let _alone = one_at_a_time();
    let free = {
        let found = Reservation::new(4 * page(), 1).unwrap();
        found.address()
    };
    let whole = Reservation::at(free, 4 * page()).unwrap();
    assert_eq!((whole.address(), whole.span()), (free, 4 * page()));
    assert_eq!(Reservation::at(free + page(), page()).unwrap_err().kind(), ErrorKind::AddressInUse);
    for (address, size) in [(free + 1, page()), (free, 0), (free, page() + 1)] {
        assert_eq!(Reservation::at(address, size).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    for (size, align) in [(0, 1), (1, 0), (1, 3), (usize::MAX, 1)] {
        assert_eq!(Reservation::new(size, align).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    let aligned = Reservation::new(1, 1 << 22).unwrap();
    assert!(aligned.address().is_multiple_of(1 << 22));
}

#[test]
fn threads_share_it() {
    const LANES: usize = 6;
    let whole = Reservation::new(LANES * 2 * page(), 1).unwrap();
    // Two pages a lane, more lanes wanted than there are: some come too late, and no two get the
    // same.
    let mapped: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4_u8)
            .map(|thread| {
                let whole = &whole;
                scope.spawn(move || {
                    let mut mapped = 0;
                    for round in 0..400_usize {
                        let lane = (round * 5 + usize::from(thread) * 3) % LANES;
                        match map(whole, 2 * page(), lane * 2 * page()) {
                            Ok(mut mapping) => {
                                let bytes = mapping.as_bytes_mut().unwrap();
                                assert!(bytes.iter().all(|&byte| byte == 0));
                                bytes.fill(thread + 1);
                                std::thread::yield_now();
                                assert!(mapping.as_bytes().unwrap().iter().all(|&byte| byte == thread + 1));
                                mapped += 1;
                            }
                            Err(error) => assert_eq!(error.kind(), ErrorKind::AddressInUse, "{error}"),
                        }
                    }
                    mapped
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert!(mapped >= 400, "{mapped}");
    assert_eq!(shown_all(whole.address()..whole.address() + whole.span()), [none()]);
}

#[test]
fn machine_a_refusal_leaves_no_hole() {
    // The kernel unmaps what is there, and then says no.
    let pool = Pool::alone();
    let Some(size) = pool.more_than_it_has("reservation::machine_a_refusal_leaves_no_hole") else { return };
    let huge = PageSize::HUGE_2M;
    let whole = Reservation::new(size, huge.bytes()).unwrap();
    let all = whole.address()..whole.address() + whole.span();
    let object = Object::create("reserved", size, Extent::Fixed, huge).unwrap();
    for request in [Request::new(size).pages(Pages::Pool(huge)), Request::object(&object)] {
        let error = SYSTEM.map(&request.inside(&whole, 0)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoMemory, "{error}");
        // No other process can have come to be there.
        assert_eq!([shown(all.start), shown(all.end - 1)], [none(), none()]);
        assert!(Reservation::at(all.start, all.len()).is_err());
        // And it can be used: it is the fallback's turn.
        let mapping = map(&whole, size, 0).unwrap();
        assert_eq!(mapping.as_ptr().addr(), all.start);
    }
}

#[test]
fn machine_fallbacks_in_a_reservation_disturb_no_process() {
    const TEST: &str = "reservation::machine_fallbacks_in_a_reservation_disturb_no_process";
    let pool = Pool::alone();
    let Some(size) = pool.more_than_it_has(TEST) else { return };
    if size > 64 << 20 {
        skipped(
            "reservation::machine_fallbacks_in_a_reservation_disturb_no_process",
            "the 2 MiB pool is well filled",
        );
        return;
    }
    let request = Request::new(size).pages(Pages::PreferPool(PageSize::HUGE_2M));
    std::thread::scope(|scope| {
        let falling_back = scope.spawn(|| {
            let guarded = SYSTEM.guarded(1);
            for _ in 0..300 {
                let mapping = guarded.map(&request).unwrap();
                assert_eq!(mapping.fallbacks().len(), 1);
            }
        });
        // Concurrently others map, where the kernel likes: their bytes are theirs.
        while !falling_back.is_finished() {
            let mut mapping = SYSTEM.map(&Request::new(size)).unwrap();
            let bytes = mapping.as_bytes_mut().unwrap();
            let touched = || (0..size).step_by(64 << 10);
            touched().for_each(|at| bytes[at] = 0xa5);
            assert!(touched().all(|at| bytes[at] == 0xa5), "another mapping is over it");
        }
        falling_back.join().unwrap();
    });
}
