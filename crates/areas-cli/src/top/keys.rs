//! What is typed: bytes of a terminal become keys.

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Escape,
    Backspace,
    /// Clears what was typed: `^U`.
    Clear,
    /// `^C`, `^D`, `^\`.
    Interrupt,
    /// `^Z`.
    Suspend,
    /// `^L`: draw all of it again.
    Redraw,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
}

/// Bytes that came in and are not a whole key yet.
#[derive(Debug, Default)]
pub(super) struct Keys {
    bytes: Vec<u8>,
}

/// Longer sequences are none that a terminal sends for a key.
const LONGEST: usize = 32;

impl Keys {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether something has begun that more bytes may complete.
    pub(super) fn is_waiting(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// The next whole key. What no key is known for is passed over.
    pub(super) fn next(&mut self) -> Option<Key> {
        loop {
            let (taken, key) = match self.bytes.split_first()? {
                (0x1b, rest) => escape(rest)?,
                (byte, _) if byte.is_ascii() => (1, ascii(*byte)),
                _ => character(&self.bytes)?,
            };
            self.bytes.drain(..taken.min(self.bytes.len()));
            if key.is_some() {
                return key;
            }
        }
    }

    /// No more bytes follow: what has begun is what it is by itself. An escape alone is the key of
    /// that name.
    pub(super) fn give_up_waiting(&mut self) -> Option<Key> {
        let first = self.bytes.first().copied();
        self.bytes.clear();
        (first == Some(0x1b)).then_some(Key::Escape)
    }
}

fn ascii(byte: u8) -> Option<Key> {
    Some(match byte {
        b'\r' | b'\n' => Key::Enter,
        0x08 | 0x7f => Key::Backspace,
        0x03 | 0x04 | 0x1c => Key::Interrupt,
        0x0c => Key::Redraw,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x15 => Key::Clear,
        0x1a => Key::Suspend,
        b' '..=b'~' => Key::Char(char::from(byte)),
        _ => return None,
    })
}

/// A character of several bytes; `None` where some are still to come.
fn character(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    let length = match bytes.first()? {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Some((1, None)),
    };
    let start = &bytes[..length.min(bytes.len())];
    match std::str::from_utf8(start) {
        Ok(text) => Some((length, text.chars().next().filter(|c| !c.is_control()).map(Key::Char))),
        Err(error) if error.error_len().is_none() => None,
        Err(_) => Some((1, None)),
    }
}

/// What follows an escape: `[A`, `OA`, `[5~`, with or without modifiers. `None` where more is to
/// come.
fn escape(rest: &[u8]) -> Option<(usize, Option<Key>)> {
    match rest.first()? {
        b'[' => {}
        b'O' => return Some((3, letter(*rest.get(1)?))),
        // The key of that name, and another one soon after it.
        _ => return Some((1, Some(Key::Escape))),
    }
    let end = rest.iter().skip(1).position(|byte| matches!(byte, 0x40..=0x7e));
    let Some(end) = end.map(|end| end + 1) else {
        return (rest.len() > LONGEST).then_some((rest.len() + 1, None));
    };
    let key = match rest[end] {
        b'~' => match rest[1..end].split(|byte| *byte == b';').next() {
            Some(b"1" | b"7") => Some(Key::Home),
            Some(b"4" | b"8") => Some(Key::End),
            Some(b"5") => Some(Key::PageUp),
            Some(b"6") => Some(Key::PageDown),
            _ => None,
        },
        other => letter(other),
    };
    Some((end + 2, key))
}

fn letter(byte: u8) -> Option<Key> {
    Some(match byte {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'M' => Key::Enter,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        keys.feed(bytes);
        let mut all: Vec<Key> = std::iter::from_fn(|| keys.next()).collect();
        all.extend(keys.give_up_waiting());
        all
    }

    #[test]
    fn keys_as_terminals_send_them() {
        let cases: [(&[u8], &[Key]); 16] = [
            (b"qs", &[Key::Char('q'), Key::Char('s')]),
            (b"\r", &[Key::Enter]),
            (b"\x1b[A\x1bOB", &[Key::Up, Key::Down]),
            (b"\x1b[1;5A", &[Key::Up]),
            (b"\x1b[5~\x1b[6~\x1b[H\x1b[4~", &[Key::PageUp, Key::PageDown, Key::Home, Key::End]),
            (b"\x1b", &[Key::Escape]),
            (b"\x1b\x1b[A", &[Key::Escape, Key::Up]),
            (b"\x7f\x08\x15", &[Key::Backspace, Key::Backspace, Key::Clear]),
            (b"\x03\x1a\x0c", &[Key::Interrupt, Key::Suspend, Key::Redraw]),
            ("ö区".as_bytes(), &[Key::Char('ö'), Key::Char('区')]),
            (b"\xffa\xc3b", &[Key::Char('a'), Key::Char('b')]),
            (b"\x1bx\x1b\x03", &[Key::Escape, Key::Char('x'), Key::Escape, Key::Interrupt]),
            (b"\x1b[200~x", &[Key::Char('x')]),
            (b"\x1b[", &[Key::Escape]),
            (b"\xc3", &[]),
            ("\u{9b}".as_bytes(), &[]),
        ];
        for (bytes, expected) in cases {
            assert_eq!(read(bytes), expected, "{bytes:?}");
        }
    }

    /// Keys that come in pieces, as over a slow line.
    #[test]
    fn pieces_are_put_together() {
        let bytes = "ö\x1b[1;2B\x1bOA\x1b[5~q".as_bytes();
        for cut in 1..bytes.len() {
            let mut keys = Keys::default();
            let mut all = Vec::new();
            for piece in [&bytes[..cut], &bytes[cut..]] {
                keys.feed(piece);
                all.extend(std::iter::from_fn(|| keys.next()));
            }
            assert_eq!(all, [Key::Char('ö'), Key::Down, Key::Up, Key::PageUp, Key::Char('q')], "{cut}");
            assert!(!keys.is_waiting());
        }
    }

    /// Whatever comes ends, and leaves nothing behind that grows.
    #[test]
    fn nothing_is_kept_for_ever() {
        let odd = [0x1b, b'[', b'O', b'1', b';', b'~', b'A', 0xc3, 0xe2, 0xf0, 0x80, 0xff, 0, b'q'];
        for first in odd {
            for second in odd {
                for third in odd {
                    let mut keys = Keys::default();
                    for _ in 0..100 {
                        keys.feed(&[first, second, third]);
                        while keys.next().is_some() {}
                    }
                    assert!(keys.bytes.len() <= LONGEST + 4, "{first:x} {second:x} {third:x}");
                }
            }
        }
    }
}
