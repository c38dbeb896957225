//! Where areas may be asked to be: exactly there, at or above, anywhere at random, at their
//! source's address; and which area an address belongs to. Looked up in the kernel's maps.

use areas::{Address, AreaId, ErrorKind, Provider, Request, Reservation, System, Transfer};
use areas_testing::maps;

/// Whether the kernel has a mapping that begins at that address.
fn begins_at(address: usize) -> bool {
    maps::at(address).is_some_and(|vma| vma.start == address)
}

/// A range that is free now: taken, and released.
fn free_range(pages: usize) -> usize {
    Reservation::new(pages * 4096, 1 << 21).unwrap().address()
}

#[test]
fn at_or_above_is_the_first_free_place() {
    let hint = free_range(64);
    let first = areas::builder(4 * 4096).at(Address::AtOrAbove(hint)).private().unwrap();
    assert_eq!(first.as_ptr().addr(), hint);
    assert!(begins_at(hint));
    // The next one comes right behind, and one that asks in the middle of a page at the next page.
    let second = areas::builder(4096).at(Address::AtOrAbove(hint)).private().unwrap();
    assert_eq!(second.as_ptr().addr(), hint + 4 * 4096);
    let third = areas::builder(4096).at(Address::AtOrAbove(hint + 5 * 4096 + 1)).private().unwrap();
    assert_eq!(third.as_ptr().addr(), hint + 6 * 4096);
    // A gap that is too small is passed over, and used by who fits.
    let wide = areas::builder(2 * 4096).at(Address::AtOrAbove(hint)).shared().unwrap();
    assert_eq!(wide.as_ptr().addr(), hint + 7 * 4096);
    let narrow = areas::builder(1).at(Address::AtOrAbove(hint)).shared().unwrap();
    assert_eq!(narrow.as_ptr().addr(), hint + 5 * 4096);
}

#[test]
fn at_or_above_with_nothing_above_is_anywhere() {
    let area = areas::builder(4096).at(Address::AtOrAbove(usize::MAX - 4096)).private().unwrap();
    assert!(area.as_ptr().addr() < 1 << 47);
}

#[test]
fn random_places_differ_and_keep_to_their_bound() {
    let areas: Vec<_> = (0..8).map(|_| areas::builder(4096).at(Address::Random).private().unwrap()).collect();
    let mut addresses: Vec<usize> = areas.iter().map(|area| area.as_ptr().addr()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 8);
    // Neighbours would be the kernel's habit, not chance.
    assert!(addresses.windows(2).all(|pair| pair[1] - pair[0] > 1 << 20));
    let lowest = 0x2000_0000_0000;
    for _ in 0..4 {
        let area = areas::builder(4096).at(Address::RandomAtOrAbove(lowest)).private().unwrap();
        assert!(area.as_ptr().addr() >= lowest);
    }
}

#[test]
fn a_clone_cannot_be_where_its_source_is_in_the_same_process() {
    let name = format!("address-{}", std::process::id());
    let area = areas::builder(4096).name(&name).shared().unwrap();
    area.write_at(0, b"still here").unwrap();
    let source = areas::registry::find(&name).unwrap();
    assert_eq!(source.cloning().same_address().open().unwrap_err().kind(), ErrorKind::AddressInUse);
    let mut bytes = [0; 10];
    area.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"still here");
}

/// What both ways of asking say.
#[track_caller]
fn at(address: usize) -> Option<AreaId> {
    let reported = |result: areas::Result<AreaId>| match result {
        Err(error) if error.kind() == ErrorKind::NoSuchArea => None,
        other => Some(other.unwrap()),
    };
    let id = reported(areas::registry::id_at(address));
    assert_eq!(reported(areas::registry::at(address).map(|source| source.id())), id);
    assert_eq!(reported(areas::registry::id_at(address)), id, "and again");
    id
}

#[test]
fn an_address_leads_to_its_area() {
    let name = format!("for-{}", std::process::id());
    let fixed = areas::builder(3 * 4096 + 1).name(&name).shared().unwrap();
    let growable = areas::builder(4096).growable(8 * 4096).name(&name).shared().unwrap();
    let begin = fixed.as_ptr().addr();
    for (address, area) in [
        (begin, &fixed),
        (begin + 1, &fixed),
        (begin + 4 * 4096 - 1, &fixed),
        (growable.as_ptr().addr(), &growable),
        (growable.as_ptr().addr() + 4095, &growable),
    ] {
        assert_eq!(at(address), area.id());
    }
    // Not its reserve, until it has grown.
    let behind = growable.as_ptr().addr() + 4096;
    assert_eq!(at(behind), None);
    growable.grow(2 * 4096).unwrap();
    assert_eq!(at(behind), growable.id());
    // Nor memory that is no process's area, nor what was dropped.
    assert_eq!((at(1), at(usize::MAX)), (None, None));
    let unnamed = areas::builder(4096).shared().unwrap();
    assert_eq!(at(unnamed.as_ptr().addr()), None);
    drop(fixed);
    assert_eq!(at(begin), None);
}

