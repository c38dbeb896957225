//! An allocator as Haiku's servers have one: it lives on addresses that it reserved, areas at exact
//! places in them, growth in place, and the question which area an address belongs to. It
//! distinguishes "no memory", which is final, from "these addresses are taken", which means to try
//! elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use areas::{Address, Area, ErrorKind, Reservation, Resizable, Result, registry};
use areas_testing::maps;

const PAGE: usize = 4096;
/// What one heap may take at most, and what the reservation has.
const ROOM: usize = 1 << 20;
const HEAPS: usize = 8;

/// Heaps in a reservation; each grows in place until it meets the next.
struct Heaps {
    room: Arc<Reservation>,
    areas: BTreeMap<usize, Area<Resizable>>,
}

impl Heaps {
    fn new() -> Self {
        Heaps { room: Reservation::new(HEAPS * ROOM, PAGE).unwrap(), areas: BTreeMap::new() }
    }

    /// A heap of one page at an exact place.
    fn open(&mut self, offset: usize) -> Result<usize> {
        let name = format!("heap-{}-{offset}", std::process::id());
        let area = areas::builder(PAGE).name(name).inside(&self.room, offset).resizable(PAGE)?;
        let address = area.as_ptr().addr();
        assert_eq!(address, self.room.address() + offset);
        self.areas.insert(address, area);
        Ok(address)
    }

    /// The heap that an address belongs to.
    fn of(&mut self, address: usize) -> Option<&mut Area<Resizable>> {
        let found = registry::at(address).ok()?;
        self.areas.values_mut().find(|area| area.id() == Some(found.id()))
    }
}

/// The protection that the kernel shows for an address: `---p` for what is only reserved.
fn shown(address: usize) -> Option<String> {
    maps::at(address).map(|vma| vma.permissions)
}

#[test]
fn heaps_grow_in_place_in_reserved_addresses() {
    let mut heaps = Heaps::new();
    let first = heaps.open(0).unwrap();
    let second = heaps.open(ROOM).unwrap();
    assert_eq!(shown(first + PAGE).unwrap(), "---p");
    // Far beyond what it was created for, into what is reserved behind it.
    for pages in [2, 17, 100, 256] {
        let heap = heaps.of(first).unwrap();
        heap.resize(pages * PAGE).unwrap();
        heap.write_at(pages * PAGE - 5, b"bytes").unwrap();
        assert_eq!((heap.as_ptr().addr(), heap.size()), (first, pages * PAGE));
        let last = first + pages * PAGE - 1;
        assert_eq!(shown(last).unwrap(), "rw-s");
        assert_eq!(heaps.of(last).unwrap().as_ptr().addr(), first, "every byte leads to its heap");
    }
    // The next heap is in the way: try elsewhere. Nothing has changed.
    let error = heaps.of(first).unwrap().resize(ROOM + PAGE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressInUse, "{error}");
    assert_eq!(heaps.of(first).unwrap().size(), ROOM);
    assert_eq!(heaps.of(second).unwrap().size(), PAGE);
    // No memory is another error, and final.
    let error = heaps.of(second).unwrap().resize(1 << 50).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoMemory, "{error}");
    // At a place that is taken, or beyond the end, no heap is opened.
    assert_eq!(heaps.open(PAGE).unwrap_err().kind(), ErrorKind::AddressInUse);
    assert_eq!(heaps.open(HEAPS * ROOM).unwrap_err().kind(), ErrorKind::OutOfRange);
    // The last one meets the end of the reservation.
    let last = heaps.open((HEAPS - 1) * ROOM).unwrap();
    heaps.of(last).unwrap().resize(ROOM).unwrap();
    let error = heaps.of(last).unwrap().resize(ROOM + PAGE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressInUse, "{error}");
    assert!(error.to_string().contains("reservation ends"), "{error}");
}

#[test]
fn what_a_heap_gives_back_is_reserved_again() {
    let mut heaps = Heaps::new();
    let first = heaps.open(0).unwrap();
    heaps.of(first).unwrap().resize(ROOM).unwrap();
    heaps.of(first).unwrap().write_at(0, &[7; ROOM]).unwrap();
    // All of its addresses, those that it grew into too: no other process can come to be there.
    heaps.areas.remove(&first);
    for offset in [0, PAGE, ROOM - 1] {
        assert_eq!(shown(first + offset).unwrap(), "---p");
        assert!(registry::at(first + offset).is_err());
    }
    // And the next heap has them all.
    let again = heaps.open(PAGE).unwrap();
    heaps.of(again).unwrap().resize(2 * ROOM).unwrap();
    let mut bytes = vec![1; 2 * ROOM];
    heaps.of(again).unwrap().read_at(0, &mut bytes).unwrap();
    assert!(bytes.iter().all(|&byte| byte == 0));
}

#[test]
fn growth_that_is_refused_leaves_the_reservation_as_it_was() {
    let mut heaps = Heaps::new();
    let first = heaps.open(0).unwrap();
    let name = format!("heap-{}-0", std::process::id());
    // A published clone without a reserve: it has no addresses to grow into.
    let clone = registry::find(&name).unwrap().cloning().name("heap's clone").open_resizable().unwrap();
    assert_eq!(heaps.of(first).unwrap().resize(4 * PAGE).unwrap_err().kind(), ErrorKind::AddressInUse);
    assert_eq!(shown(first + PAGE).unwrap(), "---p");
    heaps.open(PAGE).expect("the addresses behind are free still");
    drop(clone);
}

