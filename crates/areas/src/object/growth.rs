//! What growing and shrinking an object means for it: what was seen of its size, and what the
//! kernel's refusal says. How it grows: `growth.rs` of the library.

use super::{Extent, Object, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::size::Bytes;
use crate::sys;

impl Object {
    /// Makes an object without seals one of a fixed size, not larger than it is.
    pub(crate) fn fix(&mut self, size: usize) -> Result<()> {
        use crate::sys::object::SealFlags;
        let failed = |call: &'static str| {
            move |errno| {
                Error::new(ErrorKind::System, format!("fix an object at {}", Bytes::from(size)))
                    .with_system_call(call, errno)
            }
        };
        self.own_fd().and_then(|fd| sys::object::set_size(fd, size as u64)).map_err(failed("ftruncate"))?;
        sys::object::seal(self.fd(), SealFlags::SHRINK | SealFlags::GROW)
            .map_err(failed("fcntl(F_ADD_SEALS)"))?;
        self.extent = Extent::Fixed;
        self.seen.store(size as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    /// Notes a size that it has at least.
    pub(crate) fn saw(&self, size: u64) {
        self.seen.fetch_max(size, std::sync::atomic::Ordering::Relaxed);
    }

    /// Notes the size that it has now, smaller or not.
    pub(crate) fn saw_exactly(&self, size: u64) {
        self.seen.store(size, std::sync::atomic::Ordering::Relaxed);
    }

    /// Where a byte of it is in its file.
    pub(crate) fn in_its_file(&self, at: usize) -> u64 {
        self.piece.first + at as u64
    }

    /// What the kernel's refusal to make it larger means.
    pub(crate) fn refused(&self, what: String, call: &'static str, errno: sys::Errno) -> Error {
        if self.own_fd().is_err() {
            return closed(what);
        }
        let error = |kind| Error::new(kind, what).with_system_call(call, errno);
        match errno {
            sys::Errno::PERM => {
                error(ErrorKind::Frozen).with_facts("it is sealed against growth: it was frozen")
            }
            _ if self.is_frozen().unwrap_or(false) => {
                error(ErrorKind::Frozen).with_facts("it is frozen: its size is permanently fixed")
            }
            // What the kernel says of a descriptor that is open for reading only.
            sys::Errno::INVAL | sys::Errno::BADF => error(ErrorKind::ReadOnly)
                .with_facts("it was opened for reading only")
                .with_remedy("growing requires write access: clone it for writing"),
            _ => error(ErrorKind::System),
        }
    }
}
