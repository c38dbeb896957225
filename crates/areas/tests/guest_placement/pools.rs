//! Pools of huge pages, node by node: a promise or an error, and every page comes back.

use std::sync::atomic::Ordering;

use areas::{ErrorKind, Lock, PageSize, Pages, Policy, Provider as _, System};
use areas_testing::pagemap;

use crate::support::child::{Ended, in_child};
use crate::support::group::Group;
use crate::support::machine::{OnCpu, pool, pool_free};
use crate::support::{HUGE, guest, nodes, pages};

const POOL: Pages = Pages::Pool(PageSize::HUGE_2M);

fn bound(size: usize, node: u32) -> areas::AreaBuilder<'static> {
    areas::builder(size).pages(POOL).place(Policy::Bind(nodes([node])))
}

#[test]
fn an_empty_pool_on_one_node_is_an_error() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let _pools = [pool(0, HUGE, 0), pool(1, HUGE, 4)];
    for error in [bound(2 * HUGE, 0).private().unwrap_err(), bound(2 * HUGE, 0).shared().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
        assert!(error.to_string().contains("bind:0"), "{error}");
        assert!(error.remedy().unwrap().contains("hugepages"), "{error:#}");
    }
    assert_eq!(pool_free(1, HUGE), 4, "nothing stays taken");

    let private = bound(2 * HUGE, 1).private().unwrap();
    assert_eq!(pages::nodes_of(private.as_ptr(), private.mapped(), HUGE), [1, 1]);
    assert_eq!(pool_free(1, HUGE), 2);
    let shared = bound(2 * HUGE, 1).shared().unwrap();
    assert_eq!(pages::nodes_of(shared.as_ptr(), shared.mapped(), HUGE), [1, 1]);
    assert_eq!(pool_free(1, HUGE), 0);
    assert_eq!(bound(1, 1).private().unwrap_err().kind(), ErrorKind::NoMemory);
    drop(private);
    assert_eq!(pool_free(1, HUGE), 2);
    drop(shared);
    assert_eq!(pool_free(1, HUGE), 4);
}

/// The first pages are there, the last one is not: all of them go back.
#[test]
fn a_pool_that_runs_dry_gives_all_back() {
    guest!();
    let _pools = [pool(0, HUGE, 4), pool(2, HUGE, 2)];
    for error in [bound(3 * HUGE, 2).private().unwrap_err(), bound(3 * HUGE, 2).shared().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::NoMemory);
        assert_eq!((pool_free(0, HUGE), pool_free(2, HUGE)), (4, 2), "{error:#}");
    }
}

/// Lengths are rounded up to whole pages, and unmapped as such.
#[test]
fn no_page_is_lost_to_an_odd_length() {
    guest!();
    let _pool = pool(3, HUGE, 3);
    for _ in 0..3 {
        let area = bound(HUGE + 5, 3).private().unwrap();
        assert_eq!((area.size(), area.mapped()), (HUGE + 5, 2 * HUGE));
        let sizes: Vec<_> = area.residency().unwrap().page_sizes().unwrap().collect();
        assert_eq!(sizes, [(PageSize::HUGE_2M, 2 * HUGE as u64)]);
        drop(area);
        assert_eq!(pool_free(3, HUGE), 3);
        drop(bound(HUGE + 5, 3).shared().unwrap());
        assert_eq!(pool_free(3, HUGE), 3);
    }
}

#[test]
fn a_preferred_pool_falls_back_and_says_so() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let _pools = [pool(0, HUGE, 0), pool(1, HUGE, 4)];
    for pages in [Pages::PreferPool(PageSize::HUGE_2M), Pages::Auto] {
        for (id, page) in [(0, PageSize::base()), (1, PageSize::HUGE_2M)] {
            let builder = areas::builder(2 * HUGE).pages(pages).place(Policy::Bind(nodes([id])));
            let mut private = builder.private().unwrap();
            private.populate().unwrap();
            assert_eq!(private.granted().page_size(), page, "{pages:?} on node {id}");
            assert_eq!(private.granted().fallbacks().is_empty(), id == 1);
            assert!(private.verify().unwrap().holds());
            assert_eq!(private.residency().unwrap().on(crate::support::node(id)), 2 * HUGE as u64);
            let mut shared = builder.shared().unwrap();
            shared.populate().unwrap();
            assert_eq!(shared.granted().page_size(), page, "{pages:?} on node {id}, shared");
            assert!(shared.verify().unwrap().holds());
        }
    }
    assert_eq!(pool_free(1, HUGE), 4);
}

