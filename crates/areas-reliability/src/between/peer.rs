//! The hostile peer: it offers what it should, and changes it when it is asked to.

#![expect(
    unsafe_code,
    reason = "takes descriptors away from the library: that is the trial; each block has its proof"
)]

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, IntoRawFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use areas::{Address, Area, Frozen, Lock, PageSize, Pages, Resizable, Shared, Transfer, registry};
use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fstat, ftruncate, memfd_create,
};

use super::forge::{self, Table, header};
use super::looking::{By, CLONED, OFFERED, Offer};
use crate::contents::{SIZE, pattern};

/// What the peer offers, before anything changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) enum Scene {
    /// What the library makes.
    Own,
    /// An object of its own, not sealed, of which it says that it is what is offered.
    LooseObject,
    /// A table of its own, not sealed.
    LooseTable,
    /// Nothing has been sent yet.
    Silent,
    /// The first half has been sent, and the object with it.
    Half,
}

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
        const HUGE: usize = 2 << 20;
        let builder = areas::builder(SIZE);
        let pool = || areas::builder(HUGE).pages(Pages::Pool(PageSize::HUGE_2M));
        let fill = |area: Area<Shared>| -> Result<Area<Shared>> {
            area.write_at(0, &pattern(OFFERED, SIZE))?;
            Ok(area)
        };
        Ok(match offer {
            Offer::Fixed => Any::Shared(fill(builder.shared()?)?),
            Offer::Growable => Any::Shared(fill(builder.growable(MAX).shared()?)?),
            Offer::Pool => Any::Shared(fill(pool().shared()?)?),
            Offer::PoolGrowable => Any::Shared(fill(pool().growable(2 * HUGE).shared()?)?),
            Offer::Locked => Any::Shared(fill(builder.lock(Lock::Full).shared()?)?),
            Offer::Frozen => {
                Any::Frozen(fill(builder.shared()?)?.freeze().map_err(|rejected| rejected.error)?)
            }
            Offer::Resizable => {
                let area = builder.resizable(MAX)?;
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

    /// What the library says of it over a socket.
    fn message(&self) -> Result<Vec<u8>> {
        let (here, there) = UnixStream::pair()?;
        match self {
            Any::Shared(area) => area.send(&here)?,
            Any::Frozen(area) => area.send(&here)?,
            Any::Resizable(_) => bail!("resizable areas are not sent"),
        }
        drop(here);
        // The descriptor that comes along is not asked for, and the kernel drops it.
        let mut message = Vec::new();
        (&there).read_to_end(&mut message)?;
        Ok(message)
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
    area: Option<Any>,
    by: By,
    scene: Scene,
    /// The number under which the object is announced.
    number: i32,
    /// The object, by a descriptor that nothing else knows.
    object: OwnedFd,
    table: Table,
    table_file: Option<OwnedFd>,
    record: u64,
    link: PathBuf,
    registry: PathBuf,
    /// Where strangers' files are.
    strangers: PathBuf,
    listener: Option<UnixListener>,
    socket: Option<UnixStream>,
    /// What it would say over a socket.
    message: Vec<u8>,
    looker: u32,
    /// Files that are at hand when they are wanted: to open them then could wait.
    silent: Option<File>,
}

impl Peer {
    pub(super) fn new(offer: Offer, by: By, scene: Scene, registry: &Path) -> Result<Self> {
        let strangers = std::env::var_os(super::STRANGERS).map(PathBuf::from).context(super::STRANGERS)?;
        let mut area = Any::make(offer)?;
        area.publish()?;
        let mut table = Table::own()?;
        let record = table.record(OFFERED)?;
        let mut link = forge::link_of(registry, std::process::id())?;
        let (mut number, mut object) = (area.fd().as_raw_fd(), area.fd().try_clone_to_owned()?);
        let mut table_file = None;
        match scene {
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
            Scene::Own | Scene::Silent | Scene::Half => {}
        }
        let listener = match by {
            By::Socket | By::Sending => {
                let path = strangers.join("socket");
                let _ = fs::remove_file(&path);
                Some(UnixListener::bind(path)?)
            }
            _ => None,
        };
        let message = if by == By::Socket { area.message()? } else { Vec::new() };
        let silent = File::options().read(true).write(true).open(strangers.join("silent/file")).ok();
        let registry = registry.to_owned();
        let (area, socket) = (Some(area), None);
        let looker = 0;
        Ok(Peer {
            area,
            by,
            scene,
            number,
            object,
            table,
            table_file,
            record,
            link,
            registry,
            strangers,
            listener,
            socket,
            message,
            looker,
            silent,
        })
    }

    /// Does its part in what the operation is about, once the looker is ready for it.
    pub(super) fn arrange(&mut self, looker: u32) -> Result<()> {
        self.looker = looker;
        match self.by {
            By::Registry | By::Giving => {}
            By::Sending => {
                let (socket, _) = self.listener.as_ref().context("no listener")?.accept()?;
                self.socket = Some(socket);
            }
            By::Socket => {
                let (socket, _) = self.listener.as_ref().context("no listener")?.accept()?;
                self.socket = Some(socket);
                match self.scene {
                    Scene::Silent => {}
                    Scene::Half => self.send(0, self.message.len() / 2, 1)?,
                    _ => self.send(0, self.message.len(), 1)?,
                }
            }
            By::Transfer if self.scene == Scene::LooseObject => {
                let offer = self.table.offer(self.record)?;
                forge::send_offer(looker, &offer, &self.object)?;
            }
            By::Transfer => match self.area.take().context("nothing to give")? {
                Any::Shared(area) => {
                    let given = area.transfer(looker, Address::Any).map_err(|rejected| rejected.error)?;
                    ensure!(matches!(given, Transfer::Given(_)), "it became {given:?}");
                }
                other => bail!("{other:?} is not given"),
            },
            By::Clone => {
                let area = registry::find(CLONED)?.open()?;
                self.object = area.as_fd().try_clone_to_owned()?;
                self.number = area.as_fd().as_raw_fd();
                self.area = Some(Any::Shared(area));
            }
        }
        Ok(())
    }

    /// Sends a part of its message, and its object so many times with it.
    pub(super) fn send(&self, from: usize, to: usize, objects: usize) -> Result<()> {
        let objects: Vec<BorrowedFd<'_>> = std::iter::repeat_n(self.object.as_fd(), objects).collect();
        self.send_with(&self.message[from..to], &objects)
    }

    pub(super) fn send_with(&self, bytes: &[u8], files: &[BorrowedFd<'_>]) -> Result<()> {
        forge::send(self.socket.as_ref().context("no socket")?, bytes, files)
    }

    pub(super) fn message_len(&self) -> usize {
        self.message.len()
    }

    pub(super) fn close_socket(&mut self) {
        self.socket = None;
        self.listener = None;
    }

    pub(super) fn object(&self) -> &OwnedFd {
        &self.object
    }

    pub(super) fn cut(&self) -> Result<()> {
        self.resize(0)
    }

    pub(super) fn resize(&self, size: usize) -> Result<()> {
        Ok(ftruncate(&self.object, size as u64)?)
    }

    pub(super) fn seal(&self, seals: SealFlags) -> Result<()> {
        Ok(fcntl_add_seals(&self.object, seals)?)
    }

    pub(super) fn punch(&self) -> Result<()> {
        let size = u64::try_from(fstat(&self.object)?.st_size)?;
        Ok(fallocate(&self.object, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, size)?)
    }

    /// Releases what it has of the library.
    pub(super) fn drop_area(&mut self) {
        self.area = None;
    }

    /// Another file has the object's number from now on.
    pub(super) fn replace(&self, with: impl AsFd) -> Result<()> {
        replace_number(self.number, with.as_fd())
    }

    pub(super) fn close_number(&self) {
        // SAFETY: the number is open, and whoever owned it must notice: that is what is tried.
        drop(unsafe { OwnedFd::from_raw_fd(self.number) });
    }

    /// Another file has the table's number from now on.
    pub(super) fn replace_table(&self, with: impl AsFd) -> Result<()> {
        replace_number(forge::number_of(&self.link)?, with.as_fd())
    }

    pub(super) fn stranger(&self, name: &str) -> Result<File> {
        let path = if name.starts_with('/') { PathBuf::from(name) } else { self.strangers.join(name) };
        let write = !path.is_dir();
        let file = File::options().read(true).write(write).open(&path);
        file.with_context(|| format!("open {}", path.display()))
    }

    /// Another file has its transfer socket's number from now on.
    pub(super) fn replace_transfer_socket(&self, with: impl AsFd) -> Result<()> {
        let number = u32::from_le_bytes(self.table.get(header::TRANSFER_SOCKET)?)
            .checked_sub(1)
            .context("no transfer socket")?;
        replace_number(i32::try_from(number)?, with.as_fd())
    }

    /// A file of a file system that does not answer.
    pub(super) fn silent(&self) -> Result<&File> {
        self.silent.as_ref().context("no file system that does not answer")
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Writes into the record of what it offers.
    pub(super) fn record(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.table.put(self.record + at, bytes)
    }

    pub(super) fn record_at(&self) -> u64 {
        self.record
    }

    /// The table that lies in a file of its own.
    pub(super) fn table_file(&self) -> Result<&OwnedFd> {
        self.table_file.as_ref().context("the table is the library's")
    }

    pub(super) fn link(&self) -> &Path {
        &self.link
    }

    pub(super) fn looker(&self) -> u32 {
        self.looker
    }

    /// The folder of this pid namespace.
    pub(super) fn space(&self) -> Result<PathBuf> {
        let space = self.link.parent().and_then(Path::parent).context("a link's folder")?;
        ensure!(space.starts_with(&self.registry), "{} is elsewhere", space.display());
        Ok(space.to_owned())
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
    // SAFETY: the number is open, and whoever owned it must notice: that is what is tried. The
    // value is given up below, so that nothing is closed twice.
    let mut owned = unsafe { OwnedFd::from_raw_fd(number) };
    let done = rustix::io::dup2(with, &mut owned);
    let _ = owned.into_raw_fd();
    Ok(done?)
}
