//! Areas over what is stored: a part of a file, or of a memory device.

use super::kind::{NoObject, Sealed};
use super::{Area, AreaKind};
use crate::error::Result;
use crate::mapping::BackedBy;

/// Bytes of a file or a memory device, from a provider over one
/// ([`Storage`](crate::provider::Storage)): they were there before, and stay when the area goes.
///
/// A process that has the file open may write it, and truncate it at any moment; then what lies
/// beyond its end faults (SIGBUS). So no access through the mapping is safe: the copies here go
/// through the kernel, which answers with an error. C programs, and code that takes care of this
/// itself, use [`Area::as_ptr`].
///
/// It has no name and no clones: others open the file.
#[derive(Debug)]
pub enum Stored {}

impl Sealed for Stored {
    type Object = NoObject;
}

impl AreaKind for Stored {}

impl Area<Stored> {
    /// Copies bytes out, by a system call.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange) beyond the area, and where the file
    /// has become shorter; [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly) where its protection
    /// forbids it.
    pub fn read_at(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        self.mapping.copy_out(offset, into)
    }

    /// Copies bytes in, by a system call. It never makes the file longer.
    ///
    /// # Errors
    /// As [`read_at`](Area::read_at), for writing. Where the file has become shorter, what lies
    /// before its end is written; what is written behind its end in its last page is lost, and not
    /// reported: the kernel has a whole page there. Where its file system is full it is
    /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange), too, as the kernel says no more.
    pub fn write_at(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.mapping.write_stored(offset, bytes)
    }

    /// Has the kernel write what was changed to where it is stored, and waits for that. (Of a
    /// private copy of a file nothing is.)
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) with what the kernel said;
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a memory device, which the
    /// CPUs write past the kernel: against a power failure their caches are flushed by the program.
    #[doc(alias = "msync")]
    pub fn sync(&self) -> Result<()> {
        self.mapping.sync()
    }

    /// Which byte of the file or device is its first.
    #[must_use]
    pub fn offset(&self) -> u64 {
        match self.mapping.backed_by() {
            BackedBy::File { offset, .. } => offset,
            _ => 0,
        }
    }
}
