//! `areas cat`: an area's bytes to the standard output.
//!
//! They are sent and read by calls, not through a mapping: of a hole both give zeros and take no
//! memory, which touching it would.
//!
//! The kernel sends them by itself (`sendfile`) where no process can notice: pages that wait in a
//! pipe or a socket keep their area from being frozen for as long as the reader likes, so that
//! there only what is frozen already is sent. All else is copied.

pub(crate) mod args;

use std::fs::{File, FileType};
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::process::ExitCode;

use areas::registry::Source;
use areas::{Bytes, Error, ErrorKind, PageBuffer};

use crate::failure::{Failure, Result, io_error};
use crate::stdio;
use args::Cat;

/// Fits into a processor's cache, and is many pages.
const BUFFER: usize = 128 << 10;

pub(crate) fn run(cat: &Cat) -> Result<ExitCode> {
    let source = cat.area.find()?;
    let object = source.object()?;
    // The object's own number of bytes, which may have grown since the area was looked up.
    let size = object.size() as u64;
    let Bytes(offset) = cat.offset;
    let what = || format!("read area {} {:?}", source.id(), source.name());
    let Some(left) = size.checked_sub(offset) else {
        return Err(Error::new(ErrorKind::OutOfRange, what())
            .with_facts(format!("byte {offset} is beyond its end, at {size}"))
            .into());
    };
    let mut left = cat.length.map_or(left, |Bytes(length)| length.min(left));
    let file = File::from(object.as_fd().try_clone_to_owned().map_err(|error| io_error(what(), error))?);
    let mut output = unbuffered_output()?;
    // Of physical memory, and of what is left of an area that was cut, the object is a part of its
    // file.
    let mut at = offset + object.offset();
    let mut first = io::stdout().is_terminal();
    // What cannot be asked is copied to, and the first write says what is wrong with it.
    if let Ok(kind) = output.metadata().map(|metadata| metadata.file_type()) {
        if kind.is_fifo() {
            widen(&output);
        }
        if !first && may_be_sent(kind, object.is_frozen().unwrap_or(false)) {
            let sent = send(&file, &output, at, left);
            at += sent;
            left -= sent;
        }
    }
    let mut buffer = PageBuffer::new(if left > 0 { BUFFER } else { 0 });
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
        let got = match file.read_at(&mut buffer[..most], at) {
            Ok(0) => {
                // It never shrinks.
                return Err(Error::new(ErrorKind::Io, what())
                    .with_facts(format!("it ends at byte {at}"))
                    .into());
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

/// What one call sends at most, so that a signal is heard.
const PIECE: u64 = 64 << 20;

/// A pipe of four times the usual size: the two who use it wait for each other less often, and it
/// still fits into a cache.
const PIPE: usize = 256 << 10;

/// Makes a pipe roomy; one that a process made larger stays so, and it works as well without.
fn widen(pipe: &File) {
    if rustix::pipe::fcntl_getpipe_size(pipe).is_ok_and(|size| size < PIPE) {
        let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE);
    }
}

/// Whether the kernel may send the area's own pages to such an output.
fn may_be_sent(output: FileType, frozen: bool) -> bool {
    frozen || !(output.is_fifo() || output.is_socket())
}

/// Has the kernel send bytes from `at` on; how many it has. What is left is to be copied: there are
/// files to which it sends nothing (those that are open for appending), and what is wrong with an
/// output is said by the next write to it.
pub(crate) fn send(file: &File, output: &File, mut at: u64, left: u64) -> u64 {
    let (begin, end) = (at, at + left);
    while at < end {
        let piece = usize::try_from((end - at).min(PIECE)).unwrap_or(usize::MAX);
        match rustix::fs::sendfile(output, file, Some(&mut at), piece) {
            Ok(0) => break,
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
    at - begin
}

/// Whether a terminal can show it: no control characters but those of text. A character that is cut
/// at the end is none of them.
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

/// Asks whether what is not text is to be written to the terminal, which may obey it.
///
/// # Errors
/// If it is not to be, or no user can be asked.
fn ask(source: &Source) -> Result<()> {
    let what = || format!("write area {} {:?} to the terminal", source.id(), source.name());
    let refused = |why: &'static str| {
        Error::new(ErrorKind::Unsupported, what())
            .with_facts(why)
            .with_remedy("send it to a file or to another program: `areas cat NAME > FILE`")
    };
    if !io::stdin().is_terminal() {
        return Err(refused("it has bytes that are not text").into());
    }
    // Where stderr is closed the question is not seen, and the answer is awaited all the same.
    let _ = write!(
        io::stderr(),
        "area {} {:?} has bytes that are not text: write it to the terminal all the same? [y/N] ",
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

/// The standard output without the line buffer of the standard library, which would look for line
/// ends in it all.
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
