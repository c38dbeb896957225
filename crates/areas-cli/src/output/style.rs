//! What a stream can show: colours, characters beyond ASCII, how many columns.

use std::borrow::Cow;
use std::env;
use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

/// What may be written to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terminal {
    /// Escape sequences are obeyed, and wanted.
    pub(crate) colours: bool,
    /// Its locale is UTF-8.
    pub(crate) utf8: bool,
    /// How wide it is, if it is a terminal.
    pub(crate) columns: Option<u16>,
}

/// How a piece of text stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Bold,
    Dim,
    Good,
    Bad,
}

impl Terminal {
    pub(crate) fn stdout() -> Self {
        Self::of(&io::stdout())
    }

    pub(crate) fn stderr() -> Self {
        Self::of(&io::stderr())
    }

    fn of(stream: &(impl IsTerminal + AsFd)) -> Self {
        let terminal = stream.is_terminal();
        Terminal {
            colours: terminal && wants_colours(|name| env::var(name).ok()),
            utf8: is_utf8(|name| env::var(name).ok()),
            columns: terminal.then(|| {
                let said = env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
                let size = || rustix::termios::tcgetwinsize(stream).ok().map(|size| size.ws_col);
                said.or_else(size).filter(|&columns| columns > 0).unwrap_or(80)
            }),
        }
    }

    /// The text, looking so where colours are shown.
    pub(crate) fn paint(&self, look: Look, text: &str) -> String {
        if !self.colours {
            return text.to_owned();
        }
        let code = match look {
            Look::Bold => 1,
            Look::Dim => 2,
            Look::Good => 32,
            Look::Bad => 31,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// The text in characters that the locale has: others are written as Rust escapes them.
    pub(crate) fn plain<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.utf8 || text.is_ascii() {
            return Cow::Borrowed(text);
        }
        let mut plain = String::with_capacity(text.len() + 16);
        for c in text.chars() {
            match c {
                _ if c.is_ascii() => plain.push(c),
                '…' => plain.push_str("..."),
                '–' | '—' => plain.push('-'),
                '✓' => plain.push_str("ok"),
                '✗' => plain.push_str("FAILED"),
                '─' => plain.push('-'),
                '·' => plain.push('-'),
                '±' => plain.push_str("+-"),
                // Writing to a string cannot fail.
                _ => _ = write!(plain, "{}", c.escape_unicode()),
            }
        }
        Cow::Owned(plain)
    }
}

/// <https://no-color.org>: the variable counts if it is there and not empty. A dumb terminal obeys no escape sequence.
fn wants_colours(variable: impl Fn(&str) -> Option<String>) -> bool {
    let no_color = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    let term = variable("TERM").unwrap_or_default();
    !no_color && !term.is_empty() && term != "dumb"
}

/// The first of these that is not empty is the locale of characters; none is "C" (locale(7)).
fn is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()))
        .is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        })
}

/// Whether progress can be shown: a terminal that can move its cursor.
pub(crate) fn shows_progress() -> bool {
    io::stderr().is_terminal() && env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn colours_are_for_those_who_want_them() {
        let cases: [(&[(&str, &str)], bool); 5] = [
            (&[("TERM", "xterm")], true),
            (&[("TERM", "xterm"), ("NO_COLOR", "")], true),
            (&[("TERM", "xterm"), ("NO_COLOR", "1")], false),
            (&[("TERM", "dumb")], false),
            (&[], false),
        ];
        for (set, expected) in cases {
            assert_eq!(wants_colours(from(set)), expected, "{set:?}");
        }
    }

    #[test]
    fn the_locale_is_the_first_that_is_set() {
        let cases: [(&[(&str, &str)], bool); 6] = [
            (&[("LANG", "de_DE.UTF-8")], true),
            (&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")], false),
            (&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")], true),
            (&[("LANG", "de_DE@euro")], false),
            (&[("LANG", "POSIX")], false),
            (&[], false),
        ];
        for (set, expected) in cases {
            assert_eq!(is_utf8(from(set)), expected, "{set:?}");
        }
    }

    #[test]
    fn other_characters_are_escaped_where_they_cannot_be_shown() {
        let terminal = Terminal { colours: false, utf8: false, columns: None };
        assert_eq!(terminal.plain("größe… ✓"), r"gr\u{f6}\u{df}e... ok");
        assert_eq!(Terminal { utf8: true, ..terminal }.plain("größe"), "größe");
        assert_eq!(terminal.paint(Look::Bold, "x"), "x");
        assert_eq!(Terminal { colours: true, ..terminal }.paint(Look::Good, "x"), "\x1b[32mx\x1b[0m");
    }
}
