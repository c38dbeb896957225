//! Reading and writing shared memory by copies and atomic words, each checked against the range.
//!
//! Base pages are there at a touch: a hole is zeros. A hugetlb page that is missing is a SIGBUS
//! where the pool has none, and a process that may write a shared object may take its pages away at
//! any moment (`fallocate`, `madvise`). So such memory is read and written by the kernel, which
//! answers with an error.

#![expect(unsafe_code, reason = "accesses raw memory; each block has its proof")]

use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::{Ordering, fence};

use super::{Mapping, Sharing, out_of_range};
use crate::error::{Error, ErrorKind, Result};
use crate::page::PageSize;
use crate::protection::Protection;
use crate::sys;
use crate::sys::copy::Word;

impl Mapping {
    /// Copies bytes out of memory that others may write.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] beyond `size`, [`ErrorKind::ReadOnly`] where it may not be read.
    #[inline]
    pub(crate) fn read(&self, offset: usize, into: &mut [u8], size: usize) -> Result<()> {
        let from = self.check(offset, into.len(), size)?;
        if !self.may_load("read from a mapping")? {
            // SAFETY: the target is exclusive memory of the caller.
            return unsafe { by_kernel(from.as_ptr(), into.as_mut_ptr(), into.len()) };
        }
        // SAFETY: the source is inside our mapping (checked) and readable (checked); `into` is
        // exclusive memory of the caller, and cannot overlap a mapping of which only `as_bytes_mut`
        // lends exclusive references: that takes `&mut self`.
        unsafe { sys::copy::copy(from.as_ptr(), into.as_mut_ptr(), into.len()) }
        Ok(())
    }

    /// Copies bytes into memory that others may read and write.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] beyond `size`, [`ErrorKind::ReadOnly`] where it may not be
    /// written.
    #[inline]
    pub(crate) fn write(&self, offset: usize, bytes: &[u8], size: usize) -> Result<()> {
        let to = self.check(offset, bytes.len(), size)?;
        if !self.may_store()? {
            // SAFETY: the target is inside our mapping (checked), and shared memory, of which no
            // reference is ever lent (checked).
            return unsafe { by_kernel(bytes.as_ptr(), to.as_ptr(), bytes.len()) };
        }
        // SAFETY: the target is inside our mapping (checked) and writable (checked), and shared
        // memory, of which no reference is ever lent (checked), so that `bytes` cannot be part of
        // it.
        unsafe { sys::copy::copy(bytes.as_ptr(), to.as_ptr(), bytes.len()) }
        Ok(())
    }

    /// Has the kernel copy bytes in: where the file behind has become too short, that is EFAULT, or
    /// fewer bytes, and no signal.
    ///
    /// # Errors
    /// As [`write`](Mapping::write), for what can be known before.
    pub(crate) fn write_by_kernel(
        &self,
        offset: usize,
        bytes: &[u8],
        size: usize,
    ) -> Result<sys::Result<usize>> {
        let to = self.check(offset, bytes.len(), size)?;
        self.may_store()?;
        // SAFETY: the target is inside our mapping and writable (checked), and shared memory, of
        // which no reference is ever lent.
        Ok(unsafe { sys::memory::copy_by_kernel(bytes.as_ptr(), to.as_ptr(), bytes.len()) })
    }

    /// Copies from one mapping to another, neither of which lends references.
    ///
    /// # Errors
    /// As [`read`](Mapping::read) and [`write`](Mapping::write); [`ErrorKind::InvalidInput`] if the
    /// ranges overlap.
    #[inline]
    pub(crate) fn copy_to(
        &self,
        offset: usize,
        to: &Mapping,
        at: usize,
        len: usize,
        sizes: (usize, usize),
    ) -> Result<()> {
        let from = self.check(offset, len, sizes.0)?;
        let target = to.check(at, len, sizes.1)?;
        let direct = self.may_load("read from a mapping")? & to.may_store()?;
        if std::ptr::eq(self, to) && offset.abs_diff(at) < len {
            return Err(overlapping(len));
        }
        if !direct {
            // SAFETY: the target is inside its mapping (checked), and shared memory, of which no
            // reference is ever lent.
            return unsafe { by_kernel(from.as_ptr(), target.as_ptr(), len) };
        }
        // SAFETY: both ranges are inside their mappings, with the rights that are needed (checked),
        // do not overlap (checked in one mapping, and two have no address in common: invariant),
        // and the target is shared memory, of which no reference is ever lent.
        unsafe { sys::copy::copy(from.as_ptr(), target.as_ptr(), len) }
        Ok(())
    }

