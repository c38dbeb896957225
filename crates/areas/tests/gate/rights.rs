//! Who is given it, with which rights, and whether the kernel holds them to that: by trying.

#![expect(unsafe_code, reason = "tries to map memory for writing; the block has its proof")]

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use areas::gate::{OfferOptions, Outcome, Refusal, TakeOptions};
use areas::{AnyArea, ErrorKind, Protection};
use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use crate::{Folder, published, taken, user};

/// Says aloud that something could not be tested here.
pub(crate) fn skipped(test: &str, why: &str) {
    areas_testing::skipped(&format!("gate::{test}"), why);
}

/// What a descriptor's memory lets this process do, after it was reopened for writing by way of
/// `/proc`.
fn write_again(descriptor: BorrowedFd<'_>) -> [Result<(), Errno>; 4] {
    let path = CString::new(format!("/proc/self/fd/{}", descriptor.as_raw_fd())).unwrap();
    let again = match rustix::fs::open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
        Ok(again) => again,
        Err(errno) => return [Err(errno); 4],
    };
    // SAFETY: a mapping of its own, of a file that stays as large as it is; nothing is done with
    // it.
    let mapped = unsafe {
        rustix::mm::mmap(
            std::ptr::null_mut(),
            4096,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED,
            &again,
            0,
        )
    };
    [
        Ok(()),
        mapped.map(drop),
        rustix::io::pwrite(&again, b"X", 9000).map(drop),
        rustix::fs::fallocate(&again, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 4096, 4096),
    ]
}

#[test]
fn reading_only_is_refused_where_nothing_would_enforce_it() {
    let folder = Folder::new();
    let (area, source) = published("unenforced");
    let error = OfferOptions::new().read_only().open(&source, folder.socket()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotPermitted, "{error:#}");
    assert!(error.to_string().contains("could still write it"), "{error}");
    let error = OfferOptions::new().to(0).read_only().open(&source, folder.socket()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotPermitted, "{error:#}");
    assert!(folder.names().is_empty());
    // To any user: each is looked at when it comes.
    let mut offer = OfferOptions::new().to_any_user().read_only().open(&source, folder.socket()).unwrap();
    let (answer, came) = taken(&mut offer, &TakeOptions::new());
    assert!(matches!(answer.outcome, Outcome::Refused(Refusal::NotEnforced)), "{answer}");
    assert_eq!(came.unwrap_err().kind(), ErrorKind::NotPermitted);
    // And this is why: a process of the same user with a descriptor for reading reopens the memory.
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    area.send_read_only(&ours).unwrap();
    let came = areas::receive(&theirs).unwrap();
    assert_eq!(came.protection(), Protection::READ);
    assert_eq!(write_again(came.descriptor().unwrap()), [Ok(()), Ok(()), Ok(()), Ok(())]);
    let mut byte = [0];
    area.read_at(9000, &mut byte).unwrap();
    assert_eq!(&byte, b"X", "it has been written");
}

#[test]
fn sealed_no_process_writes_it_again_and_who_wrote_it_goes_on() {
    let folder = Folder::new();
    let (area, source) = published("sealed");
    let mut offer = OfferOptions::new().seal().open(&source, folder.socket()).unwrap();
    let (answer, came) = taken(&mut offer, &TakeOptions::new());
    assert!(matches!(answer.outcome, Outcome::Given), "{answer}");
    let mut came = came.unwrap();
    assert_eq!(came.protection(), Protection::READ);
    assert!(came.protect(Protection::READ_WRITE).is_err());
    // The same user, and root: opening it again helps no one.
    let tried = write_again(came.descriptor().unwrap());
    assert_eq!(tried, [Ok(()), Err(Errno::PERM), Err(Errno::PERM), Err(Errno::PERM)]);
    let mut byte = [1];
    area.read_at(9000, &mut byte).unwrap();
    assert_eq!(byte, [0], "nothing was written");
    // Who had it mapped for writing goes on, and the taker sees it.
    area.write_at(9000, b"still").unwrap();
    let mut bytes = [0; 5];
    came.read_at(9000, &mut bytes).unwrap();
    assert_eq!(&bytes, b"still");
    // Others of this user's get it for reading, too; and it can be frozen once no process has it
    // for writing.
    assert_eq!(source.open_any().unwrap().protection(), Protection::READ);
    let frozen = area.freeze().map_err(|rejected| rejected.error).unwrap();
    assert_eq!(&frozen[9000..9005], b"still");
}

#[test]
fn frozen_it_is_for_reading_whoever_takes_it() {
    let folder = Folder::new();
    let (area, source) = published("frozen");
    let _frozen = area.freeze().map_err(|rejected| rejected.error).unwrap();
    for options in [OfferOptions::new(), OfferOptions::new().read_only(), OfferOptions::new().seal()] {
        let mut offer = options.open(&source, folder.socket()).unwrap();
        let came = taken(&mut offer, &TakeOptions::new()).1.unwrap();
        let AnyArea::Frozen(came) = came else { panic!("{came:?}") };
        assert_eq!(&came[..14], b"from the maker");
        let tried = write_again(came.object().as_fd());
        assert!(
            tried[1..].iter().all(|tried| [Err(Errno::PERM), Err(Errno::ACCESS)].contains(tried)),
            "{tried:?}"
        );
    }
}

#[test]
fn what_may_only_be_read_here_is_offered_so_or_not_at_all() {
    let folder = Folder::new();
    let (area, _source) = published("read here");
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    area.send_read_only(&ours).unwrap();
    let AnyArea::Shared(mut came) = areas::receive(&theirs).unwrap() else { panic!("not shared") };
    let name = crate::name("passed on");
    came.publish(&name).unwrap();
    let source = areas::registry::find(&name).unwrap();
    let error = OfferOptions::new().open(&source, folder.socket()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotPermitted, "{error:#}");
    assert!(error.remedy().unwrap().contains("--read-only"), "{error:#}");
}

#[test]
fn who_is_not_named_is_refused_without_a_descriptor() {
    let folder = Folder::new();
    let (_area, source) = published("named");
    let mut offer = OfferOptions::new().to(12_345).open(&source, folder.socket()).unwrap();
    let (answer, came) = taken(&mut offer, &TakeOptions::new());
    assert!(matches!(answer.outcome, Outcome::Refused(Refusal::NotOffered)), "{answer}");
    let came = came.unwrap_err();
    assert_eq!(came.kind(), ErrorKind::NotPermitted);
    assert!(came.to_string().contains(&format!("it is not offered to user {}", user())), "{came}");
    let mut offer_to_us = OfferOptions::new().to(user()).open(&source, folder.0.join("other")).unwrap();
    assert!(taken(&mut offer_to_us, &TakeOptions::new()).1.is_ok());
}

#[test]
fn it_is_not_taken_from_whoever_offers() {
    let folder = Folder::new();
    let (_area, source) = published("from");
    let mut offer = OfferOptions::new().open(&source, folder.socket()).unwrap();
    let (_, came) = taken(&mut offer, &TakeOptions::new().from(12_345));
    let came = came.unwrap_err();
    assert_eq!(came.kind(), ErrorKind::NotPermitted);
    assert!(came.to_string().contains(&format!("of user {} offers it", user())), "{came}");
    assert!(taken(&mut offer, &TakeOptions::new().from(12_345).from(user())).1.is_ok());
    assert!(taken(&mut offer, &TakeOptions::new().from_any_user()).1.is_ok());
}
