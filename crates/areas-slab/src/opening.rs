//! Slices by their handles, in any process; and all that a forked child has of this one's.

use std::sync::Weak;

use areas::{Error, Result};

use crate::attachments::{self, Attachments};
use crate::handle::Handle;
use crate::heir::Heir;
use crate::reader::Lease;
use crate::slab::Slab;

/// Releases the slabs that [`open`] and [`take`] have attached to, whose owner is dead and of which
/// nothing is read here: their memory goes with that. How many. ([`open`] and [`take`] do so when
/// they attach to another one.)
pub fn detach_dead() -> usize {
    attachments::forget_dead(&mut Attachments::own().readers())
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
    let readers: Vec<_> = all.readers().values().cloned().collect();
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

/// Opens a slice by its handle, in any process of the same user: the slab's area is mapped once,
/// and stays until its owner is dead and nothing of it is read here.
///
/// # Errors
/// As [`Reader::open`](crate::Reader::open);
/// [`ErrorKind::NoSuchArea`](areas::ErrorKind::NoSuchArea) if the slab's owner is gone;
/// [`ErrorKind::Unreadable`](areas::ErrorKind::Unreadable) if its area may not be opened.
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
