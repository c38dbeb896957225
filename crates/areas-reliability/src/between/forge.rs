//! Tables and records as a hostile process writes them: its own, past the library.

use std::fs::{self, File};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use areas_testing::{Process, descriptors, maps};
use rustix::fs::{MemfdFlags, fstat, ftruncate, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// Where a table's header says what.
pub(super) mod header {
    pub(in super::super) const VERSION: u64 = 8;
    pub(in super::super) const PID: u64 = 16;
    /// The number of the descriptor that leads to the team's transfer socket, + 1.
    pub(in super::super) const TRANSFER_SOCKET: u64 = 20;
    pub(in super::super) const DEVICE: u64 = 32;
    pub(in super::super) const INODE: u64 = 40;
    pub(in super::super) const INDEX: u64 = 64;
    pub(in super::super) const HIGH_WATER: u64 = 72;
    pub(in super::super) const CHANGES: u64 = 80;
}

/// Where a record says what.
pub(super) mod record {
    pub(in super::super) const GENERATION: u64 = 0;
    pub(in super::super) const ID: u64 = 8;
    pub(in super::super) const DESCRIPTOR: u64 = 12;
    pub(in super::super) const DEVICE: u64 = 32;
    pub(in super::super) const INODE: u64 = 40;
    pub(in super::super) const ADDRESS: u64 = 48;
    pub(in super::super) const SPAN: u64 = 56;
    pub(in super::super) const MAX: u64 = 64;
    pub(in super::super) const EXACT: u64 = 72;
    pub(in super::super) const PROTECTION: u64 = 80;
    pub(in super::super) const EXTENT: u64 = 81;
    pub(in super::super) const LOCK: u64 = 84;
    pub(in super::super) const PAGE: u64 = 85;
    pub(in super::super) const NAME_LEN: u64 = 87;
    pub(in super::super) const NAME: u64 = 105;
}

const RECORDS_AT: u64 = 4 << 20;
/// What of a record is in its first part, and in its second.
const FIRST_BYTES: usize = 192;
const REST_BYTES: usize = 288;
const RECORD_BYTES: u64 = FIRST_BYTES as u64;

/// How the kernel calls tables.
pub(super) const TABLE: &str = "/memfd:areas table";

/// A table that can be written: a part of this process's own memory, or a file.
#[derive(Debug)]
pub(super) struct Table {
    memory: File,
    at: u64,
    bytes: u64,
}

impl Table {
    /// The library's own in this process, which only its owner can write, by way of its memory.
    pub(super) fn own() -> Result<Self> {
        let maps = maps::of(Process::Own).context("/proc/self/maps")?;
        let table = maps
            .iter()
            .find(|vma| vma.path.starts_with(TABLE) && vma.permissions == "rw-s")
            .context("this process has no table")?;
        let memory =
            File::options().read(true).write(true).open("/proc/self/mem").context("/proc/self/mem")?;
        Ok(Table { memory, at: table.start as u64, bytes: table.range().len() as u64 })
    }

    pub(super) fn try_clone(&self) -> Result<Table> {
        Ok(Table { memory: self.memory.try_clone()?, at: self.at, bytes: self.bytes })
    }

    pub(super) fn put(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.memory.write_all_at(bytes, self.at + at).context("write into the table")
    }

    pub(super) fn get<const N: usize>(&self, at: u64) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.memory.read_exact_at(&mut bytes, self.at + at).context("read in the table")?;
        Ok(bytes)
    }

    /// Where the record of a name is.
    pub(super) fn record(&self, name: &str) -> Result<u64> {
        (0..64)
            .map(|number| RECORDS_AT + number * RECORD_BYTES)
            .find(|&at| {
                let [len] = self.get(at + record::NAME_LEN).unwrap_or_default();
                let mut found = vec![0; name.len()];
                usize::from(len) == name.len()
                    && self.memory.read_exact_at(&mut found, self.at + at + record::NAME).is_ok()
                    && found == name.as_bytes()
            })
            .context("no record of that name")
    }

    /// Has a record say that a file of ours is its object.
    pub(super) fn announce(&self, record_at: u64, object: &OwnedFd) -> Result<()> {
        let stat = fstat(object)?;
        self.put(record_at + record::DESCRIPTOR, &object.as_raw_fd().to_le_bytes())?;
        self.put(record_at + record::DEVICE, &stat.st_dev.to_le_bytes())?;
        self.put(record_at + record::INODE, &stat.st_ino.to_le_bytes())
    }

    /// The same table in a memory object that anybody could still change, as if it were this
    /// process's.
    pub(super) fn copy(&self) -> Result<(Table, OwnedFd)> {
        let copy = memfd_create("areas table", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&copy, self.bytes)?;
        let file = File::from(copy.try_clone()?);
        // The header and the index; what was written of the ids' part; the first records. The rest
        // is holes.
        for (from, len) in [(0, 64 << 10), (2 << 20, 256 << 10), (RECORDS_AT, 64 * RECORD_BYTES)] {
            let mut bytes = vec![0; usize::try_from(len)?];
            self.memory.read_exact_at(&mut bytes, self.at + from)?;
            file.write_all_at(&bytes, from)?;
        }
        let stat = fstat(copy.as_fd())?;
        let table = Table { memory: file, at: 0, bytes: self.bytes };
        table.put(header::DEVICE, &stat.st_dev.to_le_bytes())?;
        table.put(header::INODE, &stat.st_ino.to_le_bytes())?;
        Ok((table, copy))
    }
}

