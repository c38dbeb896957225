//! Which areas are offered: those that were named, that are there, and that are frozen.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use areas::registry::{self, Info, Source};
use areas::{Area, AreaId, Error, ErrorKind, Frozen, Name, Result};
use bytes::Bytes;

use crate::allowed::Allowed;
use crate::checksum::Checksum;
use crate::ipc::Table;
use crate::wire::{Offered, Ticket};

/// What is offered.
#[derive(Debug)]
pub(crate) struct Offer {
    allowed: Vec<Allowed>,
    /// What was computed of an area that never changes: by id, object, and when it was published.
    known: Mutex<HashMap<Key, Known>>,
}

/// An id may be another area's once its own has gone, and so may an inode; not both, at the same
/// time.
type Key = (AreaId, (u64, u64), u64);

#[derive(Clone, Debug, Default)]
struct Known {
    checksum: Option<Checksum>,
    table: Option<Option<Arc<Table>>>,
}

/// More than so many are computed again as they are asked for.
const MAX_KNOWN: usize = 4096;

/// An area that is offered, open.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) info: Info,
    /// Its memory, which lives as long as a part of these.
    pub(crate) bytes: Bytes,
    pub(crate) table: Option<Arc<Table>>,
}

impl Offer {
    pub(crate) fn new(allowed: Vec<Allowed>) -> Self {
        Offer { allowed, known: Mutex::default() }
    }

    /// Looks whether all that were named, other than by patterns, are there and frozen: so that who
    /// mistypes one learns it at once.
    pub(crate) fn check(&self) -> Result<()> {
        for allowed in &self.allowed {
            if let Allowed::Name(name) = allowed {
                self.open(name)?;
            }
        }
        Ok(())
    }

    /// What is offered now. What cannot be looked at any more is left out: it has just gone.
    pub(crate) fn list(&self) -> Result<Vec<Opened>> {
        let areas = registry::list()?.areas;
        let mut seen = std::collections::HashSet::new();
        let areas = areas.iter().filter(|source| self.is_allowed(source.name()));
        let frozen = areas.filter_map(|source| self.open_source(source, None).ok());
        // Of several areas of a name, the oldest is found by it; they are in order of age.
        Ok(frozen.filter(|opened| seen.insert(opened.info.name.clone())).collect())
    }

    /// The area of that name, if it is offered.
    pub(crate) fn open(&self, name: &Name) -> Result<Opened> {
        if !self.is_allowed(name) {
            return Err(not_offered(format!("{name:?}")));
        }
        match registry::find(name.as_bytes()) {
            Ok(source) => self.open_source(&source, None),
            Err(error) if error.kind() == ErrorKind::NoSuchArea => Err(not_offered(format!("{name:?}"))),
            Err(error) => Err(error),
        }
    }

    /// The area that a ticket is for, if it is still offered.
    pub(crate) fn open_ticket(&self, ticket: &Ticket) -> Result<Opened> {
        let gone = || not_offered(format!("area {}", ticket.id));
        let source = AreaId::new(ticket.id).ok().and_then(|id| registry::get(id).ok()).ok_or_else(gone)?;
        if !self.is_allowed(source.name()) {
            return Err(gone());
        }
        self.open_source(&source, Some(ticket.object)).map_err(|error| match error.kind() {
            ErrorKind::NoSuchArea => gone(),
            _ => error,
        })
    }

    fn is_allowed(&self, name: &Name) -> bool {
        self.allowed.iter().any(|allowed| allowed.fits(name))
    }

    fn open_source(&self, source: &Source, object: Option<(u64, u64)>) -> Result<Opened> {
        let info = source.info()?;
        if object.is_some_and(|object| object != info.object) {
            return Err(not_offered(format!("area {}", info.id)));
        }
        if info.offset != 0 || !source.is_frozen()? {
            return Err(Error::new(ErrorKind::Busy, format!("serve area {} {:?}", info.id, info.name))
                .with_facts("it is not frozen: it may change while it is sent")
                .with_remedy(format!("`areas freeze {}`, or `areas put --freeze`", info.id)));
        }
        let area: Area<Frozen> = source.open_frozen()?;
        if area.object().file_id() != info.object {
            return Err(not_offered(format!("area {}", info.id)));
        }
        let mut opened = Opened { bytes: Bytes::from_owner(area), info, table: None };
        opened.info.size = opened.bytes.len();
        opened.table = self.know(
            &opened,
            |known| known.table.clone(),
            |known, bytes| known.table.insert(Table::of(bytes).map(Arc::new)).clone(),
        );
        Ok(opened)
    }

    /// Of all its bytes. It is computed once.
    pub(crate) fn checksum(&self, opened: &Opened) -> Checksum {
        self.know(opened, |known| known.checksum, |known, bytes| *known.checksum.insert(Checksum::of(bytes)))
    }

    pub(crate) fn offered(&self, opened: &Opened, with_checksum: bool) -> Offered {
        let checksum = with_checksum.then(|| self.checksum(opened));
        Offered::new(&opened.info, checksum, opened.table.is_some())
    }

    /// What is known of an area, or is computed now, while no process waits for anything else.
    fn know<T>(
        &self,
        opened: &Opened,
        known: impl Fn(&Known) -> Option<T>,
        compute: impl Fn(&mut Known, &[u8]) -> T,
    ) -> T {
        let key = (opened.info.id, opened.info.object, opened.info.created_since_boot);
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = lock().get(&key).and_then(&known) {
            return found;
        }
        let mut fresh = Known::default();
        let found = compute(&mut fresh, &opened.bytes);
        let mut all = lock();
        if all.len() >= MAX_KNOWN {
            all.clear();
        }
        let kept = all.entry(key).or_default();
        kept.checksum = kept.checksum.or(fresh.checksum);
        if kept.table.is_none() {
            kept.table = fresh.table;
        }
        found
    }
}

/// Said alike of what is not there and of what is not for others: who asks does not learn which.
fn not_offered(which: String) -> Error {
    Error::new(ErrorKind::NoSuchArea, format!("serve {which}"))
        .with_facts("nothing is offered under that name")
}
