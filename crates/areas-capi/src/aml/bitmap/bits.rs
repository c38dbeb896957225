//! Bits of a bitmap: asked for, set, cleared.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{c_int, c_uint};

use super::{BITS, Bitmap, NO_BIT, NO_MAP, read, write};
use crate::aml::error::{SUCCESS, invalid};

/// Sets a whole bitmap.
///
/// # Safety
/// `map` is NULL or points to a bitmap.
pub(super) unsafe fn become_all(map: *mut Bitmap, value: Bitmap) -> c_int {
    // SAFETY: `map` is NULL or a bitmap (the caller).
    match unsafe { write(map) } {
        Some(map) => {
            *map = value;
            SUCCESS
        }
        None => invalid("change a bitmap", NO_MAP),
    }
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_zero(map: *mut Bitmap) -> c_int {
    // SAFETY: `map` is NULL or a bitmap (the caller).
    unsafe { become_all(map, Bitmap::EMPTY) }
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_fill(map: *mut Bitmap) -> c_int {
    // SAFETY: `map` is NULL or a bitmap (the caller).
    unsafe { become_all(map, Bitmap::FULL) }
}

/// Asks a bitmap something.
///
/// # Safety
/// `map` is NULL or points to a bitmap.
unsafe fn ask(map: *const Bitmap, what: impl FnOnce(&Bitmap) -> c_int) -> c_int {
    // SAFETY: `map` is NULL or a bitmap (the caller).
    match unsafe { read(map) } {
        Some(map) => what(map),
        None => invalid("read a bitmap", NO_MAP),
    }
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_isset(map: *const Bitmap, bit: c_uint) -> c_int {
    // SAFETY: `map` is NULL or a bitmap (the caller).
    unsafe {
        ask(map, |map| match bit as usize {
            bit if bit < BITS => c_int::from(map.has(bit)),
            _ => invalid("read a bitmap", NO_BIT),
        })
    }
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_iszero(map: *const Bitmap) -> c_int {
    // SAFETY: `map` is NULL or a bitmap (the caller).
    unsafe { ask(map, |map| c_int::from(*map == Bitmap::EMPTY)) }
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_isfull(map: *const Bitmap) -> c_int {
    // SAFETY: `map` is NULL or a bitmap (the caller).
    unsafe { ask(map, |map| c_int::from(*map == Bitmap::FULL)) }
}

/// # Safety
/// As for C: NULL or bitmaps.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_isequal(a: *const Bitmap, b: *const Bitmap) -> c_int {
    // SAFETY: NULL or a bitmap (the caller's promise).
    match unsafe { read(b) } {
        // SAFETY: `a` is NULL or a bitmap (the caller).
        Some(b) => unsafe { ask(a, |a| c_int::from(a == b)) },
        None => invalid("compare bitmaps", NO_MAP),
    }
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_nset(map: *const Bitmap) -> c_int {
    let count = |map: &Bitmap| map.words.iter().map(|word| word.count_ones()).sum::<u32>().cast_signed();
    // SAFETY: `map` is NULL or a bitmap (the caller).
    unsafe { ask(map, count) }
}

/// -1 where there is none, as for an empty bitmap.
fn index(bit: Option<usize>) -> c_int {
    bit.and_then(|bit| c_int::try_from(bit).ok()).unwrap_or(-1)
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_first(map: *const Bitmap) -> c_int {
    // SAFETY: `map` is NULL or a bitmap (the caller).
    unsafe { ask(map, |map| index(map.first())) }
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_last(map: *const Bitmap) -> c_int {
    // SAFETY: `map` is NULL or a bitmap (the caller).
    unsafe { ask(map, |map| index(map.last())) }
}

/// Sets or clears bits, both ends included.
///
/// # Safety
/// `map` is NULL or points to a bitmap.
unsafe fn put_range(map: *mut Bitmap, first: c_uint, last: c_uint, value: bool) -> c_int {
    // SAFETY: `map` is NULL or a bitmap (the caller).
    let Some(map) = (unsafe { write(map) }) else { return invalid("change a bitmap", NO_MAP) };
    let (first, last) = (first as usize, last as usize);
    if first >= BITS || last >= BITS {
        return invalid("change a bitmap", NO_BIT);
    }
    if first > last {
        return invalid("change a bitmap", "the range ends before it begins");
    }
    (first..=last).for_each(|bit| map.put(bit, value));
    SUCCESS
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_set(map: *mut Bitmap, bit: c_uint) -> c_int {
    // SAFETY: `map` is NULL or a bitmap (the caller).
    unsafe { put_range(map, bit, bit, true) }
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_clear(map: *mut Bitmap, bit: c_uint) -> c_int {
    // SAFETY: `map` is NULL or a bitmap (the caller).
    unsafe { put_range(map, bit, bit, false) }
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_set_range(map: *mut Bitmap, first: c_uint, last: c_uint) -> c_int {
    // SAFETY: `map` is NULL or a bitmap (the caller).
    unsafe { put_range(map, first, last, true) }
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_clear_range(map: *mut Bitmap, first: c_uint, last: c_uint) -> c_int {
    // SAFETY: `map` is NULL or a bitmap (the caller).
    unsafe { put_range(map, first, last, false) }
}
