//! Where areas may be asked to be: exactly there, at or above, anywhere at random, at their source's address; and which area an
//! address belongs to. Looked up in the kernel's maps.

use areas::{Address, Kind, Provider, Request, Reservation, System};

/// Whether the kernel has a mapping that begins at that address.
fn begins_at(address: usize) -> bool {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().any(|line| line.starts_with(&format!("{address:x}-")))
}

/// A range that is free now: taken, and given back.
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
    assert_eq!(source.cloning().same_address().open().unwrap_err().kind(), Kind::AddressInUse);
    let mut bytes = [0; 10];
    area.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"still here");
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
        assert_eq!(Some(areas::registry::at(address).unwrap().id()), area.id());
    }
    // Not its reserve, until it has grown.
    let behind = growable.as_ptr().addr() + 4096;
    assert_eq!(areas::registry::at(behind).unwrap_err().kind(), Kind::NoSuchArea);
    growable.grow(2 * 4096).unwrap();
    assert_eq!(Some(areas::registry::at(behind).unwrap().id()), growable.id());
    // Nor memory that is nobody's area, nor what was dropped.
    assert!(areas::registry::at(1).is_err() && areas::registry::at(usize::MAX).is_err());
    let unnamed = areas::builder(4096).shared().unwrap();
    assert!(areas::registry::at(unnamed.as_ptr().addr()).is_err());
    drop(fixed);
    assert!(areas::registry::at(begin).is_err());
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
    assert_eq!(taken.unwrap_err().kind(), Kind::AddressInUse);
}
