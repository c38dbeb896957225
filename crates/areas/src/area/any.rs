//! An area of whichever kind: for who learns the kind only as the area is opened or received.

use std::fmt;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::{Area, Frozen, Granted, Private, Resizable, Shared, Stored};
use crate::error::{Error, ErrorKind, Rejected, Result};
use crate::lock::Lock;
use crate::mapping::out_of_range;
use crate::nodes::Placement;
use crate::object::Object;
use crate::protection::Protection;
use crate::registry::{AreaId, Name, Note};
use crate::residency::Residency;

/// An area of memory, of any kind.
///
/// It is what calls return that learn the kind from the kernel, in the same look that opens the
/// memory: [`Source::open_any`](crate::registry::Source::open_any), [`receive`](crate::receive),
/// [`from_descriptor`](AnyArea::from_descriptor),
/// [`Transferred::take`](crate::registry::Transferred::take). Match on it for what only one kind
/// has; whether it can be written here is its [`protection`](AnyArea::protection).
///
/// ```
/// use areas::{AnyArea, registry};
///
/// let weights = areas::builder(4096).name("doc: any").shared()?;
/// let _held = weights.freeze().map_err(|rejected| rejected.error)?;
/// match registry::find("doc: any")?.open_any()? {
///     AnyArea::Frozen(area) => println!("{} bytes that do not change", area.as_bytes().len()),
///     other => println!("{other}: {} bytes, {}", other.size(), other.protection()),
/// }
/// # Ok::<(), areas::Error>(())
/// ```
#[derive(Debug)]
pub enum AnyArea {
    /// Only this process has it.
    Private(Area<Private>),
    /// Others may write it.
    Shared(Area<Shared>),
    /// Others may write it, and change its size.
    Resizable(Area<Resizable>),
    /// No process can write it any more.
    Frozen(Area<Frozen>),
    /// Bytes of a file or a memory device: made as that, and never what a call finds or receives.
    Stored(Area<Stored>),
}

/// What came from another process: [`AnyArea`] by its former name. (It is never private or stored.)
pub type Received = AnyArea;

/// Does the same with an area of whatever kind.
macro_rules! each {
    ($any:expr, $area:ident => $what:expr) => {
        match $any {
            AnyArea::Private($area) => $what,
            AnyArea::Shared($area) => $what,
            AnyArea::Resizable($area) => $what,
            AnyArea::Frozen($area) => $what,
            AnyArea::Stored($area) => $what,
        }
    };
}

/// The same for the kinds that can be cloned; for private and stored memory something else.
macro_rules! each_clonable {
    ($any:expr, $area:ident => $what:expr, or $otherwise:expr) => {
        match $any {
            AnyArea::Shared($area) => $what,
            AnyArea::Resizable($area) => $what,
            AnyArea::Frozen($area) => $what,
            AnyArea::Private(_) | AnyArea::Stored(_) => $otherwise,
        }
    };
}

/// What a call of its kind returned.
fn any_again<A: Into<AnyArea>>(rejected: Rejected<A>) -> Rejected<AnyArea> {
    Rejected::new(rejected.error, rejected.value.into())
}

impl AnyArea {
    /// The bytes asked for, or that it has grown to: [`Area::size`].
    #[must_use]
    pub fn size(&self) -> usize {
        each!(self, area => area.size())
    }

    /// The bytes of its whole pages.
    #[must_use]
    pub fn mapped(&self) -> usize {
        each!(self, area => area.mapped())
    }

    /// The bytes of addresses that it has taken: [`Area::reserve`].
    #[must_use]
    pub fn reserve(&self) -> usize {
        each!(self, area => area.reserve())
    }

