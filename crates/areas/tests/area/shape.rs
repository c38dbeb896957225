//! Sizes, zeros, and that memory goes back where it came from.

use std::sync::atomic::Ordering;

use areas::{Area, ErrorKind, Extent, Object, Pages, Protection, Request, System, provider::Provider};
use areas_testing::{maps, smaps};

use super::support::child::{Stage, test};
use super::support::held::Held;
use super::support::kernel;
use super::{bytes, page};

#[test]
fn sizes_are_exact_and_mappings_whole_pages() {
    let page = page();
    for size in [1, 5, page - 1, page, page + 1, 5000, 3 * page, (1 << 20) + 17] {
        let private = areas::builder(size).private().unwrap();
        let shared = areas::builder(size).shared().unwrap();
        let mapped = size.next_multiple_of(page);
        assert_eq!((private.size(), private.mapped(), private.reserve()), (size, mapped, mapped));
        assert_eq!((shared.size(), shared.mapped(), shared.reserve()), (size, mapped, mapped));
        assert_eq!(
            (private.len(), private.granted().mapped(), private.granted().span()),
            (size, mapped, mapped)
        );
        assert_eq!((private.as_ptr().addr() % page, shared.as_ptr().addr() % page), (0, 0));
        // The kernel's own idea of both.
        assert_eq!(rustix::fs::fstat(&shared).unwrap().st_size, i64::try_from(size).unwrap());
        let vma = smaps::at(shared.as_ptr().addr()).unwrap();
        assert_eq!(
            (vma.start, vma.end, &*vma.permissions),
            (shared.as_ptr().addr(), vma.start + mapped, "rw-s")
        );
        let vma = smaps::at(private.as_ptr().addr()).unwrap();
        assert!(vma.start <= private.as_ptr().addr() && vma.end >= private.as_ptr().addr() + mapped);
        assert_eq!(&*vma.permissions, "rw-p");
    }
}

#[test]
fn everything_is_zero_and_takes_no_memory_until_it_is_touched() {
    let size = (4 << 20) + 3;
    let private = areas::builder(size).protection(Protection::READ).private().unwrap();
    let shared = areas::builder(size).shared().unwrap();
    let growable = areas::builder(size).growable(16 << 20).shared().unwrap();
    for area in [&shared, &growable] {
        assert_eq!(kernel::allocated(area), 0);
        assert_eq!(kernel::in_core(area.as_ptr(), size), 0);
        assert_eq!(area.residency().unwrap().resident(), 0);
    }
    assert_eq!(private.residency().unwrap().resident(), 0);
    assert!(private.iter().all(|&byte| byte == 0));
    // Reading private memory shows the zero page, which is no memory.
    assert_eq!(private.residency().unwrap().resident(), 0);
    assert!(bytes(&shared).iter().all(|&byte| byte == 0));
    assert!(bytes(&growable).iter().all(|&byte| byte == 0));
}

#[test]
fn memory_of_another_area_never_shows_through() {
    for round in 0..8 {
        let mut area = areas::builder(1 << 20).private().unwrap();
        assert!(area.iter().all(|&byte| byte == 0), "round {round}");
        area.fill(0xa5);
        let shared = areas::builder(1 << 20).shared().unwrap();
        assert!(bytes(&shared).iter().all(|&byte| byte == 0), "round {round}");
        shared.write_at(0, &area).unwrap();
    }
}

#[test]
fn one_builder_makes_many_areas() {
    let builder = areas::builder(4096);
    let mut all: Vec<Area<_>> = (0..3).map(|_| builder.private().unwrap()).collect();
    all[0][0] = 1;
    all[1][0] = 2;
    assert_eq!([all[0][0], all[1][0], all[2][0]], [1, 2, 0]);
    let (one, other) = (builder.shared().unwrap(), builder.shared().unwrap());
    one.store(0, 7_u8, Ordering::Relaxed).unwrap();
    assert_eq!(other.load::<u8>(0, Ordering::Relaxed).unwrap(), 0);
}

