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

mod any;
mod arranged;
mod builder;
mod clone;
mod current;
mod cut;
mod descriptors;
mod freeze;
mod frozen;
mod guard;
mod locking;
mod moving;
pub(crate) mod passing;
mod place;
mod private;
mod receiving;
mod reserve;
mod resizable;
mod shared;
mod stored;
mod transfer;

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

pub use any::{AnyArea, Received};
pub use builder::{AreaBuilder, CreatedOrOpened, EXCLUSIVE_TIMEOUT, builder};
pub use clone::CloneBuilder;
pub use freeze::DEFAULT_FREEZE_TIMEOUT;
pub use frozen::Frozen;
pub use private::Private;
pub use receiving::{ReceiveOptions, receive};
pub use resizable::Resizable;
pub use shared::{Shared, SharedSlice};
pub use stored::Stored;
pub use transfer::Transfer;

use crate::error::{Error, ErrorKind, Result};
use crate::lock::Lock;
use crate::mapping::{Fallback, Mapping};
use crate::object::{Extent, Object};
use crate::owner::Owners;
use crate::page::PageSize;
use crate::place::{CompactPlacement, Placement};
use crate::populate::{self, Job, Populated, Progress, Refused};
use crate::protection::Protection;
use crate::provider::{take_pool_pages, transparent};
use crate::registry::{Announcement, AreaId, Name, Note, Publication};
use crate::residency::{self, Residency};
use crate::size::Bytes;
use crate::sys;

/// The kinds of areas, by which the type says who may write: [`Private`], [`Shared`],
/// [`Resizable`], [`Frozen`] and [`Stored`]. No other crate adds one.
pub trait AreaKind: sealed::Sealed + fmt::Debug + Send + Sync + 'static {}

mod sealed {
    pub trait Sealed {}
}

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
    object: Option<Object>,
    name: Option<Name>,
    note: Note,
    lock: Lock,
    placement: CompactPlacement,
    /// Whether base pages may be collapsed into transparent huge ones.
    gather: bool,
    gathered: usize,
    /// Whether core dumps leave it out because that was asked for.
    undumped: bool,
    kind: PhantomData<K>,
}

/// What an area was actually given.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Granted<'a> {
    /// Bytes in whole pages.
    pub mapped: usize,
    /// Bytes of addresses taken, a reserve included.
    pub span: usize,
    /// The pages that it is mapped with.
    pub page_size: PageSize,
    /// Bytes that were collapsed into transparent huge pages.
    pub gathered: usize,
    /// What was given instead of what was asked first; and, after populating, why pages could not
    /// be collapsed into transparent huge ones.
    pub fallbacks: &'a [Fallback],
}

