//! Descriptors of every kind, sent as an area: what is none is an error, no crash and no wait, and
//! nothing stays open.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;

use areas::{ErrorKind, Protection, ReceiveOptions, Received};
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};

use super::support::child::{Stage, test};
use super::support::folder::Folder;
use super::{FIXED, forge, growable_message, memfd, open_descriptors, pair, plain_message, shared};

fn opened(path: &str, flags: OFlags) -> OwnedFd {
    rustix::fs::open(path, flags, Mode::empty()).unwrap()
}

#[test]
fn what_is_no_area_is_refused_and_closed() {
    let answer = test!("what_is_no_area_is_refused_and_closed").alone(Stage::default(), || {
        let folder = Folder::new();
        let (pipe, to_pipe) = std::io::pipe().unwrap();
        let listening = UnixListener::bind(folder.join("socket")).unwrap();
        let fifo = folder.join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, Mode::from_raw_mode(0o600)).unwrap();
        let in_shm = format!("/dev/shm/areas-kinds-{}", std::process::id());
        std::fs::write(&in_shm, [1; 4096]).unwrap();
        let in_shm_open = File::options().read(true).write(true).open(&in_shm).unwrap();
        std::fs::remove_file(&in_shm).unwrap();
        let good = areas::builder(4096).shared().unwrap();
        let by_path = opened(&format!("/proc/self/fd/{}", number(good.as_fd())), OFlags::PATH);
        let unsealed = memfd(4096, MemfdFlags::empty(), SealFlags::empty());
        let unsealable = rustix::fs::memfd_create("cannot be sealed", MemfdFlags::empty()).unwrap();
        rustix::fs::ftruncate(&unsealable, 4096).unwrap();
        let only_grow = memfd(4096, MemfdFlags::empty(), SealFlags::GROW);
        let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::empty()).unwrap();
        let (stream, _other) = pair();
        let cases: Vec<(&str, Vec<u8>, Vec<BorrowedFd<'_>>)> = vec![
            ("no descriptor", plain_message(), vec![]),
            ("two descriptors", plain_message(), vec![good.as_fd(), good.as_fd()]),
            ("as many as can be sent", plain_message(), vec![good.as_fd(); 253]),
            ("a lock that there is not", locked(99), vec![good.as_fd()]),
            ("a name with a NUL", named(b"a\0b"), vec![good.as_fd()]),
            ("a file", plain_message(), vec![in_shm_open.as_fd()]),
        ];
        let others: Vec<(&str, OwnedFd)> = vec![
            ("a program", opened("/proc/self/exe", OFlags::RDONLY)),
            ("a directory", opened("/", OFlags::RDONLY)),
            ("a file of /proc", opened("/proc/self/maps", OFlags::RDONLY)),
            ("/dev/null", opened("/dev/null", OFlags::RDWR)),
            ("/dev/zero", opened("/dev/zero", OFlags::RDWR)),
            ("a terminal", opened("/dev/ptmx", OFlags::RDWR | OFlags::NOCTTY)),
            ("a FIFO", opened(fifo.to_str().unwrap(), OFlags::RDWR)),
            ("a pipe's end for reading", pipe.into()),
            ("a pipe's end for writing", to_pipe.into()),
            ("a socket that listens", listening.into()),
            ("a socket", stream.into()),
            ("an event", event),
            ("the name of an area's memory, open for nothing (O_PATH)", by_path),
            ("memory that may shrink under us", unsealed),
            ("memory that cannot be sealed", unsealable),
            ("memory that may shrink but not grow", only_grow),
        ];
        let others = others.iter().map(|(what, fd)| (*what, plain_message(), vec![fd.as_fd()]));
        for (what, bytes, descriptors) in cases.into_iter().chain(others) {
            let (ours, theirs) = pair();
            forge(&ours, &bytes, &descriptors);
            good.send(&ours).unwrap();
            let before = open_descriptors();
            let error = areas::receive(&theirs).expect_err(what);
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{what}: {error}");
            assert_eq!(open_descriptors(), before, "{what}");
            // It was dropped, and what came behind it is next.
            assert_eq!(shared(areas::receive(&theirs).expect(what)).size(), 4096, "{what}");
        }
        "done".to_owned()
    });
    assert_eq!(answer, "done");
}

