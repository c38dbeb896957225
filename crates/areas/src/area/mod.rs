//! Areas: chunks of mapped memory that you hold.
//!
//! The type says who else may write, and so what Rust may do with the bytes:
//!
//! | type | who writes | what it lends |
//! |---|---|---|
//! | [`Area<Private>`] | this process only | `&[u8]`, `&mut [u8]` |
//! | [`Area<Shared>`] | every process that has a clone | nothing: copies, atomic words, raw pointers |
//! | [`Area<Resizable>`] | every process that has a clone, and its size may shrink | nothing: copies through the kernel |
//! | [`Area<Frozen>`] | none, ever again | `&[u8]` |
//! | [`Area<Stored>`] | every process that has the file or device open | nothing: copies through the kernel |

mod addresses;
mod any;
mod arranged;
mod builder;
mod clone;
mod current;
mod cursor;
mod cut;
mod descriptors;
mod freeze;
mod frozen;
mod granted;
mod guard;
mod kind;
mod left;
mod locking;
mod moving;
mod objects;
mod opening;
mod pages;
mod parts;
pub(crate) mod passing;
mod place;
mod private;
mod publishing;
mod queue;
mod receiving;
mod reserve;
mod resizable;
mod shared;
mod slice;
mod stored;
mod transfer;
mod try_clone;

use std::fmt;

pub use any::{AnyArea, Received};
pub use builder::{AreaBuilder, CreatedOrOpened, EXCLUSIVE_TIMEOUT, builder};
pub use clone::CloneBuilder;
pub use cursor::Cursor;
pub use freeze::DEFAULT_FREEZE_TIMEOUT;
pub use frozen::Frozen;
pub use granted::Granted;
pub use kind::{AreaKind, Clonable, Freezable};
pub use private::Private;
pub use receiving::{ReceiveOptions, receive};
pub use resizable::Resizable;
pub use shared::Shared;
pub use slice::SharedSlice;
pub use stored::Stored;
pub use transfer::Transfer;

use kind::MaybeObject;

use crate::error::{Error, ErrorKind, Result};
use crate::lock::Lock;
use crate::mapping::Mapping;
use crate::nodes::{CompactPlacement, Placement};
use crate::object::{Extent, Object};
use crate::owner::Owners;
use crate::protection::Protection;
use crate::registry::{AreaId, Name, Note, Publication};
use crate::size::Bytes;
use crate::sys;

/// A chunk of mapped memory that this process holds.
///
/// Dropping it unmaps it and withdraws its name and id; the memory is freed with its last holder.
///
/// # Its addresses are its own
///
/// Other code must not unmap them, map over them (`MAP_FIXED`, `SHM_REMAP`) or move them away
/// (`mremap`), its reserve included: safe calls rely on it, and a drop unmaps them whatever is
/// there by then. That takes unsafe code, whose author has to know this. Code that has done it all
/// the same calls [`reconcile`](Area::reconcile) before anything else: it releases what is no
/// longer the area's, without touching what is there now, and returns what is left. Memory of an
/// area that is no longer needed is freed by [`resize`](Area::resize), or a drop.
#[must_use = "an area that is dropped is gone"]
pub struct Area<K: AreaKind> {
    // In the order in which they have to go: first it is not found any more, then it is unmapped,
    // then the object is closed.
    publication: Option<Publication>,
    /// This process's owners of locks that are in it.
    owners: Owners,
    mapping: Mapping,
    /// Its memory, if that is an object.
    object: K::Object,
    name: Option<Name>,
    note: Note,
    lock: Lock,
    placement: CompactPlacement,
    /// Whether base pages may be collapsed into transparent huge ones.
    may_collapse: bool,
    collapsed: usize,
    /// Whether core dumps leave it out because that was asked for.
    undumped: bool,
}

impl<K: AreaKind> Area<K> {
    /// An area over a mapping: without a name, and not locked yet.
    #[inline]
    fn over(mapping: Mapping, object: K::Object, placement: CompactPlacement) -> Self {
        exclude_reserve_from_dump(&mapping, object.get(), false);
        if let Some(object) = object.get() {
            object.hand_out();
        }
        Area {
            publication: None,
            owners: Owners::default(),
            mapping,
            object,
            name: None,
            note: Note::default(),
            lock: Lock::None,
            placement,
            may_collapse: false,
            collapsed: 0,
            undumped: false,
        }
    }

    /// Leaves it out of core dumps of this process from now on (`MADV_DONTDUMP`): what
    /// [`AreaBuilder::dump`] says of new areas, for one that was cloned or received. Other holders'
    /// dumps, and those of their forked children, are theirs.
    ///
    /// Growable and resizable areas are left out in any case: a dump would have their reserve as
    /// well.
    ///
    /// # Errors
    /// [`ErrorKind::System`] with what the kernel said.
    #[doc(alias = "MADV_DONTDUMP")]
    pub fn exclude_from_dump(&mut self) -> Result<()> {
        self.mapping.refuse_given(
            || format!("leave {self} out of core dumps"),
            "leave the whole memory out (madvise) before it is given to a provider",
        )?;
        self.mapping.advise(sys::memory::Advice::DontDump).map_err(|errno| {
            Error::new(ErrorKind::System, format!("leave {self} out of core dumps"))
                .with_system_call("madvise(MADV_DONTDUMP)", errno)
        })?;
        self.undumped = true;
        Ok(())
    }

