//! Notes: a few bytes that a holder publishes with an area, for those that find it. They mean what
//! the program says: the library does not interpret them.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::text::escape_invisible_bytes;

/// What a holder has published with an area: up to 256 bytes, which mean what the program says (a
/// type and a shape, a version, a schema).
///
/// An empty note is the same as none. A note is what another process wrote: whole (never part of
/// one note and part of another), at most [`Note::MAX`] bytes, and otherwise unchecked.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Note(Box<[u8]>);

impl Note {
    /// The longest note, in bytes.
    pub const MAX: usize = 256;

    /// Checks a note.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if it is longer than [`Note::MAX`] bytes.
    pub fn new(note: impl AsRef<[u8]>) -> Result<Self> {
        let bytes = note.as_ref();
        Note::from_table(bytes).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, "note something beside an area")
                .with_facts(format!("the note has {} bytes", bytes.len()))
                .with_remedy(format!(
                    "a note has up to {} bytes: put what is longer into the area itself",
                    Note::MAX
                ))
        })
    }

    /// From a table or a message: `None` for what is too long.
    pub(crate) fn from_table(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= Note::MAX).then(|| Note(bytes.into()))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Note {
    /// As [`Name`](crate::Name)'s: as UTF-8, so that a terminal shows it instead of obeying it, and
    /// with what is not UTF-8 as `\xff`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape_invisible_bytes(&self.0))
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_has_up_to_256_bytes() {
        for len in [0, 1, 255, 256] {
            let note = Note::new(vec![0xff; len]).unwrap();
            assert_eq!((note.as_bytes().len(), note.is_empty()), (len, len == 0));
        }
        let error = Note::new([0; 257]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("257 bytes"), "{error}");
    }

    #[test]
    fn a_terminal_shows_it_and_does_not_obey_it() {
        let note = Note::new(b"u1 \x1b[2J\xff(3,4)\x00").unwrap();
        let shown = note.to_string();
        assert!(!shown.contains('\x1b') && !shown.contains('\0'), "{shown:?}");
        assert!(shown.starts_with("u1 ") && shown.contains("\\xff(3,4)"), "{shown:?}");
    }
}
