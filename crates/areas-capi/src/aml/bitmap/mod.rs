//! AML's bitmap: 2048 bits, by value.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulong, c_void};

use super::error::{SUCCESS, broken, invalid, no_memory, null};
use crate::edge::guarded;

/// `AML_BITMAP_MAX`.
const BITS: usize = 2048;
/// Bits of a word.
const WORD: usize = c_ulong::BITS as usize;
const WORDS: usize = BITS / WORD;

/// `struct aml_bitmap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Bitmap {
    words: [c_ulong; WORDS],
}

impl Bitmap {
    const EMPTY: Bitmap = Bitmap { words: [0; WORDS] };
    const FULL: Bitmap = Bitmap { words: [c_ulong::MAX; WORDS] };

    pub(super) fn words(&self) -> &[c_ulong; WORDS] {
        &self.words
    }

    fn has(&self, bit: usize) -> bool {
        self.words[bit / WORD] >> (bit % WORD) & 1 != 0
    }

    fn put(&mut self, bit: usize, value: bool) {
        let mask = 1 << (bit % WORD);
        match value {
            true => self.words[bit / WORD] |= mask,
            false => self.words[bit / WORD] &= !mask,
        }
    }

    fn first(&self) -> Option<usize> {
        let index = self.words.iter().position(|&word| word != 0)?;
        Some(index * WORD + self.words[index].trailing_zeros() as usize)
    }

    fn last(&self) -> Option<usize> {
        let index = self.words.iter().rposition(|&word| word != 0)?;
        Some(index * WORD + WORD - 1 - self.words[index].leading_zeros() as usize)
    }

    /// `[0110…]`, bit 0 first.
    fn to_text(self) -> [u8; BITS + 2] {
        std::array::from_fn(|at| match at {
            0 => b'[',
            bit @ 1..=BITS if self.has(bit - 1) => b'1',
            1..=BITS => b'0',
            _ => b']',
        })
    }

    /// From what [`Bitmap::to_text`] makes, from a word for all or none, or from numbers: `0,3-5`.
    fn from_text(text: &str) -> Option<Self> {
        let mut map = Bitmap::EMPTY;
        match text.trim() {
            "all" | "fill" | "full" => return Some(Bitmap::FULL),
            "none" | "zero" | "empty" => return Some(map),
            bits if bits.starts_with('[') => {
                let bits = bits.strip_prefix('[')?.strip_suffix(']')?.as_bytes();
                if bits.len() > BITS {
                    return None;
                }
                for (bit, digit) in bits.iter().enumerate() {
                    match digit {
                        b'1' => map.put(bit, true),
                        b'0' => {}
                        _ => return None,
                    }
                }
            }
            list => {
                for part in list.split(',') {
                    let (from, to) = part.split_once('-').unwrap_or((part, part));
                    let (from, to) = (number(from)?, number(to)?);
                    if from > to {
                        return None;
                    }
                    (from..=to).for_each(|bit| map.put(bit, true));
                }
            }
        }
        Some(map)
    }
}

/// A bit's number in decimal.
fn number(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|&bit| digits && bit < BITS)
}

/// The bitmap at a pointer, unless that is NULL.
///
/// # Safety
/// `map` is NULL or points to a bitmap that nothing writes concurrently.
unsafe fn read<'a>(map: *const Bitmap) -> Option<&'a Bitmap> {
    // SAFETY: NULL or a bitmap (the caller's promise); every bit pattern is one.
    unsafe { map.as_ref() }
}

/// The same, to write.
///
/// # Safety
/// `map` is NULL or points to a bitmap that nothing else uses concurrently.
unsafe fn write<'a>(map: *mut Bitmap) -> Option<&'a mut Bitmap> {
    // SAFETY: NULL or a bitmap of which this is the only user (the caller's promise); every bit
    // pattern is one.
    unsafe { map.as_mut() }
}

const NO_MAP: &str = "the bitmap is NULL";
const NO_BIT: &str = "bits are 0 to 2047";

/// # Safety
/// As for C: both are NULL or bitmaps.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_copy(to: *mut Bitmap, from: *const Bitmap) {
    // SAFETY: NULL or a bitmap (the caller's promise).
    let Some(&from) = (unsafe { read(from) }) else { return };
    // SAFETY: NULL or a bitmap (the caller's promise); `from` has been copied out.
    if let Some(to) = unsafe { write(to) } {
        *to = from;
    }
}

