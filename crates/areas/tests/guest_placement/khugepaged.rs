//! Base pages that the kernel collapses by itself: where `shmem_enabled` is `always`, khugepaged
//! makes huge pages of shared memory that is mapped, each on the node that has most of it, whatever
//! the policy says.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use areas::{Address, Area, PageSize, Pages, Policy, Shared};

use crate::support::child::{Child, Ended, alarm, in_child, without_huge_pages};
use crate::support::machine::pool;
use crate::support::{HUGE, PAGE, assert_goes_round, guest, nodes, pages};

const FOLDER: &str = "/sys/kernel/mm/transparent_hugepage";
const BLOCKS: usize = 8;
const SIZE: usize = BLOCKS * HUGE;
const BOTH: [u32; 2] = [0, 1];
/// How many this process has made: each has addresses of its own.
static AREAS: AtomicUsize = AtomicUsize::new(0);

/// A setting, of which the one chosen among several stands in brackets; put back when this goes.
struct Set(String, String);

fn set(file: &str, value: &str) -> Set {
    let path = format!("{FOLDER}/{file}");
    let text = fs::read_to_string(&path).unwrap();
    let before =
        text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or(text.trim(), |it| it.0);
    fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
    Set(path, before.to_owned())
}

impl Drop for Set {
    fn drop(&mut self) {
        fs::write(&self.0, &self.1).unwrap();
    }
}

/// The kernel collapses what it can, and looks for more all the time.
fn eager() -> Vec<Set> {
    [
        ("enabled", "always"),
        ("shmem_enabled", "always"),
        ("khugepaged/scan_sleep_millisecs", "10"),
        ("khugepaged/alloc_sleep_millisecs", "10"),
        ("khugepaged/pages_to_scan", "65536"),
    ]
    .map(|(file, value)| set(file, value))
    .into()
}

/// At whole huge pages of addresses: elsewhere nothing can be collapsed. (Where huge pages are on
/// as it is mapped, the kernel puts it so.)
fn interleaved(sort: Pages) -> Area<Shared> {
    let wanted = areas::builder(SIZE).pages(sort).place(Policy::Interleave(nodes(BOTH)));
    let first = 0x6000_0000_0000 + SIZE * AREAS.fetch_add(1, Ordering::Relaxed);
    let mut area = wanted.at(Address::Exactly(first)).shared().unwrap();
    area.populate().unwrap();
    area
}

/// The nodes of its base pages, all of which are brought into our page table: a collapse takes them
/// out of it.
#[track_caller]
fn found(area: &Area<Shared>) -> Vec<u32> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let mut byte = [0];
        for at in (0..SIZE).step_by(PAGE) {
            area.read_at(at, &mut byte).unwrap();
        }
        let status = pages::status(area.as_ptr(), SIZE, PAGE);
        if status.iter().all(|&node| node >= 0) {
            return status.into_iter().map(i32::cast_unsigned).collect();
        }
        assert!(Instant::now() < end, "pages stay out of the page table");
    }
}

/// How many blocks are huge pages, by what the page table has.
fn huge(area: &Area<Shared>) -> usize {
    found(area);
    usize::try_from(pages::huge_bytes(area.as_ptr(), SIZE)).unwrap() / HUGE
}

/// A mapping that is made now has khugepaged look at this process: one that was there before is not
/// known to it.
fn let_it_look() -> Area<Shared> {
    let area = areas::builder(HUGE).shared().unwrap();
    area.write_at(0, b"x").unwrap();
    area
}

/// Waits until all of an area was collapsed.
#[track_caller]
fn wait_for(area: &Area<Shared>) {
    let end = Instant::now() + Duration::from_secs(120);
    while huge(area) < BLOCKS {
        assert!(Instant::now() < end, "the kernel has collapsed {} of {BLOCKS} blocks", huge(area));
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn what_is_collapsed_out_of_turn_is_reported_and_moved_back() {
    guest!();
    let never = set("shmem_enabled", "never");
    let ended = in_child(|| {
        alarm(300);
        let mut area = interleaved(Pages::Base);
        assert_goes_round(&found(&area), &BOTH, "before");
        assert!(area.verify().unwrap().holds());
        let mut eager = Some(eager());
        let _looked_at = let_it_look();
        wait_for(&area);
        // All on the lowest of the nodes, as each had half: every other block is out of its turn.
        let on = found(&area);
        assert!(on.iter().all(|&on| on == BOTH[0]), "{on:?}");
        let verification = area.verify().unwrap();
        assert_eq!(verification.elsewhere(), (SIZE / 2) as u64, "{verification}");
        // What is collapsed moves as a whole, and stays where it is put. (What khugepaged looks at
        // in that moment does not move, which is reported: again then.)
        let (mut moved, begin) = (0, Instant::now());
        loop {
            let migration = area.migrate(Policy::Interleave(nodes(BOTH))).unwrap();
            moved += migration.moved();
            if migration.stayed().is_empty() {
                break;
            }
            // It may look at one block all the time, on a machine that has little time for anything
            // else.
            if begin.elapsed() > Duration::from_secs(30) {
                drop(eager.take());
            }
            assert!(begin.elapsed() < Duration::from_secs(90), "{migration}");
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(moved, (SIZE / 2) as u64, "each block once");
        std::thread::sleep(Duration::from_secs(1));
        let blocks: Vec<u32> = found(&area).chunks(HUGE / PAGE).map(|block| block[0]).collect();
        assert_goes_round(&blocks, &BOTH, "moved back");
        assert_eq!(huge(&area), BLOCKS);
        assert!(area.verify().unwrap().holds());
    });
    drop(never);
    assert_eq!(ended, Ended::Well);
}

/// What is huge already has nothing to be collapsed, and is in its turn; nothing is collapsed for a
/// process that forbids it.
#[test]
fn what_was_collapsed_stays_in_turn() {
    guest!();
    let never = set("shmem_enabled", "never");
    let ended = in_child(|| {
        alarm(300);
        let huge = interleaved(Pages::Auto);
        let _pools = BOTH.map(|node| pool(node, HUGE, BLOCKS as u64 / 2));
        let pooled = interleaved(Pages::Pool(PageSize::HUGE_2M));
        // By this the others can be seen to have been looked at.
        let collapsed = interleaved(Pages::Base);
        let _eager = eager();
        let _looked_at = let_it_look();
        wait_for(&collapsed);
        for (area, what) in [(&huge, "collapsed"), (&pooled, "of the pool")] {
            let blocks: Vec<u32> = found(area).chunks(HUGE / PAGE).map(|block| block[0]).collect();
            assert_goes_round(&blocks, &BOTH, what);
            assert!(area.verify().unwrap().holds(), "{what}");
        }
    });
    assert_eq!(ended, Ended::Well);
    let mut forbids = Child::start(|line| {
        alarm(300);
        without_huge_pages();
        let kept = interleaved(Pages::Base);
        let _looked_at = let_it_look();
        line.go();
        line.wait();
        assert_goes_round(&found(&kept), &BOTH, "of a process that forbids it");
        assert!(kept.verify().unwrap().holds());
    });
    forbids.wait();
    // Concurrently what another process has is collapsed.
    let ended = in_child(|| {
        alarm(300);
        let other = interleaved(Pages::Base);
        let _eager = eager();
        let _looked_at = let_it_look();
        wait_for(&other);
    });
    assert_eq!(ended, Ended::Well);
    forbids.go();
    assert_eq!(forbids.end(), Ended::Well);
    drop(never);
}
