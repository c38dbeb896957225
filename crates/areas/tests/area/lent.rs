//! Areas as owners of bytes for the libraries that most data goes through: `bytes` and Arrow
//! take them as they are, without a copy, and release them.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::sync::Arc;

use arrow_buffer::{Buffer, ScalarBuffer};
use bytes::Bytes;

use areas::{AnyArea, Area, Frozen, Private, Resizable, Shared};
use areas_testing::maps;

use super::page;

#[test]
fn areas_go_anywhere() {
    fn anywhere<T: Send + Sync + UnwindSafe + RefUnwindSafe + 'static>() {}
    anywhere::<Area<Private>>();
    anywhere::<Area<Shared>>();
    anywhere::<Area<Resizable>>();
    anywhere::<Area<Frozen>>();
    anywhere::<AnyArea>();
}

fn frozen(numbers: usize) -> Area<Frozen> {
    let area = areas::builder(numbers * 8).shared().unwrap();
    for number in 0..numbers {
        area.write_at(number * 8, &(number as u64).to_le_bytes()).unwrap();
    }
    area.freeze().unwrap()
}

/// Whether the kernel has anything of an object mapped here: by its inode.
fn is_mapped(inode: u64) -> bool {
    maps::own().iter().any(|vma| vma.inode == inode)
}

fn inode(area: &Area<Frozen>) -> u64 {
    rustix::fs::fstat(area).unwrap().st_ino
}

#[test]
fn bytes_lend_a_frozen_area() {
    let area = frozen(1000);
    let (start, inode) = (area.as_ptr().cast_const(), inode(&area));
    let bytes = Bytes::from_owner(area);
    assert_eq!((bytes.as_ptr(), bytes.len()), (start, 8000));
    let tail = bytes.slice(7992..);
    assert_eq!((tail.as_ptr().addr(), &tail[..]), (start.addr() + 7992, &999_u64.to_le_bytes()[..]));
    drop(bytes);
    assert!(is_mapped(inode), "a slice keeps it");
    // On another thread: whoever is last frees it.
    std::thread::spawn(move || drop(tail)).join().unwrap();
    assert!(!is_mapped(inode));
}

#[test]
fn bytes_lend_a_private_area() {
    let mut area = areas::builder(page()).private().unwrap();
    area.as_mut()[..5].copy_from_slice(b"hello");
    let start = area.as_ptr().cast_const();
    let bytes = Bytes::from_owner(area);
    assert_eq!((bytes.as_ptr(), &bytes[..5]), (start, &b"hello"[..]));
}

#[expect(unsafe_code, reason = "Arrow's constructor takes a pointer and an owner")]
fn arrow(area: Area<Frozen>) -> Buffer {
    let bytes = area.as_bytes();
    let (start, len) = (NonNull::from(bytes).cast(), bytes.len());
    // SAFETY: `len` bytes from `start` are readable and never change, and stay so while the area is
    // held; the buffer holds it.
    unsafe { Buffer::from_custom_allocation(start, len, Arc::new(area)) }
}

#[test]
fn arrow_reads_a_frozen_area_in_place() {
    let area = frozen(1000);
    let (start, inode) = (area.as_ptr().cast_const(), inode(&area));
    let buffer = arrow(area);
    assert_eq!((buffer.as_ptr(), buffer.len()), (start, 8000));
    let numbers = ScalarBuffer::<u64>::new(buffer.clone(), 10, 5);
    assert_eq!(&numbers[..], &[10, 11, 12, 13, 14]);
    drop(buffer);
    assert!(is_mapped(inode), "the numbers keep it");
    drop(numbers);
    assert!(!is_mapped(inode));
    // By way of bytes, without a word of unsafe code.
    let area = frozen(10);
    let start = area.as_ptr().cast_const();
    let buffer = Buffer::from(Bytes::from_owner(area));
    assert_eq!((buffer.as_ptr(), buffer.len()), (start, 80));
}
