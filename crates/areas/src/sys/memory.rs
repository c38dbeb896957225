//! Mapping, protecting, locking and faulting in ranges of addresses.

#![expect(unsafe_code, reason = "system calls on memory; each block has its proof")]

use std::cell::Cell;
use std::ffi::c_void;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::NonNull;

use rustix::mm;
pub(crate) use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

use super::{Errno, Result};

/// Where a new mapping goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// Wherever the kernel likes.
    Anywhere,
    /// There, a multiple of the page size, if nothing is mapped there already; else wherever the
    /// kernel likes.
    Near(usize),
    /// There or nowhere; what is mapped there already stays (`EEXIST`).
    Exactly(usize),
}

/// Maps `len` bytes. `fd` and its offset, or none for anonymous memory.
///
/// Making a new mapping disturbs nothing, which is why this one is safe: it never replaces what is
/// there.
#[inline]
pub(crate) fn map(
    at: At,
    len: usize,
    protection: ProtFlags,
    flags: MapFlags,
    fd: Option<(BorrowedFd<'_>, u64)>,
) -> Result<NonNull<u8>> {
    debug_assert!(!flags.contains(MapFlags::FIXED), "replacing is `map_over`");
    let (hint, flags) = match at {
        At::Anywhere => (0, flags),
        At::Near(address) => (address, flags),
        At::Exactly(address) => (address, flags | MapFlags::FIXED_NOREPLACE),
    };
    // SAFETY: without MAP_FIXED the kernel only uses addresses at which nothing is mapped.
    let got = unsafe { raw_map(hint, len, protection, flags, fd) }?;
    match at {
        // Kernels before 4.17 (and valgrind) take FIXED_NOREPLACE for a hint.
        At::Exactly(address) if got.as_ptr().addr() != address => {
            // SAFETY: the mapping was made two lines above, and nothing else knows of it.
            unsafe { unmap(got, len) }?;
            Err(Errno::EXIST)
        }
        _ => Ok(got),
    }
}

/// Maps `len` bytes over what is mapped at `address` now, in one step.
///
/// # Safety
/// The caller owns `address..address+len`, and no reference into it outlives the change.
pub(crate) unsafe fn map_over(
    address: NonNull<u8>,
    len: usize,
    protection: ProtFlags,
    flags: MapFlags,
    fd: Option<(BorrowedFd<'_>, u64)>,
) -> Result<NonNull<u8>> {
    // SAFETY: the caller owns what is replaced.
    unsafe { raw_map(address.as_ptr().addr(), len, protection, flags | MapFlags::FIXED, fd) }
}

/// # Safety
/// With `MAP_FIXED` in `flags`, the caller owns the range.
#[inline]
unsafe fn raw_map(
    hint: usize,
    len: usize,
    protection: ProtFlags,
    flags: MapFlags,
    fd: Option<(BorrowedFd<'_>, u64)>,
) -> Result<NonNull<u8>> {
    let hint = std::ptr::without_provenance_mut(hint);
    let got = match fd {
        // SAFETY: the caller's promise where MAP_FIXED is set; else the kernel picks unused
        // addresses.
        Some((fd, offset)) => unsafe { mm::mmap(hint, len, protection, flags, fd.as_fd(), offset) },
        // SAFETY: with MAP_FIXED the caller owns the range; else the kernel picks unused addresses.
        None => unsafe { mm::mmap_anonymous(hint, len, protection, flags) },
    }?;
    // A mapping at address 0 cannot be distinguished from null in Rust, and root may make one.
    NonNull::new(got.cast::<u8>()).ok_or(Errno::INVAL)
}

/// mmap's arguments as C has them, flags and all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw {
    pub(crate) hint: usize,
    pub(crate) len: usize,
    pub(crate) protection: i32,
    pub(crate) flags: i32,
    pub(crate) fd: i32,
    pub(crate) offset: i64,
}

/// `mmap` with any flags.
///
/// # Safety
/// With `MAP_FIXED` among the flags, the caller owns `hint..hint+len`, and no reference into it
/// outlives the call.
pub(crate) unsafe fn map_raw(asked: &Raw) -> Result<NonNull<u8>> {
    let &Raw { hint, len, protection, flags, fd, offset } = asked;
    if hint == 0 && flags & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE) != 0 {
        // Root may map there, and could not hold what it got: a null pointer means that there is
        // none.
        return Err(Errno::INVAL);
    }
    // SAFETY: without MAP_FIXED only unused addresses are taken; with it, the range is the
    // caller's.
    let got =
        unsafe { libc::mmap(std::ptr::without_provenance_mut(hint), len, protection, flags, fd, offset) };
    if got == libc::MAP_FAILED {
        return Err(last_errno());
    }
    let got = NonNull::new(got.cast::<u8>()).ok_or(Errno::INVAL)?;
    // Kernels before 4.17 (and valgrind) take FIXED_NOREPLACE for a hint.
    if flags & libc::MAP_FIXED_NOREPLACE == libc::MAP_FIXED_NOREPLACE && got.addr().get() != hint {
        // SAFETY: the mapping was made a few lines above, and nothing else knows of it.
        unsafe { unmap(got, len) }?;
        return Err(Errno::EXIST);
    }
    Ok(got)
}

thread_local! {
    /// Whether this thread is in a call of ours that unmaps. It has no destructor, so that it is
    /// there to the end of the thread.
    static UNMAPPING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in a call of the library's own that unmaps: for who interposes munmap and
/// mremap, and has to distinguish those calls from the program's.
pub(crate) fn is_unmapping() -> bool {
    UNMAPPING.get()
}

/// Says that it is, while `call` lasts.
#[inline]
fn own<T>(call: impl FnOnce() -> T) -> T {
    UNMAPPING.set(true);
    let done = call();
    UNMAPPING.set(false);
    done
}

/// Unmaps. `len` is what was granted: for huge pages a multiple of theirs.
///
/// # Safety
/// The caller owns the range, and no reference into it is used again.
pub(crate) unsafe fn unmap(address: NonNull<u8>, len: usize) -> Result<()> {
    // SAFETY: the caller owns the range, and no reference into it is used again.
    own(|| unsafe { unmap_for_program(address, len) })
}

/// The same on a program's word, which may say it of what is an area's.
///
/// Through libc, so that ThreadSanitizer sees it: what comes to lie at the same addresses
/// afterwards is other memory.
///
/// # Safety
/// The caller owns the range, and no reference into it is used again.
pub(crate) unsafe fn unmap_for_program(address: NonNull<u8>, len: usize) -> Result<()> {
    // SAFETY: the caller owns the range, and no reference into it is used again.
    match unsafe { libc::munmap(address.as_ptr().cast::<c_void>(), len) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

/// Makes a mapping of a file longer, at addresses that the kernel chooses: where it is now.
///
/// The new part has what the mapping has: where the program locks all its future mappings
/// (`mlockall`), and this one is unlocked, that is not a lock, and none is asked for.
///
/// # Safety
/// The caller owns `address..address+len`, which is one mapping, and no reference into it outlives
/// the change.
pub(crate) unsafe fn lengthen(address: NonNull<u8>, len: usize, new_len: usize) -> Result<NonNull<u8>> {
    let flags = libc::MREMAP_MAYMOVE;
    // SAFETY: the caller owns the range, which is one mapping, and no reference into it outlives
    // the change. (Through libc for the reason that `unmap_for_program` has.)
    let got = own(|| unsafe { libc::mremap(address.as_ptr().cast::<c_void>(), len, new_len, flags) });
    if got == libc::MAP_FAILED { Err(last_errno()) } else { NonNull::new(got.cast()).ok_or(Errno::NOMEM) }
}

/// Changes what may be done with the pages.
///
/// # Safety
/// The caller owns the range, and no reference into it outlives a right that is taken away.
pub(crate) unsafe fn protect(address: NonNull<u8>, len: usize, protection: MprotectFlags) -> Result<()> {
    // SAFETY: the caller owns the range, and no reference into it outlives a right that is taken
    // away.
    unsafe { mm::mprotect(address.as_ptr().cast::<c_void>(), len, protection) }
}

/// Advice that changes no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Leave the range out of core dumps.
    DontDump,
    /// The child of a fork does not get the range.
    DontFork,
    /// The child of a fork finds zeros here.
    WipeOnFork,
    /// Use transparent huge pages where they are enabled for those who ask.
    HugePages,
    /// Fault all pages in for reading (5.14).
    PopulateRead,
    /// Fault all pages in for writing (5.14).
    PopulateWrite,
    /// Collapse the range's pages into huge ones now (6.1).
    Collapse,
    /// No transparent huge pages here, wherever they are enabled for all processes.
    #[cfg(test)]
    BasePages,
    /// Swap the pages out now (5.4).
    #[cfg(test)]
    PageOut,
}

/// `madvise` with advice that never changes what a page holds.
pub(crate) fn advise(address: NonNull<u8>, len: usize, advice: Advice) -> Result<()> {
    let advice = match advice {
        Advice::DontDump => libc::MADV_DONTDUMP,
        Advice::DontFork => libc::MADV_DONTFORK,
        Advice::WipeOnFork => libc::MADV_WIPEONFORK,
        Advice::HugePages => libc::MADV_HUGEPAGE,
        Advice::PopulateRead => libc::MADV_POPULATE_READ,
        Advice::PopulateWrite => libc::MADV_POPULATE_WRITE,
        Advice::Collapse => libc::MADV_COLLAPSE,
        #[cfg(test)]
        Advice::BasePages => libc::MADV_NOHUGEPAGE,
        #[cfg(test)]
        Advice::PageOut => libc::MADV_PAGEOUT,
    };
    // SAFETY: none of these changes content in this process or makes an address invalid; unmapped
    // ranges give ENOMEM.
    let status = unsafe { libc::syscall(libc::SYS_madvise, address.as_ptr(), len, advice) };
    if status == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Gives the pages of a range back to the kernel, which has fresh ones, full of zeros, for the next
/// touch (`MADV_DONTNEED`).
///
/// # Safety
/// The range is private anonymous memory of the caller's, who relies on nothing that is in it.
pub(crate) unsafe fn forget_pages(address: NonNull<u8>, len: usize) -> Result<()> {
    // SAFETY: private memory on whose contents nothing relies (the caller's promise); unmapped
    // ranges give ENOMEM.
    let status = unsafe { libc::syscall(libc::SYS_madvise, address.as_ptr(), len, libc::MADV_DONTNEED) };
    if status == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Locks the range in RAM: now, or each page as it comes in.
pub(crate) fn lock(address: NonNull<u8>, len: usize, on_fault: bool) -> Result<()> {
    let address = address.as_ptr().cast::<c_void>();
    if on_fault {
        // SAFETY: locking changes no content and no validity; an unmapped range gives ENOMEM.
        unsafe { mm::mlock_with(address, len, mm::MlockFlags::ONFAULT) }
    } else {
        // SAFETY: locking changes no content and no validity; an unmapped range gives ENOMEM.
        unsafe { mm::mlock(address, len) }
    }
}

/// Lets pages leave RAM again.
pub(crate) fn unlock(address: NonNull<u8>, len: usize) -> Result<()> {
    // SAFETY: unlocking changes no content and no validity; an unmapped range gives ENOMEM.
    unsafe { mm::munlock(address.as_ptr().cast::<c_void>(), len) }
}

/// Has the kernel write what was changed of a file's range, and waits for that.
pub(crate) fn sync(address: NonNull<u8>, len: usize) -> Result<()> {
    // SAFETY: writing back changes no content; an unmapped range gives ENOMEM.
    unsafe { mm::msync(address.as_ptr().cast::<c_void>(), len, mm::MsyncFlags::SYNC) }
}

/// Has the kernel copy bytes from one address of this process to another one (`process_vm_writev`
/// on ourselves): what cannot be read or written is an error or a smaller number, never a signal.
///
/// # Safety
/// No reference but the caller's covers what is written.
pub(crate) unsafe fn copy_by_kernel(from: *const u8, to: *mut u8, len: usize) -> Result<usize> {
    let mut done = 0;
    while done < len {
        let local = libc::iovec { iov_base: from.wrapping_add(done).cast_mut().cast(), iov_len: len - done };
        let remote = libc::iovec { iov_base: to.wrapping_add(done).cast(), iov_len: len - done };
        let pid = std::process::id();
        // SAFETY: both vectors have one element and outlive the call; the kernel checks the
        // addresses, and writes only what the caller has no reference to.
        let status = unsafe {
            libc::syscall(
                libc::SYS_process_vm_writev,
                pid,
                &raw const local,
                1_usize,
                &raw const remote,
                1_usize,
                0_usize,
            )
        };
        match usize::try_from(status) {
            Ok(0) => break,
            Ok(written) => done += written,
            Err(_) if done > 0 => break,
            Err(_) => return Err(last_errno()),
        }
    }
    Ok(done)
}

/// The error number that libc's last call left.
pub(super) fn last_errno() -> Errno {
    let raw = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    Errno::from_raw_os_error(raw)
}
