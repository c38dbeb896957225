//! Layers on several nodes: stripes, spilling, fallbacks, budgets, guards.

#![expect(unsafe_code, reason = "runs into guard pages on purpose, in a child; the block has its proof")]

use areas::{ErrorKind, PageSize, Pages, Placement, Policy, Provider as _, System};
use areas_testing::{Process, maps};

use crate::support::child::{Ended, in_child};
use crate::support::machine::{OnCpu, Setting, crowd, free, pool, pool_free, vmstat};
use crate::support::memory::expand;
use crate::support::{HUGE, MIB, PAGE, guest, node, nodes, pages};

#[test]
fn stripes_are_exact() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    for (set, block) in
        [(nodes([0, 2, 3]), 3), (nodes([1, 3]), 1), (nodes([2]), 5), (nodes([0, 1, 2, 3]), 64)]
    {
        let order: Vec<u32> = set.iter().map(|node| node.get()).collect();
        let expected: Vec<u32> = (0..100).map(|page| order[page / block % order.len()]).collect();
        let provider = System::new().striped(set, block);

        let mut private = areas::builder(100 * PAGE).provider(&provider).private().unwrap();
        private.fill(1);
        assert_eq!(expand(&private.residency().unwrap(), PAGE), expected, "{set} by {block}");
        assert!(private.verify().unwrap().holds());

        let mut shared = areas::builder(100 * PAGE).provider(&provider).shared().unwrap();
        // By another process, from another node.
        let child = in_child(|| {
            let _cpu = OnCpu::of_node(1);
            for at in (0..100 * PAGE).step_by(PAGE) {
                shared.write_at(at, b"x").unwrap();
            }
        });
        assert_eq!(child, Ended::Well);
        assert_eq!(expand(&shared.residency().unwrap(), PAGE), expected, "{set} by {block}, shared");
        assert_eq!(pages::nodes_of(shared.as_ptr(), shared.mapped(), PAGE), expected);
        shared.populate().unwrap();
        assert!(shared.verify().unwrap().holds());
    }
}

#[test]
fn stripes_of_an_area_that_grows() {
    guest!();
    let provider = System::new().striped(nodes([1, 2]), 8);
    let mut area = areas::builder(PAGE).growable(64 * PAGE).provider(&provider).shared().unwrap();
    area.grow(64 * PAGE).unwrap();
    area.populate().unwrap();
    let expected: Vec<u32> = (0..64).map(|page| 1 + page / 8 % 2).collect();
    assert_eq!(expand(&area.residency().unwrap(), PAGE), expected);
    assert!(area.verify().unwrap().holds());
}

/// Hugetlb pages are taken when they are mapped, so the stripes have to be there before.
#[test]
fn stripes_of_pool_pages() {
    guest!();
    let _pools = [0, 1, 2, 3].map(|node| pool(node, HUGE, 4));
    let provider = System::new().striped(nodes([1, 2, 3]), 2);
    let builder = areas::builder(6 * HUGE).pages(Pages::Pool(PageSize::HUGE_2M)).provider(&provider);
    let expected = [1, 1, 2, 2, 3, 3];
    let private = builder.private().unwrap();
    assert_eq!(pages::nodes_of(private.as_ptr(), private.mapped(), HUGE), expected);
    assert!(private.verify().unwrap().holds());
    drop(private);
    let shared = builder.shared().unwrap();
    assert_eq!(pages::nodes_of(shared.as_ptr(), shared.mapped(), HUGE), expected);
    assert!(shared.verify().unwrap().holds());
    assert_eq!([0, 1, 2, 3].map(|node| pool_free(node, HUGE)), [4, 2, 2, 2]);
    drop(shared);
    // A node without enough of them: an error, or what the caller allowed instead.
    let provider = System::new().striped(nodes([0, 3]), 5);
    let builder = areas::builder(6 * HUGE).provider(&provider);
    let error = builder.clone().pages(Pages::Pool(PageSize::HUGE_2M)).private().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoMemory);
    let area = builder.pages(Pages::PreferPool(PageSize::HUGE_2M)).private().unwrap();
    assert_eq!(area.granted().page_size(), PageSize::base());
    assert_eq!(area.granted().fallbacks().len(), 1);
    assert_eq!([0, 1, 2, 3].map(|node| pool_free(node, HUGE)), [4; 4]);
}

