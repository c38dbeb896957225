//! A pending transfer: what is sent of an area on its way to another team, beside its descriptor.
//!
//! A record as it stands in a table, where the giver wants the area to be, and the id that it has
//! claimed for it there ([`Claim`]). Who receives one believes the kernel (who sent it, what the
//! descriptor is, what it is open for, its seals and size), and of the rest only what agrees with
//! that.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::claim::Claim;
use crate::acceptance::Acceptance;
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::{Mapping, headroom};
use crate::object::{Extent, Object};
use crate::page::PageSize;
use crate::physical;
use crate::protection::Protection;
use crate::provider::{Address, AddressRequest, map_with_room, resolve, take_pool_pages};
use crate::registry::table::{AreaId, Note, RECORD_BYTES, Record};
use crate::sys;
use crate::sys::file::Identity;
use crate::sys::memory::Advice;
use crate::sys::socket::Packet;

/// An area on its way, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::registry) struct PendingTransfer {
    /// As it stood in its giver's table.
    pub(in crate::registry) record: Record,
    /// Where it shall be.
    pub(in crate::registry) address: Address,
    /// The id that it shall have.
    pub(in crate::registry) id: AreaId,
}

impl PendingTransfer {
    const MAGIC: [u8; 8] = *b"AREAgift";
    /// A team's table says which one it takes.
    pub(in crate::registry) const VERSION: u32 = 4;
    /// Its memory, and the claim to its id.
    pub(in crate::registry) const DESCRIPTORS: usize = 2;
    const RECORD: usize = 32;
    const NOTE: usize = PendingTransfer::RECORD + RECORD_BYTES;
    pub(in crate::registry) const BYTES: usize = PendingTransfer::NOTE + Note::MAX;

    pub(in crate::registry) fn encode(&self) -> [u8; PendingTransfer::BYTES] {
        let (form, address) = match self.address {
            Address::Any => (0, 0),
            Address::Exactly(address) => (1, address),
            Address::AtOrAbove(address) => (2, address),
            Address::Random => (3, 0),
            Address::RandomAtOrAbove(address) => (4, address),
        };
        let mut bytes = [0; PendingTransfer::BYTES];
        bytes[..8].copy_from_slice(&PendingTransfer::MAGIC);
        bytes[8..12].copy_from_slice(&PendingTransfer::VERSION.to_le_bytes());
        bytes[12] = form;
        bytes[16..24].copy_from_slice(&(address as u64).to_le_bytes());
        bytes[24..28].copy_from_slice(&self.id.get().to_le_bytes());
        let note = self.record.note.as_bytes();
        #[expect(clippy::cast_possible_truncation, reason = "a note has at most 256 bytes")]
        bytes[28..30].copy_from_slice(&(note.len() as u16).to_le_bytes());
        bytes[PendingTransfer::RECORD..PendingTransfer::NOTE].copy_from_slice(&self.record.to_bytes());
        bytes[PendingTransfer::NOTE..][..note.len()].copy_from_slice(note);
        bytes
    }

    /// `None` for what no library of this format makes.
    pub(in crate::registry) fn decode(bytes: &[u8; PendingTransfer::BYTES]) -> Option<Self> {
        let (head, rest) = bytes.split_at(PendingTransfer::RECORD);
        let (record, note) = rest.split_at(RECORD_BYTES);
        let version = u32::from_le_bytes(head[8..12].try_into().ok()?);
        if head[..8] != PendingTransfer::MAGIC || version != PendingTransfer::VERSION {
            return None;
        }
        let address = usize::try_from(u64::from_le_bytes(head[16..24].try_into().ok()?)).ok()?;
        let address = match head[12] {
            0 => Address::Any,
            1 => Address::Exactly(address),
            2 => Address::AtOrAbove(address),
            3 => Address::Random,
            4 => Address::RandomAtOrAbove(address),
            _ => return None,
        };
        let id = AreaId::new(i32::from_le_bytes(head[24..28].try_into().ok()?)).ok()?;
        let len = u16::from_le_bytes(head[28..30].try_into().ok()?);
        let mut record = Record::from_bytes(record.try_into().ok()?)?;
        record.area.note = Note::from_table(note.get(..usize::from(len))?)?;
        Some(PendingTransfer { record, address, id })
    }
}

