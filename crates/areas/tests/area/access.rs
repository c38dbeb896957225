//! Copies in and out of shared areas, slices of them, protections.

use std::sync::atomic::Ordering;

use areas::{ErrorKind, Protection};
use areas_testing::smaps;

use super::{bytes, page};

#[test]
fn what_is_written_is_read() {
    let area = areas::builder(10_000).shared().unwrap();
    let text: Vec<u8> = (0..9_000_u32).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
    for offset in [0, 1, 7, 999, 1000] {
        area.write_at(offset, &text).unwrap();
        let mut back = vec![0; text.len()];
        area.read_at(offset, &mut back).unwrap();
        assert!(back == text, "at {offset}");
    }
    // Its object has the same bytes for whoever reads it as a file.
    let mut through_file = vec![0; text.len()];
    assert_eq!(rustix::io::pread(&area, &mut through_file, 1000).unwrap(), text.len());
    assert!(through_file == text);
    rustix::io::pwrite(&area, b"file", 3).unwrap();
    assert_eq!(&bytes(&area)[3..7], b"file");
}

#[test]
fn a_refused_copy_changes_nothing() {
    let area = areas::builder(5000).shared().unwrap();
    let before = bytes(&area);
    for (offset, len) in [(4999, 2), (5000, 1), (5001, 0), (usize::MAX, 1), (usize::MAX, 0), (1, 5000)] {
        let error = area.write_at(offset, &vec![1; len]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfRange, "{offset} {len}");
        let mut into = vec![9; len];
        assert_eq!(area.read_at(offset, &mut into).unwrap_err().kind(), ErrorKind::OutOfRange);
        assert!(into.iter().all(|&byte| byte == 9));
        assert_eq!(area.slice(offset, len).unwrap_err().kind(), ErrorKind::OutOfRange);
    }
    assert!(bytes(&area) == before);
    area.write_at(5000, &[]).unwrap();
    // The mapping has more bytes than the area: they are not ours to touch.
    assert!(area.mapped() > 5000);
}

#[test]
fn slices_are_windows_that_stay_inside() {
    let area = areas::builder(8192).shared().unwrap();
    let slice = area.slice(100, 50).unwrap();
    assert_eq!(
        (slice.len(), slice.is_empty(), slice.as_ptr().addr()),
        (50, false, area.as_ptr().addr() + 100)
    );
    slice.write_at(10, b"inside").unwrap();
    assert_eq!(&bytes(&area)[110..116], b"inside");
    slice.store(4, 0x0102_0304_u32, Ordering::Relaxed).unwrap();
    assert_eq!(area.load::<u32>(104, Ordering::Relaxed).unwrap(), 0x0102_0304);
    assert_eq!(slice.load::<u16>(4, Ordering::Relaxed).unwrap(), 0x0304);
    for (offset, len) in [(50, 1), (45, 6), (51, 0), (usize::MAX, 0), (usize::MAX - 99, 1), (usize::MAX, 60)]
    {
        assert_eq!(
            slice.write_at(offset, &vec![1; len]).unwrap_err().kind(),
            ErrorKind::OutOfRange,
            "{offset}"
        );
        assert_eq!(slice.read_at(offset, &mut vec![1; len]).unwrap_err().kind(), ErrorKind::OutOfRange);
    }
    assert_eq!(slice.load::<u64>(44, Ordering::Relaxed).unwrap_err().kind(), ErrorKind::OutOfRange);
    assert_eq!(slice.store(2, 1_u32, Ordering::Relaxed).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(area.slice(8192, 0).unwrap().is_empty());
}

#[test]
fn copies_between_areas() {
    let (from, to) = (areas::builder(5000).shared().unwrap(), areas::builder(100).shared().unwrap());
    from.write_at(4990, b"0123456789").unwrap();
    from.copy_to(4990, &to, 90, 10).unwrap();
    assert_eq!(&bytes(&to)[88..], b"\0\x000123456789");
    for (offset, at, len) in
        [(4991, 0, 10), (0, 91, 10), (usize::MAX, 0, 1), (0, usize::MAX, 1), (0, 0, usize::MAX)]
    {
        assert_eq!(from.copy_to(offset, &to, at, len).unwrap_err().kind(), ErrorKind::OutOfRange);
    }
}

#[test]
fn overlapping_copies_are_refused() {
    let area = areas::builder(1000).shared().unwrap();
    let cases = [
        (0, 10, 10, true),
        (10, 0, 10, true),
        (0, 9, 10, false),
        (9, 0, 10, false),
        (5, 5, 1, false),
        (5, 5, 0, true),
    ];
    for (offset, at, len, fine) in cases {
        let result = area.copy_to(offset, &area, at, len);
        assert_eq!(result.is_ok(), fine, "{offset} {at} {len}");
        if let Err(error) = result {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    }
}

#[test]
fn protections_are_the_kernels() {
    let cases = [
        (Protection::READ_WRITE, "rw-"),
        (Protection::READ, "r--"),
        (Protection::empty(), "---"),
        (Protection::READ | Protection::EXECUTE, "r-x"),
    ];
    for (protection, text) in cases {
        let mut area = areas::builder(page()).protection(protection).shared().unwrap();
        assert_eq!(area.protection(), protection);
        assert_eq!(smaps::at(area.as_ptr().addr()).unwrap().permissions, format!("{text}s"));
        assert_eq!(area.read_at(0, &mut [0]).is_ok(), protection.contains(Protection::READ));
        let write = area.write_at(0, &[1]);
        assert_eq!(write.is_ok(), protection.contains(Protection::WRITE), "{text}");
        assert!(write.err().is_none_or(|error| error.kind() == ErrorKind::ReadOnly));
        area.protect(Protection::READ_WRITE).unwrap();
        area.write_at(0, &[1]).unwrap();
        area.protect(Protection::READ).unwrap();
        assert_eq!(smaps::at(area.as_ptr().addr()).unwrap().permissions, "r--s");
        assert_eq!(area.store(0, 1_u8, Ordering::Relaxed).unwrap_err().kind(), ErrorKind::ReadOnly);
        assert_eq!(area.load::<u8>(0, Ordering::Relaxed).unwrap(), 1);
    }
}

#[test]
fn private_areas_lend_what_their_protection_allows() {
    let mut area = areas::builder(5000).private().unwrap();
    area.fill(3);
    area.protect(Protection::READ).unwrap();
    assert_eq!(smaps::at(area.as_ptr().addr()).unwrap().permissions, "r--p");
    assert_eq!(area.as_bytes().unwrap().len(), 5000);
    assert_eq!(area.as_bytes_mut().unwrap_err().kind(), ErrorKind::ReadOnly);
    area.protect(Protection::empty()).unwrap();
    assert_eq!(area.as_bytes().unwrap_err().kind(), ErrorKind::ReadOnly);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| area[0])).unwrap_err();
    assert!(panicked.downcast_ref::<String>().unwrap().contains("protection is ---"));
    area.protect(Protection::READ_WRITE).unwrap();
    assert!(area.iter().all(|&byte| byte == 3), "the contents stay");
}
