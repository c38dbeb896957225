//! Opening an area that was found: what a source offers without a builder.

use super::{AnyArea, Area, CloneBuilder, Frozen, Resizable, Shared};
use crate::error::{Error, ErrorKind, Result};
use crate::object::Object;
use crate::protection::Protection;
use crate::registry::{Rights, Source};
use crate::size::Bytes;

impl Source {
    /// Starts cloning it.
    #[doc(alias = "clone_area")]
    pub fn cloning(&self) -> CloneBuilder<'_> {
        CloneBuilder::of(self)
    }

    /// Clones it, with the protection that it has.
    ///
    /// The clone is not published: it has neither name nor id, and the memory is not found by it
    /// once its publishers are gone, though it keeps the memory. [`CloneBuilder::same_name`]
    /// publishes it as well: `source.cloning().same_name().open()`. The same holds for all of the
    /// `open` calls here.
    ///
    /// # Errors
    /// As [`CloneBuilder::open`].
    pub fn open(&self) -> Result<Area<Shared>> {
        self.cloning().open()
    }

    /// Clones it for reading only, which the kernel enforces.
    ///
    /// ```
    /// let area = areas::builder(4096).name("doc: read only").shared()?;
    /// let clone = areas::registry::find("doc: read only")?.open_read_only()?;
    /// assert_eq!(clone.write_at(0, b"x").unwrap_err().kind(), areas::ErrorKind::ReadOnly);
    /// area.write_at(0, b"x")?;
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`CloneBuilder::open`].
    pub fn open_read_only(&self) -> Result<Area<Shared>> {
        self.cloning().protection(Protection::READ).open()
    }

    /// Clones a resizable area, with the protection that it has.
    ///
    /// # Errors
    /// As [`CloneBuilder::open_resizable`].
    pub fn open_resizable(&self) -> Result<Area<Resizable>> {
        self.cloning().open_resizable()
    }

    /// Makes a resizable area smaller, for all holders at once, as [`Area::resize`] does:
    /// without a clone of one's own, so that it can be done where the area was made larger than any
    /// machine. One that is not larger than `size`, rounded up to whole pages, stays as it is.
    ///
    /// # Errors
    /// As [`open_resizable`](Source::open_resizable) for writing; [`ErrorKind::InvalidInput`] for a
    /// size of 0, or of more bytes than there are addresses; [`ErrorKind::Unsupported`] where it
    /// [ends before its object](Source::ends_before_its_object).
    #[doc(alias = "ftruncate")]
    pub fn shrink(&self, size: usize) -> Result<()> {
        let record = self.record();
        let whose = format!("area {} {:?}", record.id, record.name);
        let what = || format!("shrink {whose} to {}", Bytes::from(size));
        let Some(wanted) = record.page.round_up(size).filter(|&size| size > 0) else {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .with_facts("the size is 0, or more than there are addresses"));
        };
        let object = self.cloning().resizable_object(true, what)?;
        if object.is_capped() {
            return Err(Error::new(ErrorKind::Unsupported, what())
                .with_facts(
                    "its holder has unmapped what was behind it, and has other areas in the same memory",
                )
                .with_remedy("only its holder can resize it"));
        }
        if object.size() > wanted { object.resize(wanted, record.placement.whole(), &whose) } else { Ok(()) }
    }

    /// Whether its holder has [unmapped](Area::reconcile) what was behind it, so that other areas
    /// may be in the same memory there. Its size is then its holder's own: who resizes a clone of
    /// it resizes that clone.
    #[must_use]
    pub fn ends_before_its_object(&self) -> bool {
        self.record().piece.limit.is_some()
    }

    /// Clones a frozen area: its bytes can be lent.
    ///
    /// ```
    /// let area = areas::builder(4096).name("doc: lent").shared()?;
    /// let _frozen = area.freeze().map_err(|rejected| rejected.error)?;
    /// let clone = areas::registry::find("doc: lent")?.open_frozen()?;
    /// assert_eq!(clone.as_bytes().len(), 4096);
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`CloneBuilder::open_frozen`].
    pub fn open_frozen(&self) -> Result<Area<Frozen>> {
        self.cloning().open_frozen()
    }

    /// Clones it as the kind that it is, with the protection that it has: frozen where it is
    /// frozen, by the time that it is opened.
    ///
    /// # Errors
    /// As [`CloneBuilder::open_any`].
    pub fn open_any(&self) -> Result<AnyArea> {
        self.cloning().open_any()
    }

    /// Measures where its pages are, by a mapping of our own that faults nothing in.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchArea`] if it is gone, [`ErrorKind::Unreadable`] if it may not be opened;
    /// [`ErrorKind::Unsupported`] for low areas.
    pub fn residency(&self) -> Result<crate::Residency> {
        self.inspect()?.residency()
    }

    /// The bytes of it that are in RAM now, swapped ones not counted.
    ///
    /// # Errors
    /// As [`residency`](Source::residency).
    pub fn resident(&self) -> Result<u64> {
        self.inspect()?.resident()
    }

    /// Whether it is frozen, so that no process can write it any more.
    ///
    /// # Errors
    /// As [`residency`](Source::residency).
    pub fn is_frozen(&self) -> Result<bool> {
        Ok(self.inspect()?.is_frozen())
    }

    /// The object behind it, open for reading only: to read it without mapping it.
    ///
    /// # Errors
    /// As [`residency`](Source::residency).
    pub fn object(&self) -> Result<Object> {
        let object = self.open_object(Rights::Reading)?;
        object.mark_held()?;
        Ok(object)
    }
}
