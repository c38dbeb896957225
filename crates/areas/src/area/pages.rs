//! The pages of an area: where they are, brought in, taken from the pool.

use std::path::Path;

use super::kind::MaybeObject;
use super::{Area, AreaKind, Clonable};
use crate::error::{Error, ErrorKind, Result};
use crate::object::Extent;
use crate::page::PageSize;
use crate::populate::{self, Job, Populated, Progress, Refused};
use crate::provider::{take_pool_pages, transparent};
use crate::residency::{self, Residency};
use crate::size::Bytes;
use crate::sys;

impl<K: AreaKind> Area<K> {
    /// Measures where each of its pages is, and how large it is. Faults nothing in.
    ///
    /// Containers forbid `move_pages`. There the number of bytes on each node is reported, and the
    /// node of single pages only if all are on one ([`Residency::knows_pages`]).
    ///
    /// ```
    /// let mut area = areas::builder(1 << 20).private()?;
    /// area[0] = 1;
    /// let residency = area.residency()?; // faults nothing in
    /// assert_eq!(residency.size(), 1 << 20);
    /// assert!(residency.resident() >= 4096 && residency.absent() > 0);
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for low areas, whose memory belongs to no node;
    /// [`ErrorKind::NotPermitted`] where even the page tables are hidden.
    #[doc(alias = "move_pages")]
    pub fn residency(&self) -> Result<Residency> {
        if let Some(object) = self.object.get() {
            object.refuse_physical(|| format!("measure {self}"))?;
        }
        residency::measure(&self.mapping, self.object.get(), self.used())
    }

    /// Faults all its pages in, in parallel, where they were asked to be.
    ///
    /// ```
    /// let mut area = areas::builder(8 << 20).private()?;
    /// area.populate()?; // by several threads; where there is not enough memory, an error
    /// assert_eq!(area.residency()?.resident(), 8 << 20);
    /// # Ok::<(), areas::Error>(())
    /// ```
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
    /// ```
    /// let mut area = areas::builder(8 << 20).private()?;
    /// let mut last = 0;
    /// area.populate_with(&mut |progress| last = progress.done)?;
    /// assert_eq!(last, 8 << 20);
    /// # Ok::<(), areas::Error>(())
    /// ```
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
                object: self.object.get(),
                len: self.used(),
                placement: Some(self.placement.whole()),
                collapse: self.may_collapse,
                whose: &whose,
            };
            match populate::run(&job, progress) {
                Ok(done) => {
                    self.note_collapsing(&done);
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
    pub(super) fn note_collapsing(&mut self, done: &Populated) {
        const ASKED: &str = "transparent huge pages";
        self.collapsed = done.collapsed_bytes;
        self.mapping.forget_fallbacks(ASKED);
        let Some(refused) = done.refused else { return };
        let error = Error::new(ErrorKind::Unsupported, format!("collapse the pages of {self}"));
        let error = match refused {
            Refused::ByKernel(errno) => error.with_system_call("madvise(MADV_COLLAPSE)", errno),
            refused => error.with_facts(refused.to_string()),
        };
        let error = match transparent::forbidden(Path::new("/"), self.object.get().is_some()) {
            Some(why) => error.with_facts(why),
            None if refused == Refused::ByKernel(sys::Errno::NOMEM.into()) => error.with_facts(
                "no huge page is available on the node that it belongs on: its memory is full, or fragmented",
            ),
            None => error,
        };
        let given = match self.collapsed {
            0 => "base pages".to_owned(),
            some => format!("{} in them, and base pages", Bytes::from(some)),
        };
        self.mapping.record_fallback(ASKED, given, error);
    }

    /// Whether an error is because another holder made the area smaller than `len`, and maybe as
    /// large again.
    pub(super) fn was_cut(&self, len: usize, error: &Error) -> bool {
        let resizable =
            self.object.get().is_some_and(|object| matches!(object.extent(), Extent::Resizable { .. }));
        // Looked at before the pages are touched, or reported by the kernel as they are.
        let beyond_the_end = error.kind() == ErrorKind::OutOfRange
            || error.errno().is_some_and(|errno| errno == sys::Errno::FAULT.into());
        resizable && (self.used() < len || beyond_the_end)
    }
}

impl<K: Clonable> Area<K> {
    /// Takes the pages that were missing of an object of hugetlb pages that another process made:
    /// one that is not there would be a SIGBUS at the touch.
    pub(super) fn take_missing(&self, what: impl FnOnce() -> String) -> Result<()> {
        let object = &self.object;
        match (object.missing(), object.extent()) {
            // Of a resizable one the end may move at any moment, and it is never touched.
            (0, _) | (_, Extent::Resizable { .. }) => Ok(()),
            (missing, _) => self.take_pages(missing, what),
        }
    }

    /// The same for one that was just frozen: up to that moment a process that could write it could
    /// take pages away; from now on none can.
    pub(super) fn take_missing_of_frozen(&self, what: impl FnOnce() -> String) -> Result<()> {
        if self.mapping.page_size() == PageSize::base() {
            return Ok(());
        }
        match self.object.missing_now() {
            0 => Ok(()),
            missing => self.take_pages(missing, what),
        }
    }

    pub(super) fn take_pages(&self, missing: u64, what: impl FnOnce() -> String) -> Result<()> {
        if self.mapping.page_size() == PageSize::base() || self.is_physical() {
            // A hole of those is zeros to all.
            return Ok(());
        }
        take_pool_pages(&self.mapping, self.used(), None).map_err(|error| {
            let fill = error.remedy().unwrap_or("fill the pool").to_owned();
            Error::new(error.kind(), what())
                .with_facts(format!(
                    "{} of its pages are missing, and the pool does not have them",
                    Bytes(missing)
                ))
                .with_remedy(format!("{fill}; or have its maker populate it"))
                .caused_by(error)
        })
    }
}
