//! Pools of huge pages, node by node: a promise or an error, and every page comes back.

use areas::{Kind, PageSize, Pages, Policy};

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
