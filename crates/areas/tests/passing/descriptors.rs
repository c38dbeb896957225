//! Areas of descriptors that came some other way: the same memory, the kind by the kernel's word,
//! nothing kept or lost where it is none.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use areas::{AnyArea, ErrorKind, Protection, ReceiveOptions};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};

use super::support::child::{Stage, test};
use super::{FIXED, memfd, open_descriptors};

fn kind(area: &AnyArea) -> &'static str {
    match area {
        AnyArea::Private(_) => "private",
        AnyArea::Shared(_) => "shared",
        AnyArea::Resizable(_) => "resizable",
        AnyArea::Frozen(_) => "frozen",
        AnyArea::Stored(_) => "stored",
    }
}

#[test]
fn what_comes_back_from_an_areas_descriptor_is_its_memory() {
    let area = areas::builder(10_000).shared().unwrap();
    area.write_at(9_999, b"!").unwrap();
    let again = AnyArea::from_descriptor(area.as_fd().try_clone_to_owned().unwrap()).unwrap();
    assert_eq!((kind(&again), again.size(), again.name(), again.id()), ("shared", 10_000, None, None));
    assert_eq!(again.protection(), Protection::READ_WRITE);
    let mut byte = [0];
    again.read_at(9_999, &mut byte).unwrap();
    assert_eq!(&byte, b"!");
    again.into_shared().unwrap().write_at(0, b"?").unwrap();
    area.read_at(0, &mut byte).unwrap();
    assert_eq!(&byte, b"?");
    // Out again, as any descriptor of a file: by `AsFd`, and from there to whoever wants one.
    let copy: OwnedFd = area.as_fd().try_clone_to_owned().unwrap();
    assert_eq!(rustix::fs::fstat(&copy).unwrap().st_ino, rustix::fs::fstat(area.as_fd()).unwrap().st_ino);
}

#[test]
fn the_kind_is_what_the_seals_say() {
    let allowing = ReceiveOptions::new().resizable();
    let cases = [
        ("shared", FIXED, ReceiveOptions::new(), Protection::READ_WRITE),
        ("shared", SealFlags::SHRINK, ReceiveOptions::new(), Protection::READ_WRITE),
        ("shared", FIXED, allowing, Protection::READ_WRITE),
        ("shared", FIXED | SealFlags::FUTURE_WRITE, ReceiveOptions::new(), Protection::READ),
        ("frozen", FIXED | SealFlags::WRITE, ReceiveOptions::new(), Protection::READ),
        ("frozen", FIXED | SealFlags::WRITE, allowing, Protection::READ),
        ("resizable", SealFlags::empty(), allowing, Protection::READ_WRITE),
        ("resizable", SealFlags::GROW, allowing, Protection::READ_WRITE),
    ];
    for (expected, seals, options, protection) in cases {
        let area = options.from_descriptor(memfd(8192, MemfdFlags::empty(), seals)).unwrap();
        assert_eq!((kind(&area), area.size(), area.protection()), (expected, 8192, protection), "{seals:?}");
        let mut bytes = [1; 8];
        area.read_at(8184, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 8]);
        assert_eq!(area.read_at(8185, &mut bytes).unwrap_err().kind(), ErrorKind::OutOfRange, "{expected}");
    }
}

#[test]
fn a_descriptor_for_reading_gives_an_area_for_reading() {
    let area = areas::builder(4096).shared().unwrap();
    let path = format!("/proc/self/fd/{}", area.as_fd().as_raw_fd());
    let read_only = File::open(&path).unwrap();
    let read = AnyArea::from_descriptor(read_only).unwrap().into_shared().unwrap();
    assert_eq!(read.protection(), Protection::READ);
    assert_eq!(read.write_at(0, b"x").unwrap_err().kind(), ErrorKind::ReadOnly);
    let write_only: OwnedFd = rustix::fs::open(&path, OFlags::WRONLY, Mode::empty()).unwrap();
    let refused = AnyArea::from_descriptor(write_only).unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::NotPermitted, "{}", refused.error);
}

