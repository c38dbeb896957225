//! What comes to a team's transfer socket that is not an offer, or lies: nothing of it is believed,
//! nothing is left of it, and honest offers behind it come through.

use std::fs::{self, File};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use areas::ErrorKind;
use areas_testing::descriptors;
use rustix::fs::{
    CWD, MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create, openat,
};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketType, recvmsg, sendmsg_addr, socket, sockopt,
};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::support::{Agent, Folder, Held, is_root, refused, skip, test_name};

/// Where a table's header has the number of the descriptor that leads to the transfer socket, + 1.
const TRANSFER_SOCKET: u64 = 20;

/// The way to an agent's transfer socket.
pub(crate) fn transfer_socket(folder: &Folder, agent: &Agent) -> OwnedFd {
    let table = File::open(folder.link_of(agent.pid()).target()).unwrap();
    let mut number = [0; 4];
    table.read_exact_at(&mut number, TRANSFER_SOCKET).unwrap();
    let path = format!("/proc/{}/fd/{}", agent.pid(), u32::from_le_bytes(number) - 1);
    openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

pub(crate) fn send(target_socket: &OwnedFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
    let socket = socket(AddressFamily::UNIX, SocketType::DGRAM, None).unwrap();
    let to = SocketAddrUnix::new(format!("/proc/self/fd/{}", target_socket.as_raw_fd())).unwrap();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(descriptors)));
    }
    sendmsg_addr(&socket, &to, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::DONTWAIT).unwrap();
}

/// Takes the first packet away from an agent's transfer socket: an honest one, to be changed. Its
/// bytes and the area's memory.
fn intercept(agent: &Agent) -> Option<(Vec<u8>, OwnedFd)> {
    let (bytes, mut came) = intercept_all(agent)?;
    Some((bytes, came.swap_remove(0)))
}

/// The same, with the claim to the id behind the memory.
pub(crate) fn intercept_all(agent: &Agent) -> Option<(Vec<u8>, Vec<OwnedFd>)> {
    let process = pidfd_open(Pid::from_raw(agent.pid().cast_signed()).unwrap(), PidfdFlags::empty()).ok()?;
    for one in descriptors::of(agent.pid()).unwrap() {
        if !one.target.starts_with("socket:") {
            continue;
        }
        let socket = pidfd_getfd(&process, one.number, PidfdGetfdFlags::empty()).ok()?;
        if sockopt::socket_type(&socket) != Ok(SocketType::DGRAM) {
            continue;
        }
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); 256];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let parts = &mut [std::io::IoSliceMut::new(&mut bytes)];
        let got = recvmsg(&socket, parts, &mut ancillary, RecvFlags::DONTWAIT).unwrap().bytes;
        let came = ancillary.drain().filter_map(|part| match part {
            RecvAncillaryMessage::ScmRights(rights) => Some(rights.collect::<Vec<_>>()),
            _ => None,
        });
        return Some((bytes[..got].to_vec(), came.flatten().collect()));
    }
    panic!("the agent has no transfer socket");
}

/// A giver, a target, and an offer as it was on its way from the one to the other.
fn stage(test: &str, folder: &Folder, what: &str) -> Option<(Agent, Agent, Vec<u8>, OwnedFd)> {
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(folder));
    target.ask("join");
    let area = Held::parse(&giver.ask(&format!("make {what}")));
    giver.ask(&format!("transfer {} {} any", area.handle, target.pid()));
    let Some((bytes, memory)) = intercept(&target) else {
        skip(test, "needs pidfd_getfd of another process");
        return None;
    };
    Some((giver, target, bytes, memory))
}

