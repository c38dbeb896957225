//! AML's bitmaps: 2048 bits, by value. The library has nothing for them, so that nothing is what
//! they may cost.

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

use super::super::counting::{Row, Sides, functions};
use super::done;

type Bitmap = [c_ulong; 2048 / 64];

functions! {
    fn aml_bitmap_copy(to: *mut Bitmap, from: *const Bitmap);
    fn aml_bitmap_zero(map: *mut Bitmap) -> c_int;
    fn aml_bitmap_fill(map: *mut Bitmap) -> c_int;
    fn aml_bitmap_isset(map: *const Bitmap, bit: c_uint) -> c_int;
    fn aml_bitmap_iszero(map: *const Bitmap) -> c_int;
    fn aml_bitmap_isfull(map: *const Bitmap) -> c_int;
    fn aml_bitmap_isequal(a: *const Bitmap, b: *const Bitmap) -> c_int;
    fn aml_bitmap_nset(map: *const Bitmap) -> c_int;
    fn aml_bitmap_first(map: *const Bitmap) -> c_int;
    fn aml_bitmap_last(map: *const Bitmap) -> c_int;
    fn aml_bitmap_set(map: *mut Bitmap, bit: c_uint) -> c_int;
    fn aml_bitmap_clear(map: *mut Bitmap, bit: c_uint) -> c_int;
    fn aml_bitmap_set_range(map: *mut Bitmap, first: c_uint, last: c_uint) -> c_int;
    fn aml_bitmap_clear_range(map: *mut Bitmap, first: c_uint, last: c_uint) -> c_int;
    fn aml_bitmap_copy_from_ulong(map: *mut Bitmap, from: *const c_ulong, size: usize);
    fn aml_bitmap_copy_to_ulong(map: *const Bitmap, to: *mut c_ulong, size: usize);
    fn aml_bitmap_from_string(map: *mut Bitmap, text: *const c_char) -> c_int;
    fn aml_bitmap_to_string(map: *const Bitmap) -> *mut c_char;
    fn aml_bitmap_create(out: *mut *mut Bitmap) -> c_int;
    fn aml_bitmap_dup(out: *mut *mut Bitmap, from: *const Bitmap) -> c_int;
    fn aml_bitmap_destroy(map: *mut *mut Bitmap);
}

pub(super) const ROWS: &[Row] = &[
    Row::new(
        &[
            "aml_bitmap_copy",
            "aml_bitmap_zero",
            "aml_bitmap_fill",
            "aml_bitmap_set",
            "aml_bitmap_clear",
            "aml_bitmap_set_range",
            "aml_bitmap_clear_range",
            "aml_bitmap_copy_from_ulong",
            "aml_bitmap_copy_to_ulong",
        ],
        change,
    ),
    Row::new(
        &[
            "aml_bitmap_isset",
            "aml_bitmap_iszero",
            "aml_bitmap_isfull",
            "aml_bitmap_isequal",
            "aml_bitmap_nset",
            "aml_bitmap_first",
            "aml_bitmap_last",
        ],
        look,
    ),
    Row::new(&["aml_bitmap_create", "aml_bitmap_dup", "aml_bitmap_destroy"], make),
    Row::new(&["aml_bitmap_from_string", "aml_bitmap_to_string"], words),
];

fn change(sides: &mut Sides) {
    let (mut map, mut other): (Bitmap, Bitmap) = ([0; 32], [0; 32]);
    let (map, other) = (&raw mut map, &raw mut other);
    let edge = &mut || {
        for all in [aml_bitmap_zero, aml_bitmap_fill] as [unsafe fn(*mut Bitmap) -> c_int; 2] {
            // SAFETY: a bitmap.
            done(unsafe { all(map) });
        }
        for one in [aml_bitmap_set, aml_bitmap_clear] as [unsafe fn(*mut Bitmap, c_uint) -> c_int; 2] {
            // SAFETY: a bitmap.
            done(unsafe { one(map, 7) });
        }
        let ranges: [unsafe fn(*mut Bitmap, c_uint, c_uint) -> c_int; 2] =
            [aml_bitmap_set_range, aml_bitmap_clear_range];
        for range in ranges {
            // SAFETY: a bitmap.
            done(unsafe { range(map, 7, 99) });
        }
        // SAFETY: two bitmaps.
        unsafe { aml_bitmap_copy(other, map) };
        // SAFETY: a bitmap, and as many words.
        unsafe { aml_bitmap_copy_to_ulong(map, other.cast(), 32) };
        // SAFETY: a bitmap, and as many words.
        unsafe { aml_bitmap_copy_from_ulong(map, other.cast_const().cast(), 32) };
    };
    sides.count(edge, &mut || {});
}

fn look(sides: &mut Sides) {
    let map: Bitmap = [0; 32];
    let map = &raw const map;
    let questions: [unsafe fn(*const Bitmap) -> c_int; 5] =
        [aml_bitmap_iszero, aml_bitmap_isfull, aml_bitmap_nset, aml_bitmap_first, aml_bitmap_last];
    let edge = &mut || {
        // SAFETY: a bitmap.
        let answers = questions.map(|ask| unsafe { ask(map) });
        assert_eq!(answers, [1, 0, 0, -1, -1]);
        // SAFETY: a bitmap.
        assert_eq!(unsafe { aml_bitmap_isset(map, 7) }, 0);
        // SAFETY: two bitmaps.
        assert_eq!(unsafe { aml_bitmap_isequal(map, map) }, 1);
    };
    sides.count(edge, &mut || {});
}

fn make(sides: &mut Sides) {
    let edge = &mut || {
        let (mut map, mut other) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: a place for a pointer.
        done(unsafe { aml_bitmap_create(&raw mut map) });
        // SAFETY: a place for a pointer, and a bitmap.
        done(unsafe { aml_bitmap_dup(&raw mut other, map) });
        for mut map in [map, other] {
            // SAFETY: just made, and not used again.
            unsafe { aml_bitmap_destroy(&raw mut map) };
        }
    };
    sides.count(edge, &mut || {});
}

fn words(sides: &mut Sides) {
    let mut map: Bitmap = [0; 32];
    let edge = &mut || {
        // SAFETY: a bitmap, and a string.
        done(unsafe { aml_bitmap_from_string(&raw mut map, c"0,3-5".as_ptr()) });
        // SAFETY: a bitmap.
        let text = unsafe { aml_bitmap_to_string(&raw const map) };
        assert!(!text.is_null());
        // SAFETY: of malloc, and not used again.
        unsafe { libc::free(text.cast::<c_void>()) };
    };
    sides.count(edge, &mut || {});
}
