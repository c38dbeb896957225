//! Areas whose lock demands something of the page frames, which `/proc/self/pagemap` shows to root.
//! Tests that fill the pool are named `machine_…`: they have it to themselves.

use std::sync::atomic::Ordering;

use areas::{Area, ErrorKind, Lock, PageSize, Pages, Private, Shared};
use areas_testing::{pagemap, smaps};

use super::huge::{Filled, count, pool as alone_with_pool};
use super::page;
use super::support::child::{Peer, Stage, Test, hear, reply, test};
use super::support::{is_root, kernel, skip};

const HUGE: usize = 2 << 20;
const IN_POOL: Pages = Pages::Pool(PageSize::HUGE_2M);

fn free() -> usize {
    count("free_hugepages")
}

fn frames(area: &Area<Shared>) -> Vec<u64> {
    pagemap::frames(area.as_ptr().addr(), area.mapped())
}

/// The page frames of an area, each behind the one before.
#[track_caller]
fn contiguous(area: &Area<Shared>) -> Vec<u64> {
    let frames = frames(area);
    assert!(frames[0] > 0, "it is in RAM");
    assert!(frames.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{frames:x?}");
    frames
}

/// One hugetlb page each, none of them beside another one in the pool's list.
fn single_pages(count: usize) -> Vec<Area<Private>> {
    let one = areas::builder(HUGE).pages(IN_POOL);
    (0..count).map(|_| one.private().unwrap()).collect()
}

fn first_frame(page: &Area<Private>) -> u64 {
    pagemap::frames(page.as_ptr().addr(), HUGE)[0]
}

/// Gives pages back in an order that has nothing to do with where they are.
fn scatter(pages: Vec<Area<Private>>) {
    let (even, odd): (Vec<_>, Vec<_>) = pages.into_iter().enumerate().partition(|(index, _)| index % 2 == 0);
    drop(even);
    drop(odd);
}

/// Another process that clones "run", and reports its page frames and its lock.
fn cloner(test: Test) -> (Peer, String) {
    let mut peer = test.spawn(&mut Stage::here(), "clone");
    let answer = peer.hear();
    (peer, answer)
}

fn be_a_clone() {
    let clone = areas::registry::find("run").unwrap().open().unwrap();
    reply(&format!("{} {:x?}", clone.lock(), contiguous(&clone)));
    hear();
}

#[test]
fn machine_one_page_of_the_pool_is_contiguous() {
    const NAME: &str = "area::contiguous::machine_one_page_of_the_pool_is_contiguous";
    let Some(_filled) = Filled::with(1, NAME) else { return };
    let before = free();
    for pages in [Pages::Base, IN_POOL] {
        let area = areas::builder(HUGE - 5).pages(pages).lock(Lock::Contiguous).shared().unwrap();
        assert_eq!(
            (area.size(), area.lock(), area.granted().page_size()),
            (HUGE - 5, Lock::Contiguous, PageSize::HUGE_2M)
        );
        assert!(area.granted().fallbacks().is_empty());
        assert_eq!((contiguous(&area).len(), free()), (512, before - 1));
        // smaps does not count hugetlb pages as locked: they are never swapped.
        assert_eq!(
            smaps::at(area.as_ptr().addr()).unwrap().bytes("Shared_Hugetlb")
                + smaps::at(area.as_ptr().addr()).unwrap().bytes("Private_Hugetlb"),
            HUGE
        );
        drop(area);
        assert_eq!(free(), before);
    }
}

#[test]
fn machine_runs_of_pool_pages_are_found_and_the_others_given_back() {
    let this = test!("machine_runs_of_pool_pages_are_found_and_the_others_given_back");
    if this.role().as_deref() == Some("clone") {
        return be_a_clone();
    }
    if this.role().is_none() && !is_root() {
        return skip(this.0, "filling the pool of huge pages needs root");
    }
    this.alone(Stage::default(), || {
        const RUN: usize = 3;
        let Some(_filled) = Filled::with(24, this.0) else { return String::new() };
        let all = free();
        let pages = single_pages(all);
        let mut starts: Vec<u64> = pages.iter().map(first_frame).collect();
        starts.sort_unstable();
        let longest = starts.chunk_by(|one, next| one + 512 == *next).map(<[u64]>::len).max().unwrap();
        scatter(pages);
        let wanted = areas::builder(RUN * HUGE - 7).lock(Lock::Contiguous).name("run");
        if longest < RUN {
            // Then there is none, and it says so.
            let error = wanted.pages(IN_POOL).shared().unwrap_err();
            assert!(error.to_string().contains("hugetlb pages were free; "), "{error:#}");
            assert_eq!(free(), all);
            skip(this.0, "the pool has no pages side by side here");
            return String::new();
        }
        let area = wanted.pages(IN_POOL).shared().unwrap();
        let ours = contiguous(&area);
        assert_eq!(
            (ours.len(), free()),
            (RUN * 512, all - RUN),
            "those that were taken to choose from are back"
        );
        assert_eq!(count("resv_hugepages"), 0);
        area.store(RUN * HUGE - 16, 42_u64, Ordering::Relaxed).unwrap();

        // Clones inherit it, here and elsewhere: the same frames.
        let (mut other, reported) = cloner(this);
        assert_eq!(reported, format!("contiguous {ours:x?}"));
        let clone = areas::registry::find("run").unwrap().open_read_only().unwrap();
        assert_eq!((clone.lock(), contiguous(&clone)), (Lock::Contiguous, ours));
        drop(clone);
        drop(area);
        assert_eq!(free(), all - RUN, "the other process has it");
        other.kill();
        assert_eq!(free(), all, "they are back once it was killed");
        String::new()
    });
}

#[test]
fn machine_pool_pages_apart_are_no_run() {
    const NAME: &str = "area::contiguous::machine_pool_pages_apart_are_no_run";
    let Some(_filled) = Filled::with(8, NAME) else { return };
    let all = free();
    let mut pages = single_pages(all);
    pages.sort_by_key(first_frame);
    // Two that are not side by side, and two free pages are all there is.
    let last = pages.pop().unwrap();
    let apart = pages.iter().position(|page| first_frame(page) + 512 < first_frame(&last)).unwrap();
    drop((pages.remove(apart), last));
    assert_eq!(free(), 2);
    let error = areas::builder(2 * HUGE).pages(IN_POOL).lock(Lock::Contiguous).shared().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
    assert!(error.to_string().contains("2 hugetlb pages were free; at most 1 contiguous"), "{error:#}");
    assert!(error.remedy().unwrap().contains("hugepages-2048kB/nr_hugepages"), "{error:#}");
    assert_eq!((free(), count("resv_hugepages")), (2, 0));
    // What the pool does not have at all.
    let error = areas::builder(3 * HUGE).pages(IN_POOL).lock(Lock::Contiguous).shared().unwrap_err();
    assert!(error.to_string().contains("2 free") && error.to_string().contains("3 wanted"), "{error:#}");
    assert_eq!((free(), count("resv_hugepages")), (2, 0));
}

/// What its source says of page frames is a claim: whoever may write the memory can have put other
/// pages in, and a device would write elsewhere.
#[test]
fn machine_a_clone_is_measured_and_not_believed() {
    let this = test!("machine_a_clone_is_measured_and_not_believed");
    if this.role().is_none() && !is_root() {
        return skip(this.0, "seeing page frames needs root");
    }
    this.alone(Stage::default(), || {
        use rustix::fs::{FallocateFlags, fallocate};
        let _pool = alone_with_pool();
        if free() > 0 {
            skip(this.0, "the pool has pages");
            return String::new();
        }
        let area = match areas::builder(16 * page()).lock(Lock::Contiguous).name("run").shared() {
            Ok(area) => area,
            Err(error) if error.errno().is_some() || error.to_string().contains("MADV_COLLAPSE") => {
                skip(this.0, "this kernel makes no transparent huge pages");
                return String::new();
            }
            Err(error) => panic!("{error:#}"),
        };
        let source = areas::registry::find("run").unwrap();
        assert_eq!(source.open().unwrap().lock(), Lock::Contiguous);
        // Another page in the middle: its frame goes to another process first.
        let away = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&area, away, 8 * page() as u64, page() as u64).unwrap();
        let mut taken = areas::builder(64 * page()).shared().unwrap();
        taken.populate().unwrap();
        area.write_at(8 * page(), b"elsewhere").unwrap();
        let before = frames(&area);
        assert!(before.windows(2).any(|pair| pair[0] + 1 != pair[1]), "{before:x?}");
        let error = source.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:#}");
        assert!(error.to_string().contains("said to be locked as contiguous"), "{error}");
        String::new()
    });
}

