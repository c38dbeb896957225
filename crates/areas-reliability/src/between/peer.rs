//! The hostile peer: it offers what it should, and changes it when it is told to.

#![expect(
    unsafe_code,
    reason = "takes descriptors away from the library: that is the trial; each block has its proof"
)]

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use areas::{Area, Frozen, Lock, Resizable, Shared};
use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fstat, ftruncate, memfd_create,
};

use super::forge::{self, Table};
use super::looking::{OFFERED, Offer};
use super::mutation::{self, How, Scene};
use crate::bystander::{SIZE, pattern};

/// How far what grows may grow.
pub(super) const MAX: usize = 4 * SIZE;

/// An area of whatever kind.
#[derive(Debug)]
enum Any {
    Shared(Area<Shared>),
    Resizable(Area<Resizable>),
    Frozen(Area<Frozen>),
}

impl Any {
    fn make(offer: Offer) -> Result<Self> {
        let builder = areas::builder(SIZE);
        let fill = |area: Area<Shared>| -> Result<Area<Shared>> {
            area.write_at(0, &pattern(OFFERED, SIZE))?;
            Ok(area)
        };
        Ok(match offer {
            Offer::Fixed => Any::Shared(fill(builder.shared()?)?),
            Offer::Growable => Any::Shared(fill(builder.growable(MAX).shared()?)?),
            Offer::Locked => Any::Shared(fill(builder.lock(Lock::Full).shared()?)?),
            Offer::Frozen => {
                Any::Frozen(fill(builder.shared()?)?.freeze().map_err(|rejected| rejected.error)?)
            }
            Offer::Resizable => {
                let mut area = builder.resizable(MAX)?;
                area.write_at(0, &pattern(OFFERED, SIZE))?;
                Any::Resizable(area)
            }
        })
    }

    fn publish(&mut self) -> Result<()> {
        match self {
            Any::Shared(area) => area.publish(OFFERED),
            Any::Resizable(area) => area.publish(OFFERED),
            Any::Frozen(area) => area.publish(OFFERED),
        }?;
        Ok(())
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Any::Shared(area) => area.as_fd(),
            Any::Resizable(area) => area.as_fd(),
            Any::Frozen(area) => area.as_fd(),
        }
    }
}

/// The peer, and what it can change.
#[derive(Debug)]
pub(super) struct Peer {
    _area: Any,
    offer: Offer,
    /// The number under which the object is announced.
    number: i32,
    /// The object, by a descriptor that nobody else knows.
    object: OwnedFd,
    table: Table,
    table_file: Option<OwnedFd>,
    record: u64,
    link: PathBuf,
    /// Where strangers' files are.
    pub(super) strangers: PathBuf,
}

impl Peer {
    fn new(offer: Offer, scene: Scene, registry: &Path, strangers: &Path) -> Result<Self> {
        let mut area = Any::make(offer)?;
        area.publish()?;
        let mut table = Table::own()?;
        let record = table.record(OFFERED)?;
        let mut link = forge::link_of(registry, std::process::id())?;
        let (mut number, mut object) = (area.fd().as_raw_fd(), area.fd().try_clone_to_owned()?);
        let mut table_file = None;
        match scene {
            Scene::Own => {}
            Scene::LooseObject => {
                let loose = loose(SIZE)?;
                table.announce(record, &loose)?;
                object = loose.try_clone()?;
                // Announced by its number: it stays open as long as we live.
                number = loose.into_raw_fd();
            }
            Scene::LooseTable => {
                let (copy, file) = table.copy()?;
                let inode = forge::inode_of(&file)?;
                link = forge::relink(&link, file.as_raw_fd(), inode)?;
                table = copy;
                table_file = Some(file);
            }
        }
        let strangers = strangers.to_owned();
        Ok(Peer { _area: area, offer, number, object, table, table_file, record, link, strangers })
    }

    pub(super) fn offer(&self) -> Offer {
        self.offer
    }

    pub(super) fn cut(&mut self) -> Result<()> {
        Ok(ftruncate(&self.object, 0)?)
    }

    pub(super) fn grow(&mut self, size: usize) -> Result<()> {
        Ok(ftruncate(&self.object, size as u64)?)
    }

    pub(super) fn seal(&mut self, seals: SealFlags) -> Result<()> {
        Ok(fcntl_add_seals(&self.object, seals)?)
    }

    pub(super) fn punch(&mut self) -> Result<()> {
        let size = u64::try_from(fstat(&self.object)?.st_size)?;
        Ok(fallocate(&self.object, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, size)?)
    }

    /// Another file has the object's number from now on.
    pub(super) fn replace(&mut self, with: impl AsFd) -> Result<()> {
        replace_number(self.number, with.as_fd())
    }

    pub(super) fn stranger(&self, name: &str) -> PathBuf {
        self.strangers.join(name)
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// The table that lies in a file of its own.
    pub(super) fn table_file(&self) -> Result<&OwnedFd> {
        self.table_file.as_ref().context("the table is the library's")
    }

    pub(super) fn record(&self) -> u64 {
        self.record
    }

    pub(super) fn link(&self) -> &Path {
        &self.link
    }

    fn mutate(&mut self, name: &str) -> Result<()> {
        match mutation::named(name)?.how {
            How::Peer(act) => act(self),
            How::Driver(_) => bail!("{name} is not the peer's to do"),
        }
    }
}

/// A memory object that looks like what is offered, and is not sealed.
pub(super) fn loose(size: usize) -> Result<OwnedFd> {
    let loose = memfd_create("area:offered", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(loose.try_clone()?);
    file.write_all(&pattern(OFFERED, size))?;
    Ok(loose)
}

pub(super) fn replace_number(number: i32, with: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the number is open, and whoever owned it must notice: that is what is tried. The value is given up below, so that nothing is closed twice.
    let mut owned = unsafe { OwnedFd::from_raw_fd(number) };
    let done = rustix::io::dup2(with, &mut owned);
    let _ = owned.into_raw_fd();
    Ok(done?)
}

/// The peer's own part: answers each line with "ok" or with what is wrong.
pub(super) fn serve(offer: Offer, scene: Scene, strangers: &Path) -> Result<bool> {
    let registry = std::env::var_os("AREAS_DIR").map(PathBuf::from).context("AREAS_DIR")?;
    let mut peer = Peer::new(offer, scene, &registry, strangers)?;
    say("ok")?;
    for line in std::io::stdin().lines() {
        let line = line?;
        let result = match line.split_once(' ') {
            Some(("mutate", name)) => peer.mutate(name),
            _ => bail!("no such order: {line}"),
        };
        match result {
            Ok(()) => say("ok")?,
            Err(error) => say(&format!("{error:#}").replace('\n', "; "))?,
        }
    }
    Ok(true)
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
