//! Physical memory below 16 MiB and below 4 GiB, on a machine whose kernel leaves 4 MiB from 8 MiB
//! on alone.
//!
//! Where low areas are is read from `/proc/self/maps`, and from physical memory itself; where
//! others are, from pagemap.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use areas::{Area, ErrorKind, Lock, PageSize, Pages, Protection, Shared};
use areas_testing::{maps, pagemap};

use crate::support::child::{Child, Ended, in_child, without};
use crate::support::machine::{pool, pool_free};
use crate::support::{HUGE, MIB, PAGE, guest};

const RESERVED: std::ops::Range<u64> = 0x80_0000..0xc0_0000;

fn low(size: usize) -> areas::Result<Area<Shared>> {
    areas::builder(size).lock(Lock::Low).shared()
}

/// The page frames of an area, from `/proc/self/maps`: what is mapped of `/dev/mem`, and from where
/// on. (Pagemap shows none of memory that the kernel does not manage.)
fn frames(area: &Area<Shared>) -> Vec<u64> {
    let vma = maps::at(area.as_ptr().addr()).unwrap();
    assert_eq!((vma.start, vma.path.as_str()), (area.as_ptr().addr(), "/dev/mem"));
    assert_eq!(vma.range().len(), area.mapped());
    let (len, offset) = (vma.range().len() as u64, vma.offset);
    (offset / PAGE as u64..(offset + len) / PAGE as u64).collect()
}

/// The frames of an area, all of them in the range, each behind the one before.
#[track_caller]
fn in_range(area: &Area<Shared>) -> Vec<u64> {
    let frames = frames(area);
    let inside = |frame: &u64| RESERVED.contains(&(frame * PAGE as u64));
    assert!(frames.iter().all(inside), "{frames:x?}");
    assert!(frames.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{frames:x?}");
    frames
}

#[test]
fn it_is_contiguous_below_16_mib_and_zero() {
    guest!();
    for round in 0..2 {
        let area = low(MIB - 5).unwrap();
        assert_eq!((area.size(), area.mapped(), area.lock()), (MIB - 5, MIB, Lock::Low));
        let frames = in_range(&area);
        assert_eq!(area.object().physical(), Some(frames[0] * PAGE as u64));
        let mut bytes = vec![1; MIB - 5];
        area.read_at(0, &mut bytes).unwrap();
        assert!(bytes.iter().all(|&byte| byte == 0), "round {round}: what another one wrote there is gone");
        area.write_at(0, &vec![0xa5; MIB - 5]).unwrap();
        // What is at those physical addresses, by another way.
        let memory = std::fs::File::open("/dev/mem").unwrap();
        let mut there = vec![0; MIB];
        memory.read_exact_at(&mut there, frames[0] * PAGE as u64).unwrap();
        assert!(there[..MIB - 5].iter().all(|&byte| byte == 0xa5) && there[MIB - 5..] == [0; 5]);
        assert_eq!(area.load::<u8>(MIB - 6, Ordering::Relaxed).unwrap(), 0xa5);
        assert_eq!(area.load::<u8>(MIB - 5, Ordering::Relaxed).unwrap_err().kind(), ErrorKind::OutOfRange);
    }
}

#[test]
fn no_two_areas_share_it_and_all_comes_back() {
    guest!();
    for _ in 0..2 {
        let mut all: Vec<Area<Shared>> = (0..4).map(|_| low(MIB).unwrap()).collect();
        let taken: BTreeSet<u64> = all.iter().flat_map(in_range).collect();
        assert_eq!(taken.len(), 4 * MIB / PAGE, "each page belongs to one of them");
        let error = low(1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoMemory, "{error:#}");
        assert!(error.to_string().contains("4 MiB at 0x800000 reserved"), "{error:#}");
        // A gap is found again, and only what fits into it.
        let gap = in_range(&all.remove(1));
        assert_eq!(low(MIB + 1).unwrap_err().kind(), ErrorKind::NoMemory);
        assert_eq!(in_range(&low(MIB).unwrap()), gap);
    }
    drop(low(4 * MIB).unwrap());
}

/// Who claims at the same time gets parts of his own.
#[test]
fn claims_at_the_same_time_are_apart() {
    guest!();
    let mut children: Vec<Child> = (0..4_u8)
        .map(|number| {
            Child::start(move |line| {
                line.wait();
                let mine: Vec<Area<Shared>> = (0..8).map(|_| low(128 << 10).unwrap()).collect();
                for area in &mine {
                    area.write_at(0, &vec![number; 128 << 10]).unwrap();
                }
                line.go();
                line.wait();
                let mut bytes = vec![0; 128 << 10];
                for area in &mine {
                    area.read_at(0, &mut bytes).unwrap();
                    assert!(bytes.iter().all(|&byte| byte == number), "another process wrote here");
                }
            })
        })
        .collect();
    for child in &mut children {
        child.go();
    }
    for child in &mut children {
        child.wait();
    }
    // All 32 parts are theirs.
    assert_eq!(low(1).unwrap_err().kind(), ErrorKind::NoMemory);
    for mut child in children {
        child.go();
        assert_eq!(child.end(), Ended::Well);
    }
    drop(low(4 * MIB).unwrap());
}

#[test]
fn a_claim_dies_with_its_last_holder_and_not_before() {
    guest!();
    let mut first = Child::start(|line| {
        let area = areas::builder(4 * MIB).lock(Lock::Low).name("low").shared().unwrap();
        area.write_at(3 * MIB, b"kept").unwrap();
        line.go();
        line.wait();
    });
    first.wait();
    let source = areas::registry::find("low").unwrap();
    let info = source.info().unwrap();
    assert_eq!((info.size, info.lock, info.physical), (4 * MIB, Lock::Low, Some(RESERVED.start)));
    assert_eq!(source.resident().unwrap(), 4 * MIB as u64);
    assert_eq!(source.residency().unwrap_err().kind(), ErrorKind::Unsupported);
    let clone = source.cloning().same_name().open().unwrap();
    assert_eq!((clone.lock(), clone.size()), (Lock::Low, 4 * MIB));
    assert_eq!(in_range(&clone)[0], RESERVED.start / PAGE as u64);
    clone.write_at(0, b"seen").unwrap();
    assert_eq!(source.holders().len(), 2, "{:?}", source.holders());
    // Killed: the clone keeps it.
    drop(first);
    assert_eq!(source.open().unwrap_err().kind(), ErrorKind::NoSuchArea);
    assert_eq!(low(1).unwrap_err().kind(), ErrorKind::NoMemory);
    let mut bytes = [0; 4];
    clone.read_at(3 * MIB, &mut bytes).unwrap();
    assert_eq!(&bytes, b"kept");
    // A clone of the clone, for reading only, which the kernel enforces; and a forked child has it
    // as well.
    let mut reader = areas::registry::find("low").unwrap().open_read_only().unwrap();
    assert_eq!(reader.load::<u8>(0, Ordering::Relaxed).unwrap(), b's');
    assert_eq!(reader.protect(Protection::READ_WRITE).unwrap_err().kind(), ErrorKind::NotPermitted);
    let mut forked = Child::start(|line| {
        line.go();
        line.wait();
    });
    forked.wait();
    drop((clone, reader));
    assert_eq!(low(1).unwrap_err().kind(), ErrorKind::NoMemory, "the child has it");
    drop(forked);
    // With the last one it is free, and zero.
    let area = low(4 * MIB).unwrap();
    let mut bytes = [1; 4];
    area.read_at(3 * MIB, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 4]);
}

