//! Changes of the object that is offered, and of what its number leads to.

use std::fs::File;
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result};
use rustix::fs::{OFlags, SealFlags};

use super::super::forge;
use super::super::looking::{By, Offer};
use super::super::peer::{self, Peer, Scene};
use super::{BROUGHT, How, Mutation, REGISTRY, new, own};
use crate::contents::SIZE;

/// A change of an object that is not sealed.
const fn loose(name: &'static str, what: &'static str, act: fn(&mut Peer) -> Result<()>) -> Mutation {
    new(name, what, Scene::LooseObject, How::Peer(act)).ways(BROUGHT).of(BASE)
}

/// The number leads elsewhere.
const fn number(name: &'static str, what: &'static str, act: fn(&mut Peer) -> Result<()>) -> Mutation {
    own(name, what, act).ways(REGISTRY)
}

/// What a memory object of base pages can be offered as.
const BASE: &[Offer] = &[Offer::Fixed, Offer::Growable, Offer::Frozen, Offer::Locked];
const GROWABLE: &[Offer] = &[Offer::Growable, Offer::PoolGrowable];
const FIXED: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

/// Another memory object: as large, and sealed so.
fn look_alike(seals: SealFlags) -> Result<File> {
    let other = peer::loose(SIZE)?;
    rustix::fs::fcntl_add_seals(&other, seals)?;
    Ok(File::from(other))
}

/// The same object, open in another way.
fn reopened(peer: &Peer, flags: OFlags) -> Result<File> {
    let path = format!("/proc/self/fd/{}", peer.object().as_raw_fd());
    Ok(File::from(rustix::fs::open(path, flags | OFlags::CLOEXEC, rustix::fs::Mode::empty())?))
}

pub(super) static ALL: [Mutation; 32] = [
    loose("object-cut-sealed", "an object that is not sealed is cut to 0 bytes, and sealed", |peer| {
        peer.cut()?;
        peer.seal(FIXED)
    }),
    loose("object-shorter-sealed", "the same, to one page", |peer| {
        peer.resize(4096)?;
        peer.seal(FIXED)
    }),
    loose("object-sealed", "it is sealed as it is", |peer| peer.seal(FIXED)),
    loose("object-sealed-shrink", "it is sealed against shrinking alone", |peer| {
        peer.seal(SealFlags::SHRINK)
    }),
    loose("object-cut", "it is cut to 0 bytes, and not sealed", |peer| peer.cut()),
    loose("object-grown-sealed", "it becomes larger by a half page, and is sealed", |peer| {
        peer.resize(SIZE + 2048)?;
        peer.seal(FIXED)
    }),
    loose("object-frozen", "it is sealed against writing, too", |peer| peer.seal(FIXED | SealFlags::WRITE)),
    loose("object-cut-frozen", "it is cut to 0 bytes, and sealed against writing, too", |peer| {
        peer.cut()?;
        peer.seal(FIXED | SealFlags::WRITE)
    }),
    own("object-punched", "a hole is punched through all of it", |peer| peer.punch()).of(&[
        Offer::Fixed,
        Offer::Growable,
        Offer::Resizable,
        Offer::Locked,
        Offer::Pool,
        Offer::PoolGrowable,
    ]),
    own("object-future-write", "it is sealed against being mapped for writing", |peer| {
        peer.seal(SealFlags::FUTURE_WRITE)
    })
    .of(&[Offer::Fixed, Offer::Growable, Offer::Locked, Offer::Pool]),
    own("object-sealed-seal", "it is sealed against further seals", |peer| peer.seal(SealFlags::SEAL)).of(&[
        Offer::Fixed,
        Offer::Growable,
        Offer::Locked,
        Offer::Pool,
    ]),
    own("growable-grown", "it grows to its maximum", |peer| peer.resize(4 * SIZE)).of(&[Offer::Growable]),
    own("growable-grown-beyond", "it grows beyond its maximum", |peer| peer.resize(64 * SIZE))
        .of(&[Offer::Growable]),
    own("growable-fixed", "it is sealed against growth", |peer| peer.seal(SealFlags::GROW)).of(GROWABLE),
    own("resizable-cut", "it is cut to 0 bytes", |peer| peer.cut()).of(&[Offer::Resizable]),
    own("resizable-shorter", "it is cut to a page and a half", |peer| peer.resize(6144))
        .of(&[Offer::Resizable]),
    own("resizable-grown", "it grows to its reserve", |peer| peer.resize(4 * SIZE)).of(&[Offer::Resizable]),
    own("resizable-grown-beyond", "it grows beyond its reserve", |peer| peer.resize(64 * SIZE))
        .of(&[Offer::Resizable]),
    own("resizable-cut-sealed", "it is cut to 0 bytes, and sealed", |peer| {
        peer.cut()?;
        peer.seal(FIXED)
    })
    .of(&[Offer::Resizable]),
    own("object-let-go", "the peer drops it", |peer| {
        peer.drop_area();
        Ok(())
    })
    .ways(&[By::Registry, By::Socket, By::Clone]),
    number("number-closed", "its number is closed", |peer| {
        peer.close_number();
        Ok(())
    }),
    number("number-null", "its number leads to /dev/null", |peer| peer.replace(peer.stranger("/dev/null")?)),
    number("number-fifo", "its number leads to a FIFO", |peer| peer.replace(peer.stranger("fifo")?)),
    number("number-folder", "its number leads to a folder", |peer| peer.replace(peer.stranger("folder")?)),
    number("number-database", "its number leads to a file on which the looker has a record lock", |peer| {
        peer.replace(peer.stranger("database")?)
    }),
    number("number-silent", "its number leads to a file of a file system that does not answer", |peer| {
        peer.replace(peer.silent()?)
    })
    .silent(),
    number("number-look-alike", "its number leads to another object, as large and sealed so", |peer| {
        peer.replace(look_alike(FIXED)?)
    }),
    number("number-loose", "its number leads to another object, as large and not sealed", |peer| {
        peer.replace(look_alike(SealFlags::empty())?)
    }),
    number("number-path", "its number leads to the object, open for nothing (O_PATH)", |peer| {
        peer.replace(reopened(peer, OFlags::PATH)?)
    }),
    number("number-read-only", "its number leads to the object, open for reading only", |peer| {
        peer.replace(reopened(peer, OFlags::RDONLY)?)
    }),
    number("number-lookers-table", "its number leads to the looker's own table", |peer| {
        peer.replace(lookers(peer, forge::TABLE)?)
    }),
    number("number-lookers-area", "its number leads to the looker's own area", |peer| {
        peer.replace(lookers(peer, "/memfd:area:")?)
    }),
];

/// What the looker has open, by what the kernel calls it.
fn lookers(peer: &Peer, begins: &str) -> Result<File> {
    forge::open_of(peer.looker(), begins)?.with_context(|| format!("the looker has no {begins}"))
}
