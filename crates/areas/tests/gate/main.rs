//! Areas that are offered at a socket and taken there: the same memory, for those it is offered to,
//! whatever a peer does.

mod ends;
mod hostile;
mod places;
mod rights;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use areas::gate::{self, Answer, Offer, OfferOptions, Outcome, TakeOptions};
use areas::registry::Source;
use areas::{AnyArea, Area, Shared, registry};
use areas_testing::{Process, descriptors};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Nothing here takes so long.
const LONG: Duration = Duration::from_secs(10);

/// A folder that goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("areas-gate-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }

    /// The names in it.
    fn names(&self) -> Vec<String> {
        let name =
            |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        std::fs::read_dir(&self.0).unwrap().map(name).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A name that no other test has.
fn name(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("gate {what} {} {}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A published area, and how it is found.
fn published(what: &str) -> (Area<Shared>, Source) {
    let name = name(what);
    let area = areas::builder(10_000).name(&name).note(b"a note").shared().unwrap();
    area.write_at(0, b"from the maker").unwrap();
    (area, registry::find(&name).unwrap())
}

/// Takes what an offer has, in a thread of its own, and returns the outcome on both sides.
fn taken(offer: &mut Offer, options: &TakeOptions) -> (Answer, areas::Result<AnyArea>) {
    let path = offer.path().unwrap().to_owned();
    std::thread::scope(|scope| {
        let taker = scope.spawn(|| options.take(&path));
        let answer = offer.answer(Some(LONG)).unwrap().expect("a process came");
        (answer, taker.join().unwrap())
    })
}

/// Connects, and neither says nor reads anything.
fn knock(path: &Path) -> OwnedFd {
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .unwrap();
    rustix::net::connect(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    socket
}

fn open_descriptors() -> usize {
    descriptors::count(Process::Own).unwrap()
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[test]
fn the_same_memory_with_name_and_note() {
    let folder = Folder::new();
    let (area, source) = published("same");
    let mut offer = OfferOptions::new().open(&source, folder.socket()).unwrap();
    let (answer, came) = taken(&mut offer, &TakeOptions::new());
    assert!(matches!(answer.outcome, Outcome::Given), "{answer}");
    assert_eq!((answer.peer.user, answer.peer.process), (Some(user()), Some(std::process::id())));
    let came = came.unwrap().into_shared().unwrap();
    assert_eq!(came.size(), 10_000);
    assert_eq!(came.name(), area.name());
    assert_eq!(came.note().as_bytes(), b"a note");
    assert_eq!(came.id(), None, "no process publishes it until asked to");
    came.write_at(5, b"the taker").unwrap();
    let mut bytes = [0; 14];
    area.read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"from the taker");
    // One memory: the kernel's word.
    let inode = |area: &Area<Shared>| rustix::fs::fstat(area.object()).unwrap().st_ino;
    assert_eq!(inode(&area), inode(&came));
}

#[test]
fn a_growable_one_grows_for_all() {
    let folder = Folder::new();
    let name = name("growable");
    let area = areas::builder(4096).growable(1 << 20).name(&name).shared().unwrap();
    let source = registry::find(&name).unwrap();
    let mut offer = OfferOptions::new().open(&source, folder.socket()).unwrap();
    let came = taken(&mut offer, &TakeOptions::new()).1.unwrap().into_shared().unwrap();
    came.grow(1 << 19).unwrap();
    assert_eq!((area.size(), came.size()), (1 << 19, 1 << 19));
}

#[test]
fn what_cannot_be_given_is_reported_before_a_socket_is_there() {
    let folder = Folder::new();
    let name = name("resizable");
    let _area = areas::builder(4096).name(&name).resizable(1 << 20).unwrap();
    let source = registry::find(&name).unwrap();
    let error = OfferOptions::new().open(&source, folder.socket()).unwrap_err();
    assert_eq!(error.kind(), areas::ErrorKind::Unsupported);
    assert!(folder.names().is_empty());
    // Frozen, its size stays.
    let _frozen = _area.freeze().map_err(|rejected| rejected.error).unwrap();
    let mut offer = OfferOptions::new().open(&registry::find(&name).unwrap(), folder.socket()).unwrap();
    let (answer, came) = taken(&mut offer, &TakeOptions::new());
    assert!(came.unwrap().is_frozen(), "{answer}");
}

#[test]
fn bounds_are_the_takers() {
    let folder = Folder::new();
    let (_area, source) = published("bounds");
    let mut offer = OfferOptions::new().open(&source, folder.socket()).unwrap();
    let small = TakeOptions::new().bounds(areas::ReceiveOptions::new().max_bytes(4096));
    let (answer, came) = taken(&mut offer, &small);
    assert!(matches!(answer.outcome, Outcome::Given));
    assert_eq!(came.unwrap_err().kind(), areas::ErrorKind::Limit);
    assert!(taken(&mut offer, &TakeOptions::new()).1.is_ok());
}

#[test]
fn who_waits_is_given_it_once_it_is_offered() {
    let folder = Folder::new();
    let (_area, source) = published("waiting");
    let path = folder.0.join("later").join("socket");
    std::thread::scope(|scope| {
        let taker = scope.spawn(|| TakeOptions::new().wait(LONG).take(&path));
        std::thread::sleep(Duration::from_millis(100));
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        let mut offer = OfferOptions::new().open(&source, &path).unwrap();
        assert!(matches!(offer.answer(Some(LONG)).unwrap().unwrap().outcome, Outcome::Given));
        taker.join().unwrap().unwrap();
    });
    let begun = std::time::Instant::now();
    let error = TakeOptions::new().wait(Duration::from_millis(120)).take(&path).unwrap_err();
    assert_eq!(error.kind(), areas::ErrorKind::TimedOut);
    assert!(begun.elapsed() >= Duration::from_millis(120));
    assert_eq!(gate::take(&path).unwrap_err().kind(), areas::ErrorKind::NoSuchArea);
}
