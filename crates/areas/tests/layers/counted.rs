//! Statistics: exact while they are read, whoever unmaps, and however.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use areas::provider::{Counted, Statistics};
use areas::{Address, PageSize, Pages, Provider, Request, System};

use crate::support::{Pool, Watching, nowhere, page, shown_all};

const SYSTEM: System = System::new();

/// Bytes now and at most, in pages; maps, unmaps, failures.
fn reported<P>(provider: &Counted<P>) -> (usize, usize, u64, u64, u64) {
    let Statistics { mapped, peak, maps, unmaps, failures, .. } = provider.statistics();
    assert_eq!((mapped % page(), peak % page()), (0, 0));
    (mapped / page(), peak / page(), maps, unmaps, failures)
}

#[test]
fn what_is_mapped_is_counted_until_it_is_unmapped() {
    let provider = SYSTEM.counted();
    assert_eq!(reported(&provider), (0, 0, 0, 0, 0));
    let first = provider.map(&Request::new(1)).unwrap();
    let second = provider.map(&Request::new(3 * page() + 1)).unwrap();
    assert_eq!(reported(&provider), (5, 5, 2, 0, 0));
    // By the provider, by the mapping past it, by a drop.
    provider.unmap(first).unwrap();
    assert_eq!(reported(&provider), (4, 5, 2, 1, 0));
    second.unmap().unwrap();
    assert_eq!(reported(&provider), (0, 5, 2, 2, 0));
    drop(provider.map(&Request::new(2 * page())).unwrap());
    assert_eq!(reported(&provider), (0, 5, 3, 3, 0));
    // By a panic on its way.
    let unwound = std::panic::catch_unwind(|| {
        let _mapping = provider.map(&Request::new(6 * page())).unwrap();
        assert_eq!(reported(&provider), (6, 6, 4, 3, 0));
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(unwound.is_err());
    assert_eq!(reported(&provider), (0, 6, 4, 4, 0));
    // A mapping outlives its provider.
    let last = provider.map(&Request::new(1)).unwrap();
    drop(provider);
    drop(last);
}

#[test]
fn failures_are_counted_and_nothing_else() {
    let provider = SYSTEM.counted();
    let taken = provider.map(&Request::new(page())).unwrap();
    let wrong = [
        Request::new(0),
        Request::new(usize::MAX),
        Request::new(page()).at(Address::Exactly(taken.as_ptr().addr())),
        Request::new(page()).placed(nowhere()),
    ];
    for (failed, request) in (1..).zip(&wrong) {
        provider.map(request).unwrap_err();
        assert_eq!(reported(&provider), (1, 1, 1, 0, failed), "{request:?}");
    }
    // What a layer below does instead is no failure of this one.
    let saved = SYSTEM.placed(nowhere()).counted().or(SYSTEM).counted();
    drop(saved.map(&Request::new(1)).unwrap());
    assert_eq!(reported(&saved), (0, 1, 1, 1, 0));
}

/// The same bytes as the kernel's own list has.
#[test]
fn areas_count_with_their_reserve_and_with_what_they_widen_to() {
    let provider = SYSTEM.counted();
    let private = areas::builder(3 * page()).provider(&provider).private().unwrap();
    let growable = areas::builder(1).growable(40 * page()).provider(&provider).shared().unwrap();
    assert_eq!(reported(&provider), (43, 43, 2, 0, 0));
    drop((private, growable));
    assert_eq!(reported(&provider), (0, 43, 2, 2, 0));

    let mut area = areas::builder(2 * page()).provider(&provider).resizable(4 * page()).unwrap();
    let span = || provider.statistics().mapped;
    let before = span();
    assert_eq!(before, area.granted().span());
    let start = area.as_ptr().addr();
    area.widen_reserve(before + 80 * page()).unwrap();
    assert_eq!(span(), area.granted().span());
    assert!(span() >= before + 80 * page());
    assert!(shown_all(start..start + span()).iter().all(Option::is_some));
    let widest = span();
    drop(area);
    let reported = provider.statistics();
    assert_eq!((reported.mapped, reported.peak, reported.maps, reported.unmaps), (0, widest, 3, 3));
}

#[test]
fn machine_huge_pages_count_whole() {
    let huge = PageSize::HUGE_2M;
    let Some(_pool) = Pool::with(1, "counted::machine_huge_pages_count_whole") else { return };
    let provider = SYSTEM.counted();
    let mapping = provider.map(&Request::new(1).pages(Pages::Pool(huge))).unwrap();
    assert_eq!(provider.statistics().mapped, huge.bytes());
    drop(mapping);
    assert_eq!(reported(&provider), (0, huge.bytes() / page(), 1, 1, 0));
}

/// Readers see no contradiction while others map and unmap, and nothing is lost or counted twice.
#[test]
fn threads_lose_nothing() {
    const ROUNDS: u64 = 400;
    let watching = Watching::up_to(4 * page());
    let provider = (&watching).counted();
    let (done, start) = (AtomicBool::new(false), Barrier::new(6));
    let (mut largest, mut reads) = (0, 0_u64);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (1..=5)
            .map(|pages| {
                let (provider, start) = (&provider, &start);
                scope.spawn(move || {
                    start.wait();
                    for round in 0..ROUNDS {
                        let mapped = provider.map(&Request::new(pages * page()));
                        assert_eq!(mapped.is_err(), pages == 5);
                        match mapped {
                            Ok(mapping) if round % 2 == 0 => provider.unmap(mapping).unwrap(),
                            mapped => drop(mapped),
                        }
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let (mut largest, mut reads, mut before) = (0, 0, provider.statistics());
            start.wait();
            // At least once: on a busy machine all others may be done by now.
            loop {
                let now = provider.statistics();
                assert!(now.mapped <= now.peak && now.unmaps <= now.maps, "{now:?}");
                assert!(now.peak >= before.peak && now.maps >= before.maps && now.unmaps >= before.unmaps);
                assert!(now.mapped <= 10 * page(), "{now:?}");
                (largest, reads, before) = (largest.max(now.mapped), reads + 1, now);
                if done.load(Ordering::SeqCst) {
                    break;
                }
            }
            (largest, reads)
        });
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        (largest, reads) = reader.join().unwrap();
    });
    let end = provider.statistics();
    assert!(reads > 0 && largest <= end.peak, "{largest} of {end:?}");
    assert_eq!((end.mapped, end.maps, end.unmaps, end.failures), (0, 4 * ROUNDS, 4 * ROUNDS, ROUNDS));
    // The provider below counts by itself, around this one: it never saw less.
    assert!((4 * page()..=watching.peak.load(Ordering::SeqCst)).contains(&end.peak), "{end:?}");
}

/// All hold what they have at one moment: the peak is the sum, to the byte.
#[test]
fn the_peak_is_exact() {
    let provider = SYSTEM.counted();
    for round in 1..=20 {
        let barrier = Barrier::new(4);
        std::thread::scope(|scope| {
            for pages in 1..=4 {
                let (provider, barrier) = (&provider, &barrier);
                scope.spawn(move || {
                    let mapping = provider.map(&Request::new(pages * page())).unwrap();
                    barrier.wait();
                    drop(mapping);
                });
            }
        });
        assert_eq!(reported(&provider), (0, 10, 4 * round, 4 * round, 0));
    }
}
