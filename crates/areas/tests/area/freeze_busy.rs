//! A freeze that a process is in the way of: the area comes back as it was, and the error says who.

#![expect(unsafe_code, reason = "forks, and pins pages; each block has its proof")]

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use areas::{Area, ErrorKind, Lock, Protection, Rejected, Shared};
use areas_testing::smaps;

use super::support::child::{Stage, hear, reply, test};

/// Checks that a freeze was refused as busy and that the area is what it was; returns it.
#[track_caller]
fn refused(
    result: Result<Area<areas::Frozen>, Rejected<Area<Shared>>>,
    at: *mut u8,
) -> (String, Area<Shared>) {
    let Rejected { error, value: area } = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!((area.as_ptr(), area.protection()), (at, Protection::READ_WRITE));
    let vma = smaps::at(at.addr()).unwrap();
    assert_eq!((vma.start, &*vma.permissions), (at.addr(), "rw-s"));
    let before = area.load::<u8>(1, Ordering::Relaxed).unwrap();
    area.store(1, before.wrapping_add(1), Ordering::Relaxed).unwrap();
    assert_eq!(
        area.load::<u8>(1, Ordering::Relaxed).unwrap(),
        before.wrapping_add(1),
        "it is writable again"
    );
    assert!(!area.object().is_frozen().unwrap());
    rustix::io::pwrite(&area, b"!", 2).unwrap();
    (format!("{error:#}"), area)
}

#[test]
fn by_a_clone_in_this_process() {
    test!("by_a_clone_in_this_process").alone(Stage::default(), || {
        let area = areas::builder(1 << 20).name("wet").shared().unwrap();
        area.write_at(100, b"kept").unwrap();
        let at = area.as_ptr();
        let mut clone = areas::registry::find("wet").unwrap().open().unwrap();
        let started = Instant::now();
        let (text, area) = refused(area.freeze_within(Duration::from_millis(50)), at);
        assert!(started.elapsed() >= Duration::from_millis(50), "it did not wait");
        let me = format!("mapped for writing by {} (", std::process::id());
        assert!(text.contains(&me), "{text}");
        // Reading only for now is not a promise: the right to write can be taken back at any time.
        clone.protect(Protection::READ).unwrap();
        let (_, area) = refused(area.freeze_within(Duration::ZERO), at);
        let mut kept = [0; 4];
        area.read_at(100, &mut kept).unwrap();
        assert_eq!(&kept, b"kept");
        // It is still published, with the right to write.
        areas::registry::find("wet").unwrap().open().unwrap().store(0, 1_u8, Ordering::Relaxed).unwrap();
        drop(clone);
        assert_eq!(&area.freeze().unwrap()[100..104], b"kept");
        String::new()
    });
}

/// A time-out beyond all times is no mistake.
#[test]
fn there_is_no_writer_to_wait_for_without_end() {
    let area = areas::builder(4096).shared().unwrap();
    assert_eq!(area.freeze_within(Duration::MAX).unwrap()[0], 0);
}

#[test]
fn by_a_writer_in_another_process() {
    let this = test!("by_a_writer_in_another_process");
    if this.role().as_deref() == Some("writer") {
        let area = areas::registry::find("wet").unwrap().open().unwrap();
        reply("mapped");
        hear();
        drop(area);
        reply("dropped");
        hear();
        return;
    }
    this.alone(Stage::default(), || {
        let area = areas::builder(4096).name("wet").shared().unwrap();
        let at = area.as_ptr();
        let mut writer = this.spawn(&mut Stage::here(), "writer");
        writer.hear();
        let (text, area) = refused(area.freeze_within(Duration::ZERO), at);
        assert!(text.contains(&format!("mapped for writing by {} (", writer.pid())), "{text}");
        writer.send("drop it");
        writer.hear();
        drop(area.freeze().unwrap());
        String::new()
    });
}

#[test]
fn it_waits_for_a_writer_that_is_about_to_finish() {
    let area = areas::builder(4096).shared().unwrap();
    let file = rustix::io::dup(&area).unwrap();
    let object = map_again(&file);
    let frozen = std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(object);
        });
        area.freeze()
    });
    assert!(frozen.is_ok(), "{frozen:?}");
}

/// Another writable mapping of an object, which goes with the value.
fn map_again(file: &std::os::fd::OwnedFd) -> areas::Mapping {
    use areas::{Backing, Provider, Request, System};
    use std::os::fd::AsFd;
    let backing = Backing::File { file: file.as_fd(), offset: 0, shared: true };
    System::new().map(&Request::new(4096).backed_by(backing)).unwrap()
}

