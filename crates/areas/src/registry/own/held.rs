//! What this process has published, and by which keys it knows it.

use std::hash::Hasher;

use crate::registry::table::Announcement;
use crate::sys;

/// A published area, in this process and in the children that inherit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::registry) struct Key(pub(in crate::registry) u64);

/// How keys are hashed: they are counted here, so that no other process can choose them.
#[derive(Default)]
pub(in crate::registry) struct Counted(u64);

impl Hasher for Counted {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u64(&mut self, number: u64) {
        // Neighbours come to lie apart: 2^64 divided by the golden ratio.
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// An area that this process has published.
#[derive(Debug)]
pub(in crate::registry) struct Held {
    pub(in crate::registry) area: Announcement,
    /// Its record in our table; `None` in a child that has not published it yet, and once its
    /// descriptor is lost.
    pub(in crate::registry) number: Option<u32>,
}

impl Held {
    /// Whether others can still reach it by the descriptor that its record names.
    pub(in crate::registry) fn has_descriptor(&self) -> bool {
        match sys::checked_fd::open_under(self.area.descriptor) {
            Ok(identity) => identity == self.area.object,
            // Only that nothing is open there is known to be for good.
            Err(errno) => errno != sys::Errno::BADF,
        }
    }
}
