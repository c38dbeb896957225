//! Whose files are read.

use std::fmt;
use std::fs;
use std::io;

/// A process, as `/proc` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// This one: `/proc/self`. Empty once its first thread has ended.
    Own,
    /// This one, by the thread that asks: `/proc/thread-self`.
    Thread,
    /// Another, by its number.
    Number(u32),
}

impl From<u32> for Process {
    fn from(pid: u32) -> Self {
        Self::Number(pid)
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("self"),
            Self::Thread => f.write_str("thread-self"),
            Self::Number(pid) => pid.fmt(f),
        }
    }
}

impl Process {
    /// One of its files. Names that other processes gave may be no text: what is none is replaced.
    pub(crate) fn read(self, file: &str) -> io::Result<String> {
        fs::read(format!("/proc/{self}/{file}")).map(text)
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The numbers of all processes of this pid namespace; each may be gone by now.
#[track_caller]
pub fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap_or_else(|error| panic!("/proc: {error}"));
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_among_all() {
        assert!(processes().contains(&std::process::id()));
        let [own, thread, number] = [Process::Own, Process::Thread, std::process::id().into()]
            .map(|process| crate::status::of(process).unwrap().field("Tgid").map(str::to_owned));
        assert_eq!((&own, &thread), (&number, &number));
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        assert_eq!(text(b"a\xff".to_vec()), "a\u{fffd}");
        assert_eq!(text(b"a".to_vec()), "a");
    }
}
