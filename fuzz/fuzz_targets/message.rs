//! What comes over a socket instead of an area: any bytes, with descriptors of any kind.
#![no_main]

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use areas::{Lock, ReceiveOptions, Received};
use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// Begins a message of ours.
const MAGIC: [u8; 8] = *b"AREAfd\0\x02";
const BYTES: usize = 544;

fn object(size: u8, seals: SealFlags, more: MemfdFlags) -> Option<OwnedFd> {
    let fd = memfd_create("fuzz", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | more).ok()?;
    let unit = if more.contains(MemfdFlags::HUGETLB) { 2 << 20 } else { 1000 };
    ftruncate(&fd, u64::from(size) * unit).ok()?;
    fcntl_add_seals(&fd, seals).ok()?;
    Some(fd)
}

fn open(path: &str, flags: OFlags) -> Option<OwnedFd> {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// A file of /dev/shm that has no name any more.
fn in_shm(size: u8) -> Option<OwnedFd> {
    let fd =
        rustix::fs::open("/dev/shm", OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC, Mode::RWXU).ok()?;
    ftruncate(&fd, u64::from(size) * 1000).ok()?;
    Some(fd)
}

/// What there may be behind a descriptor: memory of all sorts, and all else.
fn descriptor(kind: u8, size: u8) -> Option<OwnedFd> {
    let none = MemfdFlags::empty();
    let pool = MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB;
    let fixed = SealFlags::SHRINK | SealFlags::GROW;
    match kind {
        0 | 1 => object(size, fixed, none),
        2 => object(size, SealFlags::SHRINK, none),
        3 => object(size, fixed | SealFlags::WRITE | SealFlags::SEAL, none),
        4 => object(size, SealFlags::empty(), none),
        5 => open("/dev/null", OFlags::RDWR),
        // Where the pool is empty, these are refused or cannot be made.
        6 => object(size, fixed, pool),
        7 => object(size, SealFlags::SHRINK, pool),
        8 => object(size, fixed | SealFlags::WRITE, pool),
        9 => object(size, SealFlags::GROW, none),
        10 => object(size, fixed | SealFlags::FUTURE_WRITE, none),
        11 => Some(std::io::pipe().ok()?.0.into()),
        12 => Some(UnixStream::pair().ok()?.0.into()),
        13 => open("/", OFlags::RDONLY),
        14 => in_shm(size),
        15 => {
            let memory = object(size, fixed, none)?;
            open(&format!("/proc/self/fd/{}", memory.as_raw_fd()), OFlags::PATH)
        }
        16 => {
            let memory = object(size, fixed, none)?;
            open(&format!("/proc/self/fd/{}", memory.as_raw_fd()), OFlags::RDONLY)
        }
        17 => rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).ok(),
        18 => open("/proc/self/mem", OFlags::RDWR),
        _ => open("/dev/zero", OFlags::RDWR),
    }
}

fn descriptors(kind: u8, size: u8) -> Vec<OwnedFd> {
    let count = match kind / 20 {
        0..=9 => 1,
        10 => 0,
        11 => 2,
        _ => 3,
    };
    (0..count).filter_map(|_| descriptor(kind % 20, size)).collect()
}

// Two bytes choose what comes along, one whether it is a message of ours and whole; the rest are
// its bytes.
fuzz_target!(|bytes: &[u8]| {
    // Where an area is offered, a refusal may come instead.
    areas::fuzz::refusal(bytes);
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
    // The rest comes later, or never; behind it is something of the program's own.
    let options = ReceiveOptions::new().timeout(Duration::ZERO);
    if shape & 4 != 0 && sent.len() == BYTES {
        sendmsg(
            &ours,
            &[IoSlice::new(b"and so on")],
            &mut SendAncillaryBuffer::default(),
            SendFlags::empty(),
        )
        .expect("it is sent");
    }
    let there = waiting(&theirs);
    let received = match shape & 8 {
        0 => options.receive(&theirs),
        _ => options.max_bytes(1 << 16).max_addresses(1 << 20).lock_at_most(Lock::Lazy).receive(&theirs),
    };
    let left = waiting(&theirs);
    // A message is taken whole or not at all.
    assert!(left == there || left + BYTES == there, "{left} of {there} bytes are left");
    assert!(received.is_err() || left + BYTES == there);
    drop(ours);
    match received {
        Ok(Received::Frozen(area)) => assert!(area.iter().take(8192).all(|&byte| byte == 0)),
        Ok(Received::Shared(area)) => {
            let mut bytes = vec![1; area.size()];
            area.read_at(0, &mut bytes).expect("what is there can be read");
            assert!(bytes.iter().all(|&byte| byte == 0));
        }
        Ok(_) | Err(_) => {}
    }
});

/// Bytes in a socket's queue.
fn waiting(socket: &UnixStream) -> usize {
    usize::try_from(rustix::io::ioctl_fionread(socket).expect("it is a socket")).expect("they fit")
}
