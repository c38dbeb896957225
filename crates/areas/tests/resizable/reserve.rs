//! Reserves: taken and released, by holders at once, and of areas that move.

use std::os::fd::AsFd;

use areas::{Address, ErrorKind};

use super::{PAGE, bytes, name};

/// A reserve is taken and released without a change of the size, and growth goes as far as there is
/// room.
#[test]
fn a_reserve_is_taken_and_given_back() {
    let page = areas::PageSize::base().bytes();
    let range = areas::Reservation::new(16 * page, 1).unwrap();
    let mut area = areas::builder(page).inside(&range, 0).resizable(page).unwrap();
    assert_eq!((area.reserve(), range.room_at(page)), (page, 15 * page));
    area.widen_reserve(8 * page).unwrap();
    assert_eq!(
        (area.size(), area.reserve(), range.room_at(0), range.room_at(8 * page)),
        (page, 8 * page, 0, 8 * page)
    );
    let behind = areas::builder(page).inside(&range, 8 * page).resizable(page).unwrap();
    assert_eq!(area.widen_reserve(9 * page).unwrap_err().kind(), ErrorKind::AddressInUse);
    assert_eq!(area.reserve(), 8 * page);
    area.resize(4 * page).unwrap();
    // Never below what it has grown to.
    area.trim_reserve(page);
    assert_eq!((area.size(), area.reserve(), range.room_at(4 * page)), (4 * page, 4 * page, 4 * page));
    drop(behind);
    area.resize(16 * page).unwrap();
    area.write_at(16 * page - 1, &[7]).unwrap();
}

/// Who grows an area cannot ask clones that no process published, and they may have fewer
/// addresses.
#[test]
fn a_clone_that_is_too_small_for_it_freezes_all_or_says_that_it_cannot() {
    for blocked in [false, true] {
        let hint = areas::Reservation::new(1 << 30, 1 << 21).unwrap().address();
        let name = name(&format!("too small {blocked}"));
        let mut area = areas::builder(PAGE).name(&name).resizable(4 * PAGE).unwrap();
        let source = areas::registry::find(&name).unwrap();
        let clone = source.cloning().room(PAGE).at(Address::AtOrAbove(hint)).open_resizable().unwrap();
        let behind = Address::Exactly(clone.as_ptr().addr() + PAGE);
        let wall = blocked.then(|| areas::builder(PAGE).at(behind).private().unwrap());
        area.resize(3 * PAGE).unwrap();
        area.write_at(2 * PAGE, b"the end").unwrap();
        drop(area);
        match clone.freeze() {
            Ok(frozen) => {
                assert!(!blocked);
                assert_eq!((frozen.len(), &frozen[2 * PAGE..2 * PAGE + 7]), (3 * PAGE, &b"the end"[..]));
            }
            Err(refused) => {
                assert!(blocked, "{refused}");
                assert_eq!(refused.error.kind(), ErrorKind::AddressInUse, "{}", refused.error);
                // What it has addresses for can be read; it is frozen, and says so.
                let mut area = refused.value;
                area.read_at(0, &mut [0; PAGE]).unwrap();
                assert_eq!(area.resize(PAGE).unwrap_err().kind(), ErrorKind::Frozen);
            }
        }
        drop(wall);
    }
}

