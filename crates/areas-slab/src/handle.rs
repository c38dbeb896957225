//! The handle of a slice: what one process sends to another.

use std::fmt;

use areas::{Error, ErrorKind, Result};

/// Where a slice is: which area, which block of it. 40 bytes, to be sent by a queue, a pipe, a
/// socket, in shared memory.
///
/// It holds nothing: [`Slice::give`](crate::Slice::give) says how long it is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    pub(crate) area: i32,
    pub(crate) nonce: u64,
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

impl Handle {
    /// Its length as bytes.
    pub const BYTES: usize = 40;
    const MAGIC: [u8; 4] = *b"aSl1";

    /// As bytes, the same on each machine.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Handle::BYTES] {
        let mut bytes = [0; Handle::BYTES];
        bytes[..4].copy_from_slice(&Handle::MAGIC);
        bytes[4..8].copy_from_slice(&self.area.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.nonce.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.slot.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.generation.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.offset.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.len.to_le_bytes());
        bytes
    }

    /// From such bytes. Whether there is such a slice is looked at as it is opened.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for bytes that are not a handle.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let wrong = || {
            Error::new(ErrorKind::InvalidInput, "read the handle of a slice").with_facts(format!(
                "these {} bytes are none: it has {}, and begins with \"aSl1\"",
                bytes.len(),
                Handle::BYTES
            ))
        };
        let whole: [u8; Handle::BYTES] = bytes.try_into().map_err(|_| wrong())?;
        if whole[..4] != Handle::MAGIC {
            return Err(wrong());
        }
        let four = |at: usize| [whole[at], whole[at + 1], whole[at + 2], whole[at + 3]];
        let eight = |at: usize| {
            let ([a, b, c, d], [e, f, g, h]) = (four(at), four(at + 4));
            u64::from_le_bytes([a, b, c, d, e, f, g, h])
        };
        Ok(Handle {
            area: i32::from_le_bytes(four(4)),
            nonce: eight(8),
            slot: u32::from_le_bytes(four(16)),
            generation: u32::from_le_bytes(four(20)),
            offset: eight(24),
            len: eight(32),
        })
    }

    /// The id of the slab's area, by which the registry knows it; 0 if it is not published.
    #[must_use]
    pub fn area_id(&self) -> i32 {
        self.area
    }

    /// Which slab it is in: a number that no other slab has.
    #[must_use]
    pub fn slab(&self) -> u64 {
        self.nonce
    }

    /// The error where its block is not to be had.
    pub(crate) fn gone(&self, why: &str) -> Error {
        Error::new(ErrorKind::NoSuchArea, format!("open {self}"))
            .with_facts(why.to_owned())
            .with_remedy("its owner must hold it until it is opened; or give it: `Slice::give`, then `take`")
    }

    /// The error for a handle of what cannot be.
    pub(crate) fn wrong(&self, why: &str) -> Error {
        Error::new(ErrorKind::InvalidInput, format!("open {self}")).with_facts(why.to_owned())
    }

    /// Where the slice begins in the area, in bytes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes it has.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is a number of a handle, not a collection")]
    pub fn len(&self) -> u64 {
        self.len
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the slice of {} bytes at {:#x} in area {}", self.len, self.offset, self.area)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn handles_come_back(area in any::<i32>(), nonce in any::<u64>(), slot in any::<u32>(), generation in any::<u32>(), offset in any::<u64>(), len in any::<u64>()) {
            let handle = Handle { area, nonce, slot, generation, offset, len };
            prop_assert_eq!(Handle::from_bytes(&handle.to_bytes()).unwrap(), handle);
        }

        #[test]
        fn noise_is_none(noise in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assume!(!noise.starts_with(b"aSl1") || noise.len() != Handle::BYTES);
            prop_assert_eq!(Handle::from_bytes(&noise).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }
}
