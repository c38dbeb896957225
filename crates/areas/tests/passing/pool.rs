//! Hugetlb pages that are missing, or that another process takes away: safe calls answer with an
//! error, never with a SIGBUS. Tests that fill the pool are named `machine_…`: they have it to
//! themselves.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;

use areas::{Area, ErrorKind, PageSize, Pages, Private, ReceiveOptions, Received, Shared};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate};

use super::support::child::{Stage, test};
use super::support::kernel;
use super::support::pool::{Filled, count};
use super::{FIXED, forge, growable_message, memfd, pair, plain_message, shared};

const HUGE: usize = 2 << 20;
const IN_POOL: Pages = Pages::Pool(PageSize::HUGE_2M);
const OF_POOL: MemfdFlags = MemfdFlags::HUGETLB.union(MemfdFlags::HUGE_2MB);

/// All that is left in the pool.
fn take_the_rest() -> Vec<Area<Private>> {
    let one = areas::builder(HUGE).pages(IN_POOL);
    std::iter::from_fn(|| one.private().ok()).collect()
}

#[test]
fn machine_missing_pages_are_taken_or_it_is_an_error() {
    // In a process of its own: children that other tests fork would have its pages, too.
    test!("machine_missing_pages_are_taken_or_it_is_an_error").alone(Stage::default(), || {
        missing_pages_are_taken_or_it_is_an_error();
        String::new()
    });
}

fn missing_pages_are_taken_or_it_is_an_error() {
    let name = "passing::pool::machine_missing_pages_are_taken_or_it_is_an_error";
    let Some(_filled) = Filled::with(4, name) else { return };
    let free = count("free_hugepages");
    let half = count("nr_hugepages") / 2 * HUGE;
    let (ours, theirs) = pair();
    let options = ReceiveOptions::new();
    let frozen = FIXED | SealFlags::WRITE;
    for (seals, message) in [
        (SealFlags::SHRINK, growable_message(64 * HUGE as u64)),
        (FIXED, plain_message()),
        (frozen, plain_message()),
    ] {
        // As many as there are by default: half of the pool.
        let fd = memfd(half as u64, OF_POOL, seals);
        forge(&ours, &message, &[fd.as_fd()]);
        match areas::receive(&theirs).unwrap() {
            Received::Shared(area) => {
                assert_eq!(kernel::allocated(&fd), half as u64, "all of its pages are there");
                for at in (0..half).step_by(HUGE) {
                    assert_eq!(area.load::<u64>(at, Relaxed).unwrap(), 0);
                }
            }
            Received::Frozen(area) => assert!(area.iter().step_by(4096).all(|&byte| byte == 0)),
            other => panic!("{other:?}"),
        }
        drop(fd);
        assert_eq!(count("free_hugepages"), free);
        // More is more than is accepted, and more than there is.
        let size = (free + 1) * HUGE;
        let fd = memfd(size as u64, OF_POOL, seals);
        forge(&ours, &message, &[fd.as_fd()]);
        let error = areas::receive(&theirs).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit, "{error:#}");
        assert!(error.to_string().contains("of its pages are missing"), "{error}");
        let error = options.max_pool_bytes(size).receive(&theirs).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
        assert!(options.discard(&theirs).unwrap());
        drop(fd);
        assert_eq!(count("free_hugepages"), free);
    }
}

/// Both directions between the two, all kinds of access, with what each is to give.
#[track_caller]
fn all_accesses(area: &Area<Shared>, expected: Option<ErrorKind>) {
    let base = areas::builder(4096).shared().unwrap();
    let other = areas::builder(4096).shared().unwrap();
    let kind = |result: areas::Result<()>| result.err().map(|error| error.kind());
    let part = area.slice(0, HUGE).unwrap();
    assert_eq!(kind(area.read_at(5, &mut [0; 100])), expected, "read_at");
    assert_eq!(kind(area.load::<u64>(8, Relaxed).map(drop)), expected, "load");
    assert_eq!(kind(part.read_at(5, &mut [0; 100])), expected, "read_at of a slice");
    assert_eq!(kind(part.load::<u8>(1, Relaxed).map(drop)), expected, "load of a slice");
    assert_eq!(kind(area.copy_to(0, &base, 0, 4096)), expected, "a copy to base pages");
    assert_eq!(kind(area.write_at(5, b"bytes")), expected, "write_at");
    assert_eq!(kind(area.store(16, 7_u64, Relaxed)), expected, "store");
    assert_eq!(kind(part.write_at(5, b"bytes")), expected, "write_at of a slice");
    assert_eq!(kind(part.store(16, 7_u32, Relaxed)), expected, "store of a slice");
    assert_eq!(kind(base.copy_to(0, area, 4096, 4096)), expected, "a copy from base pages");
    assert_eq!(kind(area.copy_to(0, area, 8192, 4096)), expected, "a copy within");
    assert_eq!(kind(base.copy_to(0, &other, 0, 4096)), None);
}

#[test]
fn machine_a_page_that_is_taken_away_is_an_error() {
    // In a process of its own: children that other tests fork would have its pages, too.
    test!("machine_a_page_that_is_taken_away_is_an_error").alone(Stage::default(), || {
        a_page_that_is_taken_away_is_an_error();
        String::new()
    });
}

fn a_page_that_is_taken_away_is_an_error() {
    let name = "passing::pool::machine_a_page_that_is_taken_away_is_an_error";
    let Some(_filled) = Filled::with(3, name) else { return };
    for growable in [false, true] {
        let builder = areas::builder(HUGE).pages(IN_POOL);
        let area = if growable { builder.growable(4 * HUGE).shared() } else { builder.shared() }.unwrap();
        all_accesses(&area, None);
        let mut word = [0; 8];
        area.read_at(16, &mut word).unwrap();
        assert_eq!((u64::from_le_bytes(word), area.load::<u64>(16, Relaxed).unwrap()), (7, 7));
        // As whoever may write it can, in any process.
        let away = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(area.as_fd(), away, 0, HUGE as u64).unwrap();
        let rest = take_the_rest();
        assert_eq!(count("free_hugepages"), 0);
        all_accesses(&area, Some(ErrorKind::NoMemory));
        let error = area.load::<u8>(0, Relaxed).unwrap_err();
        assert!(error.to_string().contains("a page is missing, and the pool has none"), "{error}");
        assert!(error.remedy().unwrap().contains("freeze"), "{error:#}");
        // What has a protection that forbids it says so first.
        let (ours, theirs) = pair();
        area.send_read_only(&ours).unwrap();
        assert_eq!(areas::receive(&theirs).unwrap_err().kind(), ErrorKind::NoMemory);
        drop(rest);
        let clone = shared(areas::receive(&theirs).unwrap());
        assert_eq!(clone.store(0, 1_u8, Relaxed).unwrap_err().kind(), ErrorKind::ReadOnly);
        assert_eq!(clone.load::<u8>(16, Relaxed).unwrap(), 0);
        drop(clone);
        all_accesses(&area, None);
        // Frozen, no process can.
        let frozen = area.freeze().unwrap();
        assert!(fallocate(frozen.as_fd(), away, 0, HUGE as u64).is_err());
        let _rest = take_the_rest();
        assert_eq!(frozen[16], 7);
    }
}
