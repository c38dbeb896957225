//! Names of areas: what other processes find them by.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::text::{escape_invisible, escape_invisible_bytes};

/// The name of an area: 1 to 255 bytes, any encoding, no NUL. Names need not be unique.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<[u8]>);

impl Name {
    /// The longest name, in bytes.
    pub const MAX: usize = 255;

    /// Checks a name.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if it is empty, longer than [`Name::MAX`] bytes, or holds a NUL.
    pub fn new(name: impl AsRef<[u8]>) -> Result<Self> {
        let bytes = name.as_ref();
        check(bytes).map(|()| Name(bytes.into()))
    }

    /// Of bytes that are shared: they are not copied.
    pub(crate) fn shared(bytes: &Arc<[u8]>) -> Result<Self> {
        check(bytes).map(|()| Name(Arc::clone(bytes)))
    }

    /// The same, the empty name included: BeOS's interface has it.
    ///
    /// # Errors
    /// As [`new`](Name::new), but for the empty name.
    pub fn new_or_empty(name: impl AsRef<[u8]>) -> Result<Self> {
        match name.as_ref() {
            [] => Ok(Name(Arc::default())),
            name => Name::new(name),
        }
    }

    /// From a table: empty names are there too (BeOS has them).
    pub(crate) fn from_table(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= Name::MAX && !bytes.contains(&0)).then(|| Name(bytes.into()))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Whether bytes are a name.
fn check(bytes: &[u8]) -> Result<()> {
    let wrong = |why: String| {
        Err(Error::new(ErrorKind::InvalidInput, format!("name an area {}", shown(bytes)))
            .with_facts(why)
            .with_remedy("a name has 1 to 255 bytes, in any encoding, and no NUL"))
    };
    match bytes.len() {
        0 => wrong("the name is empty".to_owned()),
        1..=Name::MAX if bytes.contains(&0) => wrong("it holds a NUL".to_owned()),
        1..=Name::MAX => Ok(()),
        len => wrong(format!("it has {len} bytes")),
    }
}

/// A name for people: quoted, with what cannot be seen escaped, and cut when it is very long.
fn shown(bytes: &[u8]) -> String {
    const LONGEST: usize = 60;
    let quote = |text: &str| {
        // Quoting leaves some that show nothing.
        let quoted = format!("{text:?}");
        escape_invisible(&quoted[1..quoted.len() - 1]).into_owned()
    };
    let (mut text, mut left) = (String::from('"'), LONGEST);
    for chunk in bytes.utf8_chunks() {
        let cut = chunk.valid().char_indices().nth(left);
        let valid = cut.map_or(chunk.valid(), |(at, _)| &chunk.valid()[..at]);
        text += &quote(valid);
        left -= valid.chars().count();
        if cut.is_some() || left < chunk.invalid().len() {
            return text + "\"…";
        }
        text += &chunk.invalid().escape_ascii().to_string();
        left -= chunk.invalid().len();
    }
    text + "\""
}

impl fmt::Display for Name {
    /// As UTF-8, so that a terminal shows it instead of obeying it: control characters and
    /// invisible ones are escaped ([`escape_invisible`]), and bytes that are not UTF-8 (`\xff`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&escape_invisible_bytes(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Name::new(text)
    }
}

impl TryFrom<&str> for Name {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self> {
        Name::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_255_bytes_without_nul() {
        let cases: [(&[u8], bool); 7] = [
            (b"", false),
            (b"a", true),
            (b"with space/and slash", true),
            (&[0xff, 0xfe], true),
            (b"a\0b", false),
            (&[b'x'; 255], true),
            (&[b'x'; 256], false),
        ];
        for (bytes, good) in cases {
            assert_eq!(Name::new(bytes).is_ok(), good, "{bytes:?}");
            assert_eq!(Name::new_or_empty(bytes).is_ok(), good || bytes.is_empty(), "{bytes:?}");
        }
    }

    #[test]
    fn a_terminal_is_safe_from_it() {
        assert_eq!(Name::new("a\x1b[31mb\n").unwrap().to_string(), r"a\u{1b}[31mb\n");
        assert_eq!(Name::new("größe").unwrap().to_string(), "größe");
        let name = Name::new(b"a\xff\xfe\xc3\n").unwrap();
        assert_eq!(name.to_string(), r"a\xff\xfe\xc3\n");
        assert_eq!(format!("{name:?}"), r#""a\xff\xfe\xc3\n""#);
        // Shown backwards, or not at all.
        let name = Name::new("a\u{202e}b\u{200b}\u{3164}").unwrap();
        assert_eq!(name.to_string(), r"a\u{202e}b\u{200b}\u{3164}");
        assert_eq!(format!("{name:?}"), r#""a\u{202e}b\u{200b}\u{3164}""#);
    }

    #[test]
    fn a_very_long_one_is_cut_in_messages() {
        let shown = |bytes: &[u8]| format!("{:?}", Name::new(bytes).unwrap());
        assert_eq!(shown(&[b'a'; 60]), format!("\"{}\"", "a".repeat(60)));
        assert_eq!(shown(&[b'a'; 61]), format!("\"{}\"…", "a".repeat(60)));
        assert_eq!(shown("é".repeat(61).as_bytes()), format!("\"{}\"…", "é".repeat(60)));
        assert_eq!(shown(&[0xff; 61]), format!("\"{}\"…", r"\xff".repeat(60)));
    }
}
