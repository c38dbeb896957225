//! Areas out of memory that the program gives: parts of it, zeroed, released as it was, and never
//! unmapped.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use areas::provider::Fixed;
use areas::{
    Address, Backing, ErrorKind, Lock, Node, PageSize, Pages, Policy, Protection, Provider, Request, System,
};
use areas_testing::maps;

const SYSTEM: System = System::new();

fn page() -> usize {
    PageSize::base().bytes()
}

fn node() -> Node {
    areas::allowed_nodes().unwrap().first().unwrap()
}

fn pool(pages: usize) -> Fixed<'static> {
    Fixed::of(SYSTEM.map(&Request::new(pages * page())).unwrap()).unwrap()
}

/// Permissions of the mapping that has an address, as the kernel shows them.
fn shown(address: usize) -> Option<String> {
    maps::at(address).map(|vma| vma.permissions)
}

#[test]
fn areas_are_parts_of_a_mapping() {
    let whole = SYSTEM.map(&Request::new(16 * page()).placed(Policy::Bind(node().into()))).unwrap();
    let (start, end) = (whole.as_ptr().addr(), whole.as_ptr().addr() + whole.span());
    let fixed = Fixed::of(whole).unwrap();
    assert_eq!((fixed.size(), fixed.free(), fixed.largest()), (16 * page(), 16 * page(), 16 * page()));
    let mut areas: Vec<_> =
        (1..=4).map(|pages| areas::builder(pages * page() - 1).provider(&fixed).private().unwrap()).collect();
    for (number, area) in (1..).zip(&mut areas) {
        let at = area.as_ptr().addr();
        assert!((start..end).contains(&at) && at + area.mapped() <= end);
        assert!(area.iter().all(|&byte| byte == 0));
        area.fill(number);
        // It is where the whole was placed, measured.
        let residency = area.residency().unwrap();
        assert_eq!(residency.on(node()), area.mapped() as u64);
    }
    for (number, area) in (1..).zip(&areas) {
        assert!(area.iter().all(|&byte| byte == number));
    }
    assert_eq!((fixed.free(), fixed.largest()), (6 * page(), 6 * page()));
    let error = areas::builder(7 * page()).provider(&fixed).private().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoMemory);
    assert!(format!("{error:#}").contains("are free"), "{error:#}");
    // A hole is used again, by what fits best, and full of zeros; its pages went back to the
    // kernel.
    let hole = areas.remove(2);
    let at = hole.as_ptr().addr();
    drop(hole);
    assert_eq!(shown(at).as_deref(), Some("rw-p"), "it is not unmapped");
    let again = areas::builder(3 * page()).provider(&fixed).private().unwrap();
    assert_eq!(again.as_ptr().addr(), at);
    assert_eq!(again.residency().unwrap().resident(), 0);
    assert!(again.iter().all(|&byte| byte == 0));
    // The memory outlives its provider, and goes with the last part of it.
    drop(fixed);
    assert!(again.iter().all(|&byte| byte == 0) && areas[1].iter().all(|&byte| byte == 2));
    drop(areas);
    assert_eq!(shown(at).as_deref(), Some("rw-p"));
}

