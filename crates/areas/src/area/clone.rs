//! Clones: areas over memory that another area, here or in another process, has made.

use std::sync::Arc;

use super::{AnyArea, Area, Frozen, Resizable, Shared};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::{Reservation, headroom};
use crate::nodes::Placement;
use crate::object::{Extent, Object};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::provider::{Address, Provider, Request, System};
use crate::registry::{Name, Note, Rights, Source};

/// How a published area is to be cloned. Its lock is inherited; its protection, name and address
/// are the clone's own.
#[derive(Clone, Debug)]
#[must_use = "a clone is made by `open` or `open_frozen`"]
pub struct CloneBuilder<'a> {
    source: &'a Source,
    name: Option<Vec<u8>>,
    note: Option<Vec<u8>>,
    protection: Option<Protection>,
    address: Address,
    room: Option<usize>,
    home: Option<(&'a Arc<Reservation>, usize)>,
}

impl<'a> CloneBuilder<'a> {
    /// One that asks for nothing but the source.
    pub(super) fn of(source: &'a Source) -> Self {
        CloneBuilder {
            source,
            name: None,
            note: None,
            protection: None,
            address: Address::Any,
            room: None,
            home: None,
        }
    }

    /// Publishes the clone under a name of its own.
    pub fn name(mut self, name: impl AsRef<[u8]>) -> Self {
        self.name = Some(name.as_ref().to_owned());
        self
    }

    /// Publishes the clone under the name of its source: it carries on when the source goes.
    ///
    /// ```
    /// let area = areas::builder(4096).name("doc: kept").shared()?;
    /// let keeper = areas::registry::find("doc: kept")?.cloning().same_name().open()?;
    /// drop(area);
    /// assert_eq!(areas::registry::find("doc: kept")?.id(), keeper.id().unwrap()); // found by its clone
    /// # Ok::<(), areas::Error>(())
    /// ```
    pub fn same_name(self) -> Self {
        let name = self.source.name().as_bytes().to_owned();
        self.name(name)
    }

    /// What is noted beside the clone; without this, what was noted beside its source when that was
    /// found.
    pub fn note(mut self, note: impl AsRef<[u8]>) -> Self {
        self.note = Some(note.as_ref().to_owned());
        self
    }

    /// What may be done with the clone's pages; without this, what may be done with the source's.
    pub fn protection(mut self, protection: Protection) -> Self {
        self.protection = Some(protection);
        self
    }

    /// At which addresses it shall be.
    pub fn at(mut self, address: Address) -> Self {
        self.address = address;
        self
    }

    /// How many bytes of addresses the clone of a resizable area takes to grow into, at least its
    /// size. Without this, as many as the source has.
    pub fn room(mut self, bytes: usize) -> Self {
        self.room = Some(bytes);
        self
    }

    /// At an offset, in bytes, of addresses that were reserved in advance. (Then
    /// [`at`](CloneBuilder::at) does not count.)
    #[doc(alias = "reserve_address_range")]
    pub fn inside(mut self, reservation: &'a Arc<Reservation>, offset: usize) -> Self {
        self.home = Some((reservation, offset));
        self
    }

    /// At the very addresses that the source has in its holder, or an error.
    #[doc(alias = "B_CLONE_ADDRESS")]
    pub fn same_address(self) -> Self {
        let address = usize::try_from(self.source.record().address).unwrap_or(usize::MAX);
        self.at(Address::Exactly(address))
    }

    /// Makes the clone.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchArea`] if the source was dropped concurrently, [`ErrorKind::Unreadable`]
    /// if it may not be opened, [`ErrorKind::ReadOnly`] for writing what its holder in another
    /// process may not write, [`ErrorKind::Frozen`] for writing a frozen area; and as for new
    /// areas.
    pub fn open(&self) -> Result<Area<Shared>> {
        let record = self.source.record();
        let protection = self.protection.unwrap_or(record.protection);
        let write = protection.contains(Protection::WRITE);
        let what = || format!("clone area {} {:?} with protection {protection}", record.id, record.name);
        let frozen = || {
            Error::new(ErrorKind::Frozen, what())
                .with_facts("it is frozen: no process can write it any more")
                .with_remedy("clone it for reading: `open_frozen`, `open_read_only`")
        };
        if write && let Some(why) = self.source.forbids_writing() {
            if self.source.is_frozen()? {
                return Err(frozen());
            }
            return Err(Error::new(ErrorKind::ReadOnly, what())
                .with_facts(why)
                .with_remedy("clone it for reading: `open_read_only`"));
        }
        if let Extent::Resizable { .. } = record.extent {
            return Err(Error::new(ErrorKind::Unsupported, what())
                .with_facts(
                    "its size may shrink while it is mapped, and accesses beyond its new end would fault",
                )
                .with_remedy("clone it as what it is: `open_resizable`"));
        }
        let object = self.object(write, frozen)?;
        if write && object.was_frozen() {
            return Err(frozen());
        }
        self.finish(object, protection)
    }

