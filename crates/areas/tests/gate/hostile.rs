//! Peers that do what they like: none holds up the others, takes what is not its own, or leaves
//! anything behind.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use areas::ErrorKind;
use areas::gate::{OfferOptions, Outcome, Refusal, TakeOptions};
use proptest::prelude::*;
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};

use crate::{Folder, LONG, knock, open_descriptors, published, taken};

/// The length of a message with an area.
const BYTES: usize = 544;

#[test]
fn who_never_reads_holds_up_no_process_for_long() {
    const EACH: usize = 32;
    let folder = Folder::new();
    let (_area, source) = published("never reads");
    let mut offer = OfferOptions::new().open(&source, folder.socket()).unwrap();
    let before = open_descriptors();
    let mut silent: Vec<OwnedFd> = Vec::new();
    for _ in 0..EACH {
        silent.push(knock(&folder.socket()));
        let begun = Instant::now();
        assert!(matches!(offer.answer(Some(LONG)).unwrap().unwrap().outcome, Outcome::Given));
        assert!(begun.elapsed() < LONG / 2);
    }
    // One more of that user's is refused, at once, and so is each after it; without a descriptor
    // that would be under way.
    for _ in 0..3 * EACH {
        let (answer, came) = taken(&mut offer, &TakeOptions::new());
        assert!(matches!(answer.outcome, Outcome::Refused(Refusal::Busy)), "{answer}");
        assert_eq!(came.unwrap_err().kind(), ErrorKind::Busy);
    }
    assert_eq!(open_descriptors(), before + 2 * EACH);
    // Once one has gone there is room again.
    silent.pop();
    assert!(taken(&mut offer, &TakeOptions::new()).1.is_ok());
    drop(silent);
    assert!(offer.answer(Some(Duration::ZERO)).unwrap().is_none());
    assert_eq!(open_descriptors(), before);
}

#[test]
fn who_writes_to_an_offer_is_not_read() {
    let folder = Folder::new();
    let (_area, source) = published("writes");
    let mut offer = OfferOptions::new().open(&source, folder.socket()).unwrap();
    let before = open_descriptors();
    let wild = knock(&folder.socket());
    rustix::net::send(&wild, &[0xff; 4096], SendFlags::empty()).unwrap();
    let object = memory(4096, SealFlags::SHRINK);
    send(&wild, b"take this", &[object.as_fd()]);
    // A byte at a time, all the while.
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = rustix::net::send(&wild, b"x", SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        assert!(matches!(offer.answer(Some(LONG)).unwrap().unwrap().outcome, Outcome::Given));
        for _ in 0..5 {
            assert!(taken(&mut offer, &TakeOptions::new()).1.is_ok());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    drop((wild, object));
    assert!(offer.answer(Some(Duration::ZERO)).unwrap().is_none());
    assert_eq!(open_descriptors(), before);
}

#[test]
fn who_comes_and_goes_leaves_nothing() {
    let folder = Folder::new();
    let (_area, source) = published("comes and goes");
    let mut offer = OfferOptions::new().open(&source, folder.socket()).unwrap();
    let before = open_descriptors();
    for _ in 0..500 {
        drop(knock(&folder.socket()));
        let answer = offer.answer(Some(LONG)).unwrap().unwrap();
        assert!(matches!(answer.outcome, Outcome::Left | Outcome::Given), "{answer}");
    }
    assert!(offer.answer(Some(Duration::ZERO)).unwrap().is_none());
    assert_eq!(open_descriptors(), before);
}

#[test]
fn without_a_free_descriptor_who_comes_waits() {
    let folder = Folder::new();
    let (_area, source) = published("no descriptor");
    let mut offer = OfferOptions::new().open(&source, folder.socket()).unwrap();
    let wild = knock(&folder.socket());
    let mut all = Vec::new();
    while let Ok(copy) = rustix::io::dup(&wild) {
        all.push(copy);
    }
    let begun = Instant::now();
    assert_eq!(offer.answer(Some(LONG)).unwrap_err().kind(), ErrorKind::Limit);
    // It does not turn round and round in the meantime.
    assert!(offer.answer(Some(Duration::from_millis(50))).unwrap().is_none());
    assert!(begun.elapsed() >= Duration::from_millis(50));
    all.clear();
    assert!(matches!(offer.answer(Some(LONG)).unwrap().unwrap().outcome, Outcome::Given));
}

/// Another program, which listens where an area is said to be offered.
struct Forger(OwnedFd);

impl Forger {
    fn at(path: &Path) -> Self {
        let flags = SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        rustix::net::bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
        rustix::net::listen(&socket, 16).unwrap();
        Forger(socket)
    }

    fn accept(&self) -> OwnedFd {
        rustix::net::accept_with(&self.0, SocketFlags::CLOEXEC).unwrap()
    }
}

fn send(socket: &OwnedFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(descriptors)));
    }
    // A client that has gone gets no answer.
    let _ = rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL);
}

