//! Parts of an area placed on their own.

use areas::{ErrorKind, PageSize, Pages, Policy};

use crate::support::machine::{OnCpu, pool};
use crate::support::memory::expand;
use crate::support::{HUGE, PAGE, guest, nodes, pages};

#[test]
fn later_parts_cut_earlier_ones() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let expected = [vec![0; 16], vec![1; 8], vec![2; 16], vec![3; 4], vec![0; 20]].concat();
    let place = |area: &mut dyn FnMut(std::ops::Range<usize>, Policy)| {
        area(16..32, Policy::Bind(nodes([1])));
        area(24..42, Policy::Bind(nodes([2])));
        // Rounded up to whole pages.
        area(40..44, Policy::Bind(nodes([3])));
    };
    let bytes = |range: std::ops::Range<usize>| range.start * PAGE..range.end * PAGE - 1;

    let mut private = areas::builder(64 * PAGE).private().unwrap();
    place(&mut |range, policy| private.place(bytes(range), policy).unwrap());
    private.fill(1);
    assert_eq!(pages::nodes_of(private.as_ptr(), private.mapped(), PAGE), expected);
    assert_eq!(expand(&private.residency().unwrap(), PAGE), expected);
    assert!(private.verify().unwrap().holds());

    let mut shared = areas::builder(64 * PAGE).shared().unwrap();
    place(&mut |range, policy| shared.place(bytes(range), policy).unwrap());
    shared.populate().unwrap();
    assert_eq!(pages::nodes_of(shared.as_ptr(), shared.mapped(), PAGE), expected);
    assert!(shared.verify().unwrap().holds());
    let maps = pages::numa_maps(shared.as_ptr(), shared.mapped());
    assert_eq!(maps[0].policy, "default");
}

/// Pages that are there stay; verify names them.
#[test]
fn a_placement_is_for_new_pages() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let mut area = areas::builder(32 * PAGE).private().unwrap();
    area[..16 * PAGE].fill(1);
    area.place(8 * PAGE..32 * PAGE, Policy::Bind(nodes([2]))).unwrap();
    area.fill(2);
    assert_eq!(expand(&area.residency().unwrap(), PAGE), [[0; 16], [2; 16]].concat());
    let verification = area.verify().unwrap();
    assert!(!verification.holds());
    let misplaced = verification.misplaced();
    assert_eq!(misplaced.len(), 1);
    assert_eq!((misplaced[0].range.clone(), misplaced[0].node.get()), (8 * PAGE..16 * PAGE, 0));
    assert_eq!(misplaced[0].asked, nodes([2]));
    assert_eq!(verification.elsewhere(), 8 * PAGE as u64);
}

#[test]
fn parts_of_pool_areas_are_whole_pool_pages() {
    guest!();
    let _pool = pool(0, HUGE, 4);
    let mut area = areas::builder(2 * HUGE)
        .pages(Pages::Pool(PageSize::HUGE_2M))
        .place(Policy::Bind(nodes([0])))
        .private()
        .unwrap();
    let error = area.place(PAGE..HUGE, Policy::Bind(nodes([1]))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:#}");
    assert!(area.verify().unwrap().holds());
}

#[test]
fn ranges_that_are_none_are_refused() {
    guest!();
    let mut area = areas::builder(8 * PAGE).shared().unwrap();
    let bind = Policy::Bind(nodes([1]));
    for (range, kind) in [
        (1..PAGE, ErrorKind::InvalidInput),
        (PAGE / 2..2 * PAGE, ErrorKind::InvalidInput),
        (0..9 * PAGE, ErrorKind::OutOfRange),
        (8 * PAGE..9 * PAGE, ErrorKind::OutOfRange),
        (0..usize::MAX, ErrorKind::OutOfRange),
        (std::ops::Range { start: 4 * PAGE, end: 2 * PAGE }, ErrorKind::InvalidInput),
    ] {
        let error = area.place(range.clone(), bind).unwrap_err();
        assert_eq!(error.kind(), kind, "{range:?}: {error:#}");
    }
    area.populate().unwrap();
    assert!(area.verify().unwrap().holds());
    assert_eq!(pages::numa_maps(area.as_ptr(), area.mapped())[0].policy, "default");
}