/// Descriptors that came with a message, of which it is not known yet what they are.
///
/// The control file, which claims are made by, is this process's own: it holds no record locks on
/// it that closing a descriptor could drop.
pub(in crate::registry) struct Unasked {
    descriptors: Vec<OwnedFd>,
    control: Option<Identity>,
}

impl Unasked {
    pub(in crate::registry) fn new(descriptors: Vec<OwnedFd>, control: Option<Identity>) -> Self {
        Unasked { descriptors, control }
    }
}

impl Drop for Unasked {
    fn drop(&mut self) {
        for descriptor in self.descriptors.drain(..) {
            match (sys::file::look(descriptor.as_fd()), self.control) {
                (Ok(stat), Some(control)) if stat.identity == control => drop(descriptor),
                _ => sys::foreign::dispose(descriptor),
            }
        }
    }
}

/// An area that was offered to us: checked, and ours to map.
#[derive(Debug)]
pub(in crate::registry) struct Parcel {
    pub(in crate::registry) offer: PendingTransfer,
    pub(in crate::registry) object: Object,
    /// What may be done with its pages: what the giver had, less what the kernel no longer allows.
    protection: Protection,
    /// The process that gave it; 0 for one outside our pid namespace.
    pub(in crate::registry) from: u32,
    /// The claim to the id that it shall have; `None` where what came is none, so that it gets
    /// another one.
    pub(in crate::registry) claim: Option<Claim>,
}

impl Parcel {
    /// Opens a packet that came to our transfer socket; `None` if anything in it is not as it must
    /// be. Its descriptors are closed then, but for those of files, which are kept: to close one
    /// could wait, or drop our own record locks on it. `control` is this process's control file.
    ///
    /// An area without its claim is still an area: its giver may have joined the registry when its
    /// folder was another one.
    ///
    /// # Errors
    /// The kernel did not say what came: it may be an area, of which no other process has the
    /// memory.
    pub(in crate::registry) fn open(
        packet: Packet,
        bytes: &[u8; PendingTransfer::BYTES],
        control: Option<Identity>,
    ) -> Result<Option<Self>> {
        let Packet { len, cut, sender, descriptors, .. } = packet;
        let mut came = Unasked::new(descriptors, control);
        let ours = |user| [0, sys::process::user(), sys::process::real_user()].contains(&user);
        let Some(sender) = sender.filter(|sender| ours(sender.user)) else { return Ok(None) };
        let (descriptor, claim) = match came.descriptors.as_slice() {
            [descriptor] => (descriptor, None),
            [descriptor, claim] => (descriptor, Some(claim)),
            _ => return Ok(None),
        };
        let Some(offer) = PendingTransfer::decode(bytes).filter(|_| len == PendingTransfer::BYTES && !cut)
        else {
            return Ok(None);
        };
        let record = &offer.record;
        if record.physical.is_some() {
            // It is not transferred: a process that says so may mean any memory of the machine.
            return Ok(None);
        }
        let unknown = || {
            Error::new(ErrorKind::System, format!("accept what process {} has transferred", sender.pid)).with_remedy(
                "it stays queued: `registry::transferred` tries again, `registry::refuse_transfer` drops it",
            )
        };
        let writable = sys::file::is_writable(descriptor.as_fd())
            .map_err(|errno| unknown().with_system_call("fcntl(F_GETFL)", errno))?;
        if !is_memory(descriptor.as_fd(), unknown)? {
            return Ok(None);
        }
        if let Some(claim) = claim {
            // What it is matters below. Here, that it is not what an area could be made of.
            let stat =
                sys::file::look(claim.as_fd()).map_err(|errno| unknown().with_system_call("statx", errno))?;
            if !stat.is_file() || stat.identity == record.object {
                return Ok(None);
            }
        }
        let claim = if claim.is_some() { came.descriptors.pop() } else { None };
        let Some(descriptor) = came.descriptors.pop() else { return Ok(None) };
        // What is not a claim is not closed either, if it is a file.
        let claim = claim.and_then(|file| {
            Claim::received(offer.id, file, control).map_err(|file| came.descriptors.push(file)).ok()
        });
        let object = match Object::adopt(descriptor, record.extent, record.exact) {
            Err(error) if error.kind() == ErrorKind::InvalidInput => return Ok(None),
            other => other.map_err(|error| unknown().caused_by(error))?.into_piece(record.piece, record.span),
        };
        if object.identity() != record.object || object.page_size() != record.page {
            return Ok(None);
        }
        let mut protection = record.protection;
        if object.refused_writers() {
            // It may have been frozen on its way: then no process had it mapped for writing.
            protection = protection.difference(Protection::WRITE);
        } else if protection.contains(Protection::WRITE) && !writable {
            return Ok(None);
        }
        Ok(Some(Parcel { offer, object, protection, from: sender.pid, claim }))
    }

