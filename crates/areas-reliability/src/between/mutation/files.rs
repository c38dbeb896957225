//! Changes of the peer itself, of the registry's folder and its control file, and of what a socket
//! carries.

use std::fs::{self, DirBuilder, File, Permissions};
use std::mem::ManuallyDrop;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use super::super::looker::whole;
use super::super::looking::By;
use super::super::peer::{Peer, Scene};
use super::{Deed, How, Mutation, new, own};

const fn done(name: &'static str, what: &'static str, deed: Deed) -> Mutation {
    new(name, what, Scene::Own, How::Driver(deed))
}

/// Something to the registry's folder, as all who look there may meet it.
const fn folder(
    name: &'static str,
    what: &'static str,
    deed: fn(&std::path::Path) -> Result<()>,
) -> Mutation {
    done(name, what, Deed::Folder(deed)).ways(FOLDER)
}

const FOLDER: &[By] = &[By::Registry, By::Transfer, By::Giving];

/// Record locks of the peer's on the control file.
const fn locked(name: &'static str, what: &'static str, act: fn(&mut Peer) -> Result<()>) -> Mutation {
    new(name, what, Scene::Own, How::PeerStopped(act)).ways(FOLDER)
}

/// Where in the control file the bytes of the ids are that are given (docs/design/transfer.md).
const IDS_AT: i64 = 1 << 32;

/// The control file, open for as long as the peer lives: its record locks go with the first
/// descriptor of it that is closed.
fn control(peer: &Peer) -> Result<ManuallyDrop<File>> {
    Ok(ManuallyDrop::new(File::options().read(true).write(true).open(peer.space()?.join("control"))?))
}

/// Locks what of a range no other process has: there are claims of givers, the peer's own too. A
/// length of 0 is all that follows.
fn lock_free(file: &File, start: i64, len: i64) -> Result<()> {
    let mut lock = whole(libc::F_WRLCK)?;
    (lock.l_start, lock.l_len) = (start, len);
    match fcntl(file, FcntlArg::F_SETLK(&lock)) {
        Ok(_) => return Ok(()),
        Err(Errno::EAGAIN | Errno::EACCES) => {}
        Err(errno) => return Err(errno).context("fcntl(F_SETLK)"),
    }
    fcntl(file, FcntlArg::F_GETLK(&mut lock)).context("fcntl(F_GETLK)")?;
    if i32::from(lock.l_type) == libc::F_UNLCK {
        return lock_free(file, start, len);
    }
    let (taken, behind) = (lock.l_start, lock.l_start + lock.l_len);
    if taken > start {
        lock_free(file, start, taken - start)?;
    }
    let end = start + len;
    if lock.l_len > 0 && (len == 0 || behind < end) {
        lock_free(file, behind, if len == 0 { 0 } else { end - behind })?;
    }
    Ok(())
}

/// What a socket carries.
const fn socket(
    name: &'static str,
    what: &'static str,
    scene: Scene,
    act: fn(&mut Peer) -> Result<()>,
) -> Mutation {
    new(name, what, scene, How::Peer(act)).ways(&[By::Socket])
}

