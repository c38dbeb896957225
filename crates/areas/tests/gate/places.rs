//! The socket: where it may be, who may connect to it, what it replaces and what it leaves.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};

use areas::ErrorKind;
use areas::gate::{self, OfferOptions, Reach, TakeOptions};

use crate::{Folder, knock, published, taken, user};

#[test]
fn it_is_this_users_alone_and_goes_with_the_offer() {
    let folder = Folder::new();
    let (_area, source) = published("mode");
    let offer = OfferOptions::new().open(&source, folder.socket()).unwrap();
    let socket = std::fs::symlink_metadata(folder.socket()).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!((socket.mode() & 0o7777, offer.reach()), (0o600, Reach::Owner));
    drop(offer);
    assert!(folder.names().is_empty());
}

#[test]
fn others_who_are_named_and_no_other_user_may_connect() {
    let folder = Folder::new();
    let (_area, source) = published("list");
    let offer = OfferOptions::new().to(12_345).to(54_321).open(&source, folder.socket()).unwrap();
    let mode = std::fs::symlink_metadata(folder.socket()).unwrap().mode() & 0o7777;
    match offer.reach() {
        // The bits of the group show the list's mask.
        Reach::Named => {
            assert_eq!(mode, 0o620);
            let mut list = [0; 256];
            let name = "system.posix_acl_access";
            let len = rustix::fs::getxattr(folder.socket(), name, &mut list[..]).unwrap();
            let users: Vec<u32> = list[4..len]
                .chunks_exact(8)
                .filter(|entry| entry[0] == 2)
                .map(|entry| u32::from_le_bytes(entry[4..].try_into().unwrap()))
                .collect();
            assert_eq!(users, [12_345, 54_321]);
        }
        other => assert_eq!((other, mode), (Reach::AnyUser, 0o622), "a file system without access lists"),
    }
    drop(offer);
    let offer = OfferOptions::new().to_any_user().open(&source, folder.socket()).unwrap();
    let mode = std::fs::symlink_metadata(folder.socket()).unwrap().mode() & 0o7777;
    assert_eq!((mode, offer.reach()), (0o622, Reach::AnyUser));
}

#[test]
fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
    let folder = Folder::new();
    let (_area, source) = published("dead");
    // As a killed process leaves it: bound, and no process has it.
    for listened in [false, true] {
        let socket =
            rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::SEQPACKET, None)
                .unwrap();
        rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new(folder.socket()).unwrap()).unwrap();
        if listened {
            rustix::net::listen(&socket, 1).unwrap();
        }
        // While it lives it is left alone, whether or not it listens yet.
        let error = OfferOptions::new().open(&source, folder.socket()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error:#}");
        drop(socket);
        assert!(folder.socket().exists());
        assert_eq!(gate::take(folder.socket()).unwrap_err().kind(), ErrorKind::NoSuchArea);
        let mut offer = OfferOptions::new().open(&source, folder.socket()).unwrap();
        assert!(taken(&mut offer, &TakeOptions::new()).1.is_ok());
        let error = OfferOptions::new().open(&source, folder.socket()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error:#}");
        // To ask has disturbed no process.
        assert!(offer.answer(Some(std::time::Duration::ZERO)).unwrap().is_none());
        assert!(taken(&mut offer, &TakeOptions::new()).1.is_ok());
    }
    assert!(folder.names().is_empty());
}