    /// Maps it, where the giver wants it if it can be, and locks it as it was locked there.
    pub(in crate::registry) fn map(&mut self) -> Result<Mapping> {
        match self.try_to_map() {
            // It was sealed against writers after the look at its seals, and stays so: it comes for
            // reading.
            Err(error) if error.kind() == ErrorKind::Frozen => self.try_to_map(),
            mapped => mapped,
        }
    }

    fn try_to_map(&mut self) -> Result<Mapping> {
        let sealed = self.object.refuses_writers()?;
        if sealed {
            // Since it came, maybe, and for good.
            self.protection = self.protection.difference(Protection::WRITE);
        }
        if sealed && sys::file::is_writable(self.object.fd()).unwrap_or(true) {
            // Older kernels map a sealed object through a descriptor for reading only.
            let read_only = self.object.reopen_read_only()?;
            self.object.replace_descriptor(&read_only).map_err(|errno| {
                Error::new(ErrorKind::System, "accept a frozen area").with_system_call("dup3", errno)
            })?;
        }
        let PendingTransfer { record, address, .. } = &self.offer;
        let whose = format!("area {:?}, which process {} has transferred", record.name, self.from);
        let what = format!("accept {whose}");
        headroom::keep(|| what.clone())?;
        // By the bounds that a receiver has who sets none. None of them makes the lock a weaker
        // one.
        Acceptance::DEFAULT.check(&self.object, record.lock, &what).map_err(|error| {
            error.with_remedy(
                "drop it (`registry::refuse_transfer`), or have it sent over a socket (`ReceiveOptions`)",
            )
        })?;
        // The policy of base pages lies on the object, that of hugetlb pages on each mapping.
        let placement = match record.page != PageSize::base() && !record.placement.is_default() {
            true => Some(resolve(record.placement.whole())?),
            false => None,
        };
        let wish = AddressRequest { address: *address, home: None, protection: self.protection, placement };
        let object = &mut self.object;
        let mapping = map_with_room(object, &wish).or_else(|error| match address {
            Address::Exactly(address) if is_of_the_place(&error) => {
                // They were free when it was offered. To drop its only copy for that would help no
                // one.
                let mut mapping = map_with_room(object, &AddressRequest { address: Address::Any, ..wish })?;
                mapping.record_fallback(format!("addresses from {address:#x} on"), "others", error);
                Ok(mapping)
            }
            _ => Err(error),
        });
        let mapping = mapping.map_err(|error| Error::new(error.kind(), what.clone()).caused_by(error))?;
        if !matches!(self.object.extent(), Extent::Fixed) {
            // Only the size of a core dump depends on it.
            let _ = mapping.advise(Advice::DontDump);
        }
        let used = self.object.size_in_pages().min(mapping.span());
        let resizable = matches!(self.object.extent(), Extent::Resizable { .. });
        if record.page != PageSize::base() && self.object.missing() > 0 && !resizable {
            take_pool_pages(&mapping, used, None)
                .map_err(|error| Error::new(error.kind(), what.clone()).caused_by(error))?;
        }
        if used > 0 {
            record.lock.apply(mapping.base(), used, &whose)?;
            physical::prove(&mapping, used, record.lock, &what)?;
        }
        Ok(mapping)
    }
}

