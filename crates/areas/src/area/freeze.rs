//! Freezing: from here on no process can write, so that the bytes can be lent.

#![expect(unsafe_code, reason = "replaces a mapping in place; each block has its proof")]

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::{Area, Freezable, Frozen};
use crate::error::{Error, ErrorKind, Rejected, Result};
use crate::mapping::Mapping;
use crate::object::Object;
use crate::protection::Protection;
use crate::registry::{Holder, writers};
use crate::size::Bytes;
use crate::sys;

/// How long [`Area::freeze`] waits for writers that are about to finish.
pub const DEFAULT_FREEZE_TIMEOUT: Duration = Duration::from_secs(1);

impl<K: Freezable> Area<K> {
    /// Freezes it: no process can write it any more, root included. Its size is fixed from then on.
    ///
    /// Several who hold it and freeze it at once all have it frozen.
    ///
    /// ```
    /// let area = areas::builder(4096).shared()?;
    /// area.write_at(0, b"for good")?;
    /// let frozen = area.freeze().map_err(|rejected| rejected.error)?;
    /// let bytes: &[u8] = &frozen; // no process changes them any more
    /// assert_eq!(&bytes[..8], b"for good");
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// The area comes back as it was, at the same address, with
    /// - [`ErrorKind::Busy`] after a second, if it can still be written: by a clone that is mapped
    ///   for writing, in this process or another (a forked child's too), or by DMA that has pages
    ///   pinned; the error names the holders that can be seen;
    /// - [`ErrorKind::AddressInUse`] if a holder that could not know of this one had made it larger
    ///   than its addresses, and there are no more behind: it is frozen then, and can be cloned as
    ///   such;
    /// - [`ErrorKind::NotPermitted`] if another holder has sealed its memory against further seals
    ///   (`F_SEAL_SEAL`);
    /// - [`ErrorKind::NoMemory`] if it is made of hugetlb pages, and another process took some of
    ///   them away while it was frozen, and the pool has none: it is frozen then;
    /// - [`ErrorKind::Frozen`] if it is frozen already; [`ErrorKind::Unsupported`] if it is a low
    ///   area, which no seal can protect.
    #[doc(alias = "F_SEAL_WRITE")]
    pub fn freeze(self) -> Result<Area<Frozen>, Rejected<Self>> {
        self.freeze_within(DEFAULT_FREEZE_TIMEOUT)
    }

    /// The same, with another timeout.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let area = areas::builder(4096).name("doc: written").shared()?;
    /// let writer = areas::registry::find("doc: written")?.open()?;
    /// // A clone can write: the area comes back as it was, with the reason.
    /// let rejected = area.freeze_within(Duration::ZERO).unwrap_err();
    /// assert_eq!(rejected.error.kind(), areas::ErrorKind::Busy);
    /// drop(writer);
    /// assert!(rejected.value.freeze_within(Duration::from_secs(1)).is_ok());
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`freeze`](Area::freeze).
    pub fn freeze_within(mut self, timeout: Duration) -> Result<Area<Frozen>, Rejected<Self>> {
        // What is frozen lends its bytes, all of them.
        let guarded = self.mapping.is_guarded();
        match self.mapping.lift_guard().and_then(|()| self.try_freeze(timeout)) {
            Ok(()) => Ok(self.into_kind()),
            Err(error) => {
                if guarded {
                    // It was one a moment ago.
                    let _ = self.mapping.guard_lowest_page();
                }
                Err(Rejected { error, value: self })
            }
        }
    }
}

/// Maps all of what was frozen. Another holder may have made it larger than our addresses, before
/// it was sealed: who could not ask us, as we are not published.
fn cover(mapping: &mut Mapping, object: &Object, file: &OwnedFd, what: &str) -> Result<()> {
    let size = object.size_in_pages();
    if size <= mapping.span() {
        return Ok(());
    }
    mapping.extend(size, file.as_fd()).map_err(|error| {
        Error::new(error.kind(), what.to_owned())
            .with_facts(format!(
                "it is frozen, not fully mapped: others grew it to {}, and it has addresses for {}",
                Bytes::from(size),
                Bytes::from(mapping.span())
            ))
            .with_remedy("clone it again: `open_frozen`")
            .caused_by(error)
    })
}

impl<K: Freezable> Area<K> {
    fn try_freeze(&mut self, timeout: Duration) -> Result<()> {
        let what = format!("freeze {self}");
        let before = self.protection();
        self.object.refuse_physical(|| what.clone())?;
        self.refuse_part(|| what.clone())?;
        if self.object.is_frozen()? {
            return Err(Error::new(ErrorKind::Frozen, what)
                .with_facts("it is frozen already")
                .with_remedy("open it as what it is: `find(name)?.open_frozen()`"));
        }
        if !before.contains(Protection::WRITE) {
            return Err(Error::new(ErrorKind::ReadOnly, what)
                .with_facts(format!("its protection is {before}"))
                .with_remedy("freezing requires write access: freeze it where it can be written"));
        }
        // No thread locks here any more, and the marks of those that did would be in the way as
        // what may be written.
        self.owners.release();
        // Reading a hole of a frozen object would take memory at a moment when there may be none.
        self.populate()?;
        let read_only = self.object.reopen_read_only()?;
        // SAFETY: no freezable kind lends references, and the descriptor is one of the same object.
        unsafe { self.mapping.replace(Protection::READ, (read_only.as_fd(), 0)) }.map_err(|errno| {
            Error::new(ErrorKind::System, what.clone()).with_system_call("mmap(MAP_FIXED, PROT_READ)", errno)
        })?;
        super::exclude_reserve_from_dump(&self.mapping, Some(&self.object), self.undumped);
        if let Err(error) = self.lock_again().and_then(|()| self.seal(&what, timeout))
            && let Some(error) = self.rollback_freeze(before, error)
        {
            return Err(error);
        }
        // From here on it is frozen, and what follows only tidies up: older kernels map a sealed
        // object through a descriptor for reading only, and no process has to open it for more.
        let whole =
            self.object.fix_size().and_then(|()| cover(&mut self.mapping, &self.object, &read_only, &what));
        let _ = self.object.replace_descriptor(&read_only);
        let _ = self.object.set_rights("freeze an area", 0o400);
        if let Some(publication) = &self.publication {
            publication.set_protection(Protection::READ);
        }
        whole?;
        // What was populated above may have been taken away again before the seal was on.
        self.take_missing_of_frozen(|| format!("{what}: it is frozen now, and not fully mapped"))
    }