#[test]
fn machine_without_a_pool_base_pages_are_collapsed() {
    let this = test!("machine_without_a_pool_base_pages_are_collapsed");
    if this.role().as_deref() == Some("clone") {
        return be_a_clone();
    }
    if this.role().is_none() && !is_root() {
        return skip(this.0, "seeing page frames needs root");
    }
    this.alone(Stage::default(), || {
        let _pool = alone_with_pool();
        if free() > 0 {
            skip(this.0, "the pool has pages");
            return String::new();
        }
        let size = 75 * page() - 3;
        let area = match areas::builder(size).lock(Lock::Contiguous).name("run").shared() {
            Ok(area) => area,
            Err(error) if error.errno().is_some() || error.to_string().contains("MADV_COLLAPSE") => {
                skip(this.0, "this kernel makes no transparent huge pages");
                return String::new();
            }
            Err(error) => panic!("{error:#}"),
        };
        assert_eq!(
            (area.size(), area.granted().page_size(), area.object().extent()),
            (size, PageSize::base(), areas::Extent::Fixed)
        );
        let ours = contiguous(&area);
        let [fallback] = area.granted().fallbacks() else { panic!("{:?}", area.granted().fallbacks()) };
        assert_eq!(fallback.given, "base pages that are contiguous now");
        assert_eq!(kernel::allocated(&area), 75 * page() as u64, "what was collapsed beyond it is back");
        let vma = smaps::at(area.as_ptr().addr()).unwrap();
        assert_eq!((vma.bytes("Rss"), vma.bytes("Locked"), vma.has("lo")), (75 * page(), 75 * page(), true));
        let mut all = vec![1; size];
        area.read_at(0, &mut all).unwrap();
        assert!(all.iter().all(|&byte| byte == 0));

        let (mut other, reported) = cloner(this);
        assert_eq!(reported, format!("contiguous {ours:x?}"));
        let theirs = smaps::of(other.pid()).unwrap();
        let theirs = theirs.iter().find(|one| one.path.starts_with("/memfd:area:run")).unwrap();
        assert!(theirs.has("lo"), "the clone is locked, too: {theirs:?}");
        other.end();
        // One page is contiguous without any ado.
        let one = areas::builder(1).lock(Lock::Contiguous).shared().unwrap();
        assert_eq!((contiguous(&one).len(), one.granted().fallbacks().len()), (1, 0));
        String::new()
    });
}