/// Whether an error is about the addresses that were asked for.
fn is_of_the_place(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::AddressInUse | ErrorKind::InvalidInput | ErrorKind::NotPermitted)
}

/// Whether it is an object of memory that is in no folder.
///
/// # Errors
/// `unknown`, with the call: the kernel did not say.
fn is_memory(descriptor: BorrowedFd<'_>, unknown: impl Fn() -> Error) -> Result<bool> {
    match sys::object::seals(descriptor) {
        Ok(_) => {}
        // No memory object, or only a name of one. From here on its file system is the kernel's
        // own: an error of it is not the giver's doing, which could keep our transfer socket shut
        // with it.
        Err(sys::Errno::INVAL | sys::Errno::BADF) => return Ok(false),
        Err(errno) => return Err(unknown().with_system_call("fcntl(F_GET_SEALS)", errno)),
    }
    // A file in a folder can have seals, too.
    let stat = sys::file::look(descriptor).map_err(|errno| unknown().with_system_call("statx", errno))?;
    Ok(stat.links == 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lock::Lock;
    use crate::nodes::CompactPlacement;
    use crate::object::Piece;
    use crate::registry::table::{Announcement, Name};
    use crate::sys::file::Identity;

    fn offer(address: Address, name: &[u8]) -> PendingTransfer {
        let area = Announcement {
            name: Name::new(name).unwrap(),
            descriptor: 7,
            object: Identity { device: 1, inode: 4711 },
            address: 0x7f00_0000_0000,
            span: 1 << 20,
            extent: Extent::Growable { max: 1 << 20 },
            piece: Piece::WHOLE,
            exact: None,
            physical: None,
            protection: Protection::READ_WRITE,
            lock: Lock::Lazy,
            page: PageSize::base(),
            placement: CompactPlacement::Default,
            note: Note::new([b'n'; 256]).unwrap(),
            claiming: false,
        };
        PendingTransfer {
            record: Record { id: AreaId::from_parts(3, 9), created: 5, area },
            address,
            id: AreaId::from_parts(4, 11),
        }
    }

    #[test]
    fn each_form_of_address_comes_back() {
        for address in [
            Address::Any,
            Address::Exactly(0x1000),
            Address::AtOrAbove(0x2000),
            Address::Random,
            Address::RandomAtOrAbove(usize::MAX),
        ] {
            let offer = offer(address, b"ring");
            assert_eq!(PendingTransfer::decode(&offer.encode()), Some(offer));
        }
    }

    #[test]
    fn another_format_is_none_of_ours() {
        let good = offer(Address::Any, b"ring").encode();
        for (at, byte) in [(0, b'B'), (7, 0), (8, 1), (8, 2), (12, 5), (12, 255), (27, 0x80), (29, 2)] {
            let mut bytes = good;
            bytes[at] = byte;
            assert_eq!(PendingTransfer::decode(&bytes), None, "{at}");
        }
    }

    proptest! {
        #[test]
        fn noise_does_no_harm(noise in prop::collection::vec(any::<u8>(), PendingTransfer::BYTES), ours in any::<bool>()) {
            let mut bytes: [u8; PendingTransfer::BYTES] = noise.try_into().unwrap();
            if ours {
                bytes[..PendingTransfer::RECORD].copy_from_slice(&offer(Address::Any, b"x").encode()[..PendingTransfer::RECORD]);
            }
            if let Some(offer) = PendingTransfer::decode(&bytes) {
                prop_assert_eq!(PendingTransfer::decode(&offer.encode()), Some(offer));
            }
        }
    }
}
