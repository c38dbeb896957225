//! Asking for an area.

mod create_or_open;
mod objects;

use std::sync::Arc;
use std::time::Duration;

use super::kind::NoObject;
use super::{Area, Private, Shared, Stored};
use crate::error::{Error, ErrorKind, Result};
use crate::lock::Lock;
use crate::mapping::{Mapping, Reservation, headroom};
use crate::nodes::{CompactPlacement, Placement};
use crate::page::Pages;
use crate::protection::Protection;
use crate::provider::{Address, Backing, Provider, Request, System, is_left_to_the_kernel, resolve};
use crate::registry::{Name, Note};
use crate::size::Bytes;

pub use create_or_open::CreatedOrOpened;
use objects::place;

/// What is asked of a new area. It can be used many times: the terminal calls take `&self`.
#[derive(Clone, Debug)]
#[must_use = "an area is made by `private` or `shared`"]
pub struct AreaBuilder<'a> {
    pub(in crate::area) size: usize,
    name: Option<Arc<[u8]>>,
    note: Option<Vec<u8>>,
    exclusive: bool,
    placement: CompactPlacement,
    pub(in crate::area) pages: Pages,
    pub(in crate::area) lock: Lock,
    pub(in crate::area) extent: Wanted,
    address: Address,
    protection: Protection,
    home: Option<(&'a Arc<Reservation>, usize)>,
    dump: bool,
    /// `None`: the kernel as it is.
    provider: Option<&'a dyn Provider>,
}

/// How long a process that wants a name for one area alone waits for another that is in the middle
/// of taking it: [`AreaBuilder::exclusive`].
pub const EXCLUSIVE_TIMEOUT: Duration = Duration::from_secs(1);

/// What was asked of the extent; rounded and checked once the page size is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::area) enum Wanted {
    Fixed,
    Growable(usize),
    Resizable(usize),
}

static SYSTEM: System = System::new();

/// Starts asking for an area of `size` bytes: zeroed, readable and writable, in base pages, placed
/// nowhere in particular, not locked, not published.
///
/// ```
/// let mut area = areas::builder(1 << 20).private()?;
/// area[17] = 42;
/// assert_eq!(area.iter().filter(|&&byte| byte != 0).count(), 1);
/// # Ok::<(), areas::Error>(())
/// ```
pub fn builder(size: usize) -> AreaBuilder<'static> {
    AreaBuilder {
        size,
        name: None,
        note: None,
        exclusive: false,
        placement: CompactPlacement::Default,
        pages: Pages::Base,
        lock: Lock::None,
        extent: Wanted::Fixed,
        address: Address::Any,
        protection: Protection::READ_WRITE,
        home: None,
        dump: true,
        provider: None,
    }
}

impl<'a> AreaBuilder<'a> {
    /// Publishes it under that name as soon as it is there. For shared areas.
    pub fn name(mut self, name: impl AsRef<[u8]>) -> Self {
        self.name = Some(name.as_ref().into());
        self
    }

