//! Areas that others may write at any moment: copies and atomic words, no references.

#![expect(unsafe_code, reason = "atomics in memory that trusted peers share; the block has its proof")]

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use super::kind::{Clonable, Freezable, Sealed};
use super::{Area, AreaKind};
use crate::error::Result;
use crate::mapping::overlapping;
use crate::object::Object;
use crate::owner::Owners;
use crate::populate::{self, Job, Progress};
use crate::sys::copy::Word;

/// Others may write: every process that has a clone.
///
/// No reference into it is ever lent, because Rust's references promise that what they point to
/// does not change, and another process keeps no such promise:
///
/// ```compile_fail
/// let area = areas::builder(4096).shared().unwrap();
/// let bytes: &[u8] = &area; // there is no such thing
/// ```
/// # Hugetlb pages
///
/// A process that may write an area can take pages of it away (`fallocate`, `madvise`). With base
/// pages that leaves zeros. With hugetlb pages it is a SIGBUS at the next touch, if the pool has no
/// page. So the copies and single words here go through the kernel where an area is made of hugetlb
/// pages: each is a system call, and a missing page an error
/// ([`ErrorKind::NoMemory`](crate::ErrorKind::NoMemory)). That a word is accessed in one piece is
/// not promised then. Through a pointer ([`as_ptr`](Area::as_ptr),
/// [`atomic_u64`](Area::atomic_u64)) it is a matter of trust among those who may write; and
/// [frozen](Area::freeze) areas keep their pages.
#[derive(Debug)]
pub enum Shared {}

impl Sealed for Shared {
    type Object = Object;
}

impl AreaKind for Shared {}
impl Clonable for Shared {}
impl Freezable for Shared {}

impl Area<Shared> {
    /// The size to check an access against: looks at the object only where the last size that was
    /// seen does not do.
    #[inline]
    pub(super) fn size_for(&self, end: Option<usize>) -> usize {
        let seen = self.object().size_seen();
        match end {
            Some(end) if end <= seen => seen,
            _ => self.size_now(),
        }
    }

    #[cold]
    fn size_now(&self) -> usize {
        self.object().size()
    }