/// An object of that size with those seals, open as stated.
fn object(size: u64, seals: SealFlags, read_only: bool) -> OwnedFd {
    let fd = memfd_create("hostile", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&fd, size).unwrap();
    fcntl_add_seals(&fd, seals).unwrap();
    if !read_only {
        return fd;
    }
    File::open(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap().into()
}

fn descriptors(agent: &mut Agent) -> usize {
    agent.ask("descriptors").parse().unwrap()
}

/// Whether the target takes this for an area.
fn is_believed(
    target: &mut Agent,
    target_socket: &OwnedFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> bool {
    let before = self::descriptors(target);
    send(target_socket, bytes, descriptors);
    let came = !target.ask("transferred").is_empty();
    if came {
        let taken = Held::parse(&target.ask("take"));
        target.ask(&format!("release {}", taken.handle));
    }
    assert_eq!(self::descriptors(target), before, "nothing stays open");
    came
}

#[test]
fn only_what_is_an_offer_is_one() {
    let folder = Folder::new();
    let Some((mut giver, mut target, good, memory)) = stage(test_name!(), &folder, "shared ring 4096 0")
    else {
        return;
    };
    let target_socket = transfer_socket(&folder, &target);
    let fd = memory.as_fd();
    let mut believed = |bytes: &[u8], descriptors: &[BorrowedFd<'_>]| {
        is_believed(&mut target, &target_socket, bytes, descriptors)
    };
    // Sent on as it was, it is one: what follows differs in one thing each.
    assert!(believed(&good, &[fd]));
    assert!(!believed(&good, &[]), "no descriptor");
    assert!(!believed(&good, &[fd, fd]), "its memory twice");
    assert!(!believed(&good, &[fd, fd, fd]), "three");
    let many = vec![fd; 64];
    assert!(!believed(&good, &many), "more than there is room for");
    assert!(!believed(&good[..good.len() - 1], &[fd]), "too short");
    assert!(!believed(&[&good[..], &[0]].concat(), &[fd]), "too long");
    assert!(!believed(b"", &[fd]), "nothing");
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    assert!(!believed(&changed(0, b'X'), &[fd]), "another word");
    assert!(!believed(&changed(8, 1), &[fd]), "another version");
    assert!(!believed(&changed(27, 0x80), &[fd]), "no id");
    assert!(!believed(&changed(12, 77), &[fd]), "an address of an unknown form");
    // Behind the head of 32 bytes, a record as in a table: its object, its pages, its extent, its
    // protection.
    const RECORD: usize = 32;
    for (at, byte, what) in [
        (40, good[RECORD + 40] ^ 1, "another object"),
        (32, good[RECORD + 32] ^ 1, "another device"),
        (85, 21, "huge pages"),
        (85, 0, "no pages"),
        (81, 9, "an unknown extent"),
        (84, 9, "an unknown lock"),
        (80, 0xff, "an unknown protection"),
    ] {
        assert!(!believed(&changed(RECORD + at, byte), &[fd]), "{what}");
    }
    let mut bytes = good.clone();
    bytes[RECORD + 8..RECORD + 12].fill(0);
    assert!(!believed(&bytes, &[fd]), "an id that is none");
    // An honest one behind all that comes through.
    let area = Held::parse(&giver.ask("make shared honest 4096 0"));
    send(&target_socket, b"nonsense", &[fd]);
    giver.ask(&format!("transfer {} {} any", area.handle, target.pid()));
    assert!(target.ask("transferred").ends_with("honest"));
    assert!(target.find("honest").is_ok());
}

#[test]
fn the_kernel_is_asked_what_the_descriptor_is() {
    let folder = Folder::new();
    let Some((_giver, mut target, good, _memory)) = stage(test_name!(), &folder, "shared ring 4096 0") else {
        return;
    };
    let target_socket = transfer_socket(&folder, &target);
    // The message says what is true of the object's identity, so that the rest is what it fails by.
    let mut believed = |fd: OwnedFd| {
        use std::os::unix::fs::MetadataExt;
        let metadata = File::from(fd.try_clone().unwrap()).metadata().unwrap();
        let mut bytes = good.clone();
        bytes[32 + 32..32 + 40].copy_from_slice(&metadata.dev().to_le_bytes());
        bytes[32 + 40..32 + 48].copy_from_slice(&metadata.ino().to_le_bytes());
        is_believed(&mut target, &target_socket, &bytes, &[fd.as_fd()])
    };
    let fixed = SealFlags::SHRINK | SealFlags::GROW;
    assert!(believed(object(4096, fixed, false)));
    assert!(!believed(object(4096, SealFlags::empty(), false)), "it could shrink under its holders");
    assert!(!believed(object(4096, SealFlags::GROW, false)), "so could this");
    assert!(!believed(object(4096, fixed, true)), "said to be written, and open for reading only");
    assert!(!believed(File::open("/dev/zero").unwrap().into()));
    assert!(!believed(File::open("/").unwrap().into()));
    assert!(!believed(std::os::unix::net::UnixStream::pair().unwrap().0.into()));
    let path = folder.join("file");
    fs::write(&path, vec![0; 4096]).unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    let before = descriptors(&mut target);
    send(&target_socket, &good, &[file.as_fd()]);
    assert_eq!(target.ask("transferred"), "", "a file of a disk has no seals");
    assert_eq!(descriptors(&mut target), before + 1, "and is not closed");
    assert_eq!(target.list().names(), [""; 0]);
}

/// To close a file that a process sent would drop the program's own record locks on it.
#[test]
fn a_file_that_came_unasked_is_not_closed() {
    const KEPT: usize = 8;
    let folder = Folder::new();
    let Some((mut giver, mut target, good, memory)) = stage(test_name!(), &folder, "shared ring 4096 0")
    else {
        return;
    };
    let target_socket = transfer_socket(&folder, &target);
    let path = folder.join("database");
    target.ask(&format!("lock-file {}", path.display()));
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let is_locked = format!("is-locked {}", path.display());
    let before = descriptors(&mut target);
    for _ in 0..KEPT {
        send(&target_socket, &good, &[file.as_fd()]);
        assert_eq!(target.ask("transferred"), "");
        assert_eq!(giver.ask(&is_locked), "true");
    }
    assert_eq!(descriptors(&mut target), before + KEPT);
    // From now on nothing is looked at: what comes stays in line, and that is said.
    send(&target_socket, &good, &[memory.as_fd()]);
    for _ in 0..3 {
        let text = refused(target.try_ask("transferred"), ErrorKind::Limit);
        assert!(text.contains("descriptors of other files"), "{text}");
        assert_eq!(descriptors(&mut target), before + KEPT);
    }
    assert_eq!(target.ask("refuse"), "true");
    assert_eq!(target.ask("transferred"), "");
    assert_eq!(giver.ask(&is_locked), "true");
    // All else goes on.
    target.publish("own");
    assert!(giver.clone_of("own").is_ok());
}

#[test]
fn another_user_who_has_the_door_is_not_listened_to() {
    if !is_root(test_name!()) {
        return;
    }
    let folder = Folder::of_user(65534);
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start_as(&folder, 65534, None));
    target.ask("join");
    let area = Held::parse(&giver.ask("make shared ring 4096 0"));
    giver.ask(&format!("transfer {} {} any", area.handle, target.pid()));
    let Some((good, memory)) = intercept(&target) else {
        skip(test_name!(), "needs pidfd_getfd of another process");
        return;
    };
    let target_socket = transfer_socket(&folder, &target);
    // Root may; a user who got hold of the transfer socket may not.
    assert!(is_believed(&mut target, &target_socket, &good, &[memory.as_fd()]));
    let others = |user: u32| {
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let id = rustix::fs::Uid::from_raw(user);
                // For this thread alone; what the file's mode forbids, a capability that it keeps
                // allows.
                rustix::thread::set_thread_res_uid(id, rustix::fs::Uid::ROOT, id).unwrap();
                send(&target_socket, &good, &[memory.as_fd()]);
            });
            sending.join().unwrap();
        });
    };
    others(65533);
    assert_eq!(target.ask("transferred"), "", "a stranger's word");
    others(65534);
    assert!(target.ask("transferred").ends_with("ring"), "the same user's");
}

