//! The object: kernel memory that can be mapped many times. A memfd, with its seals and its size.
//!
//! The file size *is* the size of the area: asked of the kernel, never stored where it could go
//! stale. The seals say what may happen to it; every holder can read them and none can take off.

mod growth;
mod marks;
mod physical;
mod piece;
pub(crate) mod strict;

use std::borrow::Cow;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use marks::UNEVEN;
use marks::lets_others_write;
pub(crate) use marks::{OFFERED, is_retired};
pub(crate) use piece::Piece;

use crate::error::{Error, ErrorKind, Result, pool, remedy};
use crate::page::PageSize;
use crate::size::Bytes;
use crate::sys;
use crate::sys::file::Identity;
use crate::sys::guarded::Guarded;
use crate::sys::object::{SealFlags, SealedStat};
use crate::text::shortened;

/// How the size of an object may change: chosen at creation, shown by the seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Extent {
    /// Never: no process can make a holder's access fault.
    Fixed,
    /// It may grow, up to `max` bytes, which every holder has reserved; it never shrinks.
    Growable {
        /// Bytes, a multiple of the page size.
        max: usize,
    },
    /// It may grow and shrink, in whole pages. What lies beyond its end faults (SIGBUS), as on
    /// BeOS.
    Resizable {
        /// Bytes of addresses that every holder takes: up to here it grows without asking for more.
        max: usize,
    },
}

impl Extent {
    /// Up to where it may grow; `None` if it may not.
    #[must_use]
    pub const fn max(self) -> Option<usize> {
        match self {
            Extent::Fixed => None,
            Extent::Growable { max } | Extent::Resizable { max } => Some(max),
        }
    }
}

/// Kernel memory that can be mapped many times, here and in other processes.
///
/// That of a low area is a range of physical memory: [`physical`](Object::physical).
///
/// # Invariants
/// - `fd` was opened on a memfd, or on `/dev/mem` with a record lock on the range that it has of it
///   ([`crate::physical::claim`]); its identity and page size never change. (A program may close it
///   under us: what changes a file goes through `own_fd`, which looks.)
/// - A fixed object carries the seals SHRINK and GROW, a growable one SHRINK: its size never falls
///   below what was seen. A resizable one carries neither.
#[derive(Debug)]
pub struct Object {
    fd: Guarded,
    page: PageSize,
    extent: Extent,
    /// Where it begins in the file, and in physical memory, if it is a range of that: the file is
    /// `/dev/mem` then.
    physical: Option<u64>,
    /// Which part of its file it is.
    piece: Piece,
    /// The exact bytes asked, where the file size has to be a multiple of a huge page.
    exact: Option<u64>,
    /// The largest size seen: a lower bound forever, as no object shrinks.
    seen: AtomicU64,
    /// Whether the call that made or opened it is not over yet: its descriptor is what the kernel
    /// has just given, without a look.
    fresh: AtomicBool,
    /// Whether it was frozen as it was opened here.
    was_frozen: bool,
    /// Whether it could not be mapped for writing any more when it was opened here: frozen, or
    /// sealed against writers to come.
    refused_writers: bool,
    /// Whether it was retired when it was opened here.
    was_retired: bool,
    /// Whether another process made it.
    adopted: bool,
    /// Bytes of its pages that were not there when it was adopted.
    missing: u64,
    /// Whether holders had different numbers of addresses for it when its size was last asked for.
    uneven: AtomicBool,
    /// Whether it is known to be marked as one that others have.
    held: AtomicBool,
    /// Whether its mode may let other users open it for writing.
    open_to_others: AtomicBool,
    /// How often this process had forked when it was made.
    forks: u64,
}

impl Object {
    fn of(fd: Guarded, page: PageSize, extent: Extent) -> Self {
        let (seen, fresh, uneven) = (AtomicU64::new(0), AtomicBool::new(false), AtomicBool::new(false));
        let (piece, held, forks) = (Piece::WHOLE, AtomicBool::new(false), crate::forking::forks());
        let open_to_others = AtomicBool::new(true);
        let (physical, exact, was_frozen, refused_writers, was_retired, adopted, missing) =
            (None, None, false, false, false, false, 0);
        Object {
            fd,
            page,
            extent,
            physical,
            piece,
            exact,
            seen,
            fresh,
            was_frozen,
            refused_writers,
            was_retired,
            adopted,
            missing,
            uneven,
            held,
            open_to_others,
            forks,
        }
    }

