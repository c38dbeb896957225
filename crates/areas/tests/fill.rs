//! Areas that take their contents from a file.

use std::fs::File;
use std::io::Write;

use areas::{ErrorKind, NodeSet, Policy};

/// A file without a name, with bytes that differ from page to page.
fn file_of(len: usize) -> (File, Vec<u8>) {
    let folder = std::env::temp_dir();
    let path = folder.join(format!("areas-fill-{}-{len}", std::process::id()));
    let bytes: Vec<u8> = (0..len).map(|at| (at ^ (at >> 8) ^ (at >> 16)).to_le_bytes()[0]).collect();
    let mut file = File::create_new(&path).unwrap();
    file.write_all(&bytes).unwrap();
    let file = File::open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    (file, bytes)
}

#[test]
fn every_byte_and_every_page() {
    for len in [1, 4096, 5000, (8 << 20) - 1, (17 << 20) + 3] {
        let (file, bytes) = file_of(len);
        let mut area = areas::builder(len).place(Policy::Interleave(NodeSet::ALL)).shared().unwrap();
        let mut reports = Vec::new();
        area.fill_from(&file, &mut |progress| reports.push((progress.done, progress.total))).unwrap();
        assert_eq!(reports.last(), Some(&(len, len)));
        assert!(reports.is_sorted());
        let mut back = vec![0; len];
        area.read_at(0, &mut back).unwrap();
        assert!(back == bytes, "{len}");
        assert_eq!(area.residency().unwrap().absent(), 0);
    }
}

#[test]
fn a_file_that_is_too_short_is_reported() {
    let (file, _) = file_of(5001);
    let mut area = areas::builder(8192).shared().unwrap();
    let error = area.fill_from(&file, &mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(
        error.to_string(),
        "cannot fill an area of 8 KiB from a file: the file ended after 5001 of 8192 bytes"
    );
}

#[test]
fn what_may_not_be_written_is_not() {
    let (file, _) = file_of(4096);
    let mut area = areas::builder(4096).shared().unwrap();
    area.protect(areas::Protection::READ).unwrap();
    assert_eq!(area.fill_from(&file, &mut |_| {}).unwrap_err().kind(), ErrorKind::ReadOnly);
}

#[test]
fn a_folder_is_no_source() {
    let mut area = areas::builder(4096).shared().unwrap();
    let folder = File::open(".").unwrap();
    let error = area.fill_from(&folder, &mut |_| {}).unwrap_err();
    assert_eq!(
        (error.kind(), error.errno().map(|errno| errno.to_string())),
        (ErrorKind::Io, Some("EISDIR".to_owned()))
    );
}
