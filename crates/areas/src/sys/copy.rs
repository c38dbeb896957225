//! Copies into and out of memory that other processes may write at the same moment.
//!
//! No Rust reference is ever made to such memory, and the compiler must not assume anything about what it holds: whole
//! ranges go through libc's `memcpy`, called from `asm!` so that the call is opaque; single words are volatile.

#![expect(unsafe_code, reason = "raw copies; each block has its proof")]

/// A machine word that can be loaded from and stored to shared memory in one instruction.
///
/// Sealed: the unsigned and signed integers of 8 to 64 bits.
pub trait Word: Copy + Send + Sync + 'static + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
}

macro_rules! words {
    ($($int:ty),*) => { $(impl sealed::Sealed for $int {} impl Word for $int {})* };
}
words!(u8, u16, u32, u64, i8, i16, i32, i64);

/// Copies `len` bytes from `src` to `dst`, either of which may change under us while we do so.
///
/// # Safety
/// - `src..src+len` is mapped and readable, `dst..dst+len` mapped and writable, for the whole call.
/// - The two do not overlap (or are the same).
/// - No Rust reference covers bytes that the call changes, and none that are not plain bytes.
#[inline]
pub(crate) unsafe fn copy(src: *const u8, dst: *mut u8, len: usize) {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        let memcpy: unsafe extern "C" fn(*mut libc::c_void, *const libc::c_void, usize) -> *mut libc::c_void =
            libc::memcpy;
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the call follows the C ABI of `memcpy` (arguments in rdi, rsi, rdx; everything that the ABI lets it
        // clobber is declared, the stack is aligned by `asm!`); the ranges are the caller's promise.
        unsafe {
            core::arch::asm!(
                "call {memcpy}",
                memcpy = in(reg) memcpy,
                inout("rdi") dst => _,
                inout("rsi") src => _,
                inout("rdx") len => _,
                clobber_abi("C"),
            );
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above, with arguments in x0, x1, x2.
        unsafe {
            core::arch::asm!(
                "blr {memcpy}",
                memcpy = in(reg) memcpy,
                inout("x0") dst => _,
                inout("x1") src => _,
                inout("x2") len => _,
                clobber_abi("C"),
            );
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    // SAFETY: the caller's promise, passed on.
    unsafe {
        copy_volatile(src, dst, len)
    }
}

/// The same, a volatile byte at a time: for architectures that have no assembly here, and for the tests.
///
/// # Safety
/// As for [`copy`].
#[cfg(any(test, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
unsafe fn copy_volatile(src: *const u8, dst: *mut u8, len: usize) {
    for at in 0..len {
        // SAFETY: `at < len`, so the address is inside the readable range that the caller promised.
        let from = unsafe { src.add(at) };
        // SAFETY: as above, for the writable range.
        let to = unsafe { dst.add(at) };
        // SAFETY: readable, by the caller's promise; any byte is a valid `u8`.
        let byte = unsafe { from.read_volatile() };
        // SAFETY: writable, by the caller's promise.
        unsafe { to.write_volatile(byte) }
    }
}

/// Loads one word.
///
/// # Safety
/// `at` is aligned for `T`, and mapped and readable.
#[inline]
pub(crate) unsafe fn load<T: Word>(at: *const T) -> T {
    // SAFETY: aligned and readable, by the caller's promise; every bit pattern is a valid integer.
    unsafe { at.read_volatile() }
}

/// Stores one word.
///
/// # Safety
/// `at` is aligned for `T`, and mapped and writable, and no Rust reference covers it.
#[inline]
pub(crate) unsafe fn store<T: Word>(at: *mut T, value: T) {
    // SAFETY: aligned and writable, by the caller's promise.
    unsafe { at.write_volatile(value) }
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
                // SAFETY: both buffers are ours and hold `offset + len <= 5000` and `len + 1` bytes.
                unsafe { copy(source[offset..].as_ptr(), by_call.as_mut_ptr(), len) }
                // SAFETY: as above.
                unsafe { copy_volatile(source[offset..].as_ptr(), by_byte.as_mut_ptr(), len) }
                assert_eq!(by_call, by_byte);
                assert_eq!(&by_call[..len], &source[offset..offset + len]);
                assert_eq!(by_call[len], 0, "one byte too many");
            }
        }
    }
}