#[test]
fn other_kinds_of_sockets_and_files_stay() {
    let folder = Folder::new();
    let (_area, source) = published("others");
    let refused = |kind: ErrorKind| {
        let error = OfferOptions::new().open(&source, folder.socket()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error:#}");
        assert_eq!(folder.names(), ["socket"]);
        let error = gate::take(folder.socket()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:#}");
        std::fs::remove_file(folder.socket()).unwrap();
    };
    let stream = UnixListener::bind(folder.socket()).unwrap();
    refused(ErrorKind::Busy);
    drop(stream);
    let packets = UnixDatagram::bind(folder.socket()).unwrap();
    refused(ErrorKind::Busy);
    drop(packets);
    std::fs::write(folder.socket(), "a file").unwrap();
    refused(ErrorKind::Io);
    // A link is not followed, wherever it leads: to a live socket of ours.
    let (_other, other) = published("behind a link");
    let elsewhere = Folder::new();
    let offer = OfferOptions::new().open(&other, elsewhere.socket()).unwrap();
    symlink(elsewhere.socket(), folder.socket()).unwrap();
    refused(ErrorKind::Io);
    drop(offer);
}

#[test]
fn the_way_goes_through_no_other_users_link() {
    if user() != 0 {
        return crate::rights::skipped(
            "places::the_way_goes_through_no_other_users_link",
            "only root can make another user's link",
        );
    }
    let (shared, target) = (Folder::new(), Folder::new());
    let (_area, source) = published("links");
    symlink(&target.0, shared.0.join("link")).unwrap();
    let path = shared.0.join("link").join("socket");
    let offer = OfferOptions::new().open(&source, &path).unwrap();
    assert_eq!(target.names(), ["socket"]);
    // The same link as another user's.
    std::os::unix::fs::lchown(shared.0.join("link"), Some(12_345), Some(12_345)).unwrap();
    let error = gate::take(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotPermitted, "{error:#}");
    drop(offer);
    let error = OfferOptions::new().open(&source, &path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotPermitted, "{error:#}");
    assert!(error.to_string().contains("link of user 12345"), "{error}");
    assert!(target.names().is_empty());
}

#[test]
fn a_socket_of_another_user_is_left_alone() {
    if user() != 0 {
        return crate::rights::skipped(
            "places::a_socket_of_another_user_is_left_alone",
            "only root can make another user's socket",
        );
    }
    let folder = Folder::new();
    let (_area, source) = published("theirs");
    drop(UnixListener::bind(folder.socket()).unwrap());
    std::os::unix::fs::chown(folder.socket(), Some(12_345), None).unwrap();
    let error = OfferOptions::new().open(&source, folder.socket()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotPermitted, "{error:#}");
    assert_eq!(folder.names(), ["socket"]);
}

#[test]
fn a_long_way_is_no_hindrance() {
    let folder = Folder::new();
    let deep = folder.0.join("x".repeat(200)).join("y".repeat(200));
    std::fs::create_dir_all(&deep).unwrap();
    let (_area, source) = published("long");
    let mut offer = OfferOptions::new().open(&source, deep.join("socket")).unwrap();
    assert!(taken(&mut offer, &TakeOptions::new()).1.is_ok());
}

#[test]
fn what_has_the_name_by_now_is_left_there() {
    let folder = Folder::new();
    let (_area, source) = published("moved");
    let offer = OfferOptions::new().open(&source, folder.socket()).unwrap();
    std::fs::rename(folder.socket(), folder.0.join("moved")).unwrap();
    std::fs::write(folder.socket(), "another owner's").unwrap();
    std::fs::set_permissions(folder.socket(), std::fs::Permissions::from_mode(0o600)).unwrap();
    drop(offer);
    let mut names = folder.names();
    names.sort();
    assert_eq!(names, ["moved", "socket"]);
}

#[test]
fn of_several_who_find_a_dead_one_one_listens() {
    let folder = Folder::new();
    let (_area, source) = published("race");
    for _ in 0..20 {
        let socket = UnixListener::bind(folder.socket()).unwrap();
        drop(socket);
        let offers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| OfferOptions::new().open(&source, folder.socket()))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (made, refused): (Vec<_>, Vec<_>) = offers.into_iter().partition(Result::is_ok);
        assert_eq!(made.len(), 1);
        assert!(refused.into_iter().all(|error| error.unwrap_err().kind() == ErrorKind::Busy));
        drop(knock(&folder.socket()));
        drop(made);
        assert!(folder.names().is_empty());
    }
}
