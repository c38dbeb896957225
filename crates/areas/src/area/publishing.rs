//! Areas get a name, another one, or none; and a note beside it.

use super::builder::EXCLUSIVE_TIMEOUT;
use super::{Area, AreaKind, Clonable};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::Mapping;
use crate::object::{Extent, Object};
use crate::registry::{Announcement, AreaId, Name, Note, Publication};
use crate::sys;

impl<K: Clonable> Area<K> {
    /// Publishes it under a name, so that others find it; only if no other area has it, if that is
    /// wanted.
    pub(super) fn publish_as(&mut self, name: Name, exclusive: bool) -> Result<AreaId> {
        let object = &self.object;
        if let Some(id) = self.id() {
            return Err(Error::new(ErrorKind::InvalidInput, format!("publish {self} as {name:?}"))
                .with_facts(format!("it is published already, with id {id}"))
                .with_remedy("clone it to give it a second name"));
        }
        if object.is_retired().unwrap_or(false) {
            return Err(Error::new(ErrorKind::InvalidInput, format!("publish {self} as {name:?}"))
                .with_facts("its memory is retired: no process can find it any more")
                .with_remedy("copy what it holds into a new area"));
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
    pub(super) fn publish_wanted(&mut self, name: Name, exclusive: bool) -> Result<AreaId> {
        if !exclusive {
            return self.publish_new(name);
        }
        let object = &self.object;
        let announced = self.announcement(name.clone(), &self.mapping, object);
        let (publication, id) = Publication::alone(announced, EXCLUSIVE_TIMEOUT)?;
        self.publication = Some(publication);
        self.name = Some(name);
        Ok(id)
    }

    /// Another name instead of the one that it has. What fails leaves it as it was.
    pub(super) fn rename_as(&mut self, name: Name, exclusive: bool) -> Result<AreaId> {
        let what = format!("rename {self} to {name:?}");
        let object = &self.object;
        if object.is_retired().unwrap_or(false) {
            return Err(Error::new(ErrorKind::InvalidInput, what)
                .with_facts("its memory is retired: no process can find it any more")
                .with_remedy("copy what it holds into a new area"));
        }
        if object.own_fd().is_err() {
            return Err(crate::object::closed(what));
        }
        let Some(publication) = &mut self.publication else {
            return Err(Error::new(ErrorKind::InvalidInput, what)
                .with_facts("it is not published, and has no name to be changed")
                .with_remedy("publish it under that name"));
        };
        let id = publication.rename(name.clone(), exclusive.then_some(EXCLUSIVE_TIMEOUT), &what)?;
        self.name = Some(name);
        Ok(id)
    }

    /// The same for one that was made in this call: it is not published, and its descriptor is what
    /// it was.
    pub(super) fn publish_new(&mut self, name: Name) -> Result<AreaId> {
        let object = &self.object;
        let (publication, id) = Publication::new(self.announcement(name.clone(), &self.mapping, object))?;
        self.publication = Some(publication);
        self.name = Some(name);
        Ok(id)
    }
}

impl<K: AreaKind> Area<K> {
    /// What it publishes of itself in the registry, mapped there.
    pub(super) fn announcement(&self, name: Name, mapping: &Mapping, object: &Object) -> Announcement {
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
}

impl<K: Clonable> Area<K> {
    /// Publishes it under a name, so that others find it: when its contents are complete, say.
    ///
    /// ```
    /// let mut area = areas::builder(4096).shared()?;
    /// let id = area.publish("doc: published later")?;
    /// assert_eq!(areas::registry::find("doc: published later")?.id(), id);
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a bad name or an area that is published already;
    /// [`ErrorKind::Registry`], [`ErrorKind::Limit`] where the registry cannot take it;
    /// [`ErrorKind::AddressInUse`] for a resizable one that another holder has grown beyond the
    /// addresses that are here, where there are no more.
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

    /// Publishes it under a name that no other area has, as
    /// [`AreaBuilder::exclusive`](crate::AreaBuilder::exclusive) says: when its contents are
    /// complete, say.
    ///
    /// ```
    /// let _first = areas::builder(4096).name("doc: one only").shared()?;
    /// let mut second = areas::builder(4096).shared()?;
    /// let error = second.publish_exclusive("doc: one only").unwrap_err();
    /// assert_eq!(error.kind(), areas::ErrorKind::NameTaken);
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`publish`](Area::publish); [`ErrorKind::NameTaken`] if another area has the name;
    /// [`ErrorKind::Busy`] where another process was stopped in the middle of taking it.
    pub fn publish_exclusive(&mut self, name: impl AsRef<[u8]>) -> Result<AreaId> {
        self.publish_as(Name::new(name)?, true)
    }

    /// Publishes it under another name instead of the one that it has. It gets another id, because
    /// an id stands for one publication; its note stays. Processes that have it keep it, and other
    /// holders' names for the same memory stay.
    ///
    /// At no moment is it found under neither name; for a moment it may be found under both.
    ///
    /// ```
    /// let mut area = areas::builder(4096).name("doc: draft").shared()?;
    /// area.rename("doc: final")?;
    /// assert!(areas::registry::find("doc: draft").is_err());
    /// assert_eq!(areas::registry::find("doc: final")?.id(), area.id().unwrap());
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`publish`](Area::publish), and [`ErrorKind::InvalidInput`] for one that is not
    /// published. It has its name and its id as before.
    pub fn rename(&mut self, name: impl AsRef<[u8]>) -> Result<AreaId> {
        self.rename_as(Name::new(name)?, false)
    }

    /// The same, under a name that no other area has, as
    /// [`AreaBuilder::exclusive`](crate::AreaBuilder::exclusive) says: of several that want a name
    /// at once one gets it.
    ///
    /// # Errors
    /// As [`rename`](Area::rename); [`ErrorKind::NameTaken`] if another area has the name;
    /// [`ErrorKind::Busy`] where another process was stopped in the middle of taking it. It has its
    /// name and its id as before, all the while.
    pub fn rename_exclusive(&mut self, name: impl AsRef<[u8]>) -> Result<AreaId> {
        self.rename_as(Name::new(name)?, true)
    }

    /// Withdraws its name and its id: it is not found by this holder any more. The mapping stays,
    /// and so do other holders' areas over the same memory. It can be published again, under any
    /// name. Returns the name that it had; `None` if it was not published.
    ///
    /// A process that has found it before, and has not opened it, is refused as if it were gone
    /// ([`ErrorKind::NoSuchArea`]).
    ///
    /// ```
    /// let mut area = areas::builder(4096).name("doc: hidden soon").shared()?;
    /// area.unpublish();
    /// assert!(areas::registry::find("doc: hidden soon").is_err());
    /// area.write_at(0, b"still here")?;
    /// # Ok::<(), areas::Error>(())
    /// ```
    pub fn unpublish(&mut self) -> Option<Name> {
        self.note_hidden_part();
        self.publication.take().and(self.name.take())
    }

    /// Retires its memory, permanently: it cannot be found or opened any more, by any holder, under
    /// any name. Its holders keep it, and may still pass it on over a socket. What replaces it can
    /// be published under the same name at once, before or after.
    ///
    /// That is marked on the memory itself. This process's areas over it are withdrawn at once
    /// ([`unpublish`](Area::unpublish)). Other holders' are still listed
    /// ([`Info::retired`](crate::registry::Info::retired) says so), and cannot be opened, cloned or
    /// transferred: [`ErrorKind::NoSuchArea`]. [`find`](crate::registry::find) passes over them;
    /// only a process that has found that very holder's area before may be led to it once more, and
    /// is refused when it opens it.
    ///
    /// ```
    /// let mut old = areas::builder(4096).name("doc: table").shared()?;
    /// old.write_at(0, b"old")?;
    /// let reader = areas::registry::find("doc: table")?.open_read_only()?;
    /// let new = areas::builder(4096).name("doc: table").shared()?;
    /// old.retire()?;
    /// // Who looks from now on finds the new one; who has the old one keeps it.
    /// assert_eq!(areas::registry::find("doc: table")?.id(), new.id().unwrap());
    /// let mut bytes = [0; 3];
    /// reader.read_at(0, &mut bytes)?;
    /// assert_eq!(&bytes, b"old");
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for low areas; [`ErrorKind::NotPermitted`] where the memory is
    /// another user's; [`ErrorKind::Busy`] where another holder was stopped in the middle of
    /// marking it.
    pub fn retire(&mut self) -> Result<()> {
        let object = &self.object;
        object.refuse_physical(|| format!("retire {self}"))?;
        self.note_hidden_part();
        object.mark_retired().map_err(|error| match error.errno() {
            Some(errno) if errno == sys::Errno::PERM.into() => {
                Error::new(ErrorKind::NotPermitted, format!("retire {self}"))
                    .with_facts("its memory is another user's")
                    .with_remedy("have its owner retire it")
                    .caused_by(error)
            }
            _ => error,
        })?;
        let identity = object.identity();
        self.publication = None;
        self.name = None;
        crate::registry::retire_own(identity)
    }

    /// Notes something beside it, up to 256 bytes that mean what the program says, in place of what
    /// was noted before; an empty note removes it. Processes that find the area by this holder read
    /// it ([`Source::note`](crate::registry::Source::note),
    /// [`Info::note`](crate::registry::Info::note)): the old one or the new one, whole. Where the
    /// area is not published yet, the note is published with the name.
    ///
    /// A note is its holder's. Clones that exist keep theirs.
    ///
    /// ```
    /// let mut area = areas::builder(4096).name("doc: noted").shared()?;
    /// area.set_note("rows=64 dtype=f32")?;
    /// assert_eq!(areas::registry::find("doc: noted")?.note().as_bytes(), b"rows=64 dtype=f32");
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a note of more than [`Note::MAX`] bytes;
    /// [`ErrorKind::Limit`] where this process has published so many areas that there is no room
    /// for it: what was noted stays.
    pub fn set_note(&mut self, note: impl AsRef<[u8]>) -> Result<()> {
        let note = Note::new(note)?;
        if let Some(publication) = &self.publication {
            publication.set_note(note.clone())?;
        }
        self.note = note;
        Ok(())
    }
}
