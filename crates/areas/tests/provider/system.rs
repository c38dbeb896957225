//! The kernel as a provider: private, inherited, shared, at an address; as constants that need no
//! set-up.

#![expect(
    unsafe_code,
    reason = "forks, and looks at shared memory as a peer in C would; each block has its proof"
)]

use std::sync::atomic::Ordering;

use areas::{
    Address, Backing, ErrorKind, Extent, Fallback, Object, PageSize, Pages, Placed, Placement, Policy,
    Protection, Provider, Request, System,
};
use areas_testing::smaps;

use super::page;
use super::support::child::{Stage, test};
use super::support::held::Held;
use super::support::kernel;

static KERNEL: System = System::new();
static LOCAL: Placed<System> = System::new().placed(Policy::Local);
static INTERLEAVED: Placed<System> = System::new().placed(Policy::Interleave(areas::NodeSet::ALL));
const TWICE: Placed<Placed<System>> =
    Placed::new(System::new().placed(Policy::Local), Placement::new(Policy::Default));

#[test]
fn private_memory_is_lent() {
    let mut mapping = KERNEL.map(&Request::new(5000)).unwrap();
    assert_eq!((mapping.size(), mapping.span(), mapping.page_size()), (5000, 2 * page(), PageSize::base()));
    assert_eq!((mapping.is_shared(), mapping.protection()), (false, Protection::READ_WRITE));
    assert!(mapping.as_bytes().unwrap().iter().all(|&byte| byte == 0));
    mapping.as_bytes_mut().unwrap().fill(1);
    assert_eq!(mapping.as_bytes().unwrap().len(), 5000);
    mapping.protect(Protection::READ).unwrap();
    assert_eq!(mapping.as_bytes_mut().unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(smaps::at(mapping.as_ptr().addr()).unwrap().permissions, "r--p");
    mapping.unmap().unwrap();
}

#[test]
fn statics_serve_without_set_up() {
    assert_eq!(LOCAL.map(&Request::new(1)).unwrap().policy().unwrap(), Policy::Local);
    assert_eq!(INTERLEAVED.map(&Request::new(1)).unwrap().policy().unwrap().name(), "interleave");
    // The outer layer places first; the inner one finds that done.
    assert_eq!(TWICE.map(&Request::new(1)).unwrap().policy().unwrap(), Policy::Default);
    let providers: [&dyn Provider; 3] = [&KERNEL, &LOCAL, &INTERLEAVED];
    for provider in providers {
        let mut area = areas::builder(100).provider(provider).private().unwrap();
        area.fill(2);
        let shared = areas::builder(100).provider(provider).shared().unwrap();
        shared.store(0, 1_u8, Ordering::Relaxed).unwrap();
    }
}

#[test]
fn unmapping_gives_the_addresses_back() {
    test!("unmapping_gives_the_addresses_back").alone(Stage::default(), || {
        let before = Held::now();
        for _ in 0..500 {
            KERNEL.unmap(KERNEL.map(&Request::new(1 << 20)).unwrap()).unwrap();
            drop(KERNEL.map(&Request::new(1 << 20)).unwrap());
            let mut mapping = KERNEL.map(&Request::new(1)).unwrap();
            let why = areas::Error::new(ErrorKind::NoMemory, "test");
            mapping.record_fallback("more", "less", why);
            let [Fallback { asked, given, .. }] = mapping.fallbacks() else { panic!() };
            assert_eq!((&**asked, &**given), ("more", "less"));
            mapping.unmap().unwrap();
        }
        before.assert_no_more("500 mappings");
        String::new()
    });
}

#[test]
fn inherited_memory_is_shared_with_a_child() {
    test!("inherited_memory_is_shared_with_a_child").alone(Stage::default(), || {
        let shared = KERNEL.map(&Request::new(page()).backed_by(Backing::Inherited)).unwrap();
        let mut private = KERNEL.map(&Request::new(page())).unwrap();
        assert_eq!(smaps::at(shared.as_ptr().addr()).unwrap().permissions, "rw-s");
        assert!(shared.is_shared() && shared.as_bytes().unwrap_err().kind() == ErrorKind::Unsupported);
        // SAFETY: the child only writes two bytes and leaves: it calls nothing that another
        // thread's mutex could stop.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: mapped, writable, and nothing has a reference.
            unsafe { kernel::poke(shared.as_ptr(), 7) };
            // SAFETY: the child's own copy.
            unsafe { kernel::poke(private.as_ptr(), 7) };
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(0) };
        }
        // SAFETY: our own child.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        // SAFETY: mapped and readable.
        assert_eq!(unsafe { kernel::peek(shared.as_ptr()) }, 7);
        assert_eq!(private.as_bytes_mut().unwrap()[0], 0, "a child gets a copy of what is private");
        String::new()
    });
}