    /// A frozen object may be opened for reading only, by all but root.
    fn object(&self, write: bool, frozen: impl Fn() -> Error) -> Result<Object> {
        self.source.open_object(if write { Rights::Writing } else { Rights::Reading }).map_err(|error| {
            let is_frozen =
                write && error.kind() == ErrorKind::Unreadable && self.source.is_frozen().unwrap_or(false);
            if is_frozen { frozen() } else { error }
        })
    }

    /// Makes a clone of a resizable area.
    ///
    /// # Errors
    /// As [`open`](CloneBuilder::open); [`ErrorKind::InvalidInput`] if the area is not resizable.
    pub fn open_resizable(&self) -> Result<Area<Resizable>> {
        let record = self.source.record();
        let protection = self.protection.unwrap_or(record.protection);
        let what = || {
            format!("clone area {} {:?} as resizable, with protection {protection}", record.id, record.name)
        };
        let object = self.resizable_object(protection.contains(Protection::WRITE), what)?;
        Ok(self.finish(object, protection)?.into_kind())
    }

    /// The object of a resizable area, which is not frozen.
    pub(super) fn resizable_object(&self, write: bool, what: impl Fn() -> String) -> Result<Object> {
        let refuse = |kind, why: &str| Error::new(kind, what()).with_facts(why.to_owned());
        if !matches!(self.source.record().extent, Extent::Resizable { .. }) {
            return Err(refuse(ErrorKind::InvalidInput, "it is not resizable")
                .with_remedy("clone it as shared: `open`"));
        }
        let frozen = || {
            refuse(ErrorKind::Frozen, "it is frozen").with_remedy("clone it for what it is: `open_frozen`")
        };
        if write && let Some(why) = self.source.forbids_writing() {
            if self.source.is_frozen()? {
                return Err(frozen());
            }
            return Err(
                refuse(ErrorKind::ReadOnly, &why).with_remedy("clone it for reading: `protection(READ)`")
            );
        }
        let object = self.object(write, frozen)?;
        if object.was_frozen() { Err(frozen()) } else { Ok(object) }
    }

