//! What comes over a socket is the same memory, with the rights that were sent.

use std::io::Write;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use areas::{ErrorKind, Lock, Protection, Received};

use super::{pair, shared};

#[test]
fn the_same_memory_with_the_same_rights() {
    let (ours, theirs) = pair();
    let area = areas::builder(5000).lock(Lock::Lazy).shared().unwrap();
    area.write_at(4990, b"0123456789").unwrap();
    area.send(&ours).unwrap();
    let clone = shared(areas::receive(&theirs).unwrap());
    assert_eq!((clone.size(), clone.lock(), clone.protection()), (5000, Lock::Lazy, Protection::READ_WRITE));
    clone.write_at(0, b"through the clone").unwrap();
    let mut bytes = [0; 17];
    area.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"through the clone");
    // It outlives its sender.
    drop(area);
    clone.read_at(4990, &mut bytes[..10]).unwrap();
    assert_eq!(&bytes[..10], b"0123456789");
}

#[test]
fn what_is_on_its_way_lives() {
    let (ours, theirs) = pair();
    let area = areas::builder(1 << 20).shared().unwrap();
    area.write_at(0, b"in the queue").unwrap();
    area.send(&ours).unwrap();
    drop(area);
    drop(ours);
    let received = shared(areas::receive(&theirs).unwrap());
    let mut bytes = [0; 12];
    received.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"in the queue");
    assert_eq!(areas::receive(&theirs).unwrap_err().kind(), ErrorKind::Io, "and no second one");
}

#[test]
fn for_reading_only_means_it() {
    let (ours, theirs) = pair();
    let area = areas::builder(4096).shared().unwrap();
    area.send_read_only(&ours).unwrap();
    let mut clone = shared(areas::receive(&theirs).unwrap());
    assert_eq!(clone.protection(), Protection::READ);
    assert_eq!(clone.write_at(0, b"x").unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(
        clone.protect(Protection::READ_WRITE).unwrap_err().kind(),
        ErrorKind::NotPermitted,
        "the kernel's word"
    );
    assert!(rustix::io::pwrite(clone.as_fd(), b"x", 0).is_err());
    // And it does not keep the sender from freezing.
    assert_eq!(area.freeze().unwrap()[0], 0);
}

#[test]
fn frozen_comes_frozen() {
    let (ours, theirs) = pair();
    let area = areas::builder(100).shared().unwrap();
    area.write_at(0, b"forever!").unwrap();
    let frozen = area.freeze().unwrap();
    frozen.send(&ours).unwrap();
    drop(frozen);
    let Received::Frozen(received) = areas::receive(&theirs).unwrap() else { panic!("not frozen") };
    assert_eq!(&received[..8], b"forever!");
    assert_eq!(received.len(), 100);
}

#[test]
fn growth_is_seen_by_the_receiver() {
    let (ours, theirs) = pair();
    let area = areas::builder(4096).growable(1 << 20).shared().unwrap();
    area.send(&ours).unwrap();
    let clone = shared(areas::receive(&theirs).unwrap());
    area.grow(1 << 19).unwrap();
    area.write_at((1 << 19) - 1, b"z").unwrap();
    assert_eq!((clone.size(), clone.load::<u8>((1 << 19) - 1, Ordering::Relaxed).unwrap()), (1 << 19, b'z'));
    assert_eq!(clone.reserve(), 1 << 20);
}

#[test]
fn a_name_comes_along_and_is_no_areas_until_published() {
    let name = format!("passed-{}", std::process::id());
    let (ours, theirs) = pair();
    let area = areas::builder(4096).name(&name).shared().unwrap();
    area.send(&ours).unwrap();
    drop(area);
    let mut received = shared(areas::receive(&theirs).unwrap());
    assert_eq!(received.name().map(|name| name.to_string()), Some(name.clone()));
    assert_eq!(received.id(), None);
    assert!(areas::registry::find(&name).is_err());
    received.publish(&name).unwrap();
    assert_eq!(Some(areas::registry::find(&name).unwrap().id()), received.id());
}

#[test]
fn half_a_message_is_reported() {
    let (mut ours, theirs) = pair();
    ours.write_all(b"AREAfd\0\x02").unwrap();
    drop(ours);
    assert_eq!(areas::receive(&theirs).unwrap_err().kind(), ErrorKind::Io);
    let file = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(areas::receive(&file).unwrap_err().kind(), ErrorKind::Io, "no socket");
}

#[test]
fn a_note_goes_along() {
    let (ours, theirs) = pair();
    let noted = areas::builder(4096).note(b"numpy:[\"<f8\",[512]]").shared().unwrap();
    noted.send(&ours).unwrap();
    noted.send_read_only(&ours).unwrap();
    noted.freeze().unwrap().send(&ours).unwrap();
    for _ in 0..3 {
        let note = match areas::receive(&theirs).unwrap() {
            Received::Shared(area) => area.note().clone(),
            Received::Frozen(area) => area.note().clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(note.as_bytes(), b"numpy:[\"<f8\",[512]]");
    }
}
