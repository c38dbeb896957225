//! Changes of the table, of records in it, and of the link that leads to it.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::Result;
use rustix::fs::{SealFlags, fcntl_add_seals, ftruncate};

use super::super::forge::{header, record};
use super::super::looking::By;
use super::super::peer::{Peer, Scene, loose};
use super::{How, Mutation, REGISTRY, TABLE, new, own};
use crate::contents::SIZE;

const SEALS: SealFlags =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE).union(SealFlags::SEAL);

/// A change of a table that is not sealed.
const fn unsealed(name: &'static str, what: &'static str, act: fn(&mut Peer) -> Result<()>) -> Mutation {
    new(name, what, Scene::LooseTable, How::Peer(act)).ways(REGISTRY).meeting()
}

/// A change of what a record says.
const fn says(name: &'static str, what: &'static str, act: fn(&mut Peer) -> Result<()>) -> Mutation {
    own(name, what, act).ways(REGISTRY)
}

/// A change of the table's header, or of what leads to it.
const fn of_table(name: &'static str, what: &'static str, act: fn(&mut Peer) -> Result<()>) -> Mutation {
    own(name, what, act).ways(TABLE)
}

/// A change of where it is to be offered areas.
const fn transfer_socket(
    name: &'static str,
    what: &'static str,
    act: fn(&mut Peer) -> Result<()>,
) -> Mutation {
    own(name, what, act).ways(&[By::Giving])
}

/// A link of the same name that leads elsewhere.
fn lead(peer: &Peer, to: &str) -> Result<()> {
    fs::remove_file(peer.link())?;
    Ok(symlink(to, peer.link())?)
}

