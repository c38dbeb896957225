//! Containers whose profile forbids all calls about nodes (podman with runc, Docker): where pages
//! are is reported all the same, as far as the kernel's totals go, and what they do not report is
//! unknown.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use areas::{ErrorKind, Node, PageLocation, Policy, Residency, registry};

use super::sandbox::{Refuse, enter, kills, refuse};
use super::support::child::{Stage, hear, reply, test};
use super::support::folder::Folder;

const PAGE: usize = 4096;

/// What podman's profile has with runc, and Docker's.
fn container() -> Vec<Refuse> {
    [
        libc::SYS_get_mempolicy,
        libc::SYS_mbind,
        libc::SYS_migrate_pages,
        libc::SYS_move_pages,
        libc::SYS_set_mempolicy,
        libc::SYS_set_mempolicy_home_node,
    ]
    .map(|call| refuse(call, libc::EPERM))
    .to_vec()
}

/// All that totals can show: the same as page by page, but for which page is where.
#[track_caller]
fn assert_same(before: &Residency, after: &Residency) {
    let nodes = |residency: &Residency| residency.nodes().collect::<BTreeMap<Node, u64>>();
    assert_eq!(nodes(after), nodes(before), "{after}");
    assert_eq!((after.node_unknown(), after.resident()), (0, before.resident()));
    assert_eq!(
        (after.size(), after.absent(), after.swapped()),
        (before.size(), before.absent(), before.swapped())
    );
    // Where all are on one node, that is the node of each.
    assert_eq!(after.knows_pages(), nodes(before).len() < 2, "{after}");
    let unknown = |run: &areas::Run| matches!(run.place, PageLocation::InRam { .. });
    assert_eq!(after.runs().iter().any(unknown), !after.knows_pages());
    if after.knows_pages() {
        assert_eq!(after.runs(), before.runs());
    }
}

/// Our own areas: reported before and after the filter is there.
#[test]
fn the_nodes_of_areas_are_reported_by_totals() {
    let answer = test!("the_nodes_of_areas_are_reported_by_totals").alone(Stage::default(), || {
        let shared = areas::builder(64 * PAGE).name("ring").shared().unwrap();
        (0..40).for_each(|page| shared.store(page * PAGE, 1_u8, Ordering::Relaxed).unwrap());
        let mut frozen = areas::builder(16 * PAGE).shared().unwrap();
        frozen.populate().unwrap();
        let frozen = frozen.freeze().unwrap();
        // Placed, so that it is a mapping of its own.
        let mut private = areas::builder(8 * PAGE).place(Policy::Local).private().unwrap();
        private.fill(1);
        let resizable = areas::builder(4 * PAGE).resizable(16 * PAGE).unwrap();
        resizable.write_at(0, &[1; 3 * PAGE]).unwrap();
        let measure = || {
            let source = registry::find("ring").unwrap();
            [
                shared.residency().unwrap(),
                source.residency().unwrap(),
                source.measure().unwrap().residency.unwrap(),
                frozen.residency().unwrap(),
                private.residency().unwrap(),
                resizable.residency().unwrap(),
                areas::range::residency(std::ptr::NonNull::new(private.as_ptr()).unwrap(), 8 * PAGE).unwrap(),
            ]
        };
        let before = measure();
        assert_eq!(before[0].resident(), 40 * PAGE as u64);
        enter(&container());
        let after = measure();
        before.iter().zip(&after).for_each(|(before, after)| assert_same(before, after));
        // What takes each page's node says so, where that is not known.
        match (after[0].knows_pages(), shared.verify()) {
            (true, verified) => assert!(verified.unwrap().holds()),
            (false, verified) => assert_eq!(verified.unwrap_err().kind(), ErrorKind::NotPermitted),
        }
        after[0].to_string()
    });
    assert!(answer.starts_with("160 KiB of 256 KiB in RAM (node "), "{answer}");
}

/// Moving is refused, as what it is.
#[test]
fn moving_is_refused_with_the_call() {
    let answer = test!("moving_is_refused_with_the_call").alone(Stage::default(), || {
        let mut area = areas::builder(4 * PAGE).shared().unwrap();
        area.populate().unwrap();
        enter(&container());
        let error = area.migrate(Policy::Local).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotPermitted);
        assert_eq!(area.granted().page_size(), areas::PageSize::base());
        format!("{error:#}")
    });
    assert!(
        answer.contains("mbind(") && answer.contains("EPERM") && answer.contains("CAP_SYS_NICE"),
        "{answer}"
    );
}

/// Another process's area, by a looker that is killed for the call and has said so:
/// `AREAS_WITHOUT=move_pages`.
#[test]
fn who_is_killed_for_the_call_leaves_it_out() {
    let test = test!("who_is_killed_for_the_call_leaves_it_out");
    match test.role().as_deref() {
        None => {
            let folder = Folder::new();
            let registry = folder.join("registry");
            let mut holder = test.spawn(&mut Stage::default().registry(registry.clone()), "holder");
            assert_eq!(holder.hear(), "ready");
            let through = ["env", "AREAS_WITHOUT=move_pages"];
            let mut reader = test.spawn(&mut Stage::through(&through).registry(registry), "reader");
            let answer = reader.hear();
            assert!(answer.starts_with("40.0 KiB of 64.0 KiB in RAM (node "), "{answer}");
            assert!(reader.end().success());
        }
        Some("holder") => {
            let area = areas::builder(64 << 10).name("ring").shared().unwrap();
            (0..10).for_each(|page| area.store(page * PAGE, 7_u8, Ordering::Relaxed).unwrap());
            reply("ready");
            hear();
        }
        Some(_) => {
            enter(&[kills(libc::SYS_move_pages)]);
            reply(&registry::find("ring").unwrap().residency().unwrap().to_string());
        }
    }
}
