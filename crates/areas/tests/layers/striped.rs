//! Blocks on nodes in turn. (Which page is on which node is measured in the guest, where there are
//! several.)

use std::os::fd::AsFd;

use areas::{Backing, ErrorKind, NodeSet, PageSize, Pages, Policy, Provider, Request, System};

use crate::support::{Filling, Pool, node, nowhere, page, policies, range, unknown_node};

const SYSTEM: System = System::new();

#[test]
fn what_makes_no_sense_is_refused() {
    let request = Request::new(10 * page());
    let cases: [(_, Request<'_>, ErrorKind, &str); 5] = [
        (SYSTEM.striped(NodeSet::ALL, 0), request.clone(), ErrorKind::InvalidInput, "a block has no page"),
        (
            SYSTEM.striped(NodeSet::EMPTY, 1),
            request.clone(),
            ErrorKind::InvalidInput,
            "the set of nodes is empty",
        ),
        (
            SYSTEM.striped(NodeSet::single(unknown_node()), 1),
            request.clone(),
            ErrorKind::NodeNotAllowed,
            "may not be used",
        ),
        (
            SYSTEM.striped(NodeSet::ALL, 1),
            request.clone().placed(Policy::Bind(NodeSet::ALL)),
            ErrorKind::InvalidInput,
            "wants its pages placed as bind:all",
        ),
        (
            SYSTEM.striped(NodeSet::ALL, 1),
            request.clone().placed(nowhere()),
            ErrorKind::InvalidInput,
            "wants its pages",
        ),
    ];
    for (provider, request, kind, text) in cases {
        let error = provider.map(&request).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
    // Stripes over stripes: whose?
    let error = SYSTEM.striped(NodeSet::ALL, 1).striped(NodeSet::ALL, 2).map(&request).unwrap_err();
    assert!(error.to_string().contains("a layer above places the parts already"), "{error}");
    // A request that asks for nothing in particular is one without a placement.
    SYSTEM.striped(NodeSet::ALL, 1).map(&request.placed(Policy::Default)).unwrap();
}

#[test]
fn the_kernel_has_the_policy_of_each_block() {
    for (size, block) in [(10 * page(), 1), (10 * page(), 3), (page() + 1, 4), (10 * page(), usize::MAX)] {
        let provider = SYSTEM.striped(NodeSet::single(node()), block);
        let mapping = provider.map(&Request::new(size)).unwrap();
        assert_eq!(mapping.policy().unwrap(), Policy::Bind(NodeSet::single(node())));
        // Neighbours of one policy may be one entry; what begins in ours is bound.
        for (offset, policy) in policies(&range(&mapping)) {
            assert_eq!(policy, format!("bind:{}", node()), "at {offset:#x}");
        }
        provider.unmap(mapping).unwrap();
    }
    // And pages are there, once they are.
    let provider = SYSTEM.striped(NodeSet::ALL, 2);
    let mut area = areas::builder(9 * page() + 1).provider(&provider).private().unwrap();
    area.populate().unwrap();
    let answer = area.verify().unwrap();
    assert!(answer.holds(), "{answer}");
    assert_eq!(answer.in_place(), 10 * page() as u64);
    let mut shared = areas::builder(9 * page()).provider(&provider).shared().unwrap();
    shared.populate().unwrap();
    assert!(shared.verify().unwrap().holds());
}

#[test]
fn blocks_are_placed_before_a_layer_below_writes() {
    let filling = Filling::default();
    let provider = (&filling).striped(NodeSet::single(node()), 2);
    let mapping = provider.map(&Request::new(5 * page())).unwrap();
    assert_eq!(*filling.0.lock().unwrap(), [Policy::Bind(NodeSet::single(node()))]);
    drop(mapping);
    // The stripes outrank what a provider below would do with a request without a placement.
    let provider = SYSTEM.placed(Policy::Interleave(NodeSet::ALL)).striped(NodeSet::single(node()), 2);
    let mapping = provider.map(&Request::new(5 * page())).unwrap();
    assert_eq!(mapping.policy().unwrap(), Policy::Bind(NodeSet::single(node())));
}

#[test]
fn a_provider_below_that_forgets_the_rest_of_the_request_is_striped_all_the_same() {
    #[derive(Debug)]
    struct Forgetful;
    impl Provider for Forgetful {
        fn map(&self, request: &Request<'_>) -> areas::Result<areas::Mapping> {
            SYSTEM.map(&Request::new(request.size()))
        }
    }
    let mapping = Forgetful.striped(NodeSet::ALL, 1).map(&Request::new(3 * page())).unwrap();
    assert_eq!(mapping.policy().unwrap().name(), "bind");
}

#[test]
fn shared_files_have_no_policy() {
    let path = std::env::temp_dir().join(format!("areas-layers-{}", std::process::id()));
    std::fs::write(&path, vec![1; page()]).unwrap();
    let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let backed =
        |shared| Request::new(page()).backed_by(Backing::File { file: file.as_fd(), offset: 0, shared });
    let (striped, spilled) = (SYSTEM.striped(NodeSet::ALL, 1), SYSTEM.spilled([node()]));
    for provider in [&striped as &dyn Provider, &spilled] {
        let error = provider.map(&backed(true)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("the page cache ignores memory policies"), "{error}");
        provider.map(&backed(false)).unwrap();
    }
}

#[test]
fn machine_pages_of_the_pool_are_taken_where_their_block_is() {
    let Some(_pool) = Pool::with(2, "striped::machine_pages_of_the_pool_are_taken_where_their_block_is")
    else {
        return;
    };
    let huge = PageSize::HUGE_2M;
    for provider in [&SYSTEM.striped(NodeSet::single(node()), 1) as &dyn Provider, &SYSTEM.spilled([node()])]
    {
        let builder = areas::builder(2 * huge.bytes()).pages(Pages::Pool(huge)).provider(provider);
        let area = builder.private().unwrap();
        assert_eq!((area.granted().page_size(), area.granted().mapped()), (huge, 2 * huge.bytes()));
        // They are there at once, and in place.
        let answer = area.verify().unwrap();
        assert!(answer.holds(), "{answer}");
        assert_eq!(answer.in_place(), 2 * huge.bytes() as u64);
        let mapping = area.into_mapping();
        let policy = mapping.policy().unwrap();
        assert!(
            [Policy::Bind(NodeSet::single(node())), Policy::Preferred(node())].contains(&policy),
            "{policy}"
        );
        drop(mapping);
        drop(builder.shared().unwrap());
    }
}
