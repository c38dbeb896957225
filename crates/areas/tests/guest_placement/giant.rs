//! Pages of 1 GiB from the pool of a node that has room for them.

use std::sync::atomic::Ordering;

use areas::{Area, AreaBuilder, ErrorKind, PageSize, Pages, Policy, Residency};

use crate::support::machine::pool_free;
use crate::support::{guest, node, nodes, pages};

const GIANT: usize = 1 << 30;
/// As many as the node took when the machine booted.
const ALL: u64 = 2;

fn on(id: u32) -> AreaBuilder<'static> {
    areas::builder(GIANT).pages(Pages::Pool(PageSize::HUGE_1G)).place(Policy::Bind(nodes([id])))
}

#[track_caller]
fn is_on_its_node<K: areas::AreaKind>(area: &Area<K>, size: usize) {
    let residency: Residency = area.residency().unwrap();
    assert_eq!(residency.page_sizes().unwrap().collect::<Vec<_>>(), [(PageSize::HUGE_1G, size as u64)]);
    assert_eq!(residency.on(node(1)), size as u64, "{residency}");
    assert!(area.verify().unwrap().holds());
}

#[test]
fn a_page_of_a_gibibyte_is_on_its_node() {
    guest!();
    assert_eq!([0, 1].map(|node| pool_free(node, GIANT)), [0, ALL]);
    for error in [on(0).private().unwrap_err(), on(0).shared().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
        // That node's pool, and its file.
        let text = format!("{error:#}");
        assert!(text.contains("/node0/hugepages/hugepages-1048576kB/nr_hugepages"), "{text}");
    }
    assert_eq!(pool_free(1, GIANT), ALL, "none is lost");
    let mut area = on(1).shared().unwrap();
    is_on_its_node(&area, GIANT);
    assert_eq!(pages::nodes_of(area.as_ptr(), GIANT, GIANT), [1]);
    assert_eq!(pool_free(1, GIANT), ALL - 1);
    // A part of it has no placement of its own, and where there is no room it stays and is named.
    let error = area.place(0x20_0000..GIANT, Policy::Bind(nodes([0]))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:#}");
    let migration = area.migrate(Policy::Bind(nodes([0]))).unwrap();
    assert_eq!((migration.moved(), migration.stayed().len()), (0, 1), "{migration}");
    assert!(!migration.is_placed(), "{migration}");
    is_on_its_node(&area, GIANT);
    drop(area);
    assert_eq!(pool_free(1, GIANT), ALL);
}

/// An area grows by one, and no further than the node's pool: then nothing has changed, and the
/// pool is named.
#[test]
fn areas_grow_by_a_page_of_a_gibibyte() {
    guest!();
    let area = on(1).growable(3 * GIANT).shared().unwrap();
    assert_eq!((area.size(), pool_free(1, GIANT)), (GIANT, ALL - 1), "no more than it has");
    area.store(GIANT - 8, 7_u64, Ordering::Relaxed).unwrap();
    area.grow(2 * GIANT).unwrap();
    is_on_its_node(&area, 2 * GIANT);
    assert_eq!(pages::nodes_of(area.as_ptr(), 2 * GIANT, GIANT), [1, 1]);
    let error = area.grow(3 * GIANT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
    let text = format!("{error:#}");
    assert!(text.contains("/node1/hugepages/hugepages-1048576kB/nr_hugepages"), "{text}");
    assert_eq!(area.size(), 2 * GIANT);
    assert_eq!(area.load::<u64>(GIANT - 8, Ordering::Relaxed).unwrap(), 7);
    drop(area);
    assert_eq!(pool_free(1, GIANT), ALL);
}