    /// Makes an object of `size` bytes, all zero, of which no page is in memory yet.
    ///
    /// `label` shows in `/proc/PID/maps` as `/memfd:label`; it is not a name that anybody could
    /// find it by.
    ///
    /// # Errors
    /// [`ErrorKind::Limit`] over `RLIMIT_FSIZE` or `RLIMIT_NOFILE`; [`ErrorKind::Unsupported`] for
    /// a page size that the kernel has no pool of, and for a kernel without memory objects;
    /// [`ErrorKind::NotPermitted`] where a sandbox forbids them; [`ErrorKind::InvalidInput`] if
    /// `size` is more than the extent or than a file can hold.
    pub fn create(label: &str, size: usize, extent: Extent, page: PageSize) -> Result<Self> {
        let object = Object::make(label, size, extent, page)?;
        // Nobody has a descriptor of it yet, and nothing is marked on it.
        sys::file::set_mode(object.fd(), 0o600).map_err(|errno| {
            Error::new(ErrorKind::System, format!("make a memory object of {}", Bytes::from(size)))
                .call("fchmod(0600)", errno)
        })?;
        object.open_to_others.store(false, Ordering::Relaxed);
        Ok(object)
    }

    /// The same for an area, whose descriptor the program does not have yet: it is closed to other
    /// users before somebody could have it for reading only
    /// ([`close_to_others`](Object::close_to_others)), which most areas are never had for.
    ///
    /// # Errors
    /// As [`create`](Object::create).
    pub(crate) fn make(label: &str, size: usize, extent: Extent, page: PageSize) -> Result<Self> {
        let what = || format!("make a memory object of {}", Bytes::from(size));
        let pool = page != PageSize::base();
        let rounded = match (pool, extent) {
            (false, Extent::Fixed) => Some(size),
            _ => page.round_up(size),
        };
        let Some(file_size) = rounded.filter(|&size| i64::try_from(size).is_ok()) else {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .detail("it is more than a file can hold (2^63 - 1 bytes)"));
        };
        if let Some(max) = extent.max()
            && max < file_size
        {
            return Err(Error::new(ErrorKind::InvalidInput, what())
                .detail(format!("it may only grow to {}", Bytes::from(max)))
                .help("make the maximum at least as large as the size"));
        }
        let file_size = file_size as u64;
        check_file_size(file_size, what)?;
        let pages =
            if pool { sys::object::Pages::Pool(u32::from(page.log2())) } else { sys::object::Pages::Base };
        let fd = sys::object::create(&*file_label(label), pages).map_err(|errno| {
            let error = |kind| {
                Error::new(kind, what()).call("memfd_create(MFD_CLOEXEC | MFD_ALLOW_SEALING | …)", errno)
            };
            match errno {
                sys::Errno::MFILE | sys::Errno::NFILE => remedy::open_files(error(ErrorKind::Limit)),
                sys::Errno::NODEV | sys::Errno::INVAL | sys::Errno::NOENT if pool => {
                    pool::too_few(error(ErrorKind::Unsupported), pool::Wanted::new(page, size))
                }
                sys::Errno::NOSYS => error(ErrorKind::Unsupported)
                    .help("this needs a kernel with memfd_create (3.17, CONFIG_MEMFD_CREATE) and a sandbox that allows it"),
                sys::Errno::PERM | sys::Errno::ACCESS => error(ErrorKind::NotPermitted)
                    .help("the sandbox forbids it: allow memfd_create in its seccomp profile"),
                sys::Errno::NOMEM => error(ErrorKind::NoMemory),
                _ => error(ErrorKind::System),
            }
        })?;
        let failed =
            |call: &'static str| move |errno| Error::new(ErrorKind::System, what()).call(call, errno);
        let fd = Guarded::new(fd).map_err(failed("fstat"))?;
        // Forks are counted from here on.
        let counted = crate::forking::ready().is_ok();
        let object = Object::of(fd, page, extent);
        let forks = if counted { object.forks } else { u64::MAX };
        sys::object::set_size(object.fd(), file_size).map_err(failed("ftruncate"))?;
        let seals = match extent {
            Extent::Fixed => SealFlags::SHRINK | SealFlags::GROW,
            Extent::Growable { .. } => SealFlags::SHRINK,
            Extent::Resizable { .. } => SealFlags::empty(),
        };
        sys::object::seal(object.fd(), seals).map_err(failed("fcntl(F_ADD_SEALS)"))?;
        // Growable and resizable ones are whole pages from the start: that is what they grow and
        // shrink by.
        let exact = (extent == Extent::Fixed && pool && file_size != size as u64).then_some(size as u64);
        Ok(Object { exact, seen: AtomicU64::new(file_size), forks, ..object })
    }

    /// Takes over a descriptor that came from elsewhere, after looking at what it is.
    ///
    /// `told` is what its sender or its holder's table says of its extent; `exact` the size in
    /// bytes where the pages are huge.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for what is not a memory object, or one whose size could shrink
    /// under its holders although it is not said to be resizable.
    pub(crate) fn adopt(fd: OwnedFd, told: Extent, exact: Option<u64>) -> Result<Self> {
        // It may be anything, on any file system: no call may wait.
        let looked = sys::object::sealed_stat(fd.as_fd())
            .map_err(|errno| Error::new(ErrorKind::System, ADOPT).call("statx", errno))?;
        refuse_others(&looked)?;
        // What can have seals is on a file system of the kernel's own, which answers at once.
        let page = sys::object::pool_page(fd.as_fd())
            .map_err(|errno| Error::new(ErrorKind::System, ADOPT).call("fstatfs", errno))?
            .and_then(PageSize::of)
            .unwrap_or_else(PageSize::base);
        Object::adopt_looked(fd, &looked, page, told, exact)
    }

    /// The same, of a descriptor that was looked at ([`sealed_stat`](sys::object::sealed_stat)),
    /// and of which the pages are known.
    pub(crate) fn adopt_looked(
        fd: OwnedFd,
        looked: &SealedStat,
        page: PageSize,
        told: Extent,
        exact: Option<u64>,
    ) -> Result<Self> {
        let seals = refuse_others(looked)?;
        let stat = &looked.stat;
        let no_object = |detail: String| Error::new(ErrorKind::InvalidInput, ADOPT).detail(detail);
        let resizable = matches!(told, Extent::Resizable { .. });
        if !seals.contains(SealFlags::SHRINK) && !resizable {
            return Err(no_object(
                "its size may shrink while it is mapped: it is not sealed against that".to_owned(),
            ));
        }
        let size = usize::try_from(stat.size)
            .map_err(|_| no_object(format!("its size of {} bytes is too large", stat.size)))?;
        let pages = page.round_up(size.max(1)).unwrap_or(size);
        let extent = match told {
            _ if seals.contains(SealFlags::GROW | SealFlags::SHRINK) => Extent::Fixed,
            Extent::Resizable { max } => Extent::Resizable { max: max.max(pages) },
            Extent::Growable { max } if max >= size => Extent::Growable { max },
            // It may grow, but how far is not known: what is there now is all that we map.
            _ => Extent::Growable { max: pages },
        };
        let exact = exact.filter(|&exact| {
            page != PageSize::base() && exact <= stat.size && stat.size - exact < page.bytes() as u64
        });
        let fd = Guarded::of(fd, stat.identity);
        let seen = AtomicU64::new(stat.size);
        let (uneven, held) =
            (AtomicBool::new(stat.mode & UNEVEN != 0), AtomicBool::new(stat.held == Some(true)));
        let (was_frozen, refused_writers) = (seals.contains(FROZEN), seals.intersects(NO_WRITERS));
        let missing = stat.size.saturating_sub(stat.allocated);
        // Of what is sealed against writers the mode says nothing.
        let open_to_others = AtomicBool::new(lets_others_write(stat) && !refused_writers);
        Ok(Object {
            exact,
            seen,
            was_frozen,
            refused_writers,
            was_retired: is_retired(stat),
            adopted: true,
            missing,
            uneven,
            held,
            open_to_others,
            ..Object::of(fd, page, extent)
        })
    }

    /// The size in bytes: what the kernel says now.
    ///
    /// One `fstat` for growable and resizable objects, none for fixed ones.
    #[must_use]
    pub fn size(&self) -> usize {
        if self.extent != Extent::Fixed {
            self.look();
        }
        self.size_seen()
    }

    /// Asks the kernel for the size, and for what is noted beside it. One `fstat`; `false` if the
    /// descriptor is no longer the object's.
    pub(crate) fn look(&self) -> bool {
        let stat = match sys::file::stat(self.fd()) {
            // The size of another file under our number is not ours.
            Ok(stat) if stat.identity == self.identity() => stat,
            _ => return false,
        };
        match self.extent {
            Extent::Fixed => {}
            Extent::Growable { .. } => {
                self.seen.fetch_max(self.piece.of(stat.size), Ordering::Relaxed);
            }
            Extent::Resizable { .. } => {
                self.seen.store(self.piece.of(stat.size), Ordering::Relaxed);
                self.uneven.store(stat.mode & UNEVEN != 0, Ordering::Relaxed);
            }
        }
        true
    }

    /// The size in bytes when it was last asked for: it may have grown since.
    #[inline]
    pub(crate) fn size_seen(&self) -> usize {
        let size = self.exact.unwrap_or_else(|| self.seen.load(Ordering::Relaxed));
        usize::try_from(size).unwrap_or(usize::MAX)
    }

    /// Bytes of the file: the size, in whole pages where they are huge.
    pub(crate) fn file_size(&self) -> usize {
        usize::try_from(self.seen.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// The whole pages that hold its bytes now.
    pub(crate) fn size_in_pages(&self) -> usize {
        // Asks the kernel; what was seen is at least that.
        let _ = self.size();
        self.page.round_up(self.file_size()).unwrap_or(usize::MAX)
    }

    pub(crate) fn exact(&self) -> Option<u64> {
        self.exact
    }

    /// Whether its holders map addresses beyond its end.
    pub(crate) fn has_reserve(&self) -> bool {
        self.extent != Extent::Fixed
    }

    /// Whether, and how far, it may grow.
    #[must_use]
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// The pages it is made of.
    #[must_use]
    pub fn page_size(&self) -> PageSize {
        self.page
    }

    /// Addresses that a mapping of it takes: its whole pages, up to where it may grow.
    pub(crate) fn span(&self) -> usize {
        let most = self.extent.max().unwrap_or_else(|| self.file_size());
        // An empty area has one page mapped.
        self.page.round_up(most.max(1)).unwrap_or(most)
    }

    /// Whether both are of the same memory, by whatever descriptors.
    #[inline]
    pub(crate) fn is_same(&self, other: &Object) -> bool {
        // The number first: it is what mostly distinguishes two objects.
        self.identity().inode == other.identity().inode
            && self.identity().device == other.identity().device
            && self.physical == other.physical
    }

    /// Device and inode of its file, which distinguish it from every other one as long as it is
    /// open: [`Info::object`](crate::registry::Info::object) of those who have it. They are what
    /// they were as it was made or opened here; no call is made.
    #[must_use]
    pub fn file_id(&self) -> (u64, u64) {
        let identity = self.identity();
        (identity.device, identity.inode)
    }

    #[inline]
    pub(crate) fn identity(&self) -> Identity {
        self.fd.identity()
    }

    /// The descriptor for what changes a file, or maps it: EBADF where it was closed.
    pub(crate) fn own_fd(&self) -> sys::Result<BorrowedFd<'_>> {
        if self.fresh.load(Ordering::Relaxed) {
            return Ok(self.fd.as_fd());
        }
        self.fd.checked()
    }

    /// To be mapped by the very call that has made or opened it: there is no look at the descriptor
    /// before it is in an area. (Another thread that closes all descriptors concurrently cannot be
    /// guarded against by a look either.)
    pub(crate) fn fresh(self) -> Self {
        self.fresh.store(true, Ordering::Relaxed);
        self
    }

    /// It is in an area: from now on the program may do what it likes, and its descriptor is looked
    /// at.
    pub(crate) fn hand_out(&self) {
        self.fresh.store(false, Ordering::Relaxed);
    }

    /// Releases it in the very call that has opened it: its descriptor is closed without a look.
    pub(crate) fn close_fresh(self) {
        self.fd.close_fresh();
    }

    /// Whether it could not be written any more when it was opened here.
    pub(crate) fn was_frozen(&self) -> bool {
        self.was_frozen
    }

    /// Whether it could not be mapped for writing any more when it was opened here.
    pub(crate) fn refused_writers(&self) -> bool {
        self.refused_writers
    }

    /// Whether it cannot be mapped for writing any more.
    pub(crate) fn refuses_writers(&self) -> Result<bool> {
        Ok(self.physical.is_none() && self.seals()?.intersects(NO_WRITERS))
    }

    /// Whether it cannot be written any more.
    ///
    /// # Errors
    /// [`ErrorKind::System`] if the kernel does not answer.
    pub fn is_frozen(&self) -> Result<bool> {
        if self.physical.is_some() {
            return Ok(false);
        }
        let seals = self.seals()?;
        Ok(seals.contains(FROZEN))
    }

    fn seals(&self) -> Result<SealFlags> {
        let fd = self.own_fd().map_err(|_| closed("read an object's seals".to_owned()))?;
        sys::object::seals(fd).map_err(|errno| {
            Error::new(ErrorKind::System, "read an object's seals").call("fcntl(F_GET_SEALS)", errno)
        })
    }

    /// Seals it against every change, permanently. `Err(EBUSY)` while it can still be written.
    pub(crate) fn seal_frozen(&self) -> sys::Result<()> {
        sys::object::seal(self.own_fd()?, FROZEN | SealFlags::SEAL)
    }

    /// Seals it against future writers, permanently: existing writable mappings stay.
    pub(crate) fn seal_future_writers(&self, what: &dyn Fn() -> String) -> Result<()> {
        let fd = self.own_fd().map_err(|_| closed(what()))?;
        sys::object::seal(fd, SealFlags::FUTURE_WRITE).map_err(|errno| {
            let error = Error::new(ErrorKind::NotPermitted, what())
                .call("fcntl(F_ADD_SEALS, F_SEAL_FUTURE_WRITE)", errno);
            match errno {
                sys::Errno::INVAL => error.help("this needs Linux 5.1"),
                sys::Errno::PERM => error.help("its maker has sealed it against more seals"),
                _ => error,
            }
        })
    }

    /// Takes note that it was frozen: its size is what the kernel says now, and stays. What was
    /// seen of it before may be more than there is.
    ///
    /// One `fstat`, and none where it was fixed before. The seals were looked at in this call,
    /// before this.
    pub(crate) fn settle(&mut self) -> Result<()> {
        if self.extent == Extent::Fixed {
            return Ok(());
        }
        let stat = sys::file::stat(self.fd())
            .ok()
            .filter(|stat| stat.identity == self.identity())
            .ok_or_else(|| closed("look at the size of a frozen object".to_owned()))?;
        self.seen.store(self.piece.of(stat.size), Ordering::Relaxed);
        self.extent = Extent::Fixed;
        Ok(())
    }

    /// Takes note that its holder has more addresses for it now.
    pub(crate) fn widen(&mut self, max: usize) {
        self.extent = Extent::Resizable { max };
    }

    /// Whether holders may have different numbers of addresses for it, as of the last look at its
    /// size: then who grows it has to ask them.
    pub(crate) fn is_uneven(&self) -> bool {
        self.uneven.load(Ordering::Relaxed)
    }

    /// Whether another process made it: then there may be other holders that are published.
    pub(crate) fn is_adopted(&self) -> bool {
        self.adopted
    }

    /// Bytes of its pages that were holes when it was adopted. (Of base pages some may have been in
    /// the swap.)
    pub(crate) fn missing(&self) -> u64 {
        self.missing
    }

    /// The same now; all of them where the kernel does not say.
    pub(crate) fn missing_now(&self) -> u64 {
        let size = self.file_size() as u64;
        match self.own_fd().and_then(sys::file::stat) {
            // Which of them are in a part of it the kernel does not say.
            Ok(_) if !self.piece.is_whole() => size,
            Ok(stat) => size.saturating_sub(stat.allocated),
            Err(_) => size,
        }
    }

    /// Another open file of the same object, which the kernel lets read only.
    pub(crate) fn reopen_read_only(&self) -> Result<OwnedFd> {
        self.reopen(sys::file::OFlags::RDONLY, "open an object for reading only")
    }

    /// Another open file of the same object.
    pub(crate) fn reopen(&self, flags: sys::file::OFlags, what: &'static str) -> Result<OwnedFd> {
        use std::os::fd::AsRawFd;
        // A thread can have descriptors of its own, and the first one may have left: then
        // /proc/self shows others.
        let path = format!("/proc/thread-self/fd/{}", self.fd.as_fd().as_raw_fd());
        let failed = |errno| {
            let mode = if flags.contains(sys::file::OFlags::RDWR) { "O_RDWR" } else { "O_RDONLY" };
            let error = |kind| Error::new(kind, what).call(format!("open({path:?}, {mode})"), errno);
            match errno {
                sys::Errno::ACCESS | sys::Errno::PERM if mode == "O_RDWR" => error(ErrorKind::NotPermitted)
                    .help("it may be opened for reading only: ask for write access"),
                sys::Errno::MFILE | sys::Errno::NFILE => remedy::open_files(error(ErrorKind::Limit)),
                _ => error(ErrorKind::System).help("/proc must be mounted"),
            }
        };
        if !self.fd.is_intact() {
            return Err(closed(what.to_owned()));
        }
        let path = CString::new(path.as_str()).map_err(|_| failed(sys::Errno::INVAL))?;
        let again = sys::file::open_at(sys::file::CWD, &path, flags, 0).map_err(&failed)?;
        // Freezing relies on it that this is the same object.
        match sys::file::stat(again.as_fd()) {
            Ok(stat) if stat.identity == self.identity() => Ok(again),
            Ok(_) => Err(failed(sys::Errno::STALE)),
            Err(errno) => Err(Error::new(ErrorKind::System, what).call("fstat", errno)),
        }
    }

    /// Its descriptor, for this library's own calls.
    #[inline]
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Puts another open file of the same object under the descriptor's number.
    pub(crate) fn replace_descriptor(&mut self, with: &OwnedFd) -> sys::Result<()> {
        self.fd.replace(with.as_fd())
    }
}