#[test]
fn what_would_change_the_memory_is_refused() {
    let fixed = pool(16);
    let free = fixed.free();
    for (request, text) in [
        (Request::new(1).placed(Policy::Bind(node().into())), "wants its pages placed as bind"),
        (Request::new(1).at(Address::Exactly(fixed.size())), "its addresses are those of the memory"),
        (Request::new(1).at(Address::AtOrAbove(0)), "its addresses are those of the memory"),
        (Request::new(1).backed_by(Backing::Inherited), "which no other process can map"),
        (Request::new(1).pages(Pages::Pool(PageSize::HUGE_2M)), "and not 2 MiB"),
    ] {
        let error = fixed.map(&request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
    let wrong = fixed.map(&Request::new(1).aligned(5000)).unwrap_err();
    assert_eq!(
        (wrong.kind(), fixed.map(&Request::new(0)).unwrap_err().kind()),
        (ErrorKind::InvalidInput, ErrorKind::InvalidInput)
    );
    let builder = areas::builder(page()).provider(&fixed);
    for lock in [Lock::Lazy, Lock::Full] {
        let error = builder.clone().lock(lock).private().unwrap_err();
        assert!(format!("{error:#}").contains("lock the whole memory"), "{error:#}");
    }
    let mut area = builder.private().unwrap();
    let errors = [
        area.place(0..page(), Policy::Bind(node().into())).unwrap_err(),
        area.place_split(0..page(), [(node(), 1)]).unwrap_err(),
        area.migrate(Policy::Bind(node().into())).unwrap_err(),
        area.exclude_from_dump().unwrap_err(),
        areas::builder(1).provider(&fixed).shared().unwrap_err(),
        areas::builder(1).provider(&(&fixed).split([(node(), 1)])).private().unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
    // A fallback is on record; another provider may be asked instead.
    let auto = areas::builder(page()).pages(Pages::PreferPool(PageSize::HUGE_2M)).provider(&fixed).private();
    assert_eq!(auto.unwrap().granted().fallbacks().len(), 1);
    let either = fixed.or(SYSTEM);
    drop(areas::builder(1).provider(&either).shared().unwrap());
    drop(area);
    let Err(error) = Fixed::of(SYSTEM.map(&Request::new(1).protection(Protection::READ)).unwrap()) else {
        panic!()
    };
    assert_eq!((error.error.kind(), error.value.size()), (ErrorKind::Unsupported, 1));
    let Err(error) = Fixed::of(SYSTEM.map(&Request::new(1).backed_by(Backing::Inherited)).unwrap()) else {
        panic!()
    };
    assert!(error.to_string().contains("memory shared with forked children"), "{error}");
    assert_eq!(free, 16 * page());
}

#[test]
fn a_protection_is_taken_back() {
    let fixed = pool(4);
    let mut area = areas::builder(page()).provider(&fixed).protection(Protection::READ).private().unwrap();
    let at = area.as_ptr().addr();
    assert_eq!(shown(at).as_deref(), Some("r--p"));
    area.protect(Protection::empty()).unwrap();
    assert_eq!(shown(at).as_deref(), Some("---p"));
    drop(area);
    assert_eq!((shown(at).as_deref(), fixed.free()), (Some("rw-p"), 4 * page()));
}

/// Bytes of the caller's own, for as long as they are borrowed.
#[test]
fn parts_of_a_slice_are_lent() {
    let mut memory = vec![7_u8; 8 * page()];
    let range = memory.as_ptr_range();
    let (first, last);
    {
        let fixed = Fixed::borrowed(&mut memory).unwrap();
        assert!(fixed.size() >= 7 * page());
        let mut one = fixed.lend(page() + 1).unwrap();
        let two = fixed.lend(2 * page()).unwrap();
        drop(fixed);
        assert_eq!((one.len(), two.len()), (page() + 1, 2 * page()));
        assert!(one.iter().chain(two.iter()).all(|&byte| byte == 0));
        assert!(range.contains(&one.as_ptr()) && range.contains(&two.as_ptr()));
        assert!(one.as_ptr().addr().is_multiple_of(page()));
        one.fill(9);
        assert_eq!(one.residency().unwrap().resident(), 2 * page() as u64);
        (first, last) = (one.as_ptr().addr() - range.start.addr(), two.as_ptr().addr() - range.start.addr());
    }
    // It is the caller's again, with what was written.
    assert_eq!((memory[first], memory[last]), (9, 0));
    let mut small = [0_u8; 16];
    assert_eq!(Fixed::borrowed(&mut small).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(Fixed::borrowed(&mut []).unwrap_err().kind(), ErrorKind::InvalidInput);
    // Forever: a provider like any other.
    let leaked: &'static mut [u8] = Box::leak(vec![1_u8; 4 * page()].into_boxed_slice());
    let fixed = Fixed::borrowed(leaked).unwrap();
    let area = areas::builder(page()).provider(&fixed).private().unwrap();
    drop(fixed);
    assert!(area.iter().all(|&byte| byte == 0));
}

/// Counts its drop, and then unmaps.
struct Owner(Option<areas::Mapping>, Arc<AtomicUsize>);

impl Drop for Owner {
    fn drop(&mut self) {
        drop(self.0.take());
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
#[expect(unsafe_code, reason = "gives a range on this test's word")]
fn a_range_is_kept_by_its_owner_until_nothing_of_it_is_in_use() {
    let whole = SYSTEM.map(&Request::new(4 * page())).unwrap();
    let (start, len) = (NonNull::new(whole.as_ptr()).unwrap(), whole.span());
    let drops = Arc::new(AtomicUsize::new(0));
    let owner = Owner(Some(whole), drops.clone());
    // SAFETY: the owner has the mapping, nothing else knows it, and it is unmapped when the owner
    // is dropped.
    let fixed = unsafe { Fixed::from_raw_parts(start, len, owner) }.unwrap();
    let area = areas::builder(3 * page()).provider(&fixed).private().unwrap();
    drop(fixed);
    assert_eq!(drops.load(Ordering::SeqCst), 0);
    assert!(area.iter().all(|&byte| byte == 0));
    drop(area);
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

/// What the program unmaps itself of it is not in use any more: not handed out again, and not
/// unmapped with the rest.
#[test]
#[expect(unsafe_code, reason = "unmaps a page of an area behind the library's back")]
fn what_was_unmapped_is_released() {
    let fixed = pool(8);
    let area = areas::builder(4 * page()).provider(&fixed).private().unwrap();
    let second = area.as_ptr().wrapping_add(page());
    // SAFETY: nothing uses the page, and the area is reconciled before it is used again.
    unsafe { rustix::mm::munmap(second.cast(), page()) }.unwrap();
    let left = area.reconcile().unwrap();
    assert_eq!(left.iter().map(areas::Area::mapped).collect::<Vec<_>>(), [page(), 2 * page()]);
    let stranger = SYSTEM.map(&Request::new(page()).at(Address::Exactly(second.addr()))).unwrap();
    drop(left);
    assert_eq!((fixed.free(), fixed.largest()), (7 * page(), 6 * page()));
    for _ in 0..2 {
        assert!(areas::builder(7 * page()).provider(&fixed).private().is_err());
        let mut rest = areas::builder(6 * page()).provider(&fixed).private().unwrap();
        rest.fill(1);
    }
    drop(fixed);
    assert_eq!(shown(second.addr()).as_deref(), Some("rw-p"), "a stranger's mapping stays");
    assert!(stranger.as_bytes().unwrap().iter().all(|&byte| byte == 0));
}

/// Memory in parts of memory in parts.
#[test]
fn a_part_can_be_given_on() {
    let fixed = pool(8);
    let inner = Fixed::of(fixed.map(&Request::new(4 * page())).unwrap()).unwrap();
    let area = areas::builder(2 * page()).provider(&inner).private().unwrap();
    drop(inner);
    assert_eq!(fixed.free(), 4 * page());
    drop(area);
    assert_eq!(fixed.free(), 8 * page());
}

#[test]
fn threads_take_and_give_back() {
    let fixed = pool(64);
    std::thread::scope(|scope| {
        for number in 1..5_u8 {
            let fixed = &fixed;
            scope.spawn(move || {
                for round in 0..200_usize {
                    let mut area =
                        areas::builder((round % 7 + 1) * page()).provider(fixed).private().unwrap();
                    assert!(area.iter().all(|&byte| byte == 0));
                    area.fill(number);
                    assert!(area.iter().all(|&byte| byte == number));
                }
            });
        }
    });
    assert_eq!((fixed.free(), fixed.largest()), (64 * page(), 64 * page()));
}
