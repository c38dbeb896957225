//! The object: kernel memory that can be mapped many times. A memfd, with its seals and its size.
//!
//! The file size *is* the size of the area: asked of the kernel, never stored where it could go
//! stale. The seals say what may happen to it; every holder can read them and none can take off.

mod descriptor;
mod extent;
mod growth;
mod making;
mod marks;
mod physical;
mod piece;
mod sealing;
pub(crate) mod strict;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(crate) use descriptor::closed;
pub use extent::Extent;
pub(crate) use making::{FileLabel, check_file_size};
use marks::UNEVEN;
pub(crate) use marks::{OFFERED, is_retired};
pub(crate) use piece::Piece;

use crate::error::Result;
use crate::page::PageSize;
use crate::sys;
use crate::sys::checked_fd::CheckedFd;
use crate::sys::file::Identity;

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
    fd: CheckedFd,
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
    fn of(fd: CheckedFd, page: PageSize, extent: Extent) -> Self {
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
    /// open: [`Info::object`](crate::registry::Info::object) of its holders. They are what
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

    /// Takes note that it was frozen: its size is what the kernel says now, and stays. What was
    /// seen of it before may be more than there is.
    ///
    /// One `fstat`, and none where it was fixed before. The seals were looked at in this call,
    /// before this.
    pub(crate) fn fix_size(&mut self) -> Result<()> {
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
}