impl<K: AreaKind> Area<K> {
    /// An area over a mapping: without a name, and not locked yet.
    #[inline]
    fn over(mapping: Mapping, object: Option<Object>, placement: CompactPlacement) -> Self {
        exclude_reserve_from_dump(&mapping, object.as_ref(), false);
        if let Some(object) = &object {
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
            gather: false,
            gathered: 0,
            undumped: false,
            kind: PhantomData,
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
                .call("madvise(MADV_DONTDUMP)", errno)
        })?;
        self.undumped = true;
        Ok(())
    }

    /// The bytes asked for, or that it has grown to.
    ///
    /// One `fstat` for a growable area, no system call for others.
    #[must_use]
    pub fn size(&self) -> usize {
        let Some(object) = &self.object else { return self.mapping.size() };
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

    /// What was actually given.
    #[must_use]
    pub fn granted(&self) -> Granted<'_> {
        Granted {
            mapped: self.mapped(),
            span: self.mapping.span(),
            page_size: self.mapping.page_size(),
            gathered: self.gathered,
            fallbacks: self.mapping.fallbacks(),
        }
    }

    /// Measures where each of its pages is, and how large it is. Faults nothing in.
    ///
    /// Containers forbid `move_pages`. There the number of bytes on each node is reported, and the
    /// node of single pages only if all are on one ([`Residency::knows_pages`]).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for low areas, whose memory belongs to no node;
    /// [`ErrorKind::NotPermitted`] where even the page tables are hidden.
    #[doc(alias = "move_pages")]
    pub fn residency(&self) -> Result<Residency> {
        if let Some(object) = &self.object {
            object.refuse_physical(|| format!("measure {self}"))?;
        }
        residency::measure(&self.mapping, self.object.as_ref(), self.used())
    }

    /// Faults all its pages in, in parallel, where they were asked to be.
    ///
    /// # Errors
    /// [`ErrorKind::NoMemory`] where the nodes, the machine or a control group (`memory.max`,
    /// `memory.high`) plainly do not have that much: before the kernel's out-of-memory killer has
    /// its say. If others take the room concurrently, it stops on the way; pages that came in until
    /// then stay, as another holder may have written them.
    #[doc(alias = "MADV_POPULATE_WRITE")]
    pub fn populate(&mut self) -> Result<()> {
        self.populate_with(&mut |_| {})
    }

    /// The same, and reports its progress, on the calling thread.
    ///
    /// # Errors
    /// As [`populate`](Area::populate).
    pub fn populate_with(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        if self.mapping.is_guarded() {
            return self.unguarded(|area| area.populate_with(progress));
        }
        let whose = self.to_string();
        if self.is_physical() {
            // It is RAM that belongs to the area alone, and there.
            let total = self.used();
            progress(Progress { done: total, total });
            return Ok(());
        }
        // Others may shrink a resizable area concurrently: what they cut off need not come in.
        const MAX_CUTS: usize = 100;
        for cuts in 0.. {
            let job = Job {
                mapping: &self.mapping,
                object: self.object.as_ref(),
                len: self.used(),
                placement: Some(self.placement.whole()),
                collapse: self.gather,
                whose: &whose,
            };
            match populate::run(&job, progress) {
                Ok(done) => {
                    self.note_gathering(&done);
                    break;
                }
                Err(error) if cuts < MAX_CUTS && self.was_cut(job.len, &error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What [`granted`](Area::granted) says of pages that were collapsed into transparent huge
    /// ones, and of those that could not be, the last time.
    fn note_gathering(&mut self, done: &Populated) {
        const ASKED: &str = "transparent huge pages";
        self.gathered = done.collapsed_bytes;
        self.mapping.forget_fallbacks(ASKED);
        let Some(refused) = done.refused else { return };
        let error = Error::new(ErrorKind::Unsupported, format!("collapse the pages of {self}"));
        let error = match refused {
            Refused::ByKernel(errno) => error.call("madvise(MADV_COLLAPSE)", errno),
            refused => error.detail(refused.to_string()),
        };
        let error = match transparent::forbidden(Path::new("/"), self.object.is_some()) {
            Some(why) => error.detail(why),
            None if refused == Refused::ByKernel(sys::Errno::NOMEM.into()) => error.detail(
                "no huge page is available on the node that it belongs on: its memory is full, or fragmented",
            ),
            None => error,
        };
        let given = match self.gathered {
            0 => "base pages".to_owned(),
            some => format!("{} in them, and base pages", Bytes::from(some)),
        };
        self.mapping.record_fallback(ASKED, given, error);
    }

    /// Whether an error is because another holder made the area smaller than `len`, and maybe as
    /// large again.
    fn was_cut(&self, len: usize, error: &Error) -> bool {
        let resizable =
            self.object.as_ref().is_some_and(|object| matches!(object.extent(), Extent::Resizable { .. }));
        // Looked at before the pages are touched, or reported by the kernel as they are.
        let beyond_the_end = error.kind() == ErrorKind::OutOfRange
            || error.errno().is_some_and(|errno| errno == sys::Errno::FAULT.into());
        resizable && (self.used() < len || beyond_the_end)
    }

    /// Changes what may be done with its pages. Its clones are not affected.
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
        let frozen = || self.object.as_ref().is_some_and(|object| object.is_frozen().unwrap_or(false));
        if error.kind() != ErrorKind::NotPermitted || !protection.contains(Protection::WRITE) || !frozen() {
            return error;
        }
        Error::new(ErrorKind::Frozen, format!("change the protection of {self} to {protection}"))
            .detail("it is frozen: no process can write it any more")
            .help("copy what it holds into an area of your own")
            .caused_by(error)
    }

    /// Whether it is a range of physical memory that the kernel does not manage.
    fn is_physical(&self) -> bool {
        self.object.as_ref().is_some_and(|object| object.physical().is_some())
    }

    /// The whole pages that hold its bytes.
    fn used(&self) -> usize {
        match &self.object {
            Some(object) => object.size_in_pages().min(self.mapping.span()),
            None => self.mapping.span(),
        }
    }

    /// The same area as another kind.
    fn into_kind<L: AreaKind>(self) -> Area<L> {
        let Area {
            publication,
            owners,
            mapping,
            object,
            name,
            note,
            lock,
            placement,
            gather,
            gathered,
            undumped,
            kind: _,
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
            gather,
            gathered,
            undumped,
            kind: PhantomData,
        }
    }

    fn retire_object(&mut self) -> Result<()> {
        let object = object_of(self.object.as_ref());
        object.refuse_physical(|| format!("retire {self}"))?;
        object.mark_retired().map_err(|error| match error.errno() {
            Some(errno) if errno == sys::Errno::PERM.into() => {
                Error::new(ErrorKind::NotPermitted, format!("retire {self}"))
                    .detail("its memory is another user's")
                    .help("have its owner retire it")
                    .caused_by(error)
            }
            _ => error,
        })?;
        let identity = object.identity();
        self.publication = None;
        self.name = None;
        crate::registry::retire_own(identity)
    }

    /// Publishes it under a name, so that others find it; only if no other area has it, if that is
    /// wanted.
    fn publish_as(&mut self, name: Name, exclusive: bool) -> Result<AreaId> {
        let Some(object) = &self.object else {
            return Err(Error::new(ErrorKind::Unsupported, format!("publish {self} as {name:?}"))
                .detail("it is private memory"));
        };
        if let Some(id) = self.id() {
            return Err(Error::new(ErrorKind::InvalidInput, format!("publish {self} as {name:?}"))
                .detail(format!("it is published already, with id {id}"))
                .help("clone it to give it a second name"));
        }
        if object.is_retired().unwrap_or(false) {
            return Err(Error::new(ErrorKind::InvalidInput, format!("publish {self} as {name:?}"))
                .detail("its memory is retired: no process can find it any more")
                .help("copy what it holds into a new area"));
        }
        if matches!(object.extent(), Extent::Resizable { .. }) {
            // One look, at the descriptor and the size, once others can see how many addresses it
            // has.
            let id = self.publish_wanted(name, exclusive)?;
            self.look_after_joining("publish")?;
            return Ok(id);
        }
        if object.own_fd().is_err() {
            return Err(crate::object::closed(format!("publish {self} as {name:?}")));
        }
        self.publish_wanted(name, exclusive)
    }

    /// The same, for one that was made in this call, alone if that is wanted.
    fn publish_wanted(&mut self, name: Name, exclusive: bool) -> Result<AreaId> {
        if !exclusive {
            return self.publish_new(name);
        }
        let object = object_of(self.object.as_ref());
        let told = self.announcement(name.clone(), &self.mapping, object);
        let (publication, id) = Publication::alone(told, EXCLUSIVE_TIMEOUT)?;
        self.publication = Some(publication);
        self.name = Some(name);
        Ok(id)
    }

    /// Another name instead of the one that it has. What fails leaves it as it was.
    fn rename_as(&mut self, name: Name, exclusive: bool) -> Result<AreaId> {
        let what = format!("rename {self} to {name:?}");
        let Some(object) = &self.object else {
            return Err(Error::new(ErrorKind::Unsupported, what).detail("it is private memory"));
        };
        if object.is_retired().unwrap_or(false) {
            return Err(Error::new(ErrorKind::InvalidInput, what)
                .detail("its memory is retired: no process can find it any more")
                .help("copy what it holds into a new area"));
        }
        if object.own_fd().is_err() {
            return Err(crate::object::closed(what));
        }
        let Some(publication) = &mut self.publication else {
            return Err(Error::new(ErrorKind::InvalidInput, what)
                .detail("it is not published, and has no name to be changed")
                .help("publish it under that name"));
        };
        let id = publication.rename(name.clone(), exclusive.then_some(EXCLUSIVE_TIMEOUT), &what)?;
        self.name = Some(name);
        Ok(id)
    }

    /// The same for one that was made in this call: it is not published, and its descriptor is what
    /// it was.
    fn publish_new(&mut self, name: Name) -> Result<AreaId> {
        let object = object_of(self.object.as_ref());
        let (publication, id) = Publication::new(self.announcement(name.clone(), &self.mapping, object))?;
        self.publication = Some(publication);
        self.name = Some(name);
        Ok(id)
    }

    /// What it publishes of itself in the registry, mapped there.
    fn announcement(&self, name: Name, mapping: &Mapping, object: &Object) -> Announcement {
        use std::os::fd::AsRawFd;
        Announcement {
            name,
            descriptor: object.fd().as_raw_fd(),
            object: object.identity(),
            address: mapping.as_ptr().addr() as u64,
            span: mapping.span() as u64,
            extent: object.extent(),
            piece: object.piece(),
            exact: object.exact(),
            physical: object.physical().map(|start| start..start.saturating_add(object.size() as u64)),
            protection: mapping.protection(),
            lock: self.lock,
            page: object.page_size(),
            placement: self.placement.clone(),
            note: self.note.clone(),
            claiming: false,
        }
    }

    /// Applies a lock to the bytes that are there, after bringing them in where that is what it
    /// means.
    fn apply_lock(&mut self, lock: Lock, whose: &str) -> Result<()> {
        self.mapping.refuse_given(
            || format!("lock {whose} as {lock}"),
            "lock the whole memory before it is given to a provider",
        )?;
        let (base, len) = (self.mapping.base(), self.used());
        if len == 0 || self.is_physical() {
            // An empty area has a page of addresses and no byte that could stay in RAM; physical
            // memory cannot but stay.
            self.lock = lock;
            return Ok(());
        }
        if lock.is_full() {
            // First the allowance, which costs nothing, then the pages, in parallel and with an
            // error where one is missing.
            Lock::ask_allowance(base, len, whose)?;
            self.populate()?;
        }
        lock.apply(base, len, whose)?;
        self.lock = lock;
        Ok(())
    }
}

impl<K: AreaKind> Area<K> {
    /// Takes the pages that were missing of an object of hugetlb pages that another process made:
    /// one that is not there would be a SIGBUS at the touch.
    fn take_missing(&self, what: impl FnOnce() -> String) -> Result<()> {
        let object = object_of(self.object.as_ref());
        match (object.missing(), object.extent()) {
            // Of a resizable one the end may move at any moment, and it is never touched.
            (0, _) | (_, Extent::Resizable { .. }) => Ok(()),
            (missing, _) => self.take_pages(missing, what),
        }
    }

    /// The same for one that was just frozen: up to that moment a process that could write it could
    /// take pages away; from now on none can.
    fn take_missing_of_frozen(&self, what: impl FnOnce() -> String) -> Result<()> {
        if self.mapping.page_size() == PageSize::base() {
            return Ok(());
        }
        match object_of(self.object.as_ref()).missing_now() {
            0 => Ok(()),
            missing => self.take_pages(missing, what),
        }
    }

    fn take_pages(&self, missing: u64, what: impl FnOnce() -> String) -> Result<()> {
        if self.mapping.page_size() == PageSize::base() || self.is_physical() {
            // A hole of those is zeros to all.
            return Ok(());
        }
        take_pool_pages(&self.mapping, self.used(), None).map_err(|error| {
            let fill = error.remedy().unwrap_or("fill the pool").to_owned();
            Error::new(error.kind(), what())
                .detail(format!(
                    "{} of its pages are missing, and the pool does not have them",
                    Bytes(missing)
                ))
                .help(format!("{fill}; or have its maker populate it"))
                .caused_by(error)
        })
    }
}

impl Area<Shared> {
    /// Holds what a lock demands of page frames, on another process's word, against where they are.
    fn prove_lock(&mut self, lock: Lock, what: impl FnOnce() -> String) -> Result<()> {
        let Some(demand) = lock.demand() else { return Ok(()) };
        match object_of(self.object.as_ref()).physical() {
            // It is one range, and never moves.
            Some(start) => {
                let end = start.saturating_add(self.size() as u64);
                if demand.below.is_none_or(|below| end <= below) {
                    return Ok(());
                }
                Err(Error::new(ErrorKind::InvalidInput, what()).detail(format!(
                    "it is said to be locked as {lock}, and ends at physical address {end:#x}"
                )))
            }
            None => crate::physical::prove(&self.mapping, self.used(), lock, &what()),
        }
    }
}

macro_rules! can_be_published {
    ($($kind:ty),*) => {$(
        impl Area<$kind> {
            /// Publishes it under a name, so that others find it: when its contents are complete,
            /// say.
            ///
            /// # Errors
            /// [`ErrorKind::InvalidInput`] for a bad name or an area that is published already;
            /// [`ErrorKind::Registry`], [`ErrorKind::Limit`] where the registry cannot take it;
            /// [`ErrorKind::AddressInUse`] for a resizable one that another holder has grown beyond
            /// the addresses that are here, where there are no more.
            pub fn publish(&mut self, name: impl AsRef<[u8]>) -> Result<AreaId> {
                self.publish_as(Name::new(name)?, false)
            }

            /// The same, under a name that was checked before.
            ///
            /// # Errors
            /// As [`publish`](Area::publish).
            pub fn publish_named(&mut self, name: Name) -> Result<AreaId> {
                self.publish_as(name, false)
            }

            /// Publishes it under a name that no other area has, as [`AreaBuilder::exclusive`]
            /// says: when its contents are complete, say.
            ///
            /// # Errors
            /// As [`publish`](Area::publish); [`ErrorKind::NameTaken`] if another area has the
            /// name; [`ErrorKind::Busy`] where another process was stopped in the middle of taking
            /// it.
            pub fn publish_exclusive(&mut self, name: impl AsRef<[u8]>) -> Result<AreaId> {
                self.publish_as(Name::new(name)?, true)
            }

            /// Publishes it under another name instead of the one that it has. It gets another id,
            /// because an id stands for one publication; its note stays. Processes that have it
            /// keep it, and other holders' names for the same memory stay.
            ///
            /// At no moment is it found under neither name; for a moment it may be found under
            /// both.
            ///
            /// # Errors
            /// As [`publish`](Area::publish), and [`ErrorKind::InvalidInput`] for one that is not
            /// published. It has its name and its id as before.
            pub fn rename(&mut self, name: impl AsRef<[u8]>) -> Result<AreaId> {
                self.rename_as(Name::new(name)?, false)
            }

            /// The same, under a name that no other area has, as [`AreaBuilder::exclusive`] says:
            /// of several that want a name at once one gets it.
            ///
            /// # Errors
            /// As [`rename`](Area::rename); [`ErrorKind::NameTaken`] if another area has the name;
            /// [`ErrorKind::Busy`] where another process was stopped in the middle of taking it. It
            /// has its name and its id as before, all the while.
            pub fn rename_exclusive(&mut self, name: impl AsRef<[u8]>) -> Result<AreaId> {
                self.rename_as(Name::new(name)?, true)
            }

            /// Withdraws its name and its id: it is not found by this holder any more. The mapping
            /// stays, and so do other holders' areas over the same memory. It can be published
            /// again, under any name. Returns the name that it had; `None` if it was not published.
            ///
            /// A process that has found it before, and has not opened it, is refused as if it were
            /// gone ([`ErrorKind::NoSuchArea`]).
            pub fn unpublish(&mut self) -> Option<Name> {
                self.publication.take().and(self.name.take())
            }

            /// Retires its memory, permanently: it cannot be found or opened any more, by any
            /// holder, under any name. Its holders keep it, and may still pass it on over a socket.
            /// What replaces it can be published under the same name at once, before or after.
            ///
            /// That is marked on the memory itself. This process's areas over it are withdrawn at
            /// once ([`unpublish`](Area::unpublish)). Other holders' are still listed
            /// ([`Info::retired`](crate::registry::Info::retired) says so), and cannot be opened,
            /// cloned or transferred: [`ErrorKind::NoSuchArea`]. [`find`](crate::registry::find)
            /// passes over them; only a process that has found that very holder's area before may
            /// be led to it once more, and is refused when it opens it.
            ///
            /// # Errors
            /// [`ErrorKind::Unsupported`] for low areas; [`ErrorKind::NotPermitted`] where the
            /// memory is another user's; [`ErrorKind::Busy`] where another holder was stopped in
            /// the middle of marking it.
            pub fn retire(&mut self) -> Result<()> {
                self.retire_object()
            }

            /// Notes something beside it, up to 256 bytes that mean what the program says, in place
            /// of what was noted before; an empty note removes it. Processes that find the area by
            /// this holder read it ([`Source::note`](crate::registry::Source::note),
            /// [`Info::note`](crate::registry::Info::note)): the old one or the new one, whole.
            /// Where the area is not published yet, the note is published with the name.
            ///
            /// A note is its holder's. Clones that exist keep theirs.
            ///
            /// # Errors
            /// [`ErrorKind::InvalidInput`] for a note of more than [`Note::MAX`] bytes;
            /// [`ErrorKind::Limit`] where this process has published so many areas that there is no
            /// room for it: what was noted stays.
            pub fn set_note(&mut self, note: impl AsRef<[u8]>) -> Result<()> {
                let note = Note::new(note)?;
                if let Some(publication) = &self.publication {
                    publication.set_note(note.clone())?;
                }
                self.note = note;
                Ok(())
            }
        }
    )*};
}
can_be_published!(Shared, Resizable, Frozen);

/// The object's descriptor: to pass it on, or to hand it to a library that wants a file.
///
/// A process that gets it can do with the object what its seals allow. (That of a low area is one
/// of `/dev/mem`: see [`Object::physical`].)
impl AsFd for Area<Shared> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.object().as_fd()
    }
}

/// As for shared areas, but read-only: no process can write through it.
impl AsFd for Area<Frozen> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.object().as_fd()
    }
}

impl Area<Resizable> {
    /// The object behind it.
    ///
    /// From then on others may have it, as far as this library knows: by way of its descriptor.
    #[must_use]
    pub fn object(&self) -> &Object {
        let object = object_of(self.object.as_ref());
        // Where it cannot be marked, its descriptor is closed, and leads no process to it.
        let _ = object.mark_held();
        object
    }

    /// The same for questions, and not for its descriptor.
    #[doc(hidden)]
    #[must_use]
    pub fn object_to_ask(&self) -> &Object {
        object_of(self.object.as_ref())
    }
}

macro_rules! has_an_object {
    ($($kind:ty),*) => {$(
        impl Area<$kind> {
            /// The object behind it.
            #[must_use]
            #[inline]
            pub fn object(&self) -> &Object {
                object_of(self.object.as_ref())
            }
        }
    )*};
}
has_an_object!(Shared, Frozen);

/// Shared, resizable and frozen areas are built with an object, always.
#[inline]
fn object_of(object: Option<&Object>) -> &Object {
    object.unwrap_or_else(|| unreachable!("only private areas have no object"))
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