    /// Publishes it only if no other area has its name: [`ErrorKind::NameTaken`] if one has. Of
    /// several processes and threads that ask for that at once, at most one gets the name,
    /// whichever is killed; if the name is free, one does.
    ///
    /// Those that did not get it, or were killed, leave nothing behind. One that is stopped at that
    /// very moment is waited for, up to
    /// [`EXCLUSIVE_TIMEOUT`]: then it is [`ErrorKind::Busy`], and the error names the process.
    ///
    /// The name is exclusive among those that ask for it, and against what was published before. It
    /// is not a lock: publishing an area without this does not look whether the name is taken. Only
    /// processes that find each other's areas are considered.
    ///
    /// ```
    /// use areas::ErrorKind;
    ///
    /// let leader = areas::builder(4096).name("doc: leader").exclusive().shared()?;
    /// let other = areas::builder(4096).name("doc: leader").exclusive().shared();
    /// assert_eq!(other.unwrap_err().kind(), ErrorKind::NameTaken);
    /// drop(leader); // or its process ends, in whatever way
    /// assert!(areas::builder(4096).name("doc: leader").exclusive().shared().is_ok());
    /// # Ok::<(), areas::Error>(())
    /// ```
    pub fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// Notes something beside it for those who find it: up to 256 bytes that mean what the program
    /// says, a type and a shape for instance. For shared areas.
    ///
    /// ```
    /// let area = areas::builder(4096).name("frames").note(b"u1 (2, 2048)").shared()?;
    /// let found = areas::registry::find("frames")?;
    /// assert_eq!(found.note().as_bytes(), b"u1 (2, 2048)");
    /// # drop(area);
    /// # Ok::<(), areas::Error>(())
    /// ```
    pub fn note(mut self, note: impl AsRef<[u8]>) -> Self {
        self.note = Some(note.as_ref().to_owned());
        self
    }

    /// Where its pages shall come from.
    ///
    /// ```
    /// use areas::{NodeSet, Policy};
    ///
    /// let area = areas::builder(1 << 20).place(Policy::Interleave(NodeSet::ALL)).private()?;
    /// assert_eq!(area.placement().policy().name(), "interleave");
    /// # Ok::<(), areas::Error>(())
    /// ```
    pub fn place(mut self, placement: impl Into<Placement>) -> Self {
        self.placement = placement.into().into();
        self
    }

    /// Which pages it shall be made of.
    ///
    /// ```
    /// use areas::{PageSize, Pages};
    ///
    /// // From the pool, or an error that says how to fill it; `PreferPool` would take base pages then.
    /// match areas::builder(2 << 20).pages(Pages::Pool(PageSize::HUGE_2M)).private() {
    ///     Ok(area) => assert_eq!(area.granted().page_size(), PageSize::HUGE_2M),
    ///     Err(error) => println!("{error:#}"),
    /// }
    /// # Ok::<(), areas::Error>(())
    /// ```
    pub fn pages(mut self, pages: Pages) -> Self {
        self.pages = pages;
        self
    }

    /// Whether it shall stay in RAM, and on what page frames.
    ///
    /// ```
    /// use areas::{ErrorKind, Lock};
    ///
    /// match areas::builder(64 << 10).lock(Lock::Full).private() {
    ///     Ok(area) => assert_eq!(area.residency()?.resident(), 64 << 10), // and it stays so
    ///     Err(error) => assert_eq!(error.kind(), ErrorKind::Limit), // RLIMIT_MEMLOCK: the error says what to set
    /// }
    /// # Ok::<(), areas::Error>(())
    /// ```
    pub fn lock(mut self, lock: Lock) -> Self {
        self.lock = lock;
        self
    }

    /// Lets it grow up to `max` bytes, for all holders at once. Every holder takes that
    /// many addresses.
    ///
    /// For shared areas.
    ///
    /// ```
    /// let log = areas::builder(4096).growable(1 << 30).shared()?;
    /// assert_eq!((log.size(), log.reserve()), (4096, 1 << 30)); // addresses are no memory
    /// # Ok::<(), areas::Error>(())
    /// ```
    pub fn growable(mut self, max: usize) -> Self {
        self.extent = Wanted::Growable(max);
        self
    }

    /// At which addresses it shall be.
    pub fn at(mut self, address: Address) -> Self {
        self.address = address;
        self
    }

