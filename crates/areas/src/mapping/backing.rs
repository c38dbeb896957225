//! What lies behind a mapping's addresses: noted when it is made, so that a request can be compared
//! with its answer.
//!
//! A provider may be any program's own, in safe code. What it hands out is a [`Mapping`], which
//! only this library makes; but which one it hands out is its choice. So a mapping says what it
//! maps, and the builder compares that with what it asked for.

use std::fmt;

use super::{Mapping, Sharing};
use crate::object::Object;
use crate::sys::file::Identity;

/// What lies behind the addresses of a [`Mapping`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackedBy {
    /// Zeroed memory of this process alone.
    Private,
    /// Zeroed memory shared with the children that are forked later.
    Inherited,
    /// An [`Object`], shared with all who map it.
    Object {
        /// The device of the object's file.
        device: u64,
        /// Its inode.
        inode: u64,
        /// Where the mapping starts in it, in bytes.
        offset: u64,
    },
    /// A file. It may shrink at any moment, and then an access faults (SIGBUS): no safe call
    /// accesses it.
    ///
    /// (Which file is not noted: there is no request for an area that a file would fulfil.)
    File {
        /// Where the mapping starts in it, in bytes.
        offset: u64,
        /// Whether writes reach the file.
        shared: bool,
    },
}

impl BackedBy {
    /// What an anonymous mapping, or one of a file, is backed by.
    #[inline]
    pub(super) fn of(sharing: Sharing, offset: Option<u64>) -> Self {
        match (sharing, offset) {
            (Sharing::Exclusive, _) => BackedBy::Private,
            (Sharing::Shared, None) => BackedBy::Inherited,
            (Sharing::Shared, Some(offset)) => BackedBy::File { offset, shared: true },
            (Sharing::PrivateFile, offset) => BackedBy::File { offset: offset.unwrap_or(0), shared: false },
        }
    }

    /// What a mapping of all of an object is backed by.
    #[must_use]
    #[inline]
    pub fn object(object: &Object) -> Self {
        let Identity { device, inode } = object.identity();
        BackedBy::Object { device, inode, offset: object.offset() }
    }
}

impl fmt::Display for BackedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackedBy::Private => f.write_str("private memory"),
            BackedBy::Inherited => f.write_str("memory shared with forked children"),
            BackedBy::Object { device, inode, offset } => {
                write!(f, "object {device:x}:{inode} from offset {offset:#x}")
            }
            BackedBy::File { offset, shared: true } => write!(f, "a shared file from offset {offset:#x}"),
            BackedBy::File { offset, shared: false } => {
                write!(f, "a private copy of a file from offset {offset:#x}")
            }
        }
    }
}

impl Mapping {
    /// What lies behind its addresses.
    #[must_use]
    #[inline]
    pub fn backed_by(&self) -> BackedBy {
        self.backed_by
    }

    /// Which byte of what lies behind it is its first.
    pub(super) fn first_byte(&self) -> u64 {
        match self.backed_by {
            BackedBy::Object { offset, .. } | BackedBy::File { offset, .. } => offset,
            BackedBy::Private | BackedBy::Inherited => 0,
        }
    }

    /// Notes of which object it is a mapping: its maker knows.
    #[inline]
    pub(crate) fn note_object(&mut self, object: &Object) {
        self.backed_by = BackedBy::object(object);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_words() {
        let object = BackedBy::Object { device: 0x1a, inode: 7, offset: 0 };
        let file = |shared| BackedBy::File { offset: 0x2000, shared };
        for (backed_by, words) in [
            (BackedBy::Private, "private memory"),
            (BackedBy::Inherited, "memory shared with forked children"),
            (object, "object 1a:7 from offset 0x0"),
            (file(true), "a shared file from offset 0x2000"),
            (file(false), "a private copy of a file from offset 0x2000"),
        ] {
            assert_eq!(backed_by.to_string(), words);
        }
    }
}
