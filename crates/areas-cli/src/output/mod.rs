//! What is printed, and where: results on stdout, remarks and errors on stderr.

pub(crate) mod json;
pub(crate) mod progress;
pub(crate) mod reader;
pub(crate) mod style;
pub(crate) mod table;

use std::io::{self, Write};
use std::process::ExitCode;

use areas::{Area, AreaKind, escape_invisible};

use crate::failure::{Failure, Result};
use crate::stdio;
use style::Terminal;

/// Prints a result to stdout, whole lines, in characters that the locale has.
pub(crate) fn print(text: &str) -> Result<()> {
    print_raw(&Terminal::stdout().plain(text))
}

/// Prints a result to stdout as it is: what other programs read.
pub(crate) fn print_raw(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdio::output()
        .and_then(|()| stdout.write_all(text.as_bytes()))
        .and_then(|()| stdout.flush())
        .map_err(Failure::of_output)
}

/// Of a command that has done something, and then says so: where it cannot, its error says what was
/// done. `done` is a sentence: what is so from now on.
pub(crate) fn after(done: impl FnOnce() -> String, printed: Result<()>) -> Result<()> {
    printed.map_err(|failure| failure.after(&done()))
}

/// Prints an error, or a remark that must not get lost, to stderr.
pub(crate) fn complain(text: &str) {
    // What others called their programs may be in it.
    let text = text.split('\n').map(escape_invisible).collect::<Vec<_>>().join("\n");
    let text = Terminal::stderr().plain(&text);
    // Where stderr is closed it cannot be reported.
    let _ = writeln!(io::stderr().lock(), "areas: {text}");
}

/// Prints why a command failed to stderr, where there is something to say; gives its exit code.
pub(crate) fn report_failure(failure: &Failure) -> ExitCode {
    if let Some(message) = failure.message() {
        complain(&message);
    }
    failure.exit_code()
}

/// Remarks on what an area was given instead of what was asked, and on pages that are not where
/// they were asked to be: `asked` says where, if they may be elsewhere.
pub(crate) fn print_granted<K: AreaKind>(area: &Area<K>, asked: Option<String>, quiet: bool) {
    if quiet {
        return;
    }
    let granted = area.granted();
    for fallback in granted.fallbacks() {
        let because = fallback.because.facts().map_or_else(|| fallback.because.to_string(), str::to_owned);
        complain(&format!("{}, instead of {}: {because}", fallback.given, fallback.asked));
    }
    if let Some(asked) = asked {
        match area.verify() {
            Ok(verification) if verification.holds() => {}
            Ok(verification) => complain(&format!("requested {asked}: {verification}")),
            Err(error) => complain(&format!("where the pages are is not known: {error}")),
        }
    }
}
