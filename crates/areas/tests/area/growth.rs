//! Growable areas: new bytes are there for all holders at once, with no call of theirs.

#![expect(unsafe_code, reason = "reads beyond the old end as a peer in C would; each block has its proof")]

use std::sync::atomic::Ordering;

use areas::{ErrorKind, Extent};
use areas_testing::{maps, smaps};

use super::page;
use super::support::child::{Stage, hear, reply, test};
use super::support::kernel;

#[test]
fn it_grows_in_whole_pages_up_to_its_maximum() {
    let page = page();
    let area = areas::builder(100).growable(10 * page + 1).shared().unwrap();
    let max = 11 * page;
    assert_eq!((area.size(), area.mapped(), area.reserve(), area.granted().span()), (page, page, max, max));
    assert_eq!(area.object().extent(), Extent::Growable { max });
    area.grow(page + 1).unwrap();
    assert_eq!((area.size(), area.mapped()), (2 * page, 2 * page));
    // It never shrinks: less than it has is no change.
    area.grow(0).unwrap();
    area.grow(page).unwrap();
    assert_eq!(area.size(), 2 * page);
    assert_eq!(rustix::fs::ftruncate(&area, 0), Err(rustix::io::Errno::PERM));
    for beyond in [max + 1, usize::MAX, usize::MAX - page] {
        assert_eq!(area.grow(beyond).unwrap_err().kind(), ErrorKind::InvalidInput, "{beyond}");
    }
    assert_eq!(area.size(), 2 * page);
    area.grow(max).unwrap();
    area.store(max - 8, 1_u64, Ordering::Relaxed).unwrap();
    assert_eq!(area.load::<u64>(max, Ordering::Relaxed).unwrap_err().kind(), ErrorKind::OutOfRange);
}