    /// Copies bytes out.
    ///
    /// What other threads or processes write concurrently may be seen in part: a copy of several
    /// bytes is not atomic. That is not a data race in the language's sense: see
    /// [`load`](Area::load) for words that are whole, and for an order.
    ///
    /// ```
    /// let area = areas::builder(4096).shared()?;
    /// let mut bytes = [0xff; 4];
    /// area.read_at(4092, &mut bytes)?;
    /// assert_eq!(bytes, [0; 4]);
    /// assert!(area.read_at(4093, &mut bytes).is_err());
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange) beyond the size,
    /// [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly) where its protection forbids it.
    #[inline]
    pub fn read_at(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        self.mapping.read(offset, into, self.size_for(offset.checked_add(into.len())))
    }

    /// Copies bytes in.
    ///
    /// ```
    /// let area = areas::builder(4096).shared()?;
    /// area.write_at(100, b"frame 1")?;
    /// let mut bytes = [0; 7];
    /// area.read_at(100, &mut bytes)?;
    /// assert_eq!(&bytes, b"frame 1");
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange) beyond the size,
    /// [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly) where its protection forbids it.
    #[inline]
    pub fn write_at(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.mapping.write(offset, bytes, self.size_for(offset.checked_add(bytes.len())))
    }

    /// Copies `len` bytes from here to another shared area.
    ///
    /// ```
    /// let from = areas::builder(1 << 20).shared()?;
    /// let to = areas::builder(1 << 20).shared()?;
    /// from.write_at(4096, b"a page")?;
    /// from.copy_to(4096, &to, 0, 4096)?; // without a buffer in between
    /// assert_eq!(to.slice(0, 6)?.to_vec()?, b"a page");
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`read_at`](Area::read_at) and [`write_at`](Area::write_at);
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if the two ranges overlap.
    #[inline]
    pub fn copy_to(&self, offset: usize, to: &Area<Shared>, at: usize, len: usize) -> Result<()> {
        let sizes = (self.size_for(offset.checked_add(len)), to.size_for(at.checked_add(len)));
        // Two clones of one object are two mappings of the same bytes.
        // In bytes of the object: either may be a part of it.
        let own = self.object().piece().first.saturating_add(offset as u64);
        let other = to.object().piece().first.saturating_add(at as u64);
        if own.abs_diff(other) < len as u64 && self.object().is_same(to.object()) {
            self.mapping.check(offset, len, sizes.0)?;
            to.mapping.check(at, len, sizes.1)?;
            return Err(overlapping(len));
        }
        self.mapping.copy_to(offset, &to.mapping, at, len, sizes)
    }

    /// Loads one number of 8 to 64 bits atomically, as `order` says: `Relaxed`, `Acquire` or
    /// `SeqCst`.
    ///
    /// Threads and processes that load and store the same word race, and each sees a whole value.
    /// What another one wrote before it stored a word with `Release` is seen behind a load of that
    /// value with `Acquire`, in this area and in all memory that both have:
    ///
    /// ```
    /// use std::sync::atomic::Ordering::{Acquire, Release};
    ///
    /// const READY: usize = 0;
    /// let area = areas::builder(4096).shared()?;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         area.write_at(64, b"an answer").unwrap();
    ///         area.store(READY, 1_u32, Release).unwrap();
    ///     });
    ///     while area.load::<u32>(READY, Acquire).unwrap() == 0 {
    ///         std::hint::spin_loop();
    ///     }
    ///     let mut answer = [0; 9];
    ///     area.read_at(64, &mut answer).unwrap();
    ///     assert_eq!(&answer, b"an answer");
    /// });
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// (Access one word in one size. Of words in different sizes that overlap each access is whole,
    /// but in which order others see them is defined by the processor, not by the language. In
    /// shared hugetlb pages the kernel copies the word, because a page may be missing: there it is
    /// a system call, and as whole as the kernel's copies of so few bytes are.)
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange) beyond the size,
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if the offset is not a multiple
    /// of the word's size, or for `Release` and `AcqRel`, which loads cannot have,
    /// [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly) where its protection forbids it.
    #[inline]
    pub fn load<T: Word>(&self, offset: usize, order: Ordering) -> Result<T> {
        self.mapping.load(offset, self.size_for(offset.checked_add(size_of::<T>())), order)
    }

    /// Stores one number of 8 to 64 bits atomically, as `order` says: `Relaxed`, `Release` or
    /// `SeqCst`.
    ///
    /// # Errors
    /// As [`load`](Area::load); [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for
    /// `Acquire` and `AcqRel`, which stores cannot have.
    #[inline]
    pub fn store<T: Word>(&self, offset: usize, value: T, order: Ordering) -> Result<()> {
        self.mapping.store(offset, value, self.size_for(offset.checked_add(size_of::<T>())), order)
    }

    /// Takes its contents from a file: as many bytes as it has, from the file's first one on, read
    /// and written in parallel by threads near to where the pages are to be. Reports its progress,
    /// on the calling thread.
    ///
    /// All of its pages are in RAM afterwards, as if it had been populated, holes of the file
    /// included.
    ///
    /// ```
    /// use std::io::Write;
    ///
    /// let mut file = std::fs::File::options().read(true).write(true).create(true).truncate(true)
    ///     .open(std::env::temp_dir().join(format!("areas-doc-{}", std::process::id())))?;
    /// file.write_all(&[7; 8192])?;
    /// let mut area = areas::builder(8192).shared()?;
    /// area.fill_from(&file, &mut |_| {})?;
    /// assert_eq!(area.slice(8191, 1)?.to_vec()?, [7]);
    /// # std::fs::remove_file(std::env::temp_dir().join(format!("areas-doc-{}", std::process::id())))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the file cannot be read, or has fewer bytes;
    /// [`ErrorKind::NoMemory`](crate::ErrorKind::NoMemory) as [`populate`](Area::populate);
    /// [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly) and
    /// [`ErrorKind::Frozen`](crate::ErrorKind::Frozen) where it may not be written;
    /// [`ErrorKind::Limit`](crate::ErrorKind::Limit) over `RLIMIT_FSIZE`, which counts for a clone
    /// as for a file.
    pub fn fill_from(&mut self, file: impl AsFd, progress: &mut dyn FnMut(Progress)) -> Result<()> {
        let whose = self.to_string();
        let size = self.size();
        let job = Job {
            mapping: &self.mapping,
            object: Some(&self.object),
            len: size,
            placement: Some(self.placement.whole()),
            collapse: self.may_collapse,
            whose: &whose,
        };
        let done = populate::fill(&job, file.as_fd(), size, progress)?;
        self.note_collapsing(&done);
        Ok(())
    }

    /// Grows it to at least `size` bytes, for all holders at once. The new bytes are zero.
    ///
    /// ```
    /// let log = areas::builder(4096).growable(1 << 20).shared()?;
    /// let address = log.as_ptr();
    /// log.grow(64 << 10)?;
    /// assert_eq!((log.size(), log.as_ptr()), (64 << 10, address)); // in place
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if it was not created as
    /// growable, or not that far; [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly) through a
    /// clone for reading only; [`ErrorKind::Frozen`](crate::ErrorKind::Frozen) once it is frozen;
    /// [`ErrorKind::Limit`](crate::ErrorKind::Limit) over `RLIMIT_FSIZE`;
    /// [`ErrorKind::NoMemory`](crate::ErrorKind::NoMemory) if it is made of hugetlb pages and the
    /// pool has not that many.
    #[doc(alias = "resize_area")]
    pub fn grow(&self, size: usize) -> Result<()> {
        self.object().grow(size, self.placement.whole(), &self.to_string())
    }
}

