//! Pools of huge pages, node by node: a promise or an error, and every page comes back.

use std::sync::atomic::Ordering;

use areas::{Kind, Lock, PageSize, Pages, Policy};

use crate::support::machine::{OnCpu, pool, pool_free};
use crate::support::{HUGE, guest, nodes, pages};

const POOL: Pages = Pages::Pool(PageSize::HUGE_2M);

fn bound(size: usize, node: u32) -> areas::AreaBuilder<'static> {
    areas::builder(size).pages(POOL).place(Policy::Bind(nodes([node])))
}

#[test]
fn an_empty_pool_on_one_node_is_an_error() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let _pools = [pool(0, HUGE, 0), pool(1, HUGE, 4)];
    for error in [bound(2 * HUGE, 0).private().unwrap_err(), bound(2 * HUGE, 0).shared().unwrap_err()] {
        assert_eq!(error.kind(), Kind::NoMemory, "{error:#}");
        assert!(error.to_string().contains("bind:0"), "{error}");
        assert!(error.remedy().unwrap().contains("hugepages"), "{error:#}");
    }
    assert_eq!(pool_free(1, HUGE), 4, "nothing stays taken");

    let private = bound(2 * HUGE, 1).private().unwrap();
    assert_eq!(pages::nodes_of(private.as_ptr(), private.mapped(), HUGE), [1, 1]);
    assert_eq!(pool_free(1, HUGE), 2);
    let shared = bound(2 * HUGE, 1).shared().unwrap();
    assert_eq!(pages::nodes_of(shared.as_ptr(), shared.mapped(), HUGE), [1, 1]);
    assert_eq!(pool_free(1, HUGE), 0);
    assert_eq!(bound(1, 1).private().unwrap_err().kind(), Kind::NoMemory);
    drop(private);
    assert_eq!(pool_free(1, HUGE), 2);
    drop(shared);
    assert_eq!(pool_free(1, HUGE), 4);
}

/// The first pages are there, the last one is not: all of them go back.
#[test]
fn a_pool_that_runs_dry_gives_all_back() {
    guest!();
    let _pools = [pool(0, HUGE, 4), pool(2, HUGE, 2)];
    for error in [bound(3 * HUGE, 2).private().unwrap_err(), bound(3 * HUGE, 2).shared().unwrap_err()] {
        assert_eq!(error.kind(), Kind::NoMemory);
        assert_eq!((pool_free(0, HUGE), pool_free(2, HUGE)), (4, 2), "{error:#}");
    }
}

/// Lengths are rounded up to whole pages, and unmapped as such.
#[test]
fn no_page_is_lost_to_an_odd_length() {
    guest!();
    let _pool = pool(3, HUGE, 3);
    for _ in 0..3 {
        let area = bound(HUGE + 5, 3).private().unwrap();
        assert_eq!((area.size(), area.mapped()), (HUGE + 5, 2 * HUGE));
        let sizes: Vec<_> = area.residency().unwrap().page_sizes().unwrap().collect();
        assert_eq!(sizes, [(PageSize::HUGE_2M, 2 * HUGE as u64)]);
        drop(area);
        assert_eq!(pool_free(3, HUGE), 3);
        drop(bound(HUGE + 5, 3).shared().unwrap());
        assert_eq!(pool_free(3, HUGE), 3);
    }
}

#[test]
fn a_preferred_pool_falls_back_and_says_so() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let _pools = [pool(0, HUGE, 0), pool(1, HUGE, 4)];
    for pages in [Pages::PreferPool(PageSize::HUGE_2M), Pages::Auto] {
        for (id, page) in [(0, PageSize::base()), (1, PageSize::HUGE_2M)] {
            let builder = areas::builder(2 * HUGE).pages(pages).place(Policy::Bind(nodes([id])));
            let mut private = builder.private().unwrap();
            private.populate().unwrap();
            assert_eq!(private.granted().page_size, page, "{pages:?} on node {id}");
            assert_eq!(private.granted().fallbacks.is_empty(), id == 1);
            assert!(private.verify().unwrap().holds());
            assert_eq!(private.residency().unwrap().on(crate::support::node(id)), 2 * HUGE as u64);
            let mut shared = builder.shared().unwrap();
            shared.populate().unwrap();
            assert_eq!(shared.granted().page_size, page, "{pages:?} on node {id}, shared");
            assert!(shared.verify().unwrap().holds());
        }
    }
    assert_eq!(pool_free(1, HUGE), 4);
}

