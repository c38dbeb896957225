//! Access to memory that other threads and other processes may write at the same moment.
//!
//! No Rust reference is ever made to such memory, and the compiler must not assume anything about
//! what it holds. Single words are atomics. Whole ranges are copied by libc, called from `asm!`: to
//! the language that is one access from outside of it, as another process's is, so that two threads
//! which copy at once are not a data race; what one of them gets may be in parts old and new.
//! (`docs/reliability/undefined-behaviour.md` has the reasons, and what was measured.)

#![expect(unsafe_code, reason = "raw accesses; each block has its proof")]

use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
    AtomicUsize, Ordering, fence,
};

/// A number that is loaded from and stored to shared memory atomically.
///
/// Sealed: the unsigned and signed integers of 8 to 64 bits, `usize` and `isize`, `f32` and `f64`.
pub trait Word: Copy + Send + Sync + 'static + sealed::Sealed {}

mod sealed {
    use super::Ordering;

    pub trait Sealed: Sized {
        /// # Safety
        /// `at` is aligned, mapped and readable; writable, too, unless the order is relaxed.
        unsafe fn load(at: *mut Self, order: Ordering) -> Self;

        /// # Safety
        /// `at` is aligned, mapped and writable, and no Rust reference covers it.
        unsafe fn store(at: *mut Self, value: Self, order: Ordering);
    }
}

macro_rules! words {
    ($($int:ty: $atomic:ty;)*) => {$(
        impl sealed::Sealed for $int {
            #[inline]
            unsafe fn load(at: *mut Self, order: Ordering) -> Self {
                // SAFETY: aligned and mapped for the call (the caller); all accesses here are
                // atomic, or from outside of the language.
                unsafe { <$atomic>::from_ptr(at) }.load(order)
            }

            #[inline]
            unsafe fn store(at: *mut Self, value: Self, order: Ordering) {
                // SAFETY: aligned and mapped for the call, and writable (the caller); all accesses
                // here are atomic, or from outside of the language.
                unsafe { <$atomic>::from_ptr(at) }.store(value, order);
            }
        }

        impl Word for $int {}
    )*};
}
words! {
    u8: AtomicU8;
    u16: AtomicU16;
    u32: AtomicU32;
    u64: AtomicU64;
    usize: AtomicUsize;
    i8: AtomicI8;
    i16: AtomicI16;
    i32: AtomicI32;
    i64: AtomicI64;
    isize: AtomicIsize;
}

/// Floating-point numbers, as the integer that has their bits.
macro_rules! floats {
    ($($float:ty: $bits:ty;)*) => {$(
        impl sealed::Sealed for $float {
            #[inline]
            unsafe fn load(at: *mut Self, order: Ordering) -> Self {
                // SAFETY: aligned and mapped for the call (the caller), also for an integer of its
                // size, whose alignment is not greater.
                <$float>::from_bits(unsafe { <$bits>::load(at.cast(), order) })
            }

            #[inline]
            unsafe fn store(at: *mut Self, value: Self, order: Ordering) {
                // SAFETY: aligned and mapped for the call, and writable (the caller), also for an
                // integer of its size, whose alignment is not greater.
                unsafe { <$bits>::store(at.cast(), value.to_bits(), order) };
            }
        }

        impl Word for $float {}

        const _: () = assert!(align_of::<$bits>() <= align_of::<$float>());
    )*};
}
floats! {
    f32: u32;
    f64: u64;
}

