//! The policy of the task itself (set_mempolicy, `numactl --membind`) beside ours: it counts where
//! nothing was asked of us, for every kind of memory, and where a placement was asked that counts
//! alone.

#![expect(unsafe_code, reason = "set_mempolicy and get_mempolicy; each block has its proof")]

use areas::{Lock, Pages, Policy};

use crate::support::child::{Child, Ended, in_child};
use crate::support::machine::{OnCpu, pool};
use crate::support::memory::{Sort, expand, placed};
use crate::support::{HUGE, MIB, PAGE, assert_goes_round, guest, node, nodes, pages};

const BIND: i32 = 2;
const INTERLEAVE: i32 = 3;
const COUNT: usize = 6;

/// Gives this thread a policy, over a set of nodes below 64.
fn of_the_task(mode: i32, set: impl IntoIterator<Item = u32>) {
    let mask = set.into_iter().fold(0_u64, |mask, node| mask | 1 << node);
    // SAFETY: the mask outlives the call and has 64 bits, which is what `maxnode - 1` says.
    let result = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, &raw const mask, 65) };
    assert_eq!(result, 0, "set_mempolicy: {}", std::io::Error::last_os_error());
}

/// Its mode and its nodes.
fn the_tasks() -> (i32, u64) {
    let (mut mode, mut mask) = (-1, [0_u64; 16]);
    let none = std::ptr::null::<u8>();
    // SAFETY: both outlive the call, which writes at most 1024 bits.
    let result =
        unsafe { libc::syscall(libc::SYS_get_mempolicy, &raw mut mode, mask.as_mut_ptr(), 1025, none, 0) };
    assert_eq!(result, 0, "get_mempolicy: {}", std::io::Error::last_os_error());
    (mode, mask[0])
}

#[test]
fn the_tasks_policy_counts_where_nothing_was_asked() {
    guest!();
    let pools: Vec<_> = (0..4).map(|node| pool(node, HUGE, 16)).collect();
    let ended = in_child(|| {
        let _cpu = OnCpu::of_node(0);
        of_the_task(BIND, [2]);
        let asked = [
            (Policy::Default, 2),
            (Policy::Local, 0),
            (Policy::Bind(nodes([3])), 3),
            (Policy::Preferred(node(1)), 1),
            (Policy::PreferredMany(nodes([1])), 1),
        ];
        for sort in Sort::ALL {
            for (policy, expected) in asked {
                for populates in [false, true] {
                    let mut memory = placed(sort, COUNT, policy).unwrap();
                    // By threads of the library's, too.
                    if populates {
                        memory.populate()
                    } else {
                        memory.touch()
                    }
                    assert_eq!(memory.nodes(), [expected; COUNT], "{sort:?} {policy}");
                    assert!(memory.verify().is_none_or(|verification| verification.holds()));
                }
            }
            let memory = placed(sort, COUNT, Policy::Interleave(nodes([0, 3]))).unwrap();
            memory.touch();
            assert_goes_round(&memory.nodes(), &[0, 3], "interleaved");
        }
        // What is asked of us is reported, and the task's policy is not a word of ours.
        let area = areas::builder(PAGE).shared().unwrap();
        assert_eq!(area.placement().policy(), Policy::Default);
        let locked = areas::builder(COUNT * PAGE).lock(Lock::Full).private().unwrap();
        assert_eq!(pages::nodes_of(locked.as_ptr(), COUNT * PAGE, PAGE), [2; COUNT]);
        assert_eq!(the_tasks(), (BIND, 1 << 2), "it is as it was");
    });
    assert_eq!(ended, Ended::Well);
    drop(pools);
}

/// Large areas are populated by several threads: they go by the policy of the one that calls, and
/// the turns of an interleaving task come out.
#[test]
fn threads_that_populate_go_by_the_callers_policy() {
    guest!();
    let ended = in_child(|| {
        of_the_task(INTERLEAVE, [1, 2, 3]);
        let size = 64 * MIB;
        let mut private = areas::builder(size).pages(Pages::Base).private().unwrap();
        let mut shared = areas::builder(size).shared().unwrap();
        private.populate().unwrap();
        shared.populate().unwrap();
        for found in
            [pages::nodes_of(private.as_ptr(), size, PAGE), pages::nodes_of(shared.as_ptr(), size, PAGE)]
        {
            assert!(!found.contains(&0), "a thread of the library's went by itself");
            let counts = [1, 2, 3].map(|id| found.iter().filter(|&&on| on == id).count());
            assert!(counts.iter().all(|&count| count > found.len() / 4), "{counts:?}");
        }
        assert_eq!(the_tasks(), (INTERLEAVE, 0b1110));
    });
    assert_eq!(ended, Ended::Well);
}

/// Of an area without a placement each page is where the policy of the process says that touches it
/// first; of a placed one where the placement says, whoever that is.
#[test]
fn who_touches_first_decides_where_nothing_was_asked() {
    guest!();
    let plain = areas::builder(COUNT * PAGE).shared().unwrap();
    let bound = areas::builder(COUNT * PAGE).place(Policy::Bind(nodes([0]))).shared().unwrap();
    let touch = |half: usize| {
        for at in (half * COUNT / 2..(half + 1) * COUNT / 2).map(|page| page * PAGE) {
            plain.write_at(at, b"x").unwrap();
            bound.write_at(at, b"x").unwrap();
        }
    };
    let ended = in_child(|| {
        of_the_task(BIND, [1]);
        touch(0);
    });
    assert_eq!(ended, Ended::Well);
    let mut other = Child::start(|line| {
        of_the_task(BIND, [3]);
        touch(1);
        line.go();
    });
    other.wait();
    assert_eq!(other.end(), Ended::Well);
    assert_eq!(expand(&plain.residency().unwrap(), PAGE), [1, 1, 1, 3, 3, 3]);
    assert_eq!(expand(&bound.residency().unwrap(), PAGE), [0; COUNT]);
    assert!(plain.verify().unwrap().holds() && bound.verify().unwrap().holds());
}

/// Hugetlb pages that an area grows by come from where the area was placed; the task's policy is
/// lent for that, and restored.
#[test]
fn growing_gives_the_tasks_policy_back() {
    guest!();
    let _pools = [pool(1, HUGE, 4), pool(3, HUGE, 4)];
    let ended = in_child(|| {
        of_the_task(BIND, [3]);
        let of = |policy| {
            let wanted = areas::builder(HUGE).growable(4 * HUGE).pages(Pages::Pool(areas::PageSize::HUGE_2M));
            let area = wanted.place(policy).shared().unwrap();
            area.grow(3 * HUGE).unwrap();
            // Measured before anybody has touched them, and by the kernel's word once we have.
            let measured = expand(&area.residency().unwrap(), HUGE);
            (0..3).for_each(|page| area.write_at(page * HUGE, b"x").unwrap());
            assert_eq!(pages::nodes_of(area.as_ptr(), 3 * HUGE, HUGE), measured);
            pages::nodes_of(area.as_ptr(), 3 * HUGE, HUGE)
        };
        assert_eq!(of(Policy::Bind(nodes([1]))), [1; 3]);
        assert_eq!(of(Policy::Default), [3; 3]);
        assert_eq!(the_tasks(), (BIND, 1 << 3));
    });
    assert_eq!(ended, Ended::Well);
}
