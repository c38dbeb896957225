//! What stays when an offer, an area or a process ends.

#![expect(unsafe_code, reason = "fork; each block has its proof")]

use std::time::Duration;

use areas::ErrorKind;
use areas::gate::{self, OfferOptions, Outcome, Refusal, TakeOptions};

use crate::{Folder, LONG, published, taken};

#[test]
fn takers_keep_what_they_have_and_no_new_process_gets_it() {
    let folder = Folder::new();
    let (area, source) = published("gone");
    let mut offer = OfferOptions::new().open(&source, folder.socket()).unwrap();
    let came = taken(&mut offer, &TakeOptions::new()).1.unwrap();
    offer.check().unwrap();
    drop(area);
    let mut bytes = [0; 14];
    came.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"from the maker");
    // The memory is there, in the taker; the name is not.
    assert_eq!(offer.check().unwrap_err().kind(), ErrorKind::NoSuchArea);
    let (answer, refused) = taken(&mut offer, &TakeOptions::new());
    assert!(matches!(answer.outcome, Outcome::Refused(Refusal::Gone)), "{answer}");
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NoSuchArea);
    assert!(refused.to_string().contains("the area is gone, no further process gets it"), "{refused}");
    drop(offer);
    let refused = gate::take(folder.socket()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NoSuchArea);
    came.read_at(0, &mut bytes).unwrap();
}

#[test]
fn another_area_of_that_name_is_not_what_was_offered() {
    let folder = Folder::new();
    let (area, source) = published("another");
    let name = source.name().clone();
    let mut offer = OfferOptions::new().open(&source, folder.socket()).unwrap();
    drop(area);
    let _secret = areas::builder(4096).name(name.as_bytes()).shared().unwrap();
    let (answer, came) = taken(&mut offer, &TakeOptions::new());
    assert!(matches!(answer.outcome, Outcome::Refused(Refusal::Gone)), "{answer}");
    assert!(came.is_err());
}

#[test]
fn another_holder_of_the_same_memory_takes_its_place() {
    let folder = Folder::new();
    let (area, source) = published("handed on");
    let mut offer = OfferOptions::new().open(&source, folder.socket()).unwrap();
    let _clone = source.cloning().same_name().open().unwrap();
    drop(area);
    offer.check().unwrap();
    assert!(taken(&mut offer, &TakeOptions::new()).1.is_ok());
}

#[test]
fn retired_is_gone() {
    let folder = Folder::new();
    let (mut area, source) = published("retired");
    let mut offer = OfferOptions::new().open(&source, folder.socket()).unwrap();
    area.retire().unwrap();
    assert_eq!(offer.check().unwrap_err().kind(), ErrorKind::NoSuchArea);
    let (answer, came) = taken(&mut offer, &TakeOptions::new());
    assert!(matches!(answer.outcome, Outcome::Refused(Refusal::Gone)), "{answer}");
    assert!(came.is_err());
}

#[test]
fn an_offer_holds_no_memory() {
    let folder = Folder::new();
    let (area, source) = published("held");
    let mut offer = OfferOptions::new().open(&source, folder.socket()).unwrap();
    drop(taken(&mut offer, &TakeOptions::new()).1.unwrap());
    // The connection's end is seen by the next call.
    assert!(offer.answer(Some(Duration::ZERO)).unwrap().is_none());
    let inode = rustix::fs::fstat(area.object()).unwrap().st_ino;
    let is_open = || {
        std::fs::read_dir("/proc/self/fd").unwrap().flatten().any(|entry| {
            std::fs::metadata(entry.path())
                .is_ok_and(|file| std::os::unix::fs::MetadataExt::ino(&file) == inode)
        })
    };
    assert!(is_open());
    drop(area);
    assert!(!is_open());
}

#[test]
fn a_forked_child_does_not_take_the_socket_away() {
    let folder = Folder::new();
    let (_area, source) = published("forked");
    let mut offer = Some(OfferOptions::new().open(&source, folder.socket()).unwrap());
    // SAFETY: the child drops a value, which takes no mutex that another thread may hold, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        drop(offer.take());
        // SAFETY: ends the child without the parent's handlers.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: our own child, and room for its status.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    assert_eq!(folder.names(), ["socket"]);
    assert!(taken(offer.as_mut().unwrap(), &TakeOptions::new()).1.is_ok());
}

#[test]
fn an_answer_is_not_waited_for_for_ever() {
    let folder = Folder::new();
    let (_area, source) = published("stopped");
    // No process answers: as where the process is stopped.
    let offer = OfferOptions::new().open(&source, folder.socket()).unwrap();
    let mut asked = 0;
    let begun = std::time::Instant::now();
    let error = TakeOptions::new()
        .take_while(folder.socket(), &mut || {
            asked += 1;
            asked < 4
        })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(begun.elapsed() < LONG && asked == 4);
    drop(offer);
}