#[test]
fn a_dropped_area_gives_its_memory_and_its_addresses_back() {
    let mut shared = areas::builder(8 << 20).shared().unwrap();
    let mut private = areas::builder(8 << 20).private().unwrap();
    shared.populate().unwrap();
    private.populate().unwrap();
    let second = rustix::io::dup(&shared).unwrap();
    let addresses = [shared.as_ptr(), private.as_ptr()];
    assert_eq!(kernel::allocated(&second), 8 << 20);
    assert!(smaps::at(addresses[0].addr()).unwrap().path.starts_with("/memfd:area"));
    drop((shared, private));
    // Another thread's test may have taken the private one's place by now; the object is certain.
    assert!(
        maps::own().iter().all(|vma| !(vma.start..vma.end).contains(&addresses[0].addr())
            || !vma.path.starts_with("/memfd:area"))
    );
    // The memory lives as long as its last holder, here a descriptor.
    assert_eq!(kernel::allocated(&second), 8 << 20);
}

#[test]
fn a_thousand_areas_leave_nothing_behind() {
    test!("a_thousand_areas_leave_nothing_behind").alone(Stage::default(), || {
        let make = || {
            let mut private = areas::builder(1 << 20).private().unwrap();
            private[0] = 1;
            let shared = areas::builder(1 << 20).name("many").shared().unwrap();
            shared.store(0, 1_u8, Ordering::Relaxed).unwrap();
            let growable = areas::builder(1).growable(1 << 20).shared().unwrap();
            growable.grow(1 << 20).unwrap();
            let frozen = areas::builder(5000).shared().unwrap().freeze().unwrap();
            let clone = areas::registry::find("many").unwrap().open_read_only().unwrap();
            assert_eq!((clone.load::<u8>(0, Ordering::Relaxed).unwrap(), frozen[0]), (1, 0));
        };
        // What is made once and kept: this process's table, the folder of the registry, malloc's
        // arena.
        make();
        let before = Held::now();
        for _ in 0..1000 {
            make();
        }
        before.assert_no_more("1000 rounds");
        assert_eq!(areas::registry::list().unwrap().areas.len(), 0);
        String::new()
    });
}

