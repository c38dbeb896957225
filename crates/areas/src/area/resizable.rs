//! Areas that may grow and shrink for all holders, as BeOS's do.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use super::addresses::{Steps, no_room};
use super::kind::{Clonable, Freezable, Sealed};
use super::{Area, AreaKind, reserve};
use crate::error::{Error, ErrorKind, Result};
use crate::mapping::{Reservation, out_of_range};
use crate::object::Object;
use crate::protection::Protection;
use crate::size::Bytes;
use crate::sys;

/// Others may write, and change the size: every process that has a clone.
///
/// What lies beyond the end faults (SIGBUS), and the end may move at any moment, so that no access
/// through the mapping is safe: the copies here go through the kernel, which answers with an error.
/// C programs, and code that takes care of this itself, use [`Area::as_ptr`].
#[derive(Debug)]
pub enum Resizable {}

impl Sealed for Resizable {
    type Object = Object;
}

impl AreaKind for Resizable {}
impl Clonable for Resizable {}
impl Freezable for Resizable {}

impl Area<Resizable> {
    /// Copies bytes out, by a system call.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] beyond the size as it is at that moment, [`ErrorKind::ReadOnly`]
    /// where its protection forbids it.
    pub fn read_at(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        self.permits(Protection::READ, "read from")?;
        // No file has bytes there, and the kernel calls it nonsense.
        if offset.checked_add(into.len()).is_none_or(|end| i64::try_from(end).is_err()) {
            return Err(out_of_range(offset, into.len(), self.size()));
        }
        let object = self.own();
        // Of a part of an object no more than is its own.
        let own = match object.is_capped() {
            true => self.mapping.span().saturating_sub(offset).min(into.len()),
            false => into.len(),
        };
        let at = object.piece().first.saturating_add(offset as u64);
        let got = object.own_fd().and_then(|fd| sys::file::read_at(fd, &mut into[..own], at));
        let got = got.map_err(|errno| {
            Error::new(ErrorKind::System, format!("read {} bytes of {self}", into.len()))
                .with_system_call(format!("pread({offset})"), errno)
        })?;
        if got == into.len() { Ok(()) } else { Err(out_of_range(offset, into.len(), self.size())) }
    }

    /// Copies bytes in, by a system call. It never makes the area larger.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] beyond the size as it is at that moment (if it is shrunk
    /// concurrently, what lay before the new end is written), [`ErrorKind::ReadOnly`] where its
    /// protection forbids it.
    pub fn write_at(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        let size = self.size();
        // Not by pwrite, which would make the object larger again where another process shrank it
        // after the look.
        match self.mapping.write_by_kernel(offset, bytes, size)? {
            Ok(written) if written == bytes.len() => Ok(()),
            Ok(_) | Err(sys::Errno::FAULT) => Err(out_of_range(offset, bytes.len(), self.size())),
            Err(errno) => Err(Error::new(
                ErrorKind::System,
                format!("write {} bytes to {self}", bytes.len()),
            )
            .with_system_call("process_vm_writev", errno)
            .with_remedy(
                "a sandbox may forbid it: allow process_vm_writev, which is used on this process itself",
            )),
        }
    }

    /// For what is in `sync`: by the size as it is at that moment.
    pub(crate) fn futex_address(&self, offset: usize) -> Result<*mut u8> {
        self.mapping.futex_address(offset, self.size())
    }

    fn own(&self) -> &Object {
        &self.object
    }