/// `auto` without a pool: collapsed into transparent huge pages, on the node, as asked and as
/// measured.
#[test]
fn collapsed_pages_are_on_their_node() {
    guest!();
    let _pool = pool(3, HUGE, 0);
    let mut area =
        areas::builder(2 * HUGE).pages(Pages::Auto).place(Policy::Bind(nodes([3]))).shared().unwrap();
    area.populate().unwrap();
    assert_eq!(area.granted().collapsed(), 2 * HUGE);
    let residency = area.residency().unwrap();
    let sizes: Vec<_> = residency.page_sizes().unwrap().collect();
    assert_eq!(sizes, [(PageSize::HUGE_2M, 2 * HUGE as u64)]);
    assert_eq!(residency.on(crate::support::node(3)), 2 * HUGE as u64);
    assert!(pages::nodes_of(area.as_ptr(), area.mapped(), 4096).iter().all(|&on| on == 3));
}

/// Growth takes pages where the area was placed, or none.
#[test]
fn grown_parts_are_on_their_node() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let _pools = [pool(0, HUGE, 4), pool(1, HUGE, 3)];
    let area = bound(HUGE, 1).growable(8 * HUGE).shared().unwrap();
    area.grow(2 * HUGE).unwrap();
    // move_pages knows what this process has touched.
    area.store(2 * HUGE - 1, 1_u8, Ordering::Relaxed).unwrap();
    assert_eq!(pages::nodes_of(area.as_ptr(), 2 * HUGE, HUGE), [1, 1]);
    assert_eq!((pool_free(0, HUGE), pool_free(1, HUGE)), (4, 1));
    // One page is left there; those of the other node do not count, and what was taken on the way
    // goes back.
    let error = area.grow(4 * HUGE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
    assert!(error.to_string().contains("bind:1"), "{error}");
    assert_eq!((area.size(), pool_free(0, HUGE), pool_free(1, HUGE)), (2 * HUGE, 4, 1));
    area.grow(3 * HUGE).unwrap();
    area.store(3 * HUGE - 1, 1_u8, Ordering::Relaxed).unwrap();
    assert_eq!(pages::nodes_of(area.as_ptr(), 3 * HUGE, HUGE), [1, 1, 1]);
    drop(area);
    let mut area = bound(HUGE, 1).resizable(4 * HUGE).unwrap();
    area.resize(3 * HUGE).unwrap();
    for page in 0..3 {
        area.write_at(page * HUGE, b"here").unwrap();
    }
    assert_eq!(pages::nodes_of(area.as_ptr(), 3 * HUGE, HUGE), [1, 1, 1]);
    assert_eq!(area.resize(4 * HUGE).unwrap_err().kind(), ErrorKind::NoMemory);
    assert_eq!((area.size(), pool_free(0, HUGE), pool_free(1, HUGE)), (3 * HUGE, 4, 0));
    area.resize(HUGE).unwrap();
    assert_eq!((pool_free(0, HUGE), pool_free(1, HUGE)), (4, 2));
    drop(area);
    assert_eq!(pool_free(1, HUGE), 3);
    // The thread's own policy is as it was.
    let mut private = areas::builder(HUGE).private().unwrap();
    private.populate().unwrap();
    assert_eq!(pages::nodes_of(private.as_ptr(), 4096, 4096), [0]);
}

