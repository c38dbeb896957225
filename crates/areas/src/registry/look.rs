//! Looking at an area more closely: its memory is opened once, for all questions.

use super::info::Info;
use super::source::Source;
use crate::error::Result;
use crate::object::Object;
use crate::residency::{Residency, measure_object, resident_bytes};

/// An area that was found, open to be asked about: [`Source::look`].
///
/// What the kernel said of it then is remembered; where its pages are is asked when it is to be told. Nothing of it is mapped but for the
/// time of a measurement. Its memory stays for as long as this is kept.
#[derive(Debug)]
pub struct Look {
    info: Info,
    object: Object,
}

impl Look {
    pub(super) fn new(source: &Source, object: Object) -> Self {
        Look { info: Info::new(source.record(), source.pid(), object.file_size() as u64), object }
    }

    /// What its holder told of it, and its size, when it was opened.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Measures where its pages are, by a mapping of our own that faults nothing in.
    ///
    /// # Errors
    /// [`Unsupported`](crate::Kind::Unsupported) for low areas, and for some of pages of the pool;
    /// [`NotPermitted`](crate::Kind::NotPermitted) where a sandbox forbids the question; [`System`](crate::Kind::System) with what the
    /// kernel said.
    pub fn residency(&self) -> Result<Residency> {
        self.object.refuse_physical(|| format!("measure area {} {:?}", self.info.id, self.info.name))?;
        measure_object(&self.object, self.object.size_in_pages())
    }

    /// The bytes of it that are in RAM now, swapped ones not counted.
    ///
    /// # Errors
    /// As [`residency`](Look::residency), but for low areas, which are in RAM.
    pub fn resident(&self) -> Result<u64> {
        match self.object.physical() {
            Some(_) => Ok(self.object.size_in_pages() as u64),
            None => resident_bytes(&self.object),
        }
    }

    /// Whether it was frozen when it was opened: then nobody can write it any more.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.object.was_frozen()
    }
}