/// The link of a process in a registry.
pub(super) fn link_of(registry: &Path, pid: u32) -> Result<PathBuf> {
    let begins = format!("/proc/{pid}/fd/");
    for space in fs::read_dir(registry).context("the registry")?.flatten() {
        for link in fs::read_dir(space.path().join("teams")).into_iter().flatten().flatten() {
            let leads = fs::read_link(link.path()).unwrap_or_default();
            if leads.to_string_lossy().starts_with(&begins) {
                return Ok(link.path());
            }
        }
    }
    anyhow::bail!("process {pid} has no link")
}

/// Has a link lead elsewhere, under the name that belongs to that.
pub(super) fn relink(link: &Path, number: i32, inode: u64) -> Result<PathBuf> {
    let name = link.file_name().and_then(|name| name.to_str()).context("a link's name")?;
    let (slot_and_start, _) = name.rsplit_once('.').context("a link's name")?;
    let new = link.with_file_name(format!("{slot_and_start}.{inode}"));
    let _ = fs::remove_file(link);
    symlink(format!("/proc/{}/fd/{number}", std::process::id()), &new)?;
    ensure!(fs::symlink_metadata(&new)?.file_type().is_symlink(), "no link was made");
    Ok(new)
}

/// Device and inode of a file, by its path.
pub(super) fn inode_of(fd: &OwnedFd) -> Result<u64> {
    Ok(File::from(fd.try_clone()?).metadata()?.ino())
}

/// The number of the descriptor that a link leads to.
pub(super) fn number_of(link: &Path) -> Result<i32> {
    let leads = fs::read_link(link).with_context(|| format!("{}", link.display()))?;
    leads
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(|name| name.parse().ok())
        .context("a link's number")
}

impl Table {
    /// The message by which an area is offered to another team, as its record stands in this table.
    pub(super) fn offer(&self, record_at: u64) -> Result<Vec<u8>> {
        let mut offer = Vec::from(*b"AREAgift");
        offer.extend(2_u32.to_le_bytes());
        offer.resize(32, 0);
        let first: [u8; FIRST_BYTES] = self.get(record_at)?;
        offer.extend(first);
        offer.resize(32 + first.len() + REST_BYTES, 0);
        Ok(offer)
    }
}

/// What a process has open, by how the kernel's name of it begins.
pub(super) fn open_of(pid: u32, begins: &str) -> Result<Option<File>> {
    let mut all = descriptors::of(pid)?.into_iter();
    let found = all.find(|one| one.target.starts_with(begins));
    Ok(found.map(|one| File::open(one.path)).transpose()?)
}

/// Offers a file to another team, at its transfer socket.
pub(super) fn send_offer(team: u32, offer: &[u8], file: &OwnedFd) -> Result<()> {
    let table = open_of(team, TABLE)?.context("the team has no table")?;
    let mut number = [0; 4];
    table.read_exact_at(&mut number, header::TRANSFER_SOCKET)?;
    let number = u32::from_le_bytes(number).checked_sub(1).context("the team has no transfer socket")?;
    let socket = UnixDatagram::unbound()?;
    socket.connect(format!("/proc/{team}/fd/{number}"))?;
    send(&socket, offer, &[file.as_fd()])
}

/// Sends bytes and files over a connected socket.
pub(super) fn send(socket: impl AsFd, bytes: &[u8], files: &[BorrowedFd<'_>]) -> Result<()> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() {
        ensure!(ancillary.push(SendAncillaryMessage::ScmRights(files)), "too many files");
    }
    let sent = sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    ensure!(sent == bytes.len(), "only {sent} bytes were sent");
    Ok(())
}
