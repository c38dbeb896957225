//! Growth: inside the reserve, beyond it, and what prevents it.

use std::os::fd::AsFd;

use areas::{Address, Area, ErrorKind, Extent, Resizable};

use super::{PAGE, allocated, bytes, name};

#[test]
fn beyond_the_reserve_it_grows_in_place_where_there_is_room() {
    let hint = areas::Reservation::new(1 << 30, 1 << 21).unwrap().address();
    let mut area =
        areas::builder(PAGE).at(Address::AtOrAbove(hint)).name(name("room")).resizable(PAGE).unwrap();
    let before = area.as_ptr();
    area.resize(8 * PAGE).unwrap();
    assert_eq!((area.as_ptr(), area.size(), area.reserve()), (before, 8 * PAGE, 8 * PAGE));
    area.write_at(0, &[1; 8 * PAGE]).unwrap();
    assert_eq!(bytes(&area, 7 * PAGE, PAGE), [1; PAGE]);
    // The registry knows how far it goes now.
    let source = areas::registry::find(name("room")).unwrap();
    assert_eq!(source.info().unwrap().extent, Extent::Resizable { max: 8 * PAGE });
    assert_eq!(source.open_resizable().unwrap().reserve(), 8 * PAGE);
    assert_eq!(Some(areas::registry::at(before.addr() + 8 * PAGE - 1).unwrap().id()), area.id());
    // All of it goes with the area.
    drop(area);
    let again = areas::builder(8 * PAGE).at(Address::Exactly(before.addr())).private().unwrap();
    assert_eq!(again.as_ptr(), before);
}

/// With no reserve at all, as locked ones have none: what is behind is free.
#[test]
fn at_any_address_it_doubles_until_memory_ends() {
    let memory = rustix::system::sysinfo();
    let memory = memory.totalram * u64::from(memory.mem_unit);
    let mut areas: Vec<_> = [Address::Any, Address::Random, Address::Any, Address::Random]
        .map(|at| areas::builder(PAGE).at(at).resizable(PAGE).unwrap())
        .into_iter()
        .collect();
    for area in &mut areas {
        let before = area.as_ptr();
        let error = loop {
            if let Err(error) = area.resize(2 * area.size()) {
                break error;
            }
            // Of a machine's memory the kernel counts what is touched.
            let end = area.size();
            area.write_at(end - 3, b"end").unwrap();
        };
        assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
        assert!(area.size() as u64 > memory / 4, "{}: {error:#}", area.size());
        assert_eq!((area.as_ptr(), area.reserve()), (before, area.size()));
        assert_eq!(bytes(area, area.size() - 3, 3), b"end");
    }
    let mut starts: Vec<_> = areas.iter().map(|area| (area.as_ptr().addr(), area.reserve())).collect();
    starts.sort_unstable();
    assert!(starts.windows(2).all(|pair| pair[0].0 + pair[0].1 < pair[1].0), "{starts:x?}");
}

#[test]
fn what_may_be_taken_in_advance_is_unowned_and_costs_nothing() {
    let Some(room) = areas::roomy_maximum(PAGE) else {
        eprintln!(
            "SKIPPED: resizable::what_may_be_taken_in_advance_is_unowned_and_costs_nothing: RLIMIT_AS is set, or there are few addresses"
        );
        return;
    };
    assert!(room >= 64 << 20, "more than any modest reserve: {room}");
    assert_eq!(areas::roomy_maximum(room), None);
    let name = name("advance");
    let mut area = areas::builder(PAGE).name(&name).resizable(room).unwrap();
    let clone =
        areas::registry::find(&name).unwrap().cloning().name(format!("{name} 2")).open_resizable().unwrap();
    assert_eq!((area.reserve(), clone.reserve()), (room, room));
    area.resize(64 << 20).unwrap();
    clone.write_at((64 << 20) - 3, b"end").unwrap();
    assert_eq!(allocated(&area), PAGE as u64);
}

