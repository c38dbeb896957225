//! Memory that is taken out of the machine while areas are in it. Node 1 is a module that was
//! plugged in: its blocks are switched on here, for what can be moved alone, so that they can leave
//! again.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use areas::{Area, ErrorKind, Lock, NodeSet, PageSize, Pages, Placement, Policy, Private, Shared};
use areas_testing::{pagemap, status};

use crate::support::child::{Ended, alarm, in_child};
use crate::support::machine::{crowd, free, memory_nodes, pool, vmstat};
use crate::support::{HUGE, MIB, PAGE, guest, node, nodes, pages};

/// The node whose memory comes and goes.
const ADDED: u32 = 1;
const SIZE: usize = 4 * MIB;
/// More than the other nodes have when they are crowded.
const ROOM: usize = 160 * MIB;

/// Its blocks of memory, switched on until this goes.
struct Added(Vec<PathBuf>);

impl Added {
    fn on() -> Self {
        let blocks = fs::read_dir("/sys/devices/system/memory").unwrap().map(|entry| entry.unwrap().path());
        let mut blocks: Vec<_> = blocks.filter(|block| block.join(format!("node{ADDED}")).exists()).collect();
        blocks.sort();
        assert!(blocks.len() >= 2, "{blocks:?}");
        for block in &blocks {
            fs::write(block.join("state"), "online_movable").unwrap();
        }
        assert!(memory_nodes().contains(&ADDED));
        allowed(true);
        Added(blocks)
    }

    /// The physical addresses of a block.
    fn range(block: &Path) -> Range<u64> {
        let number = |text: String| u64::from_str_radix(text.trim(), 16).unwrap();
        let size = number(fs::read_to_string("/sys/devices/system/memory/block_size_bytes").unwrap());
        let first = number(fs::read_to_string(block.join("phys_index")).unwrap());
        first * size..(first + 1) * size
    }
}

