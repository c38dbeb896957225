//! Tiers of memory: with `demotion_enabled` the kernel moves pages to slower nodes before it swaps,
//! whatever their policy says. The boot's HMAT makes node 2 the slow tier, below nodes 0 and 1.

use std::fs;

use areas::{Area, Lock, PageSize, Pages, Placement, Policy, Shared};

use crate::support::child::{Ended, in_child};
use crate::support::group::Group;
use crate::support::machine::{OnCpu, Setting, pool, vmstat};
use crate::support::{HUGE, MIB, guest, node, nodes, pages, skipped};

const SIZE: usize = 4 * MIB;
const DEMOTION: &str = "/sys/kernel/mm/numa/demotion_enabled";
const SLOW: u32 = 2;

/// The tier that a node is in; `None` where this kernel makes none of the HMAT.
fn tier_of(node: u32) -> Option<String> {
    let tiers = fs::read_dir("/sys/devices/virtual/memory_tiering").ok()?;
    let mut tiers = tiers.map(|tier| tier.unwrap());
    let tier = tiers.find(|tier| {
        fs::read_to_string(tier.path().join("nodelist")).is_ok_and(|list| {
            list.trim().parse::<areas::NodeSet>().unwrap().contains(crate::support::node(node))
        })
    })?;
    Some(tier.file_name().into_string().unwrap())
}

/// Has the kernel demote instead of swapping; says aloud where it cannot.
fn demotion(test: &str) -> Option<Setting> {
    let lacks = match (fs::exists(DEMOTION).unwrap(), tier_of(0), tier_of(SLOW)) {
        (false, ..) => "this kernel has no demotion",
        (_, Some(fast), Some(slow)) if fast != slow => return Some(Setting::set(DEMOTION.into(), "1")),
        _ => "this kernel sees no slow tier in the HMAT",
    };
    skipped(test, lacks);
    None
}

/// What is asked, and where its pages are after the kernel has reclaimed all that it can.
struct Case {
    what: &'static str,
    area: Area<Shared>,
    leaves: bool,
    /// The bytes that are elsewhere then.
    elsewhere: usize,
}

fn cases() -> Vec<Case> {
    let bind = Placement::new(Policy::Bind(nodes([0])));
    let asked = [
        // (what, placement, lock, pages, whether it leaves, and what is elsewhere then)
        ("nothing", Placement::default(), Lock::None, Pages::Base, true, 0),
        ("local", Policy::Local.into(), Lock::None, Pages::Base, true, 0),
        ("bind", bind, Lock::None, Pages::Base, true, SIZE),
        ("bind, collapsed", bind, Lock::None, Pages::Auto, true, SIZE),
        ("preferred", Policy::Preferred(node(0)).into(), Lock::None, Pages::Base, true, SIZE),
        ("preferred-many", Policy::PreferredMany(nodes([0, 1])).into(), Lock::None, Pages::Base, true, SIZE),
        ("interleave", Policy::Interleave(nodes([0, 1])).into(), Lock::None, Pages::Base, true, SIZE),
        ("bind, locked", bind, Lock::Full, Pages::Base, false, 0),
        ("bind, locked lazily", bind, Lock::Lazy, Pages::Base, false, 0),
        ("bind, of the pool", bind, Lock::None, Pages::Pool(PageSize::HUGE_2M), false, 0),
    ];
    let of = |(what, placement, lock, sort, leaves, elsewhere)| {
        let wanted = areas::builder(SIZE).place(placement).lock(lock).pages(sort);
        // What can grow is collapsed, whether the pool has pages or not.
        let mut area = if sort == Pages::Auto { wanted.growable(2 * SIZE) } else { wanted }.shared().unwrap();
        area.populate().unwrap();
        assert!(area.verify().unwrap().holds(), "{what}");
        Case { what, area, leaves, elsewhere }
    };
    asked.map(of).into_iter().collect()
}

#[test]
fn what_is_demoted_is_reported_and_what_is_locked_stays() {
    guest!();
    let Some(_on) = demotion("tiers::what_is_demoted_is_reported_and_what_is_locked_stays") else { return };
    let _pool = pool(0, HUGE, (SIZE / HUGE) as u64);
    let group = Group::new("memory", &[("memory.max", "max")]);
    let before = vmstat("pgdemote_direct");
    let ended = in_child(|| {
        group.enter();
        let _cpu = OnCpu::of_node(0);
        let cases = cases();
        let mut private = areas::builder(SIZE).place(Policy::Bind(nodes([0]))).private().unwrap();
        private.fill(3);
        // All that there is: it says at the end that there is no more (EAGAIN).
        for _ in 0..4 {
            let _ = fs::write("/sys/fs/cgroup/test-memory/memory.reclaim", "64M");
        }
        for Case { what, area, leaves, elsewhere } in &cases {
            let page = area.granted().page_size().bytes();
            let found = pages::nodes_of(area.as_ptr(), SIZE, page);
            let residency = area.residency().unwrap();
            assert_eq!(
                residency.on(node(SLOW)),
                if *leaves { SIZE as u64 } else { 0 },
                "{what}: {residency}"
            );
            assert_eq!(found.iter().all(|&on| on == SLOW), *leaves, "{what}: {found:?}");
            let verification = area.verify().unwrap();
            assert_eq!(verification.elsewhere(), *elsewhere as u64, "{what}: {verification}");
        }
        assert_eq!(private.residency().unwrap().on(node(SLOW)), SIZE as u64);
        assert_eq!(private.verify().unwrap().elsewhere(), SIZE as u64);
        assert!(private.iter().all(|&byte| byte == 3));
        // Back again: nothing of the policy has changed.
        for Case { what, mut area, .. } in cases {
            let placement = area.placement();
            let migration = area.migrate(placement).unwrap();
            assert!(migration.verification().holds() && migration.stayed().is_empty(), "{what}: {migration}");
        }
    });
    assert_eq!(ended, Ended::Well);
    assert!(vmstat("pgdemote_direct") > before, "the kernel counts nothing as demoted");
}
