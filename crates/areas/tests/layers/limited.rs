//! A budget: exact, released in every way, and never exceeded.

use std::sync::atomic::Ordering;

use areas::{
    Address, ErrorKind, Extent, Mapping, Object, PageSize, Pages, Provider, Request, Result, System,
};

use crate::support::{Pool, Watching, page};

const SYSTEM: System = System::new();

#[test]
fn exact_and_free_again_after_drop_and_unmap() {
    let budget = SYSTEM.limited(3 * page());
    let one = Request::new(1);
    let first = budget.map(&one).unwrap();
    let second = budget.map(&Request::new(2 * page())).unwrap();
    assert_eq!((budget.used(), budget.limit()), (3 * page(), 3 * page()));
    let error = budget.map(&one).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    if page() == 4096 {
        insta::assert_snapshot!(format!("{error:#}"), @r"
        cannot map 4 KiB: the provider is limited to 12 KiB, 12 KiB in use
          help: drop some areas of this provider, or give it a larger limit
        ");
    }
    drop(first);
    assert_eq!(budget.used(), 2 * page());
    let first = budget.map(&one).unwrap();
    budget.unmap(first).unwrap();
    assert_eq!(budget.used(), 2 * page());
    // By the mapping itself, past the provider.
    second.unmap().unwrap();
    assert_eq!(budget.used(), 0);
    // A mapping outlives its provider.
    let last = budget.map(&one).unwrap();
    drop(budget);
    drop(last);
}

#[test]
fn what_fails_is_not_counted() {
    let budget = SYSTEM.limited(usize::MAX);
    let taken = budget.map(&Request::new(page())).unwrap();
    let used = budget.used();
    for request in [
        Request::new(0),
        Request::new(usize::MAX),
        Request::new(usize::MAX - page()),
        Request::new(page()).at(Address::Exactly(taken.as_ptr().addr())),
        Request::new(page()).placed(crate::support::nowhere()),
    ] {
        budget.map(&request).unwrap_err();
        assert_eq!(budget.used(), used, "{request:?}");
    }
}

#[test]
fn objects_count_with_their_reserve() {
    let budget = SYSTEM.limited(64 * page());
    let object = |max| Object::create("limited", page(), Extent::Growable { max }, PageSize::base()).unwrap();
    let fits = object(64 * page());
    let mapping = budget.map(&Request::object(&fits)).unwrap();
    assert_eq!((budget.used(), mapping.size()), (64 * page(), page()));
    drop(mapping);
    let error = budget.map(&Request::object(&object(65 * page()))).unwrap_err();
    assert_eq!((error.kind(), budget.used()), (ErrorKind::Limit, 0));

    // And so do areas.
    let area = areas::builder(1).growable(40 * page()).provider(&budget).shared().unwrap();
    assert_eq!(budget.used(), 40 * page());
    assert_eq!(
        areas::builder(1).growable(40 * page()).provider(&budget).shared().unwrap_err().kind(),
        ErrorKind::Limit
    );
    drop(area);
    assert_eq!(budget.used(), 0);
}

#[test]
fn what_turns_out_larger_is_counted_as_it_is() {
    /// Four times as much as was asked for.
    #[derive(Debug)]
    struct Generous(Watching);
    impl Provider for Generous {
        fn map(&self, request: &Request<'_>) -> Result<Mapping> {
            self.0.map(&request.clone().resized(4 * request.size()))
        }
    }
    let budget = Generous(Watching::up_to(usize::MAX)).limited(7 * page());
    let first = budget.map(&Request::new(page())).unwrap();
    assert_eq!(budget.used(), 4 * page());
    let error = budget.map(&Request::new(page())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(page() != 4096 || error.to_string().contains("limited to 28 KiB, 16 KiB in use"), "{error}");
    assert_eq!(budget.used(), 4 * page());
    drop(first);
    assert_eq!(budget.used(), 0);
}

#[test]
fn machine_huge_pages_count_whole() {
    let huge = PageSize::HUGE_2M;
    let request = Request::new(1).pages(Pages::Pool(huge));
    // One byte less than a page: refused before a page is asked for.
    let tight = SYSTEM.limited(huge.bytes() - 1);
    assert_eq!(tight.map(&request).unwrap_err().kind(), ErrorKind::Limit);
    assert_eq!(tight.used(), 0);

    let Some(_pool) = Pool::with(1, "limited::machine_huge_pages_count_whole") else { return };
    let budget = SYSTEM.limited(huge.bytes());
    let mapping = budget.map(&request).unwrap();
    assert_eq!(budget.used(), huge.bytes());
    assert_eq!(budget.map(&Request::new(1)).unwrap_err().kind(), ErrorKind::Limit);
    drop(mapping);
    assert_eq!(budget.used(), 0);
    // More than was promised comes of a preference: that is refused, too, once it is known.
    let budget = SYSTEM.limited(huge.bytes() - 1);
    let error = budget.map(&Request::new(1).pages(Pages::PreferPool(huge))).unwrap_err();
    assert_eq!((error.kind(), budget.used()), (ErrorKind::Limit, 0));
}

#[test]
fn threads_never_exceed_it() {
    let watching = Watching::up_to(usize::MAX);
    let budget = (&watching).limited(10 * page());
    let refused: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (1..=4)
            .map(|pages| {
                let budget = &budget;
                scope.spawn(move || {
                    let mut refused = 0;
                    for round in 0..300 {
                        let held: Vec<_> =
                            (0..2).map(|_| budget.map(&Request::new(pages * page()))).collect();
                        std::thread::yield_now();
                        for result in held {
                            match result {
                                Ok(mapping) if round % 2 == 0 => budget.unmap(mapping).unwrap(),
                                Ok(mapping) => drop(mapping),
                                Err(error) => {
                                    assert_eq!(error.kind(), ErrorKind::Limit);
                                    refused += 1;
                                }
                            }
                        }
                    }
                    refused
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    // It came near, and never over.
    let peak = watching.peak.load(Ordering::SeqCst);
    assert!(peak <= 10 * page(), "{peak}");
    assert!(peak >= 8 * page(), "{peak}");
    assert_eq!((budget.used(), watching.now.load(Ordering::SeqCst)), (0, 0));
    assert_eq!(watching.calls().0 + refused, 4 * 300 * 2);
}
