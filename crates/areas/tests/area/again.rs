//! A second area over the same memory in the same process, parts of a part, and cursors.

#![expect(unsafe_code, reason = "unmaps addresses of an area; the block has its proof")]

use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::atomic::Ordering;

use areas::{AnyArea, ErrorKind, Lock, Protection, registry};
use areas_testing::smaps;

use super::page;
use super::support::child::{Stage, reply, test};

#[test]
fn a_clone_by_hand_is_the_same_memory_and_keeps_it() {
    let area = areas::builder(3 * page()).note("a note").lock(Lock::Lazy).shared().unwrap();
    area.write_at(page(), b"hello").unwrap();
    let clone = area.try_clone().unwrap();
    assert_ne!(clone.as_ptr(), area.as_ptr());
    assert_eq!((clone.id(), clone.name()), (None, None), "it is not published");
    assert_eq!((clone.size(), clone.lock(), clone.note()), (3 * page(), Lock::Lazy, area.note()));
    let vma = smaps::at(clone.as_ptr().addr()).unwrap();
    assert!(vma.has("sh") && vma.has("lo"), "{vma:?}");
    clone.store(0, 7_u32, Ordering::Relaxed).unwrap();
    assert_eq!(area.load::<u32>(0, Ordering::Relaxed).unwrap(), 7);
    drop(area);
    let mut bytes = [0; 5];
    clone.read_at(page(), &mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
}

#[test]
fn a_clone_by_hand_may_do_what_its_source_may() {
    let this = test!("a_clone_by_hand_may_do_what_its_source_may");
    if this.role().as_deref() == Some("reader") {
        let source = registry::find("slate").unwrap().open_read_only().unwrap();
        let mut clone = source.try_clone().unwrap();
        assert_eq!(clone.write_at(0, b"x").unwrap_err().kind(), ErrorKind::ReadOnly);
        assert_eq!(clone.protect(Protection::READ_WRITE).unwrap_err().kind(), ErrorKind::NotPermitted);
        let vma = smaps::at(clone.as_ptr().addr()).unwrap();
        return reply(if vma.has("mw") { "could be made writable" } else { "for reading" });
    }
    let answer = this.alone(Stage::default(), || {
        let _area = areas::builder(page()).name("slate").shared().unwrap();
        this.spawn(&mut Stage::here(), "reader").hear()
    });
    assert_eq!(answer, "for reading");
}

#[test]
fn a_frozen_clone_lends_the_same_bytes_at_other_addresses() {
    let area = areas::builder(page()).shared().unwrap();
    area.write_at(0, b"for good").unwrap();
    let frozen = area.freeze().unwrap();
    let clone = frozen.try_clone().unwrap();
    drop(frozen);
    assert_eq!(&clone[..8], b"for good");
    // One more holder for reading keeps no area from being frozen; one for writing does.
    let area = areas::builder(page()).shared().unwrap();
    let clone = area.try_clone().unwrap();
    let rejected = area.freeze().unwrap_err();
    assert_eq!(rejected.error.kind(), ErrorKind::Busy);
    drop(clone);
    assert!(rejected.value.freeze().is_ok());
}

#[test]
fn a_resizable_clone_is_resized_with_its_source_and_what_is_unmapped_stays_its_own() {
    let mut area = areas::builder(2 * page()).resizable(8 * page()).unwrap();
    let clone = area.try_clone().unwrap();
    area.resize(6 * page()).unwrap();
    assert_eq!((clone.size(), clone.mapped(), clone.reserve()), (6 * page(), 6 * page(), 8 * page()));
    clone.write_at(5 * page(), b"the end").unwrap();
    // The program unmaps all of the first one: its memory is the clone's, too.
    // SAFETY: the area's own addresses; it lends no references, and is reconciled before it is
    // used.
    let status = unsafe { libc::munmap(area.as_ptr().cast(), 8 * page()) };
    assert_eq!(status, 0);
    assert!(area.reconcile().unwrap().is_empty());
    let mut bytes = [0; 7];
    clone.read_at(5 * page(), &mut bytes).unwrap();
    assert_eq!(&bytes, b"the end");
}

#[test]
fn any_area_is_cloned_as_what_it_is_or_says_why_not() {
    let shared = AnyArea::from(areas::builder(page()).shared().unwrap());
    assert!(matches!(shared.try_clone().unwrap(), AnyArea::Shared(_)));
    let private = AnyArea::from(areas::builder(page()).private().unwrap());
    let error = private.try_clone().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("private memory"), "{error}");
}

