//! Shared areas: placed by one process, touched first by another, grown by a third.

use std::sync::atomic::Ordering;

use areas::{Placement, Policy, registry};

use crate::support::child::{Child, Ended, in_child, set_variable};
use crate::support::machine::{OnCpu, pool, pool_free};
use crate::support::memory::expand;
use crate::support::{HUGE, MIB, PAGE, assert_goes_round, guest, node, nodes, pages};

/// A child that clones the area of that name when it is asked to, and works on the clone, on a CPU
/// of node 1.
fn cloner(name: &'static str, work: impl FnOnce(areas::Area<areas::Shared>)) -> Child {
    Child::start(move |line| {
        line.wait();
        let _cpu = OnCpu::of_node(1);
        work(registry::find(name).unwrap().open().unwrap());
        line.go();
        // The clone's work is looked at before this process ends.
        line.wait();
    })
}

fn write_each_page(area: &areas::Area<areas::Shared>) {
    for at in (0..area.mapped()).step_by(PAGE) {
        area.write_at(at, b"x").unwrap();
    }
}

#[test]
fn pages_that_a_clone_touches_first_are_where_the_creator_said() {
    guest!();
    let cases = [
        (Placement::from(Policy::Bind(nodes([3]))), vec![3]),
        (Policy::Bind(nodes([0])).into(), vec![0]),
        (Policy::Preferred(node(2)).into(), vec![2]),
        (Policy::Interleave(nodes([0, 2, 3])).into(), vec![0, 2, 3]),
        // Home 0, though the toucher is on 1.
        (Placement::new(Policy::Bind(nodes([0, 1]))).home(node(0)), vec![0]),
    ];
    for (placement, pattern) in cases {
        let mut child = cloner("first touch", |clone| {
            write_each_page(&clone);
            // A clone knows what was asked, too.
            assert!(clone.verify().unwrap().holds());
            assert_eq!(
                clone.placement().policy().nodes().map(|nodes| nodes.len()),
                Some(pattern_len(&clone))
            );
        });
        let area = areas::builder(60 * PAGE).name("first touch").place(placement).shared().unwrap();
        child.go();
        child.wait();
        let residency = area.residency().unwrap();
        assert_eq!(residency.resident(), 60 * PAGE as u64, "{placement}");
        let found = expand(&residency, PAGE);
        assert_goes_round(&found, &pattern, &placement.to_string());
        assert_eq!(found, pages::nodes_of(area.as_ptr(), area.mapped(), PAGE));
        assert!(area.verify().unwrap().holds());
        child.go();
        assert_eq!(child.end(), Ended::Well, "{placement}");
    }
}

fn pattern_len(clone: &areas::Area<areas::Shared>) -> usize {
    clone.placement().policy().nodes().unwrap().len()
}

/// No process asked for anything: the page is where the first toucher runs, which is not where the
/// creator does.
#[test]
fn without_a_placement_the_toucher_decides() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let mut child = cloner("anywhere", |clone| write_each_page(&clone));
    let area = areas::builder(8 * PAGE).name("anywhere").shared().unwrap();
    child.go();
    child.wait();
    assert_eq!(expand(&area.residency().unwrap(), PAGE), [1; 8]);
    child.go();
    assert_eq!(child.end(), Ended::Well);
}

#[test]
fn grown_parts_are_where_the_area_was_placed() {
    guest!();
    for (policy, pattern) in
        [(Policy::Interleave(nodes([1, 3])), vec![1, 3]), (Policy::Bind(nodes([2])), vec![2])]
    {
        let mut child = cloner("growing", |clone| {
            clone.grow(100 * PAGE).unwrap();
            write_each_page(&clone);
        });
        let mut area = areas::builder(4 * PAGE).name("growing").growable(MIB).place(policy).shared().unwrap();
        area.populate().unwrap();
        child.go();
        child.wait();
        assert_eq!(area.size(), 100 * PAGE);
        let found = expand(&area.residency().unwrap(), PAGE);
        assert_goes_round(&found, &pattern, "grown by another process");
        assert_eq!(found.len(), 100);
        // The last part by the creator, by populating.
        area.grow(MIB).unwrap();
        area.populate().unwrap();
        let found = expand(&area.residency().unwrap(), PAGE);
        assert_goes_round(&found, &pattern, "grown to the end");
        assert_eq!(found.len(), MIB / PAGE);
        assert!(area.verify().unwrap().holds());
        child.go();
        assert_eq!(child.end(), Ended::Well);
    }
}

