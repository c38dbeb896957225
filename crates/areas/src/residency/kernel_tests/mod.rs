//! Measurements against the kernel: what was touched is found, in every way of asking, and
//! measuring changes nothing.

mod huge;
mod swap;

use std::os::fd::AsFd;

use proptest::prelude::*;

use super::cache::Cache;
use super::ruler::Ruler;
use super::table::View;
use super::{PageLocation, Residency, measure, measure_object, present_bytes, resident_bytes};
use crate::error::{ErrorKind, Result};
use crate::mapping::Mapping;
use crate::nodes::Placement;
use crate::object::{Extent, Object};
use crate::page::{PageSize, Pages};
use crate::protection::Protection;
use crate::provider::{Backing, Provider, Request, System};
use crate::sys;
use crate::sys::memory::Advice;
use crate::testing::skipped;

const MIB: usize = 1 << 20;

fn page() -> usize {
    sys::page_size()
}

/// Private memory that the kernel does not make huge pages of by itself.
fn private(len: usize) -> Mapping {
    let mapping = System::new().map(&Request::new(len)).unwrap();
    match mapping.advise(Advice::BasePages) {
        // A kernel without transparent huge pages.
        Ok(()) | Err(sys::Errno::INVAL) => mapping,
        Err(errno) => panic!("MADV_NOHUGEPAGE: {errno}"),
    }
}

/// Whether the kernel reports pages that were allocated and never touched (6.5).
fn has_cachestat() -> bool {
    sys::pages::cache_of(object(1).as_fd(), 0, 0).is_ok()
}

/// Whether the kernel reports page sizes one by one (6.7).
fn has_scan() -> bool {
    let mapping = private(1);
    let mut table = super::table::Table::new(PageSize::base());
    table.present(&View { base: mapping.base(), range: 0..page() }, 0..page()).unwrap();
    table.scans
}

fn object(len: usize) -> Object {
    Object::create("measured", len, Extent::Fixed, PageSize::base()).unwrap()
}

fn map(object: &Object) -> Mapping {
    System::new().map(&Request::object(object)).unwrap()
}

/// Gives a page contents, without mapping it.
fn write(object: &Object, index: usize) {
    sys::file::write_at(object.as_fd(), &[7], (index * page()) as u64).unwrap();
}

/// Takes a page, without giving it contents.
fn allocate(object: &Object, index: usize) {
    sys::object::allocate(object.as_fd(), (index * page()) as u64, page() as u64).unwrap();
}

fn allocated(object: &Object) -> u64 {
    sys::file::stat(object.as_fd()).unwrap().allocated
}

/// Which pages of a mapping mincore has in RAM.
fn in_core(mapping: &Mapping) -> Vec<bool> {
    let mut cores = vec![0; mapping.span() / page()];
    sys::pages::in_core(mapping.base(), mapping.span(), &mut cores).unwrap();
    cores.iter().map(|core| core & 1 == 1).collect()
}

/// Which pages a residency has in RAM.
fn resident(residency: &Residency) -> Vec<bool> {
    let pages = residency.runs().iter().flat_map(|run| {
        std::iter::repeat_n(matches!(run.place, PageLocation::On { .. }), run.range.len() / page())
    });
    pages.collect()
}

