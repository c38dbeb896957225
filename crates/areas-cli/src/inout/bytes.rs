//! Bytes that are read by calls: an area's, a file's. Reading a hole by a call takes no memory,
//! which touching it would.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use areas::registry::Source;
use areas::{Bytes, Error, ErrorKind};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::cat;
use crate::contents::Contents;
use crate::failure::io_error;

/// A part of a file, or of a memory object.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    /// Where it begins in its file.
    start: u64,
    len: u64,
    /// What it is part of, for messages: `area 5 "x"`, `"model.bin"`.
    pub(super) whose: String,
    /// The run of data that was found last. To find where one ends the kernel walks over all of its
    /// pages: once a run, not once for each piece of it.
    run: Mutex<Range<u64>>,
}

/// An area's bytes.
#[derive(Debug)]
pub(super) struct AreaBytes {
    pub(super) part: Part,
    pub(super) frozen: bool,
    before: Metadata,
}

impl AreaBytes {
    /// Opens a part of an area: from `offset` on, at most `length` bytes.
    ///
    /// # Errors
    /// `ErrorKind::OutOfRange` if it ends before `offset`; as `Source::object`.
    pub(super) fn open(source: &Source, Bytes(offset): Bytes, length: Option<Bytes>) -> areas::Result<Self> {
        let whose = format!("area {} {:?}", source.id(), source.name());
        let failed = |error| io_error(format!("read {whose}"), error);
        let object = source.object()?;
        let frozen = object.is_frozen()?;
        let file = File::from(object.as_fd().try_clone_to_owned().map_err(failed)?);
        let before = file.metadata().map_err(failed)?;
        // The object's own number of bytes, which may have grown since the area was looked up.
        let size = object.size() as u64;
        let Some(left) = size.checked_sub(offset) else {
            return Err(Error::new(ErrorKind::OutOfRange, format!("read {whose}"))
                .with_facts(format!("byte {offset} is beyond its end, at {size}")));
        };
        let len = length.map_or(left, |Bytes(length)| length.min(left));
        // Of physical memory, and of what is left of an area that was cut, the object is a part of
        // its file.
        let part = Part::new(file, object.offset() + offset, len, whose);
        Ok(AreaBytes { part, frozen, before })
    }

    /// Whether a process was seen to write it by a call, or to change its size, since it was
    /// opened. Who writes through a mapping is not seen.
    pub(super) fn was_seen_to_change(&self) -> bool {
        let stamp = |metadata: &Metadata| (metadata.size(), metadata.mtime(), metadata.mtime_nsec());
        !self.part.file.metadata().is_ok_and(|now| stamp(&now) == stamp(&self.before))
    }
}

/// What a file is for who reads it whole.
#[derive(Debug)]
pub(super) enum Input {
    File(Part),
    Stream(File, String),
}

impl Input {
    /// Opens a file; `-` is the standard input.
    pub(super) fn open(path: &Path) -> areas::Result<Self> {
        let whose =
            if path.as_os_str() == "-" { "the standard input".to_owned() } else { format!("{path:?}") };
        Ok(match Contents::open(path)? {
            Contents::File(file, len) => Input::File(Part::new(file, 0, len as u64, whose)),
            Contents::Stream(stream) => Input::Stream(*stream, whose),
        })
    }
}

impl Part {
    fn new(file: File, start: u64, len: u64, whose: String) -> Self {
        Part { file, start, len, whose, run: Mutex::new(0..0) }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The same, at most so many bytes.
    pub(super) fn up_to(mut self, length: Option<Bytes>) -> Self {
        self.len = length.map_or(self.len, |Bytes(length)| length.min(self.len));
        self
    }

    /// Fills a buffer with the bytes from `at` on.
    ///
    /// # Errors
    /// `ErrorKind::Io`, also where the file has become shorter.
    pub(super) fn read(&self, at: u64, into: &mut [u8]) -> areas::Result<()> {
        self.file.read_exact_at(into, self.start + at).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::new(ErrorKind::Io, format!("read {}", self.whose))
                .with_facts(format!(
                    "it had {} when this began, and another process has made it shorter",
                    Bytes(self.len)
                ))
                .with_remedy("try again when no process changes it"),
            _ => io_error(format!("read {} at byte {at}", self.whose), error),
        })
    }

    /// Has the kernel send a range to a file, at its position ([`cat::send`]): how many bytes.
    pub(super) fn send(&self, to: &File, range: &Range<u64>) -> u64 {
        cat::send(&self.file, to, self.start + range.start, range.end - range.start)
    }

    /// The first part of a range that holds data; `None` if all of it is a hole. Where the kernel
    /// reports no holes (hugetlb pages, some file systems) all is data; so is a hole that another
    /// process makes in a run of data that was found before.
    pub(super) fn next_data(&self, range: Range<u64>) -> Option<Range<u64>> {
        if range.is_empty() {
            return None;
        }
        let known = self.run.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if known.contains(&range.start) {
            return Some(range.start..known.end.min(range.end));
        }
        let start = match seek(&self.file, SeekFrom::Data(self.start + range.start)) {
            Ok(found) => found.saturating_sub(self.start).max(range.start),
            Err(Errno::NXIO) => return None,
            Err(_) => return Some(range),
        };
        if start >= range.end {
            return None;
        }
        let end = seek(&self.file, SeekFrom::Hole(self.start + start))
            .map_or(range.end, |found| found.saturating_sub(self.start));
        // A hole that a process makes at this moment may be found where the data began.
        let run = start..end.max(start + 1);
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = run.clone();
        Some(start..run.end.min(range.end))
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{FallocateFlags, fallocate};

    use super::*;

    /// 2 MiB of data, 2 MiB of hole, 2 MiB of data.
    fn part() -> Part {
        let file = File::from(rustix::fs::memfd_create("t", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
        file.set_len(6 << 20).unwrap();
        for at in [0, 4 << 20] {
            file.write_all_at(&vec![1; 2 << 20], at).unwrap();
        }
        Part::new(file, 0, 6 << 20, "it".to_owned())
    }

    #[test]
    fn data_is_found_between_holes() {
        let part = part();
        assert_eq!(part.next_data(0..6 << 20), Some(0..2 << 20));
        assert_eq!(part.next_data(1 << 20..1 << 21), Some(1 << 20..2 << 20));
        assert_eq!(part.next_data(2 << 20..4 << 20), None);
        assert_eq!(part.next_data(2 << 20..5 << 20), Some(4 << 20..5 << 20));
        assert_eq!(part.next_data(5 << 20..6 << 20), Some(5 << 20..6 << 20));
        assert_eq!(part.next_data(6 << 20..6 << 20), None);
    }

    #[test]
    fn a_run_of_data_is_walked_over_once() {
        let part = part();
        assert_eq!(part.next_data(0..1 << 20), Some(0..1 << 20));
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&part.file, punch, 1 << 20, 1 << 20).unwrap();
        // Not asked again: what is a hole since is read as zeros.
        assert_eq!(part.next_data(1 << 20..3 << 20), Some(1 << 20..2 << 20));
        // Asked again, as another run was found since.
        assert_eq!(part.next_data(3 << 20..6 << 20), Some(4 << 20..6 << 20));
        assert_eq!(part.next_data(1 << 20..3 << 20), None);
    }
}