#[test]
fn an_object_is_mapped_whole_with_its_reserve() {
    let max = 16 * page();
    let object = Object::create("grows", 5000, Extent::Growable { max }, PageSize::base()).unwrap();
    let request = Request::object(&object);
    assert_eq!(request.size(), 2 * page());
    let mapping = KERNEL.map(&request).unwrap();
    assert_eq!((mapping.size(), mapping.span(), mapping.is_shared()), (2 * page(), max, true));
    // What the request says of pages does not matter: the object has chosen.
    let again = KERNEL.map(&request.clone().pages(Pages::Pool(PageSize::HUGE_2M))).unwrap();
    assert_eq!(again.page_size(), PageSize::base());
}

#[test]
fn exactly_there_or_not_at_all() {
    test!("exactly_there_or_not_at_all").alone(Stage::default(), || {
        let mut there = KERNEL.map(&Request::new(page())).unwrap();
        there.as_bytes_mut().unwrap().fill(0xaa);
        let at = Address::Exactly(there.as_ptr().addr());
        for backing in [Backing::Private, Backing::Inherited] {
            let error = KERNEL.map(&Request::new(1).at(at).backed_by(backing)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddressInUse);
        }
        assert!(there.as_bytes().unwrap().iter().all(|&byte| byte == 0xaa));
        there.unmap().unwrap();
        assert_eq!(
            KERNEL.map(&Request::new(1).at(at)).unwrap().as_ptr().addr(),
            match at {
                Address::Exactly(address) => address,
                _ => 0,
            }
        );
        String::new()
    });
}

#[test]
fn impossible_requests_are_refused() {
    let cases = [
        (0, ErrorKind::InvalidInput),
        (usize::MAX, ErrorKind::InvalidInput),
        (1 << 46, ErrorKind::NoMemory),
        (usize::MAX / 2, ErrorKind::NoMemory),
    ];
    for (size, kind) in cases {
        for backing in [Backing::Private, Backing::Inherited] {
            let error = KERNEL.map(&Request::new(size).backed_by(backing)).unwrap_err();
            assert_eq!(error.kind(), kind, "{size}: {error:?}");
        }
    }
}

#[test]
fn a_request_says_what_was_asked() {
    let object = Object::create("x", 1, Extent::Fixed, PageSize::base()).unwrap();
    let request = Request::new(9)
        .backed_by(Backing::Object(&object))
        .at(Address::Exactly(4096))
        .pages(Pages::Auto)
        .protection(Protection::READ)
        .placed(Policy::Local);
    assert_eq!(
        (request.size(), request.address(), request.page_request()),
        (9, Address::Exactly(4096), Pages::Auto)
    );
    assert_eq!(
        (request.wanted_protection(), request.placement()),
        (Protection::READ, Some(Placement::new(Policy::Local)))
    );
    assert!(matches!(request.backing(), Backing::Object(same) if std::ptr::eq(same, &object)));
    assert_eq!(Request::new(9).placement(), None);
}