/// For what is in `sync`.
impl Area<Shared> {
    pub(crate) fn owners(&self) -> &Owners {
        &self.owners
    }

    #[inline]
    pub(crate) fn compare_exchange(
        &self,
        offset: usize,
        current: u64,
        new: u64,
    ) -> Result<std::result::Result<u64, u64>> {
        let size = self.size_for(offset.checked_add(size_of::<u64>()));
        self.mapping.compare_exchange(offset, size, current, new)
    }

    #[inline]
    pub(crate) fn fetch_and(&self, offset: usize, mask: u64) -> Result<u64> {
        self.mapping.fetch_and(offset, self.size_for(offset.checked_add(size_of::<u64>())), mask)
    }

    pub(crate) fn futex_address(&self, offset: usize) -> Result<*mut u8> {
        self.mapping.futex_address(offset, self.size_for(offset.checked_add(size_of::<u32>())))
    }
}

macro_rules! atomics {
    ($($method:ident: $atomic:ty;)*) => {
        impl Area<Shared> {
            $(
                #[doc = concat!("A [`", stringify!($atomic), "`] in the area, for peers that trust each other.")]
                ///
                /// # Safety
                /// As long as the reference lives, every process that has the area accesses these
                /// bytes atomically and with this size only, and no code changes the area's
                /// protection to less than reading and writing.
                ///
                /// # Errors
                /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange) beyond the size,
                /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) off the alignment,
                /// [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly) where its protection is not
                /// reading and writing.
                pub unsafe fn $method(&self, offset: usize) -> Result<&$atomic> {
                    let size = self.size_for(offset.checked_add(size_of::<$atomic>()));
                    let word = self.mapping.check_atomic::<$atomic>(offset, size)?;
                    // SAFETY:
                    // - inside the mapping, aligned, readable and writable: checked, and the
                    //   mapping outlives `&self`;
                    // - the area never shrinks: its object is sealed against that;
                    // - all other accesses are atomic: the caller's promise.
                    Ok(unsafe { word.as_ref() })
                }
            )*
        }
    };
}

atomics! {
    atomic_u8: AtomicU8;
    atomic_u16: AtomicU16;
    atomic_u32: AtomicU32;
    atomic_u64: AtomicU64;
}
