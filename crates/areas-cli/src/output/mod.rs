//! What is printed, and where: results on stdout, remarks and errors on stderr.

pub(crate) mod json;
pub(crate) mod progress;
pub(crate) mod style;
pub(crate) mod table;

use std::io::{self, Write};

use areas::{Area, Shared};

use crate::failure::{Failure, Result};
use style::Terminal;

/// Prints a result to stdout, whole lines, in characters that the locale has.
pub(crate) fn print(text: &str) -> Result<()> {
    print_raw(&Terminal::stdout().plain(text))
}

/// Prints a result to stdout as it is: what other programs read.
pub(crate) fn print_raw(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::of_output)
}

/// Prints an error, or a remark that must not get lost, to stderr.
pub(crate) fn complain(text: &str) {
    let text = Terminal::stderr().plain(text);
    // Where stderr is closed there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "areas: {text}");
}

/// Prints a remark to stderr.
pub(crate) fn remark(text: &str, quiet: bool) {
    if !quiet {
        complain(text);
    }
}

/// Remarks on what an area was given instead of what was asked first.
pub(crate) fn tell_fallbacks(area: &Area<Shared>, quiet: bool) {
    for fallback in area.granted().fallbacks {
        remark(&format!("{} instead of {}: {}", fallback.given, fallback.asked, fallback.because), quiet);
    }
}
