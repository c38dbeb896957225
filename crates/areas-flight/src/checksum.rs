//! One number for all bytes of an area: whether what came is what was there.
//!
//! XXH3 (128 bits) of the list of XXH3s of its pieces, so that all CPUs can work on it. It finds
//! what a network or a mistake spoilt. It is not proof against a server that wants to deceive: such
//! a server can send what it likes, with the right number to it.

use std::fmt;
use std::num::NonZero;
use std::thread;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use twox_hash::XxHash3_128;

use crate::hex::{hex, unhex};

/// What one thread takes at a time.
const PIECE: usize = 2 << 20;

/// More threads than this read no faster.
const MAX_THREADS: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checksum(u128);

impl Checksum {
    /// Of bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let pieces = bytes.len().div_ceil(PIECE);
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS);
        let mut sums = vec![0; pieces];
        let each = pieces.div_ceil(threads).max(1);
        thread::scope(|scope| {
            for (at, sums) in sums.chunks_mut(each).enumerate() {
                let mut work = move || {
                    let mine = bytes.chunks(PIECE).skip(at * each);
                    sums.iter_mut().zip(mine).for_each(|(sum, piece)| *sum = XxHash3_128::oneshot(piece));
                };
                match threads {
                    1 => work(),
                    _ => _ = scope.spawn(work),
                }
            }
        });
        let list: Vec<u8> = sums.iter().flat_map(|sum: &u128| sum.to_be_bytes()).collect();
        Checksum(XxHash3_128::oneshot(&list))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0.to_be_bytes()))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Checksum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Checksum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = unhex(&text).and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        let bytes = bytes.ok_or_else(|| serde::de::Error::custom("a checksum has 32 hexadecimal digits"))?;
        Ok(Checksum(u128::from_be_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts() {
        let mut bytes: Vec<u8> = (0..PIECE * 2 + 77).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let whole = Checksum::of(&bytes);
        assert_eq!(Checksum::of(&bytes), whole);
        for at in [0, PIECE - 1, PIECE, PIECE * 2, bytes.len() - 1] {
            bytes[at] ^= 1;
            assert_ne!(Checksum::of(&bytes), whole, "{at}");
            bytes[at] ^= 1;
        }
        bytes.rotate_left(PIECE);
        assert_ne!(Checksum::of(&bytes), whole);
        assert_ne!(Checksum::of(&bytes[..bytes.len() - 1]), Checksum::of(&bytes));
    }

    #[test]
    fn it_is_the_same_everywhere() {
        // Who sends and who receives may be of different builds, and have different numbers of
        // CPUs.
        assert_eq!(
            Checksum::of(b"areas").to_string(),
            Checksum(XxHash3_128::oneshot(&XxHash3_128::oneshot(b"areas").to_be_bytes())).to_string()
        );
        let text = serde_json::to_string(&Checksum::of(b"")).unwrap();
        assert_eq!(serde_json::from_str::<Checksum>(&text).unwrap(), Checksum::of(b""));
        assert!(serde_json::from_str::<Checksum>("\"00\"").is_err());
    }
}
