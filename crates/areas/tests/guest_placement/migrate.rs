//! Moving areas to other nodes and back, with what they hold.

use std::sync::atomic::Ordering;

use areas::{NodeSet, PageSize, Pages, Policy, UnmovedReason};

use crate::support::machine::{OnCpu, SLACK, crowd, has_weights, pool, pool_free, weights};
use crate::support::memory::expand;
use crate::support::{HUGE, MIB, PAGE, assert_goes_round, guest, node, nodes, pages};

/// What a byte of the area holds: different on every page.
fn content(at: usize) -> u8 {
    u8::try_from(at / PAGE % 251).unwrap()
}

#[test]
fn private_pages_go_there_and_back() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let mut area = areas::builder(MIB).private().unwrap();
    for at in 0..MIB {
        area[at] = content(at);
    }
    for id in [3, 2, 1, 0] {
        let migration = area.migrate(Policy::Bind(nodes([id]))).unwrap();
        assert_eq!(migration.moved(), MIB as u64, "{migration}");
        assert_eq!(migration.stayed(), []);
        assert!(migration.verification().holds());
        assert_eq!(pages::nodes_of(area.as_ptr(), MIB, PAGE), [id; MIB / PAGE]);
        assert_eq!(area.residency().unwrap().on(node(id)), MIB as u64);
        assert_eq!(area.placement().policy(), Policy::Bind(nodes([id])));
    }
    assert!((0..MIB).all(|at| area[at] == content(at)));
    // Once there, there is nothing to do.
    assert_eq!(area.migrate(Policy::Bind(nodes([0, 1]))).unwrap().moved(), 0);
}

#[test]
fn shared_pages_go_there_and_back() {
    guest!();
    let mut area = areas::builder(MIB).place(Policy::Bind(nodes([1]))).shared().unwrap();
    for at in (0..MIB).step_by(PAGE) {
        area.write_at(at, &[content(at)]).unwrap();
    }
    for id in [3, 0, 1] {
        let mut reports = Vec::new();
        let migration =
            area.migrate_with(Policy::Preferred(node(id)), &mut |progress| reports.push(progress)).unwrap();
        assert_eq!((migration.moved(), migration.stayed().len()), (MIB as u64, 0), "{migration}");
        assert_eq!(expand(&area.residency().unwrap(), PAGE), [id; MIB / PAGE]);
        let last = reports.last().unwrap();
        assert_eq!((last.done, last.total), (MIB, MIB));
    }
    assert!((0..MIB).step_by(PAGE).all(|at| area.load::<u8>(at, Ordering::Relaxed).unwrap() == content(at)));
    // New pages come from where it was moved to.
    let maps = pages::numa_maps(area.as_ptr(), MIB);
    assert_eq!(maps[0].policy, "prefer:1");
}

#[test]
fn holes_stay_holes() {
    guest!();
    let mut area = areas::builder(64 * PAGE).place(Policy::Bind(nodes([0]))).shared().unwrap();
    for at in (0..64 * PAGE).step_by(2 * PAGE) {
        area.write_at(at, b"x").unwrap();
    }
    let migration = area.migrate(Policy::Bind(nodes([2]))).unwrap();
    assert_eq!(migration.moved(), 32 * PAGE as u64);
    assert_eq!(migration.verification().not_in_ram(), 32 * PAGE as u64);
    area.populate().unwrap();
    assert_eq!(expand(&area.residency().unwrap(), PAGE), [2; 64]);
}

#[test]
fn interleaving_and_back() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let mut private = areas::builder(64 * PAGE).private().unwrap();
    private.fill(5);
    let mut shared = areas::builder(64 * PAGE).shared().unwrap();
    shared.populate().unwrap();
    let set = nodes([0, 1, 2, 3]);
    for round in 0..2 {
        let migrations = [
            private.migrate(Policy::Interleave(NodeSet::ALL)).unwrap(),
            shared.migrate(Policy::Interleave(set)).unwrap(),
        ];
        for migration in migrations {
            assert_eq!(migration.moved(), 48 * PAGE as u64, "round {round}: {migration}");
            assert!(migration.verification().holds());
        }
        for residency in [private.residency().unwrap(), shared.residency().unwrap()] {
            assert_goes_round(&expand(&residency, PAGE), &[0, 1, 2, 3], "interleaved");
        }
        // Dealt out already: nothing moves.
        assert_eq!(shared.migrate(Policy::Interleave(set)).unwrap().moved(), 0);
        for migration in [private.migrate(Policy::Bind(nodes([3]))), shared.migrate(Policy::Bind(nodes([3])))]
        {
            assert_eq!(migration.unwrap().moved(), 48 * PAGE as u64, "round {round}");
        }
    }
    // Some of the nodes only: every page moves at most once.
    shared.migrate(Policy::Interleave(set)).unwrap();
    let migration = shared.migrate(Policy::Interleave(nodes([1, 2]))).unwrap();
    assert_goes_round(&expand(&shared.residency().unwrap(), PAGE), &[1, 2], "on two of four");
    assert!(migration.moved() >= 32 * PAGE as u64);
    assert!(private.iter().all(|&byte| byte == 5));
}