/// Copies `len` bytes from `src` to `dst`, either of which may change under us while we do so.
///
/// (It is `mempcpy` that is called, which is `memcpy` but for what it returns: ThreadSanitizer
/// takes the latter for a plain access of the program's, and reports the race that this is there to
/// be none.)
///
/// # Safety
/// - `src..src+len` is mapped and readable, `dst..dst+len` mapped and writable, for the whole call.
/// - The two do not overlap (or are the same).
/// - No Rust reference covers bytes that the call changes, and none that are not plain bytes.
#[inline]
pub(crate) unsafe fn copy(src: *const u8, dst: *mut u8, len: usize) {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        unsafe extern "C" {
            fn mempcpy(dst: *mut libc::c_void, src: *const libc::c_void, len: usize) -> *mut libc::c_void;
        }
        let mempcpy: unsafe extern "C" fn(
            *mut libc::c_void,
            *const libc::c_void,
            usize,
        ) -> *mut libc::c_void = mempcpy;
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the call follows the C ABI of `mempcpy` (arguments in rdi, rsi, rdx; everything
        // that the ABI lets it clobber is declared, the stack is aligned by `asm!`); the ranges are
        // the caller's promise.
        unsafe {
            core::arch::asm!(
                "call {mempcpy}",
                mempcpy = in(reg) mempcpy,
                inout("rdi") dst => _,
                inout("rsi") src => _,
                inout("rdx") len => _,
                clobber_abi("C"),
            );
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: the call follows the C ABI of `mempcpy` (arguments in x0, x1, x2; everything that
        // the ABI lets it clobber is declared, the stack is aligned by `asm!`); the ranges are the
        // caller's promise.
        unsafe {
            core::arch::asm!(
                "blr {mempcpy}",
                mempcpy = in(reg) mempcpy,
                inout("x0") dst => _,
                inout("x1") src => _,
                inout("x2") len => _,
                clobber_abi("C"),
            );
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    // SAFETY: `len` bytes are readable at `src` and writable at `dst`, and no Rust reference covers
    // what is written (the caller).
    unsafe {
        copy_by_byte(src, dst, len)
    }
}

/// The same, an atomic byte at a time: for architectures that have no assembly here, and for the
/// tests.
///
/// # Safety
/// `len` bytes are readable at `src` and writable at `dst`, and no Rust reference covers what is
/// written.
#[cfg(any(test, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
unsafe fn copy_by_byte(src: *const u8, dst: *mut u8, len: usize) {
    for at in 0..len {
        // SAFETY: `at < len`, so the address is inside the readable range that the caller promised.
        let from = unsafe { src.add(at) };
        // SAFETY: `at < len`, so the address is inside the writable range that the caller promised.
        let to = unsafe { dst.add(at) };
        // SAFETY: readable, by the caller's promise, which is enough for a relaxed load of a byte.
        let byte = unsafe { load(from.cast_mut(), Ordering::Relaxed) };
        // SAFETY: writable, by the caller's promise.
        unsafe { store(to, byte, Ordering::Relaxed) }
    }
}

/// Loads one word. An order that loads cannot have is taken for `SeqCst`.
///
/// # Safety
/// `at` is aligned for `T`, mapped and readable; writable, too, unless the order is relaxed.
#[inline]
pub(crate) unsafe fn load<T: Word>(at: *mut T, order: Ordering) -> T {
    let order = if is_for_loads(order) { order } else { Ordering::SeqCst };
    // SAFETY: aligned, mapped and readable; writable, too, unless the order is relaxed (the
    // caller).
    unsafe { T::load(at, order) }
}

/// Loads one word of memory that may not be writable: there the language has relaxed loads only,
/// and fences.
///
/// # Safety
/// `at` is aligned for `T`, mapped and readable.
#[inline]
pub(crate) unsafe fn load_read_only<T: Word>(at: *mut T, order: Ordering) -> T {
    if order == Ordering::SeqCst {
        fence(Ordering::SeqCst);
    }
    // SAFETY: aligned and readable, by the caller's promise, and the order is relaxed.
    let word = unsafe { load(at, Ordering::Relaxed) };
    match order {
        Ordering::Relaxed => {}
        Ordering::SeqCst => fence(Ordering::SeqCst),
        _ => fence(Ordering::Acquire),
    }
    word
}

/// Stores one word. An order that stores cannot have is taken for `SeqCst`.
///
/// # Safety
/// `at` is aligned for `T`, and mapped and writable, and no Rust reference covers it.
#[inline]
pub(crate) unsafe fn store<T: Word>(at: *mut T, value: T, order: Ordering) {
    let order = if is_for_stores(order) { order } else { Ordering::SeqCst };
    // SAFETY: aligned, mapped and writable, and no Rust reference covers it (the caller).
    unsafe { T::store(at, value, order) }
}

/// Replaces `current` by `new`, acquiring what was released with it: the word that was there, or as
/// an error the one that is there instead.
///
/// # Safety
/// `at` is aligned, mapped, readable and writable, and no Rust reference covers it.
#[inline]
pub(crate) unsafe fn compare_exchange(at: *mut u64, current: u64, new: u64) -> Result<u64, u64> {
    // SAFETY: aligned and mapped for the call (the caller); all accesses here are atomic, or from
    // outside of the language.
    unsafe { AtomicU64::from_ptr(at) }.compare_exchange(current, new, Ordering::Acquire, Ordering::Relaxed)
}

/// Keeps the bits of `mask` of a word, releasing what was written before. The word that was there.
///
/// # Safety
/// `at` is aligned, mapped, readable and writable, and no Rust reference covers it.
#[inline]
pub(crate) unsafe fn fetch_and(at: *mut u64, mask: u64) -> u64 {
    // SAFETY: aligned, mapped, readable and writable for the call (the caller); all accesses here
    // are atomic, or from outside of the language.
    unsafe { AtomicU64::from_ptr(at) }.fetch_and(mask, Ordering::Release)
}

/// Whether loads can have that order: std's panic for others.
#[inline]
pub(crate) const fn is_for_loads(order: Ordering) -> bool {
    matches!(order, Ordering::Relaxed | Ordering::Acquire | Ordering::SeqCst)
}

/// Whether stores can have that order: std's panic for others.
#[inline]
pub(crate) const fn is_for_stores(order: Ordering) -> bool {
    matches!(order, Ordering::Relaxed | Ordering::Release | Ordering::SeqCst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_copying_agree() {
        let source: Vec<u8> = (0..5000_u32).map(|i| i.to_le_bytes()[0] ^ 0x5a).collect();
        for len in [0, 1, 7, 8, 63, 64, 65, 4095, 4096, 4999] {
            for offset in [0, 1] {
                let mut by_call = vec![0_u8; len + 1];
                let mut by_byte = by_call.clone();
                // SAFETY: both buffers are ours and hold `offset + len <= 5000` and `len + 1`
                // bytes.
                unsafe { copy(source[offset..].as_ptr(), by_call.as_mut_ptr(), len) }
                // SAFETY: both buffers are ours and hold `offset + len <= 5000` and `len + 1`
                // bytes.
                unsafe { copy_by_byte(source[offset..].as_ptr(), by_byte.as_mut_ptr(), len) }
                assert_eq!(by_call, by_byte);
                assert_eq!(&by_call[..len], &source[offset..offset + len]);
                assert_eq!(by_call[len], 0, "one byte too many");
            }
        }
    }

    #[test]
    fn words_are_replaced_and_cut_to_a_mask() {
        let mut word = 7_u64;
        let at = &raw mut word;
        // SAFETY: our own word, aligned, and no reference to it is alive.
        assert_eq!(unsafe { compare_exchange(at, 7, 0b1101) }, Ok(7));
        // SAFETY: our own word, aligned, and no reference to it is alive.
        assert_eq!(unsafe { compare_exchange(at, 7, 1) }, Err(0b1101));
        // SAFETY: our own word, aligned, and no reference to it is alive.
        assert_eq!(unsafe { fetch_and(at, 0b101) }, 0b1101);
        assert_eq!(word, 0b101);
    }

    #[test]
    fn every_order_loads_and_stores() {
        let mut word = 0_u64;
        let at = &raw mut word;
        let orders =
            [Ordering::Relaxed, Ordering::Acquire, Ordering::Release, Ordering::AcqRel, Ordering::SeqCst];
        for (value, order) in (1..).zip(orders) {
            // SAFETY: our own word, aligned, and no reference to it is alive.
            unsafe { store(at, value, order) }
            // SAFETY: our own word, aligned, and no reference to it is alive.
            assert_eq!(unsafe { load(at, order) }, value, "{order:?}");
            // SAFETY: our own word, aligned, and no reference to it is alive.
            assert_eq!(unsafe { load_read_only(at, order) }, value, "{order:?}");
        }
        let reported = orders.map(|order| (is_for_loads(order), is_for_stores(order)));
        assert_eq!(reported, [(true, true), (true, false), (false, true), (false, false), (true, true)]);
    }
}
