//! Text that another process wrote, for people to read: names of areas, names of commands. What a
//! terminal would obey or that is invisible is escaped, here and nowhere else.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::ops::RangeInclusive;

/// Characters that Unicode calls printable and that show nothing: those of
/// Default_Ignorable_Code_Point (DerivedCoreProperties.txt, Unicode 16) that are letters or marks.
/// The others are format characters or not assigned.
const IGNORED: [RangeInclusive<char>; 8] = [
    '\u{34f}'..='\u{34f}',     // combining grapheme joiner
    '\u{115f}'..='\u{1160}',   // Hangul fillers
    '\u{17b4}'..='\u{17b5}',   // Khmer inherent vowels
    '\u{180b}'..='\u{180f}',   // Mongolian variation selectors
    '\u{3164}'..='\u{3164}',   // Hangul filler
    '\u{fe00}'..='\u{fe0f}',   // variation selectors
    '\u{ffa0}'..='\u{ffa0}',   // half-width Hangul filler
    '\u{e0100}'..='\u{e01ef}', // variation selectors
];

/// At most so many bytes of a text, and no half character. (`str::floor_char_boundary` is younger
/// than our oldest Rust.)
pub(crate) fn shortened(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

/// Text with control characters and invisible ones escaped, so that it does to a terminal, and to
/// who reads it, nothing but show.
///
/// Escaped, as Rust does it (`\n`, `\u{202e}`), are control characters, format characters (of
/// bidirectional text, of no width), line and paragraph separators, blanks other than the space,
/// characters that show nothing, and what Unicode has not assigned. It borrows where there is none
/// of these. [`Name`](crate::Name) and [`Holder`](crate::registry::Holder) print that way.
///
/// ```
/// assert_eq!(areas::escape_invisible("größe"), "größe");
/// assert_eq!(areas::escape_invisible("ring\u{202e}gnp.\u{200b}"), r"ring\u{202e}gnp.\u{200b}");
/// ```
#[must_use]
pub fn escape_invisible(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    // Writing to a string cannot fail.
    let _ = write!(escaped, "{}", Escaped(text));
    Cow::Owned(escaped)
}

/// The same of bytes that need not be UTF-8, as names of areas and files are: those that are not
/// are escaped, too (`\xff`).
///
/// ```
/// assert_eq!(areas::escape_invisible_bytes(b"ring\xff\n"), r"ring\xff\n");
/// ```
#[must_use]
pub fn escape_invisible_bytes(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return escape_invisible(text);
    }
    let part = |chunk: std::str::Utf8Chunk<'_>| {
        format!("{}{}", escape_invisible(chunk.valid()), chunk.invalid().escape_ascii())
    };
    Cow::Owned(bytes.utf8_chunks().map(part).collect())
}

/// Prints a text so.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if is_invisible(c) { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        Ok(())
    }
}

fn is_invisible(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    // The standard library knows which are printable, but says so of strings only. The first of a
    // string is escaped if it is a mark.
    let mut buffer = [b'x'; 5];
    let len = 1 + c.encode_utf8(&mut buffer[1..]).len();
    let printable =
        std::str::from_utf8(&buffer[..len]).is_ok_and(|text| text.escape_debug().nth(1) == Some(c));
    !printable || IGNORED.iter().any(|range| range.contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        for (most, expected) in [(0, ""), (1, "a"), (2, "a"), (3, "aß"), (4, "aßb"), (9, "aßb")] {
            assert_eq!(shortened("aßb", most), expected, "{most}");
        }
    }

    #[test]
    fn what_shows_nothing_is_escaped() {
        // Cc, Cf (bidirectional, joiners, tags, soft hyphen, byte order mark), Zl, Zp, Zs, Co, Cn,
        // and ignored letters and marks.
        let characters = "\0\n\x1b\x7f\u{85}\u{9b}\u{ad}\u{61c}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{202a}\u{202e}\
                          \u{2060}\u{2066}\u{2069}\u{feff}\u{fff9}\u{e0001}\u{e007f}\u{2028}\u{2029}\u{a0}\u{2003}\u{3000}\
                          \u{e000}\u{10fffd}\u{378}\u{34f}\u{115f}\u{17b4}\u{180b}\u{3164}\u{fe0f}\u{ffa0}\u{e0100}";
        for c in characters.chars() {
            let text = format!("a{c}b");
            let expected = format!("a{}b", c.escape_default());
            assert_eq!(escape_invisible(&text), expected);
            assert_eq!(escape_invisible(&c.to_string()), c.escape_default().to_string());
        }
    }

    #[test]
    fn what_shows_stays_as_it_is() {
        for text in [
            "",
            "a b~",
            "größe",
            "e\u{301}",
            "\u{301}",
            "日本語",
            "שלום",
            "مرحبا",
            "🦀",
            r#"\ " '"#,
            "\u{fffd}",
        ] {
            assert!(matches!(escape_invisible(text), Cow::Borrowed(same) if same == text), "{text:?}");
        }
    }
}
