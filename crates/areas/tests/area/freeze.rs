//! Frozen areas: no process changes a byte or the size, by any way that there is, root included.

#![expect(unsafe_code, reason = "tries to write what is frozen; each block has its proof")]

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use areas::{Area, ErrorKind, Frozen, Lock, Protection};
use areas_testing::smaps;
use rustix::io::Errno;

use super::page;
use super::support::child::{Stage, test};
use super::support::kernel;

fn frozen(text: &[u8]) -> Area<Frozen> {
    let area = areas::builder(text.len()).shared().unwrap();
    area.write_at(0, text).unwrap();
    area.freeze().unwrap()
}

#[test]
fn it_lends_its_bytes_at_the_address_that_it_had() {
    let area = areas::builder(5000).shared().unwrap();
    area.write_at(4990, b"end of it!").unwrap();
    let address = area.as_ptr();
    let frozen = area.freeze().unwrap();
    assert_eq!(
        (frozen.as_ptr(), frozen.size(), frozen.len(), frozen.protection()),
        (address, 5000, 5000, Protection::READ)
    );
    assert_eq!(&frozen[4990..], b"end of it!");
    assert!(frozen[..4990].iter().all(|&byte| byte == 0));
    assert!(frozen.object().is_frozen().unwrap());
    let vma = smaps::at(address.addr()).unwrap();
    assert_eq!(&*vma.permissions, "r--s");
    assert!(!vma.has("mw"), "the kernel would let it be made writable");
    assert_eq!(vma.end - vma.start, 2 * page());
}

#[test]
fn its_holes_are_filled_before() {
    let area = areas::builder(1 << 20).growable(4 << 20).shared().unwrap();
    area.grow(2 << 20).unwrap();
    assert_eq!(kernel::allocated(&area), 0);
    let frozen = area.freeze().unwrap();
    // Every read finds its page: none has to be taken, when there may be none.
    assert_eq!(kernel::allocated(&frozen), 2 << 20);
    assert_eq!((frozen.size(), frozen.len()), (2 << 20, 2 << 20));
    assert_eq!(kernel::in_core(frozen.as_ptr(), 2 << 20), 2 << 20);
}

#[test]
fn every_way_of_writing_is_refused() {
    // A fixed area's size was sealed before; of a growable one, freezing has to take that right,
    // too.
    let size = 3 * page();
    for builder in [areas::builder(size), areas::builder(size).growable(9 * page())] {
        let area = builder.shared().unwrap();
        area.write_at(0, &vec![7; size]).unwrap();
        refuses_every_way_of_writing(&area.freeze().unwrap());
    }
}

fn refuses_every_way_of_writing(frozen: &Area<Frozen>) {
    let len = frozen.size() as u64;
    let refuses = [Errno::PERM, Errno::BADF, Errno::INVAL, Errno::ACCESS, Errno::TXTBSY];
    // The area's own descriptor, and the best one that can be had through /proc: root may open it
    // for writing.
    let path = format!("/proc/self/fd/{}", frozen.object_descriptor());
    let reopened = std::fs::File::options().read(true).write(true).open(&path);
    let own = std::fs::File::from(rustix::io::dup(frozen).unwrap());
    for file in [Some(own), reopened.ok()].into_iter().flatten() {
        let results = [
            ("pwrite", rustix::io::pwrite(&file, b"x", 0).map(drop)),
            ("append", rustix::io::pwrite(&file, b"x", len).map(drop)),
            ("shrink", rustix::fs::ftruncate(&file, 0)),
            ("grow", rustix::fs::ftruncate(&file, len + 1)),
            (
                "punch",
                rustix::fs::fallocate(
                    &file,
                    rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE,
                    0,
                    4096,
                ),
            ),
            ("extend", rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, len + 4096)),
            ("unseal", rustix::fs::fcntl_add_seals(&file, rustix::fs::SealFlags::FUTURE_WRITE)),
            ("map", map_for_writing(&file)),
        ];
        for (way, result) in results {
            assert!(result.is_err_and(|errno| refuses.contains(&errno)), "{way}: {result:?}");
        }
        // A private copy concerns no other process.
    }
    let address = frozen.as_ptr().cast();
    // SAFETY: the range is this area's own mapping, and the call is to be refused; it would only
    // add a right.
    let status = unsafe { libc::mprotect(address, page(), libc::PROT_READ | libc::PROT_WRITE) };
    assert_eq!((status, std::io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EACCES)));
    // Throwing pages away reads them again from the object: the bytes are the same.
    // SAFETY: this area's own range; shared memory keeps its contents.
    let status = unsafe { libc::madvise(address, page(), libc::MADV_DONTNEED) };
    assert_eq!(status, 0);
    // SAFETY: this area's own range, to which there is no reference; to be refused, as it would
    // punch a hole.
    let status = unsafe { libc::madvise(address, page(), libc::MADV_REMOVE) };
    assert_eq!(status, -1);
    // Even the debugger's way, which ignores page protections, and even as root.
    let memory = std::fs::File::options().write(true).open("/proc/self/mem").unwrap();
    let refused = memory.write_at(b"x", frozen.as_ptr().addr() as u64);
    assert!(refused.is_err(), "wrote through /proc/self/mem");
    assert!(frozen.iter().all(|&byte| byte == 7));
    assert_eq!(frozen.size(), 3 * page());
}

