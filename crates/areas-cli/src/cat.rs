//! `areas cat`: an area's bytes to the standard output.
//!
//! They are read by calls, not through a mapping: reading a hole gives zeros and takes no memory, which touching it would.
//! (Splicing would save the copy, but pages that wait in a pipe keep their area from being frozen.)

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::process::ExitCode;

use areas::registry::Source;
use areas::{Bytes, Error, Kind};

use crate::args::Cat;
use crate::failure::{Failure, Result, io_error};
use crate::stdio;

/// Fits into a processor's cache, and is many pages.
const BUFFER: usize = 256 << 10;

pub(crate) fn run(cat: &Cat) -> Result<ExitCode> {
    let source = cat.area.find()?;
    let object = source.object()?;
    // The object's own number of bytes, which may have grown since the area was looked up.
    let size = object.size() as u64;
    let Bytes(offset) = cat.offset;
    let what = || format!("read area {} {:?}", source.id(), source.name());
    let Some(left) = size.checked_sub(offset) else {
        return Err(Error::new(Kind::OutOfRange, what())
            .detail(format!("byte {offset} is beyond its end, at {size}"))
            .into());
    };
    let mut left = cat.length.map_or(left, |Bytes(length)| length.min(left));
    let file = File::from(object.as_fd().try_clone_to_owned().map_err(|error| io_error(what(), error))?);
    let mut output = unbuffered_output()?;
    // Of physical memory, and of what is left of an area that was cut, the object is a part of its file.
    let mut at = offset + object.offset();
    let mut buffer = vec![0; BUFFER];
    let mut first = io::stdout().is_terminal();
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
        let got = match file.read_at(&mut buffer[..most], at) {
            Ok(0) => {
                // It never shrinks.
                return Err(Error::new(Kind::Io, what()).detail(format!("it ends at byte {at}")).into());
            }
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(io_error(what(), error).into()),
        };
        if std::mem::take(&mut first) && !is_text(&buffer[..got]) {
            ask(&source)?;
        }
        output.write_all(&buffer[..got]).map_err(Failure::of_output)?;
        at += got as u64;
        left -= got as u64;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a terminal can show it: no control characters but those of text. A character that is cut at the end is none of them.
fn is_text(bytes: &[u8]) -> bool {
    let is_shown =
        |text: &str| text.chars().all(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\x0c'));
    match std::str::from_utf8(bytes) {
        Ok(text) => is_shown(text),
        Err(error) => {
            let (text, _) = bytes.split_at(error.valid_up_to());
            error.error_len().is_none() && std::str::from_utf8(text).is_ok_and(is_shown)
        }
    }
}

/// Asks whether what is no text is to be written to the terminal, which may obey it.
///
/// # Errors
/// If it is not to be, or there is nobody to ask.
fn ask(source: &Source) -> Result<()> {
    let what = || format!("write area {} {:?} to the terminal", source.id(), source.name());
    let refused = |why: &'static str| {
        Error::new(Kind::Unsupported, what())
            .detail(why)
            .help("send it to a file or to another program: `areas cat NAME > FILE`")
    };
    if !io::stdin().is_terminal() {
        return Err(refused("it has bytes that are no text").into());
    }
    // Where stderr is closed the question is not seen, and the answer is awaited all the same.
    let _ = write!(
        io::stderr(),
        "area {} {:?} has bytes that are no text: write it to the terminal all the same? [y/N] ",
        source.id(),
        source.name()
    );
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| io_error("read an answer", error))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(refused("the answer was no").into()),
    }
}

/// The standard output without the line buffer of the standard library, which would look for line ends in it all.
fn unbuffered_output() -> Result<File> {
    let fd = stdio::output().and_then(|()| io::stdout().as_fd().try_clone_to_owned());
    fd.map(File::from).map_err(Failure::of_output)
}

#[cfg(test)]
mod tests {
    use super::is_text;

    #[test]
    fn what_a_terminal_obeys_is_no_text() {
        for text in ["", "größe\n", "a\tb\r\n", "\x0c"] {
            assert!(is_text(text.as_bytes()), "{text:?}");
        }
        // A character that the end of the buffer cuts.
        assert!(is_text(&"größe".as_bytes()[..3]));
        for bytes in [&b"a\0"[..], b"\x1b[31m", b"\x7f", b"\xff", "\u{9b}31m".as_bytes(), b"\xc3a"] {
            assert!(!is_text(bytes), "{bytes:?}");
        }
    }
}