#[test]
fn room_to_grow_is_the_callers_word() {
    let memory = || memfd(4096, MemfdFlags::empty(), SealFlags::SHRINK);
    let plain = AnyArea::from_descriptor(memory()).unwrap();
    assert_eq!(plain.reserve(), rustix::param::page_size());
    let roomy = ReceiveOptions::new().room(1 << 20).from_descriptor(memory()).unwrap();
    assert_eq!((roomy.size(), roomy.reserve()), (4096, 1 << 20));
    let roomy = roomy.into_shared().unwrap();
    roomy.grow(1 << 16).unwrap();
    assert_eq!(roomy.size(), 1 << 16);
    let refused = ReceiveOptions::new().max_addresses(1 << 16).room(1 << 20).from_descriptor(memory());
    assert_eq!(refused.unwrap_err().error.kind(), ErrorKind::Limit);
    let refused = ReceiveOptions::new().room(usize::MAX).from_descriptor(memory());
    assert_eq!(refused.unwrap_err().error.kind(), ErrorKind::Limit);
    let refused = ReceiveOptions::new().max_bytes(4095).from_descriptor(memory());
    assert_eq!(refused.unwrap_err().error.kind(), ErrorKind::Limit);
}

#[test]
fn what_is_no_memory_comes_back_as_it_was() {
    let answer = test!("what_is_no_memory_comes_back_as_it_was").alone(Stage::default(), || {
        let opened = |path: &str, flags| rustix::fs::open(path, flags, Mode::empty()).unwrap();
        let (pipe, to_pipe) = std::io::pipe().unwrap();
        let shm = format!("/dev/shm/areas-descriptors-{}", std::process::id());
        std::fs::write(&shm, [1; 4096]).unwrap();
        let in_shm = opened(&shm, OFlags::RDWR);
        let in_shm_too = opened(&shm, OFlags::RDWR);
        std::fs::remove_file(&shm).unwrap();
        let good = areas::builder(4096).shared().unwrap();
        let by_path = opened(&format!("/proc/self/fd/{}", good.as_fd().as_raw_fd()), OFlags::PATH);
        let (plain, allowing) = (ReceiveOptions::new(), ReceiveOptions::new().resizable());
        let cases = [
            ("a program", opened("/proc/self/exe", OFlags::RDONLY), plain),
            ("a directory", opened("/", OFlags::RDONLY), plain),
            ("/dev/zero", opened("/dev/zero", OFlags::RDWR), allowing),
            ("a pipe's end", pipe.into(), allowing),
            ("a pipe's other end", to_pipe.into(), allowing),
            ("open for nothing", by_path, allowing),
            ("a file in /dev/shm", in_shm, plain),
            ("a file in /dev/shm, with leave to shrink", in_shm_too, allowing),
            ("may shrink", memfd(4096, MemfdFlags::empty(), SealFlags::empty()), plain),
        ];
        for (what, descriptor, options) in cases {
            let (number, before) = (descriptor.as_raw_fd(), open_descriptors());
            let refused = options.from_descriptor(descriptor).expect_err(what);
            assert_eq!(refused.error.kind(), ErrorKind::InvalidInput, "{what}: {}", refused.error);
            assert_eq!((refused.value.as_raw_fd(), open_descriptors()), (number, before), "{what}");
        }
        // With no descriptor to be had.
        let memory = memfd(4096, MemfdFlags::empty(), FIXED);
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let none = rustix::process::Rlimit { current: Some(0), ..limit };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, none).unwrap();
        let refused = AnyArea::from_descriptor(memory).expect_err("no descriptor");
        assert_eq!(refused.error.kind(), ErrorKind::Limit, "{}", refused.error);
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
        let area = AnyArea::from_descriptor(refused.value).unwrap();
        // And all of it is released.
        let before = open_descriptors();
        drop(area);
        assert_eq!(open_descriptors(), before - 1);
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}

/// Memory that another program made lets all users open it, which an area's does not: that is not a
/// mark of ours.
#[test]
fn memory_of_another_program_is_published_and_found() {
    for mode in [0o777, 0o666, 0o644, 0o600] {
        let memory = memfd(4096, MemfdFlags::empty(), FIXED);
        rustix::fs::fchmod(&memory, Mode::from_raw_mode(mode)).unwrap();
        let mut area = AnyArea::from_descriptor(memory).unwrap();
        let name = format!("test: of mode {mode:o}");
        area.publish(&name).unwrap();
        let found = areas::registry::find(&name).unwrap();
        assert!(!found.info().unwrap().retired, "{mode:o}");
        let clone = found.open().unwrap();
        let AnyArea::Shared(mut area) = area else { panic!("{mode:o}: it is shared memory") };
        area.retire().unwrap();
        assert_eq!(found.open().expect_err("it is retired").kind(), ErrorKind::NoSuchArea, "{mode:o}");
        clone.write_at(0, b"!").unwrap();
    }
}