#[test]
fn what_stands_in_the_way_is_named_and_nothing_has_changed() {
    let hint = areas::Reservation::new(1 << 30, 1 << 21).unwrap().address();
    let name = name("blocked");
    let mut area = areas::builder(PAGE).at(Address::AtOrAbove(hint)).name(&name).resizable(2 * PAGE).unwrap();
    area.write_at(0, b"kept").unwrap();
    let wall = areas::builder(PAGE).at(Address::Exactly(area.as_ptr().addr() + 2 * PAGE)).private().unwrap();
    let error = area.resize(3 * PAGE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressInUse, "{error}");
    assert_eq!((area.size(), area.reserve()), (PAGE, 2 * PAGE));
    drop(wall);
    // A published clone that has no addresses for it is in the way as well.
    let clone =
        areas::registry::find(&name).unwrap().cloning().name("resizable clone").open_resizable().unwrap();
    let error = area.resize(3 * PAGE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressInUse);
    assert!(error.to_string().contains(&clone.id().unwrap().to_string()), "{error}");
    assert_eq!((area.size(), area.reserve(), clone.size()), (PAGE, 2 * PAGE, PAGE));
    assert_eq!(bytes(&area, 0, 4), b"kept");
    drop(clone);
    area.resize(3 * PAGE).unwrap();
    // Memory that no process has is another error than addresses that are taken.
    assert_eq!(area.resize(1 << 50).unwrap_err().kind(), ErrorKind::NoMemory);
    assert_eq!(area.resize(usize::MAX).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(area.resize(0).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(area.size(), 3 * PAGE);
}

#[test]
fn a_clone_with_fewer_addresses_is_in_the_way_inside_the_reserve_too() {
    let name = name("uneven");
    let mut area = areas::builder(PAGE).name(&name).resizable(8 * PAGE).unwrap();
    let find = || areas::registry::find(&name).unwrap();
    let refused = |area: &mut Area<Resizable>, size: usize, by: &Area<Resizable>| {
        let before = (area.size(), area.reserve());
        let error = area.resize(size).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddressInUse, "{error}");
        assert!(error.to_string().contains(&by.id().unwrap().to_string()), "{error}");
        assert_eq!((area.size(), area.reserve()), before);
    };
    // Asked for with fewer.
    let narrow = find().cloning().room(2 * PAGE).name("narrow").open_resizable().unwrap();
    area.resize(2 * PAGE).unwrap();
    refused(&mut area, 3 * PAGE, &narrow);
    area.resize(PAGE).unwrap();
    drop(narrow);
    area.resize(8 * PAGE).unwrap();
    area.resize(PAGE).unwrap();
    // Trimmed later.
    let mut trimmed = find().cloning().name("trimmed").open_resizable().unwrap();
    area.resize(3 * PAGE).unwrap();
    area.resize(PAGE).unwrap();
    trimmed.trim_reserve(PAGE);
    refused(&mut area, 2 * PAGE, &trimmed);
    drop(trimmed);
    // Wider than what it was cloned from, which is in its way then.
    let hint = areas::Reservation::new(1 << 30, 1 << 21).unwrap().address();
    let roomy = Address::AtOrAbove(hint);
    let mut wide = find().cloning().at(roomy).room(16 * PAGE).open_resizable().unwrap();
    refused(&mut wide, 9 * PAGE, &area);
    wide.resize(8 * PAGE).unwrap();
    // Who made it widens what others have not.
    let clone = find().cloning().name("as it was").open_resizable().unwrap();
    wide.widen_reserve(32 * PAGE).unwrap();
    assert_eq!(area.size(), 8 * PAGE);
    refused(&mut wide, 32 * PAGE, &clone);
}

/// Another process may make it larger than any machine: what has no page takes no time to measure.
#[test]
fn measuring_an_area_that_was_made_very_large() {
    let name = name("large");
    let area = areas::builder(4 * PAGE).name(&name).resizable(16 * PAGE).unwrap();
    area.write_at(PAGE, &[1; PAGE]).unwrap();
    let size = 1_usize << 60;
    rustix::fs::ftruncate(area.as_fd(), size as u64).unwrap();
    // Pages far behind, at odd places.
    let far = [size / 3 / PAGE * PAGE, size - PAGE];
    for at in far {
        rustix::io::pwrite(area.as_fd(), &[1], at as u64).unwrap();
    }
    let source = areas::registry::find(&name).unwrap();
    let measured = source.residency().unwrap();
    let present: Vec<usize> = measured
        .runs()
        .iter()
        .filter(|run| matches!(run.place, areas::PageLocation::On { .. }))
        .map(|run| run.range.start)
        .collect();
    assert_eq!(present, [PAGE, far[0], far[1]]);
    assert_eq!(measured.runs().last().unwrap().range.end, size);
    assert_eq!(source.resident().unwrap(), 3 * PAGE as u64);
    area.residency().unwrap();
    // It can be made small again: by whoever finds it, too, though no process could map it all.
    assert_eq!(source.open_resizable().unwrap_err().kind(), ErrorKind::NoMemory);
    source.shrink(3 * PAGE - 1).unwrap();
    assert_eq!((area.size(), allocated(&area)), (3 * PAGE, PAGE as u64));
    source.shrink(4 * PAGE).unwrap();
    assert_eq!(usize::try_from(rustix::fs::fstat(area.as_fd()).unwrap().st_size), Ok(3 * PAGE));
    let refused = source.shrink(0).unwrap_err();
    assert_eq!((refused.kind(), area.size()), (ErrorKind::InvalidInput, 3 * PAGE), "{refused}");
    let mut area = area;
    area.resize(2 * PAGE).unwrap();
    assert_eq!(bytes(&area, PAGE, 1), [1]);
}

/// What is known of an area when it is found may be older than its size: its holder grows it beyond
/// its reserve in between.
#[test]
fn what_grew_beyond_its_reserve_since_it_was_found_is_cloned_whole() {
    let name = name("since");
    let at = Address::Exactly(areas::Reservation::new(64 * PAGE, PAGE).unwrap().address());
    let mut area = areas::builder(PAGE).name(&name).at(at).resizable(2 * PAGE).unwrap();
    let found = areas::registry::find(&name).unwrap();
    area.resize(9 * PAGE).unwrap();
    area.write_at(9 * PAGE - 4, b"last").unwrap();
    let clone = found.open_resizable().unwrap();
    assert_eq!((clone.size(), clone.reserve()), (9 * PAGE, 9 * PAGE));
    assert_eq!(bytes(&clone, 9 * PAGE - 4, 4), b"last");
}