/// For the program: from then on it may be had for reading only, and so other users cannot open it
/// for writing by way of a descriptor that they have. (Where the kernel refuses that, who gets this
/// one can write by it anyway.)
impl AsFd for Object {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let _ = self.close_to_others("close an area to other users");
        self.fd()
    }
}

/// What [`Object::adopt`] does, for messages.
const ADOPT: &str = "use the descriptor as an area's memory";

/// The seals of a memory object; an error for everything else.
fn refuse_others(looked: &SealedStat) -> Result<SealFlags> {
    let no_object = |detail: String| Error::new(ErrorKind::InvalidInput, ADOPT).detail(detail);
    if !looked.stat.is_file() {
        return Err(no_object(format!("it is not a memory object (file mode {:o})", looked.stat.mode)));
    }
    looked.seals.map_err(|errno| no_object("it has no seals".to_owned()).call("fcntl(F_GET_SEALS)", errno))
}

/// What makes a frozen object: no byte and no length can change.
pub(crate) const FROZEN: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW);

/// Each of them forbids new mappings for writing.
const NO_WRITERS: SealFlags = SealFlags::WRITE.union(SealFlags::FUTURE_WRITE);

/// The error for a descriptor that the program closed.
pub(crate) fn closed(what: String) -> Error {
    Error::new(ErrorKind::System, what)
        .call("fstat", sys::Errno::BADF)
        .detail("this process has closed the descriptor of its memory")
        .help("do not close descriptors that are not yours (close_range, closefrom); what is mapped stays usable")
}