/// Holders come and go, in the same place one after the other, while others clone: whoever has a
/// clone has the memory that it is a clone of, and keeps it.
#[test]
fn a_clone_never_gets_what_another_area_has() {
    guest!();
    const SIZE: usize = 4 * PAGE;
    let rest = low(4 * MIB - SIZE).unwrap();
    let mut makers: Vec<Child> = (1..=2_u64)
        .map(|number| {
            Child::start(move |line| {
                line.go();
                for round in 0.. {
                    // There is room for one: as long as a process has it, no other process does.
                    let Ok(mut area) = low(SIZE) else { continue };
                    assert_eq!(
                        area.load::<u64>(0, Ordering::Relaxed).unwrap(),
                        0,
                        "it is zeroed before anybody sees it"
                    );
                    area.store(0, number << 32 | round, Ordering::Relaxed).unwrap();
                    area.publish(format!("maker {number}")).unwrap();
                    std::thread::yield_now();
                }
            })
        })
        .collect();
    for maker in &mut makers {
        maker.wait();
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    let (mut cloned, mut gone) = ([0; 2], 0);
    while cloned.iter().any(|&count| count < 10) {
        assert!(Instant::now() < deadline, "{cloned:?} clones, {gone} were gone");
        for number in 1..=2_u64 {
            let Ok(source) = areas::registry::find(format!("maker {number}")) else { continue };
            match source.open() {
                Ok(clone) => {
                    let seen = clone.load::<u64>(0, Ordering::Relaxed).unwrap();
                    assert_eq!(seen >> 32, number, "the memory of another area");
                    for _ in 0..3 {
                        std::thread::yield_now();
                        assert_eq!(
                            clone.load::<u64>(0, Ordering::Relaxed).unwrap(),
                            seen,
                            "another process took what a clone has"
                        );
                    }
                    cloned[usize::from(number == 2)] += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NoSuchArea, "{error:#}");
                    gone += 1;
                }
            }
        }
    }
    // Killed wherever they are.
    drop((makers, rest));
    drop(low(4 * MIB).unwrap());
}

