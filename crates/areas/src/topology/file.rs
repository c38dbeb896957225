//! Files of sysfs: read with a bound, and every complaint names the file and what stands in it.
//!
//! The tree may be any folder that a caller names, so a file of it may be a pipe, a device, endless, or not text.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::error::{Errno, Error, Kind, Result};
use crate::place::list::{self, excerpt};
use crate::sys;

/// More than any file that is read here has: a list of 8192 CPUs, every other one, is 21 KiB.
const MOST_BYTES: u64 = 64 * 1024;
/// More than any folder that is listed here has.
const MOST_ENTRIES: usize = 64 * 1024;

/// A folder in the tree. What is not there, or not for us to read, is `None`: a fact that is not known.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn at(path: impl Into<PathBuf>) -> Self {
        Folder { path: path.into() }
    }

    pub(super) fn sub(&self, name: impl AsRef<Path>) -> Self {
        Folder { path: self.path.join(name) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// What `parse` makes of a file; what it complains of becomes an error that names the file.
    pub(super) fn parse<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>> {
        let path = self.path.join(name);
        let Some(text) = text(&path)? else { return Ok(None) };
        parse(&text).map(Some).map_err(|why| malformed(&path, why))
    }

    /// A file that holds one number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>> {
        self.parse(name, number)
    }

    /// The *n* of all entries that are called `prefix`*n*`suffix`, in ascending order.
    pub(super) fn numbered(&self, prefix: &str, suffix: &str, max: u32) -> Result<Vec<u32>> {
        let names = match sys::text::names_in(&self.path, MOST_ENTRIES) {
            Ok(names) => names,
            Err(error) if is_unknown(&error) => return Ok(Vec::new()),
            Err(error) if error.raw_os_error() == Some(libc::EOVERFLOW) => {
                return Err(malformed(&self.path, format!("it has more than {MOST_ENTRIES} entries")));
            }
            Err(error) => return Err(failed(&self.path, "open, getdents64", &error)),
        };
        let mut numbers = Vec::new();
        for name in names {
            let digits = name.to_str().and_then(|name| name.strip_prefix(prefix)?.strip_suffix(suffix));
            match digits {
                Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                    numbers.push(list::number(digits, max).map_err(|why| malformed(&self.path, why))?);
                }
                _ => {}
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    /// The error for something in this folder that makes no sense.
    pub(super) fn malformed(&self, name: &str, why: String) -> Error {
        malformed(&self.path.join(name), why)
    }
}

/// Reads digits with at most a newline behind them.
pub(super) fn number(text: &str) -> Result<u64, String> {
    let digits = text.strip_suffix('\n').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("{} is not a number", excerpt(text)));
    }
    digits.parse().map_err(|_| format!("{} is more than 2^64 - 1", excerpt(digits)))
}

/// The whole text of a file, or `None` if there is none or it is not for us to read.
pub(super) fn text(path: &Path) -> Result<Option<String>> {
    // A pipe does not hold us until somebody writes to it.
    let mut file = match sys::text::open(path) {
        Ok(file) => file,
        Err(error) if is_unknown(&error) => return Ok(None),
        Err(error) => return Err(failed(path, "open", &error)),
    };
    let bytes = bounded(&mut file).map_err(|error| failed(path, "read", &error))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(malformed(path, format!("it is longer than {MOST_BYTES} bytes")));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let lossy = String::from_utf8_lossy(error.as_bytes()).into_owned();
            Err(malformed(path, format!("{} is not text", excerpt(&lossy))))
        }
    }
}

fn bounded(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_unknown(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
}

fn failed(path: &Path, call: &'static str, error: &io::Error) -> Error {
    let report = Error::new(Kind::Io, format!("read {}", path.display()));
    match error.raw_os_error() {
        Some(errno) => report.call(call, Errno::from_raw(errno)),
        None => report.detail(error.to_string()),
    }
}

fn malformed(path: &Path, why: String) -> Error {
    Error::new(Kind::Io, format!("read {}", path.display())).detail(why)
}
