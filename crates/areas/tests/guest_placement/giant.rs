//! Pages of 1 GiB from the pool of a node that has room for them.

use areas::{Kind, PageSize, Pages, Policy};

use crate::support::machine::pool_free;
use crate::support::{guest, node, nodes, pages};

const GIANT: usize = 1 << 30;

#[test]
fn a_page_of_a_gibibyte_is_on_its_node() {
    guest!();
    // Taken as the machine booted.
    assert_eq!([0, 1].map(|node| pool_free(node, GIANT)), [0, 1]);
    let builder =
        |id| areas::builder(GIANT).pages(Pages::Pool(PageSize::HUGE_1G)).place(Policy::Bind(nodes([id])));
    for error in [builder(0).private().unwrap_err(), builder(0).shared().unwrap_err()] {
        assert_eq!(error.kind(), Kind::NoMemory, "{error:#}");
    }
    assert_eq!(pool_free(1, GIANT), 1, "it is not lost");
    let area = builder(1).shared().unwrap();
    let residency = area.residency().unwrap();
    assert_eq!(residency.page_sizes().unwrap().collect::<Vec<_>>(), [(PageSize::HUGE_1G, GIANT as u64)]);
    assert_eq!(residency.on(node(1)), GIANT as u64);
    assert_eq!(pages::nodes_of(area.as_ptr(), GIANT, GIANT), [1]);
    assert!(area.verify().unwrap().holds());
    assert_eq!(pool_free(1, GIANT), 0);
    drop(area);
    assert_eq!(pool_free(1, GIANT), 1);
}