    /// Where it begins: [`Area::as_ptr`].
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        each!(self, area => area.as_ptr())
    }

    /// Its name, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&Name> {
        each!(self, area => area.name())
    }

    /// Its id, if it is published: [`Area::id`].
    #[must_use]
    pub fn id(&self) -> Option<AreaId> {
        each!(self, area => area.id())
    }

    /// What may be done with its pages here.
    #[must_use]
    pub fn protection(&self) -> Protection {
        each!(self, area => area.protection())
    }

    /// Whether it is to stay in RAM: [`Area::lock`].
    #[must_use]
    pub fn lock(&self) -> Lock {
        each!(self, area => area.lock())
    }

    /// What was asked of its place.
    pub fn placement(&self) -> Placement {
        each!(self, area => area.placement())
    }

    /// What was actually given.
    #[must_use]
    pub fn granted(&self) -> Granted<'_> {
        each!(self, area => area.granted())
    }

    /// Measures where each of its pages is.
    ///
    /// # Errors
    /// As [`Area::residency`].
    pub fn residency(&self) -> Result<Residency> {
        each!(self, area => area.residency())
    }

    /// Faults all its pages in.
    ///
    /// # Errors
    /// As [`Area::populate`].
    pub fn populate(&mut self) -> Result<()> {
        each!(self, area => area.populate())
    }

    /// Changes what may be done with its pages here.
    ///
    /// # Errors
    /// As [`Area::protect`].
    pub fn protect(&mut self, protection: Protection) -> Result<()> {
        each!(self, area => area.protect(protection))
    }

    /// Publishes it under a name, so that others find it.
    ///
    /// # Errors
    /// As [`Area::publish`]; [`ErrorKind::Unsupported`] for private memory.
    pub fn publish(&mut self, name: impl AsRef<[u8]>) -> Result<AreaId> {
        self.publish_named(Name::new(name)?)
    }

    /// The same, under a name that was checked before.
    ///
    /// # Errors
    /// As [`publish`](AnyArea::publish).
    pub fn publish_named(&mut self, name: Name) -> Result<AreaId> {
        each_clonable!(self, area => area.publish_as(name, false),
            or Err(self.no_process_finds(format!("publish {self} as {name:?}"))))
    }

    /// Publishes it under a name that no other area has: `publish_exclusive` of its kind.
    ///
    /// # Errors
    /// As there; [`ErrorKind::Unsupported`] for private and stored memory.
    pub fn publish_exclusive(&mut self, name: impl AsRef<[u8]>) -> Result<AreaId> {
        let name = Name::new(name)?;
        each_clonable!(self, area => area.publish_as(name, true),
            or Err(self.no_process_finds(format!("publish {self} as {name:?}"))))
    }

    /// Publishes it under another name instead of the one that it has: `rename` of its kind.
    ///
    /// # Errors
    /// As there; [`ErrorKind::Unsupported`] for private and stored memory.
    pub fn rename(&mut self, name: impl AsRef<[u8]>) -> Result<AreaId> {
        let name = Name::new(name)?;
        each_clonable!(self, area => area.rename_as(name, false),
            or Err(self.no_process_finds(format!("rename {self} to {name:?}"))))
    }

    /// The same, under a name that no other area has: `rename_exclusive` of its kind.
    ///
    /// # Errors
    /// As there; [`ErrorKind::Unsupported`] for private and stored memory.
    pub fn rename_exclusive(&mut self, name: impl AsRef<[u8]>) -> Result<AreaId> {
        let name = Name::new(name)?;
        each_clonable!(self, area => area.rename_as(name, true),
            or Err(self.no_process_finds(format!("rename {self} to {name:?}"))))
    }

    /// Takes its name and its id back: `unpublish` of its kind. The name that it had; `None` if it
    /// was not published, as private and stored memory never is.
    pub fn unpublish(&mut self) -> Option<Name> {
        each_clonable!(self, area => area.unpublish(), or None)
    }

    /// Makes its memory impossible to find or open: `retire` of its kind.
    ///
    /// # Errors
    /// As there; [`ErrorKind::Unsupported`] for private and stored memory, which is never found.
    pub fn retire(&mut self) -> Result<()> {
        each_clonable!(self, area => area.retire(),
            or Err(self.no_process_finds(format!("retire {self}"))))
    }

    /// What is noted beside it: [`Area::note`].
    #[must_use]
    pub fn note(&self) -> &Note {
        each!(self, area => area.note())
    }

    /// Notes something beside it for those who find it: `set_note` of its kind.
    ///
    /// # Errors
    /// As there; [`ErrorKind::Unsupported`] for private and stored memory, which is never found.
    pub fn set_note(&mut self, note: impl AsRef<[u8]>) -> Result<()> {
        each_clonable!(self, area => area.set_note(note),
            or Err(self.no_process_finds(format!("note something beside {self}"))))
    }

    /// The object behind it; `None` for private and stored memory.
    #[must_use]
    pub fn object(&self) -> Option<&Object> {
        each_clonable!(self, area => Some(area.object()), or None)
    }

    /// The object's descriptor, which stays the area's; `None` for private and stored memory.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.object().map(AsFd::as_fd)
    }

    /// Copies bytes out, whatever the kind.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] beyond the size, [`ErrorKind::ReadOnly`] where its protection
    /// forbids it.
    pub fn read_at(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        let copy = |bytes: &[u8], into: &mut [u8]| {
            let found = offset.checked_add(into.len()).and_then(|end| bytes.get(offset..end));
            into.copy_from_slice(found.ok_or_else(|| out_of_range(offset, into.len(), bytes.len()))?);
            Ok(())
        };
        match self {
            AnyArea::Private(area) => copy(area.as_bytes()?, into),
            AnyArea::Shared(area) => area.read_at(offset, into),
            AnyArea::Resizable(area) => area.read_at(offset, into),
            AnyArea::Stored(area) => area.read_at(offset, into),
            AnyArea::Frozen(area) if !area.protection().contains(Protection::READ) => {
                let what = format!("read {area}");
                let detail = format!("its protection is {}", area.protection());
                Err(Error::new(ErrorKind::ReadOnly, what).with_facts(detail))
            }
            AnyArea::Frozen(area) => copy(area.as_bytes(), into),
        }
    }

    /// Whether it is an [`Area<Frozen>`].
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        matches!(self, AnyArea::Frozen(_))
    }

    /// The frozen area that it is; itself, if it is none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for another kind.
    pub fn into_frozen(self) -> Result<Area<Frozen>, Rejected<Self>> {
        match self {
            AnyArea::Frozen(area) => Ok(area),
            other => Err(other.not("frozen")),
        }
    }

    /// The shared area that it is; itself, if it is none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for another kind.
    pub fn into_shared(self) -> Result<Area<Shared>, Rejected<Self>> {
        match self {
            AnyArea::Shared(area) => Ok(area),
            other => Err(other.not("shared")),
        }
    }

    /// The resizable area that it is; itself, if it is none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for another kind.
    pub fn into_resizable(self) -> Result<Area<Resizable>, Rejected<Self>> {
        match self {
            AnyArea::Resizable(area) => Ok(area),
            other => Err(other.not("resizable")),
        }
    }

    /// Freezes it, waiting so long for others to release what they may write: `freeze_within` of
    /// its kind. What is frozen already stays as it is.
    ///
    /// # Errors
    /// As there, with the area as it was; [`ErrorKind::Unsupported`] for private and stored memory.
    pub fn freeze_within(self, timeout: Duration) -> Result<Area<Frozen>, Rejected<Self>> {
        match self {
            AnyArea::Shared(area) => area.freeze_within(timeout).map_err(any_again),
            AnyArea::Resizable(area) => area.freeze_within(timeout).map_err(any_again),
            AnyArea::Frozen(area) => Ok(area),
            AnyArea::Private(_) | AnyArea::Stored(_) => {
                let error = Error::new(ErrorKind::Unsupported, format!("freeze {self}"))
                    .with_facts(format!("it is {} memory", self.kind_word()));
                Err(Rejected::new(error, self))
            }
        }
    }

    /// Which of its addresses the kernel no longer has as its own: [`Area::missing`].
    ///
    /// # Errors
    /// As there.
    pub fn missing(&self) -> Result<Vec<Range<usize>>> {
        each!(self, area => area.missing())
    }

    /// [`Area::cut`], whatever the kind.
    #[doc(hidden)]
    pub fn cut(self, lost: &[Range<usize>]) -> Result<Vec<Self>, Rejected<Self>> {
        each!(self, area => match area.cut(lost) {
            Ok(parts) => Ok(parts.into_iter().map(AnyArea::from).collect()),
            Err(rejected) => Err(any_again(rejected)),
        })
    }

    /// [`Area::discard`], whatever the kind.
    #[doc(hidden)]
    pub fn discard(self) {
        each!(self, area => area.discard());
    }

    /// [`Area::note_holder`], whatever the kind.
    #[doc(hidden)]
    pub fn note_holder(&self) {
        each!(self, area => area.note_holder());
    }

    fn no_process_finds(&self, what: String) -> Error {
        let why = format!("it is {} memory, which no other process can find", self.kind_word());
        Error::new(ErrorKind::Unsupported, what).with_facts(why)
    }

    fn kind_word(&self) -> &'static str {
        match self {
            AnyArea::Private(_) => "private",
            AnyArea::Stored(_) => "stored",
            AnyArea::Shared(_) => "shared",
            AnyArea::Resizable(_) => "resizable",
            AnyArea::Frozen(_) => "frozen",
        }
    }

    fn not(self, wanted: &str) -> Rejected<Self> {
        let error = Error::new(ErrorKind::InvalidInput, format!("use {self} as a {wanted} area"))
            .with_facts(format!("it is {}", self.kind_word()))
            .with_remedy("match on the kind: `AnyArea`");
        Rejected::new(error, self)
    }
}

macro_rules! from_kinds {
    ($($kind:ident),*) => {$(
        impl From<Area<$kind>> for AnyArea {
            fn from(area: Area<$kind>) -> Self {
                AnyArea::$kind(area)
            }
        }
    )*};
}
from_kinds!(Private, Shared, Resizable, Frozen, Stored);

/// As the area of its kind prints.
impl fmt::Display for AnyArea {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        each!(self, area => fmt::Display::fmt(area, f))
    }
}
