//! Bitmaps made, copied, and as text and words.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{CStr, c_char, c_int, c_ulong, c_void};

use super::bits::become_all;
use super::{BITS, Bitmap, NO_MAP, WORD, read, write};
use crate::aml::error::{SUCCESS, broken, invalid, no_memory, null};
use crate::edge::catch_panic;

/// # Safety
/// Both are NULL or bitmaps.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_copy(to: *mut Bitmap, from: *const Bitmap) {
    // SAFETY: NULL or a bitmap (the caller's promise).
    let Some(&from) = (unsafe { read(from) }) else { return };
    // SAFETY: NULL or a bitmap (the caller's promise); `from` has been copied out.
    if let Some(to) = unsafe { write(to) } {
        *to = from;
    }
}

/// Those of a word's bits that are among the first `size` of all.
fn among(index: usize, size: usize) -> c_ulong {
    match size.saturating_sub(index * WORD) {
        left if left >= WORD => c_ulong::MAX,
        left => (1 << left) - 1,
    }
}

/// The first `size` bits of the array become the bitmap; its other bits are cleared.
///
/// # Safety
/// NULL or a bitmap, NULL or as many words as `size` bits take.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_copy_from_ulong(map: *mut Bitmap, from: *const c_ulong, size: usize) {
    if map.is_null() || from.is_null() {
        return;
    }
    let size = size.min(BITS);
    let mut copied = Bitmap::EMPTY;
    for (index, word) in copied.words.iter_mut().enumerate().take(size.div_ceil(WORD)) {
        // SAFETY: `index` is below the words that `size` bits take, which the array has (the
        // caller's promise).
        let place = unsafe { from.add(index) };
        // SAFETY: `place` is inside of that array of words, and any bits are a word.
        *word = unsafe { place.read() } & among(index, size);
    }
    // SAFETY: a bitmap (the caller's promise); of the array, which may be its own words, nothing is
    // read any more.
    if let Some(map) = unsafe { write(map) } {
        *map = copied;
    }
}

/// The first `size` bits of the array become those of the bitmap; what lies behind them stays as it
/// is.
///
/// # Safety
/// NULL or a bitmap, NULL or as many words as `size` bits take.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_copy_to_ulong(map: *const Bitmap, to: *mut c_ulong, size: usize) {
    // SAFETY: NULL or a bitmap (the caller's promise).
    let Some(&map) = (unsafe { read(map) }) else { return };
    if to.is_null() {
        return;
    }
    let size = size.min(BITS);
    for (index, word) in map.words.iter().enumerate().take(size.div_ceil(WORD)) {
        // SAFETY: `index` is below the words that `size` bits take, which the array has (the
        // caller's promise).
        let place = unsafe { to.add(index) };
        let mask = among(index, size);
        // SAFETY: `place` is inside of that array of words, and any bits are a word.
        let before = unsafe { place.read() };
        // SAFETY: `place` is inside of that array of words, which is the caller's to be written.
        unsafe { place.write(before & !mask | word & mask) };
    }
}

/// NULL is the empty bitmap, as AML has it.
///
/// # Safety
/// NULL or a bitmap, NULL or a string.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_from_string(map: *mut Bitmap, text: *const c_char) -> c_int {
    catch_panic(broken(), || {
        let read = match text.is_null() {
            true => Some(Bitmap::EMPTY),
            // SAFETY: a string (the caller's promise) that is not null (checked).
            false => unsafe { CStr::from_ptr(text) }.to_str().ok().and_then(Bitmap::from_text),
        };
        match read {
            // SAFETY: `map` is NULL or a bitmap (the caller).
            Some(read) => become_all(unsafe { write(map) }, read),
            None => invalid(
                "read a bitmap from a string",
                "write `all`, `none`, numbers from 0 to 2047 (`0,3-5`), or bits in brackets (`[0110]`)",
            ),
        }
    })
}

/// `[0110…]`, bit 0 first: to be given to `free`. NULL where there is no memory.
///
/// # Safety
/// NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_to_string(map: *const Bitmap) -> *mut c_char {
    catch_panic(std::ptr::null_mut(), || {
        // SAFETY: NULL or a bitmap (the caller's promise).
        let Some(&map) = (unsafe { read(map) }) else {
            return null(invalid("print a bitmap", NO_MAP));
        };
        let mut text = [0; BITS + 3];
        text[..BITS + 2].copy_from_slice(&map.to_text());
        // SAFETY: asks for memory of that size; what is given is checked.
        let to = unsafe { libc::malloc(text.len()) }.cast::<u8>();
        if to.is_null() {
            return null(no_memory("print a bitmap"));
        }
        // SAFETY: both have that many bytes, and `to` is new.
        unsafe { to.copy_from_nonoverlapping(text.as_ptr(), text.len()) };
        to.cast()
    })
}

/// # Safety
/// NULL or a place for a pointer.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_create(out: *mut *mut Bitmap) -> c_int {
    // SAFETY: `out` is NULL or a place for a pointer (the caller), and `EMPTY` is a bitmap.
    unsafe { aml_bitmap_dup(out, &raw const EMPTY) }
}

static EMPTY: Bitmap = Bitmap::EMPTY;

/// # Safety
/// NULL or a place for a pointer, NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_dup(out: *mut *mut Bitmap, from: *const Bitmap) -> c_int {
    if out.is_null() {
        return invalid("make a bitmap", "the place for it is NULL");
    }
    // SAFETY: a place for a pointer (the caller's promise) that is not null (checked).
    unsafe { out.write(std::ptr::null_mut()) };
    // SAFETY: NULL or a bitmap (the caller's promise).
    let Some(&from) = (unsafe { read(from) }) else { return invalid("copy a bitmap", NO_MAP) };
    // SAFETY: asks for memory of that size; what is given is checked.
    let made = unsafe { libc::malloc(size_of::<Bitmap>()) }.cast::<Bitmap>();
    if made.is_null() {
        return no_memory("make a bitmap");
    }
    // SAFETY: new memory of the right size; malloc aligns for every basic type.
    unsafe { made.write(from) };
    // SAFETY: `out` is a place for a pointer: written above, and the caller's for all of the call.
    unsafe { out.write(made) };
    SUCCESS
}

/// # Safety
/// NULL or a place that has NULL or a bitmap of [`aml_bitmap_create`] or
/// [`aml_bitmap_dup`].
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_destroy(map: *mut *mut Bitmap) {
    if map.is_null() {
        return;
    }
    // SAFETY: a place for a pointer (the caller's promise) that is not null (checked).
    let made = unsafe { map.replace(std::ptr::null_mut()) };
    // SAFETY: NULL or made by malloc (the caller's promise), and nothing uses it again.
    unsafe { libc::free(made.cast::<c_void>()) };
}