#[test]
fn a_door_whose_number_leads_elsewhere_is_given_nothing() {
    let folder = Folder::new();
    let path = folder.join("socket");
    let elsewhere = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    for leads_to in ["/dev/null", path.to_str().unwrap()] {
        let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(&folder));
        target.ask("join");
        let table = File::open(folder.link_of(target.pid()).target()).unwrap();
        let mut number = [0; 4];
        table.read_exact_at(&mut number, TRANSFER_SOCKET).unwrap();
        target.ask(&format!("replace-descriptor {} {leads_to}", u32::from_le_bytes(number) - 1));
        let area = Held::parse(&giver.ask("make shared ring 4096 0"));
        let transfer = format!("transfer {} {} any", area.handle, target.pid());
        let said = refused(giver.try_ask(&transfer), ErrorKind::NoSuchTeam);
        assert!(said.contains("closed its socket for transfers"), "{said}");
        assert_eq!(giver.find("ring").unwrap().id, area.id.unwrap());
        assert_eq!(target.list().names(), ["ring"]);
    }
    assert!(elsewhere.recv(&mut [0; 8]).is_err(), "nothing came there");
}

/// No process's areas fill up a program that never takes them: what is too much waits with the
/// kernel, and nothing is lost.
#[test]
fn a_flood_leaves_descriptors_to_the_program() {
    const FILES: usize = 256;
    const MAX: usize = FILES / 8;
    let folder = Folder::new();
    let [mut giver, mut target] = std::array::from_fn(|_| Agent::start(&folder));
    target.ask("join");
    target.ask(&format!("limit files {FILES}"));
    // It knows the giver, and has opened all that this takes.
    giver.ask("make shared known 4096 0");
    target.find("known").unwrap();
    refused(target.find("absent"), ErrorKind::NoSuchArea);
    let before = descriptors(&mut target);
    let (mut given, mut refusals) = (0, 0);
    while refusals < 3 {
        let area = Held::parse(&giver.ask("make shared gift 4096 0"));
        match giver.try_ask(&format!("transfer {} {} any", area.handle, target.pid())) {
            Ok(_) => given += 1,
            said => {
                refused(said, ErrorKind::Busy);
                giver.ask(&format!("release {}", area.handle));
                refusals += 1;
            }
        }
        // It looks, and takes nothing.
        refused(target.find("absent"), ErrorKind::NoSuchArea);
        assert!(given <= 4 * MAX + 1000, "there is an end to it");
    }
    assert_eq!(target.ask("transferred").split('\u{1e}').count(), MAX);
    assert_eq!(descriptors(&mut target), before + MAX);
    assert!(given > MAX, "the kernel has the rest");
    // What is taken makes room, and all that was given comes.
    for left in (0..given).rev() {
        let taken = Held::parse(&target.ask("take"));
        assert_eq!(target.ask(&format!("text {} 0 4", taken.handle)), "gift");
        target.ask(&format!("release {}", taken.handle));
        let untaken = target.ask("transferred");
        let untaken = untaken.split('\u{1e}').filter(|line| !line.is_empty()).count();
        assert_eq!(untaken, left.min(MAX));
    }
}

