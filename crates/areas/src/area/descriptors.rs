//! Areas of descriptors: of memory that came over another program's socket, from a parent, from a
//! device of memory objects. Only what the kernel says of it is believed.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::{AnyArea, ReceiveOptions};
use crate::error::{Error, ErrorKind, Rejected, Result, remedy};
use crate::lock::Lock;
use crate::object::{Extent, Object};
use crate::page::PageSize;
use crate::registry::{self, Note};
use crate::sys;
use crate::sys::object::{SealFlags, SealedStat};

const WHAT: &str = "make an area of a descriptor";

impl AnyArea {
    /// Makes an area of a memory object's descriptor, within the default bounds of
    /// [`ReceiveOptions`].
    ///
    /// # Errors
    /// As [`ReceiveOptions::from_descriptor`].
    pub fn from_descriptor(descriptor: impl Into<OwnedFd>) -> Result<Self, Rejected<OwnedFd>> {
        ReceiveOptions::new().from_descriptor(descriptor)
    }
}

impl ReceiveOptions {
    /// For [`from_descriptor`](ReceiveOptions::from_descriptor): how many bytes of addresses an
    /// object takes that may grow, at least its size. Without this it takes none to grow into: its
    /// descriptor does not say how far others mean it to grow.
    pub const fn room(mut self, bytes: usize) -> Self {
        self.room = Some(bytes);
        self
    }

    /// For [`from_descriptor`](ReceiveOptions::from_descriptor): takes memory, too, that is not
    /// sealed against shrinking, as a resizable area. Without this it is refused.
    pub const fn resizable(mut self) -> Self {
        self.resizable = true;
        self
    }

    /// Makes an area of the memory object (memfd) behind a descriptor, with the rights that the
    /// descriptor has, within these bounds: what `receive` does for one that comes with a message
    /// of ours.
    ///
    /// The kind is the kernel's word: [`AnyArea::Frozen`] where the seals forbid writing,
    /// [`AnyArea::Shared`] where the size cannot shrink, [`AnyArea::Resizable`] where it can and
    /// [`resizable`](ReceiveOptions::resizable) allows that. Its seals are read before its size,
    /// its name and lock are none, and it is not published. The descriptor may be of anything: no
    /// call here waits for another process, and nothing is read or written.
    ///
    /// # Errors
    /// The descriptor comes back, and nothing has changed.
    /// - [`ErrorKind::InvalidInput`] for what is not a memory object, and for one whose size may
    ///   shrink;
    /// - [`ErrorKind::Limit`] for what is beyond a bound, and where no more descriptors may be open
    ///   (a second one is, for the length of the call);
    /// - [`ErrorKind::NotPermitted`] for a descriptor that is not open for reading;
    /// - as for new areas.
    #[doc(alias = "memfd_create")]
    pub fn from_descriptor(&self, descriptor: impl Into<OwnedFd>) -> Result<AnyArea, Rejected<OwnedFd>> {
        let descriptor = descriptor.into();
        match self.of_descriptor(descriptor.as_fd()) {
            Ok(area) => Ok(area),
            Err(error) => Err(Rejected::new(error, descriptor)),
        }
    }

    /// The same, and the descriptor stays the caller's: for the C edge.
    ///
    /// # Errors
    /// As [`from_descriptor`](ReceiveOptions::from_descriptor).
    #[doc(hidden)]
    pub fn of_descriptor(&self, descriptor: BorrowedFd<'_>) -> Result<AnyArea> {
        match self.of_descriptor_once(descriptor) {
            // It was frozen after the look at its seals: it stays so.
            Err(error) if error.kind() == ErrorKind::Frozen => self.of_descriptor_once(descriptor),
            other => other,
        }
    }

    fn of_descriptor_once(&self, descriptor: BorrowedFd<'_>) -> Result<AnyArea> {
        let failed = |call: &'static str| {
            move |errno| {
                Error::new(ErrorKind::System, WHAT)
                    .with_system_call(format!("{call}({})", descriptor.as_raw_fd()), errno)
            }
        };
        let looked = sys::object::sealed_stat(descriptor).map_err(failed("statx"))?;
        let page = match looked.seals {
            // What can have seals is on a file system of the kernel's own, which answers at once.
            Ok(_) => sys::object::pool_page(descriptor).map_err(failed("fstatfs"))?.and_then(PageSize::of),
            Err(_) => None,
        };
        let page = page.unwrap_or_else(PageSize::base);
        self.refuse_shrinking(&looked, page)?;
        let writable = sys::file::is_writable(descriptor).map_err(failed("fcntl(F_GETFL)"))?;
        // Close-on-exec, and none of 0, 1 and 2; of the same open file, so that what was looked at
        // holds.
        let own = sys::file::copy_of(descriptor).map_err(|errno| {
            remedy::open_files(
                Error::new(ErrorKind::Limit, WHAT).with_system_call("fcntl(F_DUPFD_CLOEXEC)", errno),
            )
        })?;
        let room = self.room.map(|room| page.round_up(room).unwrap_or(usize::MAX));
        let reported = match (room, self.resizable) {
            (room, true) => Extent::Resizable { max: room.unwrap_or(0) },
            (Some(max), false) => Extent::Growable { max },
            (None, false) => Extent::Fixed,
        };
        let object = Object::adopt_looked(own, &looked, page, reported, None)?;
        self.map_object(object, writable, (None, Note::default(), Lock::None), WHAT)
    }

    /// What may shrink is taken where that is allowed, and only from the kernel's own devices of
    /// memory objects: others could not open a file of a mounted file system by way of the
    /// registry.
    fn refuse_shrinking(&self, looked: &SealedStat, page: PageSize) -> Result<()> {
        let Ok(seals) = looked.seals else { return Ok(()) };
        if !looked.stat.is_file() || seals.contains(SealFlags::SHRINK) {
            return Ok(());
        }
        let refuse = |detail: &'static str, help: &'static str| {
            Err(Error::new(ErrorKind::InvalidInput, WHAT).with_facts(detail).with_remedy(help))
        };
        if !self.resizable {
            return refuse(
                "its size may shrink while it is mapped: it is not sealed against that",
                "seal it (F_SEAL_SHRINK), or take it as a resizable area: `ReceiveOptions::resizable`",
            );
        }
        let is_memory = registry::is_memory(&looked.stat, page)
            .map_err(|errno| Error::new(ErrorKind::System, WHAT).with_system_call("memfd_create", errno))?;
        if is_memory {
            return Ok(());
        }
        refuse(
            "it is a file of a mounted file system, and no memory object",
            "copy it into an area: `Area::fill_from`",
        )
    }
}
