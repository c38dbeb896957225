//! Huge pages: of the pool as a promise, preferred, or automatic; measured by residency, smaps and
//! the pool's own counts.
//!
//! Tests that fill the pool are named `machine_…`: they have it to themselves.

use areas::{ErrorKind, PageSize, Pages};
use areas_testing::smaps;

use super::support::child::{Stage, test};
pub(super) use super::support::pool::{Filled, POOL, count, pool};
use super::support::{is_root, kernel, skip};
use super::{bytes, page};

const MIB: usize = 1 << 20;

/// Bytes in pages of 2 MiB, measured.
fn huge_bytes(residency: &areas::Residency) -> u64 {
    let sizes = residency.page_sizes().unwrap();
    sizes.filter(|(page, _)| *page == PageSize::HUGE_2M).map(|(_, bytes)| bytes).sum()
}

#[test]
fn machine_an_empty_pool_is_an_error_with_a_remedy() {
    let _pool = pool();
    if count("free_hugepages") > 0 {
        return skip("area::huge::machine_an_empty_pool_is_an_error_with_a_remedy", "the pool has pages");
    }
    let builder = areas::builder(MIB).pages(Pages::Pool(PageSize::HUGE_2M));
    for error in [builder.private().unwrap_err(), builder.shared().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:?}");
        assert!(error.remedy().unwrap().contains(&format!("{POOL}/nr_hugepages")), "{error:#}");
        assert!(error.facts().unwrap().contains("1 wanted"), "{error:#}");
    }
    // A size that this machine has no pool of.
    let odd = PageSize::of(64 << 20).unwrap();
    let builder = areas::builder(MIB).pages(Pages::Pool(odd));
    for error in [builder.private().unwrap_err(), builder.shared().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    }
}

#[test]
fn machine_preferring_an_empty_pool_gives_base_pages_and_says_so() {
    let _pool = pool();
    if count("free_hugepages") > 0 {
        return skip(
            "area::huge::machine_preferring_an_empty_pool_gives_base_pages_and_says_so",
            "the pool has pages",
        );
    }
    let builder = areas::builder(5000).pages(Pages::PreferPool(PageSize::HUGE_2M));
    let (private, shared) = (builder.private().unwrap(), builder.shared().unwrap());
    for granted in [private.granted(), shared.granted()] {
        assert_eq!((granted.page_size(), granted.mapped()), (PageSize::base(), 2 * page()));
        let [fallback] = granted.fallbacks() else { panic!("{:?}", granted.fallbacks()) };
        assert_eq!((&*fallback.asked, &*fallback.given), ("2 MiB hugetlb pages", "base pages"));
        assert_eq!(fallback.because.kind(), ErrorKind::NoMemory);
    }
    assert!(areas::builder(5000).private().unwrap().granted().fallbacks().is_empty());
}

#[test]
fn machine_a_filled_pool_gives_what_was_asked() {
    const NAME: &str = "area::huge::machine_a_filled_pool_gives_what_was_asked";
    let Some(pool) = Filled::with(8, NAME) else { return };
    let free = count("free_hugepages");
    let size = 5_000_000;
    let builder = areas::builder(size).pages(Pages::Pool(PageSize::HUGE_2M));
    let mut private = builder.private().unwrap();
    let shared = builder.shared().unwrap();
    assert_eq!((private.size(), private.len(), private.mapped()), (size, size, 6 * MIB));
    assert_eq!((shared.size(), shared.mapped(), shared.reserve()), (size, 6 * MIB, 6 * MIB));
    // Taken at once: a pool that runs dry later would be a SIGBUS.
    assert_eq!(count("free_hugepages"), free - 6);
    assert_eq!(kernel::allocated(&shared), 6 << 20);
    for residency in [private.residency().unwrap(), shared.residency().unwrap()] {
        assert_eq!((residency.resident(), huge_bytes(&residency)), (6 << 20, 6 << 20));
    }
    assert_eq!(smaps::at(shared.as_ptr().addr()).unwrap().bytes("KernelPageSize"), 2 * MIB);
    assert!(private.iter().all(|&byte| byte == 0));
    private[size - 1] = 1;
    shared.write_at(size - 3, b"end").unwrap();
    assert_eq!(shared.write_at(size - 2, b"end").unwrap_err().kind(), ErrorKind::OutOfRange);
    // The pool is empty but for two pages: the third area cannot be, and takes none.
    let error = builder.shared().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:?}");
    assert_eq!(count("free_hugepages"), free - 6, "a failed request keeps no page");
    let frozen = shared.freeze().unwrap();
    assert_eq!((frozen.len(), &frozen[size - 3..]), (size, &b"end"[..]));
    drop(private);
    assert_eq!(count("free_hugepages"), free - 3, "its pages are back");
    drop(frozen);
    assert_eq!((count("free_hugepages"), count("resv_hugepages")), (free, 0));
    drop(pool);
}

#[test]
fn machine_auto_takes_the_pool_first() {
    const NAME: &str = "area::huge::machine_auto_takes_the_pool_first";
    let Some(_pool) = Filled::with(4, NAME) else { return };
    let builder = areas::builder(3 * MIB).pages(Pages::Auto);
    let (private, shared) = (builder.private().unwrap(), builder.shared().unwrap());
    for granted in [private.granted(), shared.granted()] {
        assert_eq!((granted.page_size(), granted.fallbacks().len()), (PageSize::HUGE_2M, 0));
    }
    // No page is left for a third, which gets the next best.
    let third = builder.shared().unwrap();
    assert_eq!((third.granted().page_size(), third.granted().fallbacks().len()), (PageSize::base(), 1));
    let preferred = areas::builder(1).pages(Pages::PreferPool(PageSize::HUGE_2M)).shared().unwrap();
    assert_eq!(preferred.granted().page_size(), PageSize::base());
}