/// A value in kilobytes of the `smaps` entry that an address is in.
fn smaps(mapping: &Mapping, field: &str) -> u64 {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let start = format!("{:x}-", mapping.as_ptr().addr());
    let entry = smaps.lines().skip_while(|line| !line.starts_with(&start));
    let line = entry.into_iter().find(|line| line.starts_with(field)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Measures in a way of our choice, as an older kernel would have to.
fn measure_by(mapping: &Mapping, cache: &Cache<'_>, scans: bool) -> Result<Residency> {
    let view = View { base: mapping.base(), range: 0..mapping.span() };
    let mut ruler = Ruler::new(mapping.page_size());
    ruler.table.scans = scans;
    ruler.windows(&view, cache)?;
    ruler.count_huge(&view);
    Ok(ruler.done(cache.knows_swap()))
}

#[test]
fn private_pages_are_found_and_holes_stay_holes() {
    let mut mapping = private(100 * page());
    let touched = |index: usize| index.is_multiple_of(3) && index < 60;
    for index in (0..100).filter(|&index| touched(index)) {
        mapping.as_bytes_mut().unwrap()[index * page()] = 1;
    }
    // Reading a hole maps the zero page, which is not memory.
    let before: Vec<bool> = (0..100).map(touched).collect();
    assert_eq!(mapping.as_bytes().unwrap()[70 * page()], 0);
    for scans in [true, false] {
        let residency = measure_by(&mapping, &Cache::Table, scans).unwrap();
        assert_eq!(resident(&residency), before);
        assert_eq!(residency.resident(), (20 * page()) as u64);
        assert_eq!(residency.absent(), (80 * page()) as u64);
        assert_eq!(residency.swapped(), Some(0));
        assert_eq!(residency.runs().len(), 40);
        let sizes: Vec<_> = residency.page_sizes().unwrap().collect();
        assert_eq!(sizes, [(PageSize::base(), residency.resident())]);
    }
    assert_eq!(
        measure(&mapping, None, mapping.size()).unwrap(),
        measure_by(&mapping, &Cache::Table, true).unwrap()
    );
    let read_too = if has_scan() { 20 } else { 21 };
    assert_eq!(present_bytes(&mapping, mapping.size()).unwrap(), read_too * page());
    let after = in_core(&mapping);
    assert_eq!(after.iter().filter(|core| **core).count(), 21, "the touched pages and the zero page");
}

#[test]
fn nodes_are_those_of_the_kernel() {
    let mut mapping = private(10 * page());
    mapping.as_bytes_mut().unwrap().fill(1);
    let pages: Vec<*const u8> =
        (0..10).map(|index| mapping.as_ptr().wrapping_add(index * page()).cast_const()).collect();
    let mut status = [-1; 10];
    sys::pages::nodes_of(&pages, &mut status).unwrap();
    let residency = measure(&mapping, None, mapping.size()).unwrap();
    for (node, bytes) in residency.nodes() {
        let count = status.iter().filter(|status| u32::try_from(**status) == Ok(node.get())).count();
        assert_eq!(bytes, (count * page()) as u64);
    }
    assert_eq!(residency.resident(), (10 * page()) as u64);
}

#[test]
fn pages_at_the_borders_of_the_windows() {
    let len = 64 * MIB + 3 * page();
    let (mut mapping, object) = (private(len), object(len));
    let expected = [0, 64 * MIB - page(), 64 * MIB, 64 * MIB + 2 * page()];
    for offset in expected {
        mapping.as_bytes_mut().unwrap()[offset] = 1;
        write(&object, offset / page());
    }
    let of_private = measure(&mapping, None, len).unwrap();
    let shared = map(&object);
    for residency in
        [of_private, measure(&shared, Some(&object), len).unwrap(), measure_object(&object, len).unwrap()]
    {
        let pages = resident(&residency);
        let found: Vec<usize> = (0..len / page()).filter(|&index| pages[index]).collect();
        assert_eq!(found, expected.map(|offset| offset / page()));
        assert_eq!(residency.size(), len as u64);
    }
}

#[test]
fn whole_pages_and_nothing() {
    let mut mapping = private(5000);
    mapping.as_bytes_mut().unwrap()[4999] = 1;
    let residency = measure(&mapping, None, 5000).unwrap();
    assert_eq!(residency.size(), 5000_usize.next_multiple_of(page()) as u64);
    assert_eq!(residency.resident(), page() as u64);
    let nothing = measure(&mapping, None, 0).unwrap();
    assert_eq!((nothing.size(), nothing.runs().len()), (0, 0));
    assert_eq!(measure(&mapping, None, 1 << 40).unwrap_err().kind(), ErrorKind::OutOfRange);

    let object = object(5000);
    write(&object, 1);
    let residency = measure_object(&object, 5000).unwrap();
    assert_eq!((residency.size(), residency.resident()), (mapping.span() as u64, page() as u64));
}

/// An object of 40 pages: 0 to 9 written, 20 to 24 allocated only, the rest holes.
fn half_populated() -> Object {
    let object = object(40 * page());
    (0..10).for_each(|index| write(&object, index));
    (20..25).for_each(|index| allocate(&object, index));
    object
}

#[test]
fn objects_are_measured_whoever_touched_them_and_holes_stay_holes() {
    let object = half_populated();
    let before = allocated(&object);
    assert_eq!(before, (15 * page()) as u64);
    let reported = if has_cachestat() { 20..25 } else { 0..0 };
    let expected: Vec<bool> = (0..40).map(|index| index < 10 || reported.contains(&index)).collect();

    let unmapped = measure_object(&object, object.size()).unwrap();
    assert_eq!(resident(&unmapped), expected);
    let mapping = map(&object);
    let mapped = measure(&mapping, Some(&object), object.size()).unwrap();
    assert_eq!(mapped, unmapped);
    assert_eq!(mapped.swapped(), Some(0));
    assert_eq!(mapped.absent(), ((30 - reported.len()) * page()) as u64);
    assert_eq!(resident_bytes(&object).unwrap(), ((10 + reported.len()) * page()) as u64);
    assert_eq!(allocated(&object), before);
}

#[test]
fn every_way_of_asking_finds_the_same() {
    let all = |index| index < 10 || (20..25).contains(&index);
    // Before 6.5 nothing reports pages that were allocated and never touched.
    let touched = |index| index < 10;
    for scans in [true, false] {
        for way in 0..5 {
            // A new object each time: looking allocated pages up makes them touched ones.
            let object = half_populated();
            let fd = object.as_fd();
            let before = allocated(&object);
            let (cache, expected, knows_swap): (_, &dyn Fn(usize) -> bool, _) = match way {
                0 => (Cache::Stat { object: fd.into(), in_core: true }, &all, true),
                1 => (Cache::Stat { object: fd.into(), in_core: false }, &all, true),
                2 => (Cache::Core { object: fd.into() }, &touched, true),
                3 => (Cache::Data { object: fd.into() }, &touched, false),
                _ => (Cache::Anonymous, &touched, false),
            };
            if matches!(cache, Cache::Stat { .. }) && !has_cachestat() {
                continue;
            }
            let residency = measure_by(&map(&object), &cache, scans).unwrap();
            assert_eq!(resident(&residency), (0..40).map(expected).collect::<Vec<_>>(), "{cache:?} {scans}");
            assert_eq!(residency.swapped(), knows_swap.then_some(0), "{cache:?}");
            assert_eq!(allocated(&object), before, "{cache:?}");
        }
    }
}

/// Of an object that is larger than any memory, only the parts that have pages are looked at.
#[test]
fn what_has_no_page_is_skipped_in_every_way_of_asking() {
    const STEP: usize = 128 * MIB;
    let end = 1_usize << 50;
    let object = object(page());
    let fd = object.as_fd();
    let sparse =
        Object::create("sparse", page(), Extent::Resizable { max: page() }, PageSize::base()).unwrap();
    sys::object::set_size(sparse.as_fd(), end as u64).unwrap();
    let places = [0, STEP - page(), 7 * STEP, 7 * STEP + page(), end / 3 / page() * page(), end - page()];
    for at in places {
        sys::file::write_at(sparse.as_fd(), &[1], at as u64).unwrap();
    }
    let mut expected = places.map(|at| at / STEP * STEP).to_vec();
    expected.dedup();
    let ways = [
        Cache::Stat { object: sparse.as_fd().into(), in_core: false },
        Cache::Core { object: sparse.as_fd().into() },
        Cache::Data { object: sparse.as_fd().into() },
    ];
    for cache in ways {
        if matches!(cache, Cache::Stat { .. }) && !has_cachestat() {
            continue;
        }
        let (mut seen, mut at) = (Vec::new(), 0);
        loop {
            at = cache.next_used(at, end, STEP).unwrap();
            if at == end {
                break;
            }
            seen.push(at);
            at += STEP;
        }
        assert_eq!(seen, expected, "{cache:?}");
    }
    assert_eq!(super::object::resident_by_core(&sparse).unwrap(), (places.len() * page()) as u64);
    assert_eq!(
        Cache::Core { object: fd.into() }.next_used(0, page(), STEP).unwrap(),
        page(),
        "all of it is a hole"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_pattern_is_found(pattern in prop::collection::vec(0_u8..3, 1..200)) {
        let object = object(pattern.len() * page());
        for (index, what) in pattern.iter().enumerate() {
            match what {
                0 => {}
                2 if has_cachestat() => allocate(&object, index),
                _ => write(&object, index),
            }
        }
        let before = allocated(&object);
        let expected: Vec<bool> = pattern.iter().map(|what| *what != 0).collect();
        let fd = object.as_fd();
        if !has_cachestat() {
            let residency = measure_by(&map(&object), &Cache::Data { object: fd.into() }, true).unwrap();
            prop_assert_eq!(resident(&residency), expected);
            return Ok(());
        }
        // First without mincore: a mapping's first populate makes allocated pages look touched.
        for cache in [Cache::Stat { object: fd.into(), in_core: false }, Cache::Stat { object: fd.into(), in_core: true }] {
            let residency = measure_by(&map(&object), &cache, true).unwrap();
            prop_assert_eq!(resident(&residency), expected.clone());
        }
        prop_assert_eq!(resident(&measure_object(&object, object.size()).unwrap()), expected);
        prop_assert_eq!(allocated(&object), before);
        prop_assert_eq!(resident_bytes(&object).unwrap(), before);
    }
}

#[test]
fn beyond_the_end_of_a_growable_object_there_is_nothing() {
    let extent = Extent::Growable { max: 64 * page() };
    let object = Object::create("measured", 4 * page(), extent, PageSize::base()).unwrap();
    let mapping = map(&object);
    write(&object, 3);
    for residency in [
        measure(&mapping, Some(&object), 64 * page()).unwrap(),
        measure_object(&object, 64 * page()).unwrap(),
    ] {
        assert_eq!((residency.size(), residency.resident()), ((64 * page()) as u64, page() as u64));
    }
    object.grow(64 * page(), Placement::default(), "the area").unwrap();
    write(&object, 63);
    assert_eq!(measure(&mapping, Some(&object), 64 * page()).unwrap().resident(), (2 * page()) as u64);
}

#[test]
fn an_empty_object_is_absent() {
    let object = object(1 << 40);
    let residency = measure_object(&object, object.size()).unwrap();
    assert_eq!((residency.size(), residency.absent()), (1 << 40, 1 << 40));
    assert_eq!(residency.runs().len(), 1);
}

#[test]
fn memory_that_may_not_be_read() {
    let mut mapping = private(8 * page());
    mapping.as_bytes_mut().unwrap()[0] = 1;
    mapping.protect(Protection::empty()).unwrap();
    match measure(&mapping, None, mapping.size()) {
        Ok(residency) => assert_eq!(residency.resident(), page() as u64),
        // Before 6.6.
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ReadOnly);
            assert!(!has_scan(), "{error:#}");
        }
    }

    let object = half_populated();
    for protection in [Protection::empty(), Protection::WRITE] {
        let mapping = System::new().map(&Request::object(&object).protection(protection)).unwrap();
        let residency = measure(&mapping, Some(&object), object.size()).unwrap();
        let reported = if has_cachestat() { 15 } else { 10 };
        assert_eq!(residency.resident(), (reported * page()) as u64, "{protection}");
        assert_eq!(smaps(&mapping, "Rss:"), 0);
    }

    let request = Request::new(page()).backed_by(Backing::Inherited).protection(Protection::WRITE);
    let error = measure(&System::new().map(&request).unwrap(), None, page()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly);
    insta::assert_snapshot!(format!("{error:#}"), @"
    cannot measure 4 KiB: its protection is -w-
      help: pages that are shared with children can only be looked up where they may be read
    ");
}

#[test]
fn memory_shared_with_children_and_files() {
    let inherited = System::new().map(&Request::new(16 * page()).backed_by(Backing::Inherited)).unwrap();
    sys::memory::advise(inherited.base(), 4 * page(), Advice::PopulateWrite).unwrap();
    let residency = measure(&inherited, None, inherited.size()).unwrap();
    assert_eq!((residency.resident(), residency.swapped()), ((4 * page()) as u64, None));

    let path = std::env::current_exe().unwrap();
    let file = std::fs::File::open(path).unwrap();
    let backing = Backing::File { file: file.as_fd(), offset: 0, shared: false };
    let mapping = System::new().map(&Request::new(16 * page()).backed_by(backing)).unwrap();
    assert_eq!(measure(&mapping, None, mapping.size()).unwrap().resident(), 0);
    sys::memory::advise(mapping.base(), 3 * page(), Advice::PopulateWrite).unwrap();
    assert_eq!(measure(&mapping, None, 3 * page()).unwrap().resident(), (3 * page()) as u64);
}
