//! The slabs that this process owns, and those that it has attached to by handles.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use areas::{AreaId, Result, registry};

use crate::handle::Handle;
use crate::owner::Owner;
use crate::reader::Reader;

/// The slabs that one process owns or has attached to, by their number: of this process, and then
/// of each forked child in a row.
pub(crate) struct Attachments {
    pid: u32,
    readers: Mutex<HashMap<u64, Reader>>,
    owners: Mutex<HashMap<u64, Weak<Owner>>>,
    next: OnceLock<Box<Attachments>>,
}

/// Those of the process that first asked.
static FIRST: OnceLock<Attachments> = OnceLock::new();

impl Attachments {
    fn new(pid: u32) -> Self {
        Attachments { pid, readers: Mutex::default(), owners: Mutex::default(), next: OnceLock::new() }
    }

    /// This process's own: those of its parent are not looked at, as a thread that this process has
    /// not may hold their mutex.
    pub(crate) fn own() -> &'static Self {
        let pid = std::process::id();
        let mut at = FIRST.get_or_init(|| Attachments::new(pid));
        while at.pid != pid {
            at = at.next.get_or_init(|| Box::new(Attachments::new(pid)));
        }
        at
    }

    pub(crate) fn readers(&self) -> MutexGuard<'_, HashMap<u64, Reader>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn owners(&self) -> MutexGuard<'_, HashMap<u64, Weak<Owner>>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn reader(&self, handle: &Handle) -> Result<Reader> {
        let mut readers = self.readers();
        if let Some(reader) = readers.get(&handle.nonce) {
            return Ok(reader.clone());
        }
        forget_dead(&mut readers);
        let area = registry::get(AreaId::new(handle.area)?)?.open()?;
        let reader = Reader::attach(area).map_err(|rejected| rejected.error)?;
        if reader.slab() != handle.nonce {
            return Err(handle.gone("the area of that id has another slab in it"));
        }
        readers.insert(handle.nonce, reader.clone());
        Ok(reader)
    }
}

/// Slabs whose owner is dead, and of which nothing is read here, are released. How many.
pub(crate) fn forget_dead(readers: &mut HashMap<u64, Reader>) -> usize {
    let before = readers.len();
    readers.retain(|_, reader| reader.is_used() || reader.is_owner_alive().unwrap_or(false));
    before - readers.len()
}

/// Knows a slab of this process.
pub(crate) fn own(number: u64, owner: &Arc<Owner>) {
    let mut owners = Attachments::own().owners();
    owners.retain(|_, owner| owner.strong_count() > 0);
    owners.insert(number, Arc::downgrade(owner));
}

/// Knows it no more.
pub(crate) fn disown(number: u64) {
    Attachments::own().owners().remove(&number);
}

/// Has [`open`] and [`take`] use a reader that this process has already.
pub(crate) fn known(reader: Reader) {
    Attachments::own().readers().entry(reader.slab()).or_insert(reader);
}
