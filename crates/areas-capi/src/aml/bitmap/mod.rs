//! AML's bitmap: 2048 bits, by value.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

mod bits;
mod copies;

use std::ffi::c_ulong;

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