#[test]
fn floating_point_words_keep_their_bits() {
    let area = areas::builder(64).shared().unwrap();
    let nan = f64::from_bits(0x7ff8_0000_dead_beef);
    area.store(8, nan, Ordering::Release).unwrap();
    assert_eq!(area.load::<u64>(8, Ordering::Acquire).unwrap(), nan.to_bits());
    assert_eq!(area.load::<f64>(8, Ordering::Acquire).unwrap().to_bits(), nan.to_bits());
    area.store(16, -0.5_f32, Ordering::Relaxed).unwrap();
    assert_eq!(area.load::<u32>(16, Ordering::Relaxed).unwrap(), (-0.5_f32).to_bits());
    assert_eq!(area.load::<f32>(18, Ordering::Relaxed).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_part_of_a_part_ends_where_that_ends() {
    let area = areas::builder(page()).shared().unwrap();
    let record = area.slice(64, 32).unwrap();
    let key = record.slice(8, 24).unwrap();
    key.write_at(0, b"abc").unwrap();
    assert_eq!(area.slice(72, 3).unwrap().to_vec().unwrap(), b"abc");
    assert_eq!(key.as_ptr(), area.as_ptr().wrapping_add(72));
    for (offset, len) in [(0, 25), (24, 1), (25, 0), (usize::MAX, 1), (1, usize::MAX)] {
        assert_eq!(key.slice(offset, len).unwrap_err().kind(), ErrorKind::OutOfRange, "{offset}, {len}");
    }
    assert!(key.slice(24, 0).unwrap().is_empty());
}

#[test]
fn a_cursor_reads_writes_and_moves_up_to_the_end() {
    let area = areas::builder(10).shared().unwrap();
    let mut cursor = area.cursor();
    cursor.write_all(b"0123456789").unwrap();
    assert_eq!(cursor.write(b"x").unwrap(), 0, "an area is not made larger");
    assert_eq!(cursor.write_all(b"x").unwrap_err().kind(), std::io::ErrorKind::WriteZero);
    assert_eq!(cursor.seek(SeekFrom::End(-4)).unwrap(), 6);
    let mut text = String::new();
    assert_eq!((cursor.read_to_string(&mut text).unwrap(), &*text), (4, "6789"));
    assert_eq!(cursor.seek(SeekFrom::Current(-11)).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(cursor.position(), 10, "a refused move is none");
    assert_eq!(cursor.seek(SeekFrom::Start(u64::MAX)).unwrap(), u64::MAX);
    assert_eq!(cursor.read(&mut [0; 4]).unwrap(), 0);
    assert_eq!(cursor.seek(SeekFrom::Current(1)).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    cursor.set_position(8);
    assert_eq!(cursor.write(b"abc").unwrap(), 2, "as much as there is room for");
    let mut all = Vec::new();
    area.slice(6, 4).unwrap().cursor().read_to_end(&mut all).unwrap();
    assert_eq!(all, b"67ab");
    // For reading only: the area's own error is inside.
    let mut area = area;
    area.protect(Protection::READ).unwrap();
    let error = area.cursor().write(b"x").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    let inner = error.get_ref().unwrap().downcast_ref::<areas::Error>().unwrap();
    assert_eq!(inner.kind(), ErrorKind::ReadOnly);
}

#[test]
fn a_cursor_follows_an_area_that_grows_and_shrinks() {
    let mut area = areas::builder(page()).resizable(4 * page()).unwrap();
    let clone = area.try_clone().unwrap();
    let mut cursor = clone.cursor();
    cursor.seek(SeekFrom::End(0)).unwrap();
    assert_eq!(cursor.write(b"x").unwrap(), 0);
    area.resize(2 * page()).unwrap();
    cursor.write_all(b"more").unwrap();
    let mut more = [0; 4];
    area.read_at(page(), &mut more).unwrap();
    assert_eq!(&more, b"more");
    area.resize(page()).unwrap();
    cursor.set_position(page() as u64 - 2);
    assert_eq!(cursor.read(&mut more).unwrap(), 2);
    assert_eq!(cursor.read(&mut more).unwrap(), 0);
}

#[test]
fn a_cursor_ends_where_the_addresses_of_its_clone_end() {
    let mut area = areas::builder(page()).name("again: larger").resizable(4 * page()).unwrap();
    let clone = registry::find("again: larger").unwrap().cloning().room(page()).open_resizable().unwrap();
    area.resize(3 * page()).unwrap();
    assert_eq!((clone.size(), clone.reserve()), (3 * page(), page()), "it is not published, and not asked");
    let mut cursor = clone.cursor();
    cursor.seek(SeekFrom::Start(page() as u64 - 2)).unwrap();
    assert_eq!(cursor.write(b"four").unwrap(), 2);
    assert_eq!(cursor.write(b"ur").unwrap(), 0);
}

#[test]
fn what_a_clone_by_hand_lacks_room_for_is_not_grown_to() {
    let mut area = areas::builder(page()).resizable(2 * page()).unwrap();
    let mut clone = area.try_clone().unwrap();
    area.widen_reserve(8 * page()).unwrap();
    clone.publish("again: narrower").unwrap();
    let error = area.resize(4 * page()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressInUse, "{error}");
    assert_eq!((area.size(), clone.size()), (page(), page()));
    area.resize(2 * page()).unwrap();
}
