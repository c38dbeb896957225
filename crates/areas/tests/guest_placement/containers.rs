//! Where `move_pages` is forbidden, as in a container: totals by node are the kernel's, single
//! pages are unknown unless all are on one node. What is true is learnt by the parent's own
//! `move_pages`, in which nothing is forbidden.

use std::collections::BTreeMap;

use areas::{Area, ErrorKind, PageLocation, PageSize, Pages, Policy, Residency, Shared};

use crate::sandbox::{enter, refuse};
use crate::support::child::{Ended, in_child};
use crate::support::machine::pool;
use crate::support::{HUGE, MIB, PAGE, guest, node, nodes, pages};

fn counted(nodes: &[u32], page: usize) -> BTreeMap<u32, u64> {
    nodes.iter().fold(BTreeMap::new(), |mut all, &node| {
        *all.entry(node).or_default() += page as u64;
        all
    })
}

fn reported(residency: &Residency) -> BTreeMap<u32, u64> {
    residency.nodes().map(|(node, bytes)| (node.get(), bytes)).collect()
}

/// In a child that may not ask for nodes.
#[track_caller]
fn contained(body: impl FnOnce()) {
    let ended = in_child(|| {
        let calls = [libc::SYS_move_pages, libc::SYS_get_mempolicy, libc::SYS_mbind, libc::SYS_set_mempolicy];
        enter(&calls.map(|call| refuse(call, libc::EPERM)));
        body();
    });
    assert_eq!(ended, Ended::Well);
}

fn placed(policy: Policy) -> (Area<Shared>, BTreeMap<u32, u64>) {
    let mut area = areas::builder(64 * PAGE).place(policy).shared().unwrap();
    area.populate().unwrap();
    let truth = counted(&pages::nodes_of(area.as_ptr(), 64 * PAGE, PAGE), PAGE);
    (area, truth)
}

#[test]
fn interleaved_pages_are_reported_as_totals() {
    guest!();
    for set in [nodes([0, 1]), nodes([1, 3]), nodes([0, 1, 2, 3])] {
        let (area, truth) = placed(Policy::Interleave(set));
        assert_eq!(truth.len(), set.len());
        contained(|| {
            let residency = area.residency().unwrap();
            assert_eq!(reported(&residency), truth, "{residency}");
            assert_eq!((residency.node_unknown(), residency.knows_pages()), (0, false));
            let [run] = residency.runs() else { panic!("{residency:?}") };
            assert_eq!(
                (run.range.clone(), run.place),
                (0..64 * PAGE, PageLocation::InRam { page: PageSize::base() })
            );
            assert!(residency.to_string().contains(", which pages unknown)"), "{residency}");
            // Not in place, and not elsewhere: it is not known.
            assert_eq!(area.verify().unwrap_err().kind(), ErrorKind::NotPermitted);
        });
    }
}

#[test]
fn pages_of_one_node_are_known_one_by_one() {
    guest!();
    for id in 0..4 {
        let (area, truth) = placed(Policy::Bind(nodes([id])));
        contained(|| {
            let residency = area.residency().unwrap();
            assert_eq!(reported(&residency), truth);
            assert!(residency.knows_pages() && residency.on(node(id)) == 64 * PAGE as u64);
            assert!(area.verify().unwrap().holds());
        });
    }
}

/// By another process, which maps it for the measurement: what it has not touched itself is
/// reported, too. In parts of 128 MiB, each of which may be on one node alone.
#[test]
fn areas_of_others_are_reported_by_totals() {
    guest!();
    let area =
        areas::builder(256 * MIB).name("wide").place(Policy::Interleave(nodes([1, 2]))).shared().unwrap();
    let touch = |at: usize| area.store(at, 1_u8, std::sync::atomic::Ordering::Relaxed).unwrap();
    (0..10).for_each(|page| touch(page * PAGE));
    // Every other page of the second part, so that all of these are on one node.
    let parity = |page: usize| pages::nodes_of(area.as_ptr().wrapping_add(page * PAGE), PAGE, PAGE)[0];
    let far = 200 * MIB / PAGE;
    (0..6).map(|turn| far + 2 * turn).for_each(|page| touch(page * PAGE));
    let first = (0..10).map(parity).collect::<Vec<_>>();
    let second = (0..6).map(|turn| parity(far + 2 * turn)).collect::<Vec<_>>();
    assert!(second.iter().all(|&on| on == second[0]), "{second:?}");
    let truth = counted(&[first, second.clone()].concat(), PAGE);
    contained(|| {
        let residency = areas::registry::find("wide").unwrap().residency().unwrap();
        assert_eq!(reported(&residency), truth, "{residency}");
        assert_eq!(residency.resident(), 16 * PAGE as u64);
        assert!(!residency.knows_pages());
        let known: usize = residency
            .runs()
            .iter()
            .filter(|run| matches!(run.place, PageLocation::On { node, .. } if node.get() == second[0]))
            .map(|run| run.range.len())
            .sum();
        assert_eq!(known, 6 * PAGE, "those of the second part: {residency:?}");
    });
}

#[test]
fn private_memory_and_pages_of_the_pool() {
    guest!();
    let mut private = areas::builder(32 * PAGE).place(Policy::Interleave(nodes([0, 2]))).private().unwrap();
    private.fill(1);
    let truth = counted(&pages::nodes_of(private.as_ptr(), 32 * PAGE, PAGE), PAGE);
    contained(|| {
        let residency = private.residency().unwrap();
        assert_eq!((reported(&residency), residency.node_unknown()), (truth, 0), "{residency}");
    });

    let _pools = [pool(0, HUGE, 2), pool(1, HUGE, 2)];
    let builder = areas::builder(4 * HUGE).pages(Pages::Pool(PageSize::HUGE_2M));
    let area = builder.place(Policy::Interleave(nodes([0, 1]))).shared().unwrap();
    let truth = counted(&pages::nodes_of(area.as_ptr(), 4 * HUGE, HUGE), HUGE);
    contained(|| {
        let residency = area.residency().unwrap();
        assert_eq!((reported(&residency), residency.node_unknown()), (truth, 0), "{residency}");
        let sizes: Vec<_> = residency.page_sizes().unwrap().collect();
        assert_eq!(sizes, [(PageSize::HUGE_2M, 4 * HUGE as u64)]);
    });
}

/// A mapping that reaches beyond what is measured: its totals are of other memory, too, and are not
/// taken.
#[test]
fn parts_of_a_mapping_are_unknown() {
    guest!();
    let (area, _) = placed(Policy::Interleave(nodes([0, 1])));
    let start = std::ptr::NonNull::new(area.as_ptr()).unwrap();
    contained(|| {
        // Of what is not an area, our own page tables are asked, and a child has none of shared
        // memory until it touches it.
        (0..64).for_each(|page| drop(area.load::<u8>(page * PAGE, std::sync::atomic::Ordering::Relaxed)));
        let part = areas::range::residency(start, 16 * PAGE).unwrap();
        assert_eq!((reported(&part), part.node_unknown()), (BTreeMap::new(), 16 * PAGE as u64), "{part}");
        assert!(part.to_string().contains("node unknown: 64.0 KiB"), "{part}");
        let whole = areas::range::residency(start, 64 * PAGE).unwrap();
        assert_eq!(whole.node_unknown(), 0, "{whole}");
    });
}
