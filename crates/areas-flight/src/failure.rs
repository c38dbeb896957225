//! Errors of the library, of files and of gRPC, as each other.

use std::borrow::Cow;

use areas::{Error, ErrorKind, escape_invisible};
use tonic::{Code, Status};

/// What tonic puts around what it was.
const NOTHING: &str = "transport error";

/// What stands before what to do about an error, in `{:#}`.
const HELP: &str = "\n  help: ";

/// Of what another machine says no more is reported.
const MAX_TEXT: usize = 1000;

/// An error of a file, in the library's form: `what` completes "cannot …".
pub(crate) fn io_error(what: impl Into<Cow<'static, str>>, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, what).with_facts(areas::in_words(&error))
}

/// What is sent to a client of an error here.
pub(crate) fn to_status(error: &Error) -> Status {
    let code = match error.kind() {
        ErrorKind::InvalidInput => Code::InvalidArgument,
        ErrorKind::OutOfRange => Code::OutOfRange,
        ErrorKind::NoSuchArea | ErrorKind::NoSuchTeam => Code::NotFound,
        ErrorKind::NotPermitted | ErrorKind::Unreadable => Code::PermissionDenied,
        ErrorKind::Busy => Code::FailedPrecondition,
        ErrorKind::NoMemory | ErrorKind::Limit => Code::ResourceExhausted,
        ErrorKind::Unsupported => Code::Unimplemented,
        _ => Code::Internal,
    };
    Status::new(code, format!("{error:#}"))
}

/// What is reported here of an error there: `what` completes "cannot …".
pub(crate) fn of_status(what: impl Into<Cow<'static, str>>, status: &Status) -> Error {
    let kind = match status.code() {
        Code::InvalidArgument => ErrorKind::InvalidInput,
        Code::OutOfRange => ErrorKind::OutOfRange,
        Code::NotFound => ErrorKind::NoSuchArea,
        Code::PermissionDenied | Code::Unauthenticated => ErrorKind::NotPermitted,
        Code::FailedPrecondition => ErrorKind::Busy,
        Code::ResourceExhausted => ErrorKind::Limit,
        Code::Unimplemented => ErrorKind::Unsupported,
        Code::DeadlineExceeded => ErrorKind::TimedOut,
        _ => ErrorKind::Io,
    };
    let (detail, help) = words(status);
    let error = Error::new(kind, what).with_facts(detail);
    match status.code() {
        Code::Unauthenticated => {
            error.with_remedy("`--token-file F` names the file with the server's token, copied from there")
        }
        Code::NotFound => error.with_remedy("`areas ls --at HOST:PORT` lists what is offered there"),
        _ => help.into_iter().fold(error, Error::with_remedy),
    }
}

/// Whether trying again may help: it is the connection that failed.
pub(crate) fn is_broken(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::Unknown
            | Code::Internal
            | Code::Cancelled
            | Code::Aborted
            | Code::DeadlineExceeded
    )
}

/// What the other side says, or what became of the connection, with all causes, each in one line;
/// and what it says to do about it.
fn words(status: &Status) -> (String, Option<String>) {
    let (said, help) = match status.message().split_once(HELP) {
        Some((said, help)) => (said, Some(help)),
        None => (status.message(), None),
    };
    let mut text = if said.is_empty() { status.code().description() } else { said }.to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let words = error.to_string();
        let words = words.split_once(" (os error ").map_or(words.as_str(), |(words, _)| words);
        if words != NOTHING && !text.contains(words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    (in_a_line(&text), help.map(in_a_line))
}

/// An error and its causes, in one line.
pub(crate) fn in_words(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source())
        .fold(error.to_string(), |said, cause| format!("{said}: {cause}"))
}

fn in_a_line(text: &str) -> String {
    let short: String = text.chars().take(MAX_TEXT).map(|c| if c == '\n' { ' ' } else { c }).collect();
    escape_invisible(&short).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_there_is_one_here() {
        let there = Error::new(ErrorKind::Busy, "serve \"a\"")
            .with_facts("it is not frozen")
            .with_remedy("freeze it");
        let here = of_status("fetch \"a\"", &to_status(&there));
        assert_eq!(here.kind(), ErrorKind::Busy);
        assert_eq!(
            format!("{here:#}"),
            "cannot fetch \"a\": cannot serve \"a\": it is not frozen\n  help: freeze it"
        );
    }

    #[test]
    fn what_it_says_is_one_short_line() {
        let long = Status::unknown(format!("\u{1b}[31m\n{}", "x".repeat(5000)));
        let text = of_status("fetch", &long).to_string();
        assert!(text.len() < 1100 && !text.contains(['\n', '\u{1b}']), "{text}");
    }
}
