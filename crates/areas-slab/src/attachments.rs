//! The slabs that this process owns, and those that it has attached to by handles.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use areas::{AreaId, Error, Result, registry};

use crate::handle::Handle;
use crate::heir::Heir;
use crate::owner::{Owner, Slab};
use crate::reader::{Lease, Reader};

/// The slabs that one process owns or has attached to, by their number: of this process, and then
/// of each forked child in a row.
struct Attachments {
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
    fn own() -> &'static Self {
        let pid = std::process::id();
        let mut at = FIRST.get_or_init(|| Attachments::new(pid));
        while at.pid != pid {
            at = at.next.get_or_init(|| Box::new(Attachments::new(pid)));
        }
        at
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Reader>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn owners(&self) -> MutexGuard<'_, HashMap<u64, Weak<Owner>>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self, handle: &Handle) -> Result<Reader> {
        let mut readers = self.lock();
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
fn forget_dead(readers: &mut HashMap<u64, Reader>) -> usize {
    let before = readers.len();
    readers.retain(|_, reader| reader.is_used() || reader.is_owner_alive().unwrap_or(false));
    before - readers.len()
}

/// Releases the slabs that [`open`] and [`take`] have attached to, whose owner is dead and of which
/// nothing is read here: their memory goes with that. How many. ([`open`] and [`take`] do so when
/// they attach to another one.)
pub fn detach_dead() -> usize {
    forget_dead(&mut Attachments::own().lock())
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

/// The slab that a handle leads to, if it is this process's own: [`Slab::again`] opens the handle
/// without another mapping.
#[must_use]
pub fn owned(handle: &Handle) -> Option<Slab> {
    Attachments::own().owners().get(&handle.slab())?.upgrade().map(Slab)
}

/// To be called before this process forks: what the child will have of the slices and leases of all
/// slabs that this process owns, or has attached to by [`open`] and [`take`]. Where a slab has no
/// seat left for the child, the blocks that this process has are never reused, and the first such
/// error is reported.
pub fn before_fork() -> (Vec<Heir>, Option<Error>) {
    let all = Attachments::own();
    let owners: Vec<_> = all.owners().values().filter_map(Weak::upgrade).map(Slab).collect();
    let readers: Vec<_> = all.lock().values().cloned().collect();
    let (mut heirs, mut failed) = (Vec::new(), None);
    let mut add = |heir: Result<Option<Heir>>, pin: &dyn Fn() -> Result<()>| match heir {
        Ok(heir) => heirs.extend(heir),
        Err(error) => {
            // (An error here is for a child's: which it is not.)
            let _ = pin();
            failed.get_or_insert(error);
        }
    };
    owners.iter().for_each(|slab| add(slab.before_fork(), &|| slab.pin()));
    readers.iter().for_each(|reader| add(reader.before_fork(), &|| reader.pin()));
    (heirs, failed)
}

/// Has [`open`] and [`take`] use a reader that this process has already.
pub(crate) fn known(reader: Reader) {
    Attachments::own().lock().entry(reader.slab()).or_insert(reader);
}

/// Opens a slice by its handle, in any process of the same user: the slab's area is mapped once,
/// and stays until its owner is dead and nothing of it is read here.
///
/// # Errors
/// As [`Reader::open`]; [`ErrorKind::NoSuchArea`](areas::ErrorKind::NoSuchArea) if the slab's owner
/// is gone; [`ErrorKind::Unreadable`](areas::ErrorKind::Unreadable) if its area may not be opened.
pub fn open(handle: &Handle) -> Result<Lease> {
    Attachments::own().reader(handle)?.open(handle)
}

/// Takes a slice whose handle was [given](crate::Slice::give), as [`open`] opens one.
///
/// # Errors
/// As [`open`].
pub fn take(handle: &Handle) -> Result<Lease> {
    Attachments::own().reader(handle)?.take(handle)
}