#[test]
fn every_failing_call_leaves_nothing_behind() {
    test!("every_failing_call_leaves_nothing_behind").alone(Stage::default(), || {
        let held = areas::builder(1 << 20).name("held").shared().unwrap();
        let holder = areas::registry::find("held").unwrap();
        let _writer = holder.open().unwrap();
        let occupied = areas::Address::Exactly(held.as_ptr().addr());
        let mib = areas::builder(1 << 20);
        let node: areas::Policy = "bind:1023".parse().unwrap();
        type Call<'a> = &'a dyn Fn() -> areas::Result<()>;
        let cases: [(&str, ErrorKind, Call<'_>); 14] = [
            ("size 0", ErrorKind::InvalidInput, &|| areas::builder(0).private().map(drop)),
            ("shared size 0", ErrorKind::InvalidInput, &|| areas::builder(0).shared().map(drop)),
            ("too large", ErrorKind::NoMemory, &|| areas::builder(1 << 45).shared().map(drop)),
            ("too large to grow", ErrorKind::InvalidInput, &|| mib.clone().growable(1).shared().map(drop)),
            ("bad name", ErrorKind::InvalidInput, &|| mib.clone().name("").shared().map(drop)),
            ("private name", ErrorKind::InvalidInput, &|| mib.clone().name("x").private().map(drop)),
            ("occupied", ErrorKind::AddressInUse, &|| mib.clone().at(occupied).shared().map(drop)),
            ("unaligned", ErrorKind::InvalidInput, &|| {
                mib.clone().at(areas::Address::Exactly(4097)).shared().map(drop)
            }),
            ("no node", ErrorKind::NodeNotAllowed, &|| mib.clone().place(node).shared().map(drop)),
            ("no such area", ErrorKind::NoSuchArea, &|| areas::registry::find("absent").map(drop)),
            ("not frozen", ErrorKind::InvalidInput, &|| holder.open_frozen().map(drop)),
            ("clone at", ErrorKind::AddressInUse, &|| holder.cloning().at(occupied).open().map(drop)),
            ("clone's name", ErrorKind::InvalidInput, &|| {
                holder.cloning().name([b'x'; 256]).open().map(drop)
            }),
            ("busy", ErrorKind::Busy, &|| {
                let area = holder.open()?;
                area.freeze_within(std::time::Duration::ZERO).map(drop).map_err(Into::into)
            }),
        ];
        for (what, kind, call) in cases {
            assert_eq!(call().unwrap_err().kind(), kind, "{what}");
        }
        let before = Held::now();
        for (what, _, call) in cases {
            for _ in 0..20 {
                call().unwrap_err();
            }
            before.assert_no_more(what);
        }
        held.store(0, 1_u8, Ordering::Relaxed).unwrap();
        String::new()
    });
}

#[test]
fn an_empty_area_has_one_page_of_addresses_and_no_byte() {
    for lock in [areas::Lock::None, areas::Lock::Lazy, areas::Lock::Full] {
        let area = areas::builder(0).lock(lock).shared_or_empty().unwrap();
        assert_eq!((area.size(), area.reserve()), (0, page()), "{lock}");
        assert_eq!(area.read_at(0, &mut [0]).unwrap_err().kind(), ErrorKind::OutOfRange);
        area.read_at(0, &mut []).unwrap();
        let frozen = area.freeze().unwrap();
        assert_eq!(&*frozen, b"");
        assert_eq!(frozen.residency().unwrap().resident(), 0);
    }
    assert_eq!(areas::builder(0).shared().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn an_object_can_be_mapped_many_times_without_an_area() {
    let object = Object::create("plain", 5000, Extent::Fixed, areas::PageSize::base()).unwrap();
    assert_eq!((object.size(), object.extent(), object.is_frozen().unwrap()), (5000, Extent::Fixed, false));
    let maps: Vec<_> = (0..2).map(|_| System::new().map(&Request::object(&object)).unwrap()).collect();
    assert!(maps.iter().all(
        |mapping| mapping.is_shared() && mapping.as_bytes().unwrap_err().kind() == ErrorKind::Unsupported
    ));
    // SAFETY: 5000 bytes are mapped, writable and shared, and no reference to them is ever lent.
    #[expect(unsafe_code, reason = "as a peer in C writes")]
    unsafe {
        kernel::poke(maps[0].as_ptr().wrapping_add(4999), 9)
    };
    // SAFETY: 5000 bytes are mapped and readable.
    #[expect(unsafe_code, reason = "as a peer in C reads")]
    let seen = unsafe { kernel::peek(maps[1].as_ptr().wrapping_add(4999)) };
    assert_eq!(seen, 9);
    // Fixed: no process can make a holder's access fault.
    for size in [0, 4999, 5001] {
        assert_eq!(rustix::fs::ftruncate(&object, size), Err(rustix::io::Errno::PERM), "{size}");
    }
    let mode = rustix::fs::fstat(&object).unwrap().st_mode & 0o777;
    assert_eq!(mode, 0o600, "no other user may open it by way of /proc");
    assert!(rustix::io::fcntl_getfd(&object).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn messages_call_an_area_by_its_name_or_size() {
    assert_eq!(areas::builder(4096).private().unwrap().to_string(), "an area of 4 KiB");
    let debug = format!("{:?}", areas::builder(4096).pages(Pages::Base).shared().unwrap());
    assert!(debug.starts_with("Area {") && debug.contains("Fixed"), "{debug}");
}