/// For how long a race is hunted; longer with AREAS_HUNT_SECONDS.
fn hunt() -> std::time::Duration {
    let seconds = std::env::var("AREAS_HUNT_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    std::time::Duration::from_secs(seconds.unwrap_or(1))
}

/// One holder trims its reserve, and another area takes the addresses; concurrently another holder
/// grows into the reserve. Either the growth is refused, or the addresses stay the area's.
#[test]
fn a_reserve_that_is_trimmed_while_another_holder_grows() {
    let name = name("trimmed");
    let (until, mut rounds, mut refused) = (std::time::Instant::now() + hunt(), 0, 0);
    while std::time::Instant::now() < until || rounds < 100 {
        let mut area = areas::builder(PAGE).name(&name).resizable(4 * PAGE).unwrap();
        let source = areas::registry::find(&name).unwrap();
        let mut clone = source.cloning().name(format!("{name}-clone")).open_resizable().unwrap();
        let start = std::sync::Barrier::new(2);
        let (grown, behind) = std::thread::scope(|scope| {
            let growing = scope.spawn(|| {
                start.wait();
                // Different delays, so that all orders are met.
                (0..rounds % 64).for_each(|_| std::hint::spin_loop());
                clone.resize(3 * PAGE)
            });
            start.wait();
            area.trim_reserve(PAGE);
            let behind = areas::builder(PAGE).at(Address::Exactly(area.as_ptr().addr() + PAGE)).private();
            (growing.join().unwrap(), behind)
        });
        if let Err(error) = &grown {
            assert_eq!(error.kind(), ErrorKind::AddressInUse, "{error}");
            refused += 1;
        }
        assert_eq!(area.size(), if grown.is_ok() { 3 * PAGE } else { PAGE }, "{grown:?}");
        assert!(area.reserve() >= area.size(), "round {rounds}: {area:?}");
        assert!(behind.is_err() || area.size() == PAGE, "round {rounds}: two areas at the same addresses");
        rounds += 1;
    }
    println!("{rounds} rounds, the growth refused in {refused}");
}

/// A clone joins while another holder grows the area beyond all reserves: it has addresses for all
/// of it, or is refused.
#[test]
fn a_clone_that_joins_while_another_holder_grows() {
    let name = name("joined");
    let (until, mut rounds, mut followed) = (std::time::Instant::now() + hunt(), 0, 0);
    while std::time::Instant::now() < until || rounds < 100 {
        let mut area = areas::builder(PAGE).name(&name).resizable(2 * PAGE).unwrap();
        let source = areas::registry::find(&name).unwrap();
        let start = std::sync::Barrier::new(2);
        let (grown, clone) = std::thread::scope(|scope| {
            let growing = scope.spawn(|| {
                start.wait();
                (0..rounds % 512).for_each(|_| std::hint::spin_loop());
                area.resize(6 * PAGE)
            });
            start.wait();
            let clone = source.cloning().name(format!("{name}-clone")).open_resizable();
            (growing.join().unwrap(), clone)
        });
        if let Err(error) = &grown {
            assert_eq!(error.kind(), ErrorKind::AddressInUse, "{error}");
        }
        match clone {
            Ok(clone) => {
                assert!(clone.reserve() >= clone.size(), "round {rounds}: {clone:?}");
                followed += usize::from(clone.size() == 6 * PAGE);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::AddressInUse, "{error}"),
        }
        rounds += 1;
    }
    println!("{rounds} rounds, the clone followed in {followed}");
}

/// Another process may make an area of no bytes of it: it has a page of addresses then, and stays
/// published whatever is trimmed.
#[test]
fn an_area_of_no_bytes_is_trimmed_to_one_page_and_still_found() {
    let name = name("none");
    let mut area = areas::builder(4 * PAGE).name(&name).resizable(16 * PAGE).unwrap();
    let mut clone = areas::registry::find(&name)
        .unwrap()
        .cloning()
        .name(format!("{name}-clone"))
        .open_resizable()
        .unwrap();
    rustix::fs::ftruncate(area.as_fd(), 0).unwrap();
    for (area, name) in [(&mut area, name.clone()), (&mut clone, format!("{name}-clone"))] {
        area.trim_reserve(0);
        assert_eq!((area.size(), area.reserve()), (0, PAGE));
        let found = areas::registry::find(&name).unwrap();
        assert_eq!((Some(found.id()), found.info().unwrap().size), (area.id(), 0));
    }
    area.resize(PAGE).unwrap();
    clone.write_at(0, b"again").unwrap();
    assert_eq!(bytes(&area, 0, 5), b"again");
}

/// Free addresses of that many pages, with something mapped behind them; and what keeps them so.
fn place_with_room(pages: usize) -> (usize, areas::Mapping) {
    let reservation = areas::Reservation::new((pages + 1) * PAGE, PAGE).unwrap();
    let start = reservation.address();
    drop(reservation);
    let request = areas::Request::new(PAGE).at(Address::Exactly(start + pages * PAGE));
    (start, areas::Provider::map(&areas::System::new(), &request).unwrap())
}

#[test]
fn moved_to_where_there_is_no_room_for_its_reserve() {
    let name = name("moved");
    let mut area = areas::builder(2 * PAGE).name(&name).resizable(64 * PAGE).unwrap();
    area.write_at(0, b"moves").unwrap();
    let mut clone = areas::registry::find(&name).unwrap().cloning().name("other").open_resizable().unwrap();
    let own = std::process::id();
    for room in [2, 3, 5, 8] {
        let (start, _behind) = place_with_room(room);
        let Ok(areas::Transfer::Own(moved)) = area.transfer(own, Address::Exactly(start)) else {
            panic!("{room} pages are enough")
        };
        area = moved;
        assert_eq!((area.as_ptr().addr(), area.reserve(), area.size()), (start, room * PAGE, 2 * PAGE));
        assert_eq!(bytes(&area, 0, 5), b"moves");
        assert_eq!(areas::registry::get(area.id().unwrap()).unwrap().info().unwrap().reserve, room * PAGE);
        // Its clones have more, and are marked.
        assert_eq!(clone.resize((room + 1) * PAGE).unwrap_err().kind(), ErrorKind::AddressInUse);
        clone.resize(room * PAGE).unwrap();
        assert_eq!(area.size(), room * PAGE);
        clone.resize(2 * PAGE).unwrap();
        // As it was, where there is no room for its bytes.
        let (narrow, _behind) = place_with_room(1);
        let rejected = area.transfer(own, Address::Exactly(narrow)).unwrap_err();
        assert_eq!(rejected.error.kind(), ErrorKind::AddressInUse);
        area = rejected.value;
        assert_eq!((area.as_ptr().addr(), area.reserve()), (start, room * PAGE));
        // It gets no more than it had: elsewhere it takes what there is.
        area.widen_reserve(room * PAGE).unwrap();
        let Ok(areas::Transfer::Own(moved)) = area.transfer(own, Address::Any) else { panic!("anywhere") };
        area = moved;
        area.widen_reserve(64 * PAGE).unwrap();
    }
    let reservation = areas::Reservation::new(8 * PAGE, PAGE).unwrap();
    let rejected = area.transfer_inside(&reservation, 7 * PAGE).unwrap_err();
    assert!(
        matches!(rejected.error.kind(), ErrorKind::OutOfRange | ErrorKind::AddressInUse),
        "{}",
        rejected.error
    );
    area = rejected.value.transfer_inside(&reservation, 5 * PAGE).unwrap();
    assert_eq!((area.as_ptr().addr(), area.reserve()), (reservation.address() + 5 * PAGE, 3 * PAGE));
    assert_eq!(bytes(&area, 0, 5), b"moves");
    assert_eq!(clone.resize(4 * PAGE).unwrap_err().kind(), ErrorKind::AddressInUse);
    clone.resize(3 * PAGE).unwrap();
    drop(area);
    assert_eq!(reservation.room_at(5 * PAGE), 3 * PAGE);
}

/// One holder moves to where it has room for less, while another grows the area: whatever the
/// order, all that is there is mapped.
#[test]
fn moved_while_another_holder_grows() {
    let name = name("moved-hunted");
    let mut area = areas::builder(PAGE).name(&name).resizable(64 * PAGE).unwrap();
    let mut clone = areas::registry::find(&name).unwrap().cloning().name("grows").open_resizable().unwrap();
    let until = std::time::Instant::now() + hunt();
    let (mut moved_times, mut refused, mut grown) = (0, 0, 0);
    while std::time::Instant::now() < until {
        clone.resize(PAGE).unwrap();
        let (start, _behind) = place_with_room(4);
        let (grows, moves) = std::thread::scope(|scope| {
            let grows = scope.spawn(|| clone.resize(32 * PAGE).is_ok());
            let moves = area.transfer(std::process::id(), Address::Exactly(start));
            (grows.join().unwrap(), moves)
        });
        area = match moves {
            Ok(areas::Transfer::Own(area)) => {
                moved_times += 1;
                area
            }
            Ok(other) => panic!("{other:?}"),
            Err(rejected) => {
                assert_eq!(rejected.error.kind(), ErrorKind::AddressInUse, "{:#}", rejected.error);
                refused += 1;
                rejected.value
            }
        };
        grown += usize::from(grows);
        assert!(area.size() <= area.reserve(), "{} bytes, {} of addresses", area.size(), area.reserve());
        assert!(clone.size() <= clone.reserve());
        clone.resize(PAGE).unwrap();
        let Ok(areas::Transfer::Own(back)) = area.transfer(std::process::id(), Address::Any) else {
            panic!("anywhere")
        };
        area = back;
        area.widen_reserve(64 * PAGE).unwrap();
    }
    println!("moved {moved_times} times, refused {refused}, grown {grown}");
    assert!(moved_times > 0 && grown > 0);
}