#[test]
fn what_is_below_4_gib_is_so_or_refused() {
    const NAME: &str = "area::contiguous::what_is_below_4_gib_is_so_or_refused";
    if !is_root() {
        return skip(NAME, "seeing page frames needs root");
    }
    for lock in [Lock::Full32, Lock::Contiguous32] {
        // On a machine with much memory it is a matter of luck; what came is measured.
        match areas::builder(3 * page()).lock(lock).shared() {
            Ok(area) => {
                let frames = frames(&area);
                assert!(
                    frames.iter().all(|&frame| frame > 0 && (frame + 1) * page() as u64 <= 1 << 32),
                    "{frames:x?}"
                );
                assert_eq!(area.lock(), lock);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
                assert!(error.remedy().unwrap().contains("hugepages"), "{error:#}");
            }
        }
    }
}

#[test]
fn what_could_not_be_kept_is_refused() {
    for lock in [Lock::Contiguous, Lock::Low, Lock::Full32, Lock::Contiguous32] {
        let builder = areas::builder(page()).lock(lock);
        let error = builder.private().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{lock}: {error:#}");
        assert!(error.to_string().contains("after a fork"), "{error:#}");
        for error in [
            builder.clone().growable(page()).shared().unwrap_err(),
            builder.clone().growable(2 * page()).shared().unwrap_err(),
            builder.resizable(page()).unwrap_err(),
            builder.resizable(2 * page()).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{lock}: {error:#}");
        }
    }
    let error = areas::builder(page()).lock(Lock::Low).pages(IN_POOL).shared().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