    /// Loads one word atomically.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] beyond `size`, [`ErrorKind::InvalidInput`] off its alignment, or
    /// for an order that loads cannot have, [`ErrorKind::ReadOnly`] where it may not be read.
    #[inline]
    pub(crate) fn load<T: Word>(&self, offset: usize, size: usize, order: Ordering) -> Result<T> {
        let from = self.check_word::<T>(offset, size)?;
        if !sys::copy::is_for_loads(order) {
            return Err(no_such_order("load", order));
        }
        if !self.may_load("load from a mapping")? {
            let mut value = MaybeUninit::<T>::uninit();
            // SAFETY: the target is a variable of ours.
            unsafe { by_kernel(from.cast(), value.as_mut_ptr().cast(), size_of::<T>()) }?;
            order_by_kernel(order);
            // SAFETY: all of it was written, and any bytes are a word.
            return Ok(unsafe { value.assume_init() });
        }
        if order != Ordering::Relaxed && !self.protection.contains(Protection::WRITE) {
            // SAFETY: inside our mapping, aligned and readable (checked).
            return Ok(unsafe { sys::copy::load_read_only(from, order) });
        }
        // SAFETY: inside our mapping, aligned, readable, and writable unless the order is relaxed
        // (checked).
        Ok(unsafe { sys::copy::load(from, order) })
    }

    /// Stores one word atomically.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] beyond `size`, [`ErrorKind::InvalidInput`] off its alignment, or
    /// for an order that stores cannot have, [`ErrorKind::ReadOnly`] where it may not be written.
    #[inline]
    pub(crate) fn store<T: Word>(&self, offset: usize, value: T, size: usize, order: Ordering) -> Result<()> {
        let to = self.check_word::<T>(offset, size)?;
        if !sys::copy::is_for_stores(order) {
            return Err(no_such_order("store", order));
        }
        if !self.may_store()? {
            order_by_kernel(order);
            // SAFETY: the target is inside our mapping (checked), and shared memory, of which no
            // reference is lent.
            return unsafe { by_kernel((&raw const value).cast(), to.cast(), size_of::<T>()) };
        }
        // SAFETY: inside our mapping, aligned and writable (checked), and shared memory, of which
        // no reference is lent.
        unsafe { sys::copy::store(to, value, order) }
        Ok(())
    }

    /// Replaces a word of 64 bits if it is `current`, acquiring: `Err` has the word that is there
    /// instead.
    ///
    /// # Errors
    /// As [`store`](Mapping::store); [`ErrorKind::ReadOnly`] where it may not be read;
    /// [`ErrorKind::Unsupported`] in hugetlb pages, where the kernel copies words and replaces
    /// none.
    pub(crate) fn compare_exchange(
        &self,
        offset: usize,
        size: usize,
        current: u64,
        new: u64,
    ) -> Result<std::result::Result<u64, u64>> {
        let at = self.check_exchange(offset, size)?;
        // SAFETY: inside our mapping, aligned, readable and writable (checked), and shared memory,
        // of which no reference is lent.
        Ok(unsafe { sys::copy::compare_exchange(at, current, new) })
    }

    /// Keeps the bits of `mask` of a word of 64 bits, releasing. The word that was there.
    ///
    /// # Errors
    /// As [`compare_exchange`](Mapping::compare_exchange).
    pub(crate) fn fetch_and(&self, offset: usize, size: usize, mask: u64) -> Result<u64> {
        let at = self.check_exchange(offset, size)?;
        // SAFETY: inside our mapping, aligned, readable and writable (checked), and shared memory,
        // of which no reference is lent.
        Ok(unsafe { sys::copy::fetch_and(at, mask) })
    }

    fn check_exchange(&self, offset: usize, size: usize) -> Result<*mut u64> {
        let at = self.check_word::<u64>(offset, size)?;
        if self.may_load("exchange a word of a mapping")? & self.may_store()? {
            return Ok(at);
        }
        Err(Error::new(ErrorKind::Unsupported, "exchange a word of a mapping").with_facts(
            "it has hugetlb pages, which may be taken away: the kernel cannot exchange words there",
        ))
    }

    /// The address of a word for futex calls, which check it themselves.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] beyond `size`, [`ErrorKind::InvalidInput`] off its alignment.
    pub(crate) fn futex_address(&self, offset: usize, size: usize) -> Result<*mut u8> {
        Ok(self.check_word::<u32>(offset, size)?.cast())
    }

    /// The address of an atomic word in shared memory that may be read and written.
    ///
    /// # Errors
    /// As [`store`](Mapping::store).
    pub(crate) fn check_atomic<T>(&self, offset: usize, size: usize) -> Result<NonNull<T>> {
        let word = self.check_word::<T>(offset, size)?;
        self.may_load("use an atomic word")?;
        self.may_store()?;
        NonNull::new(word).ok_or_else(|| out_of_range(offset, size_of::<T>(), size))
    }

