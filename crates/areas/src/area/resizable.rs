//! Areas that may grow and shrink under everybody, as BeOS's do.

use std::os::fd::{AsFd, BorrowedFd};

use super::{Access, Area, sealed};
use crate::error::{Error, Kind, Result};
use crate::mapping::out_of_range;
use crate::object::Extent;
use crate::protection::Protection;
use crate::registry;
use crate::size::Bytes;
use crate::sys;

/// Others may write, and change the size: whoever has a clone.
///
/// What lies beyond the end faults (SIGBUS), and the end may move at any moment, so that no access through the mapping is
/// safe: the copies here go through the kernel, which answers with an error. C programs, and who knows what they do, use
/// [`Area::as_ptr`].
#[derive(Debug)]
pub enum Resizable {}

impl sealed::Sealed for Resizable {}
impl Access for Resizable {}

impl Area<Resizable> {
    /// Copies bytes out, by a system call.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`] beyond the size as it is at that moment, [`Kind::ReadOnly`] where its protection forbids it.
    pub fn read_at(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        self.permits(Protection::READ, "read from")?;
        // No file has bytes there, and the kernel calls it nonsense.
        if offset.checked_add(into.len()).is_none_or(|end| i64::try_from(end).is_err()) {
            return Err(out_of_range(offset, into.len(), self.size()));
        }
        let got = self.object().own_fd().and_then(|fd| sys::file::read_at(fd, into, offset as u64));
        let got = got.map_err(|errno| {
            Error::new(Kind::System, format!("read {} bytes of {self}", into.len()))
                .call(format!("pread({offset})"), errno)
        })?;
        if got == into.len() { Ok(()) } else { Err(out_of_range(offset, into.len(), self.size())) }
    }

    /// Copies bytes in, by a system call. It never makes the area larger.
    ///
    /// # Errors
    /// [`Kind::OutOfRange`] beyond the size as it is at that moment (if somebody shrinks it meanwhile, what lay before the
    /// new end is written), [`Kind::ReadOnly`] where its protection forbids it.
    pub fn write_at(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        let size = self.size();
        // Not by pwrite, which would make the object larger again where somebody shrank it after the look.
        match self.mapping.write_by_kernel(offset, bytes, size)? {
            Ok(written) if written == bytes.len() => Ok(()),
            Ok(_) | Err(sys::Errno::FAULT) => Err(out_of_range(offset, bytes.len(), self.size())),
            Err(errno) => Err(Error::new(Kind::System, format!("write {} bytes to {self}", bytes.len()))
                .call("process_vm_writev", errno)
                .help(
                    "a sandbox may forbid it: allow process_vm_writev, which is used on this process itself",
                )),
        }
    }

    fn permits(&self, needed: Protection, what: &str) -> Result<()> {
        if self.protection().contains(needed) {
            return Ok(());
        }
        Err(Error::new(Kind::ReadOnly, format!("{what} {self}"))
            .detail(format!("its protection is {}", self.protection())))
    }

    /// Changes its size, rounded up to whole pages, for all who have a clone at once and in place: no address changes.
    /// New bytes are zero; what is cut off is freed at once.
    ///
    /// Up to its reserve it always can, if its clones have the same (as they do unless they were asked for with another
    /// [`room`](crate::CloneBuilder::room), or [`trim_reserve`](Area::trim_reserve) took some). Beyond, it needs free addresses behind it,
    /// here and in every other published clone.
    ///
    /// # Errors
    /// Nothing has changed then.
    /// - [`Kind::AddressInUse`]: addresses behind it, or behind a clone, are taken; the error names who stands in the way.
    ///   (This is "address space blocked": another address may do.)
    /// - [`Kind::NoMemory`], [`Kind::Limit`]: there is not that much memory, or a limit forbids it.
    /// - [`Kind::ReadOnly`] for a clone that may not write; [`Kind::Frozen`] if somebody has frozen it.
    #[doc(alias = "resize_area")]
    pub fn resize(&mut self, size: usize) -> Result<()> {
        let whose = self.to_string();
        let what = || format!("resize {whose} to {}", Bytes::from(size));
        let page = self.mapping.page_size();
        let Some(wanted) = page.round_up(size).filter(|&size| size > 0) else {
            return Err(Error::new(Kind::InvalidInput, what())
                .detail("the size is 0, or more than there are addresses"));
        };
        crate::provider::refuse_impossible(wanted)?;
        let before = self.mapping.span();
        let size = self.size();
        // Where all have the same reserve, all can follow inside of it.
        if wanted > before || wanted > size && self.object().is_uneven() {
            self.nobody_in_the_way(wanted, what)?;
        }
        if wanted > before
            && let Err(error) = self.widen(wanted)
        {
            self.mapping.cut(before);
            return Err(no_room(what(), error));
        }
        let resized = self.object().resize(wanted, self.placement, &whose);
        let locked = resized.and_then(|()| {
            // Where the new bytes cannot be locked, nobody gets them. (Somebody else's resize in between stands.)
            self.lock_tail(&whose).inspect_err(|_| {
                if wanted > size && self.size() == wanted {
                    let _ = self.object().resize(size, self.placement, &whose);
                }
            })
        });
        if let Err(error) = locked {
            if wanted > before {
                self.mapping.cut(before);
            }
            return Err(error);
        }
        if wanted > before {
            self.note_span();
        }
        Ok(())
    }

