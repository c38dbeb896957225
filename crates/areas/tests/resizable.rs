//! Areas that grow and shrink for all holders: what clones see, what is freed, what is in the way.
//! Measured in the kernel.

use std::os::fd::AsFd;

use areas::{Address, Area, ErrorKind, Extent, Lock, Protection, Resizable};

const PAGE: usize = 4096;

fn name(of: &str) -> String {
    format!("resizable-{of}-{}", std::process::id())
}

fn bytes(area: &Area<Resizable>, offset: usize, len: usize) -> Vec<u8> {
    let mut bytes = vec![0xee; len];
    area.read_at(offset, &mut bytes).unwrap();
    bytes
}

fn allocated(area: &Area<Resizable>) -> u64 {
    rustix::fs::fstat(area.as_fd()).unwrap().st_blocks.unsigned_abs() * 512
}

#[test]
fn clones_see_every_change_at_once() {
    let name = name("seen");
    let mut area = areas::builder(PAGE).name(&name).resizable(16 * PAGE).unwrap();
    let source = areas::registry::find(&name).unwrap();
    let mut clone = source.open_resizable().unwrap();
    assert_eq!((area.size(), clone.size(), clone.reserve()), (PAGE, PAGE, 16 * PAGE));
    area.resize(10 * PAGE).unwrap();
    assert_eq!(clone.size(), 10 * PAGE);
    clone.write_at(10 * PAGE - 3, b"end").unwrap();
    assert_eq!(bytes(&area, 10 * PAGE - 3, 3), b"end");
    assert_eq!(source.info().unwrap().size, 10 * PAGE);
    // A clone resizes as well, and the size is rounded up to whole pages.
    clone.resize(2 * PAGE + 1).unwrap();
    assert_eq!(area.size(), 3 * PAGE);
    assert_eq!(area.read_at(3 * PAGE, &mut [0]).unwrap_err().kind(), ErrorKind::OutOfRange);
    assert_eq!(area.write_at(3 * PAGE - 1, b"xy").unwrap_err().kind(), ErrorKind::OutOfRange);
    assert_eq!(area.size(), 3 * PAGE, "a write never makes it larger");
}

#[test]
fn what_is_cut_off_is_freed_and_comes_back_as_zeros() {
    let mut area = areas::builder(64 * PAGE).resizable(64 * PAGE).unwrap();
    area.write_at(0, &[0x5a; 64 * PAGE]).unwrap();
    assert_eq!(allocated(&area), 64 * PAGE as u64);
    area.resize(PAGE).unwrap();
    assert_eq!(allocated(&area), PAGE as u64);
    area.resize(64 * PAGE).unwrap();
    assert_eq!(bytes(&area, 0, PAGE), [0x5a; PAGE]);
    assert_eq!(bytes(&area, PAGE, 63 * PAGE), vec![0; 63 * PAGE]);
}