fn number(fd: BorrowedFd<'_>) -> i32 {
    use std::os::fd::AsRawFd;
    fd.as_raw_fd()
}

fn locked(lock: u8) -> Vec<u8> {
    super::locked_message(lock)
}

fn named(name: &[u8]) -> Vec<u8> {
    let mut bytes = plain_message();
    bytes[25] = u8::try_from(name.len()).unwrap();
    bytes[32..32 + name.len()].copy_from_slice(name);
    bytes
}

/// What is well formed is taken, and what is said of it beyond the truth does no harm.
#[test]
fn memory_of_others_is_taken_for_what_it_is() {
    let base = rustix::param::page_size();
    let cases: [(&str, SealFlags, Vec<u8>, usize); 5] = [
        ("fixed", FIXED, plain_message(), base),
        ("fixed, and said to grow", FIXED, growable_message(u64::MAX), base),
        ("growable", SealFlags::SHRINK, growable_message(1 << 20), 1 << 20),
        ("growable, by an odd number", SealFlags::SHRINK, growable_message((1 << 20) + 1), base),
        ("growable, by less than it has", SealFlags::SHRINK, growable_message(1), base),
    ];
    for (what, seals, bytes, reserve) in cases {
        let fd = memfd(4096, MemfdFlags::empty(), seals);
        let (ours, theirs) = pair();
        forge(&ours, &bytes, &[fd.as_fd()]);
        let area = shared(areas::receive(&theirs).expect(what));
        assert_eq!((area.size(), area.reserve()), (4096, reserve), "{what}");
        let mut read = vec![1; 4096];
        area.read_at(0, &mut read).unwrap();
        assert!(read.iter().all(|&byte| byte == 0), "{what}");
    }
    let (ours, theirs) = pair();
    let mut lies = growable_message(u64::MAX);
    lies[16..24].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    let empty = memfd(0, MemfdFlags::empty(), FIXED);
    forge(&ours, &lies, &[empty.as_fd()]);
    assert_eq!(shared(areas::receive(&theirs).unwrap()).size(), 0);
    let frozen = memfd(100, MemfdFlags::empty(), FIXED | SealFlags::WRITE);
    forge(&ours, &lies, &[frozen.as_fd()]);
    assert!(matches!(areas::receive(&theirs), Ok(Received::Frozen(area)) if area[..] == [0; 100]));
}

/// Sealed against writers to come, it can be read, and its maker still writes it.
#[test]
fn what_refuses_writers_comes_for_reading() {
    let (ours, theirs) = pair();
    for seal in [SealFlags::FUTURE_WRITE, SealFlags::WRITE] {
        let fd = memfd(4096, MemfdFlags::empty(), SealFlags::SHRINK);
        rustix::fs::fcntl_add_seals(&fd, seal).unwrap();
        forge(&ours, &growable_message(8192), &[fd.as_fd()]);
        let area = shared(areas::receive(&theirs).unwrap());
        assert_eq!((area.protection(), area.size()), (Protection::READ, 4096));
        assert_eq!(area.write_at(0, b"x").unwrap_err().kind(), ErrorKind::ReadOnly);
    }
}

/// What is not a message of ours is the program's own, and stays where it is, with what came along.
#[test]
fn what_is_no_message_of_ours_stays() {
    use std::io::Read;
    let (ours, mut theirs) = pair();
    forge(&ours, b"GET / HTTP/1.1\r\n", &[]);
    let error = areas::receive(&theirs).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert_eq!(ReceiveOptions::new().discard(&theirs).unwrap_err().kind(), ErrorKind::InvalidInput);
    let mut bytes = [0; 16];
    theirs.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"GET / HTTP/1.1\r\n");
}
