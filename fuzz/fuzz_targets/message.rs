//! What comes over a socket instead of an area: any bytes, with descriptors of any kind.
#![no_main]

use std::fs::File;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use areas::Received;
use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// Begins a message of ours.
const MAGIC: [u8; 8] = *b"AREAfd\0\x01";
const BYTES: usize = 288;

fn object(size: u8, seals: SealFlags) -> OwnedFd {
    let fd = memfd_create("fuzz", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("an object");
    ftruncate(&fd, u64::from(size) * 1000).expect("its size");
    fcntl_add_seals(&fd, seals).expect("its seals");
    fd
}

fn descriptors(kind: u8, size: u8) -> Vec<OwnedFd> {
    let fixed = SealFlags::SHRINK | SealFlags::GROW;
    match kind % 8 {
        0 | 1 => vec![object(size, fixed)],
        2 => vec![object(size, SealFlags::SHRINK)],
        3 => vec![object(size, fixed | SealFlags::WRITE | SealFlags::SEAL)],
        4 => vec![object(size, SealFlags::empty())],
        5 => vec![File::open("/dev/null").expect("it is there").into()],
        6 => vec![object(size, fixed), object(size, fixed)],
        _ => vec![],
    }
}

// Two bytes choose what comes along, one whether it is a message of ours and whole; the rest are its bytes.
fuzz_target!(|bytes: &[u8]| {
    let [kind, size, shape, rest @ ..] = bytes else { return };
    let mut message = [0; BYTES];
    let len = rest.len().min(BYTES - 8);
    message[8..8 + len].copy_from_slice(&rest[..len]);
    if shape & 1 == 0 {
        message[..8].copy_from_slice(&MAGIC);
    }
    let sent = if shape & 2 == 0 { &message[..] } else { &message[..8 + len] };
    let (ours, theirs) = UnixStream::pair().expect("two sockets");
    let owned = descriptors(*kind, *size);
    let borrowed: Vec<BorrowedFd<'_>> = owned.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !borrowed.is_empty() {
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&borrowed)));
    }
    sendmsg(&ours, &[IoSlice::new(sent)], &mut ancillary, SendFlags::empty()).expect("it is sent");
    drop(ours);
    match areas::receive(&theirs) {
        Ok(Received::Frozen(area)) => assert!(area.iter().take(8192).all(|&byte| byte == 0)),
        Ok(Received::Shared(area)) => {
            let mut bytes = vec![1; area.size()];
            area.read_at(0, &mut bytes).expect("what is there can be read");
            assert!(bytes.iter().all(|&byte| byte == 0));
        }
        Ok(_) | Err(_) => {}
    }
});
