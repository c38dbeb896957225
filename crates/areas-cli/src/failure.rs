//! Why a command fails: its message, and its exit code.

use std::io;
use std::process::ExitCode;

use areas::{Error, ErrorKind, in_words};

/// Why a command ends before its time.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something could not be done.
    Error(Error),
    /// The standard output could not be written, and what has been done by then: a sentence of what
    /// is so from now on.
    Unwritten { error: io::Error, done: Option<String> },
    /// The reader of our output has gone: nothing is to be said, and no reader is left.
    Unread,
    /// This signal came, and what was begun has been undone.
    Signal(i32),
}

/// The result of a command, and of what it is made of.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Error(error)
    }
}

impl Failure {
    /// What the shell shows for a filter that SIGPIPE has ended.
    pub(crate) const UNREAD: u8 = 128 + 13;

    /// Of writing to the standard output.
    pub(crate) fn of_output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Unread,
            _ => Failure::Unwritten { error, done: None },
        }
    }

    /// The same of a command that has done something, and could not say so.
    pub(crate) fn after(self, done: &str) -> Self {
        match self {
            Failure::Unwritten { error, .. } => Failure::Unwritten { error, done: Some(done.to_owned()) },
            other => other,
        }
    }

    /// What is printed on stderr; `None` where nothing is to be said.
    pub(crate) fn message(&self) -> Option<String> {
        match self {
            Failure::Error(error) => Some(in_words_of_the_command(format!("{error:#}"))),
            Failure::Unwritten { error, done: Some(done) } => {
                Some(format!("{done}; cannot say so: write: {}", in_words(error)))
            }
            Failure::Unwritten { error, done: None } => {
                Some(format!("cannot write to the standard output: {}", in_words(error)))
            }
            Failure::Unread | Failure::Signal(_) => None,
        }
    }

    /// The exit code of the command.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Error(error) => ExitCode::from(code_of(error.kind())),
            Failure::Unwritten { .. } => ExitCode::FAILURE,
            Failure::Unread => ExitCode::from(Failure::UNREAD),
            Failure::Signal(signal) => ExitCode::from(code_of_signal(*signal)),
        }
    }
}

/// What remedies of the library call by its own names, and what that is here.
pub(crate) const WORDS: [(&str, &str); 7] = [
    ("`Pages::Auto`", "`--huge auto`"),
    ("`.growable(max)`, `areas create --growable MAX`", "`areas create --growable MAX`"),
    ("are a reserve: `.growable(max)`", "are a reserve: `--growable MAX`"),
    ("`--read-only`, `OfferOptions::read_only`", "`--read-only`"),
    ("`--from USER`, `TakeOptions::from`", "`--from USER`"),
    (" (`create_or_open` does either)", ": `areas show NAME`"),
    ("`areas put --freeze`, `Area::freeze`", "`areas freeze NAME`"),
];

fn in_words_of_the_command(text: String) -> String {
    WORDS.iter().fold(text, |text, (library, command)| text.replace(library, command))
}

/// What a shell says of a process that a signal has ended.
pub(crate) fn code_of_signal(signal: i32) -> u8 {
    u8::try_from(signal).ok().and_then(|signal| signal.checked_add(128)).unwrap_or(1)
}

fn code_of(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::InvalidInput => 2,
        ErrorKind::NoSuchArea => 3,
        ErrorKind::TimedOut => 4,
        _ => 1,
    }
}

/// An error of a file, in the library's form: `what` completes "cannot …".
pub(crate) fn io_error(what: impl Into<std::borrow::Cow<'static, str>>, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, what).with_facts(in_words(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_manual() {
        let cases = [
            (ErrorKind::InvalidInput, 2),
            (ErrorKind::NoSuchArea, 3),
            (ErrorKind::TimedOut, 4),
            (ErrorKind::NoMemory, 1),
            (ErrorKind::NodeNotAllowed, 1),
            (ErrorKind::Unreadable, 1),
            (ErrorKind::Io, 1),
        ];
        for (kind, code) in cases {
            assert_eq!(code_of(kind), code, "{kind:?}");
        }
    }

    #[test]
    fn files_fail_in_plain_words() {
        let error = io_error("open \"x\"", io::Error::from_raw_os_error(2));
        assert_eq!(error.to_string(), "cannot open \"x\": no such file or directory (ENOENT)");
    }
}
