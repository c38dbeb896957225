//! Areas that no process can write any more.

#![expect(unsafe_code, reason = "lends sealed memory; the block has its proof")]

use std::ops::Deref;

use super::kind::{Clonable, Sealed};
use super::{Area, AreaKind};
use crate::object::Object;
use crate::protection::Protection;

/// No process can write, ever again: the kernel has sealed the memory, against root too. So the
/// bytes can be lent.
#[derive(Debug)]
pub enum Frozen {}

impl Sealed for Frozen {
    type Object = Object;
}

impl AreaKind for Frozen {}
impl Clonable for Frozen {}

impl Area<Frozen> {
    /// The bytes, which do not change any more, in any process.
    ///
    /// # Panics
    /// Where its protection was changed to one that forbids reading.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let object = self.object();
        let readable = self.protection().contains(Protection::READ);
        assert!(readable, "cannot lend the bytes of {self}: its protection is {}", self.protection());
        assert!(self.mapping.span() >= object.size_seen(), "a frozen object is mapped whole");
        // SAFETY:
        // - `base..base+span` is mapped and ours (`Mapping`'s invariant), and the object has
        //   `size_seen` bytes of it forever: it is sealed against shrinking and growing;
        // - it is readable (checked), and stays so as long as the bytes are lent: `protect` takes
        //   `&mut self`;
        // - no process changes a byte: the seal on writing is on (checked by the code that makes an
        //   `Area<Frozen>`), which the kernel gives only when no writable mapping exists, and after
        //   which it makes none.
        unsafe { std::slice::from_raw_parts(self.mapping.as_ptr(), object.size_seen()) }
    }
}

impl Deref for Area<Frozen> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// The bytes, for what takes an owner of bytes: `bytes::Bytes::from_owner(area)` shares them
/// without a copy.
///
/// They stay at one address for as long as the area is held, wherever the area itself is moved to.
impl AsRef<[u8]> for Area<Frozen> {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}
