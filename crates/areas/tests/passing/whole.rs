//! A message is taken whole or not at all: without descriptors, by a timeout, by a peer that sends
//! a part and stops.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use areas::{Errno, ErrorKind, ReceiveOptions};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::support::child::{Stage, test};
use super::{BYTES, forge, pair, plain_message, shared};

const SHORT: Duration = Duration::from_millis(50);

fn packets() -> (OwnedFd, OwnedFd) {
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
}

fn would_block(error: &areas::Error) -> bool {
    (error.kind(), error.errno()) == (ErrorKind::Io, Some(Errno::from_raw(libc::EAGAIN)))
}

/// Whatever carries it, the area waits until there is a descriptor for it.
fn waits_for_a_descriptor(ours: impl AsFd, theirs: impl AsFd) {
    let area = areas::builder(4096).name("precious").shared().unwrap();
    area.write_at(0, b"the only copy").unwrap();
    area.send(&ours).unwrap();
    drop(area);
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    for _ in 0..3 {
        let error = areas::receive(&theirs).unwrap_err();
        assert_eq!(
            (error.kind(), error.errno()),
            (ErrorKind::Limit, Some(Errno::from_raw(libc::EMFILE))),
            "{error}"
        );
        assert!(error.to_string().contains("RLIMIT_NOFILE is 64"), "{error}");
        assert!(error.remedy().unwrap().contains("ulimit -n"), "{error:#}");
    }
    drop(taken);
    let area = shared(areas::receive(&theirs).unwrap());
    let mut bytes = [0; 13];
    area.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"the only copy");
    assert!(would_block(&areas::receive(&theirs).unwrap_err()), "there was but one");
}

#[test]
fn without_descriptors_nothing_is_lost() {
    let answer = test!("without_descriptors_nothing_is_lost").alone(Stage::default(), || {
        setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: Some(64) }).unwrap();
        let (ours, theirs) = pair();
        theirs.set_nonblocking(true).unwrap();
        waits_for_a_descriptor(&ours, &theirs);
        let (ours, theirs) = packets();
        rustix::io::ioctl_fionbio(&theirs, true).unwrap();
        waits_for_a_descriptor(&ours, &theirs);
        // What can never be had can be dropped all the same.
        let area = areas::builder(4096).shared().unwrap();
        area.send(&ours).unwrap();
        let mut taken = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            taken.push(file);
        }
        assert_eq!(areas::receive(&theirs).unwrap_err().kind(), ErrorKind::Limit);
        assert!(ReceiveOptions::new().discard(&theirs).unwrap());
        assert!(!ReceiveOptions::new().discard(&theirs).unwrap());
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}

#[test]
fn a_timeout_in_mid_message_moves_nothing() {
    let (ours, theirs) = pair();
    let area = areas::builder(4096).shared().unwrap();
    area.write_at(0, b"hello").unwrap();
    let message = plain_message();
    for split in [1, 7, 8, 100, BYTES - 1] {
        forge(&ours, &message[..split], &[area.as_fd()]);
        // By the socket's own time, by that of the call, and without waiting.
        theirs.set_read_timeout(Some(SHORT)).unwrap();
        let error = areas::receive(&theirs).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        assert!(error.to_string().contains(&format!("{split} of {BYTES} bytes")), "{error}");
        theirs.set_read_timeout(None).unwrap();
        let begun = Instant::now();
        let error = ReceiveOptions::new().timeout(SHORT).receive(&theirs).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        assert!(begun.elapsed() >= SHORT);
        theirs.set_nonblocking(true).unwrap();
        assert!(would_block(&areas::receive(&theirs).unwrap_err()));
        theirs.set_nonblocking(false).unwrap();
        assert!(!ReceiveOptions::new().discard(&theirs).unwrap(), "it is not all there");
        // The rest comes, and another area, and bytes of the program's own.
        forge(&ours, &message[split..], &[]);
        area.send(&ours).unwrap();
        (&ours).write_all(b"and so on").unwrap();
        for _ in 0..2 {
            let mut bytes = [0; 5];
            shared(areas::receive(&theirs).unwrap()).read_at(0, &mut bytes).unwrap();
            assert_eq!(&bytes, b"hello", "{split}");
        }
        let mut bytes = [0; 9];
        (&theirs).read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"and so on");
    }
}

