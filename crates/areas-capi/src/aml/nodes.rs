//! Sets of nodes as C has them: `struct bitmask` of libnuma, and AML's bitmap.

#![expect(unsafe_code, reason = "the C edge; each block has its proof")]

use std::ffi::c_ulong;

use areas::{Error, Kind, NodeSet, Result};

use super::bitmap::Bitmap;

/// Bits of a [`NodeSet`].
const NODES: usize = 1024;
pub(super) const WORDS: usize = NODES / WORD;
const WORD: usize = u64::BITS as usize;

/// `struct bitmask`, as libnuma has it: `size` bits, node *n* is bit *n* mod 64 of word *n* / 64.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Bitmask {
    size: c_ulong,
    words: *mut c_ulong,
}

/// A bitmask with its words behind it, as areas that we made have.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Owned {
    mask: Bitmask,
    words: [c_ulong; WORDS],
}

impl Owned {
    /// Fills in what lies at `at`.
    ///
    /// # Safety
    /// `at` may be written, and stays where it is as long as its mask is used.
    pub(super) unsafe fn write(at: *mut Owned, nodes: NodeSet) -> *mut Bitmask {
        // SAFETY: `at` is one whole value (the caller's promise), so that its fields have places.
        let words = unsafe { &raw mut (*at).words };
        let mask = Bitmask { size: NODES as c_ulong, words: words.cast() };
        // SAFETY: it may be written (the caller's promise).
        unsafe { at.write(Owned { mask, words: *nodes.words() }) };
        at.cast()
    }
}

impl Bitmask {
    /// Whether its words lie behind it, as those do that we wrote ourselves: their nodes were looked at then.
    pub(super) fn is_ours(&self) -> bool {
        self.size == NODES as c_ulong
            && self.words.addr() == std::ptr::from_ref(self).addr() + size_of::<Bitmask>()
    }

    /// Its nodes.
    ///
    /// # Errors
    /// [`Kind::NodeNotAllowed`] for a node that no Linux has, [`Kind::InvalidInput`] for one without words.
    ///
    /// # Safety
    /// `words` is NULL or has as many words as `size` bits take.
    pub(super) unsafe fn nodes(&self) -> Result<NodeSet> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        if self.words.is_null() && size > 0 {
            return Err(Error::new(Kind::InvalidInput, "read a struct bitmask")
                .detail("it has a size and no words: maskp is NULL"));
        }
        let word = |index: usize| {
            // SAFETY: `index` is below the number of words that `size` bits take (the caller's promise).
            let place = unsafe { self.words.add(index) };
            // SAFETY: as above.
            let word = unsafe { place.read() };
            let left = size - index * WORD;
            if left < WORD { word & ((1 << left) - 1) } else { word }
        };
        of_words((0..size.div_ceil(WORD)).map(word))
    }
}

/// The nodes of AML's bitmap.
///
/// # Errors
/// [`Kind::NodeNotAllowed`] for a node that no Linux has.
pub(super) fn of_bitmap(bitmap: &Bitmap) -> Result<NodeSet> {
    of_words(bitmap.words().iter().copied())
}

fn of_words(words: impl Iterator<Item = u64>) -> Result<NodeSet> {
    let mut set = [0; WORDS];
    for (index, word) in words.enumerate() {
        match set.get_mut(index) {
            Some(place) => *place = word,
            None if word == 0 => {}
            None => {
                let node = index * WORD + word.trailing_zeros() as usize;
                return Err(Error::new(Kind::NodeNotAllowed, format!("use node {node}"))
                    .detail(format!("Linux has at most {NODES} nodes, 0 to {}", NODES - 1)));
            }
        }
    }
    Ok(NodeSet::from_words(set))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes_of(words: &mut [u64], size: u64) -> Result<NodeSet> {
        let mask = Bitmask { size, words: words.as_mut_ptr() };
        assert!(!mask.is_ours());
        // SAFETY: each test gives enough words.
        unsafe { mask.nodes() }
    }

    #[test]
    fn as_many_bits_as_it_says() {
        let cases: [(&mut [u64], u64, &str); 6] = [
            (&mut [0b1010], 64, "1,3"),
            (&mut [0b1010], 3, "1"),
            (&mut [u64::MAX, 1], 65, "0-64"),
            (&mut [0, 1 << 63], 128, "127"),
            (&mut [7], 0, "none"),
            (&mut [0; 64], 4096, "none"),
        ];
        for (words, size, expected) in cases {
            assert_eq!(nodes_of(words, size).unwrap().to_string(), expected, "{size} bits");
        }
        let mut far = [0; 32];
        far[16] = 4;
        assert_eq!(nodes_of(&mut far, 2048).unwrap_err().kind(), Kind::NodeNotAllowed);
        let empty = Bitmask { size: 5, words: std::ptr::null_mut() };
        // SAFETY: without words nothing is read.
        assert_eq!(unsafe { empty.nodes() }.unwrap_err().kind(), Kind::InvalidInput);
    }

    #[test]
    fn ours_is_known_again() {
        let nodes: NodeSet = "0,70,1023".parse().unwrap();
        let mut place = std::mem::MaybeUninit::uninit();
        // SAFETY: it may be written, and stays here until the end of the test.
        let mask = unsafe { Owned::write(place.as_mut_ptr(), nodes) };
        // SAFETY: just written.
        let mask = unsafe { &*mask };
        assert!(mask.is_ours());
        // SAFETY: just written, with its words behind it.
        assert_eq!(unsafe { mask.nodes() }.unwrap(), nodes);
    }
}