#[test]
fn the_addresses_of_a_resizable_area_are_those_that_it_has_now() {
    let name = format!("breathing-{}", std::process::id());
    let mut area = areas::builder(4096).name(&name).resizable(8 * 4096).unwrap();
    let mut other = areas::registry::find(&name).unwrap().open_resizable().unwrap();
    let start = area.as_ptr().addr();
    let page = |number: usize| start + number * 4096;
    let (first, second, last, behind) = (page(0), page(1), page(7) + 4095, page(8));
    assert_eq!((at(first), at(second)), (area.id(), None));
    other.resize(8 * 4096).unwrap();
    assert_eq!((at(first), at(second), at(last), at(behind)), (area.id(), area.id(), area.id(), None));
    other.resize(4096).unwrap();
    assert_eq!((at(first + 4095), at(second), at(last)), (area.id(), None, None));
    area.resize(2 * 4096).unwrap();
    assert_eq!((at(second), at(page(2))), (area.id(), None));
    // Handed over within the team it has another id, here or elsewhere.
    let before = area.id();
    let Ok(Transfer::Own(area)) = area.transfer(std::process::id(), Address::Any) else {
        panic!("within the team")
    };
    let now = area.as_ptr().addr();
    assert_ne!(area.id(), before);
    assert_eq!((at(now), at(now + 4096)), (area.id(), area.id()));
    assert!(now == first || at(first).is_none());
    drop(area);
    assert_eq!((at(now), at(first)), (None, None));
}

#[test]
fn threads_that_look_for_addresses_find_what_stays_while_others_come_and_go() {
    let make =
        |i: usize| areas::builder(4096).name(format!("coming-{}-{i}", std::process::id())).shared().unwrap();
    let staying: Vec<_> = (0..300).map(make).collect();
    let expected: Vec<_> = staying.iter().map(|area| (area.as_ptr().addr(), area.id())).collect();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let look = || {
            let mut rounds = 0;
            while rounds == 0 || !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for &(address, id) in &expected {
                    assert_eq!(areas::registry::id_at(address + 4095).ok(), id);
                }
                rounds += 1;
            }
        };
        let lookers = [scope.spawn(look), scope.spawn(look)];
        for round in 0..20 {
            // They come and go between those that stay.
            drop((0..100).map(|i| make(1_000 * (round + 1) + i)).collect::<Vec<_>>());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        lookers.into_iter().for_each(|looker| looker.join().unwrap());
    });
}

#[test]
fn an_inaccessible_area_is_found_by_its_address_too() {
    let name = format!("none-{}", std::process::id());
    let mut area = areas::builder(4096).name(&name).shared().unwrap();
    area.protect(areas::Protection::empty()).unwrap();
    assert_eq!(Some(areas::registry::at(area.as_ptr().addr()).unwrap().id()), area.id());
}

#[test]
fn reserved_addresses_take_exact_areas() {
    let reservation = Reservation::new(64 * 4096, 4096).unwrap();
    let mapping = System::new().map(&Request::new(4096).inside(&reservation, 8 * 4096)).unwrap();
    assert_eq!(mapping.as_ptr().addr(), reservation.address() + 8 * 4096);
    let taken = System::new().map(&Request::new(4096).inside(&reservation, 8 * 4096));
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::AddressInUse);
}

#[test]
fn reservations_are_where_they_were_wanted() {
    let hint = free_range(64);
    let page = 4096;
    let first = Reservation::placed(Address::AtOrAbove(hint), 2 * page).unwrap();
    let second = Reservation::placed(Address::AtOrAbove(hint), page + 1).unwrap();
    assert_eq!((first.address(), second.address(), second.span()), (hint, hint + 2 * page, 2 * page));
    let error = Reservation::placed(Address::Exactly(hint), page).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressInUse);
    let random = Reservation::placed(Address::Random, page).unwrap();
    let other = Reservation::placed(Address::Random, page).unwrap();
    assert!(random.address().abs_diff(other.address()) > 1 << 20);
    let high = Reservation::placed(Address::RandomAtOrAbove(0x2000_0000_0000), page).unwrap();
    assert!(high.address() >= 0x2000_0000_0000);
    assert_eq!(Reservation::placed(Address::Random, 0).unwrap_err().kind(), ErrorKind::InvalidInput);
}