    /// Takes addresses behind it, up to `span` bytes in all, so that it can grow without asking for them later.
    ///
    /// # Errors
    /// Nothing has changed then. [`Kind::AddressInUse`] if something is mapped there; [`Kind::InvalidInput`] for a locked area:
    /// a reserve cannot be locked; [`Kind::Limit`], [`Kind::NoMemory`] as for new areas.
    pub fn widen_reserve(&mut self, span: usize) -> Result<()> {
        let what = || format!("reserve {} of addresses for {self}", Bytes::from(span));
        let wrong = |why: &str| Err(Error::new(Kind::InvalidInput, what()).detail(why.to_owned()));
        let Some(wanted) = self.mapping.page_size().round_up(span) else {
            return wrong("it is more than there are addresses");
        };
        if self.lock != crate::Lock::None {
            return wrong("it is locked, and a reserve cannot be locked");
        }
        if wanted > self.mapping.span() {
            // What was made here, and never published, has no clones that could be found.
            if self.publication.is_some() || self.object().is_adopted() {
                self.object().mark_uneven()?;
            }
            self.widen(wanted)?;
            super::dress(&self.mapping, self.object.as_ref());
            self.note_span();
        }
        Ok(())
    }

    /// Gives addresses back that it has taken to grow into, all but `span` bytes (or what it has grown to). From then on it
    /// grows as far as it finds room, and so do its clones. (Nothing happens where the kernel does not let them know.)
    pub fn trim_reserve(&mut self, span: usize) {
        let kept = self.mapping.page_size().round_up(span).unwrap_or(usize::MAX).max(self.used()).max(1);
        if kept < self.mapping.span() && self.object().mark_uneven().is_ok() {
            self.mapping.cut(kept);
            self.note_span();
        }
    }

    /// Tells everybody how many addresses it has now.
    fn note_span(&mut self) {
        let span = self.mapping.span();
        if let Some(object) = &mut self.object {
            object.widen(span);
        }
        if let Some(publication) = &self.publication {
            publication.set_extent(span as u64, Extent::Resizable { max: span });
        }
    }

    /// Whether every other published clone has the addresses.
    fn nobody_in_the_way(&self, wanted: usize, what: impl Fn() -> String) -> Result<()> {
        let identity = self.object().identity();
        let listing = registry::list()?;
        let blocked: Vec<String> = listing
            .areas
            .iter()
            .filter(|source| {
                source.record().object == identity && (source.record().span as u128) < wanted as u128
            })
            .filter(|source| {
                !self.publication.as_ref().is_some_and(|publication| publication.is(source.id()))
            })
            .map(|source| format!("area {} in process {}", source.id(), source.pid()))
            .collect();
        if blocked.is_empty() {
            // Who is kept from us is not asked; whom we could ask if we had a descriptor for it must not be passed over.
            return match listing.unreadable.iter().find(|team| team.own_limit) {
                None => Ok(()),
                Some(team) => Err(Error::new(Kind::Limit, what())
                    .detail(format!("process {} may have clones, and cannot be asked: {}", team.pid, team.reason))
                    .help("a look into another team takes a few descriptors and some memory: raise the limits, or drop areas")),
            };
        }
        Err(Error::new(Kind::AddressInUse, what())
            .detail(format!("clones have no addresses for it: {}", blocked.join(", ")))
            .help("create it with a larger maximum, or have these clones dropped and made again"))
    }

    /// Takes the addresses behind.
    fn widen(&mut self, span: usize) -> Result<()> {
        let object = super::object_of(self.object.as_ref());
        let fd = object
            .own_fd()
            .map_err(|_| crate::object::closed("take more addresses for an area".to_owned()))?;
        self.mapping.extend(span, fd)?;
        if !self.placement.is_default() {
            self.mapping.place(0..span, &self.placement)?;
        }
        // Where it shrinks again, the new part is a reserve.
        super::dress(&self.mapping, self.object.as_ref());
        Ok(())
    }

    fn lock_tail(&mut self, whose: &str) -> Result<()> {
        match self.lock {
            crate::Lock::None => Ok(()),
            lock => self.apply_lock(lock, whose),
        }
    }
}

/// Why the addresses behind could not be had.
fn no_room(what: String, error: Error) -> Error {
    let help = match error.kind() {
        Kind::AddressInUse => Some(
            "it cannot grow where it is: make a larger one, or make it inside of a reservation".to_owned(),
        ),
        _ => error.remedy().map(str::to_owned),
    };
    let told = Error::new(error.kind(), what).detail("it has no addresses for that").caused_by(error);
    match help {
        Some(help) => told.help(help),
        None => told,
    }
}

/// The object's descriptor.
impl AsFd for Area<Resizable> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.object().as_fd()
    }
}