/// Pages side by side, on the node that was asked for.
#[test]
fn runs_of_pages_are_on_their_node() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let _pools = [pool(0, HUGE, 4), pool(2, HUGE, 24)];
    let wanted = bound(3 * HUGE, 2).lock(Lock::Contiguous);
    // The pool's list in an order of no use.
    let singles: Vec<_> = (0..24).map(|_| bound(HUGE, 2).private().unwrap()).collect();
    let mut starts: Vec<u64> =
        singles.iter().map(|page| pagemap::frames(page.as_ptr().addr(), 4096)[0]).collect();
    starts.sort_unstable();
    let possible = starts.chunk_by(|one, next| one + 512 == *next).any(|run| run.len() >= 3);
    let (even, odd): (Vec<_>, Vec<_>) =
        singles.into_iter().enumerate().partition(|(index, _)| index % 2 == 0);
    drop(even);
    drop(odd);
    assert!(possible, "24 pages of a fresh node have three side by side");
    let area = wanted.shared().unwrap();
    let frames = pagemap::frames(area.as_ptr().addr(), area.mapped());
    assert!(frames[0] > 0 && frames.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{frames:x?}");
    assert_eq!(pages::nodes_of(area.as_ptr(), 3 * HUGE, HUGE), [2, 2, 2]);
    assert_eq!((pool_free(0, HUGE), pool_free(2, HUGE)), (4, 21));
    // Not on a node that has too few, whatever the others have.
    assert_eq!(bound(5 * HUGE, 0).lock(Lock::Contiguous).shared().unwrap_err().kind(), ErrorKind::NoMemory);
    assert_eq!((pool_free(0, HUGE), pool_free(2, HUGE)), (4, 21));
    drop(area);
    assert_eq!(pool_free(2, HUGE), 24);
}

/// The line of a report to be typed: the file, and the number.
#[track_caller]
fn line_of(report: &str) -> (String, u64) {
    let line = report.split('`').nth(1).unwrap_or_else(|| panic!("no line in {report}"));
    let words: Vec<&str> = line.split(' ').collect();
    let ["echo", number, ">", file] = words[..] else { panic!("{line}") };
    (file.to_owned(), number.parse().unwrap())
}

/// Each way to pages of a node whose pool has too few: the error has that node's numbers and the
/// line to type, which is enough and no more; the machine's number is not.
#[test]
fn errors_name_the_pool_of_the_node_and_the_line_that_fills_it() {
    guest!();
    let _cpu = OnCpu::of_node(0);
    let _pools = [pool(0, HUGE, 10), pool(1, HUGE, 0)];
    let file = "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages";
    let machine = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    type Way = fn() -> Result<(), areas::Error>;
    // What is there at first: none where one page is made before it grows would be another error.
    let ways: [(&str, u64, Way); 5] = [
        ("private", 0, || bound(4 * HUGE, 1).private().map(drop)),
        ("shared", 0, || bound(4 * HUGE, 1).shared().map(drop)),
        ("growing", 1, || {
            let area = bound(HUGE, 1).growable(8 * HUGE).shared()?;
            area.grow(4 * HUGE)
        }),
        ("resizing", 1, || {
            let mut area = bound(HUGE, 1).resizable(8 * HUGE)?;
            area.resize(4 * HUGE)
        }),
        ("striped, a block on node 0 and one on node 1", 0, || {
            let striped = System::new().striped(nodes([0, 1]), 4);
            areas::builder(8 * HUGE).pages(POOL).provider(&striped).private().map(drop)
        }),
    ];
    for (what, least, way) in ways {
        for there in [least, 2] {
            let _pool = pool(1, HUGE, there);
            let error = way().unwrap_err();
            let report = format!("{error:#}");
            assert_eq!(error.kind(), ErrorKind::NoMemory, "{what}: {report}");
            assert!(report.contains("node 1's pool of 2 MiB pages has "), "{what}: {report}");
            assert!(report.contains(&format!(" has {there}, ")), "{what}: {report}");
            assert!(!report.contains(machine), "it would be spread over all nodes: {what}: {report}");
            let (reported, number) = line_of(&report);
            assert_eq!((reported.as_str(), number), (file, 4), "{what}, {there} there: {report}");
            assert_eq!((pool_free(0, HUGE), pool_free(1, HUGE)), (10, there), "{what}: nothing stays taken");
            // One fewer does not do.
            std::fs::write(file, (number - 1).to_string()).unwrap();
            assert!(way().is_err(), "{what}: one page fewer is enough, too");
            std::fs::write(file, number.to_string()).unwrap();
            way().unwrap_or_else(|error| panic!("{what}: {error:#}"));
        }
    }
    // As many more by the machine's number are spread over all nodes.
    let before: u64 = std::fs::read_to_string(machine).unwrap().trim().parse().unwrap();
    std::fs::write(machine, (before + 4).to_string()).unwrap();
    assert!(pool_free(1, HUGE) < 4, "what is reported of it would be wrong");
    assert!(bound(4 * HUGE, 1).private().is_err());
    std::fs::write(machine, before.to_string()).unwrap();
}

