//! A part of an object, where an area is no longer all of it: the program unmapped the rest.
//!
//! Whatever asks an object for its size, maps it, reads or measures it, sees the part alone: the
//! file's first byte is `first`, and where the part does not reach the file's end, its size is what
//! it has.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Extent, Object, closed};
use crate::error::{Error, ErrorKind, Result, remedy};
use crate::page::PageSize;
use crate::sys;
use crate::sys::checked_fd::CheckedFd;

/// Which part of its file an object is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Bytes of the file that lie before it.
    pub(crate) first: u64,
    /// Its bytes, where the file goes on behind it; `None` where it ends with the file, whatever
    /// the file's size is.
    pub(crate) limit: Option<u64>,
}

impl Piece {
    /// All of a file.
    pub(crate) const WHOLE: Piece = Piece { first: 0, limit: None };

    pub(crate) fn is_whole(self) -> bool {
        self == Piece::WHOLE
    }

    /// How much of a file of that size it has.
    pub(crate) fn of(self, file_size: u64) -> u64 {
        file_size.saturating_sub(self.first).min(self.limit.unwrap_or(u64::MAX))
    }

    /// The bytes of the file that are its own, with `span` bytes of addresses.
    pub(crate) fn range(self, span: u64) -> std::ops::Range<u64> {
        self.first..self.limit.map_or(u64::MAX, |limit| self.first.saturating_add(limit.min(span)))
    }
}

impl Object {
    /// Which part of its file it is.
    pub(crate) fn piece(&self) -> Piece {
        self.piece
    }

    /// Whether the file goes on behind it: then its size is its own, and does not follow the
    /// file's.
    pub(crate) fn is_capped(&self) -> bool {
        self.piece.limit.is_some()
    }

    /// The same object, as a part of what it is: the bytes from `start` on; up to `limit`, or to
    /// its end. `span` bytes of addresses are there for it.
    pub(crate) fn narrow(&mut self, start: u64, limit: Option<u64>, span: usize) {
        self.exact = None;
        let seen = self.seen.get_mut();
        *seen = seen.saturating_sub(start).min(limit.unwrap_or(u64::MAX));
        if let Some(physical) = &mut self.physical {
            // A range of a range: there is nothing of a file that it would follow.
            *physical = physical.saturating_add(start);
            return;
        }
        self.piece = Piece { first: self.piece.first.saturating_add(start), limit };
        self.extent = match self.extent {
            Extent::Resizable { .. } => Extent::Resizable { max: span },
            Extent::Growable { .. } if limit.is_none() => Extent::Growable { max: span },
            // The file never shrinks, and what lies behind is not followed.
            Extent::Growable { .. } | Extent::Fixed => Extent::Fixed,
        };
    }

    /// As [`narrow`](Object::narrow), for one that was just opened, which is all of its file so
    /// far.
    pub(crate) fn into_piece(mut self, piece: Piece, span: u64) -> Self {
        if !piece.is_whole() {
            self.narrow(piece.first, piece.limit, usize::try_from(span).unwrap_or(usize::MAX));
        }
        self
    }

    /// Its bytes from here on: as many as that, and no longer up to the end of the file; or up to
    /// the end again.
    pub(crate) fn set_limit(&mut self, limit: Option<u64>) {
        self.piece.limit = limit;
        if let (Extent::Resizable { .. }, Some(limit)) = (self.extent, limit) {
            self.extent = Extent::Resizable { max: usize::try_from(limit).unwrap_or(usize::MAX) };
        }
        let _ = self.look();
    }

    /// The same object by a descriptor of its own.
    pub(crate) fn again(&self) -> Result<Self> {
        const WHAT: &str = "hold the memory of an area by a second descriptor";
        let fd = self.own_fd().map_err(|_| closed(WHAT.to_owned()))?;
        let copy = sys::file::copy_of_number(fd.as_raw_fd()).map_err(|errno| {
            let error = |kind| Error::new(kind, WHAT).with_system_call("fcntl(F_DUPFD_CLOEXEC)", errno);
            match errno {
                sys::Errno::MFILE => remedy::open_files(error(ErrorKind::Limit)),
                _ => error(ErrorKind::System),
            }
        })?;
        Ok(Object {
            fd: CheckedFd::of(copy, self.identity()),
            page: self.page,
            extent: self.extent,
            physical: self.physical,
            piece: self.piece,
            exact: self.exact,
            seen: AtomicU64::new(self.seen.load(Ordering::Relaxed)),
            fresh: AtomicBool::new(false),
            was_frozen: self.was_frozen,
            refused_writers: self.refused_writers,
            was_retired: self.was_retired,
            adopted: self.adopted,
            missing: self.missing,
            uneven: AtomicBool::new(self.is_uneven()),
            held: AtomicBool::new(self.held.load(Ordering::Relaxed)),
            open_to_others: AtomicBool::new(self.open_to_others.load(Ordering::Relaxed)),
            forks: self.forks,
        })
    }