/// Contiguous parts by weight, page by page; between huge pages where each part has room for one.
#[test]
fn parts_by_weight() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    for (parts, expected) in [
        (vec![(2, 1), (0, 3)], vec![(2, 25), (0, 75)]),
        (vec![(1, 1), (3, 1), (1, 2)], vec![(1, 25), (3, 25), (1, 50)]),
        (vec![(3, 7)], vec![(3, 100)]),
    ] {
        let provider = System::new().split(parts.iter().map(|&(on, weight)| (node(on), weight)));
        let expected: Vec<u32> =
            expected.into_iter().flat_map(|(on, pages)| std::iter::repeat_n(on, pages)).collect();
        let mut private = areas::builder(100 * PAGE).provider(&provider).private().unwrap();
        private.fill(1);
        assert_eq!(pages::nodes_of(private.as_ptr(), private.mapped(), PAGE), expected);
        assert!(private.verify().unwrap().holds());
        let mut shared = areas::builder(100 * PAGE).provider(&provider).shared().unwrap();
        shared.populate().unwrap();
        assert_eq!(expand(&shared.residency().unwrap(), PAGE), expected, "{parts:?}");
        assert!(shared.verify().unwrap().holds());
    }
    // 2.5 huge pages on each of two nodes: none is cut.
    let provider = System::new().split([(node(1), 1), (node(2), 1)]);
    let mut area = areas::builder(5 * HUGE).pages(Pages::Auto).provider(&provider).shared().unwrap();
    area.populate().unwrap();
    let found = expand(&area.residency().unwrap(), PAGE);
    let first = found.iter().take_while(|&&on| on == 1).count() * PAGE;
    assert!(first == 2 * HUGE || first == 3 * HUGE, "{first}");
    assert!(found[first / PAGE..].iter().all(|&on| on == 2));
    assert_eq!(area.granted().collapsed(), 5 * HUGE);
    assert!(area.verify().unwrap().holds());
}

/// Parts of an area, each divided by itself: what is there stays, what comes goes where it belongs,
/// in all clones.
#[test]
fn parts_of_parts_by_weight() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let list = |list: &[(u32, u32)]| list.iter().map(|&(on, weight)| (node(on), weight)).collect::<Vec<_>>();
    let mut shared = areas::builder(100 * PAGE).name("divided").shared().unwrap();
    shared.write_at(0, b"here already").unwrap();
    shared.place_split(0..40 * PAGE, list(&[(2, 1), (3, 3)])).unwrap();
    shared.place_split(60 * PAGE..90 * PAGE, list(&[(1, 1), (3, 1), (1, 1)])).unwrap();
    let mut clone = areas::registry::find("divided").unwrap().open().unwrap();
    clone.populate().unwrap();
    let stretches = [(0, 1), (2, 9), (3, 30), (0, 20), (1, 10), (3, 10), (1, 10), (0, 10)];
    let expected: Vec<u32> =
        stretches.into_iter().flat_map(|(on, pages)| std::iter::repeat_n(on, pages)).collect();
    assert_eq!(pages::nodes_of(clone.as_ptr(), clone.mapped(), PAGE), expected);
    let answer = shared.verify().unwrap();
    assert_eq!((answer.in_place(), answer.elsewhere()), (99 * PAGE as u64, PAGE as u64), "{answer}");
    // Divided again, over the borders of what was asked before.
    let mut private = areas::builder(64 * PAGE).place(Policy::Bind(nodes([1]))).private().unwrap();
    private.place_split(16 * PAGE..48 * PAGE, list(&[(3, 1), (2, 1)])).unwrap();
    private.place_split(24 * PAGE..64 * PAGE, list(&[(0, 1), (1, 4)])).unwrap();
    private.fill(1);
    let stretches = [(1, 16), (3, 8), (0, 8), (1, 32)];
    let expected: Vec<u32> =
        stretches.into_iter().flat_map(|(on, pages)| std::iter::repeat_n(on, pages)).collect();
    assert_eq!(pages::nodes_of(private.as_ptr(), private.mapped(), PAGE), expected);
    assert!(private.verify().unwrap().holds());
}