/// Where the machine as a whole has too few, mapping is refused before anything is placed: the same
/// is reported.
#[test]
fn a_refusal_to_map_names_the_nodes_pool_too() {
    guest!();
    let _pools = [pool(0, HUGE, 1), pool(1, HUGE, 1), pool(2, HUGE, 0), pool(3, HUGE, 0)];
    let error = bound(5 * HUGE, 1).private().unwrap_err();
    let report = format!("{error:#}");
    assert!(error.system_call().unwrap().starts_with("mmap("), "{report}");
    assert!(report.contains("node 1's pool of 2 MiB pages has 1, 1 free; 5 wanted"), "{report}");
    let (file, number) = line_of(&report);
    assert!(file.starts_with("/sys/devices/system/node/node1/") && number == 5, "{report}");
    std::fs::write(file, number.to_string()).unwrap();
    drop(bound(5 * HUGE, 1).private().unwrap());

    // Of several nodes: one of them.
    let _pool = pool(1, HUGE, 1);
    let pair = areas::builder(5 * HUGE).pages(POOL).place(Policy::Bind(nodes([1, 3])));
    let report = format!("{:#}", pair.private().unwrap_err());
    assert!(report.contains("on nodes 1,3 have 1, 1 free (node 1: 1 of 1, node 3: 0 of 0)"), "{report}");
    let (file, number) = line_of(&report);
    assert!(file.starts_with("/sys/devices/system/node/node1/") && number == 5, "{report}");
    std::fs::write(file, number.to_string()).unwrap();
    drop(pair.private().unwrap());
}

/// Of memory that may come from anywhere the machine's number is reported, and in a cpuset that of
/// its nodes.
#[test]
fn what_is_bound_to_nothing_is_reported_for_the_nodes_that_may_be_used() {
    guest!();
    let _pools = [pool(0, HUGE, 3), pool(1, HUGE, 0)];
    let anywhere = || areas::builder(4 * HUGE).pages(POOL).private().map(drop);
    let report = format!("{:#}", anywhere().unwrap_err());
    assert!(report.contains("the pool of 2 MiB pages has 3, 3 free, 0 reserved; 4 wanted"), "{report}");
    let (file, number) = line_of(&report);
    assert_eq!((file.as_str(), number), ("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", 4));
    let group = Group::new("cpuset", &[("cpuset.mems", "1")]);
    let ended = in_child(|| {
        group.enter();
        let report = format!("{:#}", areas::builder(2 * HUGE).pages(POOL).private().unwrap_err());
        assert!(report.contains("it may take memory from node 1 alone; node 1's pool"), "{report}");
        let (file, number) = line_of(&report);
        assert!(file.starts_with("/sys/devices/system/node/node1/") && number == 2, "{report}");
        std::fs::write(file, number.to_string()).unwrap();
        drop(areas::builder(2 * HUGE).pages(POOL).private().unwrap());
    });
    assert_eq!(ended, Ended::Well);
}
