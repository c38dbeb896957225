//! Huge pages and the policy of an area: each is where its turn is, moved as a whole, whoever moves
//! it.

use areas::registry::{self, Source};
use areas::{Area, Bytes, PageSize, Pages, Policy, Provider as _, Shared, System, UnmovedReason};

use crate::sandbox::{enter, refuse};
use crate::support::child::{Child, Ended, as_nobody, in_child, set_variable};
use crate::support::machine::{crowd, memory_nodes};
use crate::support::memory::expand;
use crate::support::{HUGE, MIB, PAGE, assert_goes_round, guest, node, nodes, pages};

/// A folder for the registry, which an ordinary user can make its own in.
fn registry_in(folder: &str) {
    set_variable("AREAS_DIR", &format!("/tmp/{folder}-{}", std::process::id()));
}

/// The node of each huge page, as the kernel says of each of its base pages.
#[track_caller]
fn blocks(area: &Area<Shared>) -> Vec<u32> {
    // Into our page tables: a page that was moved is in none.
    area.residency().unwrap();
    let mut bytes = [0];
    for at in (0..area.mapped()).step_by(PAGE) {
        area.read_at(at, &mut bytes).unwrap();
    }
    let found = pages::nodes_of(area.as_ptr(), area.mapped(), PAGE);
    found
        .chunks(HUGE / PAGE)
        .map(|block| {
            assert!(block.iter().all(|node| node == &block[0]), "a block on several nodes: {block:?}");
            block[0]
        })
        .collect()
}

/// Fails unless all of it is in huge pages that are mapped as such.
#[track_caller]
fn assert_huge(area: &Area<Shared>) {
    assert_eq!(pages::huge_bytes(area.as_ptr(), area.mapped()), area.mapped() as u64);
}

fn collapsed(size: usize, policy: Policy) -> Area<Shared> {
    let mut area = areas::builder(size).pages(Pages::Auto).place(policy).shared().unwrap();
    area.populate().unwrap();
    assert_eq!(area.granted().collapsed(), size);
    area
}

/// What `areas move` does: another process moves what this one has mapped.
fn moved_by_another(name: &str, policy: Policy) -> Source {
    let source = registry::find(name).unwrap();
    let migration = source.migrate(policy).unwrap();
    assert!(migration.verification().holds() && migration.is_placed(), "{migration}");
    assert_eq!(migration.stayed(), [], "{migration}");
    source
}

#[test]
fn another_process_moves_each_huge_page_once() {
    guest!();
    let ended = in_child(|| {
        registry_in("moved");
        let all = memory_nodes();
        let count = 2 * all.len();
        let mut area = collapsed(count * HUGE, Policy::Bind(nodes([all[0]])));
        area.publish("moved").unwrap();
        let mut mover = Child::start(|line| {
            for policy in
                [Policy::Interleave(nodes(memory_nodes())), Policy::Bind(nodes([memory_nodes()[1]]))]
            {
                line.wait();
                let source = moved_by_another("moved", policy);
                // What is reported is the kernel's.
                assert_eq!(source.policies().unwrap(), [policy]);
                line.go();
            }
        });
        mover.go();
        mover.wait();
        assert_goes_round(&blocks(&area), &all, "moved to all nodes");
        assert_huge(&area);
        // Here, too, it is reported as it is now, and measured against that.
        assert_eq!(area.placement().policy(), Policy::Interleave(nodes(all.clone())));
        assert!(area.verify().unwrap().holds());
        mover.go();
        mover.wait();
        assert_eq!(blocks(&area), vec![all[1]; count]);
        assert_eq!(area.placement().policy(), Policy::Bind(nodes([all[1]])));
        assert!(area.verify().unwrap().holds());
        assert_huge(&area);
        assert_eq!(pages::numa_maps(area.as_ptr(), area.mapped())[0].policy, format!("bind:{}", all[1]));
        assert_eq!(mover.end(), Ended::Well);
    });
    assert_eq!(ended, Ended::Well);
}

