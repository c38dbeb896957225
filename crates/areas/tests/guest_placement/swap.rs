//! Swap: what is not locked leaves RAM when its control group is short of it, and measuring does
//! not bring it back.

use std::sync::atomic::Ordering;

use areas::{Area, Lock, PageLocation, Policy, Shared};

use crate::support::child::{Ended, in_child};
use crate::support::group::Group;
use crate::support::machine::{OnCpu, Setting, vmstat};
use crate::support::{MIB, PAGE, assert_goes_round, guest, node, nodes, pages};

pub(crate) const SIZE: usize = 4 * MIB;
/// Room for what is locked and little else.
const LIMIT: usize = 20 * MIB;

/// Pages: this process's own heap and code are in the group as well, and come and go.
const FEW: u64 = 100;

#[track_caller]
fn few_came_in(before: u64) {
    let now = vmstat("pswpin");
    assert!(now - before < FEW, "{} pages were swapped in", now - before);
}

pub(crate) fn fill(area: &Area<Shared>) {
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
        // Larger than the group: a process has to go.
        let pressure = areas::builder(32 * MIB).shared().unwrap();
        fill(&pressure);
        assert!(group.number("memory.swap.current") > 8 * MIB as u64);

        let before = vmstat("pswpin");
        let (gone, gone_privately) = (none.residency().unwrap(), private.residency().unwrap());
        for residency in [&gone, &gone_privately] {
            let swapped = residency.swapped().unwrap();
            assert!(swapped >= SIZE as u64 / 2, "{residency}");
            assert_eq!(residency.resident() + swapped, SIZE as u64, "{residency}");
            assert!(residency.runs().iter().any(|run| run.place == PageLocation::Swapped));
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
        assert_eq!(error.kind(), areas::ErrorKind::NoMemory);
        assert!(
            error.facts().unwrap().contains("control group /test-memory (memory.max is 20.0 MiB, "),
            "{error:#}"
        );
        assert_eq!(area.residency().unwrap().resident(), 0);
    });
    assert_eq!(ended, Ended::Well);
    assert_eq!(vmstat("oom_kill"), kills);
}

/// Brings all pages of the group that can leave to swap.
fn swap_out(group: &Group) {
    for _ in 0..8 {
        // It says at the end that there is no more (EAGAIN).
        let _ = std::fs::write(group.file("memory.reclaim"), "64M");
    }
}

/// The node of each page, all of which are in RAM.
fn found(area: &Area<Shared>) -> Vec<u32> {
    pages::nodes_of(area.as_ptr(), SIZE, PAGE)
}

/// Has a fault bring in so many pages of swap at most: 2 to the power of that.
pub(crate) fn read_ahead(power: u32) -> Setting {
    Setting::set("/proc/sys/vm/page-cluster".into(), &power.to_string())
}

/// What is asked of areas that leave and come back.
fn policies() -> [Policy; 4] {
    let both = nodes([0, 2]);
    [Policy::Default, Policy::Bind(nodes([2])), Policy::Preferred(node(2)), Policy::Interleave(both)]
}

/// In a control group that swaps, on a CPU of node 0.
pub(crate) fn in_a_group(body: impl FnOnce(&Group)) {
    let group = Group::new("memory", &[("memory.max", "max")]);
    let ended = in_child(|| {
        group.enter();
        let _cpu = OnCpu::of_node(0);
        body(&group);
    });
    assert_eq!(ended, Ended::Well);
}

/// A page that was swapped comes back as a new one does: where its policy says, and without one to
/// the node of the CPU that touches it, wherever it was before.
#[test]
fn pages_come_back_where_their_policy_says() {
    guest!();
    let _alone = read_ahead(0);
    in_a_group(come_back);
}

/// Areas leave, and come back as they were.
pub(crate) fn come_back(group: &Group) {
    let mut shared = policies().map(|policy| areas::builder(SIZE).place(policy).shared().unwrap());
    let private = policies().map(|policy| {
        let mut area = areas::builder(SIZE).place(policy).private().unwrap();
        area.fill(3);
        area
    });
    for area in &mut shared {
        area.populate().unwrap();
        // The kernel keeps no swap for pages of zeros.
        fill(area);
    }
    // Pages of no policy, on a node where no process touches them.
    shared[0].migrate(Policy::Bind(nodes([2]))).unwrap();
    shared[0].migrate(Policy::Default).unwrap();
    assert_eq!(found(&shared[0]), [2; SIZE / PAGE]);
    swap_out(group);
    for (area, policy) in shared.iter().zip(policies()) {
        let gone = area.residency().unwrap();
        assert_eq!((gone.resident(), gone.swapped()), (0, Some(SIZE as u64)), "{policy}: {gone}");
        assert_eq!(area.verify().unwrap().not_in_ram(), SIZE as u64);
        fill(area);
        let back = area.residency().unwrap();
        assert_eq!((back.resident(), back.swapped()), (SIZE as u64, Some(0)), "{policy}: {back}");
        match policy {
            Policy::Default => assert_eq!(found(area), [0; SIZE / PAGE]),
            Policy::Interleave(_) => assert_goes_round(&found(area), &[0, 2], "back from swap"),
            _ => assert_eq!(found(area), [2; SIZE / PAGE]),
        }
        assert!(area.verify().unwrap().holds(), "{policy}");
    }
    for (area, policy) in private.iter().zip(policies()) {
        assert_eq!(area.residency().unwrap().swapped(), Some(SIZE as u64), "{policy}");
        assert!(area.iter().all(|&byte| byte == 3));
        let back = area.residency().unwrap();
        assert_eq!((back.resident(), back.swapped()), (SIZE as u64, Some(0)), "{policy}: {back}");
        if matches!(policy, Policy::Bind(_) | Policy::Preferred(_)) {
            assert_eq!(pages::nodes_of(area.as_ptr(), SIZE, PAGE), [2; SIZE / PAGE]);
        }
        assert!(area.verify().unwrap().holds(), "{policy}");
    }
}

/// The kernel reads swap ahead: what lies beside a page that is wanted comes in by *its* policy,
/// though it belongs to another area. So bound pages are found elsewhere; that is reported, and
/// moving the area puts it right.
#[test]
fn neighbours_in_swap_come_back_by_the_policy_of_others() {
    guest!();
    let _ahead = read_ahead(3);
    in_a_group(|group| {
        let of = |policy| areas::builder(SIZE).place(policy).shared().unwrap();
        let mut all: Vec<_> = [0, 2, 0, 2].map(|id| of(Policy::Bind(nodes([id])))).into_iter().collect();
        for at in (0..SIZE).step_by(PAGE) {
            for area in &all {
                area.write_at(at, &[1]).unwrap();
            }
        }
        assert!(all.iter().all(|area| area.verify().unwrap().holds()));
        swap_out(group);
        all.iter().for_each(fill);
        let mut strayed = 0;
        for (area, id) in all.iter_mut().zip([0, 2, 0, 2]) {
            let elsewhere = found(area).iter().filter(|&&on| on != id).count() * PAGE;
            assert_eq!(area.verify().unwrap().elsewhere(), elsewhere as u64);
            strayed += elsewhere;
            let migration = area.migrate(Policy::Bind(nodes([id]))).unwrap();
            assert!(migration.verification().holds(), "{migration}");
            assert_eq!(found(area), [id; SIZE / PAGE]);
        }
        assert!(strayed > 0, "nothing was read ahead");
    });
}
