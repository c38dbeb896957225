//! Populating: on the nodes that were asked for, by threads beside them, and not at all where it
//! cannot fit.

use std::collections::BTreeSet;

use areas::{ErrorKind, NodeSet, Policy, Provider as _, System};

use crate::support::machine::{OnCpu, crowd, vmstat};
use crate::support::memory::expand;
use crate::support::{MIB, PAGE, guest, node, nodes};

/// On which processors the threads of populating may run, looked at while they do.
fn processors_of_workers() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        // It may have ended concurrently.
        let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_default();
        if read("comm").trim() == "areas-populate" {
            let status = read("status");
            found.extend(
                status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t")).map(str::to_owned),
            );
        }
    }
    found
}

#[test]
fn threads_work_beside_the_pages() {
    guest!();
    for (policy, expected) in [
        (Policy::Bind(nodes([1])), "2"),
        (Policy::Preferred(node(0)), "0-1"),
        (Policy::Bind(nodes([0, 1])), "0-2"),
        // Where there are no CPUs, all work.
        (Policy::Bind(nodes([2])), "0-2"),
        (Policy::Interleave(NodeSet::ALL), "0-2"),
    ] {
        let mut area = areas::builder(48 * MIB).place(policy).shared().unwrap();
        let mut seen = BTreeSet::new();
        let mut reports = Vec::new();
        area.populate_with(&mut |progress| {
            seen.extend(processors_of_workers());
            reports.push(progress.done);
        })
        .unwrap();
        assert!(seen.iter().all(|cpus| cpus == expected), "{policy}: on {seen:?}");
        assert!(!seen.is_empty(), "{policy}: six chunks, and no thread was seen at any report");
        assert!(reports.is_sorted() && reports.last() == Some(&(48 * MIB)), "{reports:?}");
        assert!(area.verify().unwrap().holds(), "{policy}");
        assert_eq!(area.residency().unwrap().resident(), 48 * MIB as u64);
    }
}

/// Without a placement pages belong beside the thread that asks, whoever does the work.
#[test]
fn pages_without_a_placement_are_beside_the_caller() {
    guest!();
    let _cpu = OnCpu::of_node(1);
    let mut area = areas::builder(20 * MIB).shared().unwrap();
    area.populate().unwrap();
    assert_eq!(area.residency().unwrap().nodes().collect::<Vec<_>>(), [(node(1), 20 * MIB as u64)]);
}

#[test]
fn what_a_node_cannot_hold_is_refused_with_numbers() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let _crowded = crowd(3, 32 * MIB);
    let kills = vmstat("oom_kill");
    let bind = Policy::Bind(nodes([3]));
    let refused = |error: areas::Error| {
        assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
        let facts = error.facts().unwrap().to_owned();
        assert!(facts.starts_with("bind:3 needs 64.0 MiB, node 3 can give "), "{facts}");
        assert!(error.remedy().is_some());
    };
    let mut private = areas::builder(64 * MIB).place(bind).private().unwrap();
    refused(private.populate().unwrap_err());
    assert_eq!(private.residency().unwrap().resident(), 0, "nothing was taken");
    drop(private);
    let mut shared = areas::builder(64 * MIB).place(bind).shared().unwrap();
    refused(shared.populate().unwrap_err());
    assert_eq!(shared.residency().unwrap().resident(), 0);
    // A clone has no placement of its own, and is refused as well: the kernel knows the policy.
    drop(shared);
    // What fits, fits.
    let mut small = areas::builder(8 * MIB).place(bind).shared().unwrap();
    small.populate().unwrap();
    assert!(small.verify().unwrap().holds());
    assert_eq!(vmstat("oom_kill"), kills);
}

/// A full node is in the way of what is bound to it, in part or in stripes, wherever in the area
/// that is.
#[test]
fn parts_that_a_node_cannot_hold_are_refused() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let _crowded = crowd(3, 32 * MIB);
    let kills = vmstat("oom_kill");
    let striped = System::new().striped(nodes([2, 3]), 512);
    let mut area = areas::builder(160 * MIB).provider(&striped).shared().unwrap();
    let error = area.populate().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
    assert!(error.facts().unwrap().contains("bind:3 needs 80.0 MiB, node 3 can give "), "{error:#}");
    drop(area);

    let mut area = areas::builder(100 * MIB).private().unwrap();
    area.place(20 * MIB..100 * MIB, Policy::Bind(nodes([3]))).unwrap();
    let error = area.populate().unwrap_err();
    assert!(error.facts().unwrap().contains("bind:3 needs 80.0 MiB, node 3 can give "), "{error:#}");
    drop(area);

    // The other way round: what the first node cannot hold alone, all of them together can.
    let striped = System::new().striped(nodes([0, 3]), 8);
    let mut area = areas::builder(16 * MIB).provider(&striped).shared().unwrap();
    area.populate().unwrap();
    assert!(area.verify().unwrap().holds());
    let mut area = areas::builder(40 * MIB).shared().unwrap();
    area.place(0..4 * MIB, Policy::Bind(nodes([3]))).unwrap();
    area.populate().unwrap();
    let residency = area.residency().unwrap();
    assert_eq!(residency.on(node(3)), 4 * MIB as u64);
    assert_eq!(vmstat("oom_kill"), kills);
}

/// Preferred is not a promise: it spills, and a measurement says so.
#[test]
fn preferred_spills_and_verify_says_so() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let _crowded = crowd(3, 16 * MIB);
    let mut area = areas::builder(48 * MIB).place(Policy::Preferred(node(3))).shared().unwrap();
    area.populate().unwrap();
    let verification = area.verify().unwrap();
    assert!(!verification.holds());
    assert!(verification.elsewhere() >= 16 * MIB as u64, "{verification}");
    assert_eq!(verification.in_place() + verification.elsewhere(), 48 * MIB as u64);
    let found = expand(&area.residency().unwrap(), PAGE);
    for part in verification.misplaced() {
        let pages = &found[part.range.start / PAGE..part.range.end / PAGE];
        assert!(pages.iter().all(|&on| on == part.node.get() && on != 3), "{part:?}");
    }
}