/// What the giver says of page frames is a claim; and its bounds are those of a receiver who sets
/// none.
#[test]
fn a_lock_is_measured_and_bounded() {
    const PAGES: u64 = 64;
    let name = test_name!();
    if !is_root(name) {
        return;
    }
    let folder = Folder::new();
    let what = format!("shared ring {} 0", PAGES * 4096);
    let Some((_giver, mut target, good, memory)) = stage(name, &folder, &what) else { return };
    let target_socket = transfer_socket(&folder, &target);
    // In an order that no allocator makes contiguous memory of.
    for index in (0..PAGES).rev().step_by(2).chain(0..PAGES) {
        rustix::io::pwrite(&memory, b"x", index * 4096).unwrap();
    }
    let mut claim = |limit: &str, lock: u8, kind, says: &str| {
        target.ask(&format!("limit locked {limit}"));
        let mut bytes = good.clone();
        bytes[32 + 84] = lock;
        send(&target_socket, &bytes, &[memory.as_fd()]);
        let said = refused(target.try_ask("transferred"), kind);
        assert!(said.contains(says), "{said}");
        assert_eq!(target.ask("refuse"), "true");
        assert_eq!(target.ask("transferred"), "");
    };
    for lock in [3, 6] {
        claim("none", lock, ErrorKind::InvalidInput, "contiguous");
    }
    claim("65536", 2, ErrorKind::Limit, "at most 64 KiB are locked at a sender's request");
}