pub(super) static ALL: [Mutation; 29] = [
    done("peer-stopped", "the peer is stopped", Deed::Stop).harmless(),
    done("peer-killed", "the peer is killed", Deed::Kill),
    own("peer-exec", "the peer becomes another program", |_| {
        let error = std::os::unix::process::CommandExt::exec(
            std::process::Command::new(std::env::current_exe()?).arg("between-idle"),
        );
        Err(error).context("exec")
    }),
    own("peer-kept", "the peer may not be looked into (PR_SET_DUMPABLE)", |_| {
        nix::sys::prctl::set_dumpable(false).context("PR_SET_DUMPABLE")
    }),
    own("control-cut", "the control file is cut to 0 bytes", |peer| {
        Ok(File::options().write(true).open(peer.space()?.join("control"))?.set_len(0)?)
    })
    .ways(FOLDER)
    .harmless(),
    own("control-noise", "the control file says nonsense", |peer| {
        Ok(fs::write(peer.space()?.join("control"), [0xff; 8192])?)
    })
    .ways(FOLDER)
    .harmless(),
    own("control-gone", "the control file is removed", |peer| {
        Ok(fs::remove_file(peer.space()?.join("control"))?)
    })
    .ways(FOLDER)
    .harmless(),
    own("control-fifo", "the control file is a FIFO", |peer| {
        let path = peer.space()?.join("control");
        fs::remove_file(&path)?;
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).context("mkfifo")
    })
    .ways(FOLDER)
    .harmless(),
    locked(
        "control-locked",
        "what is written in the control file is locked by the peer, which is stopped",
        |peer| lock_free(&*control(peer)?, 0, IDS_AT),
    )
    .harmless(),
    locked(
        "ids-claimed",
        "all ids that are free to be given are claimed by the peer, which is stopped",
        |peer| lock_free(&*control(peer)?, IDS_AT, 0),
    ),
    folder("folder-gone", "the registry's folder is removed, with all in it", |registry| {
        Ok(fs::remove_dir_all(registry)?)
    }),
    folder("teams-gone", "the folder of links is removed, with all in it", |registry| {
        for space in fs::read_dir(registry)?.flatten() {
            fs::remove_dir_all(space.path().join("teams"))?;
        }
        Ok(())
    }),
    folder("folder-other", "another folder is in its place", |registry| {
        fs::rename(registry, registry.with_file_name("moved"))?;
        Ok(DirBuilder::new().mode(0o700).create(registry)?)
    }),
    folder("folder-file", "a file is in its place", |registry| {
        fs::rename(registry, registry.with_file_name("moved"))?;
        Ok(fs::write(registry, "")?)
    }),
    folder("folder-loop", "a link to itself is in its place", |registry| {
        fs::rename(registry, registry.with_file_name("moved"))?;
        Ok(symlink(registry, registry)?)
    }),
    folder("folder-shut", "no user has any right to it", |registry| {
        Ok(fs::set_permissions(registry, Permissions::from_mode(0o000))?)
    }),
    folder("teams-shut", "no user has any right to the folder of links", |registry| {
        for space in fs::read_dir(registry)?.flatten() {
            fs::set_permissions(space.path().join("teams"), Permissions::from_mode(0o000))?;
        }
        Ok(())
    }),
    folder("folder-open", "all users have every right to it", |registry| {
        Ok(fs::set_permissions(registry, Permissions::from_mode(0o777))?)
    }),
    socket("socket-closed", "the peer closes its socket", Scene::Silent, |peer| {
        peer.close_socket();
        Ok(())
    }),
    own("socket-shut", "the peer closes its socket", |peer| {
        peer.close_socket();
        Ok(())
    })
    .ways(&[By::Sending]),
    socket("socket-closed-behind", "the peer closes its socket behind the message", Scene::Own, |peer| {
        peer.close_socket();
        Ok(())
    })
    .harmless(),
    socket("socket-closed-half", "the peer closes its socket behind half a message", Scene::Half, |peer| {
        peer.close_socket();
        Ok(())
    }),
    socket("socket-whole", "the message comes", Scene::Silent, |peer| peer.send(0, peer.message_len(), 1)),
    socket("socket-half", "half a message comes", Scene::Silent, |peer| {
        peer.send(0, peer.message_len() / 2, 1)
    }),
    socket("socket-rest", "the other half comes", Scene::Half, |peer| {
        peer.send(peer.message_len() / 2, peer.message_len(), 0)
    }),
    socket(
        "socket-rest-with-more",
        "the other half comes, and more descriptors with it",
        Scene::Half,
        |peer| peer.send(peer.message_len() / 2, peer.message_len(), 3),
    ),
    socket("socket-noise", "nonsense comes", Scene::Silent, |peer| {
        let bytes = vec![0xa5; peer.message_len()];
        peer.send_with(&bytes, &[peer.object().as_fd()])
    }),
    socket("socket-many", "the message comes with 253 descriptors", Scene::Silent, |peer| {
        peer.send(0, peer.message_len(), 253)
    }),
    socket("socket-none", "the message comes without a descriptor", Scene::Silent, |peer| {
        peer.send(0, peer.message_len(), 0)
    }),
];