/// The reserve can be placed before it is grown into, in parts.
#[test]
fn parts_of_the_reserve_are_placed_in_advance() {
    guest!();
    let mut area = areas::builder(PAGE).growable(64 * PAGE).shared().unwrap();
    area.place(0..32 * PAGE, Policy::Bind(nodes([3]))).unwrap();
    area.place(32 * PAGE..64 * PAGE, Policy::Bind(nodes([1]))).unwrap();
    area.grow(64 * PAGE).unwrap();
    let clone_sees = in_child(|| write_each_page(&area));
    assert_eq!(clone_sees, Ended::Well);
    let found = expand(&area.residency().unwrap(), PAGE);
    assert_eq!(found, [[3; 32], [1; 32]].concat());
    assert!(area.verify().unwrap().holds());
}

/// The policy of hugetlb pages is the mapping's own: a clone sets it again, and the pages are there
/// already.
#[test]
fn clones_of_pool_pages_find_them_where_they_were_taken() {
    guest!();
    let _pools = [pool(0, HUGE, 4), pool(2, HUGE, 4)];
    let mut child = cloner("pool", |clone| {
        clone.write_at(0, b"clone").unwrap();
        assert_eq!(expand(&clone.residency().unwrap(), HUGE), [2, 2]);
        assert_eq!(pages::numa_maps(clone.as_ptr(), clone.mapped())[0].policy, "bind:2");
    });
    let area = areas::builder(2 * HUGE)
        .name("pool")
        .pages(areas::Pages::Pool(areas::PageSize::HUGE_2M))
        .place(Policy::Bind(nodes([2])))
        .shared()
        .unwrap();
    child.go();
    child.wait();
    assert_eq!(area.load::<u8>(0, Ordering::Relaxed).unwrap(), b'c');
    assert_eq!(pages::nodes_of(area.as_ptr(), area.mapped(), HUGE), [2, 2]);
    assert_eq!((pool_free(0, HUGE), pool_free(2, HUGE)), (4, 2));
    child.go();
    assert_eq!(child.end(), Ended::Well);
    drop(area);
    assert_eq!(pool_free(2, HUGE), 4);
}

/// Another process changes the placement of an area, all of it or a part, and its holder goes by
/// that: what it says of its placement is what the kernel has (`numa_maps`), and pages are held
/// against it.
#[test]
fn what_others_place_again_is_what_the_holder_reports() {
    guest!();
    let ended = in_child(|| {
        set_variable("AREAS_DIR", "/tmp/areas-placed-again");
        let (first, second) = (Policy::Bind(nodes([0])), Policy::Bind(nodes([1])));
        let mut area = areas::builder(64 * PAGE).place(first).name("again").shared().unwrap();
        area.populate().unwrap();
        let by_another = |body: fn(registry::Source)| {
            let ended = in_child(|| body(registry::find("again").unwrap()));
            assert_eq!(ended, Ended::Well);
        };
        // All of it, and its pages.
        by_another(|source| drop(source.migrate(Policy::Bind(nodes([1]))).unwrap()));
        assert_eq!(pages::numa_maps(area.as_ptr(), PAGE)[0].policy, "bind:1");
        assert_eq!(area.placement().policy(), second);
        assert_eq!(pages::nodes_of(area.as_ptr(), 64 * PAGE, PAGE), [1; 64]);
        assert!(area.verify().unwrap().holds());
        // A part, whose pages stay where they are: those are elsewhere now, and no others.
        by_another(|source| {
            source.open().unwrap().place(20 * PAGE..30 * PAGE, Policy::Bind(nodes([3]))).unwrap();
        });
        assert_eq!(area.placement().policy(), second, "of its first page");
        let verification = area.verify().unwrap();
        let [part] = verification.misplaced() else { panic!("{verification}") };
        assert_eq!((part.range.clone(), part.node, part.asked), (20 * PAGE..30 * PAGE, node(1), nodes([3])));
        // Balanced, and with a home that the kernel does not show.
        by_another(|source| {
            drop(source.migrate(Placement::new(Policy::Bind(nodes([0, 1]))).balanced()).unwrap());
        });
        assert_eq!(area.placement().to_string(), "bind:0-1, balanced");
        assert!(area.verify().unwrap().holds());
        // What is asked here from then on counts again.
        let home = Placement::new(Policy::Bind(nodes([2, 3]))).home(node(3));
        match area.place(0..64 * PAGE, home) {
            Ok(()) => assert_eq!(area.placement(), home),
            Err(error) => assert_eq!(error.kind(), areas::ErrorKind::Unsupported, "{error:#}"),
        }
        assert_eq!(area.verify().unwrap().elsewhere(), 64 * PAGE as u64);
    });
    assert_eq!(ended, Ended::Well);
}
