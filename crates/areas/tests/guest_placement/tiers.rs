//! Tiers of memory: with `demotion_enabled` the kernel moves pages to slower nodes before it swaps, whatever their policy says.

use areas::{Area, Lock, PageSize, Pages, Placement, Policy, Private, Shared, Verification};

use crate::support::child::{Ended, in_child};
use crate::support::group::Group;
use crate::support::machine::{OnCpu, Setting, pool, vmstat};
use crate::support::{HUGE, MIB, PAGE, guest, node, nodes, pages, skipped};

const SIZE: usize = 4 * MIB;

#[test]
fn probe() {
    guest!();
    let _on = Setting::set("/sys/kernel/mm/numa/demotion_enabled".into(), "1");
    let _pool = pool(0, HUGE, 2);
    let group = Group::new("memory", &[("memory.max", "max")]);
    let ended = in_child(|| {
        group.enter();
        let _cpu = OnCpu::of_node(0);
        let bind = Placement::new(Policy::Bind(nodes([0])));
        let mut areas: Vec<(&str, Area<Shared>)> = Vec::new();
        let mut add = |what, placement: Placement, lock, p| {
            let mut a = areas::builder(SIZE).place(placement).lock(lock).pages(p).shared().unwrap();
            a.populate().unwrap();
            areas.push((what, a));
        };
        add("default", Placement::default(), Lock::None, Pages::Base);
        add("local", Policy::Local.into(), Lock::None, Pages::Base);
        add("bind", bind, Lock::None, Pages::Base);
        add("inter", Policy::Interleave(nodes([0, 1])).into(), Lock::None, Pages::Base);
        add("pref", Policy::Preferred(node(0)).into(), Lock::None, Pages::Base);
        add("lock", bind, Lock::Full, Pages::Base);
        add("lazy", bind, Lock::Lazy, Pages::Base);
        add("pool", bind, Lock::None, Pages::Pool(PageSize::HUGE_2M));
        add("growable auto", bind, Lock::None, Pages::Auto);
        let mut p = areas::builder(SIZE).place(bind).private().unwrap();
        p.populate().unwrap();
        let mut q = areas::builder(SIZE).private().unwrap();
        q.populate().unwrap();
        for i in 0..6 {
            let r = std::fs::write("/sys/fs/cgroup/test-memory/memory.reclaim", "40M");
            eprintln!(
                "reclaim {i}: {r:?} demoted {} {}",
                vmstat("pgdemote_direct"),
                vmstat("pgdemote_kswapd")
            );
        }
        for (what, a) in &areas {
            eprintln!("{what}: {:#} || {}", a.residency().unwrap(), a.verify().unwrap());
        }
        eprintln!("private bind: {:#} || {}", p.residency().unwrap(), p.verify().unwrap());
        eprintln!("private: {:#} || {}", q.residency().unwrap(), q.verify().unwrap());
    });
    assert_eq!(ended, Ended::Well);
}