/// The descriptor's number, for a path.
trait Descriptor {
    fn object_descriptor(&self) -> i32;
}

impl Descriptor for Area<Frozen> {
    fn object_descriptor(&self) -> i32 {
        self.as_fd().as_raw_fd()
    }
}

fn map_for_writing(file: &std::fs::File) -> rustix::io::Result<()> {
    use rustix::mm::{MapFlags, ProtFlags};
    // SAFETY: a new mapping where the kernel likes disturbs no other process; it is not used.
    let got = unsafe {
        rustix::mm::mmap(
            std::ptr::null_mut(),
            4096,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED,
            file,
            0,
        )
    };
    got.map(drop)
}

#[test]
fn it_cannot_be_made_writable_again() {
    let mut frozen = frozen(b"ice");
    for protection in [Protection::READ_WRITE, Protection::WRITE, Protection::all()] {
        assert_eq!(frozen.protect(protection).unwrap_err().kind(), ErrorKind::Frozen, "{protection}");
        assert_eq!((frozen.protection(), &frozen[..]), (Protection::READ, &b"ice"[..]));
    }
}

#[test]
fn without_the_right_to_read_it_lends_nothing() {
    let mut frozen = frozen(b"ice");
    frozen.protect(Protection::empty()).unwrap();
    // Not a fault: safe code cannot get at bytes that cannot be read.
    let lent = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| frozen[0]));
    assert!(lent.is_err());
    frozen.protect(Protection::READ).unwrap();
    assert_eq!(&*frozen, b"ice");
}

#[test]
fn a_mapping_that_others_made_before_is_read_only_or_in_the_way() {
    test!("a_mapping_that_others_made_before_is_read_only_or_in_the_way").alone(Stage::default(), || {
        let area = areas::builder(4096).name("pane").shared().unwrap();
        area.store(0, 1_u8, Ordering::Relaxed).unwrap();
        let source = areas::registry::find("pane").unwrap();
        let reader = source.open_read_only().unwrap();
        // A clone for reading only is not in the way, and sees the same bytes.
        let frozen = area.freeze().unwrap();
        assert_eq!((reader.load::<u8>(0, Ordering::Relaxed).unwrap(), frozen[0]), (1, 1));
        let again = areas::registry::find("pane").unwrap();
        assert!(again.is_frozen().unwrap());
        let lent = again.open_frozen().unwrap();
        assert_eq!(lent[0], 1);
        assert_ne!(lent.as_ptr(), frozen.as_ptr());
        assert_eq!(again.open().unwrap().protection(), Protection::READ);
        let refused = again.cloning().protection(Protection::READ_WRITE).open().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Frozen);
        // Frozen twice: through the clone that is still of the shared kind.
        let twice = reader.freeze().unwrap_err();
        assert_eq!(twice.error.kind(), ErrorKind::Frozen);
        assert_eq!(twice.value.load::<u8>(0, Ordering::Relaxed).unwrap(), 1, "the area is back");
        String::new()
    });
}

#[test]
fn a_thread_with_descriptors_of_its_own_freezes_its_own_area() {
    test!("a_thread_with_descriptors_of_its_own_freezes_its_own_area").alone(Stage::default(), || {
        let thread = std::thread::spawn(|| {
            // SAFETY: this thread uses no descriptor of the others from here on, and they none of
            // its.
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FILES) }.unwrap();
            let area = areas::builder(8).shared().unwrap();
            area.write_at(0, b"threaded").unwrap();
            let number = area.as_fd().as_raw_fd();
            // What the other threads know under that number is something else, or nothing.
            let path = format!("/proc/self/fd/{number}");
            assert!(std::fs::read_link(path).map_or(true, |path| !path.starts_with("/memfd:area")));
            area.freeze().unwrap().to_vec()
        });
        assert_eq!(thread.join().unwrap(), b"threaded");
        String::new()
    });
}