#[test]
fn weights_are_obeyed_when_moving() {
    guest!();
    if !has_weights() {
        let mut area = areas::builder(PAGE).private().unwrap();
        let error = area.migrate(Policy::WeightedInterleave(nodes([0, 1]))).unwrap_err();
        assert_eq!(error.kind(), areas::ErrorKind::Unsupported);
        return;
    }
    let _weights = weights(&[5, 2]);
    let mut area = areas::builder(448 * PAGE).place(Policy::Bind(nodes([2]))).shared().unwrap();
    area.populate().unwrap();
    let migration = area.migrate(Policy::WeightedInterleave(nodes([0, 1]))).unwrap();
    assert_eq!(migration.moved(), 448 * PAGE as u64);
    let residency = area.residency().unwrap();
    assert_eq!([0, 1].map(|id| residency.on(node(id)) / PAGE as u64), [320, 128]);
}

#[test]
fn huge_pages_move_whole() {
    guest!();
    let _pools = [pool(1, HUGE, 2), pool(2, HUGE, 2)];
    let bind = |id| Policy::Bind(nodes([id]));
    let mut private =
        areas::builder(2 * HUGE).pages(Pages::Pool(PageSize::HUGE_2M)).place(bind(1)).private().unwrap();
    private[HUGE] = 9;
    let migration = private.migrate(bind(2)).unwrap();
    assert_eq!((migration.moved(), migration.stayed().len()), (2 * HUGE as u64, 0), "{migration}");
    assert_eq!(pages::nodes_of(private.as_ptr(), 2 * HUGE, HUGE), [2, 2]);
    assert_eq!(private[HUGE], 9);
    assert_eq!((pool_free(1, HUGE), pool_free(2, HUGE)), (2, 0));
    drop(private);

    // Transparent ones, collapsed.
    let mut shared = areas::builder(2 * HUGE).pages(Pages::Auto).place(bind(0)).shared().unwrap();
    shared.populate().unwrap();
    assert_eq!(shared.granted().collapsed(), 2 * HUGE);
    let migration = shared.migrate(bind(3)).unwrap();
    assert_eq!((migration.moved(), migration.stayed().len()), (2 * HUGE as u64, 0), "{migration}");
    let residency = shared.residency().unwrap();
    assert_eq!(residency.on(node(3)), 2 * HUGE as u64);
    let mut sizes = residency.page_sizes().unwrap();
    assert_eq!(sizes.next(), Some((PageSize::HUGE_2M, 2 * HUGE as u64)), "still huge");
}

/// What there is no room for stays, and is reported; the rest is where it was asked to be.
#[test]
fn a_full_node_takes_what_it_can() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let _crowded = crowd(3, 16 * MIB);
    let mut area = areas::builder(40 * MIB).place(Policy::Bind(nodes([0]))).shared().unwrap();
    area.populate().unwrap();
    let migration = area.migrate(Policy::Bind(nodes([3]))).unwrap();
    let stayed: u64 = migration.stayed().iter().map(|part| part.range.len() as u64).sum();
    assert!(
        migration.stayed().iter().all(|part| part.why == UnmovedReason::NoRoom && part.target == node(3)),
        "{migration}"
    );
    assert_eq!(migration.moved() + stayed, 40 * MIB as u64, "{migration}");
    assert!(stayed >= (40 * MIB - 16 * MIB - SLACK) as u64, "{migration}");
    assert_eq!(migration.verification().elsewhere(), stayed);
    assert!(!area.verify().unwrap().holds());
    let back = area.migrate(Policy::Bind(nodes([0]))).unwrap();
    assert_eq!(back.moved(), migration.moved());
    assert!(back.verification().holds());
}