    /// At an offset, in bytes, of addresses that were reserved in advance. (Then
    /// [`at`](AreaBuilder::at) does not count.)
    ///
    /// A resizable area grows beyond its maximum as far as the reservation is free behind it.
    #[doc(alias = "reserve_address_range")]
    pub fn inside<'b>(self, reservation: &'b Arc<Reservation>, offset: usize) -> AreaBuilder<'b>
    where
        'a: 'b,
    {
        AreaBuilder { home: Some((reservation, offset)), ..self }
    }

    /// Whether core dumps of this process have its bytes: they do, unless `false` is asked for.
    ///
    /// The kernel writes an area whole, pages that were never touched too, and takes memory for
    /// them first: 1 GiB of which one page is used is 1 GiB of disk and, while the process dies, of
    /// RAM. What is large and sparse, or secret, is better left out. Growable and resizable areas
    /// always are.
    #[doc(alias = "MADV_DONTDUMP")]
    pub fn dump(mut self, dump: bool) -> Self {
        self.dump = dump;
        self
    }

    /// What may be done with its pages.
    pub fn protection(mut self, protection: Protection) -> Self {
        self.protection = protection;
        self
    }

    /// Where it shall come from, instead of the kernel as it is.
    pub fn provider<'b>(self, provider: &'b dyn Provider) -> AreaBuilder<'b>
    where
        'a: 'b,
    {
        AreaBuilder { provider: Some(provider), ..self }
    }

    /// The placement, over nodes that are allowed, or that the kernel will refuse.
    fn resolved(&self) -> Result<Placement> {
        let placement = self.placement.whole();
        match self.provider {
            None if placement.is_default() || is_left_to_the_kernel(&placement) => Ok(placement),
            None => resolve(placement),
            // A custom provider may place nothing, and so refuse nothing.
            Some(_) => resolve(placement),
        }
    }

    /// Asks the provider, and believes nothing of another's that was not compared with the request.
    fn map(&self, request: &Request<'_>, kind: &str) -> Result<Mapping> {
        let Some(provider) = self.provider else {
            let mapping = SYSTEM.map(request)?;
            debug_assert!(request.check(&mapping).is_ok(), "the kernel's provider answers what it is asked");
            return Ok(mapping);
        };
        let mapping = provider.map(request)?;
        request.check(&mapping).map_err(|error| {
            let differs = error.facts().unwrap_or_default().to_owned();
            Error::new(error.kind(), self.what(kind))
                .with_facts(format!("its provider {provider:?} gave something else: {differs}"))
                .with_remedy(error.remedy().unwrap_or_default().to_owned())
        })?;
        Ok(mapping)
    }

    pub(in crate::area) fn what(&self, kind: &str) -> String {
        match &self.name {
            Some(name) => {
                format!("make {kind} area {:?} of {}", String::from_utf8_lossy(name), Bytes::from(self.size))
            }
            None => format!("make a {kind} area of {}", Bytes::from(self.size)),
        }
    }

    /// Makes an area of this process alone.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a size of 0, a name, or growth; [`ErrorKind::Unsupported`]
    /// for a contiguous or low lock, which copies made after a fork could not keep;
    /// [`ErrorKind::NodeNotAllowed`], [`ErrorKind::NoMemory`], [`ErrorKind::Limit`],
    /// [`ErrorKind::AddressInUse`] as the request meets the machine.
    pub fn private(&self) -> Result<Area<Private>> {
        if self.name.is_some() || self.note.is_some() || self.exclusive || self.extent != Wanted::Fixed {
            return Err(Error::new(ErrorKind::InvalidInput, self.what("private"))
                .with_facts("only shared areas have names and notes, and can grow")
                .with_remedy("use `.shared()`, or leave `.name()`, `.note()` and `.growable()` out"));
        }
        self.refuse_private()?;
        headroom::keep(|| self.what("private"))?;
        let placement = self.resolved()?;
        let request = Request::new(self.size).at(self.address).pages(self.pages).protection(self.protection);
        let mapping = self.map(&place(self.at_home(request), &placement), "private")?;
        self.finish(mapping, NoObject, &placement)
    }

    /// Makes an area of stored bytes: a part of the file or device that its provider is over
    /// ([`Storage`](crate::provider::Storage)).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the provider stores nothing (the kernel itself does not),
    /// and for a lock; [`ErrorKind::InvalidInput`] for a size of 0, a name, or growth;
    /// [`ErrorKind::NoMemory`] where no part of it is free that is large enough; as the request
    /// meets the file.
    pub fn stored(&self) -> Result<Area<Stored>> {
        if self.name.is_some() || self.extent != Wanted::Fixed {
            return Err(Error::new(ErrorKind::InvalidInput, self.what("stored"))
                .with_facts("only shared areas have names and can grow")
                .with_remedy("leave `.name()` and `.growable()` out: others open the file"));
        }
        if self.lock != Lock::None {
            return Err(Error::new(ErrorKind::Unsupported, self.what("stored"))
                .with_facts(format!("it is to be locked as {}", self.lock))
                .with_remedy("a device's memory stays where it is; put a file that is to stay in RAM into a shared area"));
        }
        headroom::keep(|| self.what("stored"))?;
        let placement = self.resolved()?;
        let request = Request::new(self.size)
            .backed_by(Backing::Stored)
            .at(self.address)
            .pages(self.pages)
            .protection(self.protection);
        let mapping = self.map(&place(self.at_home(request), &placement), "stored")?;
        self.finish(mapping, NoObject, &placement)
    }

    /// Makes an area that others can clone.
    ///
    /// With a name it is published at once; without one, its descriptor can be passed on, or
    /// [`publish`](Area::publish) called when its contents are complete.
    ///
    /// Where the kernel counts strictly (`vm.overcommit_memory=2`), its base pages are taken at
    /// once, so that no touch is refused.
    ///
    /// # Errors
    /// As [`private`](AreaBuilder::private); [`ErrorKind::Registry`] if it cannot be published.
    pub fn shared(&self) -> Result<Area<Shared>> {
        let name = self.named()?;
        if self.size == 0 && self.extent == Wanted::Fixed {
            return Err(Error::new(ErrorKind::InvalidInput, self.what("shared")).with_facts("the size is 0"));
        }
        self.shared_of_any_size(name)
    }

    /// The same, an empty one included: an empty file is an area too.
    ///
    /// # Errors
    /// As [`shared`](AreaBuilder::shared).
    pub fn shared_or_empty(&self) -> Result<Area<Shared>> {
        self.shared_of_any_size(self.named()?)
    }

    fn shared_of_any_size(&self, name: Option<Name>) -> Result<Area<Shared>> {
        let note = self.noted()?;
        let placement = self.resolved()?;
        if let Wanted::Growable(max) = self.extent
            && self.lock != Lock::None
        {
            return Err(Error::new(ErrorKind::InvalidInput, self.what("shared"))
                .with_facts(format!("it is to grow to {} and to be locked", Bytes::from(max)))
                .with_remedy("a reserve cannot be locked: choose a fixed size, or no lock"));
        }
        self.refuse_taken(name.as_ref())?;
        headroom::keep(|| self.what("shared"))?;
        let mut area: Area<Shared> = self.in_pages(&placement)?;
        area.note = note;
        if let Some(name) = name {
            area.publish_wanted(name, self.exclusive)?;
        }
        Ok(area)
    }

    /// Before memory is taken for an area that is to have a name alone.
    fn refuse_taken(&self, name: Option<&Name>) -> Result<()> {
        match (self.exclusive, name) {
            (false, _) => Ok(()),
            (true, Some(name)) => crate::registry::refuse_taken(name),
            (true, None) => Err(Error::new(ErrorKind::InvalidInput, self.what("shared"))
                .with_facts("its name is to be exclusive, and it has none")
                .with_remedy("give it a name: `.name()`")),
        }
    }

    fn named(&self) -> Result<Option<Name>> {
        self.name.as_ref().map(Name::shared).transpose()
    }

    fn noted(&self) -> Result<Note> {
        self.note.as_deref().map_or_else(|| Ok(Note::default()), Note::new)
    }
}
