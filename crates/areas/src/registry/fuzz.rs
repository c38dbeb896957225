//! What a fuzzer reaches of the registry: what other processes, and `/proc`, write.

use std::ffi::CString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use super::directory::{Directory, Link, namespace};
use super::process::{ProcessStat, may_be_written, shared_mapping};
pub(crate) use super::table::fuzz::table;
use super::transfer::PendingTransfer;

/// A record as it stands in a table; or what comes to a team's transfer socket, if there is enough
/// of it.
pub(crate) fn record(bytes: &[u8]) {
    super::table::fuzz::record(bytes);
    if let Some(bytes) = bytes.first_chunk::<{ PendingTransfer::BYTES }>()
        && let Some(offer) = PendingTransfer::decode(bytes)
    {
        assert_eq!(PendingTransfer::decode(&offer.encode()), Some(offer));
    }
}

/// The name of a link, a NUL, and its target.
pub(crate) fn link(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |&byte| byte == 0);
    let (name, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if let Some(link) = Link::parse(name, target) {
        assert_eq!(link.name().as_bytes(), name, "a link has one name");
        assert_eq!(Link::parse(link.name().as_bytes(), link.target().as_bytes()), Some(link));
    }
    if let Ok(text) = CString::new(name) {
        let _ = namespace(&text, "pid");
    }
    let _ = ProcessStat::parse(bytes);
}

/// What `/proc/PID/maps` and `smaps` show of an object with inode 4711.
pub(crate) fn maps(bytes: &[u8]) {
    for line in bytes.split(|&byte| byte == b'\n') {
        let _ = shared_mapping(line, 4711, None);
        let _ = shared_mapping(line, 4711, Some(&(0..1 << 20)));
    }
    let _ = may_be_written(bytes, 4711);
}

/// The contents of the control file, which may be of any length: leases are blocks, and waking
/// works or is an error.
pub(crate) fn control(bytes: &[u8]) {
    static JOINED: OnceLock<(Directory, File)> = OnceLock::new();
    let (directory, file) = JOINED.get_or_init(|| {
        let directory = Directory::join().expect("AREAS_DIR is a folder for the fuzzer");
        let path = directory.path().join("control");
        let file = File::options().read(true).write(true).open(path).expect("the control file");
        (directory, file)
    });
    file.set_len(0).expect("it is cut");
    file.write_all_at(bytes, 0).expect("it is written");
    for slot in [0, 1, 4095] {
        let block = directory.lease(slot).expect("it can be read and written");
        assert!(block < super::table::OWN_BLOCKS);
        assert_eq!(directory.lease(slot).expect("as before"), (block + 1) % super::table::OWN_BLOCKS);
    }
    directory.wake_waiters();
    file.set_len((bytes.len() as u64).min(13)).expect("it is cut");
    directory.wake_waiters();
}