/// What a process cuts off while it is populated need not come in, and is not an error.
#[test]
fn populating_while_another_shrinks_it() {
    let name = name("populated");
    let mut area = areas::builder(512 * PAGE).name(&name).resizable(512 * PAGE).unwrap();
    let mut clone = areas::registry::find(&name).unwrap().open_resizable().unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                area.resize(PAGE).unwrap();
                area.resize(512 * PAGE).unwrap();
            }
        });
        let results: Vec<_> = (0..200).map(|_| clone.populate()).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        results.into_iter().collect::<areas::Result<()>>().unwrap();
    });
    clone.populate().unwrap();
    assert_eq!(clone.residency().unwrap().resident(), clone.size() as u64);
}

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
fn what_may_be_taken_in_advance_is_nobodys_and_costs_nothing() {
    let Some(room) = areas::roomy_maximum(PAGE) else {
        eprintln!(
            "SKIPPED: resizable::what_may_be_taken_in_advance_is_nobodys_and_costs_nothing: RLIMIT_AS is set, or there are few addresses"
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

#[test]
fn offsets_that_no_file_has_are_out_of_range() {
    let area = areas::builder(PAGE).resizable(PAGE).unwrap();
    for offset in [PAGE, usize::MAX, usize::MAX - 3, usize::MAX / 2, usize::MAX / 2 - 3, 1 << 63] {
        assert_eq!(
            area.read_at(offset, &mut [0; 16]).unwrap_err().kind(),
            ErrorKind::OutOfRange,
            "{offset:#x}"
        );
        assert_eq!(area.write_at(offset, &[0; 16]).unwrap_err().kind(), ErrorKind::OutOfRange, "{offset:#x}");
    }
}

#[test]
fn who_may_not_write_may_not_resize() {
    let name = name("read-only");
    let area = areas::builder(PAGE).name(&name).resizable(4 * PAGE).unwrap();
    let source = areas::registry::find(&name).unwrap();
    let mut clone = source.cloning().protection(Protection::READ).open_resizable().unwrap();
    assert_eq!(clone.resize(2 * PAGE).unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(clone.write_at(0, b"x").unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(area.size(), PAGE);
}

#[test]
fn the_types_are_not_mixed_up() {
    let name = name("types");
    let area = areas::builder(PAGE).name(&name).resizable(4 * PAGE).unwrap();
    let source = areas::registry::find(&name).unwrap();
    let error = source.open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.remedy().unwrap().contains("open_resizable"));
    drop(area);
    let fixed = areas::builder(PAGE).name(&name).shared().unwrap();
    let source = areas::registry::find(&name).unwrap();
    assert_eq!(source.open_resizable().unwrap_err().kind(), ErrorKind::InvalidInput);
    drop(fixed);
    assert_eq!(
        areas::builder(PAGE).lock(Lock::Full).resizable(4 * PAGE).unwrap_err().kind(),
        ErrorKind::InvalidInput,
        "a reserve cannot be locked"
    );
}

#[test]
fn who_may_not_write_may_not_shrink() {
    let name = name("kept");
    let fixed = areas::builder(4 * PAGE).name(format!("{name}-fixed")).shared().unwrap();
    let refused = areas::registry::find(format!("{name}-fixed")).unwrap().shrink(PAGE).unwrap_err();
    assert_eq!((refused.kind(), fixed.size()), (ErrorKind::InvalidInput, 4 * PAGE), "{refused}");
    let area = areas::builder(4 * PAGE).name(&name).resizable(8 * PAGE).unwrap();
    let source = areas::registry::find(&name).unwrap();
    let frozen = area.freeze().unwrap();
    let refused = source.shrink(PAGE).unwrap_err();
    assert!([ErrorKind::Frozen, ErrorKind::NoSuchArea].contains(&refused.kind()), "{refused}");
    let refused = areas::registry::find(&name).unwrap().shrink(PAGE).unwrap_err();
    assert_eq!((refused.kind(), frozen.size()), (ErrorKind::Frozen, 4 * PAGE), "{refused}");
}

#[test]
fn it_freezes_with_the_size_that_it_has() {
    let name = name("frozen");
    let mut area = areas::builder(PAGE).name(&name).resizable(16 * PAGE).unwrap();
    area.resize(3 * PAGE).unwrap();
    area.write_at(2 * PAGE, b"last page").unwrap();
    let frozen = area.freeze().unwrap();
    assert_eq!(frozen.len(), 3 * PAGE);
    assert_eq!(&frozen[2 * PAGE..2 * PAGE + 9], b"last page");
    let again = areas::registry::find(&name).unwrap().open_frozen().unwrap();
    assert_eq!(again[..], frozen[..]);
}

/// A stack's guard is one page, as the kernel shows it: through each change of the area, and not in
/// a clone.
#[test]
fn the_lowest_page_can_be_a_guard() {
    let rights_at = |address: usize| {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let holds = |line: &&str| {
            let (from, rest) = line.split_once('-').unwrap();
            let (to, _) = rest.split_once(' ').unwrap();
            (usize::from_str_radix(from, 16).unwrap()..usize::from_str_radix(to, 16).unwrap())
                .contains(&address)
        };
        maps.lines().find(holds).unwrap().split(' ').nth(1).unwrap().to_owned()
    };
    let name = name("guard");
    let mut area = areas::builder(4 * PAGE).name(&name).resizable(16 * PAGE).unwrap();
    let start = area.as_ptr().addr();
    area.guard_lowest_page().unwrap();
    let is_guarded = |others: &str| {
        assert_eq!((rights_at(start), rights_at(start + PAGE)), ("---s".to_owned(), others.to_owned()));
    };
    is_guarded("rw-s");
    area.protect(Protection::READ).unwrap();
    is_guarded("r--s");
    area.protect(Protection::READ_WRITE).unwrap();
    area.resize(8 * PAGE).unwrap();
    area.populate().unwrap();
    assert_eq!(allocated(&area), 8 * PAGE as u64, "the guard has a page, which clones use");
    is_guarded("rw-s");
    area.write_at(PAGE, b"x").unwrap();
    assert_eq!(area.write_at(0, b"x").unwrap_err().kind(), ErrorKind::OutOfRange);
    let clone = areas::registry::find(&name).unwrap().open_resizable().unwrap();
    assert_eq!(rights_at(clone.as_ptr().addr()), "rw-s");
    clone.write_at(0, b"seen").unwrap();
    // A clone that may write is in the way of freezing: the area comes back as it was.
    let mut area = area.freeze_within(std::time::Duration::ZERO).unwrap_err().value;
    is_guarded("rw-s");
    area.resize(PAGE).unwrap();
    assert_eq!(area.guard_lowest_page().unwrap_err().kind(), ErrorKind::InvalidInput);
    drop(clone);
    // What is frozen lends all its bytes.
    let frozen = area.freeze().unwrap();
    assert_eq!(&frozen.as_bytes()[..4], b"seen");
}

#[test]
fn two_that_resize_at_once_do_no_harm() {
    let name = name("race");
    let area = areas::builder(PAGE).name(&name).resizable(64 * PAGE).unwrap();
    std::thread::scope(|scope| {
        for seed in 0..4_usize {
            let name = &name;
            scope.spawn(move || {
                let mut clone = areas::registry::find(name).unwrap().open_resizable().unwrap();
                for step in 0..200 {
                    let pages = 1 + (seed * 31 + step * 17) % 64;
                    clone.resize(pages * PAGE).unwrap();
                    // Beyond the end it is an error, whoever moved it when, and never a signal.
                    match clone.write_at((pages - 1) * PAGE, &[u8::try_from(seed).unwrap(); PAGE]) {
                        Ok(()) => {}
                        Err(error) => assert_eq!(error.kind(), ErrorKind::OutOfRange, "{error}"),
                    }
                }
            });
        }
    });
    let size = area.size();
    assert!(size.is_multiple_of(PAGE) && (PAGE..=64 * PAGE).contains(&size));
}

#[test]
fn a_locked_one_stays_locked_as_it_grows() {
    let hint = areas::Reservation::new(1 << 30, 1 << 21).unwrap().address();
    let mut area =
        areas::builder(2 * PAGE).at(Address::AtOrAbove(hint)).lock(Lock::Full).resizable(2 * PAGE).unwrap();
    area.resize(6 * PAGE).unwrap();
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let begin = area.as_ptr().addr();
    let mut inside = false;
    let mut locked = 0;
    for line in smaps.lines() {
        if let Some((start, _)) =
            line.split_once('-').filter(|(start, _)| start.len() >= 8 && !start.contains(':'))
        {
            let start = usize::from_str_radix(start, 16).unwrap_or(0);
            inside = (begin..begin + 6 * PAGE).contains(&start);
        } else if let Some(kilobytes) = line.strip_prefix("Locked:").filter(|_| inside) {
            locked += kilobytes.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024;
        }
    }
    assert_eq!(locked, 6 * PAGE);
    assert_eq!(area.residency().unwrap().resident(), 6 * PAGE as u64);
}

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
