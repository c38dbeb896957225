//! Parts of shared areas: checked once, then used without a look at the size.

use std::marker::PhantomData;
use std::sync::atomic::Ordering;

use super::{Area, Shared};
use crate::error::Result;
use crate::mapping::{Mapping, out_of_range};
use crate::sys::copy::Word;

impl Area<Shared> {
    /// A part of the area: checked once, then used without a look at the size.
    ///
    /// ```
    /// let area = areas::builder(4096).shared()?;
    /// let header = area.slice(0, 16)?;
    /// header.write_at(4, b"body")?;
    /// assert_eq!(header.slice(4, 4)?.to_vec()?, b"body");
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange) beyond the size.
    #[inline]
    pub fn slice(&self, offset: usize, len: usize) -> Result<SharedSlice<'_>> {
        self.mapping.check(offset, len, self.size_for(offset.checked_add(len)))?;
        Ok(SharedSlice::of(&self.mapping, offset, len))
    }
}

/// A part of a shared area: a pointer and a length, and copies.
#[derive(Clone, Copy, Debug)]
pub struct SharedSlice<'a> {
    mapping: &'a Mapping,
    offset: usize,
    len: usize,
    area: PhantomData<&'a Area<Shared>>,
}

impl<'a> SharedSlice<'a> {
    /// Of a range that was checked to be in the area.
    pub(super) fn of(mapping: &'a Mapping, offset: usize, len: usize) -> Self {
        SharedSlice { mapping, offset, len, area: PhantomData }
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where it begins. Others may write there at any moment: no reference may be made of it.
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.mapping.as_ptr().wrapping_add(self.offset)
    }

    /// A part of it.
    ///
    /// ```
    /// let area = areas::builder(4096).shared()?;
    /// let record = area.slice(64, 32)?;
    /// let key = record.slice(8, 8)?; // bytes 72 to 80 of the area
    /// key.write_at(0, b"a key 01")?;
    /// assert_eq!(record.to_vec()?[8..16], *b"a key 01");
    /// assert!(record.slice(30, 4).is_err()); // beyond the record, not beyond the area
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange) beyond the slice.
    #[inline]
    pub fn slice(&self, offset: usize, len: usize) -> Result<SharedSlice<'a>> {
        Ok(SharedSlice { offset: self.at(offset, len)?, len, ..*self })
    }

    /// Its bytes, copied out.
    ///
    /// ```
    /// let area = areas::builder(4096).shared()?;
    /// assert_eq!(area.slice(8, 3)?.to_vec()?, [0; 3]);
    /// # Ok::<(), areas::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly) where it may not be read.
    pub fn to_vec(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.len];
        self.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    /// The end of the slice, in the mapping.
    fn end(&self) -> usize {
        self.offset + self.len
    }

    /// Where `len` bytes at `offset` of the slice are in the mapping.
    #[inline]
    fn at(&self, offset: usize, len: usize) -> Result<usize> {
        match offset.checked_add(len) {
            // No overflow: the slice's end is inside the mapping.
            Some(end) if end <= self.len => Ok(self.offset + offset),
            _ => Err(out_of_range(offset, len, self.len)),
        }
    }

    /// Copies bytes out, from `offset` on.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange) beyond the slice.
    #[inline]
    pub fn read_at(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        self.mapping.read(self.at(offset, into.len())?, into, self.end())
    }

    /// Copies bytes in, from `offset` on.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`](crate::ErrorKind::OutOfRange) beyond the slice,
    /// [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly) where it may not be written.
    #[inline]
    pub fn write_at(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.mapping.write(self.at(offset, bytes.len())?, bytes, self.end())
    }

    /// Loads one word atomically.
    ///
    /// # Errors
    /// As [`Area::load`].
    #[inline]
    pub fn load<T: Word>(&self, offset: usize, order: Ordering) -> Result<T> {
        self.mapping.load(self.at(offset, size_of::<T>())?, self.end(), order)
    }

    /// Stores one word atomically.
    ///
    /// # Errors
    /// As [`Area::store`].
    #[inline]
    pub fn store<T: Word>(&self, offset: usize, value: T, order: Ordering) -> Result<()> {
        self.mapping.store(self.at(offset, size_of::<T>())?, value, self.end(), order)
    }
}
