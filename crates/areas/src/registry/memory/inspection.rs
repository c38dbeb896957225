//! Looking at an area more closely: its memory is opened once, for all questions, one after the
//! other or all at once.

use crate::error::Result;
use crate::object::Object;
use crate::registry::source::{Info, Source};
use crate::residency::{Residency, measure_fresh, measure_object, resident_bytes};
use crate::sys::file::Stat;

/// An area that was found, open to be asked about: [`Source::inspect`].
///
/// What the kernel said of it then is remembered; where its pages are is measured when it is asked
/// for. It is mapped only for the time of a measurement. Its memory stays for as long as this is
/// kept.
#[derive(Debug)]
pub struct Inspection {
    info: Info,
    object: Object,
}

impl Inspection {
    pub(in crate::registry) fn new(source: &Source, object: Object) -> Self {
        let (size, retired) = (object.file_size() as u64, object.was_retired());
        Inspection { info: Info::of_part(source.record(), source.pid(), size, retired), object }
    }

    /// What its holder published of it, and its size, when it was opened.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Measures where its pages are, by a mapping of our own that faults nothing in.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for low areas, and for some of hugetlb pages;
    /// [`NotPermitted`](crate::ErrorKind::NotPermitted) where a sandbox hides even the page tables;
    /// [`System`](crate::ErrorKind::System) with what the kernel said. Where it forbids
    /// `move_pages`, the nodes are reported as totals.
    pub fn residency(&self) -> Result<Residency> {
        self.object.refuse_physical(|| format!("measure area {} {:?}", self.info.id, self.info.name))?;
        measure_object(&self.object, self.object.size_in_pages())
    }

    /// The bytes of it that are in RAM now, swapped ones not counted.
    ///
    /// # Errors
    /// As [`residency`](Inspection::residency), but for low areas, which are in RAM.
    pub fn resident(&self) -> Result<u64> {
        match self.object.physical() {
            Some(_) => Ok(self.object.size_in_pages() as u64),
            None => resident_bytes(&self.object),
        }
    }

    /// Whether it was frozen when it was opened: then no process can write it any more.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.object.was_frozen()
    }

    /// Whether a holder has sealed it against further seals (`F_SEAL_SEAL`), so that it cannot be
    /// frozen; `None` where that is not known.
    #[doc(hidden)]
    #[must_use]
    pub fn is_sealed_shut(&self) -> Option<bool> {
        let seals = crate::sys::object::seals(self.object.fd()).ok()?;
        Some(seals.contains(crate::sys::object::SealFlags::SEAL))
    }
}

/// What was published of an area, and measured: [`Source::measure`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Measured {
    /// What its holder published of it, and its size.
    pub info: Info,
    /// Whether it was frozen: then no process can write it any more.
    pub frozen: bool,
    /// Where its pages were, as [`Inspection::residency`] returns it, or why that is not known.
    pub residency: Result<Residency>,
    /// The bytes of it that were in RAM, swapped ones not counted; `None` where that is not known.
    pub resident: Option<u64>,
}

impl Measured {
    /// Asks all at once: between the first question and the last no other code runs in this thread,
    /// so that the descriptor is not looked at again.
    pub(in crate::registry) fn of(source: &Source, object: Object, stat: Option<&Stat>) -> Self {
        let opened = Inspection::new(source, object);
        let residency = match stat {
            Some(stat) => measure_fresh(&opened.object, stat),
            None => opened.residency(),
        };
        let resident = match &residency {
            Ok(residency) => Some(residency.resident()),
            Err(_) => opened.resident().ok(),
        };
        let Inspection { info, object } = opened;
        let frozen = object.was_frozen();
        object.close_fresh();
        Measured { info, frozen, residency, resident }
    }
}
