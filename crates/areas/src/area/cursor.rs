//! Positions in areas that others may write: `Read`, `Write` and `Seek` over their copies.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::{Area, Resizable, Shared, SharedSlice, Stored};
use crate::error::{ErrorKind, Result};
use crate::page::PageSize;

/// A position in memory that lends no bytes: what takes a [`Read`], a [`Write`] or a [`Seek`] gets
/// it through copies.
///
/// ```
/// use std::io::{BufRead, BufReader, Seek, Write};
///
/// let area = areas::builder(4096).shared()?;
/// let mut cursor = area.cursor();
/// writeln!(cursor, "first")?;
/// writeln!(cursor, "second")?;
/// cursor.rewind()?;
/// let mut lines = BufReader::new(cursor).lines();
/// assert_eq!(lines.next().unwrap()?, "first");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It ends where its area ends at that moment, or its addresses here do. A read there returns 0
/// bytes, and so does a write ([`Write::write_all`] then fails with
/// [`WriteZero`](io::ErrorKind::WriteZero)): a cursor never makes an area larger. It may be moved
/// beyond the end, where there is nothing to be read or written. Other errors are the area's own
/// ([`read_at`](Area::read_at), [`write_at`](Area::write_at)), inside of the [`io::Error`].
///
/// Each call is one copy, and of resizable and stored areas a system call: small reads and writes
/// are cheaper through [`io::BufReader`] and [`io::BufWriter`]. Private and frozen areas lend their
/// bytes: [`std::io::Cursor`] over them does the same.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    over: Over<'a>,
    position: u64,
}

#[derive(Clone, Copy, Debug)]
enum Over<'a> {
    Shared(&'a Area<Shared>),
    Slice(SharedSlice<'a>),
    Resizable(&'a Area<Resizable>),
    Stored(&'a Area<Stored>),
}

impl Over<'_> {
    fn len(self) -> usize {
        match self {
            Over::Shared(area) => area.size(),
            Over::Slice(slice) => slice.len(),
            // Another holder may have made it larger than its addresses here.
            Over::Resizable(area) => area.size().min(area.reserve()),
            Over::Stored(area) => area.size(),
        }
    }

    fn read_at(self, offset: usize, into: &mut [u8]) -> Result<()> {
        match self {
            Over::Shared(area) => area.read_at(offset, into),
            Over::Slice(slice) => slice.read_at(offset, into),
            Over::Resizable(area) => area.read_at(offset, into),
            Over::Stored(area) => area.read_at(offset, into),
        }
    }

    fn write_at(self, offset: usize, bytes: &[u8]) -> Result<()> {
        match self {
            Over::Shared(area) => area.write_at(offset, bytes),
            Over::Slice(slice) => slice.write_at(offset, bytes),
            Over::Resizable(area) => area.write_at(offset, bytes),
            Over::Stored(area) => area.write_at(offset, bytes),
        }
    }
}

impl Cursor<'_> {
    /// Where it is, in bytes from the beginning.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Moves it, also beyond the end.
    pub fn set_position(&mut self, position: u64) {
        self.position = position;
    }

    /// Copies up to `wanted` bytes at its position, and goes on behind them; how many.
    fn step(&mut self, wanted: usize, mut copy: impl FnMut(usize, usize) -> Result<()>) -> io::Result<usize> {
        let Ok(offset) = usize::try_from(self.position) else { return Ok(0) };
        let mut end = self.over.len();
        loop {
            let len = wanted.min(end.saturating_sub(offset));
            if len == 0 {
                return Ok(0);
            }
            match copy(offset, len) {
                Ok(()) => {
                    self.position += len as u64;
                    return Ok(len);
                }
                // It was made smaller after the look at its size.
                Err(error) if error.kind() == ErrorKind::OutOfRange && self.over.len() < end => {
                    end = self.over.len().min(end - 1);
                }
                // As much of it as there is: a file that was made shorter has its first pages.
                Err(error) => {
                    let page = PageSize::base().bytes();
                    let first = page - offset % page;
                    if first >= len || copy(offset, first).is_err() {
                        return Err(error.into());
                    }
                    self.position += first as u64;
                    return Ok(first);
                }
            }
        }
    }
}

impl Read for Cursor<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let over = self.over;
        self.step(into.len(), |offset, len| over.read_at(offset, &mut into[..len]))
    }
}

impl Write for Cursor<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let over = self.over;
        self.step(bytes.len(), |offset, len| over.write_at(offset, &bytes[..len]))
    }

    /// Nothing: what is written is in the area at once.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Cursor<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => (self.over.len() as u64).checked_add_signed(by),
        };
        self.position = position.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("cannot move a cursor by {to:?}: it would be before its area, or beyond all numbers"),
            )
        })?;
        Ok(self.position)
    }
}

impl<'a> From<Over<'a>> for Cursor<'a> {
    fn from(over: Over<'a>) -> Self {
        Cursor { over, position: 0 }
    }
}

impl Area<Shared> {
    /// A position in it, at its beginning, for what takes a [`Read`], a [`Write`] or a [`Seek`].
    #[must_use]
    pub fn cursor(&self) -> Cursor<'_> {
        Over::Shared(self).into()
    }
}

impl<'a> SharedSlice<'a> {
    /// A position in it, at its beginning, for what takes a [`Read`], a [`Write`] or a [`Seek`].
    #[must_use]
    pub fn cursor(self) -> Cursor<'a> {
        Over::Slice(self).into()
    }
}

impl Area<Resizable> {
    /// A position in it, at its beginning, for what takes a [`Read`], a [`Write`] or a [`Seek`].
    #[must_use]
    pub fn cursor(&self) -> Cursor<'_> {
        Over::Resizable(self).into()
    }
}

impl Area<Stored> {
    /// A position in it, at its beginning, for what takes a [`Read`], a [`Write`] or a [`Seek`].
    #[must_use]
    pub fn cursor(&self) -> Cursor<'_> {
        Over::Stored(self).into()
    }
}
