//! Areas of this process alone.

use std::ops::{Deref, DerefMut};

use super::{Access, Area, sealed};
use crate::error::Result;
use crate::mapping::Mapping;

/// Only this process writes: plain memory, copied for a forked child as any memory is.
///
/// (In pages of the pool a copy takes a page of the pool. Where it has none, the kernel leaves the
/// page that there is to the parent, and the child that accesses it dies of SIGBUS. A child that is
/// to use such an area wants shared memory instead.)
#[derive(Debug)]
pub enum Private {}

impl sealed::Sealed for Private {}
impl Access for Private {}

impl Area<Private> {
    /// The bytes.
    ///
    /// # Errors
    /// [`Kind::ReadOnly`](crate::Kind::ReadOnly) where its protection forbids it.
    pub fn as_bytes(&self) -> Result<&[u8]> {
        self.mapping.as_bytes()
    }

    /// The bytes, to write.
    ///
    /// # Errors
    /// [`Kind::ReadOnly`](crate::Kind::ReadOnly) where its protection forbids it.
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