pub(super) static ALL: [Mutation; 51] = [
    unsealed("table-cut-sealed", "a table that is not sealed is cut to 0 bytes, and sealed", |peer| {
        ftruncate(peer.table_file()?, 0)?;
        Ok(fcntl_add_seals(peer.table_file()?, SEALS)?)
    }),
    unsealed("table-shorter-sealed", "the same, to one page", |peer| {
        ftruncate(peer.table_file()?, 4096)?;
        Ok(fcntl_add_seals(peer.table_file()?, SEALS)?)
    }),
    unsealed("table-cut", "it is cut to 0 bytes, and not sealed", |peer| {
        Ok(ftruncate(peer.table_file()?, 0)?)
    }),
    unsealed("table-sealed", "it is sealed as it is", |peer| Ok(fcntl_add_seals(peer.table_file()?, SEALS)?)),
    unsealed("table-sealed-shrink", "it is sealed against shrinking alone", |peer| {
        Ok(fcntl_add_seals(peer.table_file()?, SealFlags::SHRINK)?)
    }),
    of_table("table-null", "the table's number leads to /dev/null", |peer| {
        peer.replace_table(peer.stranger("/dev/null")?)
    }),
    of_table("table-fifo", "the table's number leads to a FIFO", |peer| {
        peer.replace_table(peer.stranger("fifo")?)
    }),
    of_table(
        "table-database",
        "the table's number leads to a file on which the looker has a record lock",
        |peer| peer.replace_table(peer.stranger("database")?),
    ),
    of_table(
        "table-silent",
        "the table's number leads to a file of a file system that does not answer",
        |peer| peer.replace_table(peer.silent()?),
    )
    .silent(),
    of_table("table-other", "the table's number leads to another object", |peer| {
        peer.replace_table(loose(SIZE)?)
    }),
    of_table("header-version", "its header says another format", |peer| {
        peer.table().put(header::VERSION, &77_u32.to_le_bytes())
    }),
    of_table("header-pid", "its header says another process", |peer| {
        peer.table().put(header::PID, &1_u32.to_le_bytes())
    }),
    of_table("header-index", "its header says an index that cannot be", |peer| {
        peer.table().put(header::INDEX, &u64::MAX.to_le_bytes())
    }),
    of_table("header-high-water", "its header says more records than there can be", |peer| {
        peer.table().put(header::HIGH_WATER, &u32::MAX.to_le_bytes())
    }),
    of_table("header-changes", "its header says that it does not count changes", |peer| {
        peer.table().put(header::CHANGES, &0_u64.to_le_bytes())
    }),
    says("record-gone", "the record is absent forever", |peer| {
        peer.record(record::GENERATION, &3_u64.to_le_bytes())
    }),
    says("record-moving", "the record is in the middle of a change forever", |peer| {
        peer.record(record::GENERATION, &((1_u64 << 63) | 2).to_le_bytes())
    }),
    says("record-changing", "the record changes all the time", |peer| {
        let at = peer.record_at() + record::GENERATION;
        let table = peer.table().try_clone()?;
        std::thread::spawn(move || {
            (4_u64..).step_by(2).try_for_each(|generation| table.put(at, &generation.to_le_bytes()))
        });
        Ok(())
    }),
    says("record-id", "it says another id", |peer| peer.record(record::ID, &77_i32.to_le_bytes())),
    says("record-number", "it says number -1", |peer| {
        peer.record(record::DESCRIPTOR, &(-1_i32).to_le_bytes())
    }),
    says("record-number-0", "it says number 0", |peer| peer.record(record::DESCRIPTOR, &0_i32.to_le_bytes())),
    says("record-inode", "it says another object", |peer| peer.record(record::INODE, &1_u64.to_le_bytes())),
    says("record-device", "it says another device", |peer| peer.record(record::DEVICE, &1_u64.to_le_bytes())),
    says("record-address", "it says an address that cannot be", |peer| {
        peer.record(record::ADDRESS, &u64::MAX.to_le_bytes())
    }),
    says("record-span", "it says more addresses than there are", |peer| {
        peer.record(record::SPAN, &u64::MAX.to_le_bytes())
    }),
    says("record-span-0", "it says that it takes no addresses", |peer| {
        peer.record(record::SPAN, &0_u64.to_le_bytes())
    }),
    says("record-growable", "it says that it may grow, far", |peer| extent(peer, 1, 1 << 46)),
    says("record-resizable", "it says that it may grow and shrink", |peer| extent(peer, 2, 4 * SIZE as u64)),
    says("record-resizable-far", "the same, as far as there are addresses", |peer| extent(peer, 2, 1 << 47)),
    says("record-fixed", "it says that it is fixed", |peer| extent(peer, 0, 0)),
    says("record-physical", "it says that it is physical memory from 8 MiB on", |peer| {
        peer.record(record::EXACT, &(SIZE as u64 + 1).to_le_bytes())?;
        extent(peer, 3, 8 << 20)
    }),
    says("record-exact", "it says that it has more bytes than it has", |peer| {
        peer.record(record::EXACT, &u64::MAX.to_le_bytes())
    }),
    says("record-exact-1", "it says that it has 1 byte", |peer| {
        peer.record(record::EXACT, &2_u64.to_le_bytes())
    }),
    says("record-protection-0", "it says that nothing may be done with it", |peer| {
        peer.record(record::PROTECTION, &[0])
    }),
    says("record-protection", "it says that it may be executed", |peer| {
        peer.record(record::PROTECTION, &[7])
    }),
    says("record-lock-full", "it says that it is locked", |peer| peer.record(record::LOCK, &[2])),
    says("record-lock-contiguous", "it says that it is contiguous", |peer| peer.record(record::LOCK, &[3])),
    says("record-lock-low", "it says that it is low", |peer| peer.record(record::LOCK, &[4])),
    says("record-page", "it says that it has pages of 2 MiB", |peer| peer.record(record::PAGE, &[21])),
    says("record-name", "it says another name", |peer| peer.record(record::NAME, b"x")),
    own("link-gone", "the link is removed", |peer| Ok(fs::remove_file(peer.link())?)).ways(TABLE),
    own("link-astray", "the link leads to a number that is not open", |peer| {
        lead(peer, &format!("/proc/{}/fd/9999", std::process::id()))
    })
    .ways(TABLE),
    own("link-loop", "the link leads to itself", |peer| {
        let itself = peer.link().to_str().map(str::to_owned);
        lead(peer, itself.as_deref().unwrap_or_default())
    })
    .ways(TABLE),
    transfer_socket("socket-null", "its transfer socket's number leads to /dev/null", |peer| {
        peer.replace_transfer_socket(peer.stranger("/dev/null")?)
    }),
    transfer_socket("socket-fifo", "its transfer socket's number leads to a FIFO", |peer| {
        peer.replace_transfer_socket(peer.stranger("fifo")?)
    }),
    transfer_socket(
        "socket-database",
        "its transfer socket's number leads to a file on which the looker has a record lock",
        |peer| peer.replace_transfer_socket(peer.stranger("database")?),
    ),
    transfer_socket(
        "socket-silent",
        "its transfer socket's number leads to a file of a file system that does not answer",
        |peer| peer.replace_transfer_socket(peer.silent()?),
    )
    .silent(),
    transfer_socket(
        "socket-other",
        "its transfer socket's number leads to a socket that no process reads",
        |peer| peer.replace_transfer_socket(std::os::unix::net::UnixDatagram::unbound()?),
    ),
    transfer_socket("socket-gone", "its header says that it has no transfer socket", |peer| {
        peer.table().put(header::TRANSFER_SOCKET, &0_u32.to_le_bytes())
    }),
    transfer_socket("socket-number", "its header says that its transfer socket has another number", |peer| {
        peer.table().put(header::TRANSFER_SOCKET, &u32::MAX.to_le_bytes())
    }),
    own("link-other", "the link leads to another process", |peer| lead(peer, "/proc/1/fd/3")).ways(TABLE),
];

fn extent(peer: &Peer, extent: u8, max: u64) -> Result<()> {
    peer.record(record::MAX, &max.to_le_bytes())?;
    peer.record(record::EXTENT, &[extent])
}
