//! Accesses that an area does not allow.

use std::sync::atomic::Ordering;

use areas::Protection;
use insta::assert_snapshot;

use super::failure;
use super::support::child::{Stage, test};

#[test]
fn beyond_the_end() {
    let area = areas::builder(5000).shared().unwrap();
    assert_snapshot!(failure(area.read_at(4999, &mut [0; 2])), @r#"
    OutOfRange: cannot access 2 bytes at offset 4999: the size is 5000 bytes
      help: stay inside `0..size()`
    "#);
    assert_snapshot!(failure(area.write_at(usize::MAX, &[1])), @r#"
    OutOfRange: cannot access 1 byte at offset 18446744073709551615: the size is 5000 bytes
      help: stay inside `0..size()`
    "#);
    assert_snapshot!(failure(area.load::<u64>(4996, Ordering::Relaxed)), @r#"
    OutOfRange: cannot access 8 bytes at offset 4996: the size is 5000 bytes
      help: stay inside `0..size()`
    "#);
    assert_snapshot!(failure(area.load::<u64>(4, Ordering::Relaxed)), @"InvalidInput: cannot access 8 bytes at offset 4 as one word: the offset is not a multiple of its size");
    assert_snapshot!(failure(area.slice(4000, 1001)), @r#"
    OutOfRange: cannot access 1001 bytes at offset 4000: the size is 5000 bytes
      help: stay inside `0..size()`
    "#);
    let slice = area.slice(4000, 100).unwrap();
    assert_snapshot!(failure(slice.read_at(99, &mut [0; 2])), @r#"
    OutOfRange: cannot access 2 bytes at offset 99: the size is 100 bytes
      help: stay inside `0..size()`
    "#);
    assert_snapshot!(failure(area.copy_to(0, &area, 1, 2)), @"InvalidInput: cannot copy 2 bytes: the two ranges overlap");
}

#[test]
fn without_the_right() {
    let mut area = areas::builder(5000).protection(Protection::READ).shared().unwrap();
    assert_snapshot!(failure(area.write_at(0, &[1])), @"
    ReadOnly: cannot write to a mapping: its protection is r--
      help: open it with the protection that this needs, or change it: `Area::protect`
    ");
    assert_snapshot!(failure(area.store(0, 1_u8, Ordering::Relaxed)), @"
    ReadOnly: cannot write to a mapping: its protection is r--
      help: open it with the protection that this needs, or change it: `Area::protect`
    ");
    area.protect(Protection::empty()).unwrap();
    assert_snapshot!(failure(area.read_at(0, &mut [0])), @"
    ReadOnly: cannot read from a mapping: its protection is ---
      help: open it with the protection that this needs, or change it: `Area::protect`
    ");
    let mut private = areas::builder(5000).protection(Protection::READ).private().unwrap();
    assert_snapshot!(failure(private.as_bytes_mut()), @"ReadOnly: cannot lend the bytes of a mapping for writing: its protection is r--");
}

#[test]
fn growth() {
    let fixed = areas::builder(5000).shared().unwrap();
    assert_snapshot!(failure(fixed.grow(6000)), @r#"
    InvalidInput: cannot grow an area of 5000 B to 6000 B: its size is fixed at 5000 B
      help: create it as growable: `.growable(max)`, `areas create --growable MAX`
    "#);
    let growable = areas::builder(4096).growable(8192).shared().unwrap();
    assert_snapshot!(failure(growable.grow(8193)), @r#"
    InvalidInput: cannot grow an area of 4 KiB to 8193 B: it was created to grow to 8 KiB at most
      help: the reserve is fixed at creation: create the area with a larger one
    "#);
    assert_snapshot!(failure(growable.grow(usize::MAX)), @r#"
    InvalidInput: cannot grow an area of 4 KiB to 18446744073709551615 B: it was created to grow to 8 KiB at most
      help: the reserve is fixed at creation: create the area with a larger one
    "#);
}

#[test]
fn clones() {
    let answer = test!("clones").alone(Stage::default(), || {
        let growable = areas::builder(4096).growable(8192).name("ring").shared().unwrap();
        let source = areas::registry::find("ring").unwrap();
        let mut reader = source.open_read_only().unwrap();
        let answer = [
            failure(reader.write_at(0, &[1])),
            failure(reader.protect(Protection::READ_WRITE)),
            failure(reader.grow(8192)),
            failure(source.open_frozen()),
            failure(areas::registry::find("absent")),
            failure(areas::registry::get(areas::AreaId::new(5).unwrap())),
            failure(areas::builder(10).name("second").shared().and_then(|mut area| area.publish("third"))),
        ];
        drop(growable);
        answer.join("\n\n")
    });
    assert_snapshot!(answer, @r#"
    ReadOnly: cannot write to a mapping: its protection is r--
      help: open it with the protection that this needs, or change it: `Area::protect`

    NotPermitted: cannot change the protection of 8 KiB from r-- to rw-: mprotect(0xADDRESS, 8192, rw-): EACCES

    ReadOnly: cannot grow an area of 4 KiB to 8 KiB: ftruncate: EINVAL; it was opened for reading only
      help: growing requires write access: clone it for writing

    InvalidInput: cannot clone area ID "ring" as frozen: it is not frozen: others may still write it
      help: clone it as shared: `open_read_only`; or have its holder freeze it

    NoSuchArea: cannot find area "absent": no live process of this user and pid namespace holds an area of that name
      help: `areas ls` lists what there is

    NoSuchArea: cannot look at area ID: no live area of this user and pid namespace has that id
      help: `areas ls` lists what there is

    InvalidInput: cannot publish area "second" as "third": it is published already, with id ID
      help: clone it to give it a second name
    "#);
}