    fn permits(&self, needed: Protection, what: &str) -> Result<()> {
        if self.protection().contains(needed) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::ReadOnly, format!("{what} {self}"))
            .with_facts(format!("its protection is {}", self.protection())))
    }

    /// Changes its size, rounded up to whole pages, for all holders at once and in place:
    /// no address changes. New bytes are zero; what is cut off is freed at once.
    ///
    /// Up to its reserve it always can, if its clones have the same (as they do unless they were
    /// asked for with another [`room`](crate::CloneBuilder::room), or
    /// [`trim_reserve`](Area::trim_reserve) took some). Beyond, it needs free addresses behind it,
    /// here and in every other published clone.
    ///
    /// ```
    /// let mut area = areas::builder(4096).name("doc: resized").resizable(1 << 20)?;
    /// let clone = areas::registry::find("doc: resized")?.open_resizable()?;
    /// area.resize(64 << 10)?;
    /// assert_eq!(clone.size(), 64 << 10); // for all holders, at the same addresses
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// Nothing has changed then.
    /// - [`ErrorKind::AddressInUse`]: addresses behind it, or behind a clone, are taken; the error
    ///   names what has them. (This is "address space blocked": another address may do.)
    /// - [`ErrorKind::NoMemory`], [`ErrorKind::Limit`]: there is not that much memory, or a limit
    ///   forbids it.
    /// - [`ErrorKind::ReadOnly`] for a clone that may not write; [`ErrorKind::Frozen`] if it was
    ///   frozen.
    #[doc(alias = "resize_area")]
    pub fn resize(&mut self, size: usize) -> Result<()> {
        self.resize_behind(size, None)
    }

    /// The same; and where it grows beyond its addresses, it may take those behind the end of its
    /// reservation as well, and what these reservations have free there. They are without that part
    /// from then on.
    ///
    /// # Errors
    /// As [`resize`](Area::resize): nothing has changed then, in the reservations neither.
    pub fn resize_over(&mut self, size: usize, reservations: &[Arc<Reservation>]) -> Result<()> {
        self.resize_behind(size, Some(reservations))
    }

    fn resize_behind(&mut self, size: usize, over: Option<&[Arc<Reservation>]>) -> Result<()> {
        let whose = self.to_string();
        let what = || format!("resize {whose} to {}", Bytes::from(size));
        let page = self.mapping.page_size();
        let Some(wanted) = page.round_up(size).filter(|&size| size > 0) else {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .with_facts("the size is 0, or more than there are addresses"));
        };
        crate::provider::refuse_impossible(wanted)?;
        if self.own().is_capped() {
            return self.resize_capped(wanted, &what);
        }
        let before = self.mapping.span();
        let size = self.size();
        // Inside the reserve all holders can follow, if theirs are the same.
        let beyond = wanted > before;
        if beyond || wanted > size && self.own().is_uneven() {
            self.ask_others(wanted, what)?;
        }
        let mut claim = None;
        if beyond {
            let widened = match over {
                None => self.widen(wanted),
                Some(over) => self.cover(wanted, over).map(|covered| claim = Some(covered)),
            };
            widened.map_err(|error| {
                self.mapping.cut(before);
                no_room(what(), error)
            })?;
        }
        let resized = match wanted > size {
            true => reserve::grow(&Steps::new(self, &whose, &what), size, wanted, beyond),
            false => self.own().resize(wanted, self.placement.whole(), &whose),
        };
        let locked = resized.and_then(|()| {
            // Where the new bytes cannot be locked, no holder gets them. (Another holder's resize
            // in between stands.)
            self.lock_tail(&whose).inspect_err(|_| {
                if wanted > size && self.size() == wanted {
                    let _ = self.own().resize(size, self.placement.whole(), &whose);
                }
            })
        });
        if let Err(error) = locked {
            match claim {
                Some(claim) => self.mapping.uncover(claim),
                None if beyond => self.mapping.cut(before),
                None => {}
            }
            return Err(error);
        }
        if let Some(claim) = claim {
            claim.keep();
        }
        if beyond {
            self.note_span();
        }
        Ok(())
    }

    /// Whether it is a clone of another area of this process that has to have more addresses before
    /// that one can have `size` bytes: how many bytes of addresses it needs. For code that holds
    /// both, and grows one.
    #[doc(hidden)]
    #[must_use]
    pub fn lacks_for(&self, other: &Self, size: usize) -> Option<usize> {
        let (own, others) = (self.own(), other.own());
        if own.identity() != others.identity() || own.is_capped() || others.is_capped() {
            return None;
        }
        // Parts begin at different bytes of the object.
        let end = others.piece().first.checked_add(size as u64)?;
        let wanted = usize::try_from(end.checked_sub(own.piece().first)?).ok()?;
        (wanted > self.mapping.span()).then_some(wanted)
    }

    /// [`widen_reserve`](Area::widen_reserve) for code that is about to grow a clone of it, also
    /// where it is locked: then [`lock_grown`](Area::lock_grown) has to follow the growth, or
    /// [`trim_reserve`](Area::trim_reserve) where that failed.
    ///
    /// # Errors
    /// As [`widen_reserve`](Area::widen_reserve).
    #[doc(hidden)]
    pub fn make_room(&mut self, span: usize) -> Result<()> {
        self.own().mark_uneven()?;
        self.widen(span)?;
        self.note_span();
        Ok(())
    }

    /// Locks what has been grown of it through a clone, as it is locked.
    ///
    /// # Errors
    /// As [`resize`](Area::resize) of a locked area.
    #[doc(hidden)]
    pub fn lock_grown(&mut self) -> Result<()> {
        let whose = self.to_string();
        self.lock_tail(&whose)
    }

    /// Takes addresses behind it, up to `span` bytes in all, so that it can grow without asking for
    /// them later.
    ///
    /// # Errors
    /// Nothing has changed then. [`ErrorKind::AddressInUse`] if something is mapped there;
    /// [`ErrorKind::InvalidInput`] for a locked area: a reserve cannot be locked;
    /// [`ErrorKind::Limit`], [`ErrorKind::NoMemory`] as for new areas.
    pub fn widen_reserve(&mut self, span: usize) -> Result<()> {
        let what = || format!("reserve {} of addresses for {self}", Bytes::from(span));
        let wrong = |why: &str| Err(Error::new(ErrorKind::InvalidInput, what()).with_facts(why.to_owned()));
        let Some(wanted) = self.mapping.page_size().round_up(span) else {
            return wrong("it is more than there are addresses");
        };
        if self.lock != crate::Lock::None {
            return wrong("it is locked, and a reserve cannot be locked");
        }
        if self.own().is_capped() {
            return wrong(
                "it is a part of what it was, and does not go up to the end: it has a size, and no reserve",
            );
        }
        if wanted > self.mapping.span() {
            // What was made here, and never published, has no clones that could be found.
            if self.publication.is_some() || self.own().is_adopted() {
                self.own().mark_uneven()?;
            }
            self.widen(wanted)?;
            super::exclude_reserve_from_dump(&self.mapping, Some(&self.object), self.undumped);
            self.note_span();
        }
        Ok(())
    }

    /// Releases the addresses that it has reserved to grow into, all but `span` bytes (or what it
    /// has grown to). From then on it grows as far as it finds room, and so do its clones. What the
    /// program itself has unmapped of the reserve, or mapped over it, is left alone. (Nothing
    /// happens where the kernel does not let them know, or where another holder grows it at that
    /// moment.)
    pub fn trim_reserve(&mut self, span: usize) {
        let page = self.mapping.page_size();
        // An area of no bytes, which another process can make of it, has a page of addresses.
        let kept = page.round_up(span.max(1)).unwrap_or(usize::MAX).max(self.used());
        // What goes no further than it does has none.
        if kept >= self.mapping.span() || self.own().is_capped() {
            return;
        }
        let whose = self.to_string();
        let what = || whose.clone();
        let steps = Steps::new(self, &whose, &what);
        // What the program has mapped over the reserve is not ours to unmap. (A call that few
        // make.)
        let lost = match self.mapping.lost() {
            Ok(lost) => lost,
            // Where there is no /proc, or none for us, it is what it was.
            Err(sys::Errno::NOENT | sys::Errno::ACCESS | sys::Errno::PERM) => Vec::new(),
            // No descriptor or memory to ask at this moment: the reserve stays.
            Err(_) => return,
        };
        if lost.first().is_some_and(|lost| lost.start < kept) {
            return;
        }
        let trimmed = reserve::trim(&steps, kept);
        if let Ok(kept) = trimmed {
            // Another process may set a size that is not in whole pages.
            if let Some(kept) =
                self.mapping.page_size().round_up(kept).filter(|&kept| kept < self.mapping.span())
            {
                self.mapping.forget(&lost);
                self.mapping.cut(kept);
            }
            self.note_span();
        }
    }

    pub(super) fn lock_tail(&mut self, whose: &str) -> Result<()> {
        match self.lock {
            crate::Lock::None => Ok(()),
            // A guard cannot be brought in.
            lock if lock.is_full() => self.unguarded(|area| area.apply_lock(lock, whose)),
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
