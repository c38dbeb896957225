//! Strict accounting (`vm.overcommit_memory=2`): what cannot be promised is refused by its name,
//! and what is promised is there: no touch is a SIGBUS.

use std::sync::atomic::Ordering;

use areas::{Error, ErrorKind};

use super::memory::obey;
use super::support::child::{Stage, test};
use super::{MIB, Setting, in_guest};

#[track_caller]
fn named<T>(result: areas::Result<T>) -> String {
    let error: Error = result.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
    let report = format!("{error:#}");
    for part in
        ["vm.overcommit_memory is 2", "CommitLimit is ", "Committed_AS is ", "sysctl vm.overcommit_kbytes="]
    {
        assert!(report.contains(part), "{part}: {report}");
    }
    report
}

#[test]
fn beyond_the_commit_limit_is_refused_and_within_it_is_backed() {
    let this = test!("beyond_the_commit_limit_is_refused_and_within_it_is_backed");
    if !in_guest(this) {
        return;
    }
    let _kilobytes = this.role().is_none().then(|| Setting::new("/proc/sys/vm/overcommit_kbytes", "204800"));
    let _strict = this.role().is_none().then(|| Setting::new("/proc/sys/vm/overcommit_memory", "2"));
    this.alone(Stage::here(), || {
        // Each would fit into the memory that there is.
        let large = 300 * MIB;
        let report = named(areas::builder(large).shared());
        named(areas::builder(large).private());
        named(areas::builder(large).resizable(large));
        let growable = areas::builder(MIB).growable(2 * large).shared().unwrap();
        named(growable.grow(large));
        assert_eq!((growable.size(), growable.residency().unwrap().resident()), (MIB, 1 << 20));
        growable.grow(8 * MIB).unwrap();
        assert_eq!(growable.residency().unwrap().resident(), 8 << 20);
        let mut resizable = areas::builder(MIB).resizable(2 * large).unwrap();
        named(resizable.resize(large));
        assert_eq!(resizable.size(), MIB);
        resizable.resize(4 * MIB).unwrap();
        // Promised, and so there; a small one, too, once it is known how the kernel counts.
        for size in [100 * MIB, 5000] {
            let area = areas::builder(size).shared().unwrap();
            assert_eq!(area.residency().unwrap().absent(), 0, "{size}");
            for at in (0..size).step_by(4096) {
                area.store(at, 1_u8, Ordering::Relaxed).unwrap();
            }
        }
        obey(&report);
        let area = areas::builder(large).shared().unwrap();
        for at in (0..large).step_by(4096) {
            area.store(at, 1_u8, Ordering::Relaxed).unwrap();
        }
        String::new()
    });
}

/// Where the kernel promises more than it has, nothing is taken before it is touched.
#[test]
fn elsewhere_nothing_is_taken() {
    let this = test!("elsewhere_nothing_is_taken");
    if !in_guest(this) {
        return;
    }
    this.alone(Stage::here(), || {
        let area = areas::builder(100 * MIB).shared().unwrap();
        assert_eq!(area.residency().unwrap().resident(), 0);
        String::new()
    });
}
