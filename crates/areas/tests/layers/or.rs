//! A fallback that the caller wrote: recorded, and each provider gets back what it mapped.

use std::error::Error as _;

use areas::{Address, ErrorKind, PageSize, Pages, Provider, Request, System};

use crate::support::{Pool, Watching, nowhere, one_at_a_time, page, unknown_node};

const SYSTEM: System = System::new();

#[test]
fn the_fallback_is_recorded_with_what_the_first_said() {
    let provider = SYSTEM.placed(nowhere()).or(SYSTEM);
    let area = areas::builder(5000).provider(&provider).private().unwrap();
    let [fallback] = area.granted().fallbacks() else { panic!("{:?}", area.granted()) };
    assert_eq!(fallback.asked, format!("System.placed(bind:{})", unknown_node()));
    assert_eq!(fallback.given, "System");
    assert_eq!(fallback.because.kind(), ErrorKind::NodeNotAllowed);

    // Where the first one can, nothing was given instead.
    let area = areas::builder(5000).provider(&SYSTEM.or(SYSTEM.placed(nowhere()))).private().unwrap();
    assert!(area.granted().fallbacks().is_empty());

    // Shared areas report it as well.
    let area = areas::builder(5000).provider(&provider).shared().unwrap();
    assert_eq!(area.granted().fallbacks().len(), 1);
}

#[test]
fn fallbacks_of_both_levels_are_recorded() {
    let provider = SYSTEM.placed(nowhere()).or(SYSTEM.placed(nowhere()).or(SYSTEM));
    let mapping = provider.map(&Request::new(1)).unwrap();
    let given: Vec<_> = mapping.fallbacks().iter().map(|fallback| fallback.given.clone()).collect();
    assert_eq!(given, ["System".to_owned(), format!("System.placed(bind:{}).or(System)", unknown_node())]);
}

#[test]
fn where_both_fail_all_reasons_are_reported() {
    let (small, none) = (Watching::up_to(10), Watching::up_to(0));
    let error = (&small).or(SYSTEM.placed(nowhere())).map(&Request::new(11)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NodeNotAllowed);
    let text = error.to_string();
    assert!(text.contains("not exist or may not be used"), "{text}");
    assert!(text.ends_with("(cannot map so much: it is watched)"), "{text}");
    assert!(error.source().is_some());

    // Whatever way they are put together, no reason is lost.
    let budget = SYSTEM.limited(1);
    let request = Request::new(11);
    let one = (&none).or((&budget).or(SYSTEM.placed(nowhere()))).map(&request).unwrap_err();
    let two = (&none).or(&budget).or(SYSTEM.placed(nowhere())).map(&request).unwrap_err();
    for text in [one.to_string(), two.to_string()] {
        for reason in ["it is watched", "limited to 1 B", "may not be used"] {
            assert_eq!(text.matches(reason).count(), 1, "{reason} in {text}");
        }
    }
}

#[test]
fn each_gets_back_what_it_mapped() {
    let (small, large) = (Watching::up_to(page()), Watching::up_to(usize::MAX));
    let provider = (&small).or(&large);
    let mappings: Vec<_> =
        [1, page() + 1, page(), 9 * page()].map(|size| provider.map(&Request::new(size)).unwrap()).into();
    assert_eq!((small.calls(), large.calls()), ((2, 0), (2, 0)));
    for (mapping, expected) in mappings.into_iter().zip([(1, 0), (1, 1), (2, 1), (2, 2)]) {
        provider.unmap(mapping).unwrap();
        assert_eq!((small.calls().1, large.calls().1), expected);
    }
    // What another one mapped is not the second's.
    let other = (&small).or(&large);
    let foreign = other.map(&Request::new(page() + 1)).unwrap();
    provider.unmap(foreign).unwrap();
    assert_eq!((small.calls().1, large.calls().1), (3, 2));
}

#[test]
fn what_the_second_mapped_and_was_dropped_is_forgotten() {
    let _alone = one_at_a_time();
    let (small, large) = (Watching::up_to(page()), Watching::up_to(usize::MAX));
    let provider = (&small).or(&large);
    let same_address = (0..3).any(|_| {
        let before = (small.calls().1, large.calls().1);
        let second = provider.map(&Request::new(2 * page())).unwrap();
        let address = second.as_ptr().addr();
        drop(second);
        // The first maps at the address that the second had.
        let Ok(first) = provider.map(&Request::new(page()).at(Address::Exactly(address))) else {
            return false;
        };
        assert_eq!(first.as_ptr().addr(), address);
        provider.unmap(first).unwrap();
        assert_eq!((small.calls().1, large.calls().1), (before.0 + 1, before.1));
        true
    });
    assert!(same_address, "the address was taken by another mapping three times");
}

#[test]
fn machine_a_promise_of_huge_pages_with_a_fallback() {
    // More pages than any pool has: the first refuses, and base pages are what the second was asked
    // to make of it.
    #[derive(Debug)]
    struct Base(System);
    impl Provider for Base {
        fn map(&self, request: &Request<'_>) -> areas::Result<areas::Mapping> {
            self.0.map(&request.clone().pages(Pages::Base))
        }
    }
    let pool = Pool::alone();
    let Some(size) = pool.more_than_it_has("or::machine_a_promise_of_huge_pages_with_a_fallback") else {
        return;
    };
    let request = Request::new(size).pages(Pages::Pool(PageSize::HUGE_2M));
    let mapping = SYSTEM.or(Base(SYSTEM)).map(&request).unwrap();
    assert_eq!(mapping.page_size(), PageSize::base());
    assert_eq!(mapping.fallbacks()[0].because.kind(), ErrorKind::NoMemory);
}