/// An ordinary user moves what one process of his has mapped: huge pages, base pages, and what no
/// process has mapped.
#[test]
fn an_ordinary_user_moves_what_only_he_holds() {
    guest!();
    let ended = in_child(|| {
        as_nobody();
        registry_in("own");
        let all = memory_nodes();
        let (first, second) = (all[0], all[1]);
        let mut huge = collapsed(3 * HUGE, Policy::Bind(nodes([first])));
        huge.publish("huge").unwrap();
        let mut base = areas::builder(300 * PAGE).place(Policy::Bind(nodes([first]))).shared().unwrap();
        base.populate().unwrap();
        base.publish("base").unwrap();
        // Written past the mapping: in no page tables.
        let written =
            areas::builder(300 * PAGE).place(Policy::Bind(nodes([first]))).name("written").shared().unwrap();
        for page in (0..300).step_by(3) {
            write(&written, page);
        }
        // In part.
        let mut part = areas::builder(300 * PAGE).place(Policy::Bind(nodes([first]))).shared().unwrap();
        for page in 0..300 {
            write(&part, page);
        }
        for page in (0..300).step_by(5) {
            part.write_at(page * PAGE, b"x").unwrap();
        }
        part.publish("part").unwrap();
        let mut mover = Child::start(|line| {
            line.wait();
            for name in ["huge", "base", "written", "part"] {
                let migration = registry::find(name).unwrap().migrate(Policy::Bind(nodes([second]))).unwrap();
                assert_eq!(migration.stayed(), [], "{name}: {migration}");
                assert!(migration.verification().holds() && migration.is_placed(), "{name}: {migration}");
            }
            line.go();
        });
        mover.go();
        mover.wait();
        assert_eq!(blocks(&huge), [second; 3]);
        assert_huge(&huge);
        assert_eq!(pages::nodes_of(base.as_ptr(), 300 * PAGE, PAGE), [second; 300]);
        assert_eq!(expand(&part.residency().unwrap(), PAGE), [second; 300]);
        assert_eq!(written.residency().unwrap().on(node(second)), 100 * PAGE as u64);
        for area in [&huge, &base, &written, &part] {
            assert_eq!(pages::numa_maps(area.as_ptr(), area.mapped())[0].policy, format!("bind:{second}"));
        }
        assert_eq!(mover.end(), Ended::Well);
    });
    assert_eq!(ended, Ended::Well);
}

/// Past the mapping, as `areas put` fills.
fn write(area: &Area<Shared>, page: usize) {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::File::from(area.as_fd().try_clone_to_owned().unwrap());
    file.write_all_at(b"written", (page * PAGE) as u64).unwrap();
}

/// What two processes have mapped stays, and then the policy is as it was.
#[test]
fn a_move_that_moves_nothing_leaves_the_policy() {
    guest!();
    let ended = in_child(|| {
        as_nobody();
        registry_in("stays");
        let all = memory_nodes();
        let mut area = areas::builder(8 * PAGE).place(Policy::Bind(nodes([all[0]]))).shared().unwrap();
        area.populate().unwrap();
        area.publish("stays").unwrap();
        let mut other = Child::start(|line| {
            for page in 0..8 {
                area.write_at(page * PAGE, b"x").unwrap();
            }
            line.go();
            line.wait();
        });
        other.wait();
        let ended = in_child(|| {
            let source = registry::find("stays").unwrap();
            let migration = source.migrate(Policy::Interleave(nodes(memory_nodes()))).unwrap();
            assert!(!migration.is_placed() && migration.moved() == 0, "{migration}");
            assert!(migration.to_string().ends_with("its policy is as it was"), "{migration}");
            assert!(
                migration.stayed().iter().all(|part| part.why == UnmovedReason::MappedByOthers),
                "{migration}"
            );
        });
        assert_eq!(ended, Ended::Well);
        let policy = format!("bind:{}", all[0]);
        assert_eq!(pages::numa_maps(area.as_ptr(), area.mapped())[0].policy, policy);
        // Here as there.
        let migration = area.migrate(Policy::Bind(nodes([all[1]]))).unwrap();
        assert!(!migration.is_placed(), "{migration}");
        assert_eq!(area.placement().policy(), Policy::Bind(nodes([all[0]])));
        assert_eq!(pages::numa_maps(area.as_ptr(), area.mapped())[0].policy, policy);
        drop(other);
        let migration = area.migrate(Policy::Bind(nodes([all[1]]))).unwrap();
        assert!(migration.is_placed() && migration.verification().holds(), "{migration}");
        assert_eq!(pages::nodes_of(area.as_ptr(), 8 * PAGE, PAGE), [all[1]; 8]);
    });
    assert_eq!(ended, Ended::Well);
}