    /// Makes a clone of a frozen area, which lends its bytes.
    ///
    /// # Errors
    /// As [`open`](CloneBuilder::open); [`ErrorKind::InvalidInput`] if the area is not frozen.
    pub fn open_frozen(&self) -> Result<Area<Frozen>> {
        let record = self.source.record();
        let object = self.source.open_object(Rights::Reading)?;
        if !object.was_frozen() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("clone area {} {:?} as frozen", record.id, record.name),
            )
            .with_facts("it is not frozen: others may still write it")
            .with_remedy("clone it as shared: `open_read_only`; or have its holder freeze it"));
        }
        Ok(self.finish(object, Protection::READ)?.into_kind())
    }

    /// Makes a clone of whichever kind the area is: the kernel's word at the moment at which it is
    /// opened, so that nothing can change between a question and the opening.
    ///
    /// Without a [`protection`](CloneBuilder::protection) it has the one of its source, and no
    /// right to write where the area is frozen, or sealed against new writers
    /// (`F_SEAL_FUTURE_WRITE`). A protection that was asked for is kept, or an error.
    ///
    /// # Errors
    /// As [`open`](CloneBuilder::open); [`ErrorKind::Frozen`] for a frozen area with a protection
    /// other than [`READ`](Protection::READ).
    pub fn open_any(&self) -> Result<AnyArea> {
        match self.open_any_once() {
            // It was frozen after the look at its seals: it stays so.
            Err(error) if error.kind() == ErrorKind::Frozen && self.protection.is_none() => {
                self.open_any_once()
            }
            other => other,
        }
    }

    fn open_any_once(&self) -> Result<AnyArea> {
        let record = self.source.record();
        let asked = self.protection.unwrap_or(record.protection);
        let what = || format!("clone area {} {:?} with protection {asked}", record.id, record.name);
        let frozen = || {
            Error::new(ErrorKind::Frozen, what())
                .with_facts("it is frozen, and is for reading")
                .with_remedy("ask for no protection, or for `Protection::READ`")
        };
        let mut write = asked.contains(Protection::WRITE);
        if write && let Some(why) = self.source.forbids_writing() {
            write = false;
            if self.protection.is_some() {
                let read_only = || {
                    Error::new(ErrorKind::ReadOnly, what())
                        .with_facts(why)
                        .with_remedy("ask for `Protection::READ`")
                };
                return Err(if self.source.is_frozen()? { frozen() } else { read_only() });
            }
        }
        let object = match self.source.open_object(if write { Rights::Writing } else { Rights::Reading }) {
            // What is frozen can be opened for reading only, by all but root.
            Err(error) if write && error.kind() == ErrorKind::Unreadable => {
                let object = self.source.open_object(Rights::Reading)?;
                if object.was_frozen() { object } else { return Err(error) }
            }
            other => other?,
        };
        if object.was_frozen() {
            return match self.protection {
                Some(asked) if asked != Protection::READ => Err(frozen()),
                _ => Ok(AnyArea::Frozen(self.finish(object, Protection::READ)?.into_kind())),
            };
        }
        let lets_write = write && (self.protection.is_some() || !object.refused_writers());
        let protection = if lets_write { asked } else { asked - Protection::WRITE };
        let resizable = matches!(object.extent(), Extent::Resizable { .. });
        let area = self.finish(object, protection)?;
        Ok(if resizable { AnyArea::Resizable(area.into_kind()) } else { AnyArea::Shared(area) })
    }

    fn finish(&self, object: Object, protection: Protection) -> Result<Area<Shared>> {
        let record = self.source.record();
        let mut object = object.fresh();
        headroom::keep(|| format!("clone area {} {:?}", record.id, record.name))?;
        let reported = record.extent.max();
        if let Extent::Resizable { max } = object.extent()
            // Without a wish as many as the source has; more where a holder made it larger than
            // that since the record was read.
            && let Some(room) = self.room.or_else(|| (Some(max) != reported).then_some(max))
        {
            let room = object.page_size().round_up(room).unwrap_or(usize::MAX);
            let room = match object.is_capped() {
                // It goes no further.
                true => object.span(),
                false => room.max(object.size_in_pages()),
            };
            if room as u64 != record.span && !object.is_capped() {
                object.mark_uneven()?;
            }
            object.widen(room);
        }
        let name = self.name.as_deref().map(Name::new).transpose()?;
        let note = self.note.as_deref().map_or_else(|| Ok(record.note.clone()), Note::new)?;
        let placement = clone_placement(record.placement.whole(), object.page_size())?;
        let mut request = Request::object(&object).at(self.address).protection(protection);
        if let Some(placement) = placement {
            request = request.placed(placement);
        }
        if let Some((reservation, offset)) = self.home {
            request = request.inside(reservation, offset);
        }
        let mapping = System::new().map(&request)?;
        // Not before there is a clone that could lose something, and before anything of it is used.
        if object.mark_held()? {
            // Its maker keeps its memory from now on, whatever it unmaps of it. What it had
            // unmapped before, it has reported.
            self.source.refuse_cut()?;
        }
        let mut area: Area<Shared> = Area::over(mapping, object, record.placement.clone());
        area.note = note;
        let what = || format!("clone area {} {:?}", record.id, record.name);
        area.take_missing(what)?;
        let whose = || format!("a clone of area {:?}", record.name);
        area.lock_clone(record.lock, self.source.is_own(), whose, what)?;
        if let Some(name) = name {
            area.publish_new(name)?;
            if let Extent::Resizable { .. } = record.extent {
                area.look_after_joining("clone")?;
            }
        }
        Ok(area)
    }
}

/// The policy of base pages lies on the object, where the creator put it; that of hugetlb pages on
/// each mapping, so that a clone has to put it there again.
pub(super) fn clone_placement(placement: Placement, page: PageSize) -> Result<Option<Placement>> {
    if page == PageSize::base() || placement.is_default() {
        return Ok(None);
    }
    crate::provider::resolve(placement).map(Some)
}
