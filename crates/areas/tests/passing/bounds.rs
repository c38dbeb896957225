//! What a receiver takes on is its own choice: size, addresses, lock, pages. What is refused stays
//! in the queue.

use std::os::fd::AsFd;

use areas::{Error, ErrorKind, Lock, PageSize, ReceiveOptions};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::support::child::{Stage, test};
use super::support::{is_root, kernel, skip};
use super::{FIXED, forge, growable_message, locked_message, memfd, pair, plain_message, shared};

#[track_caller]
fn refused(error: &Error, words: &str) {
    assert_eq!(error.kind(), ErrorKind::Limit, "{error:#}");
    assert!(format!("{error:#}").contains(words), "{error:#}");
}

#[test]
fn what_is_beyond_a_bound_stays_in_the_queue() {
    let (ours, theirs) = pair();
    let options = ReceiveOptions::new();
    let area = areas::builder(1 << 20).growable(1 << 30).lock(Lock::None).shared().unwrap();
    area.write_at(0, b"whole").unwrap();
    area.send(&ours).unwrap();
    drop(area);
    refused(&options.max_bytes((1 << 20) - 1).receive(&theirs).unwrap_err(), "it has 1 MiB, and at most");
    refused(&options.max_addresses(1 << 29).receive(&theirs).unwrap_err(), "takes 1 GiB of addresses");
    refused(&options.pages([PageSize::HUGE_2M]).receive(&theirs).unwrap_err(), "which are not accepted");
    refused(&options.pages([]).receive(&theirs).unwrap_err(), "which are not accepted");
    let just = options.max_bytes(1 << 20).max_addresses(1 << 30).pages([PageSize::base(), PageSize::HUGE_2M]);
    let area = shared(just.receive(&theirs).unwrap());
    let mut bytes = [0; 5];
    area.read_at(0, &mut bytes).unwrap();
    assert_eq!((&bytes, area.size(), area.reserve()), (b"whole", 1 << 20, 1 << 30));
}

#[test]
fn the_defaults_hold_against_root() {
    let answer = test!("the_defaults_hold_against_root").alone(Stage::default(), || {
        let (ours, theirs) = pair();
        let options = ReceiveOptions::new();
        // All addresses that there are.
        let fd = memfd(4096, MemfdFlags::empty(), SealFlags::SHRINK);
        forge(&ours, &growable_message(1 << 46), &[fd.as_fd()]);
        refused(&areas::receive(&theirs).unwrap_err(), "takes 64 TiB of addresses, and at most");
        assert!(options.discard(&theirs).unwrap());
        // More than the machine has.
        let fd = memfd(1 << 44, MemfdFlags::empty(), FIXED);
        forge(&ours, &plain_message(), &[fd.as_fd()]);
        refused(&areas::receive(&theirs).unwrap_err(), "it has 16 TiB, and at most");
        assert!(options.discard(&theirs).unwrap());
        // A lock on more than the limit says, which is none for root; and on much of the RAM,
        // whatever the limit says.
        let limit = Rlimit { current: Some(1 << 20), ..getrlimit(Resource::Memlock) };
        setrlimit(Resource::Memlock, limit).unwrap();
        let fd = memfd(2 << 20, MemfdFlags::empty(), FIXED);
        for lock in [1, 2] {
            forge(&ours, &locked_message(lock), &[fd.as_fd()]);
            let error = areas::receive(&theirs).unwrap_err();
            refused(&error, "at most 1 MiB are locked at a sender's request");
            assert_eq!(kernel::allocated(&fd), 0, "nothing was brought in");
            // Without its lock it can be had.
            let area = shared(options.lock_at_most(Lock::None).receive(&theirs).unwrap());
            assert_eq!((area.lock(), area.size()), (Lock::None, 2 << 20));
            assert_eq!(kernel::allocated(&fd), 0, "nothing was brought in");
        }
        if is_root() {
            forge(&ours, &locked_message(2), &[fd.as_fd()]);
            let area = shared(options.max_locked(2 << 20).receive(&theirs).unwrap());
            assert_eq!((area.lock(), kernel::allocated(&fd)), (Lock::Full, 2 << 20));
        }
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}

/// A lock is a claim, until it is measured.
#[test]
fn a_lock_that_demands_page_frames_is_measured() {
    const NAME: &str = "passing::bounds::a_lock_that_demands_page_frames_is_measured";
    const PAGES: usize = 64;
    if !is_root() {
        return skip(NAME, "page frames are shown to root");
    }
    let (ours, theirs) = pair();
    let page = rustix::param::page_size();
    let fd = memfd((PAGES * page) as u64, MemfdFlags::empty(), FIXED);
    // In an order that no allocator makes contiguous memory of.
    for index in (0..PAGES).rev().step_by(2).chain((0..PAGES).step_by(3)).chain(0..PAGES) {
        rustix::io::pwrite(&fd, b"x", (index * page) as u64).unwrap();
    }
    for (number, lock) in [(3, Lock::Contiguous), (4, Lock::Low), (6, Lock::Contiguous32)] {
        forge(&ours, &locked_message(number), &[fd.as_fd()]);
        let error = areas::receive(&theirs).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:#}");
        assert!(error.to_string().contains(&format!("said to be locked as {lock}, and is not")), "{error}");
        // It is there still, for who believes nothing of that.
        let area = shared(ReceiveOptions::new().lock_at_most(Lock::Full).receive(&theirs).unwrap());
        assert_eq!(area.lock(), Lock::Full);
    }
    // What is so is believed: one page is contiguous.
    let one = memfd(page as u64, MemfdFlags::empty(), FIXED);
    forge(&ours, &locked_message(3), &[one.as_fd()]);
    assert_eq!(shared(areas::receive(&theirs).unwrap()).lock(), Lock::Contiguous);
}