    /// The size of its file as the kernel has it now.
    pub(crate) fn whole_file_size(&self) -> Result<u64> {
        match sys::file::stat(self.fd()) {
            Ok(stat) if stat.identity == self.identity() => Ok(stat.size),
            _ => Err(closed("ask for the size of an object".to_owned())),
        }
    }

    /// Marks for its maker, permanently, that others have it, or may have it: what the maker unmaps
    /// of it keeps its memory then. To be called before the object is used, or leaves this process.
    /// Whether it was not known to be marked: then it is one call.
    ///
    /// # Errors
    /// [`ErrorKind::NotPermitted`] where this process may not mark it, and its maker could rely on
    /// that.
    pub(crate) fn mark_held(&self) -> Result<bool> {
        let is_given_up = matches!(self.extent, Extent::Resizable { .. }) && self.page == PageSize::base();
        if !is_given_up || self.held.load(Ordering::Relaxed) {
            // The memory of others is never given up while a holder is there.
            return Ok(false);
        }
        const WHAT: &str = "note that an area has several holders";
        let fd = self.own_fd().map_err(|_| closed(WHAT.to_owned()))?;
        match sys::object::mark_held(fd) {
            // Or a kernel on which that is not known: then nothing relies on it.
            Ok(()) | Err(sys::Errno::NOTTY | sys::Errno::OPNOTSUPP) => {}
            // Another user's, who cannot rely on it either ([`is_sole`](Object::is_sole)).
            Err(_) if sys::file::stat(fd).is_ok_and(|stat| stat.uid != sys::process::user()) => {}
            Err(errno) => {
                return Err(Error::new(ErrorKind::NotPermitted, WHAT)
                    .with_system_call("ioctl(FS_IOC_SETFLAGS, FS_NODUMP_FL)", errno)
                    .with_remedy(
                        "a sandbox may forbid it: allow ioctl on the descriptors of memory objects",
                    ));
            }
        }
        self.held.store(true, Ordering::Relaxed);
        Ok(true)
    }

    /// Whether it is known that only this process has it, in any way: it made it, has not forked
    /// since, and it is not marked.
    pub(crate) fn is_sole(&self) -> bool {
        matches!(self.extent, Extent::Resizable { .. })
            && self.page == PageSize::base()
            && self.physical.is_none()
            && !self.adopted
            && self.forks == crate::forking::forks()
            && self.own_fd().is_ok_and(|fd| {
                sys::file::look(fd)
                    .is_ok_and(|stat| stat.held == Some(false) && stat.uid == sys::process::user())
            })
    }

    /// Gives the memory of a range of the file back: it reads as zeros then. To the end, if the
    /// range reaches it: then the file is shorter. Whether it could be done.
    pub(crate) fn give_up(&self, range: std::ops::Range<u64>) -> bool {
        let Ok(fd) = self.own_fd() else { return false };
        let Ok(size) = self.whole_file_size() else { return false };
        match range.end >= size {
            true if range.start >= size => true,
            true => sys::object::set_size(fd, range.start).is_ok(),
            false => sys::object::punch(fd, range.start, range.end - range.start).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_sees_what_is_its_own() {
        let tail = Piece { first: 8192, limit: None };
        let middle = Piece { first: 4096, limit: Some(4096) };
        for (piece, file_size, expected) in [
            (Piece::WHOLE, 0, 0),
            (Piece::WHOLE, 5000, 5000),
            (tail, 0, 0),
            (tail, 8192, 0),
            (tail, 9000, 808),
            (tail, u64::MAX, u64::MAX - 8192),
            (middle, 4096, 0),
            (middle, 5000, 904),
            (middle, 8192, 4096),
            (middle, u64::MAX, 4096),
        ] {
            assert_eq!(piece.of(file_size), expected, "{piece:?} of {file_size}");
        }
        assert_eq!(tail.range(1 << 20), 8192..u64::MAX);
        assert_eq!(middle.range(1 << 20), 4096..8192);
    }

    #[test]
    fn what_is_unmapped_of_a_sole_object_is_given_up_and_of_a_held_one_is_not() {
        use std::os::fd::AsFd;
        let page = sys::page_size();
        let object =
            Object::create("sole", 8 * page, Extent::Resizable { max: 8 * page }, PageSize::base()).unwrap();
        if sys::file::look(object.as_fd()).unwrap().held.is_none() {
            eprintln!("SKIPPED: this kernel has no flags of memory objects (Linux 6.1)");
            return;
        }
        sys::file::write_at(object.as_fd(), &vec![7; 8 * page], 0).unwrap();
        let allocated = || sys::file::stat(object.as_fd()).unwrap().allocated / page as u64;
        assert!(object.is_sole());
        assert_eq!(allocated(), 8);
        assert!(object.give_up(0..2 * page as u64));
        assert_eq!((allocated(), object.whole_file_size().unwrap()), (6, 8 * page as u64));
        assert!(object.give_up(6 * page as u64..u64::MAX));
        assert_eq!((allocated(), object.whole_file_size().unwrap()), (4, 6 * page as u64));
        let second = object.again().unwrap();
        assert!(second.is_sole());
        second.mark_held().unwrap();
        assert!(!second.is_sole() && !object.is_sole());
    }
}
