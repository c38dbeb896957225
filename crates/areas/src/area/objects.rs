//! The object behind an area, of the kinds that have one.

use std::os::fd::{AsFd, BorrowedFd};

use super::{Area, Clonable, Frozen, Resizable, Shared};
use crate::object::Object;

/// The object's descriptor: to pass it on, or to hand it to a library that wants a file.
///
/// A process that gets it can do with the object what its seals allow. (That of a low area is one
/// of `/dev/mem`: see [`Object::physical`].)
impl AsFd for Area<Shared> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.object().as_fd()
    }
}

/// As for shared areas, but read-only: no process can write through it.
impl AsFd for Area<Frozen> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.object().as_fd()
    }
}

impl Area<Resizable> {
    /// The object behind it.
    ///
    /// From then on others may have it, as far as this library knows: by way of its descriptor.
    #[must_use]
    pub fn object(&self) -> &Object {
        let object = &self.object;
        // Where it cannot be marked, its descriptor is closed, and leads no process to it.
        let _ = object.mark_held();
        object
    }
}

impl<K: Clonable> Area<K> {
    /// The object behind it for questions, and not for its descriptor.
    #[doc(hidden)]
    #[must_use]
    #[inline]
    pub fn object_to_ask(&self) -> &Object {
        &self.object
    }
}

impl Area<Shared> {
    /// The object behind it.
    #[must_use]
    #[inline]
    pub fn object(&self) -> &Object {
        &self.object
    }
}

impl Area<Frozen> {
    /// The object behind it.
    #[must_use]
    #[inline]
    pub fn object(&self) -> &Object {
        &self.object
    }
}