#[test]
fn only_who_may_write_may_freeze() {
    let area = areas::builder(4096).protection(Protection::READ).shared().unwrap();
    let refused = area.freeze().unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::ReadOnly);
    assert!(!refused.value.object().is_frozen().unwrap());
}

#[test]
fn its_lock_stays() {
    let area = areas::builder(64 << 10).lock(Lock::Full).shared().unwrap();
    let frozen = area.freeze().unwrap();
    let vma = smaps::at(frozen.as_ptr().addr()).unwrap();
    assert!(vma.has("lo") && vma.bytes("Locked") == 64 << 10, "{vma:?}");
    assert_eq!(frozen.lock(), Lock::Full);
}

#[test]
fn a_private_copy_of_it_may_be_written() {
    use areas::{Backing, Provider, Request, System};
    let frozen = frozen(b"original");
    let backing = Backing::File { file: frozen.as_fd(), offset: 0, shared: false };
    let copy = System::new().map(&Request::new(8).backed_by(backing)).unwrap();
    // SAFETY: mapped, writable, and nothing has a reference to it: it is a file's private copy,
    // which lends none.
    unsafe { kernel::poke(copy.as_ptr(), b'O') };
    // SAFETY: mapped and readable.
    assert_eq!(unsafe { kernel::peek(copy.as_ptr()) }, b'O');
    assert_eq!(&*frozen, b"original");
}

/// Each is in the other's way until both have given up writing; then one of them is faster.
#[test]
fn two_who_freeze_at_once_both_have_it_frozen() {
    test!("two_who_freeze_at_once_both_have_it_frozen").alone(Stage::default(), || {
        for round in 0..50_u64 {
            let area = areas::builder(4096).name("wet").shared().unwrap();
            area.store(0, round, Ordering::Relaxed).unwrap();
            let clone = areas::registry::find("wet").unwrap().open().unwrap();
            let timeout = std::time::Duration::from_secs(30);
            let frozen = std::thread::scope(|scope| {
                let threads = [area, clone].map(|area| scope.spawn(move || area.freeze_within(timeout)));
                threads.map(|thread| thread.join().unwrap().unwrap())
            });
            for area in &frozen {
                assert_eq!((&area[..8], area.protection()), (&round.to_le_bytes()[..], Protection::READ));
                assert!(area.object().is_frozen().unwrap());
            }
        }
        String::new()
    });
}

/// One gives up waiting, and before it has its right to write back, the other has frozen the area:
/// it is frozen for both, or for none and writable for both.
#[test]
fn a_freeze_that_gives_up_as_another_succeeds() {
    test!("a_freeze_that_gives_up_as_another_succeeds").alone(Stage::default(), || {
        for round in 0..200_u64 {
            let area = areas::builder(4096).name("wet").shared().unwrap();
            let clone = areas::registry::find("wet").unwrap().open().unwrap();
            let hasty = std::time::Duration::from_micros(round * 20);
            let results = std::thread::scope(|scope| {
                let threads = [area, clone].map(|area| scope.spawn(move || area.freeze_within(hasty)));
                threads.map(|thread| thread.join().unwrap())
            });
            let some_frozen = results.iter().any(Result::is_ok);
            for result in results {
                match result {
                    Ok(area) => assert_eq!(area.protection(), Protection::READ),
                    Err(areas::Rejected { error, value: area }) => {
                        assert_eq!(error.kind(), ErrorKind::Busy, "{error:#}");
                        assert_eq!(area.protection(), Protection::READ_WRITE, "{error:#}");
                        area.store(0, 1_u8, Ordering::Relaxed).unwrap();
                        assert!(!some_frozen, "it is writable, and frozen elsewhere");
                    }
                }
            }
        }
        String::new()
    });
}

/// Whoever has a descriptor of it can do that; then no process can freeze it any more, and it is
/// not a fault of this library's or the system's.
#[test]
fn what_is_sealed_against_further_seals_is_not_frozen() {
    let area = areas::builder(4096).shared().unwrap();
    area.write_at(0, b"words").unwrap();
    rustix::fs::fcntl_add_seals(area.as_fd(), rustix::fs::SealFlags::SEAL).unwrap();
    let address = area.as_ptr();
    let rejected = area.freeze().unwrap_err();
    assert_eq!(rejected.error.kind(), ErrorKind::NotPermitted);
    let text = format!("{:#}", rejected.error);
    assert!(text.contains("sealed it against further seals") && text.contains("copy its bytes"), "{text}");
    let area = rejected.value;
    assert_eq!(area.as_ptr(), address);
    area.write_at(0, b"other").unwrap();
    let mut bytes = [0; 5];
    area.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"other");
}
