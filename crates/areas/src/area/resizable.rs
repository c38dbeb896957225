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
    /// Up to its reserve it always can. Beyond, it needs free addresses behind it, here and in every other published clone.
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
        self.permits(Protection::WRITE, "resize")?;
        crate::provider::refuse_impossible(wanted)?;
        let before = self.mapping.span();
        if wanted > before {
            self.nobody_in_the_way(wanted, what)?;
            self.widen(wanted)?;
        }
        let resized =
            self.object().resize(wanted, self.placement, &whose).and_then(|()| self.lock_tail(&whose));
        if let Err(error) = resized {
            if wanted > before {
                self.mapping.cut(before);
            }
            return Err(error);
        }
        if wanted > before {
            let extent = Extent::Resizable { max: wanted };
            if let Some(object) = &mut self.object {
                object.widen(wanted);
            }
            if let Some(publication) = &self.publication {
                publication.set_extent(wanted as u64, extent);
            }
        }
        Ok(())
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
            return Ok(());
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
            self.mapping.place(0..span, self.placement)?;
        }
        Ok(())
    }

    fn lock_tail(&mut self, whose: &str) -> Result<()> {
        match self.lock {
            crate::Lock::None => Ok(()),
            lock => self.apply_lock(lock, whose),
        }
    }
}

/// The object's descriptor.
impl AsFd for Area<Resizable> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.object().as_fd()
    }
}
