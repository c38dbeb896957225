//! Folders of `/proc` that are kept open while many areas are looked at, one after the other. Each
//! area then is a name in a folder; by paths it is two walks through `/proc`, which is most of what
//! a look at an area costs.
//!
//! A folder is of the process that had the number when it was opened, and shows nothing once that
//! has ended.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::object::Folder;
use crate::registry::process::OWN_DESCRIPTORS;
use crate::sys;
use crate::sys::file::{CWD, OFlags};

/// The folder of this thread's descriptors, and that of the process whose areas are looked at. For
/// one call by one thread: in another process they would show its parent's descriptors.
#[derive(Debug, Default)]
pub(in crate::registry) struct Folders {
    own: Option<OwnedFd>,
    theirs: Option<(Arc<str>, OwnedFd)>,
}

impl Folders {
    /// The folder with that path, and our own; `None` where they cannot be opened.
    pub(super) fn of(&mut self, path: &Arc<str>) -> Option<(Folder<'_>, Folder<'_>)> {
        if self.own.is_none() {
            self.own = open(OWN_DESCRIPTORS);
        }
        if self.theirs.as_ref().is_none_or(|(known, _)| known != path) {
            // First the old one: it is one descriptor, however many processes there are.
            self.theirs = None;
            self.theirs = open(path).map(|folder| (path.clone(), folder));
        }
        let ((_, theirs), own) = (self.theirs.as_ref()?, self.own.as_ref()?);
        Some((Folder::open(theirs.as_fd()), Folder::open(own.as_fd())))
    }
}

fn open(path: &str) -> Option<OwnedFd> {
    let path = std::ffi::CString::new(path).ok()?;
    sys::file::open_at(CWD, &path, OFlags::PATH | OFlags::DIRECTORY, 0).ok()
}
