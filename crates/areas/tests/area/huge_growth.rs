//! Growable and resizable areas in hugetlb pages: no page is taken or reserved before it is part of
//! the area, and every one comes back. Measured by the pool's own counts, st_blocks, and loads as a
//! peer in C makes them.

#![expect(unsafe_code, reason = "touches new bytes as a peer in C would; each block has its proof")]

use std::sync::atomic::Ordering;

use areas::{Address, Area, ErrorKind, Extent, PageSize, Pages, Private};

use super::huge::{Filled, count};
use super::support::child::{Stage, hear, reply, test};
use super::support::{is_root, kernel, skip};

const PAGE: usize = 2 << 20;
const IN_POOL: Pages = Pages::Pool(PageSize::HUGE_2M);

/// Free pages, and those reserved for a process.
fn pool() -> (usize, usize) {
    (count("free_hugepages"), count("resv_hugepages"))
}

/// Takes hugetlb pages until only so many are free.
fn leave(free: usize) -> Option<Area<Private>> {
    let excess = pool().0.checked_sub(free).unwrap();
    (excess > 0).then(|| areas::builder(excess * PAGE).pages(IN_POOL).private().unwrap())
}

#[test]
fn machine_growable_areas_take_pages_as_they_grow() {
    let this = test!("machine_growable_areas_take_pages_as_they_grow");
    if this.role().as_deref() == Some("clone") {
        let clone = areas::registry::find("pool").unwrap().open().unwrap();
        let (at, before) = (clone.as_ptr().wrapping_add(3 * PAGE - 1), pool());
        reply("mapped");
        hear();
        // SAFETY: the area has grown so far before we were asked to go on, and its memory has no
        // Rust reference.
        let seen = unsafe { kernel::peek(at) };
        return reply(&format!("{seen} {before:?}"));
    }
    if this.role().is_none() && !is_root() {
        return skip(this.0, "filling the pool of huge pages needs root");
    }
    this.alone(Stage::default(), || {
        let Some(_filled) = Filled::with(6, this.0) else { return String::new() };
        let _hog = leave(6);
        let area = areas::builder(PAGE - 5).pages(IN_POOL).growable(6 * PAGE - 1).name("pool").shared();
        let area = area.unwrap();
        assert_eq!(
            (area.size(), area.reserve(), area.object().extent()),
            (PAGE, 6 * PAGE, Extent::Growable { max: 6 * PAGE })
        );
        assert_eq!(
            (pool(), kernel::allocated(&area)),
            ((5, 0), PAGE as u64),
            "one page, none for the reserve"
        );
        let mut other = this.spawn(&mut Stage::here(), "clone");
        assert_eq!(other.hear(), "mapped");
        assert_eq!((pool(), area.size()), ((5, 0), PAGE), "nor for the reserve of a clone");

        area.grow(2 * PAGE + 1).unwrap();
        assert_eq!((area.size(), pool(), kernel::allocated(&area)), (3 * PAGE, (3, 0), 3 * PAGE as u64));
        area.store(3 * PAGE - 1, 7_u8, Ordering::Relaxed).unwrap();
        other.send("go");
        assert_eq!(other.hear(), "7 (5, 0)");
        assert_eq!(area.residency().unwrap().resident(), 3 * PAGE as u64);

        // Three pages are free, and then two: not enough for three more, and nothing changes.
        let hog = leave(2);
        let error = area.grow(6 * PAGE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
        assert!(error.facts().unwrap().contains("3 wanted"), "{error:#}");
        assert!(error.remedy().unwrap().contains("nr_hugepages"), "{error:#}");
        assert_eq!((area.size(), pool(), kernel::allocated(&area)), (3 * PAGE, (2, 0), 3 * PAGE as u64));
        assert_eq!(area.load::<u8>(3 * PAGE, Ordering::Relaxed).unwrap_err().kind(), ErrorKind::OutOfRange);
        area.grow(5 * PAGE).unwrap();
        assert_eq!((area.size(), pool()), (5 * PAGE, (0, 0)));
        drop(hog);

        // Frozen at its size; a busy one stays as it is, at its size.
        let clone = areas::registry::find("pool").unwrap().open().unwrap();
        let refused = area.freeze_within(std::time::Duration::ZERO).unwrap_err();
        assert_eq!(refused.error.kind(), ErrorKind::Busy);
        let area = refused.value;
        assert_eq!((area.size(), pool()), (5 * PAGE, (1, 0)), "mapping it again takes no page");
        area.store(0, 1_u8, Ordering::Relaxed).unwrap();
        drop(clone);
        other.end();
        let frozen = area.freeze().unwrap();
        assert_eq!((frozen.len(), frozen[3 * PAGE - 1], pool()), (5 * PAGE, 7, (1, 0)));
        drop(frozen);
        assert_eq!(pool(), (6, 0), "all are back");
        String::new()
    });
}

#[test]
fn machine_two_who_grow_at_once_come_to_the_larger_size() {
    let this = test!("machine_two_who_grow_at_once_come_to_the_larger_size");
    if this.role().as_deref() == Some("other") {
        let clone = areas::registry::find("pool").unwrap().open().unwrap();
        reply("ready");
        while let Ok(pages) = hear().parse::<usize>() {
            let grown = clone.grow(pages * PAGE).is_ok();
            reply(&grown.to_string());
        }
        return;
    }
    if this.role().is_none() && !is_root() {
        return skip(this.0, "filling the pool of huge pages needs root");
    }
    this.alone(Stage::default(), || {
        let Some(_filled) = Filled::with(8, this.0) else { return String::new() };
        let _hog = leave(8);
        for round in 0..16 {
            let area = areas::builder(1).pages(IN_POOL).growable(16 * PAGE).name("pool").shared().unwrap();
            let mut other = this.spawn(&mut Stage::here(), "other");
            assert_eq!(other.hear(), "ready");
            // In every second round one asks for more than there is.
            let (ours, theirs) = if round % 2 == 0 { (3, 5) } else { (12, 5) };
            other.send(&theirs.to_string());
            let grown = area.grow(ours * PAGE);
            let answer = other.hear();
            assert_eq!(grown.is_ok(), ours == 3, "{grown:?}");
            // The other one may have met with the pages that were reserved for us, for a moment.
            let pages = if answer == "true" { 5 } else { 1.max(if ours == 3 { 3 } else { 1 }) };
            assert_eq!((area.size(), pool()), (pages * PAGE, (8 - pages, 0)), "round {round}: {answer}");
            assert!(round % 2 == 1 || answer == "true", "there is room for both");
            other.end();
        }
        assert_eq!(pool(), (8, 0));
        String::new()
    });
}

#[test]
fn machine_resizable_areas_give_pages_back_at_once() {
    let this = test!("machine_resizable_areas_give_pages_back_at_once");
    if this.role().is_none() && !is_root() {
        return skip(this.0, "filling the pool of huge pages needs root");
    }
    this.alone(Stage::default(), || {
        let Some(_filled) = Filled::with(6, this.0) else { return String::new() };
        let _hog = leave(6);
        let area = areas::builder(2 * PAGE).pages(IN_POOL).name("pool");
        // With free addresses behind it.
        let mut area = area.at(Address::AtOrAbove(0x6000_0000_0000)).resizable(4 * PAGE).unwrap();
        assert_eq!((area.size(), area.reserve(), pool()), (2 * PAGE, 4 * PAGE, (4, 0)));
        area.write_at(2 * PAGE - 3, b"end").unwrap();
        area.resize(4 * PAGE).unwrap();
        area.write_at(3 * PAGE, b"tail").unwrap();
        assert_eq!((area.size(), pool()), (4 * PAGE, (2, 0)));
        let clone = areas::registry::find("pool").unwrap().open_resizable().unwrap();
        assert_eq!((clone.size(), pool()), (4 * PAGE, (2, 0)));

        area.resize(PAGE + 1).unwrap();
        assert_eq!(
            (area.size(), clone.size(), pool(), kernel::allocated(&area)),
            (2 * PAGE, 2 * PAGE, (4, 0), 2 * PAGE as u64)
        );
        let mut bytes = [0; 3];
        clone.read_at(2 * PAGE - 3, &mut bytes).unwrap();
        assert_eq!(&bytes, b"end");
        assert_eq!(clone.read_at(3 * PAGE, &mut bytes).unwrap_err().kind(), ErrorKind::OutOfRange);
        // A clone of a shrunk area maps all of its reserve, and takes no page for it.
        let second = areas::registry::find("pool").unwrap().open_resizable().unwrap();
        assert_eq!((second.size(), second.reserve(), pool()), (2 * PAGE, 4 * PAGE, (4, 0)));
        drop((clone, second));

        // Regrown bytes are zero; growth goes on behind the reserve.
        area.resize(6 * PAGE).unwrap();
        assert_eq!((area.size(), area.reserve(), pool()), (6 * PAGE, 6 * PAGE, (0, 0)));
        let mut bytes = [1; 4];
        area.read_at(3 * PAGE, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 4]);
        let error = area.resize(8 * PAGE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
        assert_eq!((area.size(), area.reserve(), pool()), (6 * PAGE, 6 * PAGE, (0, 0)));
        area.resize(1).unwrap();
        assert_eq!((area.size(), pool()), (PAGE, (5, 0)));
        drop(area);
        assert_eq!(pool(), (6, 0));
        String::new()
    });
}

#[test]
fn machine_a_preferred_pool_that_is_empty_gives_resizable_areas_base_pages() {
    const NAME: &str =
        "area::huge_growth::machine_a_preferred_pool_that_is_empty_gives_resizable_areas_base_pages";
    let Some(_filled) = Filled::with(1, NAME) else { return };
    let _hog = leave(0);
    let preferred = areas::builder(1).pages(Pages::PreferPool(PageSize::HUGE_2M));
    let area = preferred.resizable(PAGE).unwrap();
    assert_eq!((area.granted().page_size(), area.granted().fallbacks().len()), (PageSize::base(), 1));
    let growable = preferred.growable(PAGE).shared().unwrap();
    assert_eq!((growable.granted().page_size(), growable.granted().fallbacks().len()), (PageSize::base(), 1));
    assert_eq!(areas::builder(1).pages(IN_POOL).resizable(PAGE).unwrap_err().kind(), ErrorKind::NoMemory);
    assert_eq!(
        areas::builder(1).pages(IN_POOL).growable(PAGE).shared().unwrap_err().kind(),
        ErrorKind::NoMemory
    );
}