/// Waits until this process may take memory from the node, or no longer: cpusets follow a moment
/// later.
fn allowed(expected: bool) {
    let may = || {
        let list = status::own().field("Mems_allowed_list").unwrap().parse::<NodeSet>();
        list.unwrap().contains(node(ADDED))
    };
    let end = Instant::now() + Duration::from_secs(10);
    while may() != expected {
        assert!(Instant::now() < end, "the cpuset does not follow");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_on(block: &Path) -> bool {
    fs::read_to_string(block.join("state")).unwrap().trim() == "online"
}

fn take_out(block: &Path) -> std::io::Result<()> {
    fs::write(block.join("state"), "offline")
}

impl Drop for Added {
    fn drop(&mut self) {
        for block in self.0.iter().filter(|block| is_on(block)) {
            let _ = take_out(block);
        }
    }
}

fn bound() -> Placement {
    Placement::new(Policy::Bind(nodes([ADDED])))
}

fn shared(placement: Placement, lock: Lock, sort: Pages) -> Area<Shared> {
    let mut area = areas::builder(SIZE).place(placement).lock(lock).pages(sort).shared().unwrap();
    area.populate().unwrap();
    for at in (0..SIZE).step_by(PAGE) {
        area.write_at(at, &at.to_le_bytes()).unwrap();
    }
    area
}

fn is_whole(area: &Area<Shared>) {
    for at in (0..SIZE).step_by(PAGE) {
        let mut bytes = [0; 8];
        area.read_at(at, &mut bytes).unwrap();
        assert_eq!(bytes, at.to_le_bytes());
    }
}

/// All of the node leaves: every page of ours moves to other nodes, locked, bound, collapsed and of
/// the pool, and `verify` says so. When it is back, `migrate` brings them back.
#[test]
fn pages_of_memory_that_leaves_move_and_it_is_reported() {
    guest!();
    let added = Added::on();
    // The pool of another node has room.
    let _pools = [pool(ADDED, HUGE, 2), pool(0, HUGE, 2)];
    let interleave = Policy::Interleave(nodes([0, ADDED])).into();
    let areas = [
        ("bound", shared(bound(), Lock::None, Pages::Base)),
        ("locked", shared(bound(), Lock::Full, Pages::Base)),
        ("of the pool", shared(bound(), Lock::None, Pages::Pool(PageSize::HUGE_2M))),
        ("interleaved", shared(interleave, Lock::None, Pages::Base)),
    ];
    let mut private: Area<Private> = areas::builder(SIZE).place(bound()).private().unwrap();
    private.fill(7);
    for (what, area) in &areas {
        assert!(area.verify().unwrap().holds(), "{what}");
    }
    for block in &added.0 {
        take_out(block).unwrap();
    }
    assert!(!memory_nodes().contains(&ADDED));
    allowed(false);
    for (what, area) in &areas {
        let page = area.granted().page_size().bytes();
        is_whole(area);
        let found = pages::nodes_of(area.as_ptr(), SIZE, page);
        assert!(!found.contains(&ADDED), "{what}: {found:?}");
        let (residency, verification) = (area.residency().unwrap(), area.verify().unwrap());
        assert_eq!(
            (residency.resident(), residency.on(node(ADDED))),
            (SIZE as u64, 0),
            "{what}: {residency}"
        );
        let gone = if *what == "interleaved" { SIZE / 2 } else { SIZE };
        assert_eq!(verification.elsewhere(), gone as u64, "{what}: {verification}");
        // What was asked stands: the kernel moves pages, and changes no policy.
        assert!(area.placement().policy().nodes().unwrap().contains(node(ADDED)), "{what}");
    }
    assert!(private.iter().all(|&byte| byte == 7));
    assert_eq!(private.verify().unwrap().elsewhere(), SIZE as u64);
    // Nothing new comes there.
    for error in [
        areas::builder(PAGE).place(bound()).shared().unwrap_err(),
        areas::builder(PAGE).place(bound()).private().unwrap_err(),
        private.migrate(bound()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NodeNotAllowed, "{error:#}");
    }
    for block in &added.0 {
        fs::write(block.join("state"), "online_movable").unwrap();
    }
    allowed(true);
    for (what, mut area) in areas {
        if what != "of the pool" {
            let placement = area.placement();
            let migration = area.migrate(placement).unwrap();
            assert_eq!(migration.stayed(), [], "{what}: {migration}");
            assert!(area.verify().unwrap().holds(), "{what}: {migration}");
        }
        is_whole(&area);
    }
}

/// One block of several leaves: what is on the node's other blocks stays, and what was on it goes
/// to *another node*, though its own has room.
#[test]
fn one_block_that_leaves_takes_its_pages_off_the_node() {
    guest!();
    let added = Added::on();
    let area = shared(bound(), Lock::None, Pages::Base);
    let frames = pagemap::frames(area.as_ptr().addr(), SIZE);
    let on = |block: &&PathBuf| {
        let range = Added::range(block);
        frames.iter().filter(|frame| range.contains(&(**frame * PAGE as u64))).count()
    };
    let block = added.0.iter().max_by_key(on).unwrap();
    let leave = on(&block);
    assert!(leave > 0 && free(ADDED) > SIZE as u64);
    take_out(block).unwrap();
    is_whole(&area);
    let verification = area.verify().unwrap();
    assert_eq!(verification.elsewhere(), (leave * PAGE) as u64, "{verification}");
    let found = pages::nodes_of(area.as_ptr(), SIZE, PAGE);
    assert_eq!(found.iter().filter(|&&node| node != ADDED).count(), leave);
}

/// Where no other node has room the kernel has no error either: it tries on until it is
/// interrupted, takes what the other nodes have, and then its out-of-memory killer comes. No byte
/// is lost before that.
#[test]
fn without_room_elsewhere_it_is_no_error_either() {
    guest!();
    let added = Added::on();
    let kills = vmstat("oom_kill");
    let crowded: Vec<_> = memory_nodes().into_iter().filter(|&node| node != ADDED).collect();
    let crowded: Vec<_> = crowded.into_iter().map(|node| crowd(node, 24 * MIB)).collect();
    let ended = in_child(|| {
        // The one that is killed.
        fs::write("/proc/self/oom_score_adj", "1000").unwrap();
        let mut area = areas::builder(ROOM).place(bound()).shared().unwrap();
        area.populate().unwrap();
        alarm(3);
        for block in &added.0 {
            take_out(block).unwrap();
        }
    });
    drop(crowded);
    match ended {
        Ended::Signal(libc::SIGKILL) => assert!(vmstat("oom_kill") > kills, "killed, and not by the kernel"),
        Ended::Signal(libc::SIGALRM) => assert_eq!(vmstat("oom_kill"), kills),
        other => panic!("{ROOM} bytes went where no room was: {other:?}"),
    }
    assert!(added.0.iter().any(|block| is_on(block)), "all of it has left");
}

/// What is held for a transfer stays, and with it the memory that it is on.
#[test]
fn pages_that_are_held_keep_their_memory() {
    guest!();
    let added = Added::on();
    let area = shared(bound(), Lock::None, Pages::Base);
    let frame = pagemap::frames(area.as_ptr().addr(), PAGE)[0] * PAGE as u64;
    let block = added.0.iter().find(|block| Added::range(block).contains(&frame)).unwrap();
    let held = pages::hold(area.as_ptr(), PAGE);
    let ended = in_child(|| {
        alarm(2);
        let _ = take_out(block);
    });
    assert!(is_on(block), "{ended:?}");
    assert_eq!(pages::nodes_of(area.as_ptr(), PAGE, PAGE), [ADDED]);
    drop(held);
    take_out(block).unwrap();
    assert_ne!(pages::nodes_of(area.as_ptr(), PAGE, PAGE), [ADDED]);
    is_whole(&area);
}

/// An area that is placed on what has left gets no page, and an error.
#[test]
fn what_is_bound_to_memory_that_has_left_is_an_error() {
    guest!();
    let added = Added::on();
    let mut area = areas::builder(SIZE).place(bound()).shared().unwrap();
    for block in &added.0 {
        take_out(block).unwrap();
    }
    let error = area.populate().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
    assert_eq!(area.residency().unwrap().resident(), 0);
}
