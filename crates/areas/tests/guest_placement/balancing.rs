//! `numa_balancing`: the kernel moves pages to the node of the CPU that uses them. What has no
//! policy moves, locked or not; what has one stays, but where it was asked to be balanced.

use std::time::{Duration, Instant};

use areas::{ErrorKind, Lock, Placement, Policy};

use crate::support::child::{Ended, in_child};
use crate::support::machine::{OnCpu, Setting, has_weights, pool};
use crate::support::memory::{Memory, Sort, placed};
use crate::support::{HUGE, guest, nodes, pages};

/// Pages of each area.
const COUNT: usize = 8;
/// `MPOL_F_NUMA_BALANCING` in what get_mempolicy(2) returns.
const BALANCED: i32 = 1 << 13;

/// Has the kernel balance, and look often.
fn balancing() -> Vec<Setting> {
    let knob =
        |name: &str, value| Setting::set(format!("/sys/kernel/debug/sched/numa_balancing/{name}"), value);
    // It looks ever less often while pages are where they are used.
    let quick =
        [knob("scan_delay_ms", "1"), knob("scan_period_min_ms", "20"), knob("scan_period_max_ms", "50")];
    let mut all = vec![Setting::set("/proc/sys/kernel/numa_balancing".into(), "1")];
    all.extend(quick);
    all
}

/// What is asked, whether the kernel is to move it, and the memory.
struct Case {
    sort: Sort,
    what: &'static str,
    moves: bool,
    memory: Memory,
}

impl Case {
    fn nodes(&self) -> Vec<u32> {
        let page = self.sort.page();
        pages::nodes_after(self.memory.start(), COUNT * page, page, || self.memory.touch())
    }
}

fn cases() -> Vec<Case> {
    let both = nodes([0, 1]);
    let asked = [
        ("nothing", Placement::default(), true),
        ("local", Policy::Local.into(), false),
        ("bind:0", Policy::Bind(nodes([0])).into(), false),
        ("bind:0-1", Policy::Bind(both).into(), false),
        ("bind:0-1, balanced", Placement::new(Policy::Bind(both)).balanced(), true),
        ("preferred:0", Policy::Preferred(areas::Node::of::<0>()).into(), false),
        ("preferred-many:0-1", Policy::PreferredMany(both).into(), false),
        ("interleave:0-1", Policy::Interleave(both).into(), false),
    ];
    let mut cases = Vec::new();
    for sort in [Sort::Private, Sort::Shared, Sort::PoolShared] {
        for (what, placement, moves) in asked {
            let memory = placed(sort, COUNT, placement).unwrap();
            // Linux 6.1 leaves shared memory alone that has no policy, and 6.12 does not.
            let looked_at = !sort.is_pool() && (sort != Sort::Shared || what != "nothing" || has_weights());
            cases.push(Case { sort, what, moves: moves && looked_at, memory });
        }
        if sort == Sort::Private
            && let Ok(memory) = placed(sort, COUNT, Placement::new(Policy::PreferredMany(both)).balanced())
        {
            cases.push(Case { sort, what: "preferred-many, balanced", moves: true, memory });
        }
    }
    let locked = areas::builder(COUNT * 4096).lock(Lock::Full).private().unwrap();
    cases.push(Case { sort: Sort::Private, what: "a lock", moves: true, memory: Memory::Private(locked) });
    cases
}

/// In a process of its own: the kernel looks less often at one that it has looked at for long.
#[test]
fn what_has_no_policy_moves_and_what_has_one_stays() {
    guest!();
    assert_eq!(in_child(balanced), Ended::Well);
}

fn balanced() {
    let _pools = [pool(0, HUGE, 8 * COUNT as u64), pool(1, HUGE, COUNT as u64)];
    let (cases, before) = {
        let _cpu = OnCpu::of_node(0);
        let cases = cases();
        let before: Vec<_> = cases.iter().map(Case::nodes).collect();
        (cases, before)
    };
    for (case, before) in cases.iter().zip(&before) {
        assert!(case.what.starts_with("interleave") || *before == [0; COUNT], "{}: {before:?}", case.what);
    }
    let _cpu = OnCpu::of_node(1);
    let settings = balancing();
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end && cases.iter().any(|case| case.moves && case.nodes() != [1; COUNT]) {
        for case in &cases {
            case.memory.touch();
        }
    }
    drop(settings);
    for (case, before) in cases.iter().zip(before) {
        let expected = if case.moves { vec![1; COUNT] } else { before };
        assert_eq!(case.nodes(), expected, "{:?} with {}", case.sort, case.what);
        // All of it is where its policy allows it, as the kernel sees to that.
        assert_eq!(case.memory.nodes(), expected, "{:?} with {}", case.sort, case.what);
        let verification = case.memory.verify().unwrap();
        assert!(verification.holds(), "{:?} with {}: {verification}", case.sort, case.what);
    }
}

/// Pages that the kernel has marked, to see who uses them, are measured where they are, and no
/// measurement moves them.
#[test]
fn pages_that_are_watched_are_measured() {
    guest!();
    let both = Placement::new(Policy::Bind(nodes([0, 1]))).balanced();
    let memory = {
        let _cpu = OnCpu::of_node(0);
        let memory = placed(Sort::Private, 512, both).unwrap();
        memory.touch();
        memory
    };
    let _cpu = OnCpu::of_node(0);
    let _settings = balancing();
    let end = Instant::now() + Duration::from_millis(500);
    while Instant::now() < end {
        let Memory::Private(area) = &memory else { unreachable!() };
        let residency = area.residency().unwrap();
        assert_eq!(residency.on(areas::Node::of::<0>()), 512 * 4096, "{residency}");
        assert!(area.verify().unwrap().holds());
    }
}

#[test]
fn balancing_is_for_bind_and_preferred_many() {
    guest!();
    let set = nodes([0, 1]);
    for policy in [
        Policy::Default,
        Policy::Local,
        Policy::Preferred(areas::Node::of::<1>()),
        Policy::Interleave(set),
        Policy::WeightedInterleave(set),
    ] {
        let error = placed(Sort::Private, 1, Placement::new(policy).balanced()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:#}");
        assert!(error.to_string().contains("does not support balancing"), "{error:#}");
    }
    for sort in Sort::BASE {
        let mode =
            |placement: Placement| Ok::<_, areas::Error>(pages::mode(placed(sort, 1, placement)?.start()));
        let bind = Placement::new(Policy::Bind(set));
        assert_eq!(mode(bind).unwrap() & BALANCED, 0);
        assert_eq!(mode(bind.balanced()).unwrap() & BALANCED, BALANCED);
        assert_eq!(mode(bind.home(areas::Node::of::<1>()).balanced()).unwrap() & BALANCED, BALANCED);
        // Known since 6.10: it is set, or it is an error that says so.
        match mode(Placement::new(Policy::PreferredMany(set)).balanced()) {
            Ok(mode) => assert_eq!(mode & BALANCED, BALANCED),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:#}");
                assert!(error.remedy().unwrap().contains("`areas doctor`"), "{error:#}");
            }
        }
    }
    // A move asks for it again, and it is reported.
    let mut area = areas::builder(4096).shared().unwrap();
    let balanced = Placement::new(Policy::Bind(set)).balanced();
    area.migrate(balanced).unwrap();
    assert_eq!(area.placement(), balanced);
    assert_eq!(area.placement().to_string(), "bind:0-1, balanced");
    area.migrate(Policy::Bind(set)).unwrap();
    assert_eq!(area.placement().to_string(), "bind:0-1");
}