/// `auto` without a pool: gathered into transparent huge pages, on the node, as asked and as measured.
#[test]
fn gathered_pages_are_on_their_node() {
    guest!();
    let _pool = pool(3, HUGE, 0);
    let mut area =
        areas::builder(2 * HUGE).pages(Pages::Auto).place(Policy::Bind(nodes([3]))).shared().unwrap();
    area.populate().unwrap();
    assert_eq!(area.granted().gathered, 2 * HUGE);
    let residency = area.residency().unwrap();
    let sizes: Vec<_> = residency.page_sizes().unwrap().collect();
    assert_eq!(sizes, [(PageSize::HUGE_2M, 2 * HUGE as u64)]);
    assert_eq!(residency.on(crate::support::node(3)), 2 * HUGE as u64);
    assert!(pages::nodes_of(area.as_ptr(), area.mapped(), 4096).iter().all(|&on| on == 3));
}

/// Growth takes pages where the area was placed, or none.
#[test]
fn grown_parts_are_on_their_node() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let _pools = [pool(0, HUGE, 4), pool(1, HUGE, 3)];
    let area = bound(HUGE, 1).growable(8 * HUGE).shared().unwrap();
    area.grow(2 * HUGE).unwrap();
    // move_pages knows what this process has touched.
    area.store(2 * HUGE - 1, 1_u8, Ordering::Relaxed).unwrap();
    assert_eq!(pages::nodes_of(area.as_ptr(), 2 * HUGE, HUGE), [1, 1]);
    assert_eq!((pool_free(0, HUGE), pool_free(1, HUGE)), (4, 1));
    // One page is left there; those of the other node do not count, and what was taken on the way goes back.
    let error = area.grow(4 * HUGE).unwrap_err();
    assert_eq!(error.kind(), Kind::NoMemory, "{error:#}");
    assert!(error.to_string().contains("bind:1"), "{error}");
    assert_eq!((area.size(), pool_free(0, HUGE), pool_free(1, HUGE)), (2 * HUGE, 4, 1));
    area.grow(3 * HUGE).unwrap();
    area.store(3 * HUGE - 1, 1_u8, Ordering::Relaxed).unwrap();
    assert_eq!(pages::nodes_of(area.as_ptr(), 3 * HUGE, HUGE), [1, 1, 1]);
    drop(area);
    let mut area = bound(HUGE, 1).resizable(4 * HUGE).unwrap();
    area.resize(3 * HUGE).unwrap();
    for page in 0..3 {
        area.write_at(page * HUGE, b"here").unwrap();
    }
    assert_eq!(pages::nodes_of(area.as_ptr(), 3 * HUGE, HUGE), [1, 1, 1]);
    assert_eq!(area.resize(4 * HUGE).unwrap_err().kind(), Kind::NoMemory);
    assert_eq!((area.size(), pool_free(0, HUGE), pool_free(1, HUGE)), (3 * HUGE, 4, 0));
    area.resize(HUGE).unwrap();
    assert_eq!((pool_free(0, HUGE), pool_free(1, HUGE)), (4, 2));
    drop(area);
    assert_eq!(pool_free(1, HUGE), 3);
    // The thread's own policy is as it was.
    let mut private = areas::builder(HUGE).private().unwrap();
    private.populate().unwrap();
    assert_eq!(pages::nodes_of(private.as_ptr(), 4096, 4096), [0]);
}

/// Pages side by side, on the node that was asked for.
#[test]
fn runs_of_pages_are_on_their_node() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let _pools = [pool(0, HUGE, 4), pool(2, HUGE, 24)];
    let wanted = bound(3 * HUGE, 2).lock(Lock::Contiguous);
    // The pool's list in an order of no use.
    let singles: Vec<_> = (0..24).map(|_| bound(HUGE, 2).private().unwrap()).collect();
    let mut starts: Vec<u64> = singles.iter().map(|page| pages::frames(page.as_ptr(), 4096)[0]).collect();
    starts.sort_unstable();
    let possible = starts.chunk_by(|one, next| one + 512 == *next).any(|run| run.len() >= 3);
    let (even, odd): (Vec<_>, Vec<_>) =
        singles.into_iter().enumerate().partition(|(index, _)| index % 2 == 0);
    drop(even);
    drop(odd);
    assert!(possible, "24 pages of a fresh node have three side by side");
    let area = wanted.shared().unwrap();
    let frames = pages::frames(area.as_ptr(), area.mapped());
    assert!(frames[0] > 0 && frames.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{frames:x?}");
    assert_eq!(pages::nodes_of(area.as_ptr(), 3 * HUGE, HUGE), [2, 2, 2]);
    assert_eq!((pool_free(0, HUGE), pool_free(2, HUGE)), (4, 21));
    // Not on a node that has too few, whatever the others have.
    assert_eq!(bound(5 * HUGE, 0).lock(Lock::Contiguous).shared().unwrap_err().kind(), Kind::NoMemory);
    assert_eq!((pool_free(0, HUGE), pool_free(2, HUGE)), (4, 21));
    drop(area);
    assert_eq!(pool_free(2, HUGE), 24);
}
