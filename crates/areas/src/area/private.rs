//! Areas of this process alone.

use std::ops::{Deref, DerefMut};

use super::kind::{NoObject, Sealed};
use super::{Area, AreaKind};
use crate::error::Result;
use crate::mapping::Mapping;

/// Only this process writes: plain memory, copied for a forked child as any memory is.
///
/// (With hugetlb pages a copy takes a hugetlb page. Where the pool has none, the parent keeps the
/// page, and the child that accesses it dies of SIGBUS. Use shared memory for such an area if a
/// child needs it.)
#[derive(Debug)]
pub enum Private {}

impl Sealed for Private {
    type Object = NoObject;
}

impl AreaKind for Private {}

impl Area<Private> {
    /// The bytes.
    ///
    /// # Errors
    /// [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly) where its protection forbids it.
    pub fn as_bytes(&self) -> Result<&[u8]> {
        self.mapping.as_bytes()
    }

    /// The bytes, to write.
    ///
    /// # Errors
    /// [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly) where its protection forbids it.
    pub fn as_bytes_mut(&mut self) -> Result<&mut [u8]> {
        self.mapping.as_bytes_mut()
    }

    /// The mapping alone: to hand it back to the provider that made it
    /// ([`Provider::unmap`](crate::Provider::unmap)).
    #[must_use]
    pub fn into_mapping(self) -> Mapping {
        self.mapping
    }
}

/// # Panics
/// Where the protection does not allow reading: [`Area::as_bytes`] gives an error instead.
impl Deref for Area<Private> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self.mapping.as_bytes() {
            Ok(bytes) => bytes,
            Err(error) => panic!("{error}"),
        }
    }
}

/// # Panics
/// Where the protection does not allow writing: [`Area::as_bytes_mut`] gives an error instead.
impl DerefMut for Area<Private> {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self.mapping.as_bytes_mut() {
            Ok(bytes) => bytes,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The bytes, which stay at one address for as long as the area is held, wherever the area itself
/// is moved to.
///
/// # Panics
/// As dereferencing it.
impl AsRef<[u8]> for Area<Private> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// # Panics
/// As dereferencing it.
impl AsMut<[u8]> for Area<Private> {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}