#[test]
fn by_a_forked_child() {
    test!("by_a_forked_child").alone(Stage::default(), || {
        let area = areas::builder(4096).shared().unwrap();
        let at = area.as_ptr();
        // SAFETY: the child only waits and is killed: it calls nothing that another thread's mutex
        // could stop.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            loop {
                // SAFETY: waits for a signal.
                unsafe { libc::pause() };
            }
        }
        let (text, area) = refused(area.freeze_within(Duration::from_millis(20)), at);
        assert!(text.contains(&format!("mapped for writing by {pid} (")), "{text}");
        // SAFETY: our own child, not waited for yet: the number is no other process's.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        // SAFETY: our own child, waited for here alone; no status is wanted.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        drop(area.freeze().unwrap());
        String::new()
    });
}

/// A pipe that holds the first page of an area pinned until it is dropped.
fn pinned(area: &Area<Shared>) -> (std::io::PipeReader, std::io::PipeWriter) {
    let (from, to) = std::io::pipe().unwrap();
    let piece = libc::iovec { iov_base: area.as_ptr().cast(), iov_len: 4096 };
    // SAFETY: the range is mapped while this is called; the pipe then holds the page itself, and
    // only reads it.
    let sent = unsafe { libc::vmsplice(std::os::fd::AsRawFd::as_raw_fd(&to), &raw const piece, 1, 0) };
    assert_eq!(sent, 4096);
    (from, to)
}

#[test]
fn by_a_page_that_a_transfer_has_pinned() {
    let area = areas::builder(4096).shared().unwrap();
    area.store(0, 5_u8, Ordering::Relaxed).unwrap();
    let at = area.as_ptr();
    let (from, to) = pinned(&area);
    let (text, area) = refused(area.freeze_within(Duration::ZERO), at);
    assert!(text.contains("pinned by a transfer"), "{text}");
    assert!(text.contains("io_uring") && text.contains("`areas doctor AREA`"), "{text}");
    drop((from, to));
    assert_eq!(area.freeze().unwrap()[0], 5);
}

/// While the kernel waits for pinned pages, it refuses to map for writing what may never be sealed.
#[test]
fn who_clones_concurrently_waits_for_the_outcome() {
    test!("who_clones_concurrently_waits_for_the_outcome").alone(Stage::default(), || {
        let area = areas::builder(4096).name("wet").shared().unwrap();
        area.store(0, 5_u8, Ordering::Relaxed).unwrap();
        let at = area.as_ptr();
        let pipe = pinned(&area);
        let clone = || areas::registry::find("wet").unwrap().open();
        let area = std::thread::scope(|scope| {
            let freezer = scope.spawn(move || area.freeze_within(Duration::from_millis(600)));
            let mut clones = 0;
            while !freezer.is_finished() {
                clone().unwrap().store(1, 1_u8, Ordering::Relaxed).unwrap();
                clones += 1;
            }
            assert!(clones > 0);
            refused(freezer.join().unwrap(), at).1
        });
        // And where it is frozen in the end, that is what they get.
        let frozen = std::thread::scope(|scope| {
            let freezer = scope.spawn(move || area.freeze_within(Duration::from_secs(20)));
            let one_who_waits = scope.spawn(move || {
                loop {
                    match clone() {
                        Ok(clone) => drop(clone),
                        Err(error) => break error,
                    }
                }
            });
            std::thread::sleep(Duration::from_millis(300));
            drop(pipe);
            let error = one_who_waits.join().unwrap();
            assert_eq!(error.kind(), ErrorKind::Frozen, "{error:#}");
            freezer.join().unwrap().unwrap()
        });
        assert_eq!(frozen[0], 5);
        String::new()
    });
}

#[test]
fn lock_and_advice_are_put_back() {
    let area = areas::builder(64 << 10).lock(Lock::Full).shared().unwrap();
    let at = area.as_ptr();
    let file = rustix::io::dup(&area).unwrap();
    let writer = map_again(&file);
    let (_, area) = refused(area.freeze_within(Duration::ZERO), at);
    let vma = smaps::at(at.addr()).unwrap();
    assert!(vma.has("lo") && vma.bytes("Locked") == 64 << 10, "{vma:?}");
    assert_eq!(area.lock(), Lock::Full);
    drop(writer);

    let area = areas::builder(4096).growable(1 << 20).shared().unwrap();
    let at = area.as_ptr();
    let file = rustix::io::dup(&area).unwrap();
    let writer = map_again(&file);
    let (_, area) = refused(area.freeze_within(Duration::ZERO), at);
    assert!(smaps::at(at.addr()).unwrap().has("dd"), "a reserve would get into core dumps");
    area.grow(1 << 20).unwrap();
    area.store((1 << 20) - 1, 1_u8, Ordering::Relaxed).unwrap();
    drop(writer);
    assert!(smaps::at(area.freeze().unwrap().as_ptr().addr()).unwrap().has("dd"));
}