fn memory(size: u64, seals: SealFlags) -> OwnedFd {
    let fd = rustix::fs::memfd_create("forged", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&fd, size).unwrap();
    rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
    fd
}

fn area_message() -> Vec<u8> {
    let mut bytes = vec![0; BYTES];
    bytes[..8].copy_from_slice(b"AREAfd\0\x02");
    bytes
}

/// What a taker says of what a forger sends: an error, soon, and nothing left open.
fn forged(packets: &[(Vec<u8>, Vec<BorrowedFd<'_>>)]) -> areas::Result<areas::AnyArea> {
    let folder = Folder::new();
    let forger = Forger::at(&folder.socket());
    let before = open_descriptors();
    let begun = Instant::now();
    let came = std::thread::scope(|scope| {
        let taker = scope.spawn(|| TakeOptions::new().take(folder.socket()));
        let socket = forger.accept();
        for (bytes, descriptors) in packets {
            send(&socket, bytes, descriptors);
        }
        drop(socket);
        taker.join().unwrap()
    });
    assert!(begun.elapsed() < LONG);
    if came.is_err() {
        assert_eq!(open_descriptors(), before);
    }
    came
}

#[test]
fn forged_areas_are_refused() {
    let fixed = SealFlags::SHRINK | SealFlags::GROW;
    let good = memory(8192, fixed);
    let shrinking = memory(8192, SealFlags::empty());
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let file = rustix::fs::open("/proc/self/exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let (pipe, _other) = std::io::pipe().unwrap();
    let huge = {
        let mut bytes = area_message();
        bytes[8..16].copy_from_slice(&(1_u64 << 60).to_le_bytes());
        bytes
    };
    let named = |len: u8| {
        let mut bytes = area_message();
        bytes[25] = len;
        bytes
    };
    let noted = {
        let mut bytes = area_message();
        bytes[26..28].copy_from_slice(&u16::MAX.to_le_bytes());
        bytes
    };
    // The message itself is one that is taken.
    assert!(forged(&[(area_message(), vec![good.as_fd()])]).is_ok());
    let cases: Vec<(&str, Vec<u8>, Vec<BorrowedFd<'_>>)> = vec![
        ("no descriptor", area_message(), vec![]),
        ("two descriptors", area_message(), vec![good.as_fd(), good.as_fd()]),
        ("250 descriptors", area_message(), vec![good.as_fd(); 250]),
        ("a device", area_message(), vec![null.as_fd()]),
        ("a file", area_message(), vec![file.as_fd()]),
        ("a pipe", area_message(), vec![pipe.as_fd()]),
        ("memory that shrinks", area_message(), vec![shrinking.as_fd()]),
        ("a name of zeros", named(255), vec![good.as_fd()]),
        ("a note beyond the message", noted, vec![good.as_fd()]),
        ("half a message", area_message()[..100].to_vec(), vec![good.as_fd()]),
        ("a longer one", [area_message(), vec![0; 5000]].concat(), vec![good.as_fd()]),
        ("garbage", vec![0xa5; BYTES], vec![good.as_fd()]),
        ("nothing but a descriptor", vec![b'A'], vec![good.as_fd()]),
        ("a version of later", [b"AREAfd\0\x63".to_vec(), vec![0; BYTES - 8]].concat(), vec![good.as_fd()]),
        ("a refusal with a descriptor", b"AREAno\0\x01\x02\0\0\0\0\0\0\0".to_vec(), vec![good.as_fd()]),
        ("a refusal of later", b"AREAno\0\x09\x02\0\0\0\0\0\0\0".to_vec(), vec![]),
        ("half a refusal", b"AREAno\0\x01".to_vec(), vec![]),
        ("a refusal of an unknown kind", b"AREAno\0\x01\xee\0\0\0\0\0\0\0".to_vec(), vec![]),
    ];
    for (what, bytes, descriptors) in cases {
        let error = forged(&[(bytes, descriptors)]).err().unwrap_or_else(|| panic!("{what} was taken"));
        assert!(error.remedy().is_some() || error.facts().is_some(), "{what}: {error:#}");
    }
    // A fixed object grows no further, whatever the message says: it is taken for what the kernel
    // says.
    let came = forged(&[(huge, vec![good.as_fd()])]).unwrap();
    assert_eq!((came.size(), came.reserve()), (8192, 8192));
    let error = forged(&[]).unwrap_err();
    assert!(error.to_string().contains("ended the connection without an answer"), "{error}");
}

#[test]
fn who_dribbles_or_is_silent_is_given_up() {
    let folder = Folder::new();
    let forger = Forger::at(&folder.socket());
    std::thread::scope(|scope| {
        let taker = scope.spawn(|| {
            let begun = Instant::now();
            let error = TakeOptions::new()
                .take_while(folder.socket(), &mut || begun.elapsed() < Duration::from_millis(300))
                .unwrap_err();
            (error, begun.elapsed())
        });
        let _socket = forger.accept();
        let (error, took) = taker.join().unwrap();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(took < Duration::from_secs(3), "{took:?}");
    });
    // A packet is whole: one byte is no beginning that is waited for.
    let error = forged(&[(vec![b'A'], vec![]), (vec![b'R'], vec![])]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:#}");
}

/// The time is that of all steps: until a process listens, and until that one answers.
#[test]
fn who_is_silent_has_no_longer_than_was_said() {
    let folder = Folder::new();
    let wait = Duration::from_millis(400);
    let options = TakeOptions::new().wait(wait);
    let begun = Instant::now();
    let (error, took) = std::thread::scope(|scope| {
        let taker = scope.spawn(|| (options.take(folder.socket()).unwrap_err(), begun.elapsed()));
        std::thread::sleep(wait / 2);
        let forger = Forger::at(&folder.socket());
        let _socket = forger.accept();
        taker.join().unwrap()
    });
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let text = error.to_string();
    assert!(text.contains(&format!("process {}", std::process::id())) && text.contains("400ms"), "{text}");
    assert!(took >= wait && took < LONG, "{took:?}");
    // What is in the way is said once.
    std::fs::remove_file(folder.socket()).unwrap();
    let error = TakeOptions::new().wait(Duration::from_millis(10)).take(folder.socket()).unwrap_err();
    assert_eq!(error.to_string().matches("cannot take").count(), 1, "{error}");
    assert!(
        error.to_string().contains("it was not offered within 10ms: nothing is offered there"),
        "{error}"
    );
}

#[test]
fn a_name_too_long_for_a_socket_is_reported_with_the_limit() {
    let folder = Folder::new();
    let (_area, source) = published("long");
    let path = folder.0.join("s".repeat(120));
    let error = OfferOptions::new().open(&source, &path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:#}");
    let text = format!("{error:#}");
    assert!(text.contains("ENAMETOOLONG") && text.contains("107") && text.contains("help: "), "{text}");
    // As long as it says that it may be.
    let most = text.split("name the socket with at most ").nth(1).unwrap();
    let most: usize = most.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
    // The numbers of descriptors have as many digits the next time.
    let path = folder.0.join("s".repeat(most));
    let mut offer = OfferOptions::new().open(&source, &path).unwrap();
    assert!(taken(&mut offer, &TakeOptions::new()).1.is_ok());
}

/// The end of a connection says whether what was sent was taken.
#[test]
fn what_was_not_taken_is_reported_as_such() {
    let folder = Folder::new();
    let (_area, source) = published("ended");
    let mut offer = OfferOptions::new().open(&source, folder.socket()).unwrap();
    let mut end = |options: Option<TakeOptions>| {
        let came = match options {
            Some(options) => taken(&mut offer, &options).1.is_ok(),
            None => {
                let knocked = knock(&folder.socket());
                assert!(matches!(offer.answer(Some(LONG)).unwrap().unwrap().outcome, Outcome::Given));
                drop(knocked);
                false
            }
        };
        assert!(offer.answer_or_ended(Some(LONG), None).unwrap().is_none());
        let ended = offer.ended().unwrap();
        assert_eq!(ended.peer.process, Some(std::process::id()));
        assert_eq!(ended.taken, came, "{ended}");
        assert!(offer.ended().is_none());
        came
    };
    assert!(end(Some(TakeOptions::new())));
    let small = areas::ReceiveOptions::new().max_bytes(4096);
    assert!(!end(Some(TakeOptions::new().bounds(small))), "it refuses what it sees");
    assert!(!end(None), "it never looks");
    assert!(end(Some(TakeOptions::new())));
}

#[test]
fn a_full_line_is_waited_out() {
    let folder = Folder::new();
    let forger = Forger::at(&folder.socket());
    let mut waiting = Vec::new();
    // As many as the kernel lets wait.
    loop {
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .unwrap();
        match rustix::net::connect(&socket, &SocketAddrUnix::new(folder.socket()).unwrap()) {
            Ok(()) => waiting.push(socket),
            Err(rustix::io::Errno::AGAIN) => break,
            Err(errno) => panic!("{errno}"),
        }
    }
    let error = TakeOptions::new().take(folder.socket()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:#}");
    drop(forger);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any bytes with any of some descriptors: an area that can be read, or an error.
    #[test]
    fn any_answer_is_taken_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 1..700),
        beginning in 0..4_u8,
        kinds in prop::collection::vec(0..4_u8, 0..4),
    ) {
        let mut bytes = bytes;
        match beginning {
            0 => {}
            1 => drop(bytes.splice(0..bytes.len().min(8), *b"AREAno\0\x01")),
            _ => {
                bytes.resize(BYTES, 0);
                bytes[..8].copy_from_slice(b"AREAfd\0\x02");
            }
        }
        let fixed = SealFlags::SHRINK | SealFlags::GROW;
        let owned: Vec<OwnedFd> = kinds
            .iter()
            .map(|kind| match kind {
                0 => memory(5000, fixed),
                1 => memory(5000, SealFlags::SHRINK),
                2 => memory(5000, SealFlags::empty()),
                _ => rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap(),
            })
            .collect();
        let descriptors = owned.iter().map(AsFd::as_fd).collect();
        if let Ok(came) = forged(&[(bytes, descriptors)]) {
            let mut byte = [1];
            prop_assert!(came.read_at(4999, &mut byte).is_ok());
            prop_assert_eq!(byte, [0]);
        }
    }
}

/// What is refused goes over as a packet of its own, which any client can read.
#[test]
fn a_refusal_is_sixteen_bytes() {
    let folder = Folder::new();
    let (_area, source) = published("wire");
    let mut offer = OfferOptions::new().to(12_345).open(&source, folder.socket()).unwrap();
    let client = knock(&folder.socket());
    offer.answer(Some(LONG)).unwrap().unwrap();
    let mut bytes = [0; 100];
    let (_, len) = rustix::net::recv(&client, &mut bytes[..], RecvFlags::empty()).unwrap();
    assert_eq!(&bytes[..12], b"AREAno\0\x01\x01\0\0\0");
    assert_eq!(len, 16);
    assert_eq!(bytes[12..16], crate::user().to_le_bytes());
}
