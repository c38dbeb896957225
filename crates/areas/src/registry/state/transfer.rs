//! Taking in what other teams give to ours.

use std::os::fd::AsRawFd;
use std::sync::atomic::{Ordering, fence};

use super::transferred::Transferred;
use super::{Key, State};
use crate::error::{Error, ErrorKind, Result};
use crate::lock::Lock;
use crate::mapping::Mapping;
use crate::nodes::CompactPlacement;
use crate::object::{Extent, Object, closed};
use crate::registry::directory::Directory;
use crate::registry::own::Team;
use crate::registry::source::{Holder, Source};
use crate::registry::table::{Announcement, AreaId, Name, Note, Record};
use crate::registry::transfer::{Parcel, PendingTransfer, TransferSocket};
use crate::size::Bytes;
use crate::sys;
use crate::sys::limits::{Limit, limit};

/// An area that came from another team: ours, published, and not yet taken by the program.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(super) key: Key,
    pub(crate) mapping: Mapping,
    pub(crate) object: Object,
    pub(crate) name: Name,
    pub(crate) lock: Lock,
    pub(crate) placement: CompactPlacement,
    pub(crate) note: Note,
    from: u32,
    former: AreaId,
}

impl Arrival {
    pub(in crate::registry) fn key(&self) -> Key {
        self.key
    }
}

impl State {
    /// Accepts what others have offered: maps and publishes it. Two system calls where there is
    /// nothing.
    ///
    /// What cannot be accepted (a limit, no addresses) stays first in line, and is tried again at
    /// the next look: its error. What comes behind it waits in the kernel's queue. So does what
    /// would be more than a program may have untaken ([`is_full`]).
    pub(in crate::registry) fn look(&mut self) -> Option<Error> {
        /// The rest can wait for the next call.
        const MAX_AT_ONCE: usize = 64;
        for _ in 0..MAX_AT_ONCE {
            let next = match self.stuck.take() {
                Some(parcel) => Ok(Some(parcel)),
                None if !self
                    .own
                    .as_ref()
                    .and_then(Team::transfer_socket)
                    .is_some_and(TransferSocket::may_have_offers) =>
                {
                    Ok(None)
                }
                None => {
                    // Its claim is one of the folder in use by now. Whatever comes of that, the
                    // area is accepted.
                    let _ = self.rejoin();
                    let control = self.directory.as_ref().and_then(Directory::control_identity);
                    let socket = self.own.as_ref().and_then(Team::transfer_socket);
                    socket.map_or(Ok(None), |socket| socket.take(|| is_full(&self.arrivals), control))
                }
            };
            let mut parcel = match next {
                Ok(Some(parcel)) => parcel,
                Ok(None) => break,
                Err(error) => return Some(error),
            };
            match self.accept(&mut parcel) {
                Ok((key, mapping)) => {
                    let Parcel { offer: PendingTransfer { record, .. }, object, from, .. } = parcel;
                    let (former, Announcement { name, lock, placement, note, .. }) = (record.id, record.area);
                    let arrival = Arrival { key, mapping, object, name, lock, placement, note, from, former };
                    self.arrivals.push(arrival);
                }
                Err(error) => {
                    self.stuck = Some(parcel);
                    return Some(error);
                }
            }
        }
        None
    }

    fn accept(&mut self, parcel: &mut Parcel) -> Result<(Key, Mapping)> {
        let before = parcel.object.span();
        let mut mapping = parcel.map()?;
        let area = Announcement {
            descriptor: parcel.object.fd().as_raw_fd(),
            address: mapping.as_ptr().addr() as u64,
            span: mapping.span() as u64,
            extent: parcel.object.extent(),
            exact: parcel.object.exact(),
            protection: mapping.protection(),
            ..parcel.offer.record.area.clone()
        };
        let published = self.publish_claimed(area, parcel.claim.as_ref());
        let published =
            published.and_then(|(key, _)| self.follow_growth(key, parcel, &mut mapping).map(|()| key));
        match published {
            Ok(key) => {
                // Whoever has the id by now sees it in our table.
                parcel.claim = None;
                Ok((key, mapping))
            }
            Err(error) => {
                if let Extent::Resizable { .. } = parcel.object.extent()
                    && !parcel.object.is_capped()
                {
                    // The next look may find more room.
                    parcel.object.widen(before);
                }
                Err(error)
            }
        }
    }

    /// Takes the addresses that a resizable area lacks by now: who grew it while no process could
    /// see it here did not ask for them (`area/reserve.rs`, "joins").
    ///
    /// # Errors
    /// It is not published any more then: where it was to be there are no addresses for it, and the
    /// next look has it elsewhere.
    fn follow_growth(&mut self, key: Key, parcel: &mut Parcel, mapping: &mut Mapping) -> Result<()> {
        let object = &mut parcel.object;
        let Extent::Resizable { .. } = object.extent() else { return Ok(()) };
        if object.is_capped() || parcel.offer.record.lock != Lock::None {
            return Ok(());
        }
        fence(Ordering::SeqCst);
        let size = object.size_in_pages();
        if size <= mapping.span() {
            return Ok(());
        }
        let extended = object
            .own_fd()
            .map_err(|_| closed("accept an area that has grown".to_owned()))
            .and_then(|fd| mapping.extend(size, fd));
        if let Err(error) = extended {
            if let (Some(number), Some(team)) = (self.forget(key), &mut self.own) {
                // Only a mapping that is gone could refuse, and then there is nothing to take back.
                let _ = team.withdraw(number);
            }
            return Err(Error::new(
                ErrorKind::AddressInUse,
                "accept an area that another holder has grown on its way",
            )
            .with_remedy("look again: it is mapped elsewhere then")
            .caused_by(error));
        }
        object.widen(size);
        let (span, extent) = (size as u64, object.extent());
        self.update(key, |area| (area.span, area.extent) = (span, extent));
        Ok(())
    }

