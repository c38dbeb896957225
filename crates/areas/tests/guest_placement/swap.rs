//! Swap: what is not locked leaves RAM when its control group is short of it, and measuring does not bring it back.

use std::sync::atomic::Ordering;

use areas::{Area, Lock, Shared, Where};

use crate::support::child::{Ended, in_child};
use crate::support::group::Group;
use crate::support::machine::vmstat;
use crate::support::{MIB, PAGE, guest};

const SIZE: usize = 4 * MIB;
/// Room for what is locked and little else.
const LIMIT: usize = 20 * MIB;

/// Pages: this process's own heap and code are in the group as well, and come and go.
const FEW: u64 = 100;

#[track_caller]
fn few_came_in(before: u64) {
    let now = vmstat("pswpin");
    assert!(now - before < FEW, "{} pages were swapped in", now - before);
}

fn fill(area: &Area<Shared>) {
    for at in (0..area.size()).step_by(PAGE) {
        area.write_at(at, &[u8::try_from(at / PAGE % 251).unwrap()]).unwrap();
    }
}

#[test]
fn unlocked_pages_leave_and_locked_ones_stay() {
    guest!();
    let group = Group::new("memory", &[("memory.max", &LIMIT.to_string())]);
    let ended = in_child(|| {
        group.enter();
        let of = |lock| areas::builder(SIZE).lock(lock).shared().unwrap();
        let (none, lazy, full) = (of(Lock::None), of(Lock::Lazy), of(Lock::Full));
        let mut private = areas::builder(SIZE).private().unwrap();
        private.fill(3);
        for area in [&none, &lazy, &full] {
            fill(area);
        }
        // Larger than the group: somebody has to go.
        let pressure = areas::builder(32 * MIB).shared().unwrap();
        fill(&pressure);
        assert!(group.number("memory.swap.current") > 8 * MIB as u64);

        let before = vmstat("pswpin");
        let (gone, gone_privately) = (none.residency().unwrap(), private.residency().unwrap());
        for residency in [&gone, &gone_privately] {
            let swapped = residency.swapped().unwrap();
            assert!(swapped >= SIZE as u64 / 2, "{residency}");
            assert_eq!(residency.resident() + swapped, SIZE as u64, "{residency}");
            assert!(residency.runs().iter().any(|run| run.place == Where::Swapped));
        }
        for area in [&lazy, &full] {
            let residency = area.residency().unwrap();
            assert_eq!((residency.resident(), residency.swapped()), (SIZE as u64, Some(0)), "{residency}");
        }
        // A measurement brings nothing in, a second one sees the same.
        assert_eq!(none.residency().unwrap(), gone);
        assert_eq!(private.residency().unwrap(), gone_privately);
        // Verifying is measuring.
        assert_eq!(none.verify().unwrap().not_in_ram(), SIZE as u64 - gone.resident());
        few_came_in(before);
        // And all of it is still what it was.
        assert!(private.iter().all(|&byte| byte == 3));
        for at in (0..SIZE).step_by(PAGE) {
            assert_eq!(usize::from(none.load::<u8>(at, Ordering::Relaxed).unwrap()), at / PAGE % 251);
        }
        assert!(vmstat("pswpin") > before + 2 * FEW, "reading it brought it in");
    });
    assert_eq!(ended, Ended::Well);
}

/// What others ask about a published area: bytes in RAM, without the swapped ones.
#[test]
fn resident_bytes_of_others_do_not_count_swapped_ones() {
    guest!();
    let group = Group::new("memory", &[("memory.max", &LIMIT.to_string())]);
    let ended = in_child(|| {
        group.enter();
        let area = areas::builder(SIZE).name("swapped").shared().unwrap();
        fill(&area);
        let pressure = areas::builder(32 * MIB).shared().unwrap();
        fill(&pressure);
        let source = areas::registry::find("swapped").unwrap();
        let before = vmstat("pswpin");
        let residency = source.residency().unwrap();
        assert!(residency.swapped().unwrap() >= SIZE as u64 / 2, "{residency}");
        assert_eq!(source.resident().unwrap(), residency.resident());
        assert_eq!(source.residency().unwrap(), residency);
        few_came_in(before);
    });
    assert_eq!(ended, Ended::Well);
}

/// Populating more than the group may have is refused; the group's killer stays away.
#[test]
fn a_group_that_cannot_hold_it_is_named() {
    guest!();
    let group = Group::new("memory", &[("memory.max", &LIMIT.to_string())]);
    let kills = vmstat("oom_kill");
    let ended = in_child(|| {
        group.enter();
        let mut area = areas::builder(48 * MIB).shared().unwrap();
        let error = area.populate().unwrap_err();
        assert_eq!(error.kind(), areas::Kind::NoMemory);
        assert!(
            error.facts().unwrap().contains("control group /test-memory (memory.max is 20.0 MiB, "),
            "{error:#}"
        );
        assert_eq!(area.residency().unwrap().resident(), 0);
    });
    assert_eq!(ended, Ended::Well);
    assert_eq!(vmstat("oom_kill"), kills);
}