#[test]
fn what_a_low_area_cannot_do_is_said() {
    guest!();
    let area = low(2 * PAGE).unwrap();
    assert_eq!(area.residency().unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(area.grow(3 * PAGE).unwrap_err().kind(), ErrorKind::InvalidInput);
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    for error in [area.send(&ours).unwrap_err(), area.send_read_only(&ours).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "all of the machine's memory would travel with it");
    }
    let refused = area.freeze().unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::Unsupported);
    let mut area = refused.value;
    assert_eq!(area.migrate(areas::Policy::Local).unwrap_err().kind(), ErrorKind::Unsupported);
    area.populate().unwrap();
    // Filled, it is written where it is.
    let file = std::env::temp_dir().join("fill-low");
    std::fs::write(&file, vec![3; 2 * PAGE]).unwrap();
    area.fill_from(std::fs::File::open(&file).unwrap(), &mut |_| {}).unwrap();
    assert_eq!(area.load::<u8>(2 * PAGE - 1, Ordering::Relaxed).unwrap(), 3);
    in_range(&area);
    let placed = areas::builder(PAGE).lock(Lock::Low).place(areas::Policy::Local).shared().unwrap_err();
    assert_eq!(placed.kind(), ErrorKind::Unsupported);
}

#[test]
fn without_the_privilege_it_says_which() {
    guest!();
    const CAP_SYS_RAWIO: u32 = 17;
    let ended = in_child(|| {
        without(CAP_SYS_RAWIO);
        let error = low(PAGE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotPermitted, "{error:#}");
        assert!(error.remedy().unwrap().contains("CAP_SYS_RAWIO"), "{error:#}");
    });
    assert_eq!(ended, Ended::Well);
}

/// The kernel's own guard (CONFIG_STRICT_DEVMEM, which these kernels have) does not stand in the
/// way of memory that was reserved, and does in that of all other.
#[test]
fn devmem_gives_what_was_reserved_and_nothing_else() {
    guest!();
    let memory = std::fs::File::open("/dev/mem").unwrap();
    let mut bytes = [0; 16];
    memory.read_exact_at(&mut bytes, RESERVED.start).unwrap();
    for elsewhere in [RESERVED.end, RESERVED.start - PAGE as u64, 32 << 20] {
        let error = memory.read_exact_at(&mut bytes, elsewhere).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{elsewhere:#x}: {error}");
    }
}

/// What the operator names has to be reserved: RAM that the kernel manages is never written.
#[test]
fn a_range_that_is_not_reserved_is_refused() {
    guest!();
    for (named, expected) in [
        ("1000000-10fffff", ErrorKind::NotPermitted),
        ("700000-8fffff", ErrorKind::NotPermitted),
        ("nonsense", ErrorKind::InvalidInput),
        ("b00000-bfffff", ErrorKind::NoMemory),
    ] {
        let ended = in_child(|| {
            // SAFETY: this child has one thread.
            #[expect(unsafe_code, reason = "the environment of a child with one thread")]
            unsafe {
                std::env::set_var("AREAS_LOW_MEMORY", named);
            }
            let error = low(2 * MIB).unwrap_err();
            assert_eq!(error.kind(), expected, "{named}: {error:#}");
            if expected == ErrorKind::NoMemory {
                assert_eq!(frames(&low(MIB).unwrap())[0], 0xb00);
            }
        });
        assert_eq!(ended, Ended::Well, "{named}");
    }
}

#[test]
fn below_4_gib() {
    guest!();
    let limit = (1_u64 << 32) / PAGE as u64;
    let good = |area: &Area<Shared>| {
        let frames = pagemap::frames(area.as_ptr().addr(), area.mapped());
        assert!(frames.iter().all(|&frame| frame > 0 && frame < limit), "{frames:x?}");
        frames
    };
    let full = areas::builder(MIB).lock(Lock::Full32).shared().unwrap();
    assert_eq!(
        (good(&full).len(), full.lock(), full.granted().page_size()),
        (MIB / PAGE, Lock::Full32, PageSize::base())
    );
    // Side by side too: a hugetlb page; without one collapsed, and where even that is impossible,
    // what was reserved.
    let _pool = pool(0, HUGE, 2);
    for pages in [Pages::Base, Pages::Pool(PageSize::HUGE_2M)] {
        let area = areas::builder(MIB).lock(Lock::Contiguous32).pages(pages).shared().unwrap();
        let frames = good(&area);
        assert!(frames.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{frames:x?}");
        assert_eq!((area.granted().page_size(), pool_free(0, HUGE)), (PageSize::HUGE_2M, 1));
    }
    assert_eq!(pool_free(0, HUGE), 2);
}