    /// The bytes asked for, or that it has grown to.
    ///
    /// One `fstat` for a growable area, no system call for others.
    #[must_use]
    pub fn size(&self) -> usize {
        let Some(object) = self.object.get() else { return self.mapping.size() };
        let size = object.size();
        match object.extent() {
            // Another holder can make the object larger than its maximum, past this library: what
            // is not mapped here is not counted.
            Extent::Growable { .. } => size.min(self.mapping.span()),
            _ => size,
        }
    }

    /// The bytes of its whole pages.
    #[must_use]
    pub fn mapped(&self) -> usize {
        let page = self.mapping.page_size();
        page.round_up(self.size().max(1)).unwrap_or(self.mapping.span()).min(self.mapping.span())
    }

    /// The bytes of addresses that it has taken, its size included: how far it can grow.
    #[must_use]
    pub fn reserve(&self) -> usize {
        self.mapping.span()
    }

    /// Where it begins.
    ///
    /// What may be done through the pointer: see [`Mapping::as_ptr`].
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.mapping.as_ptr()
    }

    /// Its name, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// What is noted beside it by this holder: what was given at its making, what its source had
    /// when it was cloned, or what `set_note` has put there. [`Note::as_bytes`] is empty where that
    /// is nothing.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Its id, if it is published (and was so by this process, not by the one that forked it).
    #[must_use]
    pub fn id(&self) -> Option<AreaId> {
        self.publication.as_ref().and_then(Publication::id)
    }

    /// What may be done with its pages.
    #[must_use]
    pub fn protection(&self) -> Protection {
        self.mapping.protection()
    }

    /// Whether it is to stay in RAM, as was asked. (The program may have undone that with `munlock`
    /// or `munlockall`: [`Info::locked`](crate::registry::Info::locked) measures it.)
    #[must_use]
    pub fn lock(&self) -> Lock {
        self.lock
    }

    /// Its placement: what was asked here, or what the kernel has by now. (Where its pages *are*,
    /// [`residency`](Area::residency) measures.)
    ///
    /// Other processes that have a shared area mapped may change its placement, as `areas move`
    /// does. So the kernel is asked for the policy of the first page (not of private areas and
    /// hugetlb pages, whose policy is this process's own): where that is not what was asked for
    /// that page, it is returned, without a home node, as the kernel does not show one. Where a
    /// sandbox forbids the question, it is what was asked.
    pub fn placement(&self) -> Placement {
        self.placement_now()
    }

    /// Changes what may be done with its pages. Its clones are not affected.
    ///
    /// ```
    /// use areas::{ErrorKind, Protection};
    ///
    /// let mut area = areas::builder(4096).shared()?;
    /// area.protect(Protection::READ)?;
    /// assert_eq!(area.write_at(0, b"x").unwrap_err().kind(), ErrorKind::ReadOnly);
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NotPermitted`] where it was opened for less, [`ErrorKind::Frozen`] for writing
    /// a frozen area.
    pub fn protect(&mut self, protection: Protection) -> Result<()> {
        self.mapping.protect(protection).map_err(|error| self.explain_refused(protection, error))?;
        if let Some(publication) = &self.publication {
            publication.set_protection(protection);
        }
        Ok(())
    }

    /// A refused protection, with the reason where it is that the area is frozen.
    fn explain_refused(&self, protection: Protection, error: Error) -> Error {
        let frozen = || self.object.get().is_some_and(|object| object.is_frozen().unwrap_or(false));
        if error.kind() != ErrorKind::NotPermitted || !protection.contains(Protection::WRITE) || !frozen() {
            return error;
        }
        Error::new(ErrorKind::Frozen, format!("change the protection of {self} to {protection}"))
            .with_facts("it is frozen: no process can write it any more")
            .with_remedy("copy what it holds into an area of your own")
            .caused_by(error)
    }

    /// Whether it is a range of physical memory that the kernel does not manage.
    fn is_physical(&self) -> bool {
        self.object.get().is_some_and(|object| object.physical().is_some())
    }

    /// The whole pages that hold its bytes.
    fn used(&self) -> usize {
        match self.object.get() {
            Some(object) => object.size_in_pages().min(self.mapping.span()),
            None => self.mapping.span(),
        }
    }
}

impl<K: Clonable> Area<K> {
    /// The same area as another kind that others can clone.
    fn into_kind<L: Clonable>(self) -> Area<L> {
        let Area {
            publication,
            owners,
            mapping,
            object,
            name,
            note,
            lock,
            placement,
            may_collapse,
            collapsed,
            undumped,
        } = self;
        Area {
            publication,
            owners,
            mapping,
            object,
            name,
            note,
            lock,
            placement,
            may_collapse,
            collapsed,
            undumped,
        }
    }
}

/// `area "ring"`, or its size where it has no name: what messages call it.
impl<K: AreaKind> fmt::Display for Area<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "area {name:?}"),
            None => write!(f, "an area of {}", Bytes::from(self.mapping.size())),
        }
    }
}

impl<K: AreaKind> fmt::Debug for Area<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Area")
            .field("name", &self.name)
            .field("mapping", &self.mapping)
            .field("object", &self.object)
            .field("lock", &self.lock)
            .field("placement", &self.placement.whole())
            .finish_non_exhaustive()
    }
}

/// Keeps reserves out of core dumps, and what was asked to be kept out. For a mapping that replaces
/// another this has to be done again.
fn exclude_reserve_from_dump(mapping: &Mapping, object: Option<&Object>, undumped: bool) {
    let has_reserve = object.is_some_and(|object| !matches!(object.extent(), Extent::Fixed));
    if has_reserve || undumped {
        // Only the size of a core dump depends on it.
        let _ = mapping.advise(sys::memory::Advice::DontDump);
    }
}
