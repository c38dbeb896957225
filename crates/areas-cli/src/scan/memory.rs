//! What is reported of one memory.

use std::path::PathBuf;

use areas::escape_invisible;

use super::args::Kind;
use super::left;

/// Device and inode.
pub(super) type Object = (u64, u64);

/// An area over a memory that a registry has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) id: i32,
    pub(super) name: areas::Name,
    pub(super) pid: u32,
    /// Whose registry it is in.
    pub(super) user: u32,
}

/// A memory, whosever it is.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) kind: Kind,
    /// What it is called: its name, a segment's number, or what its makers have called it. Any
    /// bytes: another process chose them.
    pub(super) name: Vec<u8>,
    /// `None` of a segment that no process has attached, which shows nowhere as a file.
    pub(super) object: Option<Object>,
    /// The user that owns it; `None` where only mappings of it are seen.
    pub(super) owner: Option<u32>,
    pub(super) size: Option<u64>,
    /// Bytes for which there is memory, swapped ones included.
    pub(super) allocated: Option<u64>,
    /// Bytes in RAM.
    pub(super) resident: Option<u64>,
    pub(super) state: State,
    /// What else is to be said of its state, for people.
    pub(super) why: Option<String>,
    /// Those that are seen.
    pub(super) holders: Vec<Holder>,
    /// Where its file is, if it has a name in a file system.
    pub(super) path: Option<PathBuf>,
    /// A path of `/proc` that leads to it.
    pub(super) opening_path: Option<String>,
    /// A process of another mount namespace, in whose folder of shared memory it is.
    pub(super) inside: Option<u32>,
    /// Whether it is an area's of which it is known that no process publishes it.
    pub(super) is_unpublished: bool,
    /// The published areas over it.
    pub(super) areas: Vec<Published>,
}

/// Whether anybody holds a memory. What is to be reported first comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// No process, and the kernel says so.
    Leaked,
    /// No process at this moment, and who made it, or had it last, still runs.
    Idle,
    /// No process is seen, and it cannot be proved.
    Unknown,
    Held,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            State::Leaked => "leaked",
            State::Idle => "idle",
            State::Unknown => "unknown",
            State::Held => "held",
        }
    }
}

/// A process that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) pid: u32,
    pub(super) command: Option<String>,
    pub(super) mapped: bool,
    pub(super) descriptors: usize,
}

impl Holder {
    /// `1234 python3 (mapped, open)`.
    pub(super) fn with_use(&self) -> String {
        let how = match (self.mapped, self.descriptors) {
            (true, 0) => "mapped",
            (true, _) => "mapped, open",
            (false, _) => "open",
        };
        format!("{} ({how})", self.short())
    }

    /// `1234 python3`.
    pub(super) fn short(&self) -> String {
        let command = self.command.as_deref().unwrap_or("?");
        format!("{} {}", self.pid, escape_invisible(command))
    }
}

impl Memory {
    /// Whether it is a file whose name is gone.
    pub(super) fn is_unlinked(&self) -> bool {
        let is_file = [Kind::Python, Kind::Shm, Kind::Sem, Kind::File, Kind::Huge].contains(&self.kind);
        is_file && self.path.is_none()
    }

    /// What it was called, if an interrupted `areas reap` has left it under another name.
    pub(super) fn was(&self) -> Option<left::Was<'_>> {
        left::was(self.path.as_deref()?)
    }

    /// The command that frees it.
    pub(super) fn free_with(&self) -> Option<String> {
        let inside = self.inside.map_or(String::new(), |pid| format!(" --in {pid}"));
        (self.state == State::Leaked)
            .then(|| format!("areas reap {} {}{inside} --yes", self.kind.word(), word_of(&self.name)))
    }
}

/// A name as a shell and this command take it: as it is where no character of it means anything,
/// else its bytes.
pub(super) fn word_of(name: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.+@%/=:,-".contains(byte);
    match std::str::from_utf8(name) {
        Ok(text)
            if name.iter().all(plain)
                && !name.is_empty()
                && !text.starts_with('-')
                && !text.starts_with("hex:") =>
        {
            text.to_owned()
        }
        _ => crate::target::hex_of(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_of_a_shell() {
        let cases: [(&[u8], &str); 8] = [
            (b"psm_9b2f41c7", "psm_9b2f41c7"),
            (b"a/b.c", "a/b.c"),
            (b"-rf", "hex:2d7266"),
            (b"hex:61", "hex:6865783a3631"),
            (b"a b", "hex:612062"),
            (b"a;b", "hex:613b62"),
            (b"a\n\xff", "hex:610aff"),
            (b"$(x)", "hex:24287829"),
        ];
        for (name, expected) in cases {
            assert_eq!(word_of(name), expected);
            let read = crate::target::any_bytes(expected.into()).unwrap();
            assert_eq!(read, name, "{expected}");
        }
    }
}