#[test]
fn a_fixed_area_does_not_grow() {
    let area = areas::builder(100).shared().unwrap();
    for size in [0, 100, 101, 4096] {
        assert_eq!(area.grow(size).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert_eq!((area.size(), area.object().extent()), (100, Extent::Fixed));
}

#[test]
fn a_maximum_below_the_size_is_refused() {
    for (size, max) in [(2, 0), (8193, 8192), (1 << 20, 4096)] {
        let refused = areas::builder(size).growable(max).shared().map(|area| area.size());
        // 2 bytes fit into the one page that a maximum of 0 is rounded up to.
        match refused {
            Ok(got) => assert!(size < page() && got == page(), "{size} {max}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput),
        }
    }
    assert_eq!(areas::builder(1).growable(usize::MAX).shared().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn growth_costs_addresses_only_and_stays_out_of_core_dumps() {
    let area = areas::builder(1).growable(1 << 30).shared().unwrap();
    let vma = smaps::at(area.as_ptr().addr()).unwrap();
    assert_eq!(vma.end - vma.start, 1 << 30);
    assert!(vma.has("dd"), "a core dump would fill the holes");
    area.grow(1 << 30).unwrap();
    assert_eq!((kernel::allocated(&area), smaps::at(area.as_ptr().addr()).unwrap().bytes("Rss")), (0, 0));
}

#[test]
fn a_clone_in_this_process_reaches_the_new_bytes() {
    test!("a_clone_in_this_process_reaches_the_new_bytes").alone(Stage::default(), || {
        let page = page();
        let area = areas::builder(page).growable(16 * page).name("ring").shared().unwrap();
        let clone = areas::registry::find("ring").unwrap().open().unwrap();
        let reader = areas::registry::find("ring").unwrap().open_read_only().unwrap();
        assert_eq!(clone.load::<u8>(page, Ordering::Relaxed).unwrap_err().kind(), ErrorKind::OutOfRange);
        area.grow(2 * page).unwrap();
        area.store(2 * page - 1, 7_u8, Ordering::Relaxed).unwrap();
        assert_eq!((clone.size(), reader.size()), (2 * page, 2 * page));
        assert_eq!(clone.load::<u8>(2 * page - 1, Ordering::Relaxed).unwrap(), 7);
        // A clone grows it for its origin, too.
        clone.grow(16 * page).unwrap();
        clone.store(16 * page - 1, 9_u8, Ordering::Relaxed).unwrap();
        assert_eq!(
            (
                area.load::<u8>(16 * page - 1, Ordering::Relaxed).unwrap(),
                reader.load::<u8>(16 * page - 1, Ordering::Relaxed).unwrap()
            ),
            (9, 9)
        );
        // Growing takes a right to write.
        assert_eq!(reader.grow(16 * page).map_err(|error| error.kind()), Ok(()), "it is that large already");
        let small = areas::builder(1).growable(page * 2).name("small").shared().unwrap();
        let reader = areas::registry::find("small").unwrap().open_read_only().unwrap();
        assert_eq!(reader.grow(2 * page).unwrap_err().kind(), ErrorKind::ReadOnly);
        assert_eq!(small.size(), page);
        String::new()
    });
}

#[test]
fn another_process_sees_new_bytes_with_no_call_of_its_own() {
    let this = test!("another_process_sees_new_bytes_with_no_call_of_its_own");
    let page = page();
    if this.role().as_deref() == Some("other") {
        let area = areas::registry::find("grows").unwrap().open().unwrap();
        let beyond = area.as_ptr().wrapping_add(area.size() + 5);
        assert_eq!(area.size(), page);
        reply("mapped");
        hear();
        // SAFETY: the clone maps the whole reserve, and its peer has grown the object beyond this
        // byte.
        let seen = unsafe { kernel::peek(beyond) };
        // SAFETY: the byte behind it, in the same page, which is writable and to which there is no
        // reference.
        unsafe { kernel::poke(beyond.wrapping_add(1), seen + 1) };
        return reply(&format!("{seen} {}", area.size()));
    }
    let answer = this.alone(Stage::default(), || {
        let area = areas::builder(page).growable(64 * page).name("grows").shared().unwrap();
        let mut other = this.spawn(&mut Stage::here(), "other");
        other.hear();
        area.grow(3 * page).unwrap();
        area.store(page + 5, 41_u8, Ordering::Relaxed).unwrap();
        other.send("look");
        format!("{}; {}", other.hear(), area.load::<u8>(page + 6, Ordering::Relaxed).unwrap())
    });
    assert_eq!(answer, format!("41 {}; 42", 3 * page));
}

#[test]
fn two_processes_that_grow_at_once_get_the_larger() {
    let this = test!("two_processes_that_grow_at_once_get_the_larger");
    const PAGES: usize = 400;
    let page = page();
    // One takes the even sizes, one the odd ones: each has to find at least what it asked for.
    let grow = |area: &areas::Area<areas::Shared>, odd: usize| {
        for step in 1..=PAGES / 2 {
            let size = (2 * step - odd) * page;
            area.grow(size).unwrap();
            assert!(area.size() >= size);
            area.store(size - 1, 1_u8, Ordering::Relaxed).unwrap();
        }
    };
    if this.role().as_deref() == Some("other") {
        let area = areas::registry::find("both").unwrap().open().unwrap();
        reply("ready");
        hear();
        grow(&area, 0);
        return reply("done");
    }
    let answer = this.alone(Stage::default(), || {
        let area = areas::builder(1).growable(PAGES * page).name("both").shared().unwrap();
        let mut other = this.spawn(&mut Stage::here(), "other");
        other.hear();
        other.send("go");
        grow(&area, 1);
        other.hear();
        let mut bytes = vec![0; area.size()];
        area.read_at(0, &mut bytes).unwrap();
        let marks = bytes.chunks(page).filter(|chunk| chunk[page - 1] == 1).count();
        format!("{} pages, {marks} marked", area.size() / page)
    });
    assert_eq!(answer, format!("{PAGES} pages, {PAGES} marked"));
}

#[test]
fn locked_areas_have_no_reserve() {
    for lock in [areas::Lock::Lazy, areas::Lock::Full] {
        let refused = areas::builder(1).growable(8192).lock(lock).shared().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(areas::builder(1).growable(8192).private().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn growth_that_cannot_be_locked_changes_nothing() {
    test!("growth_that_cannot_be_locked_changes_nothing").alone(Stage::ordinary(), || {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let page = page();
        let limit = Some(4 * page as u64);
        setrlimit(Resource::Memlock, Rlimit { current: limit, maximum: limit }).unwrap();
        // Where the addresses behind are free, and where they are the next ones of a reservation.
        let hint = areas::Reservation::new(1 << 30, 1 << 21).unwrap().address();
        let room = areas::Reservation::new(64 * page, page).unwrap();
        let builder = areas::builder(2 * page).lock(areas::Lock::Full).name("elastic");
        for (builder, behind) in [
            (builder.clone().at(areas::Address::AtOrAbove(hint)), None),
            (builder.inside(&room, 0), Some("---p".to_owned())),
        ] {
            let mut area = builder.resizable(2 * page).unwrap();
            let before = (area.size(), area.reserve(), kernel::allocated(&area));
            let error = area.resize(16 * page).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
            assert_eq!((area.size(), area.reserve(), kernel::allocated(&area)), before);
            let reported = areas::registry::find("elastic").unwrap().info().unwrap();
            assert_eq!((reported.size, reported.reserve), (2 * page, 2 * page));
            let vma = maps::at(area.as_ptr().wrapping_add(2 * page).addr());
            assert_eq!(vma.map(|vma| vma.permissions), behind, "what was taken is released");
            assert!(smaps::at(area.as_ptr().addr()).unwrap().has("lo"));
        }
        // The next one has these addresses.
        let neighbour = areas::builder(62 * page).inside(&room, 2 * page).private().unwrap();
        assert_eq!(neighbour.as_ptr().addr(), room.address() + 2 * page);
        String::new()
    });
}

/// Past this library anybody who may write the object can do that.
#[test]
fn what_another_holder_makes_larger_than_its_maximum_is_no_larger_than_what_is_mapped() {
    let area = areas::builder(page()).growable(4 * page()).shared().unwrap();
    rustix::fs::ftruncate(&area, 9 * page() as u64).unwrap();
    assert_eq!((area.size(), area.mapped(), area.reserve()), (4 * page(), 4 * page(), 4 * page()));
    area.store(4 * page() - 8, 7_u64, Ordering::Relaxed).unwrap();
    assert_eq!(area.load::<u64>(area.size() - 8, Ordering::Relaxed).unwrap(), 7);
    let mut byte = [0];
    assert_eq!(area.read_at(4 * page(), &mut byte).unwrap_err().kind(), ErrorKind::OutOfRange);
}