/// Each piece is a mapping of its own to the kernel: where there may be no more of them, all is
/// placed as it was.
#[test]
fn a_split_that_is_refused_half_way_leaves_all_as_it_was() {
    guest!();
    let mut area = areas::builder(64 * PAGE).place(Policy::Bind(nodes([1]))).private().unwrap();
    area.place(32 * PAGE..40 * PAGE, Policy::Interleave(nodes([0, 2]))).unwrap();
    let policies = |area: &areas::Area<areas::Private>| {
        let maps = pages::numa_maps(area.as_ptr(), area.mapped());
        // Where the kernel divided a mapping and then gave up, its pieces stay, with the policy
        // that they had.
        let mut policies = maps.iter().map(|map| map.policy.clone()).collect::<Vec<_>>();
        policies.dedup();
        policies
    };
    let before = policies(&area);
    assert_eq!(before, ["bind:1", "interleave:0,2", "bind:1"]);
    let parts: Vec<_> = [3, 2, 3, 2, 0].into_iter().map(|on| (node(on), 1)).collect();
    let mut refused = 0;
    for spare in 0..64 {
        let maps = maps::count(Process::Own).unwrap() + spare;
        let limit = Setting::set("/proc/sys/vm/max_map_count".into(), &maps.to_string());
        let answer = area.place_split(4 * PAGE..44 * PAGE, parts.iter().copied());
        drop(limit);
        match answer {
            Err(error) => {
                assert_eq!(error.errno(), Some(areas::Errno::NOMEM), "{error}");
                assert!(format!("{error:#}").contains("use fewer parts"), "{error:#}");
                assert_eq!(policies(&area), before, "with {spare} mappings to spare");
                refused += 1;
            }
            Ok(()) => break,
        }
    }
    // 3 mappings become 7, one after the other.
    assert!((3..64).contains(&refused), "refused {refused} times");
    assert_eq!(policies(&area), ["bind:1", "bind:3", "bind:2", "bind:3", "bind:2", "bind:0", "bind:1"]);
    area.fill(1);
    assert!(area.verify().unwrap().holds());
}

/// What the first node has room for, then the next one: where the mapping's own policies say.
#[test]
fn a_list_of_nodes_is_filled_in_order() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let _crowded = crowd(3, 48 * MIB);
    let size = 64 * MIB;
    let provider = System::new().spilled([3, 1].map(node));
    let mut area = areas::builder(size).provider(&provider).shared().unwrap();
    let kills = vmstat("oom_kill");
    area.populate().unwrap();
    let found = expand(&area.residency().unwrap(), PAGE);
    let first = found.iter().take_while(|&&on| on == 3).count() * PAGE;
    let rest = &found[first / PAGE..];
    assert!(rest.iter().all(|&on| on == 1 || on == 3), "on these nodes alone");
    // What the kernel reclaims on the first node while the next one is filled is taken there again.
    let late = rest.iter().filter(|&&on| on == 3).count() * PAGE;
    assert!(late <= size / 16, "one after the other: {first} bytes on node 3, and {late} later on");
    assert!((8 * MIB..48 * MIB).contains(&first), "{first} bytes on node 3, of about 48 MiB");
    let parts: Vec<_> = area.verify().unwrap().misplaced().to_vec();
    assert!(parts.is_empty(), "{parts:?}");
    assert_eq!(vmstat("oom_kill"), kills);
    // It is one more system call a node, not one a page: two policies on the whole.
    drop(area);
    let private = areas::builder(size).provider(&provider).private().unwrap();
    let maps = pages::numa_maps(private.as_ptr(), size);
    let policies: Vec<_> = maps.iter().map(|map| map.policy.as_str()).collect();
    assert_eq!(policies, ["prefer:3", "prefer:1"]);
}

#[test]
fn a_list_of_nodes_with_room_on_the_first() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let provider = System::new().spilled([2, 3, 1].map(node));
    let mut area = areas::builder(4 * MIB).provider(&provider).shared().unwrap();
    area.populate().unwrap();
    assert_eq!(expand(&area.residency().unwrap(), PAGE), vec![2; 4 * MIB / PAGE]);
    for (order, kind) in [
        (vec![], ErrorKind::InvalidInput),
        (vec![1, 1], ErrorKind::InvalidInput),
        (vec![1, 9], ErrorKind::NodeNotAllowed),
    ] {
        let provider = System::new().spilled(order.iter().copied().map(node));
        let error = areas::builder(PAGE).provider(&provider).private().unwrap_err();
        assert_eq!(error.kind(), kind, "{order:?}");
    }
}

