//! The memory of an area that was found: opened, asked about, and measured.
//!
//! Another holder of the same memory serves where the one that was found does not.

mod inspection;
mod locked;
mod mapped;
mod own;
mod unpublished;

use std::ops::Range;

use super::peer::{Folders, Opened, Rights, open_object_at};
use super::process::{self, OWN_DESCRIPTORS};
use super::source::{Holder, Info, Source};
use super::state::state;
use crate::error::{Error, ErrorKind, Result};
use crate::object::{Object, is_retired};
use crate::sys::file::Stat;
pub use inspection::{Inspection, Measured};
pub use locked::{Locked, Locks};
pub(crate) use mapped::Mapped;
use own::{open_own, stat_own};
pub(crate) use unpublished::LABEL;
pub use unpublished::{Unpublished, unpublished};

impl Source {
    /// What is known of it, its size as the kernel has it now.
    ///
    /// ```
    /// let area = areas::builder(5000).name("doc: described").shared()?;
    /// let info = areas::registry::find("doc: described")?.info()?;
    /// assert_eq!((info.size, info.pid), (5000, std::process::id()));
    /// assert_eq!(info.lock, area.lock());
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchArea`] if it is gone.
    pub fn info(&self) -> Result<Info> {
        let stat = self.stat().or_else(|error| self.by_others(error, None, Source::stat))?;
        Ok(Info::new(&self.record, self.pid(), &stat))
    }

    /// What is retired is not opened, but to look at it.
    fn refuse_retired(&self, stat: &Stat) -> Result<()> {
        if !is_retired(stat) {
            return Ok(());
        }
        match &self.holder {
            Holder::Peer(peer) => peer.pass_over(self.record.id),
            // Another holder did that since we found it.
            Holder::Own => {
                if let Ok(mut state) = state() {
                    state.pass_over(self);
                }
            }
        }
        Err(Error::new(ErrorKind::NoSuchArea, format!("open area {} {:?}", self.record.id, self.record.name))
            .with_facts(format!(
                "it is retired: process {} keeps it, and no other process gets it",
                self.pid()
            ))
            .with_remedy("look for the name again: what has taken its place may be there"))
    }

    fn stat(&self) -> Result<Stat> {
        match &self.holder {
            Holder::Own => stat_own(&self.record, "look at"),
            Holder::Peer(peer) => peer.stat(&self.record),
        }
    }

    /// Does by way of another holder of the same memory what could not be done by way of this one,
    /// because its number leads elsewhere.
    fn by_others<T>(
        &self,
        error: Error,
        rights: Option<Rights>,
        mut call: impl FnMut(&Source) -> Result<T>,
    ) -> Result<T> {
        if !self.is_missing() || self.record.physical.is_some() {
            return Err(error);
        }
        let Ok(state) = state() else { return Err(error) };
        let others = state.of_object(self.record.object);
        // They are looked at without the state's mutex, as all are.
        drop(state);
        others
            .iter()
            .filter(|other| rights != Some(Rights::Writing) || other.forbids_writing().is_none())
            .find_map(|other| call(other).ok())
            .ok_or(error)
    }

    /// Opens it for questions about it: several answers for one opening.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchArea`] if it is gone, [`ErrorKind::Unreadable`] if it may not be opened.
    pub fn inspect(&self) -> Result<Inspection> {
        Ok(Inspection::new(self, self.open_object(Rights::Looking)?))
    }

    /// The older name of [`inspect`](Source::inspect).
    ///
    /// # Errors
    /// As there.
    #[deprecated(since = "0.2.0", note = "use `inspect`")]
    #[expect(deprecated, reason = "both names are older")]
    pub fn look(&self) -> Result<super::Look> {
        self.inspect()
    }

    /// Opens it, asks all that [`inspect`](Source::inspect) can answer, and closes it: for who
    /// asks about many, as it is two system calls fewer.
    ///
    /// # Errors
    /// As [`inspect`](Source::inspect). Where its pages are may be unknown for itself:
    /// [`Measured::residency`].
    pub fn measure(&self) -> Result<Measured> {
        let (object, stat) = self.open_looked(Rights::Looking)?;
        Ok(Measured::of(self, object, stat.as_ref()))
    }

    /// The same for one of many, by way of folders that stay open.
    pub(super) fn measure_among(&self, folders: &mut Folders) -> Result<Measured> {
        let (object, stat) =
            self.open_looked_by(Rights::Looking, |rights| self.open_memory_among(rights, folders))?;
        Ok(Measured::of(self, object, stat.as_ref()))
    }

    /// The processes that have its memory, published or not: as long as one of them is there, the
    /// memory is.
    ///
    /// Only those that this process may look into; none where it has no descriptor left to look
    /// with.
    ///
    /// ```
    /// let area = areas::builder(4096).name("doc: held").shared()?;
    /// let holders = areas::registry::find("doc: held")?.holders();
    /// assert!(holders.iter().any(|holder| holder.pid == std::process::id()));
    /// # drop(area);
    /// # Ok::<(), areas::Error>(())
    /// ```
    #[must_use]
    pub fn holders(&self) -> Vec<super::Holder> {
        process::holders(self.record.object, self.record.physical.as_ref())
    }

    /// The processes that keep it from being frozen: those that have it mapped for writing, or may
    /// make a mapping of theirs writable. Whoever freezes it gives up its own.
    ///
    /// Only those that this process may look into.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchArea`] if it is gone, [`ErrorKind::Unreadable`] if it may not be opened.
    pub fn writers(&self) -> Result<Vec<super::Holder>> {
        // Low memory cannot be frozen.
        match self.record.physical {
            Some(_) => Ok(Vec::new()),
            None => Ok(process::writers(&self.open_object(Rights::Looking)?)),
        }
    }

    /// For an area of this process's own: whether the kernel has all of it mapped where it is said
    /// to be. Where the kernel cannot be asked it is taken to be.
    #[doc(hidden)]
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        !self.is_own() || own::is_mapped(&self.record)
    }

    /// For an area of this process's own: what is known of it, and its bytes in RAM, without
    /// opening it again. `None` where that takes more.
    #[doc(hidden)]
    #[must_use]
    pub fn describe_own(&self) -> Option<(Info, u64)> {
        match self.holder {
            Holder::Own => own::describe(&self.record),
            Holder::Peer(_) => None,
        }
    }

    /// Whether it still is the part of its object that it was when it was found.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchArea`] if not, or if it is gone.
    pub(crate) fn refuse_cut(&self) -> Result<()> {
        let now = state()?.get(self.record.id)?;
        if now.record.object == self.record.object && now.record.piece == self.record.piece {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NoSuchArea, format!("open area {} {:?}", self.record.id, self.record.name))
            .with_facts("its holder unmapped a part of it concurrently")
            .with_remedy("look for it again: what is left of it has the same name"))
    }

    /// Opens the memory behind it.
    pub(crate) fn open_object(&self, rights: Rights) -> Result<Object> {
        Ok(self.open_looked(rights)?.0)
    }

    /// The same, and what the kernel said of it; `None` for physical memory.
    fn open_looked(&self, rights: Rights) -> Result<(Object, Option<Stat>)> {
        self.open_looked_by(rights, |rights| self.open_memory(rights))
    }

    fn open_looked_by(
        &self,
        rights: Rights,
        open: impl FnOnce(Rights) -> Result<(Object, Option<Stat>)>,
    ) -> Result<(Object, Option<Stat>)> {
        if let Some(range) = &self.record.physical {
            return Ok((self.open_physical(range, rights)?, None));
        }
        let opened = open(rights)
            .or_else(|error| self.by_others(error, Some(rights), |other| other.open_memory(rights)))?;
        match (rights, &opened.1) {
            (Rights::Looking, _) | (_, None) => {}
            (_, Some(stat)) => self.refuse_retired(stat)?,
        }
        if rights == Rights::Reading {
            opened.0.close_to_others(|| {
                format!("open area {} {:?} for reading only", self.record.id, self.record.name)
            })?;
        }
        Ok(opened)
    }

    /// The same, by way of this holder alone.
    fn open_memory(&self, rights: Rights) -> Result<(Object, Option<Stat>)> {
        self.adopt(match &self.holder {
            Holder::Own => open_own(&self.record, rights)?,
            Holder::Peer(peer) => peer.open_object(&self.record, rights)?,
        })
    }

    /// The same by way of folders that stay open.
    fn open_memory_among(&self, rights: Rights, folders: &mut Folders) -> Result<(Object, Option<Stat>)> {
        self.adopt(match &self.holder {
            Holder::Own => open_own(&self.record, rights)?,
            Holder::Peer(peer) => peer.open_object_among(&self.record, rights, folders)?,
        })
    }

    fn adopt(&self, Opened { fd, looked, pages }: Opened) -> Result<(Object, Option<Stat>)> {
        let (extent, exact) = (self.record.extent, self.record.exact);
        let object = match pages {
            Some(page) => Object::adopt_looked(fd, &looked, page, extent, exact)?,
            None => Object::adopt(fd, extent, exact)?,
        };
        let object = object.into_piece(self.record.piece, self.record.span);
        if object.page_size() != self.record.page {
            return Err(Error::new(
                ErrorKind::Registry,
                format!("open area {} {:?}", self.record.id, self.record.name),
            )
            .with_facts("its table and its memory disagree about the page size"));
        }
        Ok((object, Some(looked.stat)))
    }

    /// Takes a share of the physical memory behind it.
    fn open_physical(&self, range: &Range<u64>, rights: Rights) -> Result<Object> {
        let size = range.end - range.start;
        // A share of one's own: a copy of the holder's descriptor would keep whatever that one
        // comes to have, too.
        let folder = match &self.holder {
            Holder::Own => OWN_DESCRIPTORS.into(),
            Holder::Peer(peer) => peer.folder(),
        };
        let object = crate::physical::claim::share(
            open_object_at(&folder, &self.record, rights)?.fd,
            range.start,
            size,
        )?;
        // It was not free at any time if its holder still has it: first the descriptor, which his
        // share lasts as long as, then that the number is still this area's (a record goes before
        // its descriptor does).
        self.info()?;
        let again = state().and_then(|mut state| state.get(self.record.id));
        match again {
            Ok(again) if again.record.physical.as_ref() == Some(range) && again.pid() == self.pid() => {
                Ok(object)
            }
            Ok(_) => Err(Error::new(
                ErrorKind::NoSuchArea,
                format!("open area {} {:?}", self.record.id, self.record.name),
            )
            .with_facts("it was released concurrently: its holder dropped it or died")),
            Err(error) => Err(error),
        }
    }
}