    #[inline]
    fn check_word<T>(&self, offset: usize, size: usize) -> Result<*mut T> {
        let address = self.check(offset, size_of::<T>(), size)?.cast::<T>().as_ptr();
        if address.is_aligned() { Ok(address) } else { Err(unaligned(offset, size_of::<T>())) }
    }

    /// Whether it may be read by loads; `false` where the kernel has to copy.
    #[inline]
    fn may_load(&self, what: &'static str) -> Result<bool> {
        // The one question of nearly all accesses.
        if self.direct.contains(Protection::READ) {
            return Ok(true);
        }
        self.permits(Protection::READ, what).map(|()| false)
    }

    /// Whether it may be written by stores; `false` where the kernel has to copy.
    #[inline]
    fn may_store(&self) -> Result<bool> {
        debug_assert!(self.sharing == Sharing::Shared, "private memory is written through `as_bytes_mut`");
        if self.sharing != Sharing::Shared {
            return Err(lent());
        }
        if self.direct.contains(Protection::WRITE) {
            return Ok(true);
        }
        self.permits(Protection::WRITE, "write to a mapping").map(|()| false)
    }

    #[cold]
    fn permits(&self, needed: Protection, what: &'static str) -> Result<()> {
        if self.protection.contains(needed) { Ok(()) } else { Err(self.forbidden(what)) }
    }

    /// The error for an access that its protection forbids.
    #[cold]
    #[inline(never)]
    fn forbidden(&self, what: &'static str) -> Error {
        Error::new(ErrorKind::ReadOnly, what)
            .with_facts(format!("its protection is {}", self.protection))
            .with_remedy("open it with the protection that this needs, or change it: `Area::protect`")
    }
}

/// What may be done by loads and stores, of what may be done at all: nothing with memory of the
/// pool that others share.
///
/// A process that may write the object may take pages of it away, and no seal but that against
/// writing keeps him from it. It is so for all who share it: a descriptor can be had from the area
/// itself, by any process that the program gives it to, and by a forked child.
#[inline]
pub(super) fn direct(protection: Protection, sharing: Sharing, page: PageSize) -> Protection {
    if sharing == Sharing::Shared && page != PageSize::base() { Protection::empty() } else { protection }
}

/// Has the kernel copy from or to memory of which a page may be missing.
///
/// # Safety
/// No reference but the caller's covers what is written.
#[cold]
#[inline(never)]
unsafe fn by_kernel(from: *const u8, to: *mut u8, len: usize) -> Result<()> {
    // SAFETY: no reference but the caller's covers what is written (the caller); what is not mapped
    // is an error of the call.
    let copied = unsafe { sys::memory::copy_by_kernel(from, to, len) };
    let what = || format!("copy {len} bytes from or to hugetlb pages");
    match copied {
        Ok(copied) if copied == len => Ok(()),
        Ok(_) | Err(sys::Errno::FAULT) => Err(Error::new(ErrorKind::NoMemory, what())
            .with_system_call("process_vm_writev", sys::Errno::FAULT)
            .with_facts("a page is missing, and the pool has none: another writer may have taken it away")
            .with_remedy(
                "fill the pool (`areas nodes`); freeze the area once it is written: its pages stay then",
            )),
        Err(errno) => Err(Error::new(ErrorKind::NotPermitted, what())
            .with_system_call("process_vm_writev", errno)
            .with_remedy(
                "a sandbox may forbid it: allow process_vm_writev, which is used on this process itself",
            )),
    }
}

/// What an order asks for where the kernel copies the word: behind a load, before a store.
#[cold]
fn order_by_kernel(order: Ordering) {
    if order != Ordering::Relaxed {
        fence(Ordering::SeqCst);
    }
}

/// The error for a copy from a range to one that has some of its bytes.
#[cold]
#[inline(never)]
pub(crate) fn overlapping(len: usize) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("copy {len} bytes")).with_facts("the two ranges overlap")
}

#[cold]
#[inline(never)]
fn unaligned(offset: usize, len: usize) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("access {len} bytes at offset {offset} as one word"))
        .with_facts("the offset is not a multiple of its size")
}

#[cold]
#[inline(never)]
fn no_such_order(what: &'static str, order: Ordering) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("{what} one word with order {order:?}"))
        .with_facts("a load acquires, a store releases, and neither does both")
        .with_remedy("Acquire for loads, Release for stores, or Relaxed or SeqCst for either")
}

#[cold]
#[inline(never)]
fn lent() -> Error {
    Error::new(ErrorKind::Unsupported, "write to a mapping by copies").with_facts("it is private memory")
}