/// Hugetlb pages run out on the first node, and go on at the next.
#[test]
fn a_list_of_nodes_with_pool_pages() {
    guest!();
    let _pools = [pool(0, HUGE, 4), pool(1, HUGE, 2), pool(2, HUGE, 4)];
    let provider = System::new().spilled([1, 2].map(node));
    let builder = areas::builder(4 * HUGE).pages(Pages::Pool(PageSize::HUGE_2M)).provider(&provider);
    let area = builder.private().unwrap();
    assert_eq!(pages::nodes_of(area.as_ptr(), area.mapped(), HUGE), [1, 1, 2, 2]);
    drop(area);
    let area = builder.shared().unwrap();
    assert_eq!(pages::nodes_of(area.as_ptr(), area.mapped(), HUGE), [1, 1, 2, 2]);
    assert_eq!([0, 1, 2].map(|node| pool_free(node, HUGE)), [4, 0, 2]);
}

#[test]
fn a_fallback_is_taken_and_recorded() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let _pool = pool(1, HUGE, 2);
    let provider =
        System::new().placed(Policy::Bind(nodes([1, 9]))).or(System::new().placed(Policy::Bind(nodes([2]))));
    let mut area = areas::builder(8 * PAGE).provider(&provider).private().unwrap();
    area.populate().unwrap();
    assert_eq!(expand(&area.residency().unwrap(), PAGE), [2; 8]);
    let granted = area.granted();
    assert_eq!(granted.fallbacks().len(), 1);
    assert!(
        granted.fallbacks()[0].because.to_string().contains("node 9"),
        "{}",
        granted.fallbacks()[0].because
    );
    // The first one that can.
    let provider =
        System::new().placed(Policy::Bind(nodes([1]))).or(System::new().placed(Policy::Bind(nodes([2]))));
    let area =
        areas::builder(2 * HUGE).pages(Pages::Pool(PageSize::HUGE_2M)).provider(&provider).private().unwrap();
    assert_eq!(pages::nodes_of(area.as_ptr(), area.mapped(), HUGE), [1, 1]);
    assert!(area.granted().fallbacks().is_empty());
}

#[test]
fn a_budget_counts_whole_pages() {
    guest!();
    let _pool = pool(3, HUGE, 4);
    let provider = System::new().placed(Policy::Bind(nodes([3]))).limited(3 * HUGE);
    let builder = areas::builder(HUGE + 1).pages(Pages::Pool(PageSize::HUGE_2M)).provider(&provider);
    let area = builder.private().unwrap();
    assert_eq!(provider.used(), 2 * HUGE);
    let error = builder.private().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert_eq!((provider.used(), pool_free(3, HUGE)), (2 * HUGE, 2));
    drop(area);
    assert_eq!((provider.used(), pool_free(3, HUGE)), (0, 4));
}

#[test]
fn guards_end_who_runs_over() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let _pool = pool(2, HUGE, 1);
    let provider = System::new().guarded(1);
    for (pages, page) in [(Pages::Base, PAGE), (Pages::Pool(PageSize::HUGE_2M), HUGE)] {
        let placement = Placement::new(Policy::Bind(nodes([2])));
        let mut area =
            areas::builder(page).pages(pages).place(placement).provider(&provider).private().unwrap();
        area.populate().unwrap();
        assert_eq!(pages::nodes_of(area.as_ptr(), area.mapped(), page), [2]);
        let start = area.as_ptr();
        for outside in [start.wrapping_sub(1), start.wrapping_add(page)] {
            // SAFETY: none, and that is the point: the access ends the child, before it does
            // anything.
            let ended = in_child(|| unsafe { outside.write_volatile(1) });
            assert_eq!(ended, Ended::Signal(libc::SIGSEGV), "{pages:?}");
        }
        // SAFETY: the first byte of an area that no process writes.
        assert_eq!(in_child(|| assert_eq!(unsafe { start.read_volatile() }, 0)), Ended::Well);
    }
    assert!(free(2) > 0);
}