    /// Drops what could not be accepted. Whether there was something.
    pub(in crate::registry) fn refuse(&mut self) -> bool {
        let control = self.directory.as_ref().and_then(Directory::control_identity);
        let socket = self.own.as_ref().and_then(Team::transfer_socket);
        self.stuck.take().is_some() || socket.is_some_and(|socket| socket.refuse(control))
    }

    /// What came and was not taken yet, in the order in which it came.
    pub(in crate::registry) fn arrivals(&self) -> Vec<Transferred> {
        self.arrivals
            .iter()
            .filter_map(|arrival| {
                let record = self.own_record(arrival.key)?;
                let source = Source::new(Holder::Own, record);
                Some(Transferred::new(arrival.key, source, arrival.from, arrival.former))
            })
            .collect()
    }

    /// Gives an arrival to the program, and whether it is frozen by now. After an error it is still
    /// there.
    pub(in crate::registry) fn take(&mut self, key: Key) -> Result<Option<(Arrival, bool)>> {
        let Some(at) = self.arrivals.iter().position(|arrival| arrival.key == key) else { return Ok(None) };
        let Arrival { object, mapping, lock, name, .. } = &mut self.arrivals[at];
        let frozen = object.is_frozen()?;
        if frozen {
            // It came in before it was frozen, maybe, and others may have made it smaller, or
            // larger, concurrently. Its bytes are lent.
            object.fix_size()?;
            let size = object.size_in_pages();
            if size > mapping.span() {
                let fd = object.own_fd().map_err(|_| closed("map all of a frozen area".to_owned()))?;
                mapping.extend(size, fd).map_err(|error| {
                    Error::new(error.kind(), format!("take area {name:?}"))
                        .with_facts(format!(
                            "it was made larger than its addresses before it was frozen: {} instead of {}",
                            Bytes::from(size),
                            Bytes::from(mapping.span())
                        ))
                        .with_remedy("clone it by its name: `open_frozen`")
                        .caused_by(error)
                })?;
                lock.apply(mapping.base(), size, &format!("area {name:?}"))?;
            }
        }
        Ok(Some((self.arrivals.remove(at), frozen)))
    }

    pub(super) fn own_record(&self, key: Key) -> Option<Record> {
        let number = self.held.get(&key)?.number?;
        self.own.as_ref()?.table().view().record(number).map(|(_, record)| record)
    }

    /// Publishes an area of ours again, under a new id, and withdraws the old one: it is found all
    /// the while.
    pub(in crate::registry) fn replace(&mut self, key: Key, area: Announcement) -> Result<()> {
        if !self.held.contains_key(&key) {
            // It was retired.
            return Ok(());
        }
        self.replace_closed_table()?;
        self.publish_inherited()?;
        let (number, id) = self.announce(&area, None)?;
        let before = self.forget(key);
        self.addresses.insert(area.address, key);
        self.held.insert(key, super::Held { area, number: Some(number) });
        self.show(key, id);
        if let (Some(team), Some(before)) = (&mut self.own, before) {
            // Only a mapping that is gone could refuse, and then there is nothing to take back.
            let _ = team.withdraw(before);
        }
        Ok(())
    }
}

/// Whether a program has as much untaken as it may have: others give it that, unasked, and all else
/// that it does needs descriptors, addresses and memory, too.
fn is_full(untaken: &[Arrival]) -> bool {
    /// So many.
    const MAX: usize = 256;
    /// Of the descriptors that a process may have, one in so many.
    const DESCRIPTORS: u64 = 8;
    /// Bytes of addresses.
    const ADDRESSES: u64 = 4 << 40;
    /// Of RAM, one part in so many: of what is there, and of what is locked.
    const MEMORY: u64 = 2;
    const LOCKED: u64 = 8;
    if untaken.is_empty() {
        return false;
    }
    let files = limit(Limit::OpenFiles).unwrap_or(u64::MAX) / DESCRIPTORS;
    if untaken.len() >= MAX || untaken.len() as u64 >= files {
        return true;
    }
    let (ram, _) = sys::process::memory();
    let (mut addresses, mut bytes, mut locked) = (0_u64, 0_u64, 0_u64);
    for arrival in untaken {
        let size = arrival.object.file_size() as u64;
        addresses = addresses.saturating_add(arrival.mapping.span() as u64);
        bytes = bytes.saturating_add(size);
        if arrival.lock != Lock::None {
            locked = locked.saturating_add(size);
        }
    }
    addresses >= ADDRESSES || bytes >= ram / MEMORY || locked >= ram / LOCKED
}