/// Sets a whole bitmap.
///
/// # Safety
/// `map` is NULL or points to a bitmap.
unsafe fn become_all(map: *mut Bitmap, value: Bitmap) -> c_int {
    // SAFETY: the caller's promise, passed on.
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
    // SAFETY: the caller's promise, passed on.
    unsafe { become_all(map, Bitmap::EMPTY) }
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_fill(map: *mut Bitmap) -> c_int {
    // SAFETY: the caller's promise, passed on.
    unsafe { become_all(map, Bitmap::FULL) }
}

/// Asks a bitmap something.
///
/// # Safety
/// `map` is NULL or points to a bitmap.
unsafe fn ask(map: *const Bitmap, what: impl FnOnce(&Bitmap) -> c_int) -> c_int {
    // SAFETY: the caller's promise, passed on.
    match unsafe { read(map) } {
        Some(map) => what(map),
        None => invalid("read a bitmap", NO_MAP),
    }
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_isset(map: *const Bitmap, bit: c_uint) -> c_int {
    // SAFETY: the caller's promise, passed on.
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
    // SAFETY: the caller's promise, passed on.
    unsafe { ask(map, |map| c_int::from(*map == Bitmap::EMPTY)) }
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_isfull(map: *const Bitmap) -> c_int {
    // SAFETY: the caller's promise, passed on.
    unsafe { ask(map, |map| c_int::from(*map == Bitmap::FULL)) }
}

/// # Safety
/// As for C: NULL or bitmaps.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_isequal(a: *const Bitmap, b: *const Bitmap) -> c_int {
    // SAFETY: NULL or a bitmap (the caller's promise).
    match unsafe { read(b) } {
        // SAFETY: the caller's promise, passed on.
        Some(b) => unsafe { ask(a, |a| c_int::from(a == b)) },
        None => invalid("compare bitmaps", NO_MAP),
    }
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_nset(map: *const Bitmap) -> c_int {
    let count = |map: &Bitmap| map.words.iter().map(|word| word.count_ones()).sum::<u32>().cast_signed();
    // SAFETY: the caller's promise, passed on.
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
    // SAFETY: the caller's promise, passed on.
    unsafe { ask(map, |map| index(map.first())) }
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_last(map: *const Bitmap) -> c_int {
    // SAFETY: the caller's promise, passed on.
    unsafe { ask(map, |map| index(map.last())) }
}

/// Sets or clears bits, both ends included.
///
/// # Safety
/// `map` is NULL or points to a bitmap.
unsafe fn put_range(map: *mut Bitmap, first: c_uint, last: c_uint, value: bool) -> c_int {
    // SAFETY: the caller's promise, passed on.
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
    // SAFETY: the caller's promise, passed on.
    unsafe { put_range(map, bit, bit, true) }
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_clear(map: *mut Bitmap, bit: c_uint) -> c_int {
    // SAFETY: the caller's promise, passed on.
    unsafe { put_range(map, bit, bit, false) }
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_set_range(map: *mut Bitmap, first: c_uint, last: c_uint) -> c_int {
    // SAFETY: the caller's promise, passed on.
    unsafe { put_range(map, first, last, true) }
}

/// # Safety
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_clear_range(map: *mut Bitmap, first: c_uint, last: c_uint) -> c_int {
    // SAFETY: the caller's promise, passed on.
    unsafe { put_range(map, first, last, false) }
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
/// As for C: NULL or a bitmap, NULL or as many words as `size` bits take.
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
        // SAFETY: as above.
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
/// As for C: NULL or a bitmap, NULL or as many words as `size` bits take.
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
        // SAFETY: as above.
        let before = unsafe { place.read() };
        // SAFETY: as above.
        unsafe { place.write(before & !mask | word & mask) };
    }
}

/// NULL is the empty bitmap, as AML has it.
///
/// # Safety
/// As for C: NULL or a bitmap, NULL or a string.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_from_string(map: *mut Bitmap, text: *const c_char) -> c_int {
    guarded(broken(), || {
        let read = match text.is_null() {
            true => Some(Bitmap::EMPTY),
            // SAFETY: a string (the caller's promise) that is not null (checked).
            false => unsafe { CStr::from_ptr(text) }.to_str().ok().and_then(Bitmap::from_text),
        };
        match read {
            // SAFETY: the caller's promise, passed on.
            Some(read) => unsafe { become_all(map, read) },
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
/// As for C: NULL or a bitmap.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_to_string(map: *const Bitmap) -> *mut c_char {
    guarded(std::ptr::null_mut(), || {
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
/// As for C: NULL or a place for a pointer.
#[unsafe(no_mangle)]
unsafe extern "C" fn aml_bitmap_create(out: *mut *mut Bitmap) -> c_int {
    // SAFETY: the empty bitmap is one; the caller's promise is passed on.
    unsafe { aml_bitmap_dup(out, &raw const EMPTY) }
}

static EMPTY: Bitmap = Bitmap::EMPTY;

/// # Safety
/// As for C: NULL or a place for a pointer, NULL or a bitmap.
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
    // SAFETY: as above.
    unsafe { out.write(made) };
    SUCCESS
}

/// # Safety
/// As for C: NULL or a place that has NULL or a bitmap of [`aml_bitmap_create`] or
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["0", "0,3-5", "2047", "63-64,128", "all", "none"] {
            let map = Bitmap::from_text(text).unwrap();
            let printed = String::from_utf8(map.to_text().to_vec()).unwrap();
            assert_eq!(printed.len(), BITS + 2);
            assert_eq!(Bitmap::from_text(&printed), Some(map), "{text}");
        }
        for text in ["", "2048", "-1", "+1", "1-", "5-3", "a", "[012]", "[1", "1,,2", "0x3"] {
            assert_eq!(Bitmap::from_text(text), None, "{text}");
        }
    }
}