#[test]
fn a_silent_peer_can_be_given_up_on() {
    let (stream, packet) = (pair().0, packets().0);
    for socket in [stream.as_fd(), packet.as_fd()] {
        // Its other side is gone.
        assert_eq!(areas::receive(socket).unwrap_err().kind(), ErrorKind::Io);
    }
    let (stream, packets) = (pair(), packets());
    for socket in [stream.1.as_fd(), packets.1.as_fd()] {
        let error = ReceiveOptions::new().timeout(SHORT).receive(socket).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        let error = ReceiveOptions::new().timeout(Duration::ZERO).receive(socket).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    }
    let area = areas::builder(4096).shared().unwrap();
    area.send(&stream.0).unwrap();
    area.send(&packets.0).unwrap();
    for socket in [stream.1.as_fd(), packets.1.as_fd()] {
        assert!(ReceiveOptions::new().timeout(Duration::ZERO).receive(socket).is_ok(), "it is there");
    }
}

#[test]
fn what_comes_later_is_waited_for() {
    let (ours, theirs) = pair();
    let sender = std::thread::spawn(move || {
        let area = areas::builder(4096).shared().unwrap();
        std::thread::sleep(SHORT);
        let message = plain_message();
        forge(&ours, &message[..1], &[area.as_fd()]);
        std::thread::sleep(SHORT);
        forge(&ours, &message[1..], &[]);
        ours
    });
    assert_eq!(shared(areas::receive(&theirs).unwrap()).size(), 4096);
    drop(sender.join());
    let error = areas::receive(&theirs).unwrap_err();
    assert!(error.to_string().contains("closed after 0 of"), "{error}");
}

#[test]
fn who_closes_in_mid_message_is_not_waited_for() {
    let (ours, theirs) = pair();
    let area = areas::builder(4096).shared().unwrap();
    forge(&ours, &plain_message()[..20], &[area.as_fd()]);
    drop(ours);
    let error = areas::receive(&theirs).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("closed after 20 of"), "{error}");
}

/// Packets that are shorter or longer than a message of ours are none.
#[test]
fn packets_of_another_length_stay() {
    let (ours, theirs) = packets();
    let area = areas::builder(4096).shared().unwrap();
    for len in [8, BYTES - 1, BYTES + 1] {
        let mut message = plain_message();
        message.resize(len, 0);
        forge(&ours, &message, &[area.as_fd()]);
        assert_eq!(areas::receive(&theirs).unwrap_err().kind(), ErrorKind::InvalidInput, "{len}");
        let mut bytes = [0; 2 * BYTES];
        assert_eq!(rustix::io::read(&theirs, &mut bytes).unwrap(), len, "it is still there");
    }
}

/// Several threads on one socket get each area once, and none is lost.
#[test]
fn threads_share_a_socket() {
    const AREAS: usize = 400;
    const THREADS: usize = 4;
    let (ours, theirs) = pair();
    let got: Vec<usize> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mut got = Vec::new();
                    while let Ok(area) = areas::receive(&theirs) {
                        got.push(shared(area).size());
                    }
                    got
                })
            })
            .collect();
        for size in 1..=AREAS {
            areas::builder(size).shared().unwrap().send(&ours).unwrap();
        }
        drop(ours);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut sorted = got;
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=AREAS).collect::<Vec<_>>());
}

/// A sender that does not wait sends all or nothing.
#[test]
fn a_full_socket_takes_all_or_nothing() {
    let (ours, theirs) = pair();
    let area = areas::builder(4096).shared().unwrap();
    ours.set_nonblocking(true).unwrap();
    let full = |ours: &UnixStream| {
        let mut sent = 0;
        loop {
            match area.send(ours) {
                Ok(()) => sent += 1,
                Err(error) => {
                    assert!(would_block(&error), "{error}");
                    assert!(error.remedy().unwrap().contains("nothing was sent"), "{error:#}");
                    return sent;
                }
            }
        }
    };
    let sent = full(&ours);
    assert!(sent > 1);
    ours.set_nonblocking(false).unwrap();
    ours.set_write_timeout(Some(SHORT)).unwrap();
    assert_eq!(full(&ours), 0);
    drop(ours);
    for _ in 0..sent {
        assert_eq!(shared(areas::receive(&theirs).unwrap()).size(), 4096);
    }
    let error = areas::receive(&theirs).unwrap_err();
    assert!(error.to_string().contains("closed after 0 of"), "{error}");
}