/// Where nothing says which node a page is on, nothing is collapsed onto the wrong one: it is
/// populated all the same, and reported.
#[test]
fn what_cannot_be_distinguished_is_not_collapsed() {
    guest!();
    let ended = in_child(|| {
        let all = memory_nodes();
        let wanted = areas::builder(4 * HUGE).growable(8 * HUGE).pages(Pages::Auto);
        let mut area = wanted.place(Policy::Interleave(nodes(all.clone()))).shared().unwrap();
        let mut contained = Child::start(|line| {
            enter(&[refuse(libc::SYS_move_pages, libc::EPERM)]);
            area.populate().unwrap();
            let reported: Vec<String> =
                area.granted().fallbacks().iter().map(|fallback| fallback.because.to_string()).collect();
            assert!(
                reported.iter().any(|why| why.contains("the node to collapse on is unknown")),
                "{reported:?}"
            );
            line.go();
        });
        contained.wait();
        let found = expand(&area.residency().unwrap(), PAGE);
        assert_goes_round(&found, &all, "base pages");
        assert_eq!(contained.end(), Ended::Well);
    });
    assert_eq!(ended, Ended::Well);
}

/// A list of nodes is cut between huge pages, and each part is collapsed on its node.
#[test]
fn a_list_of_nodes_is_cut_between_huge_pages() {
    guest!();
    let all = memory_nodes();
    let (first, second) = (all[all.len() - 1], all[0]);
    let _crowded = crowd(first, 40 * MIB);
    let provider = System::new().spilled([first, second].map(node));
    // One that can grow, as the pool that crowds the node has pages.
    let wanted = areas::builder(48 * MIB).growable(64 * MIB).pages(Pages::Auto).provider(&provider);
    let mut area = wanted.shared().unwrap();
    area.populate().unwrap();
    assert!(area.verify().unwrap().holds());
    let found = pages::nodes_of(area.as_ptr(), area.mapped(), PAGE);
    let cut = found.iter().take_while(|&&on| on == first).count() * PAGE;
    assert!(found[cut / PAGE..].iter().all(|&on| on == second), "one after the other");
    assert!(cut > 0 && cut < 48 * MIB && cut.is_multiple_of(HUGE), "{cut} bytes on node {first}");
    let there = 48 * MIB - cut;
    assert_eq!(pages::huge_bytes(area.as_ptr().wrapping_add(cut), there), there as u64);
    assert!(area.granted().collapsed() >= there);
}

/// Pages that come in after a move fit in with those that were moved: the round begins where the
/// kernel begins it.
#[test]
fn what_comes_after_a_move_fits_in() {
    guest!();
    let all = memory_nodes();
    let mut area = areas::builder(90 * PAGE).place(Policy::Bind(nodes([all[1]]))).shared().unwrap();
    for page in 0..45 {
        area.write_at(page * PAGE, b"x").unwrap();
    }
    area.migrate(Policy::Interleave(nodes(all.clone()))).unwrap();
    area.populate().unwrap();
    assert_goes_round(&pages::nodes_of(area.as_ptr(), 90 * PAGE, PAGE), &all, "half moved, half new");
    assert!(area.verify().unwrap().holds());
}

/// The policy of hugetlb pages lies on each mapping: it is the holder's that is reported.
#[test]
fn policies_are_reported_as_the_kernel_has_them() {
    guest!();
    let ended = in_child(|| {
        registry_in("policies");
        let all = memory_nodes();
        let _pool = crate::support::machine::pool(all[1], HUGE, 2);
        let interleave = Policy::Interleave(nodes(all.clone()));
        let _placed = areas::builder(64 * PAGE).place(interleave).name("placed").shared().unwrap();
        let _plain = areas::builder(64 * PAGE).name("plain").shared().unwrap();
        let bind = Policy::Bind(nodes([all[1]]));
        let wanted = areas::builder(HUGE).pages(Pages::Pool(PageSize::HUGE_2M)).place(bind);
        let _pooled = wanted.name("pooled").shared().unwrap();
        let mut parts = areas::builder(64 * PAGE).place(bind).name("parts").shared().unwrap();
        parts.place(32 * PAGE..64 * PAGE, interleave).unwrap();
        let ended = in_child(|| {
            let reported = |name| registry::find(name).unwrap().policies().unwrap();
            assert_eq!(reported("placed"), [interleave]);
            assert_eq!(reported("plain"), [Policy::Default]);
            assert_eq!(reported("pooled"), [bind]);
            assert_eq!(reported("parts"), [bind, interleave]);
        });
        assert_eq!(ended, Ended::Well);
        // Nothing was touched for that.
        assert_eq!(parts.residency().unwrap().resident(), 0, "{}", Bytes::from(parts.mapped()));
    });
    assert_eq!(ended, Ended::Well);
}
