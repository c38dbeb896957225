//! Areas that are passed over a Unix socket: what comes is the same memory, with the rights that
//! were sent, whatever the message beside it says; whole or not at all, and within the receiver's
//! bounds.

#[expect(dead_code, reason = "the tests of areas, providers and errors use the rest")]
#[path = "../area_support/mod.rs"]
mod support;

mod between;
mod bounds;
mod descriptors;
mod kinds;
mod pool;
mod reopening;
mod rights;
mod whole;

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use areas::{Area, Received, Shared};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// The length of a message.
const BYTES: usize = 544;

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

fn shared(received: Received) -> Area<Shared> {
    match received {
        Received::Shared(area) => area,
        other => panic!("shared was sent, and {other:?} came"),
    }
}

/// Sends whatever it is given, as `Area::send` would frame it.
fn forge(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(descriptors)));
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::empty()).unwrap();
}

/// A message that says: fixed, not locked, no name.
fn plain_message() -> Vec<u8> {
    let mut bytes = vec![0; BYTES];
    bytes[..8].copy_from_slice(b"AREAfd\0\x02");
    bytes
}

/// A message that says: not locked, no name, and it may grow to so many bytes.
fn growable_message(max: u64) -> Vec<u8> {
    let mut bytes = plain_message();
    bytes[8..16].copy_from_slice(&max.to_le_bytes());
    bytes
}

/// A message that says: fixed, with the lock of that number.
fn locked_message(lock: u8) -> Vec<u8> {
    let mut bytes = plain_message();
    bytes[24] = lock;
    bytes
}

const FIXED: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

/// Memory that the library did not make.
fn memfd(size: u64, more: MemfdFlags, seals: SealFlags) -> OwnedFd {
    let fd = rustix::fs::memfd_create("a stranger's", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | more)
        .unwrap();
    rustix::fs::ftruncate(&fd, size).unwrap();
    if !seals.is_empty() {
        rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
    }
    fd
}

/// How many descriptors are open.
fn open_descriptors() -> usize {
    areas_testing::descriptors::count(areas_testing::Process::Thread).unwrap()
}