#[test]
fn a_clone_takes_its_place_in_a_reservation() {
    let room = Reservation::new(16 * PAGE, PAGE).unwrap();
    let name = format!("view-{}", std::process::id());
    let area = areas::builder(2 * PAGE).name(&name).growable(8 * PAGE).shared().unwrap();
    area.write_at(0, b"same").unwrap();
    let source = registry::find(&name).unwrap();
    let view = source.cloning().inside(&room, 4 * PAGE).open().unwrap();
    assert_eq!(view.as_ptr().addr(), room.address() + 4 * PAGE);
    for (offset, kind) in
        [(5, ErrorKind::AddressInUse), (0, ErrorKind::AddressInUse), (9, ErrorKind::OutOfRange)]
    {
        let refused = source.cloning().inside(&room, offset * PAGE).open().unwrap_err();
        assert_eq!(refused.kind(), kind, "{refused}");
    }
    area.grow(8 * PAGE).unwrap();
    area.write_at(8 * PAGE - 4, b"last").unwrap();
    let mut bytes = [0; 4];
    view.read_at(8 * PAGE - 4, &mut bytes).unwrap();
    assert_eq!(&bytes, b"last");
    let address = view.as_ptr().addr();
    drop(view);
    assert_eq!(shown(address).unwrap(), "---p");
}

#[test]
fn an_area_between_guard_pages_does_not_grow_over_them() {
    use areas::Provider;
    let guarded = areas::System::new().guarded(1);
    let mut area = areas::builder(PAGE).provider(&guarded).resizable(PAGE).unwrap();
    assert_eq!(area.resize(2 * PAGE).unwrap_err().kind(), ErrorKind::AddressInUse);
    assert_eq!(shown(area.as_ptr().addr() + PAGE).unwrap(), "---p");
    assert_eq!(area.size(), PAGE);
}

#[test]
fn past_the_end_of_a_reservation_and_over_others() {
    let place = Reservation::placed(Address::Random, 64 * PAGE).unwrap();
    let start = place.address();
    drop(place);
    let at = |page: usize, pages: usize| Reservation::at(start + page * PAGE, pages * PAGE).unwrap();
    let shown = |page: usize| shown(start + page * PAGE);
    let (home, behind, last) = (at(0, 4), at(6, 2), at(8, 4));
    let mut area = areas::builder(PAGE).inside(&home, 0).resizable(PAGE).unwrap();
    // By itself it keeps to its reservation.
    area.resize(4 * PAGE).unwrap();
    assert_eq!(area.resize(5 * PAGE).unwrap_err().kind(), ErrorKind::AddressInUse);
    // Not over what it was not allowed.
    assert_eq!(
        area.resize_over(8 * PAGE, std::slice::from_ref(&last)).unwrap_err().kind(),
        ErrorKind::AddressInUse
    );
    assert_eq!((shown(4), shown(6).as_deref(), area.reserve()), (None, Some("---p"), 4 * PAGE));
    let all = [behind.clone(), last.clone(), home.clone()];
    area.resize_over(5 * PAGE, &all).unwrap();
    area.resize_over(10 * PAGE, &all).unwrap();
    area.write_at(0, &[7; 10 * PAGE]).unwrap();
    assert_eq!((shown(9).as_deref(), shown(10).as_deref(), shown(12)), (Some("rw-s"), Some("---p"), None));
    assert!(behind.is_released() && !last.still_has(0) && last.still_has(2 * PAGE));
    // What is in use there is in the way, and nothing has changed.
    let other = areas::builder(PAGE).inside(&last, 3 * PAGE).private().unwrap();
    assert_eq!(area.resize_over(14 * PAGE, &all).unwrap_err().kind(), ErrorKind::AddressInUse);
    assert_eq!((shown(10).as_deref(), shown(12), area.size()), (Some("---p"), None, 10 * PAGE));
    assert_eq!(last.room_at(2 * PAGE), PAGE);
    drop(other);
    // Beyond all memory: refused before anything is taken, and a size that no process has.
    assert_eq!(area.resize_over(1 << 50, &all).unwrap_err().kind(), ErrorKind::NoMemory);
    area.trim_reserve(0);
    area.resize(PAGE).unwrap();
    area.trim_reserve(2 * PAGE);
    assert_eq!(shown(1).as_deref(), Some("rw-s"));
    assert_eq!(
        [2, 3].map(shown),
        [Some("---p".to_owned()), Some("---p".to_owned())],
        "its own is reserved again"
    );
    assert_eq!([4, 6, 9].map(shown), [None, None, None], "the rest belongs to no area");
    area.resize_over(12 * PAGE, &[home.clone(), last.clone()]).unwrap();
    drop((all, behind, last));
    assert_eq!(shown(11).as_deref(), Some("rw-s"), "it holds what it has taken");
    drop(area);
    assert_eq!(shown(3).as_deref(), Some("---p"));
    assert_eq!([4, 11].map(shown), [None, None]);
    drop(home);
    assert_eq!(shown(0), None);
}
