//! Bits of a bitmap: asked for, set, cleared.
//!
//! A pointer that C may leave NULL is an `Option` of a reference here, which has the same layout.
//! AML's contract is what that demands: NULL or a bitmap, whole and aligned, that no other thread
//! changes during the call. Every bit pattern is a bitmap.

#![expect(unsafe_code, reason = "the names of C's functions")]

use std::ffi::{c_int, c_uint};

use super::{BITS, Bitmap, NO_BIT, NO_MAP};
use crate::aml::error::{SUCCESS, invalid};

/// Sets a whole bitmap.
pub(super) fn become_all(map: Option<&mut Bitmap>, value: Bitmap) -> c_int {
    match map {
        Some(map) => {
            *map = value;
            SUCCESS
        }
        None => invalid("change a bitmap", NO_MAP),
    }
}

#[unsafe(no_mangle)]
extern "C" fn aml_bitmap_zero(map: Option<&mut Bitmap>) -> c_int {
    become_all(map, Bitmap::EMPTY)
}

#[unsafe(no_mangle)]
extern "C" fn aml_bitmap_fill(map: Option<&mut Bitmap>) -> c_int {
    become_all(map, Bitmap::FULL)
}

/// Asks a bitmap something.
fn ask(map: Option<&Bitmap>, what: impl FnOnce(&Bitmap) -> c_int) -> c_int {
    match map {
        Some(map) => what(map),
        None => invalid("read a bitmap", NO_MAP),
    }
}

#[unsafe(no_mangle)]
extern "C" fn aml_bitmap_isset(map: Option<&Bitmap>, bit: c_uint) -> c_int {
    ask(map, |map| match bit as usize {
        bit if bit < BITS => c_int::from(map.has(bit)),
        _ => invalid("read a bitmap", NO_BIT),
    })
}

#[unsafe(no_mangle)]
extern "C" fn aml_bitmap_iszero(map: Option<&Bitmap>) -> c_int {
    ask(map, |map| c_int::from(*map == Bitmap::EMPTY))
}

#[unsafe(no_mangle)]
extern "C" fn aml_bitmap_isfull(map: Option<&Bitmap>) -> c_int {
    ask(map, |map| c_int::from(*map == Bitmap::FULL))
}

#[unsafe(no_mangle)]
extern "C" fn aml_bitmap_isequal(a: Option<&Bitmap>, b: Option<&Bitmap>) -> c_int {
    match b {
        Some(b) => ask(a, |a| c_int::from(a == b)),
        None => invalid("compare bitmaps", NO_MAP),
    }
}

#[unsafe(no_mangle)]
extern "C" fn aml_bitmap_nset(map: Option<&Bitmap>) -> c_int {
    let count = |map: &Bitmap| map.words.iter().map(|word| word.count_ones()).sum::<u32>().cast_signed();
    ask(map, count)
}

/// -1 where there is none, as for an empty bitmap.
fn index(bit: Option<usize>) -> c_int {
    bit.and_then(|bit| c_int::try_from(bit).ok()).unwrap_or(-1)
}

#[unsafe(no_mangle)]
extern "C" fn aml_bitmap_first(map: Option<&Bitmap>) -> c_int {
    ask(map, |map| index(map.first()))
}

#[unsafe(no_mangle)]
extern "C" fn aml_bitmap_last(map: Option<&Bitmap>) -> c_int {
    ask(map, |map| index(map.last()))
}

/// Sets or clears bits, both ends included.
fn put_range(map: Option<&mut Bitmap>, first: c_uint, last: c_uint, value: bool) -> c_int {
    let Some(map) = map else { return invalid("change a bitmap", NO_MAP) };
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

#[unsafe(no_mangle)]
extern "C" fn aml_bitmap_set(map: Option<&mut Bitmap>, bit: c_uint) -> c_int {
    put_range(map, bit, bit, true)
}

#[unsafe(no_mangle)]
extern "C" fn aml_bitmap_clear(map: Option<&mut Bitmap>, bit: c_uint) -> c_int {
    put_range(map, bit, bit, false)
}

#[unsafe(no_mangle)]
extern "C" fn aml_bitmap_set_range(map: Option<&mut Bitmap>, first: c_uint, last: c_uint) -> c_int {
    put_range(map, first, last, true)
}

#[unsafe(no_mangle)]
extern "C" fn aml_bitmap_clear_range(map: Option<&mut Bitmap>, first: c_uint, last: c_uint) -> c_int {
    put_range(map, first, last, false)
}
