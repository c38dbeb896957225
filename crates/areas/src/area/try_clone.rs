//! A second area over the memory of one that this process holds.

use super::clone::clone_placement;
use super::{AnyArea, Area, Clonable};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::headroom;
use crate::object::Extent;
use crate::provider::{Provider, Request, System};

impl<K: Clonable> Area<K> {
    /// Maps its memory once more in this process: another area of the same kind, with the same
    /// protection, lock and note, at other addresses. Each can be dropped on its own; the memory
    /// stays as long as one of them does.
    ///
    /// It needs no name, and the new area has none: it is not published. For another thread or part
    /// of a program a reference to the area (`Arc<Area<K>>`) is cheaper. Areas of other processes
    /// are cloned by [`Source::open`](crate::registry::Source::open).
    ///
    /// ```
    /// let area = areas::builder(4096).shared()?;
    /// let clone = area.try_clone()?;
    /// clone.store(0, 7_u32, std::sync::atomic::Ordering::Relaxed)?;
    /// assert_eq!(area.load::<u32>(0, std::sync::atomic::Ordering::Relaxed)?, 7);
    /// assert_ne!(clone.as_ptr(), area.as_ptr());
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] over a limit of this process (descriptors, addresses, locked memory);
    /// [`ErrorKind::NoMemory`] where the pool lacks hugetlb pages that were taken away;
    /// [`ErrorKind::NotPermitted`] where a sandbox keeps it from being noted that a resizable area
    /// has several holders; [`ErrorKind::System`] with what the kernel said.
    #[doc(alias = "dup")]
    pub fn try_clone(&self) -> Result<Self> {
        let what = || format!("clone {self}");
        headroom::keep(what)?;
        if let Extent::Resizable { .. } = self.object.extent() {
            // Either may take more addresses than the other before it is published: who grows asks
            // for the room of all.
            self.object.mark_uneven()?;
        }
        let object =
            self.object.again().map_err(|error| Error::new(error.kind(), what()).caused_by(error))?;
        let mut request = Request::object(&object).protection(self.protection());
        if let Some(placement) = clone_placement(self.placement.whole(), object.page_size())? {
            request = request.placed(placement);
        }
        let mapping = System::new().map(&request)?;
        // What this process unmaps of the one stays as the other's.
        object.mark_held()?;
        let mut clone: Self = Area::over(mapping, object, self.placement.clone());
        clone.note = self.note.clone();
        clone.take_missing(what)?;
        clone.lock_clone(self.lock, true, || format!("a clone of {self}"), what)?;
        if self.undumped {
            clone.exclude_from_dump()?;
        }
        Ok(clone)
    }
}

impl AnyArea {
    /// Maps its memory once more in this process: [`Area::try_clone`].
    ///
    /// # Errors
    /// As there; [`ErrorKind::Unsupported`] for private and stored memory.
    pub fn try_clone(&self) -> Result<Self> {
        match self {
            AnyArea::Shared(area) => area.try_clone().map(AnyArea::Shared),
            AnyArea::Resizable(area) => area.try_clone().map(AnyArea::Resizable),
            AnyArea::Frozen(area) => area.try_clone().map(AnyArea::Frozen),
            AnyArea::Private(area) => Err(Error::new(ErrorKind::Unsupported, format!("clone {area}"))
                .with_facts("it is private memory, which has no second mapping")
                .with_remedy("make it shared, or copy it")),
            AnyArea::Stored(area) => Err(Error::new(ErrorKind::Unsupported, format!("clone {area}"))
                .with_facts("it is a part of a file or a memory device")
                .with_remedy("make another area by the provider that made it")),
        }
    }
}
