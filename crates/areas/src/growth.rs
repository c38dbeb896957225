//! How an object grows and shrinks: base pages by its size alone, hugetlb pages by taking them
//! first.
//!
//! A hugetlb page that is missing is a SIGBUS at the touch, so an object of hugetlb pages never
//! becomes larger than the pages that it has. They are reserved by a mapping of the new part, which
//! is all or nothing, then taken by `fallocate`, which moves the end last: a process that sees the
//! new size finds the pages there.

use crate::error::{Error, ErrorKind, Result, pool};
use crate::mapping::{Mapping, Plan, Sharing};
use crate::nodes::Placement;
use crate::object::{Extent, Object, check_file_size, closed, strict};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::size::Bytes;
use crate::sys;
use crate::sys::memory::{At, MapFlags};

impl Object {
    /// Grows to at least `size` bytes (an atomic maximum over all who grow it). Hugetlb pages are
    /// taken at once, where `placement` says; base pages as they are touched.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a fixed object or a size over its maximum;
    /// [`ErrorKind::ReadOnly`] through a descriptor for reading only; [`ErrorKind::Frozen`] once it
    /// is frozen; [`ErrorKind::Limit`] over `RLIMIT_FSIZE`; [`ErrorKind::NoMemory`] if the pool has
    /// not that many pages, or where the kernel counts strictly (`vm.overcommit_memory=2`) and has
    /// not that many.
    pub(crate) fn grow(&self, size: usize, placement: Placement, whose: &str) -> Result<()> {
        let what = || format!("grow {whose} to {}", Bytes::from(size));
        let Extent::Growable { max } = self.extent() else {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .with_facts(format!("its size is fixed at {}", Bytes::from(self.size_seen())))
                .with_remedy("create it as growable: `.growable(max)`, `areas create --growable MAX`"));
        };
        let rounded = self.page_size().round_up(size).filter(|&size| size <= max);
        let Some(rounded) = rounded else {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .with_facts(format!("it was created to grow to {} at most", Bytes::from(max)))
                .with_remedy("the reserve is fixed at creation: create the area with a larger one"));
        };
        if self.page_size() != PageSize::base() {
            return self.take(rounded, placement, what);
        }
        let (target, rounded, first) = (rounded, rounded as u64, self.in_its_file(0));
        while self.size() < target {
            check_file_size(first + rounded, what)?;
            let now = self.size();
            if strict::applies(target.saturating_sub(now)) {
                self.back(now, target, what)?;
                self.saw(rounded);
                continue;
            }
            match self.own_fd().and_then(|fd| sys::object::set_size(fd, first + rounded)) {
                Ok(()) => self.saw(rounded),
                // Another holder grew it further concurrently: the seal kept us from cutting it.
                // Look again.
                Err(sys::Errno::PERM) if self.size() as u64 > rounded => {}
                Err(errno) => return Err(self.refused(what(), "ftruncate", errno)),
            }
        }
        Ok(())
    }

    /// Sets the size of a resizable object. `size` is in whole pages. New hugetlb pages come from
    /// where `placement` says.
    pub(crate) fn resize(&self, size: usize, placement: Placement, whose: &str) -> Result<()> {
        let what = || format!("resize {whose} to {}", Bytes::from(size));
        check_file_size(self.in_its_file(size), what)?;
        if self.page_size() != PageSize::base() && size > self.size() {
            return self.take(size, placement, what);
        }
        let now = self.size();
        if size > now && strict::applies(size - now) {
            // The rest is as for any other: resizing without the right to is an error.
            self.back(now, size, what)?;
        }
        let set = self.own_fd().and_then(|fd| sys::object::set_size(fd, self.in_its_file(size)));
        set.map_err(|errno| match errno {
            sys::Errno::BADF if self.own_fd().is_err() => closed(what()),
            sys::Errno::PERM => Error::new(ErrorKind::Frozen, what())
                .with_system_call("ftruncate", errno)
                .with_facts("it is sealed against changes of its size: it was frozen"),
            _ if self.is_frozen().unwrap_or(false) => Error::new(ErrorKind::Frozen, what())
                .with_system_call("ftruncate", errno)
                .with_facts("it is frozen: its size is permanently fixed"),
            // What the kernel says of a descriptor that is open for reading only.
            sys::Errno::INVAL | sys::Errno::BADF => Error::new(ErrorKind::ReadOnly, what())
                .with_system_call("ftruncate", errno)
                .with_facts("it was opened for reading only")
                .with_remedy("resizing requires write access: clone it for writing"),
            _ => Error::new(ErrorKind::System, what()).with_system_call("ftruncate", errno),
        })?;
        self.saw_exactly(size as u64);
        Ok(())
    }

    /// Makes an object of hugetlb pages larger, with its pages, or leaves it as it is.
    fn take(&self, size: usize, placement: Placement, what: impl Fn() -> String) -> Result<()> {
        loop {
            let now = self.size();
            if now >= size {
                return Ok(());
            }
            self.check_may_take(size, &what)?;
            let more = size - now;
            let wanted = pool::Wanted::new(self.page_size(), more).placed(Some(&placement));
            let reserve = self.reserve(now, more, &placement, wanted, &what)?;
            let taken = self.allocate(now, more, &placement, &what)?;
            drop(reserve);
            match taken {
                Ok(()) => self.saw(size as u64),
                Err(errno) => {
                    self.give_back_tail();
                    return Err(match errno {
                        sys::Errno::NOSPC | sys::Errno::NOMEM => {
                            let call = format!("fallocate({now}, {}) as {placement}", Bytes::from(more));
                            let error = Error::new(ErrorKind::NoMemory, what()).with_system_call(call, errno);
                            pool::too_few(error, wanted)
                        }
                        _ => self.refused(what(), "fallocate", errno),
                    });
                }
            }
        }
    }

    /// What can be refused is asked first, so that nothing has to be freed through a descriptor
    /// that could not do it.
    fn check_may_take(&self, size: usize, what: &impl Fn() -> String) -> Result<()> {
        check_file_size(self.in_its_file(size), what)?;
        if self.is_frozen()? {
            return Err(self.refused(what(), "fallocate", sys::Errno::PERM));
        }
        if !sys::file::is_writable(self.fd()).unwrap_or(true) {
            return Err(self.refused(what(), "fallocate", sys::Errno::BADF));
        }
        Ok(())
    }

    /// A mapping behind the end: while it is there, the pool's pages for it are reserved.
    fn reserve(
        &self,
        now: usize,
        more: usize,
        placement: &Placement,
        wanted: pool::Wanted<'_>,
        what: &impl Fn() -> String,
    ) -> Result<Mapping> {
        let plan = Plan {
            at: At::Anywhere,
            size: more,
            span: more,
            page: self.page_size(),
            // Without the right to write, so that mapping it does not move the end.
            protection: Protection::READ,
            sharing: Sharing::Shared,
            flags: MapFlags::SHARED,
            file: Some((self.own_fd().map_err(|_| closed(what()))?, self.in_its_file(now))),
            placement: Some(placement),
        };
        Mapping::new(&plan).map_err(|error| {
            let kind = error.kind();
            let refused = Error::new(kind, what());
            match (kind, error.errno()) {
                (ErrorKind::NoMemory, Some(errno)) => {
                    let call = format!("mmap(NULL, {}, MAP_SHARED)", Bytes::from(more));
                    pool::too_few(refused.with_system_call(call, errno), wanted)
                }
                (ErrorKind::NoMemory, None) => pool::too_few(refused, wanted),
                _ => refused.caused_by(error),
            }
        })
    }

    /// Takes the pages behind the end, placed. What `fallocate` says is the inner result.
    fn allocate(
        &self,
        now: usize,
        more: usize,
        placement: &Placement,
        what: &impl Fn() -> String,
    ) -> Result<Result<(), sys::Errno>> {
        let call = || sys::object::allocate(self.own_fd()?, self.in_its_file(now), more as u64);
        if placement.is_default() {
            return Ok(call());
        }
        // The policy of hugetlb pages lies on each mapping; a call on the file obeys the thread's.
        sys::policy::within(&Placement::new(placement.policy()), call).map_err(|errno| {
            Error::new(ErrorKind::System, what())
                .with_system_call(format!("set_mempolicy({})", placement.policy()), errno)
                .with_remedy("a sandbox may forbid it: allow set_mempolicy and get_mempolicy")
        })
    }

    /// Gives hugetlb pages beyond the end back: those that a failed call has taken.
    ///
    /// Setting a growable object to the size that it has is atomic: if a holder grew it since it
    /// was asked for, the seal refuses. A resizable one has no such seal, and if a holder grows it
    /// at this very moment his growth is undone: both then changed the size at once, and one of
    /// them is the last.
    fn give_back_tail(&self) {
        loop {
            let Ok(before) = sys::file::stat(self.fd()) else { return };
            let refused =
                self.own_fd().and_then(|fd| sys::object::set_size(fd, before.size)) == Err(sys::Errno::PERM);
            let grew = || sys::file::stat(self.fd()).is_ok_and(|now| now.size != before.size);
            if !(refused && grew()) {
                return;
            }
        }
    }
}