fn check_file_size(size: u64, what: impl Fn() -> String) -> Result<()> {
    match sys::process::limit(sys::process::Limit::FileSize) {
        Some(limit) if size > limit => Err(remedy::file_size(Error::new(ErrorKind::Limit, what()), size)),
        _ => Ok(()),
    }
}

/// A label as `memfd_create` takes it: at most 249 bytes, no NUL.
fn file_label(label: &str) -> Cow<'_, str> {
    const LONGEST: usize = 240;
    // Between two characters: /proc shows it, and who reads that may expect text.
    let label = shortened(label, LONGEST);
    match label.contains('\0') {
        false => Cow::Borrowed(label),
        true => Cow::Owned(label.replace('\0', "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_text_without_nul() {
        let label = |text: &str| file_label(text).into_owned();
        assert_eq!(label("area: größe"), "area: größe");
        assert_eq!(label("a\0b"), "ab");
        assert_eq!(label(&"a".repeat(300)), "a".repeat(240));
        // Two, three and four bytes a character, and each way to be off by some.
        for c in ['é', '日', '🦀'] {
            for before in 0..4 {
                let text = "x".repeat(before) + &c.to_string().repeat(130);
                let label = label(&text);
                assert!(text.starts_with(&label) && label.len() > 240 - c.len_utf8(), "{label}");
            }
        }
    }
}