    fn seal(&self, what: &str, timeout: Duration) -> Result<()> {
        // What is beyond all times is waited for without end.
        let deadline = Instant::now().checked_add(timeout);
        loop {
            match self.object.seal_frozen() {
                Ok(()) => return Ok(()),
                // Another holder was faster: it is what was asked for.
                Err(sys::Errno::PERM) if self.object.is_frozen()? => {
                    return Ok(());
                }
                Err(sys::Errno::BUSY) if deadline.is_none_or(|deadline| Instant::now() < deadline) => {
                    std::thread::sleep(Duration::from_millis(2))
                }
                Err(sys::Errno::BUSY) => {
                    let holders: Vec<String> = writers(&self.object).iter().map(Holder::to_string).collect();
                    let error = Error::new(ErrorKind::Busy, what.to_owned())
                        .with_system_call("fcntl(F_ADD_SEALS, F_SEAL_WRITE | …)", sys::Errno::BUSY);
                    return Err(match holders.is_empty() {
                        true => error
                            .with_facts(
                                "no writable mapping was found: pages may be pinned by a transfer",
                            )
                            .with_remedy(
                                "release pinned pages first (io_uring, RDMA, GPU, direct I/O); see `areas doctor AREA`",
                            ),
                        false => error
                            .with_facts(format!("mapped for writing by {}", holders.join(", ")))
                            .with_remedy("have them drop it, or clone it for reading only"),
                    });
                }
                Err(errno) => {
                    let object = &self.object;
                    let shut = sys::object::seals(object.fd())
                        .is_ok_and(|seals| seals.contains(sys::object::SealFlags::SEAL));
                    let error = |kind| {
                        Error::new(kind, what.to_owned())
                            .with_system_call("fcntl(F_ADD_SEALS, F_SEAL_WRITE | …)", errno)
                    };
                    return Err(match errno {
                        sys::Errno::PERM if shut => error(ErrorKind::NotPermitted)
                            .with_facts("another holder has sealed it against further seals (F_SEAL_SEAL)")
                            .with_remedy("copy its bytes into a new area, and freeze that one"),
                        _ => error(ErrorKind::System),
                    });
                }
            }
        }
    }

    /// Puts things back as they were before freezing was tried. `None` where another holder has
    /// frozen it concurrently: then that cannot be done, and need not.
    fn rollback_freeze(&mut self, before: Protection, error: Error) -> Option<Error> {
        let object = &self.object;
        // SAFETY: no freezable kind lends references, and the descriptor is the object's own.
        // Another holder who is trying to seal it now is waited for there.
        let replaced = object.own_fd().and_then(|fd| unsafe { self.mapping.replace(before, (fd, 0)) });
        if replaced == Err(sys::Errno::PERM) && object.is_frozen().unwrap_or(false) {
            let readable = match self.mapping.protection() {
                Protection::READ => Ok(()),
                // Older kernels have removed what was there before they refused.
                _ => object.own_fd().and_then(|fd| {
                    // SAFETY: no freezable kind lends references, and the descriptor is the
                    // object's own.
                    unsafe { self.mapping.replace(Protection::READ, (fd, 0)) }
                }),
            };
            super::exclude_reserve_from_dump(&self.mapping, Some(object), self.undumped);
            if readable.is_ok() && self.lock_again().is_ok() {
                return None;
            }
        }
        super::exclude_reserve_from_dump(&self.mapping, Some(object), self.undumped);
        let restored = replaced
            .map_err(|errno| {
                Error::new(ErrorKind::System, "map it for writing again")
                    .with_system_call("mmap(MAP_FIXED)", errno)
            })
            .and_then(|()| self.place_again())
            .and_then(|()| self.lock_again());
        match restored {
            Ok(()) => Some(error),
            // It is there, at its address, with all its bytes; what it lacks is reported.
            Err(second) => {
                let help =
                    format!("{}; {second}", error.remedy().unwrap_or("it could not be put back as it was"));
                Some(error.with_remedy(help))
            }
        }
    }

    /// A new mapping is not locked, even where the old one was.
    fn lock_again(&self) -> Result<()> {
        match self.used() {
            0 => Ok(()),
            used => self.lock.apply(self.mapping.base(), used, &self.to_string()),
        }
    }

    /// The policy of hugetlb pages lies on the mapping.
    fn place_again(&mut self) -> Result<()> {
        if self.mapping.page_size() == crate::PageSize::base() || self.placement.is_default() {
            return Ok(());
        }
        self.mapping.place(0..self.mapping.span(), &self.placement.whole())
    }
}