#[test]
fn machine_clones_in_pool_pages_have_the_exact_size() {
    let this = test!("machine_clones_in_pool_pages_have_the_exact_size");
    if this.role().is_none() && !is_root() {
        return skip(this.0, "filling the pool of huge pages needs root");
    }
    let answer = this.alone(Stage::default(), || {
        let Some(_pool) = Filled::with(3, this.0) else { return "skipped".to_owned() };
        let area =
            areas::builder(5_000_000).pages(Pages::Pool(PageSize::HUGE_2M)).name("pool").shared().unwrap();
        area.write_at(4_999_998, b"ok").unwrap();
        let source = areas::registry::find("pool").unwrap();
        let clone = source.open().unwrap();
        assert_eq!((clone.size(), clone.granted().page_size()), (5_000_000, PageSize::HUGE_2M));
        assert_eq!(&bytes(&clone)[4_999_998..], b"ok");
        assert_eq!(huge_bytes(&source.residency().unwrap()), 6 << 20);
        assert_eq!(source.info().unwrap().size, 5_000_000);
        drop((area, clone));
        String::new()
    });
    assert!(["", "skipped"].contains(&&*answer));
}

#[test]
fn machine_auto_without_a_pool_collapses_transparent_ones() {
    const NAME: &str = "area::huge::machine_auto_without_a_pool_collapses_transparent_ones";
    let _pool = pool();
    if count("free_hugepages") > 0 {
        return skip(NAME, "the pool has pages");
    }
    let size = 9 * MIB + 5;
    let builder = areas::builder(size).pages(Pages::Auto);
    let mut shared = builder.shared().unwrap();
    shared.write_at(size - 1, b"x").unwrap();
    shared.populate().unwrap();
    let residency = shared.residency().unwrap();
    let granted = shared.granted();
    let [fallback] = granted.fallbacks() else { panic!("{granted:?}") };
    assert_eq!(fallback.because.kind(), ErrorKind::NoMemory);
    assert!(fallback.given.contains("transparent"), "{fallback:?}");
    // All that whole huge pages can hold, and not one byte beyond the end.
    assert_eq!((granted.collapsed(), huge_bytes(&residency)), (8 * MIB, 8 << 20), "{residency}");
    assert_eq!(residency.resident(), size.next_multiple_of(page()) as u64);
    assert_eq!(smaps::at(shared.as_ptr().addr()).unwrap().bytes("ShmemPmdMapped"), 8 * MIB);
    assert_eq!(kernel::allocated(&shared), size.next_multiple_of(page()) as u64);
    let all = bytes(&shared);
    assert!(all[..size - 1].iter().all(|&byte| byte == 0) && all[size - 1] == b'x');

    let mut private = builder.private().unwrap();
    private.populate().unwrap();
    let residency = private.residency().unwrap();
    assert_eq!((private.granted().collapsed(), huge_bytes(&residency)), (8 * MIB, 8 << 20), "{residency}");
}

#[test]
fn auto_grows_in_base_pages() {
    let area = areas::builder(1).growable(8 * MIB).pages(Pages::Auto).shared().unwrap();
    area.grow(8 * MIB).unwrap();
    assert_eq!(area.size(), 8 * MIB);
}

/// Private hugetlb pages are copied as any private memory is, when one side writes. Where the pool
/// has no page for that, the kernel lets the parent have the one that there is, and the child
/// faults when it comes to it.
#[test]
fn machine_of_private_pool_pages_the_parent_keeps_its_own() {
    const TEST: &str = "area::huge::machine_of_private_pool_pages_the_parent_keeps_its_own";
    test!("machine_of_private_pool_pages_the_parent_keeps_its_own").alone(Stage::default(), || {
        let Some(_filled) = Filled::with(2, TEST) else { return String::new() };
        let free = count("free_hugepages") - count("resv_hugepages");
        // All that there are.
        let builder = areas::builder(free * 2 * MIB).pages(Pages::Pool(PageSize::HUGE_2M));
        let Ok(mut area) = builder.private() else {
            skip(TEST, "others took hugetlb pages concurrently");
            return String::new();
        };
        area.fill(1);
        // SAFETY: the child writes one byte and leaves: it calls nothing that another thread's
        // mutex could stop.
        #[expect(unsafe_code, reason = "a child that shares the pages")]
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            area[0] = 2;
            // SAFETY: ends the child at once.
            #[expect(unsafe_code, reason = "a child that shares the pages")]
            unsafe {
                libc::_exit(0)
            };
        }
        let pid = rustix::process::Pid::from_raw(pid);
        let status = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap().unwrap().1;
        let killed_by = status.terminating_signal();
        assert!(killed_by == Some(libc::SIGBUS) || count("free_hugepages") > 0, "{killed_by:?}");
        // The parent writes all the same, while a child has the pages, too.
        area.fill(3);
        assert!(area.iter().all(|&byte| byte == 3));
        String::new()
    });
}
