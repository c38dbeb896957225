//! Pages that are in use elsewhere: mapped by another process, or pinned.

use std::sync::atomic::Ordering;

use areas::{Area, Policy, Shared, UnmovedReason};

use crate::support::child::{Child, Ended, in_child, without_nice};
use crate::support::memory::expand;
use crate::support::{PAGE, guest, node, nodes};

/// A child that has the pages of that range mapped, until it is dropped.
fn holder(area: &Area<Shared>, pages: std::ops::Range<usize>) -> Child {
    let mut child = Child::start(|line| {
        for page in pages {
            // A read would map its neighbours, too.
            area.store(page * PAGE, 1_u8, Ordering::Relaxed).unwrap();
        }
        line.go();
        line.wait();
    });
    child.wait();
    child
}

fn populated() -> Area<Shared> {
    let mut area = areas::builder(32 * PAGE).place(Policy::Bind(nodes([0]))).shared().unwrap();
    area.populate().unwrap();
    area
}

#[test]
fn root_moves_what_others_have_mapped() {
    guest!();
    let mut area = populated();
    let _other = holder(&area, 0..32);
    let migration = area.migrate(Policy::Bind(nodes([1]))).unwrap();
    assert_eq!((migration.moved(), migration.stayed().len()), (32 * PAGE as u64, 0), "{migration}");
    assert_eq!(expand(&area.residency().unwrap(), PAGE), [1; 32]);
}

#[test]
fn without_the_privilege_they_stay_and_are_named() {
    guest!();
    let ended = in_child(|| {
        without_nice();
        let mut area = populated();
        let other = holder(&area, 8..12);
        let migration = area.migrate(Policy::Bind(nodes([1]))).unwrap();
        assert_eq!(migration.moved(), 28 * PAGE as u64, "{migration}");
        let [stayed] = migration.stayed() else { panic!("{migration}") };
        assert_eq!((stayed.range.clone(), stayed.target), (8 * PAGE..12 * PAGE, node(1)));
        assert_eq!(stayed.why, UnmovedReason::MappedByOthers);
        let [misplaced] = migration.verification().misplaced() else { panic!("{migration}") };
        assert_eq!(misplaced.range, stayed.range);
        assert!(migration.to_string().contains("CAP_SYS_NICE"), "{migration}");
        // Once the other process has gone, they move.
        drop(other);
        let migration = area.migrate(Policy::Bind(nodes([1]))).unwrap();
        assert_eq!(migration.moved(), 4 * PAGE as u64, "{migration}");
        assert!(migration.verification().holds());
    });
    assert_eq!(ended, Ended::Well);
}

/// A pipe holds on to pages that were spliced into it: those, and no others, stay.
#[test]
fn pages_in_a_transfer_stay_and_are_named() {
    guest!();
    let mut area = populated();
    let held = crate::support::pages::hold(area.as_ptr().wrapping_add(10 * PAGE), 4 * PAGE);
    let migration = area.migrate(Policy::Bind(nodes([2]))).unwrap();
    let [stayed] = migration.stayed() else { panic!("{migration}") };
    assert_eq!(
        (stayed.range.clone(), stayed.why),
        (10 * PAGE..14 * PAGE, UnmovedReason::Busy),
        "{migration}"
    );
    assert_eq!(migration.moved(), 28 * PAGE as u64, "{migration}");
    let expected = [[2; 10].as_slice(), &[0; 4], &[2; 18]].concat();
    assert_eq!(expand(&area.residency().unwrap(), PAGE), expected);
    drop(held);
    let migration = area.migrate(Policy::Bind(nodes([2]))).unwrap();
    assert_eq!((migration.moved(), migration.stayed().len()), (4 * PAGE as u64, 0), "{migration}");
}
